"""One run of the planner: measured, solved, corrected until it is certified."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from models.account import Account
from models.book_small import BookMaker
from models.margin.levels import STATES
from models.margin.valuation import Volatility
from models.rebalance.desk import Desk
from models.rebalance.evaluate import Evaluation, Evaluator, Predict
from models.rebalance.joint.arcs import Network, build_arcs
from models.rebalance.joint.carry_out import accounts_after
from models.rebalance.joint.network import Link, Refusal, links_of
from models.rebalance.joint.plan import DeskPlan, FrontPoint
from models.rebalance.joint.pockets import named
from models.rebalance.joint.probe import money_move
from models.rebalance.joint.problem import DeskProblem, score
from models.rebalance.joint.risk import risk_of, tail_of, with_risk
from models.rebalance.joint.solve import Solution, solve
from models.rebalance.joint.survey import LEAST_QUALITY, giving_pockets, needy_pockets, qualities, standing
from models.rebalance.joint.tails import Scenarios, Tail
from models.rebalance.joint.telling import tell, tell_nothing
from models.rebalance.joint.telling_own import with_own
from models.rebalance.joint.trades import trade_links
from models.rebalance.joint.worth import Worth, measure
from models.rebalance.plan import last_safe_minute
from models.rebalance.policy import Policy
from models.rebalance.recommend import market_rows, price_rows
from models.rebalance.scenarios import assets_of, scenario_factors, worse_in_scenarios
from models.rebalance.target import Target
from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["Course", "DeskRun"]

_REPAIRS = 8
_STEP = 1.01
_DUST = 0.1
_RESOLVED = 1e-3
"""Differences of P that a prior of some two thousand paths can tell."""
_NEAR = 0.01
"""Distance to the least cost and tail of the relaxation that is good enough."""
_FIRST = 0.6
"""Share of the time left that one solution may take: others may have to follow."""
_LEVELS_CALL = STATES.index("call")


@dataclass(slots=True, eq=False)
class Course:
    """What a plan has learnt.

    Parameters
    ----------
    scale : ndarray, shape (n,)
        By how much each need is raised.
    closed : ndarray of bool, shape (R,)
        Links that take no part.
    least : ndarray, shape (n,), optional
        Equity that is added at least, beside the needs: that of the relaxation, where its tail is the smaller one.
    """

    scale: FloatArray
    closed: BoolArray
    least: FloatArray | None = None


class DeskRun:
    """One desk at one instant: what is asked of the predictor is asked once, for any number of plans.

    Parameters
    ----------
    accounts, assets, prices, predict, policy, target, now, volatility, age_minutes, scenarios
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
        scenarios: Scenarios | None = None,
    ) -> None:
        shape = (len(accounts), len(assets))
        self.accounts, self.policy, self.scenarios = accounts, policy, scenarios
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
        self.pockets = [pocket for i in over for pocket in needy_pockets(self, i)]
        self.givers = giving_pockets(self, self.pockets)
        self.age = {} if age_minutes is None else dict(zip(assets, age_minutes.tolist(), strict=True))
        self.refused: list[Refusal] = []
        self.links: list[Link] = []
        self.tail: Tail | None = None
        if len(self.needy):
            self._measure()

    def _measure(self) -> None:
        asked = self.evaluate, self.target, self.policy.limits
        before = standing(self, [*self.pockets, *self.givers])
        self.worth: Worth = measure(self.accounts, self.pockets, self.givers, before, *asked)
        last = {int(i): self.last_safe(int(i)) for i in self.needy}
        self.links, self.refused = links_of(
            self.accounts, self.weights, self.pockets, last, self.policy, self.now, self.age
        )
        quality = qualities(self, self.worth, self.links)
        trades, refused = trade_links(self.worth, self.accounts, self.policy, self.target, self.evaluate, self.age)
        self.links += trades
        self.refused += refused
        self.network = self._arcs(quality)
        pairs = [(x.account, x.position, x.asset) for x in self.network.links]
        self.weak = np.array([quality.get(pair, 1.0) < LEAST_QUALITY for pair in pairs], np.bool_)
        self.late = np.array([x.late for x in self.network.links], np.bool_)
        if self.scenarios is not None and self.policy.limits.risk_measure != "expected":
            self.tail = tail_of(self, self.scenarios)
            self.worth = replace(self.worth, curves=replace(self.worth.curves, loss=self.tail.loss))
            self.network = self._arcs(quality)

    def _arcs(self, quality: Mapping[tuple[int, int, str], float]) -> Network:
        return build_arcs(self.links, self.worth.places, self.worth.curves, self.policy, self.weights, quality)

    def last_safe(self, i: int) -> float:
        """Minute by which collateral must have arrived; inf where there is none."""
        called = bool(self.before.state[i] >= _LEVELS_CALL)
        found = last_safe_minute(self.before.p[i], self.target, called)
        return math.inf if found is None else found

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
        found = with_own(self, found, reduce, release) if reduce or release else found
        return with_risk(self, found)

    def ends_worse(self, row: int, changed: Account) -> bool:
        """Whether some price scenario leaves an account in a worse state than with no action."""
        held = assets_of([self.accounts[row], changed], self.evaluate)
        factors = scenario_factors(self.policy.limits.stress, len(self.evaluate.assets), held)
        index = np.array([row], np.int64)
        return len(worse_in_scenarios([self.accounts[row]], [changed], index, self.evaluate, factors)) > 0

    def _transfers(self, time_limit: float, gap: float) -> DeskPlan:
        end = time.monotonic() + time_limit
        course = Course(np.ones(len(self.worth.pockets)), self.weak | self.late)
        found = self._solve(self.problem(course), end, time_limit, gap)
        short = found.short > 0
        if short.any() and self._open_late(course, short):
            found = self._solve(self.problem(course), end, time_limit, gap)
        if self.tail is not None and time_limit > 0 and not found.short.any():
            found = self._smaller_tail(self.tail, course, found, end, time_limit, gap)
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
        priced = score(self.problem(Course(np.ones(len(self.worth.pockets)), course.closed)), amount)
        told = replace(found, amount=amount, cost=priced.cost, transfers=priced.transfers, short=priced.short)
        return tell(self, told, after, seen, worse, count)

    def problem(self, course: Course | None = None) -> DeskProblem:
        """Give what the optimiser is asked; first of all, with the transfers that arrive on time."""
        course = course or Course(np.ones(len(self.worth.pockets)), self.weak | self.late)
        worth, arcs = self.worth, self.network.arcs
        need = np.where(worth.reached > 0, worth.curves.need, np.minimum(worth.curves.need, 0.0))
        need = need * np.where(need > 0, course.scale, 1.0)
        curves = replace(worth.curves, need=need if course.least is None else np.maximum(need, course.least))
        arcs = replace(arcs, most=np.where(course.closed, 0.0, arcs.most))
        limits = self.policy.limits
        names = named(worth.pockets, self.accounts)
        most = limits.max_moves, limits.max_moves_per_account, limits.max_run_value
        return DeskProblem(arcs, self.network.pools, self.network.slots, curves, names, *most)

    def _solve(self, problem: DeskProblem, end: float, time_limit: float, gap: float) -> Solution:
        left = max(_FIRST * (end - time.monotonic()), 0.02 * time_limit) if time_limit > 0 else 0.0
        return solve(problem, left, gap)

    def _smaller_tail(
        self, tail: Tail, course: Course, found: Solution, end: float, time_limit: float, gap: float
    ) -> Solution:
        """Plan with no less than the relaxation adds, where that leaves a smaller cost and tail."""
        problem = self.problem(course)
        cost = tail.cost(problem, found.amount)
        if cost <= tail.least * (1.0 + max(gap, _NEAR)):
            return found
        needy = np.arange(len(tail.added)) < self.worth.count
        raised = replace(course, least=np.where(needy, tail.added * (1.0 - 1e-9), -np.inf))
        again = self._solve(self.problem(raised), end, time_limit, gap)
        if again.short.any() or tail.cost(problem, again.amount) >= cost:
            return found
        course.least = raised.least
        return replace(again, bound=found.bound)

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
        givers = np.arange(self.worth.count, len(self.worth.pockets))
        chosen = np.unique(np.concatenate([places, givers]))
        mine = np.isin(self.network.arcs.account, chosen)
        rows, out = np.flatnonzero(mine), np.where(mine, 0.0, amount)
        left = max(0.5 * (end - time.monotonic()), 0.02 * time_limit) if time_limit > 0 else 0.0
        out[rows] = solve(problem.among(chosen, rows, out), left, gap, shadow=False).amount
        return out

    def _worse(self, after: Sequence[Account], seen: Evaluation) -> tuple[set[int], int]:
        """Rows that end worse than with no action, and the number of scenarios asked."""
        moved = np.array([i for i, (a, b) in enumerate(zip(self.accounts, after, strict=True)) if a is not b], np.int64)
        old, new = [self.accounts[i] for i in moved.tolist()], [after[i] for i in moved.tolist()]
        held = assets_of([*old, *new], self.evaluate)
        factors = scenario_factors(self.policy.limits.stress, len(self.evaluate.assets), held)
        if not len(moved):
            return set(), len(factors)
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

    def _amend(self, course: Course, amount: FloatArray, seen: Evaluation, worse: set[int]) -> IntArray:
        """Learn from what the predictor says of the plan; places of the accounts to plan anew."""
        problem, again = self.problem(replace(course, least=None)), []
        added, owner = problem.added(amount), self.worth.owner
        met = added >= problem.curves.need * (1 - 1e-6)
        for k, row in enumerate(owner.tolist()):
            p = float(seen.p[row, self.target.column])
            needs = k < self.worth.count and bool(self.worth.reached[k])
            if row in worse:
                again += self._close(course, amount, k, row)
            elif needs and met[owner == row].all() and p > self.target.probability:
                if not self._drop_dust(course, amount, k, float(added[k])):
                    course.scale[k] *= self._more(k, p, float(added[k]))
                again.append(k)
        return np.array(again, np.int64)

    def _more(self, k: int, p: float, added: float) -> float:
        """By how much the need of a pocket is raised that has what it needs, though P of its account is over."""
        if np.sum(self.worth.owner[: self.worth.count] == self.worth.owner[k]) > 1:  # the curve is not that of P
            return _STEP * _STEP
        return max(_STEP, min(added / max(self.worth.equivalent(k, p), 1e-300), 2.0)) * 1.001

    def _close(self, course: Course, amount: FloatArray, k: int, row: int) -> list[int]:
        """Close to an account that ends worse its trades, or else all coins, or else money, and what it gave."""
        arcs, coins, money = self.network.arcs, self._coins(amount, row), self._money(row)
        traded = np.array([x.trade is not None for x in self.network.links], np.bool_)
        mine = (arcs.account == k) & np.array([x.asset != money or not coins for x in self.network.links], np.bool_)
        if np.any(traded & (arcs.account == k) & (amount > 0)):
            mine = traded & (arcs.account == k)
        gave = np.array([x.giver == row for x in self.network.links], np.bool_)
        new = (mine | gave) & ~course.closed & (amount > 0)
        course.closed |= mine | gave
        return [int(place) for place in np.unique(arcs.account[new])]

    def _drop_dust(self, course: Course, amount: FloatArray, k: int, added: float) -> bool:
        """Close coins that are a small part of what an account gets, and change its kind; whether there were any."""
        arcs, row = self.network.arcs, int(self.worth.owner[k])
        coins = self._coins(amount, row)
        coin = [x.asset in coins and x.trade is None for x in self.network.links]
        part = (arcs.account == k) & np.array(coin, np.bool_) & (amount > 0)
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
        return {link.asset for link in used if link.account == row and link.trade is None} - {money}

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
            return [FrontPoint(p, 0.0, 0.0, 0.0, 0.0, risk_of(self, self.accounts)) for p in probabilities]
        problem, out = self.problem(), []
        needy = np.arange(len(self.worth.pockets)) < self.worth.count
        for probability in probabilities:
            wanted = np.where(needy & (self.worth.reached > 0), self.worth.need_at(probability), problem.curves.need)
            found = solve(problem.with_need(wanted), time_limit, gap)
            moved = float((found.amount * problem.arcs.price).sum())
            risk = risk_of(self, accounts_after(self.accounts, self.network, found.amount))
            out.append(FrontPoint(probability, found.transfers, found.cost, moved, float(found.short.sum()), risk))
        return out
