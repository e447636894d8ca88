"""The reflection principle: what baselines B2 and B3 say."""

from __future__ import annotations

import numpy as np

from features.account import ACCOUNT_FEATURES, account_features
from models.book import Book
from models.typing import HORIZONS, FloatArray, IntArray

__all__ = ["reflection"]

_SIGMA = [ACCOUNT_FEATURES.index(f"distance_sigma_{h}") for h in HORIZONS]


def reflection(
    book: Book, price: FloatArray, row: IntArray, sigma: FloatArray, levels: FloatArray, loading: FloatArray
) -> FloatArray:
    """Twice the normal tail beyond the distance in sigmas.

    Parameters
    ----------
    book : Book
        n accounts over A assets.
    price : ndarray, shape (R, A)
        Prices of R market states.
    row : ndarray of int64, shape (n,)
        State of each account.
    sigma : ndarray, shape (R, A, 4)
        Volatility of the log price to each horizon.
    levels : ndarray, shape (n, L)
        Levels as multiples of maintenance.
    loading : ndarray, shape (R, A)
        Correlation of each asset to the common factor.

    Returns
    -------
    ndarray, shape (n, L, 4)
        Probabilities; exact for a driftless Brownian motion of one price.
    """
    from scipy.special import ndtr

    out = np.empty((*levels.shape, len(HORIZONS)))
    for level in range(levels.shape[1]):
        figures = account_features(book, price, sigma, levels[:, level], loading, row)
        out[:, level] = np.minimum(2.0 * ndtr(-figures[:, _SIGMA]), 1.0)
    return out
