"""The prior's own quantiles of the call amount, for comparison: simulated for the accounts that were called."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.book import Book
from models.predictor.amounts import AMOUNT_LEVELS
from models.prior import PriorState
from models.simulated_calls import call_quantiles, simulate_calls
from models.typing import HORIZONS, BoolArray, FloatArray

__all__ = ["SIMULATED", "add_simulated", "empty_simulated"]

SIMULATED: Final = tuple(f"simulated_q{round(100 * level)}" for level in AMOUNT_LEVELS)
"""Columns of ``Dataset.extra``, shape (n, 4): quantiles given a call within each horizon; NaN where no call came."""


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
