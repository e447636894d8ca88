"""The rules `desk` and `recommend`: at every decision one joint plan for all accounts, from what is left in the places
they share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
import numpy as np

from models.account import Account
from models.errors import InputError
from models.margin.valuation import Volatility
from models.rebalance.evaluate import Predict
from models.rebalance.joint import DeskPlan, DeskRun, Transfer, Weighing
from models.rebalance.limits import CollateralLine, Eligibility
from models.rebalance.moves import Move
from models.rebalance.policy import Policy
from models.rebalance.replaying.rules import AtTarget, Order, View, Wanted
from models.rebalance.target import Target
from models.typing import FloatArray, IntArray

__all__ = ["Joint", "Scene", "Scenes", "Told"]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Some accounts and the market at a decision, as the planner of a desk takes them.

    Parameters
    ----------
    accounts : sequence of Account, length m
        As they are at the decision, with what was sent to them, what is on its way included.
    assets : tuple of str, length A
        Assets of the market.
    prices : ndarray, shape (A,)
        Last known prices.
    predict : callable
        Book to P(call), shape (n, 4).
    now : datetime
        The decision.
    volatility : Volatility, optional
        Implied volatility, and the rates of dynamic margin.
    """

    accounts: Sequence[Account]
    assets: tuple[str, ...]
    prices: FloatArray
    predict: Predict
    now: datetime
    volatility: Volatility | None = None


Scenes = Callable[[int, IntArray, FloatArray], Scene]
"""From the bar of a decision, the m accounts that are asked about, and what was sent to each of them, shape (m,)."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one joint plan took and said.

    Parameters
    ----------
    bar : int
        Bar of the decision.
    accounts, needy : int
        Accounts that were asked about, and those over the target.
    seconds, processor_seconds : float
        Wall clock and processor time, the questions to the predictor included.
    status, method : str
        As those of `DeskPlan`.
    timed_out : bool
        Whether the solver ran out of its seconds.
    stray : int
        Transfers to another margin unit of an account than that of its lever; they are not made.
    """

    bar: int
    accounts: int
    needy: int
    seconds: float
    processor_seconds: float
    status: str
    method: str
    timed_out: bool
    stray: int


