"""Carry out what a rule wants within the limits of the policy: routes, sizes, inventories, numbers of moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from models.rebalance.limits import RiskLimits
from models.rebalance.policy import Policy
from models.rebalance.replaying.ledger import Moved
from models.rebalance.replaying.rules import Order, Wanted
from models.rebalance.replaying.terms import WayTable, preferred
from models.rebalance.replaying.ways import Way, minutes_of
from models.typing import FloatArray, IntArray

__all__ = ["Dispatcher", "Draws", "Serving"]

Serving = Literal["urgent", "first"]
"""Who is served first at a decision: the most urgent, or whoever comes first, in an order drawn anew each time."""


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Chance at one decision: the same for every rule.

    Parameters
    ----------
    lag, failure : ndarray, shape (n,)
        In [0, 1), for each account.
    turn : ndarray, shape (n,), optional
        When each account comes, where whoever comes first is served first.
    """

    lag: FloatArray
    failure: FloatArray
    turn: FloatArray | None = None


@dataclass(slots=True, eq=False)
class _Turn:
    """What one decision has used of its limits."""

    when_ns: int
    every: float
    draws: Draws
    minutes: list[list[float]]
    moves: int = 0
    dollars: float = 0.0


@dataclass(slots=True, eq=False)
class Dispatcher:
    """The places of one run.

    Parameters
    ----------
    table : WayTable
        Ways of every account.
    policy : Policy
        Limits and inventories.
    free : dict
        Units that may still leave each place, by place and asset.
    stacks, coming : dict
        What is at each account, and what is on its way there: the way it came and its units, the last on top.
    refused : int
        Transfers that could not be made.
    """

    table: WayTable
    policy: Policy
    free: dict[tuple[str, str], float] = field(default_factory=dict)
    stacks: dict[int, list[tuple[Way, float]]] = field(default_factory=dict)
    coming: dict[int, list[tuple[Way, float]]] = field(default_factory=dict)
    refused: int = 0

    def __post_init__(self) -> None:
        for name, place in self.policy.places.items():
            for asset in place.inventory:
                self.free[name, asset] = place.free(asset)

    @property
    def limits(self) -> RiskLimits:
        """Limits of the desk."""
        return self.policy.limits

    def carry_out(
        self,
        wanted: Wanted,
        rows: IntArray,
        held: FloatArray,
        price: FloatArray,
        when_ns: int,
        every: float,
        draws: Draws,
    ) -> list[Moved]:
        """Order transfers.

        Parameters
        ----------
        wanted : Wanted
            Of m accounts.
        rows : ndarray of int, shape (m,)
            The accounts.
        held, price : ndarray, shape (m,)
            What was sent to them, and dollars of a unit.
        when_ns : int
            Now.
        every : float
            Minutes to the next decision.
        draws : Draws
            Chance.

        Returns
        -------
        list of Moved
            First what is taken back, then what the rule ordered itself, then what else is sent: the most urgent first,
            or in the order in which the accounts come.
        """
        idle = not wanted.orders and not np.isfinite(wanted.amount).any()
        turn = _Turn(when_ns, every, draws, [] if idle else self.table.arrivals(when_ns))
        change = np.nan_to_num(wanted.amount - held)
        out: list[Moved] = []
        if self.policy.release:
            for k in np.flatnonzero(change < 0.0).tolist():
                out += self._take_back(int(rows[k]), -float(change[k]), float(price[k]), turn)
        out += self._ordered(wanted.orders, rows, held, price, turn)
        up = np.flatnonzero(change > 0.0)
        first = -wanted.urgency[up] if draws.turn is None else draws.turn[rows[up]]
        for k in up[np.argsort(first, kind="stable")].tolist():
            sent = self._send(int(rows[k]), float(change[k]), float(held[k]), float(price[k]), turn)
            self.refused += sent is None
            out += [] if sent is None else [sent]
        return out

    def _ordered(
        self, orders: Sequence[Order], rows: IntArray, held: FloatArray, price: FloatArray, turn: _Turn
    ) -> list[Moved]:
        """Make the transfers that the rule gave itself, each by its own route and whole, but for a step, or not."""
        out, there = [], held.copy()
        for order in orders:
            k = order.place
            sent = self._send(int(rows[k]), order.units, float(there[k]), float(price[k]), turn, order.route)
            self.refused += sent is None
            if sent is not None:
                there[k] += sent.units
                out.append(sent)
        return out

    def _may_move(self, dollars: float, turn: _Turn) -> bool:
        most, run = self.limits.max_moves, self.limits.max_run_value
        return (most is None or turn.moves < most) and (run is None or turn.dollars + dollars <= run)

    def _note(self, dollars: float, turn: _Turn) -> None:
        turn.moves += 1
        turn.dollars += dollars

    def _send(
        self, i: int, units: float, held: float, price: float, turn: _Turn, route: int | None = None
    ) -> Moved | None:
        minutes = turn.minutes[int(self.table.group[i])]
        able = []
        for way, late in zip(self.table.ways[i], minutes, strict=True):
            if route is not None and way.number != route:
                continue
            sized = way.sized(min(units, way.room - held), self.free[way.route.source, way.asset])
            if route is not None and sized < units * (1.0 - 1e-6) - way.step:
                continue
            if sized > 0 and held + sized <= way.room and self._may_move(sized * price, turn):
                able.append((way, late, sized))
        if not able:
            return None
        way, _, sized = able[preferred([x[0] for x in able], [x[1] for x in able], turn.every)]
        drawn = minutes_of([way], turn.when_ns, None, float(turn.draws.lag[i]))[0]
        failed = bool(turn.draws.failure[i] < way.route.failure_rate)
        self.free[way.route.source, way.asset] -= sized * (1.0 + way.route.fee_rate) + way.flat
        self.coming.setdefault(i, []).append((way, sized))
        self._note(sized * price, turn)
        return Moved(turn.when_ns, i, way.number, way.asset, sized, price, drawn, False, failed)

    def _take_back(self, i: int, units: float, price: float, turn: _Turn) -> list[Moved]:
        """Take back by the ways that it came, the last first; one transfer for each way."""
        out: list[Moved] = []
        stack, most = self.stacks.get(i, []), self.limits.max_moves_per_account or len(self.table.ways[i]) + 1
        while stack and units > 0 and len(out) < most:
            way = stack[-1][0]
            there = sum(x for w, x in stack if w.number == way.number)
            back = way.returned(min(units, there), there)
            if back <= 0 or not self._may_move(back * price, turn):
                break
            _remove(stack, way.number, back)
            units -= back
            self._note(back * price, turn)
            minutes = minutes_of([way], turn.when_ns, None, float(turn.draws.lag[i]))[0]
            out.append(Moved(turn.when_ns, i, way.number, way.asset, back, price, minutes, True))
        return out

    def arrived(self, move: Moved) -> None:
        """Put what came back, or failed, into its place again; and what arrived, at its account."""
        if not move.back:
            way = next(w for w in self.table.ways[move.account] if w.number == move.route)
            self.coming[move.account].remove((way, move.units))
            if not move.failed:
                self.stacks.setdefault(move.account, []).append((way, move.units))
        if move.back or move.failed:
            self.free[self.policy.routes[move.route].source, move.asset] += move.units

    def settle(self, i: int, lost: bool) -> None:
        """Close an account: what was sent returns to its places, or is lost in its liquidation."""
        for way, units in [*self.stacks.pop(i, []), *self.coming.pop(i, [])]:
            if not lost:
                self.free[way.route.source, way.asset] += units


def _remove(stack: list[tuple[Way, float]], number: int, units: float) -> None:
    """Take units of one way off a stack, the last first."""
    for k in range(len(stack) - 1, -1, -1):
        way, there = stack[k]
        if way.number != number or units <= 0:
            continue
        taken = min(there, units)
        units -= taken
        if there - taken <= 1e-12 * there:
            del stack[k]
        else:
            stack[k] = (way, there - taken)
