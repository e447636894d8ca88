"""The plan of a desk without a target: what is worth sending now, for all accounts together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from models.rebalance.hours import arrival
from models.rebalance.joint.carry_out import accounts_after
from models.rebalance.joint.choice import Choice, Limits, Offers, choose
from models.rebalance.joint.losses import Losses, losses_of
from models.rebalance.joint.network import Link
from models.rebalance.joint.plan import DeskPlan
from models.rebalance.joint.problem import Slots
from models.rebalance.joint.telling import tell_nothing
from models.rebalance.joint.telling_worth import Weighed, tell_worth
from models.rebalance.joint.waiting import Weighing
from models.typing import HORIZONS, BoolArray, FloatArray

if TYPE_CHECKING:
    from models.rebalance.joint.run import DeskRun

__all__ = ["weighed"]

_DAY = 1440.0
_YEAR_DAYS = 365.0
_LONGEST = float(HORIZONS[-1])
_REPAIRS = 8


@dataclass(frozen=True, slots=True, eq=False)
class _Offer:
    """One size of one link."""

    link: int
    units: float
    value: float


def weighed(run: DeskRun, weighing: Weighing, every: float, time_limit: float, gap: float) -> DeskPlan:
    """Plan what is worth sending now.

    Parameters
    ----------
    run : DeskRun
        The desk; who is over its target is weighed.
    weighing : Weighing
        How losses are set against costs.
    every : float
        Minutes to the next decision, > 0.
    time_limit : float
        Seconds for the solver; 0: rounding alone.
    gap : float
        Relative distance to the bound that is good enough.

    Returns
    -------
    DeskPlan
        Certified; where an account would end worse than with no action, planned again without it. At most one
        transfer to each account, or to each of its isolated positions. Accounts do not give, and nothing is traded.
    """
    if not len(run.needy):
        return tell_nothing(run)
    scene = _Scene(run, weighing, every)
    closed: set[int] = set()
    for turn in range(_REPAIRS + 1):
        offers = [x for x in scene.offers if run.network.links[x.link].account not in closed]
        found = choose(scene.columns(offers), scene.limits, time_limit, gap)
        amount = np.zeros(len(run.network.links))
        for j in found.taken.tolist():
            amount[offers[j].link] = offers[j].units
        after = accounts_after(run.accounts, run.network, amount)
        seen = run.evaluate(after, np.arange(len(after)))
        worse, count = run.worse(after, seen)
        if not worse:
            break
        closed |= worse if turn < _REPAIRS - 1 else {link.account for link in run.network.links}
    return tell_worth(run, scene.told(found, amount), after, seen, worse, count)


class _Scene:
    """What can be sent, and what each size of it is worth."""

    def __init__(self, run: DeskRun, weighing: Weighing, every: float) -> None:
        self.run, self.weighing, self.every = run, weighing, every
        self.losses: Losses = losses_of(run)
        limits, network = run.policy.limits, run.network
        self.limits = Limits(np.maximum(network.pools.free, 0.0), limits.max_moves, limits.max_run_value)
        links = [k for k, link in enumerate(network.links) if self._takes_part(k, link)]
        soonest: dict[int, float] = {}
        for k in links:
            link = network.links[k]
            at, later = int(network.arcs.account[k]), self._later(link)
            soonest[at] = min(soonest.get(at, np.inf), later)
        self.waits: set[int] = set()
        self.offers = [x for k in links for x in self._sizes(k, soonest[int(network.arcs.account[k])])]
        self.waits -= {int(network.arcs.account[x.link]) for x in self.offers}

    def _takes_part(self, k: int, link: Link) -> bool:
        return link.trade is None and link.giver < 0 and not self.run.weak[k]

    def _later(self, link: Link) -> float:
        """Minutes from now until help sent at the next decision has arrived."""
        then = self.run.now + timedelta(minutes=self.every)
        confidence = self.run.policy.limits.arrival_confidence
        return self.every + arrival(then, link.route.hours, link.route.lag, confidence)

    def _sizes(self, k: int, later: float) -> Iterator[_Offer]:
        """Sizes of one link, each worth more than the smaller ones."""
        run, arcs = self.run, self.run.network.arcs
        link, at = run.network.links[k], int(arcs.account[k])
        units = self._units(k)
        if not len(units):
            return
        curve, added = self.losses.value[at], units * arcs.value[k]
        days = max(self.weighing.ahead, min(later, _LONGEST) / _DAY)

        def spared(minutes: float) -> FloatArray:
            loss = self.losses.within(at, min(minutes, _LONGEST))[0]
            return np.asarray(self.weighing.knob * (loss[0] - np.interp(added, curve, loss)), np.float64)

        chance = np.interp(added, curve, self.losses.within(at, days * _DAY)[1])
        dollars = units * link.price
        hold = dollars * (run.policy.asset_rule(link.asset).annual_cost + link.place.annual_rate) / _YEAR_DAYS
        cost = self._cost(k, units)
        paying = spared(days * _DAY) - hold * days
        soon = np.maximum(spared(later) - spared(link.arrives), 0.0)
        value = self.weighing.value(paying, soon, cost, hold * min(later, _LONGEST) / _DAY, dollars * chance)
        if bool(np.any(paying - cost - self.weighing.knob * self.weighing.lost * dollars * chance > 0.0)):
            self.waits.add(at)
        best = 0.0
        for x, worth in zip(units.tolist(), value.tolist(), strict=True):
            if worth > best:
                best = worth
                yield _Offer(k, x, worth)

    def _units(self, k: int) -> FloatArray:
        """Sizes of one link at the points of the curve, and the largest that its inventory has, rising."""
        arcs, slots = self.run.network.arcs, self.run.network.slots
        at, slot, step = int(arcs.account[k]), int(arcs.slot[k]), float(arcs.step[k])
        most = min(float(arcs.most[k]), float(slots.room[slot]))
        free = float(self.limits.free[arcs.pool[k]] - arcs.fixed_units[k]) / float(arcs.draw[k])
        units = np.minimum(np.maximum(self.losses.value[at] / arcs.value[k], arcs.least[k]), most)
        if step > 0:
            units = np.minimum(np.ceil(units / step - 1e-9), np.floor(most / step + 1e-9)) * step
            free = np.floor(free / step + 1e-9) * step
        units = np.unique(np.append(units, min(free, float(units.max()))))
        return units[(units > 0) & (units >= arcs.least[k] * (1 - 1e-12)) & _shared(slots, slot, units * arcs.value[k])]

    def _cost(self, k: int, units: FloatArray) -> FloatArray:
        """Fees, gas, impact and the risk of failure, without holding; shape of `units`."""
        run, arcs = self.run, self.run.network.arcs
        link, mine = run.network.links[k], np.flatnonzero(arcs.piece_arc == k)
        out = arcs.fixed[k] + link.route.fee_rate * link.price * units
        start = 0.0
        for width, rate in zip(arcs.piece_width[mine].tolist(), arcs.piece_rate[mine].tolist(), strict=True):
            out = out + rate * np.clip(units - start, 0.0, width)
            start += width
        return np.asarray(out, np.float64)

    def columns(self, offers: list[_Offer]) -> Offers:
        """Offers as the choice takes them: one for each pocket, or each account where its transfers are limited."""
        arcs, rows = self.run.network.arcs, np.array([x.link for x in offers], np.int64)
        units = np.array([x.units for x in offers], np.float64)
        most = self.run.policy.limits.max_moves_per_account
        owner = arcs.account[rows] if most is None else self.run.worth.owner[arcs.account[rows]]
        draw = units * arcs.draw[rows] + arcs.fixed_units[rows]
        return Offers(owner, arcs.pool[rows], draw, units * arcs.price[rows], np.array([x.value for x in offers]))

    def told(self, found: Choice, amount: FloatArray) -> Weighed:
        """What is said of the choice."""
        run = self.run
        price = {f"pool: {n}": float(x) for n, x in zip(run.network.pools.name, found.price, strict=True) if x > 1e-9}
        rows = run.worth.owner[sorted(self.waits)] if self.waits else np.zeros(0, np.int64)
        waits = tuple(run.accounts[i].account_id for i in dict.fromkeys(rows.tolist()))
        return Weighed(self.weighing.knob, self.every, found, amount, price, waits)


def _shared(slots: Slots, slot: int, worth: FloatArray) -> BoolArray:
    """Whether an asset is at most its share of the collateral with so many dollars of it more."""
    share, held, total = slots.share[slot], slots.held[slot], slots.total[slot]
    return np.asarray((share >= 1.0) | (held + worth <= share * (total + worth) * (1 + 1e-9)), np.bool_)
