"""The rule `worth`: all accounts together, what saves the most on what is left, and only what cannot wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from models.rebalance.joint.choice import Choice, Limits, Offers, choose
from models.rebalance.joint.waiting import Weighing
from models.rebalance.policy import Policy
from models.rebalance.replaying.rules import Order, View, Wanted
from models.rebalance.replaying.terms import WayTable
from models.rebalance.replaying.ways import Way
from models.rebalance.replaying.weighing import expected_loss, refined, within
from models.typing import HORIZONS, BoolArray, FloatArray

__all__ = ["Chosen", "Together"]

_DAY = 1440.0
_LONGEST = float(HORIZONS[-1])
_MINUTE_NS = 60_000_000_000
_LIQUIDATION = 1
_PLENTY = 1e15
"""Units of an inventory that is enough for anybody: amounts that do not fit count in its price."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What one decision took and found.

    Parameters
    ----------
    bar : int
        Bar of the decision.
    accounts, offers, orders : int
        Accounts that were weighed, amounts that were worth sending now, and transfers.
    value, bound : float
        Dollars that the transfers are worth, and the most that any choice could be.
    binding : int
        Inventories of which one more unit would have been worth something.
    processor_seconds : float
        Processor time.
    timed_out : bool
        Whether the solver ran out of its seconds.
    """

    bar: int
    accounts: int
    offers: int
    orders: int
    value: float
    bound: float
    binding: int
    processor_seconds: float
    timed_out: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Offer:
    """One amount by one way."""

    account: int
    way: Way
    pool: int
    units: float
    draw: float
    value: float


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """Choose for all accounts together what is worth the most, leave what can wait, take back what is not needed.

    Parameters
    ----------
    knob : float
        Dollars that may be spent to avoid a dollar of expected loss; 1 is the least total cost.
    table : WayTable
        Ways of every account.
    policy : Policy
        Places and limits.
    when : callable
        From the bar of a decision to its instant, nanoseconds.
    every : float
        Minutes to the next decision.
    ahead, patience, lost, waits : float, bool
        As `Weighing`.
    review : float
        Days of holding that taking back must save, as that of the single-account rule.
    seconds, gap : float
        Of the solver, and the distance to its bound that is good enough.
    told : list of Chosen
        A row for each decision with accounts near their levels, in order.
    """

    knob: float
    table: WayTable
    policy: Policy
    when: Callable[[int], int]
    every: float
    ahead: float = 1.0
    patience: float = 0.1
    lost: float = 0.2
    waits: bool = True
    review: float = 2.0
    seconds: float = 2.0
    gap: float = 0.001
    told: list[Chosen] = field(default_factory=list)
    name: str = "worth"

    def decide(self, view: View) -> Wanted:
        """What each account should have.

        Notes
        -----
        An amount is worth what it spares until help sent at the next decision would have arrived, less a part of its
        cost; if it pays over the days ahead, collateral that may be lost with the account at its price included, and
        is not above the amount at which that is largest. At most one amount and way for each account, within what is
        left in the places, worth the most in all. What accounts hold is taken back where that saves both transfers, as
        by the single-account rule.
        """
        start = time.process_time()
        held, near = view.held, view.epoch.near
        amount = self._far(view)
        if not len(near):
            return Wanted(amount, np.zeros(len(held)))
        scene = _Scene(self, view)
        offers = scene.offers()
        limits = self.policy.limits
        found = choose(
            _columns(offers, view.epoch.price[near]),
            Limits(scene.free, limits.max_moves, limits.max_run_value),
            self.seconds,
            self.gap,
        )
        taken = [offers[j] for j in found.taken.tolist()]
        amount[near] = scene.back()
        orders = tuple(Order(int(near[x.account]), x.way.number, x.units) for x in taken)
        amount[[order.place for order in orders]] = np.nan
        self._within(view, amount, orders)
        self._tell(view, len(offers), found, time.process_time() - start)
        return Wanted(amount, np.zeros(len(held)), orders)

    def back(self, view: View) -> FloatArray:
        """Take back what this rule would, whoever is sent something.

        Parameters
        ----------
        view : View
            The decision.

        Returns
        -------
        ndarray, shape (m,)
            What each account should have that gives back, NaN for the others.
        """
        amount = self._far(view)
        if len(view.epoch.near):
            amount[view.epoch.near] = _Scene(self, view).back()
        return amount

    def _far(self, view: View) -> FloatArray:
        """What accounts give back that are far from their levels: all that they were sent, where that pays."""
        amount, far = np.full(len(view.held), np.nan), np.ones(len(view.held), np.bool_)
        far[view.epoch.near] = False
        spare = view.held * view.epoch.price * view.terms.held_rate * _DAY * self.review
        amount[far & (view.held > 0.0) & (spare > view.terms.fixed)] = 0.0
        return amount

    def _within(self, view: View, amount: FloatArray, orders: tuple[Order, ...]) -> None:
        """Take back no more than the limits of a run leave beside what is sent: taking back comes first."""
        limits, price = self.policy.limits, view.epoch.price
        moves = np.inf if limits.max_moves is None else limits.max_moves - len(orders)
        sent = sum(order.units * price[order.place] for order in orders)
        dollars = np.inf if limits.max_run_value is None else limits.max_run_value - sent
        if limits.max_moves is None and limits.max_run_value is None:
            return
        for k in np.flatnonzero(np.isfinite(amount)).tolist():
            moves -= len(self.table.ways[int(view.epoch.rows[k])])
            dollars -= (view.held[k] - amount[k]) * price[k]
            if moves < 0 or dollars < 0:
                amount[k] = np.nan

    def _tell(self, view: View, offers: int, found: Choice, took: float) -> None:
        accounts, binding = len(view.epoch.near), int((found.price > 0).sum())
        row = Chosen(
            view.epoch.bar, accounts, offers, len(found.taken), found.value, found.bound, binding, took,
            found.timed_out,
        )  # fmt: skip
        self.told.append(row)


class _Scene:
    """The k accounts with a curve at one decision; amounts of each in rising order, shape (r, k)."""

    def __init__(self, rule: Together, view: View) -> None:
        self.rule, self.view, self.near = rule, view, view.epoch.near
        near, terms = self.near, view.terms
        self.held, self.price = view.held[near], view.epoch.price[near]
        self.live = np.ones(len(near), np.bool_) if view.live is None else view.live[near]
        self.days = np.maximum(rule.ahead, np.minimum(terms.later[near], _LONGEST) / _DAY)
        self.amount = np.sort(np.concatenate([refined(view.epoch.amount), self.held[None]]), axis=0)
        self.risk = rule.knob * expected_loss(view, self.amount, self.days * _DAY)
        self.chance = within(view, _LIQUIDATION, self.amount, self.days * _DAY)
        self.weighing = Weighing(rule.knob, rule.ahead, rule.patience, rule.lost, rule.waits)
        self.pools = list(view.free)
        self.free = np.maximum(np.array([view.free[pool] for pool in self.pools], np.float64), 0.0)
        when = rule.when(view.epoch.bar)
        self.now = rule.table.arrivals(when)
        self.later = rule.table.arrivals(when + int(rule.every) * _MINUTE_NS)
        self._until: dict[float, FloatArray] = {}

    def until(self, minutes: float) -> FloatArray:
        """Loss within so many minutes, times the knob, shape (r, k)."""
        minutes = min(minutes, _LONGEST)
        if minutes not in self._until:
            found = expected_loss(self.view, self.amount, np.full(len(self.near), minutes))
            self._until[minutes] = self.rule.knob * found
        return self._until[minutes]

    def offers(self) -> list[_Offer]:
        """Every amount by every way that is worth sending now."""
        pool = {key: j for j, key in enumerate(self.pools)}
        out: list[_Offer] = []
        for k in np.flatnonzero(self.live).tolist():
            row = int(self.view.epoch.rows[self.near[k]])
            group = int(self.rule.table.group[row])
            later = min(self.later[group], default=np.inf) + self.rule.every
            for way, arrives in zip(self.rule.table.ways[row], self.now[group], strict=True):
                out += self._by(k, way, pool[way.route.source, way.asset], arrives, later)
        return out

    def _by(self, k: int, way: Way, pool: int, arrives: float, later: float) -> list[_Offer]:
        """Amounts by one way to one account, each worth more than those that draw less."""
        held, price, curve = float(self.held[k]), float(self.price[k]), self.amount[:, k]
        wanted = curve[curve > held] - held
        sizes = [way.sized(min(x, way.room - held), _PLENTY) for x in wanted.tolist()]
        sizes.append(way.sized(min(max(sizes, default=0.0), way.room - held), float(self.free[pool])))
        units = np.unique(np.array([x for x in sizes if x > 0.0], np.float64))
        if not len(units):
            return []
        there = held + units

        def spared(loss: FloatArray) -> FloatArray:
            before, after = np.interp(held, curve, loss[:, k]), np.interp(there, curve, loss[:, k])
            return np.asarray(before - after, np.float64)

        hold = units * price * way.held_rate
        cost = np.array([way.cost(x, price) for x in units.tolist()])
        eaten = np.interp(there, curve, self.chance[:, k]) * there - np.interp(held, curve, self.chance[:, k]) * held
        soon = np.maximum(spared(self.until(later)), 0.0) - np.maximum(spared(self.until(arrives)), 0.0)
        value = self.weighing.value(
            spared(self.risk) - hold * _DAY * self.days[k], soon, cost, hold * min(later, _LONGEST), eaten * price
        )
        out, best = [], 0.0
        for x, worth in zip(units.tolist(), value.tolist(), strict=True):
            if worth > best:
                best = worth
                out.append(_Offer(k, way, pool, x, x * (1.0 + way.route.fee_rate) + way.flat, worth))
        return out

    def back(self) -> FloatArray:
        """What accounts should have that give back, NaN for the others, shape (k,)."""
        near, rule, terms = self.near, self.rule, self.view.terms
        columns = np.arange(len(near))
        at = np.array([np.interp(h, a, r) for h, a, r in zip(self.held, self.amount.T, self.risk.T, strict=True)])
        less = np.maximum(self.held[None] - self.amount, 0.0)
        saved = terms.held_rate[near] * self.price * _DAY * rule.review - terms.fee_rate[near] * self.price
        gain = less * saved - (self.risk - at) - np.where(less > 0.0, 2.0 * terms.fixed[near], 0.0)
        best = np.argmax(gain, axis=0)
        goal = self.amount[best, columns]
        take: BoolArray = self.live & (gain[best, columns] > 0.0) & (goal < self.held)
        return np.where(take, goal, np.nan)


def _columns(offers: list[_Offer], price: FloatArray) -> Offers:
    account = np.array([x.account for x in offers], np.int64)
    pool = np.array([x.pool for x in offers], np.int64)
    draw, units, value = (np.array([getattr(x, n) for x in offers], np.float64) for n in ("draw", "units", "value"))
    return Offers(account, pool, draw, units * price[account], value)
