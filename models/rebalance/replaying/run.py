"""One rule on all accounts: decisions, transfers on their way, breaches, costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.rebalance.policy import Policy
from models.rebalance.replaying.dispatch import Dispatcher, Draws, Serving
from models.rebalance.replaying.epochs import Epoch
from models.rebalance.replaying.ledger import Moved, Outcome
from models.rebalance.replaying.rules import Rule, View
from models.rebalance.replaying.terms import Terms, WayTable
from models.rebalance.replaying.watch import CALL, LIQUIDATION, Watch
from models.typing import FloatArray, IntArray

__all__ = ["Stage", "run_rule"]

_DAY = 1440.0


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """What every rule is run on.

    Parameters
    ----------
    watch : Watch
        n accounts.
    table : WayTable
        Their ways.
    policy : Policy
        Costs and limits.
    epochs : sequence of Epoch
        The decisions, in order.
    terms : sequence of Terms
        Of each decision.
    every_bars : int
        Bars from one decision to the next.
    start : int
        Open of the first bar of the panel, nanoseconds.
    bar_minutes : int
        Length of a bar.
    seed : int
        Of lags and failures.
    serving : {"urgent", "first"}
        Who is served first at a decision where not all can be: the most urgent, or whoever comes first.
    """

    watch: Watch
    table: WayTable
    policy: Policy
    epochs: Sequence[Epoch]
    terms: Sequence[Terms]
    every_bars: int
    start: int
    bar_minutes: int
    seed: int
    serving: Serving = "urgent"

    def when(self, bar: int) -> int:
        """Open of a bar, nanoseconds."""
        return self.start + bar * self.bar_minutes * 60_000_000_000

    def draws(self, bar: int) -> Draws:
        """Chance at a decision."""
        rng = np.random.default_rng([self.seed, bar])
        lag, failure = rng.random((2, len(self.watch)))
        return Draws(lag, failure, rng.random(len(self.watch)) if self.serving == "first" else None)


def run_rule(stage: Stage, rule: Rule) -> Outcome:
    """Run one rule.

    Parameters
    ----------
    stage : Stage
        Accounts, decisions, policy, chance.
    rule : Rule
        What decides.

    Returns
    -------
    Outcome
        What became of every account.

    Notes
    -----
    What arrives inside a bar counts from the next bar on, as its extremes may come before. What is taken back has left
    at once. A failed transfer is at its place again when it should have arrived. At the end of its time an account
    settles what it was sent without cost; what a liquidated account was sent is lost in it and no longer held.
    """
    run = _Run(stage)
    for epoch, terms in zip(stage.epochs, stage.terms, strict=True):
        run.arrive(epoch.bar)
        run.leave(epoch.bar)
        run.decide(rule, epoch, terms)
        run.walk(epoch)
    return run.outcome(rule)


class _Run:
    """The state of one rule."""

    def __init__(self, stage: Stage) -> None:
        n = len(stage.watch)
        self.stage, self.dispatcher = stage, Dispatcher(stage.table, stage.policy)
        self.there, self.coming, self.rate = np.zeros(n), np.zeros(n), np.zeros(n)
        self.called, self.dead, self.left = (np.zeros(n, np.bool_) for _ in range(3))
        self.died = np.full(n, -1)
        self.fees, self.holding, self.losses, self.held_days, self.idle_days = (np.zeros(n) for _ in range(5))
        self.moves = np.zeros(n, np.int64)
        self.ledger: list[Moved] = []
        self.due: dict[int, list[Moved]] = {}

    def arrive(self, bar: int) -> None:
        """Take in what has come by the open of a bar."""
        for when in sorted(k for k in self.due if k <= bar):
            for move in self.due.pop(when):
                self._arrived(move)

    def _arrived(self, move: Moved) -> None:
        i = move.account
        if not move.back and (self.dead[i] or self.left[i]):
            return  # settled when the account closed
        self.dispatcher.arrived(move)
        if not move.back:
            self.coming[i] -= move.units
            self.there[i] += 0.0 if move.failed else move.units

    def leave(self, bar: int) -> None:
        """Settle the accounts whose time is over."""
        watch = self.stage.watch
        over = np.flatnonzero(~self.left & ~self.dead & (watch.first + watch.stay <= bar))
        for i in over.tolist():
            self.dispatcher.settle(i, False)
        self.left[over] = True
        self.there[over], self.coming[over] = 0.0, 0.0

    def decide(self, rule: Rule, epoch: Epoch, terms: Terms) -> None:
        """Ask the rule, and order what it wants."""
        stage, rows = self.stage, epoch.rows
        watch, at = stage.watch, (rows, epoch.bar - stage.watch.first[rows])
        held = self.there[rows] + self.coming[rows]
        levels = (watch.equity[at], watch.maintenance[at], watch.more_equity[at], watch.more_maintenance[at])
        live, free = ~self.dead[rows], dict(self.dispatcher.free)
        wanted = rule.decide(View(epoch, terms, stage.policy.limits, held, *levels, watch.factor[rows], live, free))
        wanted.amount[~live] = np.nan
        wanted = replace(wanted, orders=tuple(order for order in wanted.orders if live[order.place]))
        when, every = stage.when(epoch.bar), float(stage.every_bars * stage.bar_minutes)
        ordered = self.dispatcher.carry_out(wanted, rows, held, epoch.price, when, every, stage.draws(epoch.bar))
        for move in ordered:
            self._order(move, epoch.bar)

    def _order(self, move: Moved, bar: int) -> None:
        stage, i = self.stage, move.account
        way = next(w for w in stage.table.ways[i] if w.number == move.route)
        self.fees[i] += way.cost(move.units, move.price)
        self.moves[i] += 1
        self.ledger.append(move)
        self.rate[i] = way.held_rate
        if move.back:
            self.there[i] = max(self.there[i] - move.units, 0.0)
            self.holding[i] += move.units * move.price * way.held_rate * move.minutes
        else:
            self.coming[i] += move.units
        self.due.setdefault(bar + int(np.ceil(move.minutes / stage.bar_minutes)), []).append(move)

    def walk(self, epoch: Epoch) -> None:
        """Walk the bars to the next decision."""
        stage, watch = self.stage, self.stage.watch
        live = np.flatnonzero(~self.dead[epoch.rows])
        rows, price = epoch.rows[live], epoch.price[live]
        for bar in range(epoch.bar, epoch.bar + stage.every_bars):
            self.arrive(bar)
            local = bar - watch.first[rows]
            inside = (local < watch.stay[rows]) & ~self.dead[rows]
            now, at = rows[inside], (rows[inside], local[inside])
            there = self.there[now]
            self._hold(now, price[inside], watch.needed[(CALL, *at)])
            self._called(now[there < watch.needed[(CALL, *at)]], bar)
            self._liquidated(now[there < watch.needed[(LIQUIDATION, *at)]], bar)

    def _hold(self, rows: IntArray, price: FloatArray, needed: FloatArray) -> None:
        days = self.stage.bar_minutes / _DAY
        held = self.there[rows] + self.coming[rows]
        self.holding[rows] += held * price * self.rate[rows] * self.stage.bar_minutes
        self.held_days[rows] += held * price * days
        self.idle_days[rows] += np.clip(held - np.maximum(needed, 0.0), 0.0, None) * price * days

    def _called(self, rows: IntArray, bar: int) -> None:
        watch, limits = self.stage.watch, self.stage.policy.limits
        rows = rows[~self.called[rows]]
        self.called[rows] = True
        required = self._maintenance(rows, bar) * watch.factor[rows]
        self.losses[rows] += limits.call_cost + limits.call_cost_rate * required

    def _liquidated(self, rows: IntArray, bar: int) -> None:
        self.dead[rows] = True
        self.died[rows] = bar - self.stage.watch.first[rows]
        limits = self.stage.policy.limits
        self.losses[rows] += limits.liquidation_cost + limits.liquidation_cost_rate * self._maintenance(rows, bar)
        for i in rows.tolist():
            self.dispatcher.settle(i, True)
        self.there[rows], self.coming[rows] = 0.0, 0.0

    def _maintenance(self, rows: IntArray, bar: int) -> FloatArray:
        watch = self.stage.watch
        at = rows, bar - watch.first[rows]
        found = watch.maintenance[at] + self.there[rows] * watch.more_maintenance[at]
        return np.maximum(np.nan_to_num(found), 0.0)

    def outcome(self, rule: Rule) -> Outcome:
        """What became of the accounts."""
        money = self.fees, self.holding, self.losses, self.held_days, self.idle_days
        flags = self.called, self.dead, self.died
        return Outcome(rule.name, rule.knob, *flags, *money, self.moves, tuple(self.ledger), self.dispatcher.refused)
