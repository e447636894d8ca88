"""The four levels of requirement, equity and state of every account of a book."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit

from models.book import Book, BookArrays, require_sheets
from models.errors import InputError
from models.margin.linear import unit_equity, unit_initial, unit_is_live, unit_maintenance
from models.typing import FloatArray, IntArray

__all__ = ["STATES", "MarginLevels", "margin_levels"]

STATES: Final = ("release", "ok", "below_initial", "call", "liquidation")
"""Account states in order of severity."""


@dataclass(frozen=True, slots=True, eq=False)
class MarginLevels:
    """Equity and requirements, account currency, one row an account, shape (n,) each.

    Parameters
    ----------
    equity : ndarray
        Collateral after haircuts plus unrealised profit, over all units.
    maintenance, call, initial, release : ndarray
        The four levels, in rising order, summed over units.
    call_amount : ndarray
        What brings the units that are in call back to initial; 0 where none is.
    gap_call : ndarray
        Smallest over the units of equity minus call requirement.
    state : ndarray of int
        Index into `STATES`; that of the worst unit. NaN prices give state -1.
    """

    equity: FloatArray
    maintenance: FloatArray
    call: FloatArray
    initial: FloatArray
    release: FloatArray
    call_amount: FloatArray
    gap_call: FloatArray
    state: IntArray

    def state_names(self) -> list[str]:
        """State of each account in words; ``"unknown"`` where a price is missing."""
        return [STATES[s] if s >= 0 else "unknown" for s in self.state]


@njit(cache=True, nogil=True)
def _kernel(b: BookArrays, prices: FloatArray, one: bool, out: FloatArray, state: IntArray) -> None:
    for n in range(len(b.account_call_factor)):
        price = prices[0] if one else prices[n]
        k = b.account_call_factor[n]
        gap_least = np.inf
        worst = 0
        for u in range(b.account_unit[n], b.account_unit[n + 1]):
            equity = unit_equity(b, u, price)
            maintenance = unit_maintenance(b, u, price)
            initial = unit_initial(b, u, k, b.account_initial_factor[n], price)
            call = b.unit_offset[u] + k * maintenance
            maintenance += b.unit_offset[u]
            release = b.account_release_factor[n] * initial + b.unit_release[u]
            gap = equity - call
            out[0, n] += equity
            out[1, n] += maintenance
            out[2, n] += call
            out[3, n] += initial
            out[4, n] += release
            if gap < 0.0:
                out[5, n] += initial - equity
            if gap_least == gap_least and not gap >= gap_least:
                gap_least = gap
            if not unit_is_live(b, u) and equity >= 0.0:
                continue
            if not np.isfinite(gap):
                worst = -1
            elif worst >= 0:
                worst = max(worst, _state(equity, maintenance, call, initial, release))
        out[6, n] = gap_least
        a = b.account_numeraire[n]
        if a >= 0:
            for i in range(7):
                out[i, n] /= price[a]
        state[n] = worst


@njit(cache=True)
def _state(equity: float, maintenance: float, call: float, initial: float, release: float) -> int:
    if equity < maintenance:
        return 4
    if equity < call:
        return 3
    if equity < initial:
        return 2
    if equity <= release:
        return 1
    return 0


def margin_levels(book: Book, prices: FloatArray) -> MarginLevels:
    """Compute the four levels of every account.

    Parameters
    ----------
    book : Book
        n accounts.
    prices : ndarray, shape (A,) or (n, A)
        Mark prices, for all accounts or one row for each; NaN only where no account depends on it.

    Returns
    -------
    MarginLevels
        Arrays of shape (n,).

    Raises
    ------
    InputError
        If the shape of `prices` fits neither, or the book has options without sheets.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> from models.account import Account, Collateral, Position
    >>> account = Account(account_id="a", as_of=datetime(2025, 3, 1, tzinfo=timezone.utc),
    ...     ruleset="generic-linear", currency="USDT", collateral=(Collateral(asset="USDT", quantity=9000.0),),
    ...     positions=(Position(symbol="BTC/USDT:USDT", quantity=1.0, entry_price=84_000.0),))
    >>> book, _ = Book.from_accounts([account], ["BTC"])
    >>> float(margin_levels(book, np.array([80_000.0])).equity[0])
    5000.0
    """
    require_sheets(book)
    prices = np.ascontiguousarray(prices, np.float64)
    if prices.shape not in ((len(book.assets),), (len(book), len(book.assets))):
        raise InputError("prices", prices.shape, f"shape ({len(book.assets)},) or ({len(book)}, {len(book.assets)})")
    out = np.zeros((7, len(book)))
    state = np.zeros(len(book), np.int64)
    _kernel(book.arrays, np.atleast_2d(prices), prices.ndim == 1, out, state)
    equity, maintenance, call, initial, release, call_amount, gap_call = out
    return MarginLevels(equity, maintenance, call, initial, release, call_amount, gap_call, state)