@dataclass(frozen=True, slots=True, eq=False)
class Joint:
    """Bring every account under a target by one joint plan, or send what is worth sending; take back as a rule does.

    Parameters
    ----------
    knob : float
        P(call within a day) that every account is to reach; with ``weighing`` its own.
    levers : sequence of Move, length n
        The lever of each account: what may be sent to it, and to which of its margin units.
    policy : Policy
        Places, routes and limits.
    scenes : callable
        Gives accounts and market at a decision.
    seconds : float
        That the solver may take for one decision.
    gap : float
        Distance to its bound that is good enough.
    back : callable, optional
        Says what each account should have that gives back; as `AtTarget` at the knob by default.
    weighing : Weighing, optional
        Where given, what is worth sending is asked, as ``recommend --desk --worth`` does, with ``every`` minutes to the
        next decision, for the accounts over ``target``.
    every : float
        Minutes.
    target : float
        P(call within a day) over which accounts are weighed.
    told : list of Told
        A row for each joint plan, in the order of the decisions.

    Notes
    -----
    The planner is that of ``recommend --desk``, with its questions to the full predictor, its solver and its
    certificate. It is asked about the accounts that have a curve, may send each of them its lever only, by the routes
    of the policy, from what is left in the places, and its transfers are given as they are, all of them at once. What
    is on its way counts as there, as for the other rules.
    """

    knob: float
    levers: Sequence[Move]
    policy: Policy
    scenes: Scenes
    seconds: float = 2.0
    gap: float = 0.01
    back: Callable[[View], FloatArray] | None = None
    weighing: Weighing | None = None
    every: float = 480.0
    target: float = 0.01
    told: list[Told] = field(default_factory=list)
    name: str = "desk"

    def decide(self, view: View) -> Wanted:
        """What each account should have."""
        back = AtTarget(self.knob).decide(view).amount if self.back is None else self.back(view)
        with np.errstate(invalid="ignore"):
            back = np.where(back < view.held, back, np.nan)
        live = np.ones(len(back), np.bool_) if view.live is None else view.live
        near = view.epoch.near[live[view.epoch.near]]
        orders = self._orders(view, near) if len(near) else ()
        back[[order.place for order in orders]] = np.nan
        return Wanted(back, np.zeros(len(back)), orders)

    def _orders(self, view: View, near: IntArray) -> tuple[Order, ...]:
        """Transfers of the joint plan for the accounts at these places of the decision."""
        start = time.perf_counter(), time.process_time()
        rows = view.epoch.rows[near]
        scene = self.scenes(view.epoch.bar, rows, view.held[near])
        place = _places([account.account_id for account in scene.accounts], near)
        lever = {a.account_id: self.levers[i] for a, i in zip(scene.accounts, rows.tolist(), strict=True)}
        policy = _policy_of(self.policy, scene.accounts, lever, view.free)
        target = self.knob if self.weighing is None else self.target
        run = DeskRun(
            scene.accounts, scene.assets, scene.prices, scene.predict, policy, Target(target, 1440),
            now=scene.now, volatility=scene.volatility,
        )  # fmt: skip
        if self.weighing is None:
            plan = run.plan(self.seconds, self.gap)
        else:
            plan = run.weigh(self.weighing, self.every, self.seconds, self.gap)
        number = {route.name: k for k, route in enumerate(self.policy.routes)}
        kept = [t for t in plan.transfers if _at_lever(t, lever[t.account_id])]
        self._tell(view.epoch.bar, run, plan, len(plan.transfers) - len(kept), start)
        return tuple(Order(place[t.account_id], number[t.route], t.amount) for t in kept)

    def _tell(self, bar: int, run: DeskRun, plan: DeskPlan, stray: int, start: tuple[float, float]) -> None:
        took = time.perf_counter() - start[0], time.process_time() - start[1]
        about = len(run.accounts), len(run.needy)
        self.told.append(Told(bar, *about, *took, plan.status, plan.method, plan.timed_out, stray))


def _places(names: Sequence[str], near: IntArray) -> dict[str, int]:
    """Places of accounts by their names."""
    place = dict(zip(names, near.tolist(), strict=True))
    if len(place) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError("accounts", twice, "a name of its own for each account that a desk plans at one instant")
    return place


def _policy_of(
    policy: Policy, accounts: Sequence[Account], lever: Mapping[str, Move], free: Mapping[tuple[str, str], float]
) -> Policy:
    """The policy of one decision: what is left in the places, and for each account its lever alone."""
    left = {
        name: msgspec.structs.replace(
            place, inventory={asset: max(free[name, asset], 0.0) for asset in place.inventory}, least={}
        )
        for name, place in policy.places.items()
        if place.account is None
    }
    return msgspec.structs.replace(
        policy,
        places=left,
        routes=tuple(route for route in policy.routes if route.source in left),
        eligibility={a.account_id: _only(policy, a, lever[a.account_id].asset) for a in accounts},
        swaps=(),
        hedges=(),
        reduce=False,
    )


def _only(policy: Policy, account: Account, asset: str) -> Eligibility:
    """Eligible at an account: its lever, if the policy lets it be sent there without a limit of its share."""
    schedule = policy.eligible(account.account_id, account.ruleset)
    if schedule is None:
        return Eligibility(assets={asset: CollateralLine()})
    line = schedule.line(asset)
    return Eligibility() if line is None or line.most_share < 1.0 else Eligibility(assets={asset: line})


def _at_lever(transfer: Transfer, lever: Move) -> bool:
    """Whether a transfer reaches the margin unit that the lever of the account belongs to."""
    return transfer.asset == lever.asset and (transfer.kind == "add_margin") == (lever.kind == "add_margin")
