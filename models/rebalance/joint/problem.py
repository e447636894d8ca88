"""The desk's problem as numbers: what can be sent where, what it costs, what it is worth to each account."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["Arcs", "Curves", "DeskProblem", "Pools", "Score", "Slots", "score"]

_SAME = 1e-9


def sums(index: IntArray, values: FloatArray, n: int) -> FloatArray:
    """Add values up by index.

    Parameters
    ----------
    index : ndarray of int, shape (m,)
        Where each value goes, in [0, n).
    values : ndarray, shape (m,)
        The values.
    n : int
        Number of sums.

    Returns
    -------
    ndarray, shape (n,)
        The sums.

    Examples
    --------
    >>> sums(np.array([0, 2, 0]), np.array([1.0, 2.0, 3.0]), 3).tolist()
    [4.0, 0.0, 2.0]
    """
    return np.asarray(np.bincount(index, values, n), np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Arcs:
    """R ways to raise the collateral of an account; amounts are units of the asset that moves.

    Parameters
    ----------
    pool : ndarray of int, shape (R,)
        Inventory that is drawn on; -1 where none is, as when a position is reduced.
    account : ndarray of int, shape (R,)
        Account whose collateral value rises.
    slot : ndarray of int, shape (R,)
        Row of `Slots`: the account and the asset together.
    price : ndarray, shape (R,)
        Dollars of one unit.
    value : ndarray, shape (R,)
        Dollars that one unit adds to the equity of the account, > 0.
    least, most : ndarray, shape (R,)
        Smallest and largest amount of a transfer that is made.
    step : ndarray, shape (R,)
        Amounts are multiples of it, 0 where any amount will do.
    fixed : ndarray, shape (R,)
        Dollars of a transfer, whatever its size.
    fixed_units : ndarray, shape (R,)
        Units that it takes from the pool, whatever its size.
    rate : ndarray, shape (R,)
        Dollars that one unit costs: fees, funding, opportunity.
    draw : ndarray, shape (R,)
        Units that leave the pool for one unit that arrives.
    piece_arc : ndarray of int, shape (C,)
        The arc of each piece of the impact, in rising order; every arc has at least one piece.
    piece_width, piece_rate : ndarray, shape (C,)
        Units of the piece (inf for the last one of an arc), and dollars that one unit loses to impact; they rise.
    """

    pool: IntArray
    account: IntArray
    slot: IntArray
    price: FloatArray
    value: FloatArray
    least: FloatArray
    most: FloatArray
    step: FloatArray
    fixed: FloatArray
    fixed_units: FloatArray
    rate: FloatArray
    draw: FloatArray
    piece_arc: IntArray
    piece_width: FloatArray
    piece_rate: FloatArray

    def __len__(self) -> int:
        return len(self.pool)

    def take(self, rows: IntArray) -> Arcs:
        """Some of the arcs, in rising order of `rows`."""
        place = np.full(len(self), -1)
        place[rows] = np.arange(len(rows))
        kept = place[self.piece_arc] >= 0
        pieces = ("piece_arc", "piece_width", "piece_rate")
        own: dict[str, Any] = {
            name: getattr(self, name)[rows] for name in self.__dataclass_fields__ if name not in pieces
        }
        piece: dict[str, Any] = {"piece_width": self.piece_width[kept], "piece_rate": self.piece_rate[kept]}
        return Arcs(**own, piece_arc=place[self.piece_arc[kept]], **piece)

    def transfer_cost(self, amount: FloatArray) -> FloatArray:
        """Dollars that amounts cost, shape (R,): fixed, by the unit, and impact."""
        start = np.concatenate([[0.0], np.cumsum(np.where(np.isfinite(self.piece_width), self.piece_width, 0.0))[:-1]])
        first = np.searchsorted(self.piece_arc, self.piece_arc)
        inside = np.clip(amount[self.piece_arc] - (start - start[first]), 0.0, self.piece_width)
        impact = sums(self.piece_arc, inside * self.piece_rate, len(self))
        return np.where(amount > 0, self.fixed + self.rate * amount + impact, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Pools:
    """K inventories.

    Parameters
    ----------
    name : tuple of str, length K
        Place and asset, for people.
    free : ndarray, shape (K,)
        Units that may leave.
    price : ndarray, shape (K,)
        Dollars of one unit.
    account : ndarray of int, shape (K,)
        The account whose collateral it is; -1 for a place outside of the accounts.
    value : ndarray, shape (K,)
        Dollars of equity that the account loses with one unit.
    fixed : ndarray of bool, shape (K,), optional
        Which are given, and no limit that could be changed: what an account holds, or is exposed to.
    """

    name: tuple[str, ...]
    free: FloatArray
    price: FloatArray
    account: IntArray
    value: FloatArray
    fixed: BoolArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Slots:
    """S pairs of an account and an asset that is sent to it.

    Parameters
    ----------
    name : tuple of str, length S
        The pair, for people.
    account : ndarray of int, shape (S,)
        The account.
    room : ndarray, shape (S,)
        Units that may still be added, inf where there is no cap.
    share : ndarray, shape (S,)
        Most of the collateral value of the account that may be in the asset.
    held, total : ndarray, shape (S,)
        Dollars that the asset, and all collateral of the account, count for now.
    """

    name: tuple[str, ...]
    account: IntArray
    room: FloatArray
    share: FloatArray
    held: FloatArray
    total: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """What added equity is worth to n accounts: a convex falling loss for each, J points.

    Parameters
    ----------
    value : ndarray, shape (n, J)
        Dollars added to equity less maintenance, rising; they start at 0 or, for an account that can give, below.
    loss : ndarray, shape (n, J)
        Expected loss or CVaR there, dollars; falling and convex, constant beyond the last point.
    need : ndarray, shape (n,)
        Added equity at which the target is reached; below 0 for what an account can give.
    """

    value: FloatArray
    loss: FloatArray
    need: FloatArray

    def at(self, added: FloatArray) -> FloatArray:
        """Loss at so much added equity, shape (n,)."""
        return np.array([np.interp(a, v, f) for a, v, f in zip(added, self.value, self.loss, strict=True)])


@dataclass(frozen=True, slots=True, eq=False)
class DeskProblem:
    """Which amounts bring every account to its need at the lowest cost and loss.

    Parameters
    ----------
    arcs : Arcs
        What can be done.
    pools : Pools
        What there is.
    slots : Slots
        Concentration limits.
    curves : Curves
        What it is worth.
    accounts : tuple of str, length n
        Names, for people.
    max_moves : int or None
        Most transfers.
    max_moves_per_account : int or None
        Most transfers to one account.
    max_run_value : float or None
        Most dollars moved.
    """

    arcs: Arcs
    pools: Pools
    slots: Slots
    curves: Curves
    accounts: tuple[str, ...]
    max_moves: int | None = None
    max_moves_per_account: int | None = None
    max_run_value: float | None = None

    @property
    def counts_moves(self) -> bool:
        """Whether the number of transfers is limited."""
        return self.max_moves is not None or self.max_moves_per_account is not None

    def useful(self) -> FloatArray:
        """Added equity beyond which one more dollar saves less than any transfer costs, shape (n,)."""
        a, c, n = self.arcs, self.curves, len(self.accounts)
        cheapest = np.full(n, np.inf)
        np.minimum.at(cheapest, a.account, a.rate / a.value)
        saved = -np.diff(c.loss, axis=1) / np.maximum(np.diff(c.value, axis=1), 1e-300)
        pays = saved > cheapest[:, None]
        last = np.where(pays.any(axis=1), pays.shape[1] - np.argmax(pays[:, ::-1], axis=1), 0)
        given = np.zeros(n)  # what an account gives on to others must come in as well
        inside = self.pools.account >= 0
        np.add.at(given, self.pools.account[inside], (self.pools.free * self.pools.value)[inside])
        return np.maximum(c.need, c.value[np.arange(n), last]) + given

    def with_arcs(self, rows: IntArray) -> DeskProblem:
        """The problem with some of its arcs."""
        return replace(self, arcs=self.arcs.take(rows))

    def with_need(self, need: FloatArray) -> DeskProblem:
        """The problem with other needs."""
        return replace(self, curves=replace(self.curves, need=need))

    def among(self, chosen: IntArray, rows: IntArray, kept: FloatArray) -> DeskProblem:
        """The problem of some accounts, all givers among them, with what others keep taken off the limits."""
        place = np.full(len(self.accounts), -1)
        place[chosen] = np.arange(len(chosen))
        arcs, curves, giver = self.arcs.take(rows), self.curves, self.pools.account
        free = np.maximum(self.pools.free - self.drawn(kept), 0.0)
        moves = None if self.max_moves is None else self.max_moves - int((kept > 0).sum())
        run = None if self.max_run_value is None else self.max_run_value - float((kept * self.arcs.price).sum())
        slots = np.flatnonzero(place[self.slots.account] >= 0)
        slot_at = np.full(len(self.slots.name), -1)
        slot_at[slots] = np.arange(len(slots))
        columns = {name: getattr(self.slots, name)[slots] for name in ("room", "share", "held", "total")}
        names = tuple(self.slots.name[i] for i in slots.tolist())
        return replace(
            self,
            arcs=replace(arcs, account=place[arcs.account], slot=slot_at[arcs.slot]),
            pools=replace(self.pools, free=free, account=np.where(giver >= 0, place[giver], -1)),
            slots=Slots(names, place[self.slots.account[slots]], **columns),
            curves=Curves(curves.value[chosen], curves.loss[chosen], curves.need[chosen]),
            accounts=tuple(self.accounts[i] for i in chosen.tolist()),
            max_moves=moves,
            max_run_value=run,
        )

    def added(self, amount: FloatArray) -> FloatArray:
        """Equity that amounts add to each account, less what it gives, dollars, shape (n,)."""
        a, n = self.arcs, len(self.accounts)
        gained = sums(a.account, amount * a.value, n)
        drawn = self.drawn(amount)
        giving = self.pools.account >= 0
        return gained - sums(self.pools.account[giving], (drawn * self.pools.value)[giving], n)

    def drawn(self, amount: FloatArray) -> FloatArray:
        """Units that leave each pool, shape (K,)."""
        a, inside = self.arcs, self.arcs.pool >= 0
        units = np.where(amount > 0, amount * a.draw + a.fixed_units, 0.0)
        return sums(a.pool[inside], units[inside], len(self.pools.name))


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """What amounts do.

    Parameters
    ----------
    cost : float
        Transfers and the losses of the accounts, dollars: what is minimised.
    transfers : float
        Transfers alone, dollars.
    short : ndarray, shape (n,)
        Equity that each account lacks to its need, dollars.
    broken : tuple of str
        Limits that are broken, by name.
    """

    cost: float
    transfers: float
    short: FloatArray
    broken: tuple[str, ...] = field(default=())


def score(problem: DeskProblem, amount: FloatArray, tolerance: float = 1e-6) -> Score:
    """Price amounts and check every limit, without any solver.

    Parameters
    ----------
    problem : DeskProblem
        The problem.
    amount : ndarray, shape (R,)
        Units of each arc.
    tolerance : float
        Relative size of what is not counted as breaking a limit.

    Returns
    -------
    Score
        Cost, shortfalls and broken limits.
    """
    added = problem.added(amount)
    transfers = float(problem.arcs.transfer_cost(amount).sum())
    short = np.maximum(problem.curves.need - added, 0.0)
    short[short <= tolerance * (1.0 + np.abs(problem.curves.need))] = 0.0
    loss = float(problem.curves.at(added).sum())
    return Score(transfers + loss, transfers, short, tuple(_broken(problem, amount, added, tolerance)))


def _broken(p: DeskProblem, amount: FloatArray, added: FloatArray, tolerance: float) -> list[str]:
    a, used = p.arcs, amount > 0
    found = [p.pools.name[k] for k in _over(p.drawn(amount), p.pools.free, tolerance)]
    sent = sums(a.slot, amount, len(p.slots.name))
    found += [p.slots.name[s] for s in _over(sent, p.slots.room, tolerance)]
    worth = sums(a.slot, amount * a.value, len(p.slots.name))
    most = p.slots.share * (p.slots.total + added[p.slots.account])
    limited = (p.slots.share < 1) & (worth > 0)
    found += [p.slots.name[s] for s in _over(np.where(limited, p.slots.held + worth, 0.0), np.abs(most), tolerance)]
    if bool(np.any(used & ((amount < a.least * (1 - _SAME)) | (amount > a.most * (1 + _SAME) + tolerance)))):
        found.append("size of a transfer")
    if bool(np.any(_off_step(amount, a.step) & used)):
        found.append("step of a transfer")
    if p.max_moves is not None and int(used.sum()) > p.max_moves:
        found.append("max_moves")
    per_account = np.bincount(a.account[used], minlength=1)
    if p.max_moves_per_account is not None and int(per_account.max(initial=0)) > p.max_moves_per_account:
        found.append("max_moves_per_account")
    moved = float((amount * a.price).sum())
    if p.max_run_value is not None and moved > p.max_run_value * (1 + tolerance):
        found.append("max_run_value")
    return found


def _over(value: FloatArray, limit: FloatArray, tolerance: float) -> list[int]:
    return [int(i) for i in np.flatnonzero(value > limit * (1 + tolerance) + tolerance)]


def _off_step(amount: FloatArray, step: FloatArray) -> BoolArray:
    stepped = step > 0
    count = np.divide(amount, step, out=np.zeros_like(amount), where=stepped)
    return np.asarray(stepped & (np.abs(count - np.round(count)) > 1e-6 * np.maximum(1.0, count)), np.bool_)
