"""One run of the planner: measured, solved, corrected until it is certified."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from models.rebalance.joint.corrections import Course, amend, planned_again
from models.rebalance.joint.network import Link, Refusal, links_of
from models.rebalance.joint.plan import DeskPlan, FrontPoint
from models.rebalance.joint.pockets import named
from models.rebalance.joint.problem import DeskProblem, score
from models.rebalance.joint.risk import risk_of, tail_of, with_risk
from models.rebalance.joint.solve import Solution, prepare, solve
from models.rebalance.joint.spare import Carried, spared
from models.rebalance.joint.survey import LEAST_QUALITY, RESOLVED, giving_pockets, needy_pockets, qualities, standing
from models.rebalance.joint.tails import Scenarios, Tail
from models.rebalance.joint.telling import tell, tell_nothing
from models.rebalance.joint.telling_own import with_own
from models.rebalance.joint.trades import trade_links
from models.rebalance.joint.waiting import Weighing
from models.rebalance.joint.weigh import weighed
from models.rebalance.joint.worth import Worth, measure
from models.rebalance.plan import last_safe_minute
from models.rebalance.policy import Policy
from models.rebalance.recommend import market_rows, price_rows
from models.rebalance.scenarios import assets_of, scenario_factors, worse_in_scenarios
from models.rebalance.target import Target
from models.typing import BoolArray, FloatArray

__all__ = ["DeskRun"]

_REPAIRS = 8
_NEAR = 0.01
"""Distance to the least cost and tail of the relaxation that is good enough."""
_AHEAD = 0.6
"""Share of the gap asked for that the first solution may have: corrections add to it."""
_FIRST = 0.75
"""Share of the time left that one solution may take: others may have to follow."""
_LEVELS_CALL = STATES.index("call")


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
        self,
        time_limit: float = 5.0,
        gap: float = 0.001,
        reduce: bool = False,
        release: bool = False,
        substitute: bool = False,
    ) -> DeskPlan:
        """Make the plan.

        Parameters
        ----------
        time_limit, gap, reduce, release, substitute : float, bool
            As `recommend_desk`.

        Returns
        -------
        DeskPlan
            Certified, or with what could not be certified in words.
        """
        found = self._told(time_limit, gap, reduce) if len(self.needy) else tell_nothing(self)
        asked = reduce, release, substitute
        found = with_own(self, found, *asked) if any(asked) else found
        return with_risk(self, found)

    def weigh(
        self, weighing: Weighing, every_minutes: float = 480.0, time_limit: float = 5.0, gap: float = 0.001
    ) -> DeskPlan:
        """Make a plan without a target: what saves more than it costs, and cannot wait for the next decision.

        Parameters
        ----------
        weighing : Weighing
            How expected losses are set against costs.
        every_minutes : float
            Minutes to the next decision, > 0.
        time_limit, gap : float
            As `recommend_desk`.

        Returns
        -------
        DeskPlan
            Certified, as those of `plan`.
        """
        return with_risk(self, weighed(self, weighing, every_minutes, time_limit, gap))

    def ends_worse(self, row: int, changed: Account) -> bool:
        """Whether some price scenario leaves an account in a worse state than with no action."""
        held = assets_of([self.accounts[row], changed], self.evaluate)
        factors = scenario_factors(self.policy.limits.stress, len(self.evaluate.assets), held)
        index = np.array([row], np.int64)
        return len(worse_in_scenarios([self.accounts[row]], [changed], index, self.evaluate, factors)) > 0

    def _told(self, time_limit: float, gap: float, reduce: bool) -> DeskPlan:
        carried = self._transfers(time_limit, gap)
        carried = spared(self, carried, time_limit) if reduce else carried
        return tell(self, carried.found, carried.after, carried.seen, carried.worse, carried.count)

    def _transfers(self, time_limit: float, gap: float) -> Carried:
        course, gap = Course(np.ones(len(self.worth.pockets)), self.weak | self.late), _AHEAD * gap
        if time_limit > 0:
            prepare(self.problem(course))
        end = time.monotonic() + time_limit
        found = self._solve(self.problem(course), end, time_limit, gap)
        short = found.short > 0
        if short.any() and self._open_late(course, short):
            found = self._solve(self.problem(course), end, time_limit, gap)
        if self.tail is not None and time_limit > 0 and not found.short.any():
            found = self._smaller_tail(self.tail, course, found, end, time_limit, gap)
        amount, course.price = found.amount, found.price
        for turn in range(_REPAIRS):
            after = accounts_after(self.accounts, self.network, amount)
            seen = self.evaluate(after, np.arange(len(after)))
            worse, count = self.worse(after, seen)
            again = amend(self, course, amount, seen, worse)
            if not len(again):
                break
            if turn < _REPAIRS - 1:
                amount = planned_again(self, course, amount, again, end, time_limit, gap)
            elif worse:  # nobody is left worse than with no action: what made them so is taken back
                amount = np.where(course.closed, 0.0, amount)
                after = accounts_after(self.accounts, self.network, amount)
                seen = self.evaluate(after, np.arange(len(after)))
                worse, count = self.worse(after, seen)
        priced = score(self.problem(Course(np.ones(len(self.worth.pockets)), course.closed)), amount)
        told = replace(found, amount=amount, cost=priced.cost, transfers=priced.transfers, short=priced.short)
        return Carried(told, after, seen, worse, count)

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

    def worse(self, after: Sequence[Account], seen: Evaluation) -> tuple[set[int], int]:
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
                risen = bool(np.any(q[i] > p[i] + RESOLVED)) or not seen.good[i]
            else:
                risen = not seen.good[i] or bool(q[i, column] > self.target.probability)
            if risen:
                found.add(i)
        return found, len(factors)

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
