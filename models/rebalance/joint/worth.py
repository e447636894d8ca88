"""What added collateral is worth to each account, found on the full predictor and the exact engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.account import Account
from models.book import Book
from models.margin.levels import STATES
from models.rebalance.agreement import due
from models.rebalance.evaluate import Evaluation, Evaluator
from models.rebalance.joint.pockets import Pocket
from models.rebalance.joint.probe import Probe
from models.rebalance.joint.problem import Curves
from models.rebalance.joint.split import crossing, shares, sure_goals
from models.rebalance.limits import RiskLimits
from models.rebalance.target import Target
from models.typing import FloatArray, IntArray

__all__ = ["Worth", "hull", "liquidation_of", "loss_of", "measure", "needed_money"]

_FIRST = 16
_NEXT = 8
_ROUNDS = 4
_SMALLEST = 1e-4
_CENT = 1e-4
"""Amounts under an agreement are compared to a hundredth of a cent."""
_SHAPE = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0])
_KEPT = np.array([1.0, 0.95, 0.9, 0.8, 0.7, 0.55, 0.4, 0.25, 0.1, 0.0])
_CALL, _LIQUIDATION = STATES.index("call"), len(STATES) - 1
_TAIL = {"expected": 1.0, "cvar90": 0.1, "cvar95": 0.05}


@dataclass(frozen=True, slots=True, eq=False)
class Worth:
    """Added equity and what it does, for m pockets; dollars.

    Parameters
    ----------
    pockets : tuple of Pocket
        The accounts, or what is margined apart in them; the needy ones first.
    count : int
        How many of them are needy.
    curves : Curves
        Loss against added equity, and what is needed.
    value, p : tuple of ndarray
        For each account: added equity, rising, and P at the target's horizon there.
    reached : ndarray of bool, shape (m,)
        Whether added money can reach the target at all.
    share : ndarray, shape (m,)
        Share of the target that each may use: 1 but for pockets of one account.
    probe : Probe
        The pockets with other amounts of money.
    amount : ndarray, shape (m, J)
        Amounts at the points of the curves.
    """

    pockets: tuple[Pocket, ...]
    count: int
    curves: Curves
    value: tuple[FloatArray, ...]
    p: tuple[FloatArray, ...]
    reached: FloatArray
    share: FloatArray
    probe: Probe
    amount: FloatArray

    @property
    def owner(self) -> IntArray:
        """Row of the account of each pocket, shape (m,)."""
        return np.array([pocket.row for pocket in self.pockets], np.int64)

    @property
    def places(self) -> dict[tuple[int, int], int]:
        """Where each pocket is, by row and position."""
        return {(pocket.row, pocket.position): k for k, pocket in enumerate(self.pockets)}

    def need_at(self, probability: float) -> FloatArray:
        """Added equity at which P falls to a probability, between the points measured; shape (m,)."""
        found = zip(self.value, self.p, self.share.tolist(), strict=True)
        return np.array([crossing(v, p, probability * share) for v, p, share in found])

    def equivalent(self, i: int, p: float) -> float:
        """Added money that would give the same P, dollars."""
        return crossing(self.value[i], self.p[i], p)


def measure(
    accounts: Sequence[Account],
    needy: Sequence[Pocket],
    givers: Sequence[Pocket],
    before: Evaluation,
    evaluate: Evaluator,
    target: Target,
    limits: RiskLimits,
) -> Worth:
    """Find needs, what can be spared, and the loss in between.

    Parameters
    ----------
    accounts : sequence of Account, length n
        All accounts of the desk.
    needy, givers : sequence of Pocket
        Pockets that need collateral, and those that may give some.
    before : Evaluation
        Where they stand, the needy ones first.
    evaluate : Evaluator
        Predictor and engine.
    target : Target
        What is to be reached.
    limits : RiskLimits
        How losses are counted.

    Returns
    -------
    Worth
        Those pockets, the needy ones first.
    """
    pockets, count = (*needy, *givers), len(needy)
    probe = Probe(pockets, before, evaluate)
    goal = np.full(len(pockets), target.probability)
    goal[:count] = sure_goals(needy, accounts, target)
    needed, reached = needed_money(probe, goal, target)
    share = np.ones(len(pockets))
    if np.any(goal < target.probability):
        share = shares(probe, accounts, needed, goal, target)
        needed = needed * np.array([_part(probe, k, goal, share, target) for k in range(len(pockets))])
    spared = _spared(probe, count, target)
    size = np.concatenate([needed[:count], spared])
    amount = size[:, None] * np.where((np.arange(len(pockets)) < count)[:, None], _SHAPE, -_KEPT)
    seen, value = probe.at(amount)
    loss = loss_of(seen, liquidation_of(probe, amount), target, limits) * probe.dollar[:, None]
    probe.keep(seen, value, target.column)
    every, chances = probe.curves()
    at = np.concatenate([np.full(count, 4), np.zeros(len(givers), np.int64)])
    need = value[np.arange(len(pockets)), at]
    curves = Curves(value, np.array([hull(v, f) for v, f in zip(value, loss, strict=True)]).reshape(value.shape), need)
    reached[count:] = 1.0
    return Worth(pockets, count, curves, every, chances, reached, share, probe, amount)


def _part(probe: Probe, k: int, goal: FloatArray, share: FloatArray, target: Target) -> float:
    """What a pocket needs for its share of the target, over what it needs for its goal."""
    value, chance = probe.curve(k)
    sure, enough = (crossing(value, chance, p) for p in (float(goal[k]), float(share[k]) * target.probability))
    return enough / max(sure, 1e-300) if sure > 0 else 1.0


def needed_money(probe: Probe, goal: FloatArray, target: Target) -> tuple[FloatArray, FloatArray]:
    """Find the smallest amount of money that brings each pocket to its goal.

    Parameters
    ----------
    probe : Probe
        m pockets; what is seen of them is remembered there.
    goal : ndarray, shape (m,)
        P to reach.
    target : Target
        Its horizon.

    Returns
    -------
    tuple of ndarray, shape (m,)
        Amounts, units of `money_move`, and 1 where they are enough, 0 where no amount is.
    """
    limit = np.array([move.limit for move in probe.moves])
    grid = limit[:, None] * np.geomspace(_SMALLEST, 1.0, _FIRST)
    low, high, found = np.zeros(len(limit)), limit.copy(), np.zeros(len(limit), np.bool_)
    for turn in range(_ROUNDS):
        seen, added = probe.at(grid)
        probe.keep(seen, added, target.column)
        p = seen.p[:, target.column].reshape(grid.shape)
        good = (p <= goal[:, None]) & ((seen.state < _CALL) & seen.good).reshape(grid.shape)
        hit, first = good.any(axis=1), np.argmax(good, axis=1)
        rows = np.arange(len(limit))
        below = np.where(first > 0, grid[rows, np.maximum(first - 1, 0)], low)
        low, high = np.where(hit, below, low), np.where(hit, grid[rows, first], high)
        found |= hit if turn == 0 else False
        grid = low[:, None] + (high - low)[:, None] * np.arange(1, _NEXT + 1) / _NEXT
    return high, found.astype(np.float64)


def _spared(probe: Probe, first: int, target: Target) -> FloatArray:
    """Largest amount that each giver can spare: target, release level and state are kept, or what comes back is due."""
    part = probe.part(slice(first, None))
    if not len(part.owner):
        return np.zeros(0)
    agreed = [due(pocket.weights) for pocket in part.pockets]
    level = part.before.level
    free = level[:, 0] - np.where([x is not None for x in agreed], level[:, 3], level[:, 4])
    back = [np.inf if x is None else x.amount if x.action == "RETURN" else 0.0 for x in agreed]
    excess = np.clip(free, 0.0, back)
    price = np.array([max(move.price, 1e-300) for move in part.moves])
    limit = excess / price
    grid = limit[:, None] * np.arange(_FIRST, -1, -1) / _FIRST
    seen, _ = part.at(-grid)
    under = np.repeat([x is not None for x in agreed], grid.shape[1])
    least = np.where(under, seen.level[:, 3], seen.level[:, 4])
    kept = seen.level[:, 0] >= least - np.where(under, _CENT, 1e-12 * np.abs(least))
    good = ((seen.p[:, target.column] <= target.probability) & (seen.state < _CALL) & kept).reshape(grid.shape)
    return np.where(good.any(axis=1), grid[np.arange(len(limit)), np.argmax(good, axis=1)], 0.0)


def liquidation_of(probe: Probe, amount: FloatArray) -> FloatArray:
    """P(liquidation) of candidates at the four horizons, shape (m k, 4)."""
    evaluate = probe.evaluate
    inner = evaluate.predict

    def predict(book: Book) -> FloatArray:
        return inner(replace(book, arrays=book.arrays._replace(account_call_factor=np.ones(len(book)))))

    rows = np.repeat(probe.owner, amount.shape[1])
    return replace(evaluate, predict=predict, certain_from=_LIQUIDATION)(probe.candidates(amount), rows).p


def loss_of(
    seen: Evaluation, liquidation: FloatArray, target: Target, limits: RiskLimits, points: int = len(_SHAPE)
) -> FloatArray:
    """Expected loss, or CVaR, of each candidate by the target's horizon.

    Parameters
    ----------
    seen : Evaluation
        N candidates of m accounts, m rows of the same length.
    liquidation : ndarray, shape (N, 4)
        P(liquidation).
    target : Target
        Its horizon.
    limits : RiskLimits
        Cost of a call and of a liquidation.
    points : int
        Candidates of each account, N / m.

    Returns
    -------
    ndarray, shape (m, N / m)
        Account currency; flat costs are taken as account currency as well.
    """
    call = np.nan_to_num(seen.p[:, target.column], nan=1.0)
    worst = np.minimum(np.nan_to_num(liquidation[:, target.column], nan=1.0), call)
    cost_call = limits.call_cost + limits.call_cost_rate * seen.level[:, 2]
    cost_worst = cost_call + limits.liquidation_cost + limits.liquidation_cost_rate * seen.level[:, 1]
    tail = _TAIL[limits.risk_measure]
    bad = np.minimum(worst, tail)
    mild = np.minimum(call, tail) - bad
    return np.asarray((bad * cost_worst + mild * cost_call) / tail).reshape(-1, points)


def hull(value: FloatArray, loss: FloatArray) -> FloatArray:
    """Give the largest convex falling curve that is nowhere above the points.

    Parameters
    ----------
    value : ndarray, shape (k,)
        Rising.
    loss : ndarray, shape (k,)
        At each of them.

    Returns
    -------
    ndarray, shape (k,)
        The curve at the same values.

    Examples
    --------
    >>> hull(np.array([0.0, 1.0, 2.0]), np.array([4.0, 3.0, 0.0])).tolist()
    [4.0, 2.0, 0.0]
    """
    loss = np.minimum.accumulate(loss)
    kept: list[int] = []
    for i in range(len(value)):
        while len(kept) > 1 and _above(value, loss, kept[-2], kept[-1], i):
            kept.pop()
        if not kept or value[i] > value[kept[-1]]:
            kept.append(i)
    return np.interp(value, value[kept], loss[kept])


def _above(value: FloatArray, loss: FloatArray, a: int, b: int, c: int) -> bool:
    """Whether point b lies on or above the line from a to c."""
    return bool((loss[b] - loss[a]) * (value[c] - value[a]) >= (loss[c] - loss[a]) * (value[b] - value[a]))
