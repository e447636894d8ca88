"""The prior's own quantiles of the call amount: tabulated, and for comparison simulated for those that were called."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.book import Book
from models.call_sizes import call_sizes
from models.overshoot import AMOUNT_LEVELS
from models.prior import PriorModel, PriorState
from models.simulated_calls import call_quantiles, simulate_calls
from models.typing import HORIZONS, BoolArray, FloatArray, IntArray

__all__ = ["SIMULATED", "SIZED", "add_simulated", "empty_simulated", "sized"]

SIMULATED: Final = tuple(f"simulated_q{round(100 * level)}" for level in AMOUNT_LEVELS)
"""Columns of ``Dataset.extra``, shape (n, 4): quantiles given a call within each horizon; NaN where no call came."""

SIZED: Final = tuple(f"sized_q{round(100 * level)}" for level in AMOUNT_LEVELS)
"""Columns of ``Dataset.extra``, shape (n, 4): what `models.call_sizes` gives without paths."""


def empty_simulated(accounts: int) -> FloatArray:
    """Table to be filled, shape (accounts, 4, 7)."""
    return np.full((accounts, len(HORIZONS), len(AMOUNT_LEVELS)), np.nan)


def add_simulated(book: Book, price: FloatArray, state: PriorState, wanted: BoolArray, out: FloatArray) -> None:
    """Fill the quantiles of the accounts of one instant.

    Parameters
    ----------
    book : Book
        n accounts.
    price : ndarray, shape (A,)
        Prices of the instant.
    state : PriorState
        Of the instant.
    wanted : ndarray of bool, shape (n,)
        Accounts to simulate.
    out : ndarray of float, shape (n, 4, 7)
        Filled where wanted.
    """
    rows = np.flatnonzero(wanted)
    if len(rows):
        minutes, amount = simulate_calls(book.take(rows), price, state)
        out[rows] = call_quantiles(minutes, amount, np.array(HORIZONS), AMOUNT_LEVELS)


def sized(book: Book, row: IntArray, price: FloatArray, sigma: FloatArray, prior: PriorModel) -> dict[str, FloatArray]:
    """Tabulated quantiles of the call amount of accounts at R instants.

    Parameters
    ----------
    book : Book
        n accounts.
    row : ndarray of int64, shape (n,)
        Instant of each account.
    price : ndarray of float, shape (R, A)
        Prices of each instant.
    sigma : ndarray of float, shape (R, A, 4)
        Volatility of each asset to each horizon.
    prior : PriorModel
        The prior.

    Returns
    -------
    dict of str to ndarray of float, shape (n, 2, 4)
        The columns `SIZED`, at both levels for the table's sake; none where the prior has no table of overshoots.
    """
    if prior.overshoot is None:
        return {}
    correlation, out = prior.correlation(book.assets), empty_simulated(len(book))
    for r in range(len(price)):
        rows = np.flatnonzero(row == r)
        out[rows] = call_sizes(book.take(rows), price[r], sigma[r], correlation, prior.overshoot)
    return {name: np.repeat(out[:, None, :, i], 2, axis=1) for i, name in enumerate(SIZED)}
