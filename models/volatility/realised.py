"""Realised variance of bars, from ranges and returns."""

from __future__ import annotations

import numpy as np

from models.typing import FloatArray

__all__ = ["bar_variance", "forward_mean", "trailing_mean"]

_GK = 2.0 * np.log(2.0) - 1.0
_FLOOR = 1e-10


def bar_variance(open_: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    """Garman-Klass variance of each bar, plus the squared jump from the close before.

    Parameters
    ----------
    open_, high, low, close : ndarray, shape (A, T)
        Prices; NaN where the bar is missing.

    Returns
    -------
    ndarray, shape (A, T)
        Variance of the log price over the bar, floored at 1e-10; NaN where the bar is missing.

    Notes
    -----
    Valid for continuous trading with small drift; biased low when the bar holds few trades.

    References
    ----------
    Garman and Klass (1980), "On the Estimation of Security Price Volatilities from Historical Data",
    Journal of Business 53, eq. 19 in its simple form.

    Examples
    --------
    >>> bar = np.array([[100.0]]), np.array([[102.0]]), np.array([[99.0]]), np.array([[101.0]])
    >>> round(float(bar_variance(*bar)[0, 0]) * 1e4, 3)
    4.074
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.log(high / low)
        body = np.log(close / open_)
        jump = np.zeros_like(body)
        jump[:, 1:] = np.nan_to_num(np.log(open_[:, 1:] / close[:, :-1]))
        variance = 0.5 * spread**2 - _GK * body**2 + jump**2
    return np.where(np.isfinite(variance), np.maximum(variance, _FLOOR), np.nan)


def trailing_mean(values: FloatArray, window: int, least: float = 0.5) -> FloatArray:
    """Mean over the last `window` columns that are present.

    Parameters
    ----------
    values : ndarray, shape (A, T)
        NaN is skipped.
    window : int
        Columns.
    least : float
        Share of the window that must be present, else NaN.

    Returns
    -------
    ndarray, shape (A, T)
        At column t the mean over t-window+1 .. t.

    Examples
    --------
    >>> trailing_mean(np.array([[1.0, 3.0, 5.0]]), 2).tolist()
    [[1.0, 2.0, 4.0]]
    """
    there = np.isfinite(values)
    total = np.cumsum(np.where(there, values, 0.0), axis=1)
    count = np.cumsum(there, axis=1)
    total[:, window:] = total[:, window:] - total[:, :-window]
    count[:, window:] = count[:, window:] - count[:, :-window]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count >= max(1.0, least * window), np.maximum(total, 0.0) / count, np.nan)


def forward_mean(values: FloatArray, window: int) -> FloatArray:
    """Mean over the next `window` columns, t+1 .. t+window; NaN at the end of the data.

    Parameters
    ----------
    values : ndarray, shape (A, T)
        NaN is skipped.
    window : int
        Columns.

    Returns
    -------
    ndarray, shape (A, T)
        For fitting only: it looks ahead.

    Examples
    --------
    >>> forward_mean(np.array([[1.0, 3.0, 5.0]]), 2).tolist()
    [[4.0, nan, nan]]
    """
    out = np.full_like(values, np.nan)
    if values.shape[1] > window:
        out[:, :-window] = trailing_mean(values, window, least=0.9)[:, window:]
    return out
