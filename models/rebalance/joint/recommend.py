"""From accounts and a policy to the plan of the whole desk."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from models.account import Account
from models.book_small import BookMaker
from models.errors import Failure
from models.margin.levels import STATES
from models.margin.valuation import Volatility
from models.rebalance.desk import Desk
from models.rebalance.effects import apply_move
from models.rebalance.evaluate import Evaluation, Evaluator, Predict
from models.rebalance.joint.carry_out import accounts_after, scenario_factors, worse_in_scenarios
from models.rebalance.joint.network import Link, Refusal, build_arcs, links_of
from models.rebalance.joint.plan import DeskPlan, FrontPoint
from models.rebalance.joint.problem import DeskProblem, score
from models.rebalance.joint.solve import Solution, solve
from models.rebalance.joint.telling import tell, tell_nothing
from models.rebalance.joint.telling_own import with_own
from models.rebalance.joint.worth import Worth, measure, money_move
from models.rebalance.moves import Move
from models.rebalance.plan import last_safe_minute
from models.rebalance.policy import Policy
from models.rebalance.recommend import market_rows, price_rows
from models.rebalance.target import Target
from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["DeskRun", "recommend_desk"]

_REPAIRS = 8
_LEAST_QUALITY = 0.05
_STEP = 1.01
_DUST = 0.1
_RESOLVED = 1e-3
"""Differences of P that a prior of some two thousand paths can tell."""
_FIRST = 0.6
"""Share of the time left that one solution may take: others may have to follow."""
_EQUITY, _RELEASE = 0, 4
_LEVELS_CALL = STATES.index("call")


def recommend_desk(
    accounts: Sequence[Account],
    assets: Sequence[str],
    prices: FloatArray,
    predict: Predict,
    policy: Policy,
    target: Target | None = None,
    now: datetime | None = None,
    volatility: Volatility | FloatArray | None = None,
    time_limit: float = 5.0,
    gap: float = 0.001,
    age_minutes: FloatArray | None = None,
    reduce: bool = False,
    release: bool = False,
) -> tuple[DeskPlan, list[Failure]]:
    """Recommend what a desk should send now, for all its accounts together.

    Parameters
    ----------
    accounts : sequence of Account, length n
        The accounts.
    assets : sequence of str, length A
        Assets of the market.
    prices : ndarray, shape (A,) or (n, A)
        Present mark prices; NaN where none is known.
    predict : callable
        The full predictor: a book of m accounts to P(call), shape (m, 4).
    policy : Policy
        Places, routes and limits of the desk.
    target : Target, optional
        P(call by horizon) that every account is to reach; that of the policy, or 1% in a day, where None.
    now : datetime, optional
        When the plan is made, for opening hours and cut-offs; the latest instant of the accounts where None.
    volatility : Volatility or ndarray, optional
        As `models.rebalance.recommend`.
    time_limit : float
        Seconds for the solver; 0: the greedy fallback.
    gap : float
        Relative distance to the bound that is good enough.
    age_minutes : ndarray, shape (A,), optional
        Minutes since each price was known. An asset whose price is older than the ruleset of an account allows is not
        sent to it, and the plan warns of accounts that rest on such a price.
    reduce, release : bool
        Whether positions are reduced of accounts that no transfers bring to the target, and whether others give back
        what they do not need; where the policy allows it.

    Returns
    -------
    tuple of (DeskPlan, list of Failure)
        The plan, and the accounts that could not be computed.

    Notes
    -----
    Accounts over the target get collateral until they reach it, and beyond where that saves more than it costs; others
    only give. Loss against added collateral is made convex, which understates it between the points where it is not;
    CVaR is that of each account, so the sum is not below that of the desk. The plan is carried out on the accounts,
    asked of the full predictor, and re-priced under the stress of the policy; where an asset did less than its
    haircut says, or an account would end worse, it is planned again without it.
    """
    run = DeskRun(accounts, assets, prices, predict, policy, target, now, volatility, age_minutes)
    return run.plan(time_limit, gap, reduce, release), run.failures


@dataclass(slots=True, eq=False)
class Course:
    """What a plan has learnt.

    Parameters
    ----------
    scale : ndarray, shape (n,)
        By how much each need is raised.
    closed : ndarray of bool, shape (R,)
        Links that take no part.
    """

    scale: FloatArray
    closed: BoolArray


class DeskRun:
    """One desk at one instant: what is asked of the predictor is asked once, for any number of plans.

    Parameters
    ----------
    accounts, assets, prices, predict, policy, target, now, volatility, age_minutes
        As `recommend_desk`.
    """

    def __init__(
        self,
        accounts: Sequence[Account],
        assets: Sequence[str],
        prices: FloatArray,
        predict: Predict,
        policy: Policy,
        target: Target | None = None,
        now: datetime | None = None,
        volatility: Volatility | FloatArray | None = None,
        age_minutes: FloatArray | None = None,
    ) -> None:
        shape = (len(accounts), len(assets))
        self.accounts, self.policy = accounts, policy
        self.target = target or policy.limits.goal or Target()
        market = market_rows(volatility, shape)
        self.evaluate = Evaluator(
            tuple(assets), price_rows("prices", prices, shape), predict, market, maker=BookMaker(assets)
        )
        self.desk = Desk(accounts, self.evaluate, self.target, policy)
        self.before: Evaluation = self.desk.before
        self.weights = self.desk.weights
        self.failures = self.desk.failures()
        self.now = now or max((a.as_of for a in accounts), default=datetime.min)
        over = [i for i, own in enumerate(self.weights) if own is not None and self.desk.over(i)]
        self.needy = np.array(over, np.int64)
        self.givers = self._givers()
        self.age = {} if age_minutes is None else dict(zip(assets, age_minutes.tolist(), strict=True))
        self.refused: list[Refusal] = []
        self.links: list[Link] = []
        if len(self.needy):
            self._measure()

    def _givers(self) -> IntArray:
        """Accounts that the policy lets give, that have more than their release level."""
        sources = {self.policy.places[route.source].account for route in self.policy.routes}
        level = self.before.level
        return np.array(
            [
                i
                for i, account in enumerate(self.accounts)
                if account.account_id in sources
                and self.weights[i] is not None
                and not self.desk.over(i)
                and level[i, _EQUITY] > level[i, _RELEASE]
            ],
            np.int64,
        )

    def _measure(self) -> None:
        asked = (self.accounts, self.weights, self.before, self.evaluate, self.target, self.policy.limits)
        self.worth: Worth = measure(*asked, self.needy, self.givers)
        last = {int(i): self.last_safe(int(i)) for i in self.needy}
        self.links, self.refused = links_of(
            self.accounts, self.weights, self.needy.tolist(), last, self.policy, self.now, self.age
        )
        quality = self._qualities()
        self.network = build_arcs(
            self.links, self.worth.owner.tolist(), self.accounts, self.worth.curves, self.policy, self.weights, quality
        )
        pairs = [(x.account, x.asset) for x in self.network.links]
        self.weak = np.array([quality.get(pair, 1.0) < _LEAST_QUALITY for pair in pairs], np.bool_)
        self.late = np.array([x.late for x in self.network.links], np.bool_)

    def last_safe(self, i: int) -> float:
        """Minute by which collateral must have arrived; inf where there is none."""
        called = bool(self.before.state[i] >= _LEVELS_CALL)
        found = last_safe_minute(self.before.p[i], self.target, called)
        return math.inf if found is None else found

    def _qualities(self) -> dict[tuple[int, str], float]:
        """What each asset does at each account, compared with as much money by its haircut."""
        place = {int(row): k for k, row in enumerate(self.worth.owner)}
        pairs = list(
            dict.fromkeys(
                (x.account, x.asset, (x.kind, x.position), x.price * x.ratio) for x in self.links if x.ratio > 0
            )
        )
        pairs = [x for x in pairs if self.worth.reached[place[x[0]]]]
        if not pairs:
            return {}
        goal = [float(self.worth.curves.need[place[row]]) for row, _, _, _ in pairs]
        tried = [
            apply_move(self.accounts[row], Move(kind[0], asset, kind[1], None, 1.0, math.inf), need / value)
            for (row, asset, kind, value), need in zip(pairs, goal, strict=True)
        ]
        seen = self.evaluate(tried, np.array([row for row, _, _, _ in pairs], np.int64))
        found = {}
        for (row, asset, _, _), need, p in zip(pairs, goal, seen.p[:, self.target.column].tolist(), strict=True):
            does = self.worth.equivalent(place[row], 1.0 if math.isnan(p) else p) / max(need, 1e-300)
            found[row, asset] = min(max(does, 0.5 * _LEAST_QUALITY), 1.0)
        return found

    def plan(
        self, time_limit: float = 5.0, gap: float = 0.001, reduce: bool = False, release: bool = False
    ) -> DeskPlan:
        """Make the plan.

        Parameters
        ----------
        time_limit, gap, reduce, release : float, bool
            As `recommend_desk`.

        Returns
        -------
        DeskPlan
            Certified, or with what could not be certified in words.
        """
        found = self._transfers(time_limit, gap) if len(self.needy) else tell_nothing(self)
        return with_own(self, found, reduce, release) if reduce or release else found

    def ends_worse(self, row: int, changed: Account) -> bool:
        """Whether some price scenario leaves an account in a worse state than with no action."""
        factors = scenario_factors(self.policy.limits.stress, len(self.evaluate.assets), self._held([changed]))
        index = np.array([row], np.int64)
        return len(worse_in_scenarios([self.accounts[row]], [changed], index, self.evaluate, factors)) > 0

    def _transfers(self, time_limit: float, gap: float) -> DeskPlan:
        end = time.monotonic() + time_limit
        course = Course(np.ones(len(self.worth.owner)), self.weak | self.late)
        found = self._solve(self.problem(course), end, time_limit, gap)
        short = found.short > 0
        if short.any() and self._open_late(course, short):
            found = self._solve(self.problem(course), end, time_limit, gap)
        amount = found.amount
        for turn in range(_REPAIRS):
            after = accounts_after(self.accounts, self.network, amount)
            seen = self.evaluate(after, np.arange(len(after)))
            worse, count = self._worse(after, seen)
            again = self._amend(course, amount, seen, worse)
            if not len(again):
                break
            if turn < _REPAIRS - 1:
                amount = self._again(course, amount, again, end, time_limit, gap)
            elif worse:  # nobody is left worse than with no action: what made them so is taken back
                amount = np.where(course.closed, 0.0, amount)
                after = accounts_after(self.accounts, self.network, amount)
                seen = self.evaluate(after, np.arange(len(after)))
                worse, count = self._worse(after, seen)
        priced = score(self.problem(Course(np.ones(len(self.worth.owner)), course.closed)), amount)
        told = replace(found, amount=amount, cost=priced.cost, transfers=priced.transfers, short=priced.short)
        return tell(self, told, after, seen, worse, count)

    def problem(self, course: Course | None = None) -> DeskProblem:
        """Give what the optimiser is asked; first of all, with the transfers that arrive on time."""
        course = course or Course(np.ones(len(self.worth.owner)), self.weak | self.late)
        worth, arcs = self.worth, self.network.arcs
        need = np.where(worth.reached > 0, worth.curves.need, np.minimum(worth.curves.need, 0.0))
        curves = replace(worth.curves, need=need * np.where(need > 0, course.scale, 1.0))
        arcs = replace(arcs, most=np.where(course.closed, 0.0, arcs.most))
        limits = self.policy.limits
        names = tuple(self.accounts[i].account_id for i in worth.owner.tolist())
        most = limits.max_moves, limits.max_moves_per_account, limits.max_run_value
        return DeskProblem(arcs, self.network.pools, self.network.slots, curves, names, *most)

    def _solve(self, problem: DeskProblem, end: float, time_limit: float, gap: float) -> Solution:
        left = max(_FIRST * (end - time.monotonic()), 0.02 * time_limit) if time_limit > 0 else 0.0
        return solve(problem, left, gap)

    def _open_late(self, course: Course, short: BoolArray) -> bool:
        """Open the transfers that may come too late to accounts that nothing else can save; whether there are any."""
        opened = self.late & ~self.weak & short[self.network.arcs.account]
        course.closed &= ~opened
        return bool(opened.any())

    def _again(
        self, course: Course, amount: FloatArray, places: IntArray, end: float, time_limit: float, gap: float
    ) -> FloatArray:
        """Plan some accounts anew while the others keep what they have."""
        problem = self.problem(course)
        givers = np.arange(len(self.needy), len(self.worth.owner))
        chosen = np.unique(np.concatenate([places, givers]))
        mine = np.isin(self.network.arcs.account, chosen)
        rows, out = np.flatnonzero(mine), np.where(mine, 0.0, amount)
        left = max(0.5 * (end - time.monotonic()), 0.02 * time_limit) if time_limit > 0 else 0.0
        out[rows] = solve(problem.among(chosen, rows, out), left, gap, shadow=False).amount
        return out

    def _worse(self, after: Sequence[Account], seen: Evaluation) -> tuple[set[int], int]:
        """Rows that end worse than with no action, and the number of scenarios asked."""
        moved = np.array([i for i, (a, b) in enumerate(zip(self.accounts, after, strict=True)) if a is not b], np.int64)
        held = self._held([after[i] for i in moved.tolist()])
        factors = scenario_factors(self.policy.limits.stress, len(self.evaluate.assets), held)
        if not len(moved):
            return set(), len(factors)
        old, new = [self.accounts[i] for i in moved.tolist()], [after[i] for i in moved.tolist()]
        found = {int(moved[k]) for k in worse_in_scenarios(old, new, moved, self.evaluate, factors)}
        p, q, column = self.before.p, seen.p, self.target.column
        for i in moved.tolist():
            if i in self.needy:
                risen = bool(np.any(q[i] > p[i] + _RESOLVED)) or not seen.good[i]
            else:
                risen = not seen.good[i] or bool(q[i, column] > self.target.probability)
            if risen:
                found.add(i)
        return found, len(factors)

    def _held(self, accounts: Sequence[Account]) -> IntArray:
        """Assets that some accounts depend on."""
        names = {item.asset for account in accounts for item in account.collateral}
        book, _ = self.evaluate.book(accounts)
        used = np.array([a in names for a in self.evaluate.assets], np.bool_)
        used[book.arrays.leg_asset] = True
        if book.blocks is not None:
            used[book.blocks.block_asset] = True
        return np.flatnonzero(used)

    def _amend(self, course: Course, amount: FloatArray, seen: Evaluation, worse: set[int]) -> IntArray:
        """Learn from what the predictor says of the plan; places of the accounts to plan anew."""
        problem, again = self.problem(course), []
        added = problem.added(amount)
        for k, row in enumerate(self.worth.owner.tolist()):
            p = float(seen.p[row, self.target.column])
            needs = k < len(self.needy) and bool(self.worth.reached[k])
            met = added[k] >= problem.curves.need[k] * (1 - 1e-6)
            if row in worse:
                again += self._close(course, amount, k, row)
            elif needs and met and p > self.target.probability:
                if not self._drop_dust(course, amount, k, float(added[k])):
                    real = self.worth.equivalent(k, p)
                    course.scale[k] *= max(_STEP, min(float(added[k]) / max(real, 1e-300), 2.0)) * 1.001
                again.append(k)
        return np.array(again, np.int64)

    def _close(self, course: Course, amount: FloatArray, k: int, row: int) -> list[int]:
        """Close to an account that ends worse all coins, or else money, and what it gave; places to plan anew."""
        arcs, coins, money = self.network.arcs, self._coins(amount, row), self._money(row)
        mine = (arcs.account == k) & np.array([x.asset != money or not coins for x in self.network.links], np.bool_)
        gave = np.array([x.giver == row for x in self.network.links], np.bool_)
        new = (mine | gave) & ~course.closed & (amount > 0)
        course.closed |= mine | gave
        return [int(place) for place in np.unique(arcs.account[new])]

    def _drop_dust(self, course: Course, amount: FloatArray, k: int, added: float) -> bool:
        """Close coins that are a small part of what an account gets, and change its kind; whether there were any."""
        arcs, row = self.network.arcs, int(self.worth.owner[k])
        coins = self._coins(amount, row)
        part = (arcs.account == k) & np.array([x.asset in coins for x in self.network.links], np.bool_) & (amount > 0)
        if not part.any() or float((amount * arcs.value)[part].sum()) > _DUST * added:
            return False
        course.closed |= part
        return True

    def _money(self, row: int) -> str:
        """Asset by which the need of an account is measured."""
        own = self.weights[row]
        return "" if own is None else money_move(own, 0.0).asset

    def _coins(self, amount: FloatArray, row: int) -> set[str]:
        """Assets sent to an account that are not the money by which its need is measured."""
        money = self._money(row)
        used = [self.network.links[r] for r in np.flatnonzero(amount > 0).tolist()]
        return {link.asset for link in used if link.account == row} - {money}

    def front(self, probabilities: Sequence[float], time_limit: float = 1.0, gap: float = 0.01) -> list[FrontPoint]:
        """Cost against P: the same desk at other targets of the same horizon.

        Parameters
        ----------
        probabilities : sequence of float
            Targets.
        time_limit, gap : float
            Of each point, as `recommend_desk`.

        Returns
        -------
        list of FrontPoint
            In the order given. Needs are read off the curves of P, and not asked of the predictor again; accounts that
            are under the target of the plan take no part.
        """
        if not len(self.needy):
            return [FrontPoint(p, 0.0, 0.0, 0.0, 0.0) for p in probabilities]
        problem, out = self.problem(), []
        needy = np.arange(len(self.worth.owner)) < len(self.needy)
        for probability in probabilities:
            wanted = np.where(needy & (self.worth.reached > 0), self.worth.need_at(probability), problem.curves.need)
            found = solve(problem.with_need(wanted), time_limit, gap)
            moved = float((found.amount * problem.arcs.price).sum())
            out.append(FrontPoint(probability, found.transfers, found.cost, moved, float(found.short.sum())))
        return out
