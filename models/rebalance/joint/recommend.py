"""From accounts and a policy to the plan of the whole desk."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from models.account import Account
from models.book import Book
from models.errors import Failure
from models.margin.levels import STATES
from models.margin.valuation import Volatility
from models.rebalance.desk import Desk
from models.rebalance.effects import apply_move
from models.rebalance.evaluate import Evaluation, Evaluator, Predict
from models.rebalance.joint.carry_out import accounts_after, policy_after, scenario_factors, worse_in_scenarios
from models.rebalance.joint.network import Link, Network, Refusal, build_arcs, links_of
from models.rebalance.joint.plan import AccountOutcome, Certificate, DeskPlan, FrontPoint, Transfer
from models.rebalance.joint.problem import DeskProblem
from models.rebalance.joint.relax import smallest_relaxation
from models.rebalance.joint.solve import Solution, solve
from models.rebalance.joint.wording import certificate_sentence, desk_sentence
from models.rebalance.joint.worth import Worth, measure, money_move
from models.rebalance.moves import Move
from models.rebalance.plan import last_safe_minute
from models.rebalance.policy import Policy
from models.rebalance.recommend import market_rows, price_rows
from models.rebalance.target import Target
from models.typing import FloatArray, IntArray

__all__ = ["DeskRun", "recommend_desk"]

_REPAIRS = 4
_MARGIN = 0.995
_LEAST_QUALITY = 0.05
_LEAD = 120.0
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
    run = DeskRun(accounts, assets, prices, predict, policy, target, now, volatility)
    return run.plan(time_limit, gap), run.failures


class DeskRun:
    """One desk at one instant: what is asked of the predictor is asked once, for any number of plans.

    Parameters
    ----------
    accounts, assets, prices, predict, policy, target, now, volatility
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
    ) -> None:
        shape = (len(accounts), len(assets))
        self.accounts, self.policy = accounts, policy
        self.target = target or policy.limits.goal or Target()
        market = market_rows(volatility, shape)
        self.evaluate = Evaluator(tuple(assets), price_rows("prices", prices, shape), predict, market)
        self.desk = Desk(accounts, self.evaluate, self.target, policy)
        self.before: Evaluation = self.desk.before
        self.weights = self.desk.weights
        self.failures = self.desk.failures()
        self.now = now or max((a.as_of for a in accounts), default=datetime.min)
        over = [i for i, own in enumerate(self.weights) if own is not None and self.desk.over(i)]
        self.needy = np.array(over, np.int64)
        self.givers = self._givers()
        self.refused: list[Refusal] = []
        self.links: list[Link] = []
        self.quality: dict[tuple[int, str], float] = {}
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
        last = {int(i): self._last_safe(int(i)) for i in self.needy}
        self.links, self.refused = links_of(
            self.accounts, self.weights, self.needy.tolist(), last, self.policy, self.now
        )
        self.quality = self._qualities()

    def _last_safe(self, i: int) -> float:
        called = bool(self.before.state[i] >= _LEVELS_CALL)
        found = last_safe_minute(self.before.p[i], self.target, called)
        return math.inf if found is None else found

    def _qualities(self) -> dict[tuple[int, str], float]:
        """What each asset does at each account, compared with as much money by its haircut."""
        place = {int(row): k for k, row in enumerate(self.worth.owner)}
        pairs = list(dict.fromkeys((x.account, x.asset, x.kind, x.price * x.ratio) for x in self.links if x.ratio > 0))
        pairs = [x for x in pairs if self.worth.reached[place[x[0]]]]
        if not pairs:
            return {}
        goal = [float(self.worth.curves.need[place[row]]) for row, _, _, _ in pairs]
        tried = [
            apply_move(self.accounts[row], Move(kind, asset, -1, None, 1.0, math.inf), need / value)
            for (row, asset, kind, value), need in zip(pairs, goal, strict=True)
        ]
        seen = self.evaluate(tried, np.array([row for row, _, _, _ in pairs], np.int64))
        found = {}
        for (row, asset, _, _), need, p in zip(pairs, goal, seen.p[:, self.target.column].tolist(), strict=True):
            does = self.worth.equivalent(place[row], 1.0 if math.isnan(p) else p) / max(need, 1e-300)
            found[row, asset] = min(max(does, 0.0), 1.0)
        return found

    def plan(self, time_limit: float = 5.0, gap: float = 0.001) -> DeskPlan:
        """Make the plan.

        Parameters
        ----------
        time_limit, gap : float
            As `recommend_desk`.

        Returns
        -------
        DeskPlan
            Certified, or with what could not be certified in words.
        """
        if not len(self.needy):
            return self._nothing()
        end = time.monotonic() + time_limit
        scale, banned, quality = np.ones(len(self.worth.owner)), set[int](), dict(self.quality)
        for turn in range(_REPAIRS):
            network, problem = self._problem(self._open(banned, None), scale, quality)
            found = self._solve(problem, end, time_limit, gap)
            late = self._too_short(found)
            if late and any(x.late for x in self.links):
                network, problem = self._problem(self._open(banned, late), scale, quality)
                found = self._solve(problem, end, time_limit, gap)
            after = accounts_after(self.accounts, network, found.amount)
            seen = self.evaluate(after, np.arange(len(after)))
            worse, count = self._worse(after, seen)
            again = self._amend(network, problem, found, seen, worse, scale, banned, quality)
            if not again or turn == _REPAIRS - 1:
                break
        return self._told(network, problem, found, after, seen, worse, count)

    def _solve(self, problem: DeskProblem, end: float, time_limit: float, gap: float) -> Solution:
        left = max(end - time.monotonic(), 0.1 * time_limit) if time_limit > 0 else 0.0
        return solve(problem, left, gap)

    def _open(self, banned: set[int], late_for: set[int] | None) -> list[Link]:
        """Links that take part: on time, or to accounts that nothing else can save."""
        late = late_for or set()
        return [
            x
            for x in self.links
            if x.giver not in banned and x.account not in banned and (not x.late or x.account in late)
        ]

    def _problem(
        self, links: Sequence[Link], scale: FloatArray, quality: dict[tuple[int, str], float]
    ) -> tuple[Network, DeskProblem]:
        worth = self.worth
        good = {key: q for key, q in quality.items() if q < _LEAST_QUALITY}
        useful = [x for x in links if (x.account, x.asset) not in good]
        need = np.where(worth.reached > 0, worth.curves.need, 0.0)
        curves = replace(worth.curves, need=need * np.where(need > 0, scale, 1.0))
        owner = worth.owner.tolist()
        network = build_arcs(useful, owner, self.accounts, curves, self.policy, self.weights, quality)
        limits = self.policy.limits
        names = tuple(self.accounts[i].account_id for i in owner)
        most = limits.max_moves, limits.max_moves_per_account, limits.max_run_value
        return network, DeskProblem(network.arcs, network.pools, network.slots, curves, names, *most)

    def _too_short(self, found: Solution) -> set[int]:
        return {int(self.worth.owner[k]) for k in np.flatnonzero(found.short > 0)}

    def _worse(self, after: Sequence[Account], seen: Evaluation) -> tuple[set[int], int]:
        """Rows that end worse than with no action, and the number of scenarios asked."""
        moved = np.array([i for i, (a, b) in enumerate(zip(self.accounts, after, strict=True)) if a is not b], np.int64)
        held = self._held(moved)
        factors = scenario_factors(self.policy.limits.stress, len(self.evaluate.assets), held)
        if not len(moved):
            return set(), len(factors)
        old, new = [self.accounts[i] for i in moved.tolist()], [after[i] for i in moved.tolist()]
        found = {int(moved[k]) for k in worse_in_scenarios(old, new, moved, self.evaluate, factors)}
        p, q, column = self.before.p, seen.p, self.target.column
        for i in moved.tolist():
            if i in self.needy:
                risen = bool(np.any(q[i] > p[i] + 1e-12)) or not seen.good[i]
            else:
                risen = not seen.good[i] or bool(q[i, column] > self.target.probability)
            if risen:
                found.add(i)
        return found, len(factors)

    def _held(self, rows: IntArray) -> IntArray:
        """Assets that some accounts depend on, and that move."""
        names = {x.asset for x in self.links}
        for i in rows.tolist():
            names |= {item.asset for item in self.accounts[i].collateral}
        book, _ = Book.from_accounts([self.accounts[i] for i in rows.tolist()], self.evaluate.assets)
        used = np.zeros(len(self.evaluate.assets), np.bool_)
        used[book.arrays.leg_asset] = True
        if book.blocks is not None:
            used[book.blocks.block_asset] = True
        used |= np.array([a in names for a in self.evaluate.assets], np.bool_)
        return np.flatnonzero(used)

    def _amend(
        self, network: Network, problem: DeskProblem, found: Solution, seen: Evaluation, worse: set[int],
        scale: FloatArray, banned: set[int], quality: dict[tuple[int, str], float],
    ) -> bool:  # fmt: skip
        """Learn from what the predictor says of the plan; whether it has to be made again."""
        changed = bool(worse - banned)
        banned |= worse
        added = problem.added(found.amount)
        for k, row in enumerate(self.worth.owner.tolist()):
            p = float(seen.p[row, self.target.column])
            missed = (
                p > self.target.probability and k < len(self.needy) and self.worth.reached[k] and not found.short[k]
            )
            if not missed or row in banned:
                continue
            share = self.worth.equivalent(k, p) / max(float(added[k]), 1e-300)
            used = {
                network.links[r].asset
                for r in np.flatnonzero((found.amount > 0) & (network.arcs.account == k)).tolist()
            }
            money = money_move_asset(self, row)
            for asset in used - {money}:
                quality[row, asset] = quality.get((row, asset), 1.0) * min(max(share, 0.2), _MARGIN)
            if used <= {money}:
                scale[k] *= 1.0 + max(1.0 - share, 1.0 - _MARGIN)
            changed = True
        return changed

    def _told(
        self, network: Network, problem: DeskProblem, found: Solution, after: list[Account], seen: Evaluation,
        worse: set[int], count: int,
    ) -> DeskPlan:  # fmt: skip
        transfers = self._transfers(network, found.amount)
        outcomes = self._outcomes(found, seen, transfers)
        missed = tuple(o.account_id for o in outcomes if o.status == "short")
        names = tuple(self.accounts[i].account_id for i in sorted(worse))
        sentence = certificate_sentence(count, names, missed)
        certificate = Certificate(count, self.policy.limits.stress, names, missed, sentence)
        relaxed = smallest_relaxation(self._wished(problem)) if missed else ()
        return DeskPlan(
            target=self.target,
            status="cannot_reach" if missed else "act",
            method=found.method,
            transfers=transfers,
            accounts=outcomes,
            cost_usd=found.cost,
            transfers_usd=found.transfers,
            bound_usd=found.bound,
            gap=found.gap,
            timed_out=found.timed_out,
            shadow=found.shadow,
            relaxations=relaxed,
            refused=tuple(self.refused),
            certificate=certificate,
            sentence=desk_sentence(self.target, transfers, outcomes, found.transfers, relaxed, sentence),
            accounts_after=tuple(after),
            policy_after=policy_after(self.policy, network, found.amount),
        )

    def _wished(self, problem: DeskProblem) -> DeskProblem:
        """The problem with the needs as they are, also of accounts that no money can bring to the target."""
        return problem.with_need(np.where(self.worth.reached > 0, problem.curves.need, self.worth.curves.need))

    def _transfers(self, network: Network, amount: FloatArray) -> tuple[Transfer, ...]:
        cost, limits = network.arcs.transfer_cost(amount), self.policy.limits
        out = []
        for k in np.flatnonzero(amount > 0).tolist():
            link, units = network.links[k], float(amount[k])
            last = self._last_safe(link.account)
            start = None if math.isinf(last) else max(last - link.arrives, 0.0)
            value = units * link.price
            above = limits.approval_above is not None and value > limits.approval_above
            fee = units * (network.arcs.draw[k] - 1.0) + network.arcs.fixed_units[k]
            out.append(
                Transfer(
                    route=link.route.name,
                    source=link.route.source,
                    account_id=self.accounts[link.account].account_id,
                    kind=link.kind,
                    asset=link.asset,
                    amount=units,
                    fee=float(fee),
                    value_usd=value,
                    cost_usd=float(cost[k]),
                    arrives_minutes=link.arrives,
                    start_within_minutes=start,
                    stage="ready" if start is None or start > _LEAD else "send",
                    late=link.late,
                    needs_approval=link.route.needs_approval or above,
                )
            )
        return tuple(
            sorted(
                out,
                key=lambda t: (math.inf if t.start_within_minutes is None else t.start_within_minutes, -t.value_usd),
            )
        )

    def _outcomes(self, found: Solution, seen: Evaluation, transfers: Sequence[Transfer]) -> tuple[AccountOutcome, ...]:
        late = {t.account_id for t in transfers if t.late}
        out = []
        for k, row in enumerate(self.worth.owner.tolist()):
            name, p = self.accounts[row].account_id, float(seen.p[row, self.target.column])
            if k >= len(self.needy):
                if np.array_equal(seen.level[row], self.before.level[row]):
                    continue
                status, short = "gives", 0.0
            else:
                over = not seen.good[row] or p > self.target.probability or seen.state[row] >= _LEVELS_CALL
                status = "short" if over else "late" if name in late else "reached"
                short = self._still_short(k, p) if over else 0.0
            levels = self.before.levels(row), seen.levels(row)
            chances = self.before.probabilities(row), seen.probabilities(row)
            out.append(AccountOutcome(name, status, *chances, *levels, short))  # type: ignore[arg-type]
        return tuple(out)

    def _still_short(self, k: int, p: float) -> float:
        """Dollars of money that would still be needed, by the curve of P."""
        return max(float(self.worth.curves.need[k]) - self.worth.equivalent(k, p), 0.0)

    def _nothing(self) -> DeskPlan:
        certificate = Certificate(0, self.policy.limits.stress, (), (), "No account changes.")
        sentence = desk_sentence(self.target, (), (), 0.0, (), "")
        return DeskPlan(
            self.target, "ok", "nothing", (), (), 0.0, 0.0, 0.0, 0.0, False, {}, (), (), certificate, sentence,
            tuple(self.accounts), self.policy,
        )  # fmt: skip

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
        network, problem = self._problem(self._open(set(), None), np.ones(len(self.worth.owner)), self.quality)
        out = []
        needy = np.arange(len(self.worth.owner)) < len(self.needy)
        for probability in probabilities:
            wanted = np.where(needy & (self.worth.reached > 0), self.worth.need_at(probability), problem.curves.need)
            found = solve(problem.with_need(wanted), time_limit, gap)
            moved = float((found.amount * network.arcs.price).sum())
            out.append(FrontPoint(probability, found.transfers, found.cost, moved, float(found.short.sum())))
        return out


def money_move_asset(run: DeskRun, row: int) -> str:
    """Asset by which money is measured at an account."""
    own = run.weights[row]
    return "" if own is None else money_move(own, 0.0).asset
