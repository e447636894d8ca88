"""Solves a desk's problem: bound by the relaxation, reduce by its prices, polish in whole numbers, round, check."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from models.rebalance.joint.columns import bound_by_columns
from models.rebalance.joint.compiled import compiled
from models.rebalance.joint.exchange import exchanged, exchanges, searched
from models.rebalance.joint.greedy import greedy
from models.rebalance.joint.problem import DeskProblem, score
from models.rebalance.joint.program import MANY, Program, build_program
from models.rebalance.joint.relaxation import penalties, pool_prices, solve_linear
from models.rebalance.joint.rounding import reserve, rounded, settled, tightened
from models.rebalance.joint.shadow import shadow_prices
from models.typing import BoolArray, FloatArray

__all__ = ["Solution", "prepare", "solve", "solve_plainly"]

Method = Literal["nothing", "milp", "exchange", "greedy"]
_FEWEST = (2, 8)
_OPTIMAL, _STOPPED, _INFEASIBLE = 0, 1, 2
_TIGHT = 1e-7
_VAST = 2 * MANY
"""Above so many transfers exchanges have all of the time; below, the solver brings more than the rest of it."""
_EXCHANGING = 0.4
"""Share of the time that may go to exchanges where the solver follows."""
_BOUNDING = 0.35
"""Share of the time that may go to the bound by columns."""
_SERVING = 0.2
"""Share of what is left that may go to a first plan that meets every need."""
_POLISHING = 0.35
"""Share of what is left that one round of the whole problem may take where it is large."""
_AROUND = 10
_WAYS = 8
_TURN = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """Amounts, and how good they are known to be.

    Parameters
    ----------
    amount : ndarray, shape (R,)
        Units of each arc.
    cost : float
        Transfers and losses, dollars.
    transfers : float
        Transfers alone, dollars.
    bound : float
        No amounts that meet the same needs cost less, dollars.
    short : ndarray, shape (n,)
        Equity that each account lacks to its need, dollars; the least possible where they cannot all be met.
    method : {"nothing", "milp", "exchange", "greedy"}
        Who found them.
    timed_out : bool
        Whether the solver ran out of time.
    shadow : dict of str to float
        Dollars saved by one more unit of each binding limit, by name.
    price : ndarray, shape (K,), optional
        Dollars of one unit of each pool at which plans were improved by exchanges, where they were.
    """

    amount: FloatArray
    cost: float
    transfers: float
    bound: float
    short: FloatArray
    method: Method
    timed_out: bool = False
    shadow: dict[str, float] = field(default_factory=dict)
    price: FloatArray | None = None

    @property
    def gap(self) -> float:
        """How much of the cost could at most be saved, a fraction."""
        return max(self.cost - self.bound, 0.0) / max(abs(self.cost), 1e-9)


def solve(
    problem: DeskProblem,
    time_limit: float,
    gap: float,
    clock: Callable[[], float] = time.monotonic,
    shadow: bool = True,
) -> Solution:
    """Find the amounts.

    Parameters
    ----------
    problem : DeskProblem
        The problem.
    time_limit : float
        Seconds; 0: the greedy fallback alone.
    gap : float
        Relative distance to the bound that is good enough.
    clock : callable
        Seconds, for the limit.
    shadow : bool
        Whether shadow prices are asked for.

    Returns
    -------
    Solution
        Feasible for every limit; where not every need can be met, first the sum of what lacks is made as small as
        possible, then the cost. If the solver finds nothing in its time, the greedy plan.

    Notes
    -----
    The relaxation spreads the fixed cost of a transfer over what its account needs (rows of cover). Its dual prices
    bound what using each transfer would add at least: those that cannot be part of a plan better than the best known
    are left out, which loses nothing; others are left out for a time and counted in the bound. Large desks whose
    accounts share inventories and caps alone are bounded by columns and planned by exchanges; of more than 800
    transfers the solver is asked only where these do not meet every need.
    """
    if time_limit > 0:
        prepare(problem)
    end = clock() + time_limit
    rows = np.flatnonzero(tightened(problem).arcs.most > 0)
    if not len(rows):
        return _scored(problem, np.zeros(len(problem.arcs)), -np.inf, "nothing")
    part = tightened(problem).with_arcs(rows)
    found = _solved(part, end, gap, clock) if time_limit > 0 else _scored(part, greedy(part), -np.inf, "greedy")
    amount = np.zeros(len(problem.arcs))
    amount[rows] = found.amount
    return replace(found, amount=amount, shadow=shadow_prices(problem, amount) if shadow and time_limit > 0 else {})


def prepare(problem: DeskProblem) -> None:
    """Compile what a problem asks for, so that no time limit pays for it.

    Parameters
    ----------
    problem : DeskProblem
        The problem.
    """
    if len(problem.arcs) > MANY and exchanges(problem):
        compiled()


def solve_plainly(problem: DeskProblem, time_limit: float, gap: float) -> Solution:
    """Give the whole problem to the solver as it is: the yardstick of `solve`.

    Parameters
    ----------
    problem : DeskProblem
        The problem.
    time_limit, gap : float
        Seconds, and the relative distance to the bound that is good enough.

    Returns
    -------
    Solution
        What it found in its time; nothing is sent where it found nothing.
    """
    program = build_program(problem)
    found = _mixed(program, time_limit, gap)
    amount = np.zeros(len(problem.arcs)) if found.x is None else program.amounts(found.x, problem)
    bound = -np.inf if found.mip_dual_bound is None else found.mip_dual_bound + program.constant
    return _scored(problem, amount, bound, "milp", found.status == _STOPPED)


def _solved(problem: DeskProblem, end: float, gap: float, clock: Callable[[], float]) -> Solution:
    found = _solve_needs(problem, end, gap, clock)
    if found is not None:
        return found
    short = _least_short(problem, end, clock)
    again = _solve_needs(problem.with_need(problem.curves.need - short), end, gap, clock)
    if again is None:
        return replace(_scored(problem, greedy(problem), -np.inf, "greedy"), timed_out=True)
    return replace(again, short=score(problem, again.amount).short)


def _scored(
    problem: DeskProblem, amount: FloatArray, bound: float, method: Method, timed_out: bool = False
) -> Solution:
    seen = score(problem, amount)
    return Solution(amount, seen.cost, seen.transfers, bound, seen.short, method, timed_out)


@dataclass(slots=True, eq=False)
class _Best:
    """The best plan so far, and the best bound."""

    problem: DeskProblem
    gap: float
    bound: float
    amount: FloatArray | None = None
    cost: float = np.inf
    method: Method = "greedy"
    timed_out: bool = False

    def offer(self, amount: FloatArray, method: Method) -> None:
        """Take amounts that break nothing, meet every need and cost less."""
        seen = score(self.problem, amount)
        if not seen.broken and not seen.short.any() and seen.cost < self.cost:
            self.amount, self.cost, self.method = amount, seen.cost, method

    @property
    def good_enough(self) -> bool:
        """Whether the bound is near enough."""
        return self.amount is not None and self.near(self.cost)

    def near(self, cost: float) -> bool:
        """Whether a cost is near enough to the bound."""
        return cost - self.bound <= self.gap * abs(cost) + _TIGHT

    def kept(self, penalty: FloatArray, lowest: float) -> BoolArray:
        """Transfers that may still be part of a better plan, shape (R,)."""
        if self.amount is None:
            return penalty < np.inf
        return penalty <= self.cost - lowest + _TIGHT * max(1.0, abs(self.cost))


def _solve_needs(problem: DeskProblem, end: float, gap: float, clock: Callable[[], float]) -> Solution | None:
    """The best plan that meets every need; None where there is none, or none was found."""
    relaxed = build_program(problem, counted=False, cover=True)
    lower = solve_linear(relaxed)
    if lower is None:
        return None
    lowest, penalty = lower.fun + relaxed.constant, penalties(problem, relaxed, lower)
    best, price = _Best(problem, gap, lowest), pool_prices(problem, relaxed, lower)
    exchanging, vast = len(problem.arcs) > MANY and exchanges(problem), len(problem.arcs) > _VAST
    if exchanging:
        now = clock()
        price = _exchange(problem, best, price, end if vast else now + _EXCHANGING * (end - now), clock)
        best.timed_out = vast and not best.good_enough
    if best.amount is None or not (best.good_enough or (exchanging and vast)):
        best.offer(rounded(problem, relaxed.amounts(lower.x, problem)), "milp")
        best.offer(greedy(problem, price, quick=True), "greedy")
        solved = _polish(problem, best, penalty, lowest, end, clock)
        if best.amount is not None and not best.good_enough and not solved:
            _search_around(problem, best, penalty, end, clock)
    if best.amount is None:
        return None
    found = _scored(problem, best.amount, min(best.bound, best.cost), best.method, best.timed_out)
    return replace(found, price=price if exchanging else None)


def _exchange(
    problem: DeskProblem, best: _Best, price: FloatArray, end: float, clock: Callable[[], float]
) -> FloatArray:
    """Bound by columns and improve by exchanges, at the prices that the bound has found; those prices."""
    now = clock()
    bound, price = bound_by_columns(problem, price, now + _BOUNDING * (end - now), clock)
    best.bound = max(best.bound, bound)
    start = greedy(problem, price, quick=True)
    best.offer(start, "greedy")
    if best.amount is None:  # others make room, unless there is none
        now = clock()
        start = exchanged(problem, start, price, lambda cost: False, now + _SERVING * (end - now), clock)
        best.offer(start, "exchange")
    if best.amount is not None and not best.good_enough:
        for found in searched(problem, best.amount, price, best.near, end, clock):
            best.offer(found, "exchange")
    return price


def _polish(
    problem: DeskProblem, best: _Best, penalty: FloatArray, lowest: float, end: float, clock: Callable[[], float]
) -> bool:
    """Solve in whole numbers with few transfers of each account, then with more; whether all of them were solved."""
    solved = False
    kept = best.kept(penalty, lowest)
    for most in _sizes(kept):
        left = end - clock()
        if best.good_enough:
            break
        if left <= 0:
            best.timed_out = True
            break
        inside = kept & _cheapest(problem, penalty, most)
        rows = np.flatnonzero(inside)
        share = 1.0 if len(kept) <= MANY else _POLISHING
        amount, inner, late = _whole(problem.with_arcs(rows), share * left, best.gap)
        best.timed_out |= late
        solved = bool(inside[kept].all()) and not late
        others = lowest + float(np.min(penalty[kept & ~inside], initial=np.inf))
        best.bound = max(best.bound, min(inner, others))
        if amount is not None:
            whole = np.zeros(len(problem.arcs))
            whole[rows] = amount
            best.offer(whole, "milp")
            kept &= best.kept(penalty, lowest)
    return solved


def _search_around(
    problem: DeskProblem, best: _Best, penalty: FloatArray, end: float, clock: Callable[[], float]
) -> None:
    """Plan some accounts anew while the others keep what they have, as long as there is time."""
    rng = np.random.default_rng(0)
    accounts = np.unique(problem.arcs.account)
    always = np.unique(problem.pools.account[problem.pools.account >= 0])
    cheap = _cheapest(problem, penalty, _WAYS)
    while not best.good_enough and best.amount is not None:
        left = end - clock()
        if left <= 0.05:
            return
        first = rng.choice(accounts)
        used = best.amount > 0
        pools = problem.arcs.pool[(problem.arcs.account == first) & (used | cheap)]
        near = np.unique(problem.arcs.account[used & np.isin(problem.arcs.pool, pools)])
        size = min(_AROUND, len(accounts))
        chosen = rng.permutation(near)[: size - 1]
        chosen = np.unique(
            np.concatenate([[first], chosen, rng.choice(accounts, max(size - len(chosen) - 1, 0)), always])
        )
        mine = np.isin(problem.arcs.account, chosen)
        rows = np.flatnonzero(mine & (cheap | used))
        kept = np.where(mine, 0.0, best.amount)
        amount, _, _ = _whole(problem.among(chosen, rows, kept), min(_TURN, left), 2e-3, counted=False)
        if amount is not None:
            kept[rows] = amount
            best.offer(kept, "milp")


def _sizes(kept: BoolArray) -> list[int]:
    """Transfers of each account that take part, round by round: few, more, all."""
    if int(kept.sum()) <= MANY:
        return [len(kept)]
    return [*_FEWEST, len(kept)]


def _cheapest(problem: DeskProblem, penalty: FloatArray, most: int) -> BoolArray:
    """The transfers of each account with the smallest penalties, shape (R,)."""
    order = np.lexsort((penalty, problem.arcs.account))
    owner = problem.arcs.account[order]
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - np.searchsorted(owner, owner)
    return np.asarray(place < most, np.bool_)


def _whole(
    problem: DeskProblem, seconds: float, gap: float, counted: bool = True
) -> tuple[FloatArray | None, float, bool]:
    """Amounts in whole numbers, rounded to fine steps; the bound of the solver; whether it ran out of time."""
    program = build_program(problem, counted=counted, cover=True)
    found = _mixed(program, seconds, gap / 2)
    if found.status == _INFEASIBLE:
        return None, np.inf, False
    bound = -np.inf if found.mip_dual_bound is None else found.mip_dual_bound + program.constant
    if found.x is None:
        return None, bound, True
    amount = program.amounts(found.x, problem)
    best = settled(problem, amount, counted)
    return rounded(problem, amount) if best is None else best, bound, found.status == _STOPPED


def _mixed(program: Program, seconds: float, gap: float) -> Any:
    return milp(
        program.cost,
        integrality=program.whole.astype(np.int64),
        bounds=Bounds(program.low, program.high),
        constraints=LinearConstraint(program.matrix, program.row_low, program.row_high),
        options={"time_limit": max(seconds, 0.05), "mip_rel_gap": gap},
    )


def _least_short(problem: DeskProblem, end: float, clock: Callable[[], float]) -> FloatArray:
    """Smallest sum of shortfalls that can be had, by account; of the largest desks the smallest that was found."""
    known = score(problem, greedy(problem)).short
    relaxed = build_program(problem, whole=False, elastic=True)
    lower = solve_linear(relaxed)
    if lower is None or known.sum() <= lower.fun * (1 + 1e-4):
        return known * (1 + 1e-7)
    rows = np.arange(len(problem.arcs))
    if len(rows) > MANY:
        rows = np.flatnonzero(_cheapest(problem, penalties(problem, relaxed, lower), _FEWEST[0]))
    part = problem.with_arcs(rows)
    program = build_program(reserve(part), whole=True, elastic=True)
    found = _mixed(program, (end - clock()) / 2, 1e-4)
    if found.x is not None:
        seen = score(part, rounded(part, program.amounts(found.x, part)))
        known = seen.short if not seen.broken and seen.short.sum() <= known.sum() else known
    return known * (1 + 1e-7)
