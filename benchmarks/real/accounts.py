"""Rebuild margin accounts from their fills, deposits and withdrawals.

Cash is what was paid in and out plus realised profit at average cost; a position carries its average entry price.
Fees and funding are not in the files. Nothing is fitted to the liquidations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.real.records import Records
from models.book import Book
from models.errors import Failure
from models.typing import BoolArray, FloatArray, IntArray, ObjectArray

FLAT: Final = 1e-9
"""A position of fewer units is closed: sizes have at most five decimals."""


@dataclass(frozen=True, slots=True)
class Snapshots:
    """n states of accounts; positions are m rows that point to their state.

    Parameters
    ----------
    user, time, cash : ndarray, shape (n,)
        Whose state, when (nanoseconds), and cash in USDC.
    row, coin, quantity, entry : ndarray, shape (m,)
        Positions.
    """

    user: ObjectArray
    time: IntArray
    cash: FloatArray
    row: IntArray
    coin: ObjectArray
    quantity: FloatArray
    entry: FloatArray

    def __len__(self) -> int:
        return len(self.user)

    @property
    def legs(self) -> IntArray:
        """Positions of each state, shape (n,)."""
        return np.bincount(self.row, minlength=len(self)).astype(np.int64)

    def take(self, keep: BoolArray) -> Snapshots:
        """States by mask."""
        new, held = np.cumsum(keep) - 1, keep[self.row]
        return Snapshots(
            self.user[keep],
            self.time[keep],
            self.cash[keep],
            new[self.row[held]],
            self.coin[held],
            self.quantity[held],
            self.entry[held],
        )

    def every(self, good: BoolArray) -> BoolArray:
        """States whose positions are all good; shape (m,) to (n,)."""
        out = np.ones(len(self), bool)
        out[self.row[~good]] = False
        return out

    def book(self, assets: tuple[str, ...], ruleset: str = "hyperliquid") -> tuple[Book, list[Failure]]:
        """The accounts as the engine takes them: one cross unit each, in USDC."""
        names = np.array([f"{u}@{t}" for u, t in zip(self.user, self.time, strict=True)], object)
        usdc = np.full(len(self), "USDC", object)
        accounts = {"account_id": names, "as_of": self.time, "ruleset": np.full(len(self), ruleset, object)}
        symbols = np.array([f"{c}/USDC:USDC" for c in self.coin], object)
        positions = {"row": self.row, "symbol": symbols, "quantity": self.quantity, "entry_price": self.entry}
        collateral = {"row": np.arange(len(self)), "asset": usdc, "quantity": self.cash}
        return Book.from_columns(accounts | {"currency": usdc}, positions, collateral, assets)


class Account:
    """One account that is walked through its events."""

    __slots__ = ("cash", "positions")

    def __init__(self) -> None:
        self.cash = 0.0
        self.positions: dict[str, tuple[float, float]] = {}

    def fill(self, coin: str, quantity: float, price: float) -> None:
        """Trade: an increase averages the entry, a decrease realises profit, a reversal opens at the price."""
        held, entry = self.positions.get(coin, (0.0, price))
        after = held + quantity
        if held * quantity >= 0:
            entry = price if held == 0 else (held * entry + quantity * price) / after
        else:
            closed = min(abs(held), abs(quantity))
            self.cash += np.sign(held) * closed * (price - entry)
            entry = price if abs(quantity) > abs(held) else entry
        if abs(after) < FLAT:
            self.positions.pop(coin, None)
        else:
            self.positions[coin] = (after, entry)


def walk(records: Records, user: str) -> Iterator[tuple[int, Account]]:
    """Go through the events of an account; a payment comes before a fill of the same second.

    Yields
    ------
    tuple of (int, Account)
        The instant of each event and the account after it; one object that changes.
    """
    paid = records.ledger[records.ledger["user"] == user]
    fills = records.fills[records.fills["user"] == user]
    account = Account()
    payments = [
        (int(t), 0, i, ("", float(a), 0.0)) for i, (t, a) in enumerate(zip(paid.time, paid.amount, strict=True))
    ]
    trades = [
        (int(t), 1, i, (str(c), float(q), float(p)))
        for i, (t, c, q, p) in enumerate(zip(fills.time, fills.coin, fills.quantity, fills.price, strict=True))
    ]
    for when, kind, _, (coin, amount, price) in sorted(payments + trades):
        if kind == 0:
            account.cash += amount
        else:
            account.fill(coin, amount, price)
        yield when, account


def snapshots(records: Records, users: ObjectArray, times: IntArray, inclusive: bool) -> Snapshots:
    """States of accounts at instants, in the order asked for.

    Parameters
    ----------
    records : Records
        The files.
    users, times : ndarray, shape (n,)
        Whose state and when, nanoseconds.
    inclusive : bool
        Whether events of that very second count.
    """
    cash = np.zeros(len(users))
    held: list[tuple[int, str, float, float]] = []
    for user in dict.fromkeys(users.tolist()):
        asked = np.flatnonzero(users == user)
        asked = asked[np.argsort(times[asked], kind="stable")]
        states = _states(records, user, times[asked], inclusive)
        for i, (money, positions) in zip(asked.tolist(), states, strict=True):
            cash[i] = money
            held += [(i, coin, q, e) for coin, (q, e) in positions.items()]
    held.sort(key=lambda h: h[0])
    row, coin, quantity, entry = zip(*held, strict=True) if held else ((), (), (), ())
    coins = np.array(coin, object)
    numbers = [np.array(x, np.float64) for x in (quantity, entry)]
    return Snapshots(users, np.asarray(times, np.int64), cash, np.array(row, np.int64), coins, *numbers)


def _states(
    records: Records, user: str, times: IntArray, inclusive: bool
) -> list[tuple[float, dict[str, tuple[float, float]]]]:
    out: list[tuple[float, dict[str, tuple[float, float]]]] = []
    cash, positions = 0.0, dict[str, tuple[float, float]]()
    for when, account in walk(records, user):
        while len(out) < len(times) and (when > times[len(out)] if inclusive else when >= times[len(out)]):
            out.append((cash, positions))
        cash, positions = account.cash, dict(account.positions)
    return out + [(cash, positions)] * (len(times) - len(out))


@dataclass(frozen=True, slots=True)
class SideCheck:
    """Withdrawals of flat accounts, and how many of them left nothing, under both readings of the side."""

    withdrawals: int
    emptied_bid_bought: int
    emptied_bid_sold: int


def check_sides(records: Records, within: float = 0.01) -> SideCheck:
    """Who withdraws everything leaves 0: true only if the side is read the right way and nothing is missing.

    Flat closes alone cannot tell, as the mirror image of a closed position is closed too.
    """
    mirror = Records(records.fills.assign(quantity=-records.fills["quantity"]), records.ledger, records.liquidations)
    counts = [_emptied(r, within) for r in (records, mirror)]
    return SideCheck(counts[0][0], counts[0][1], counts[1][1])


def _emptied(records: Records, within: float) -> tuple[int, int]:
    """Withdrawals by users who have traded and are flat, and those which left less than a cent."""
    taken = records.ledger[records.ledger["amount"] < 0]
    asked = taken["user"].to_numpy(object), taken["time"].to_numpy(np.int64)
    state = snapshots(records, *asked, inclusive=True)
    first = records.fills.groupby("user")["time"].min().to_dict()
    traded = np.array([first.get(u, np.inf) <= t for u, t in zip(*asked, strict=True)], bool)
    flat = (state.legs == 0) & traded
    return int(flat.sum()), int((np.abs(state.cash[flat]) < within).sum())
