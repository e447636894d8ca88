"""Realised volatility of the last thirty days: what stands in for implied volatility where no index exists."""

from __future__ import annotations

import numpy as np

from models.market import MarketPanel
from models.typing import FloatArray, IntArray

__all__ = ["month_volatility"]

_MINUTES_A_YEAR = 365 * 1440
_LEAST = 1e-3


def month_volatility(panel: MarketPanel, bar: IntArray) -> FloatArray:
    """Root mean square of the returns of the 30 days up to and with a bar, a year.

    Parameters
    ----------
    panel : MarketPanel
        Bars.
    bar : ndarray of int64, shape (R,)
        Bars that are closed, rising; -1 where none is.

    Returns
    -------
    ndarray, shape (R, A)
        Fractions a year, at least 0.001; that floor too where there is no return. Returns across a missing bar are left
        out.
    """
    span = 30 * 1440 // panel.bar_minutes
    last = np.clip(np.asarray(bar, np.int64), 0, panel.n_bars - 1)
    first = max(0, int(last.min(initial=0)) - span)
    close = panel.close[:, first : int(last.max(initial=0)) + 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        change = np.diff(np.log(close), axis=1, prepend=np.nan)
    there = np.isfinite(change)
    square, count = np.cumsum(np.where(there, change, 0.0) ** 2, axis=1), np.cumsum(there, axis=1)
    now = last - first
    before = np.maximum(now - span, 0)
    variance = (square[:, now] - square[:, before]) / np.maximum(count[:, now] - count[:, before], 1)
    yearly = np.sqrt(variance.T * (_MINUTES_A_YEAR / panel.bar_minutes))
    return np.asarray(np.maximum(yearly, _LEAST))
