"""Tail measures over a rolling window, by keeping the window sorted."""

from __future__ import annotations

import numpy as np
from numba import njit

from models.typing import FloatArray

__all__ = ["limit_speed", "rolling_tails"]


@njit(cache=True, nogil=True)
def rolling_tails(
    values: FloatArray, look_back: int, least: int, confidence: float, shortfall: bool, out: FloatArray
) -> None:
    """Tails of each row over the last `look_back` columns.

    Parameters
    ----------
    values : ndarray, shape (A, T)
        NaN is left out.
    look_back : int
        Columns of the window.
    least : int
        Values that must be in the window, else NaN.
    confidence : float
        In (0, 1).
    shortfall : bool
        Expected shortfall instead of the quantile.
    out : ndarray, shape (2, A, T)
        Filled: size of the lower tail (sign turned) and of the upper tail.
    """
    window = np.empty(look_back)
    for a in range(values.shape[0]):
        n = 0
        for t in range(values.shape[1]):
            if t >= look_back and np.isfinite(values[a, t - look_back]):
                n = _remove(window, n, values[a, t - look_back])
            if np.isfinite(values[a, t]):
                n = _insert(window, n, values[a, t])
            if n >= least:
                out[0, a, t] = _tail(window, n, confidence, shortfall, False)
                out[1, a, t] = _tail(window, n, confidence, shortfall, True)
            else:
                out[0, a, t] = out[1, a, t] = np.nan


@njit(cache=True, nogil=True)
def _find(window: FloatArray, n: int, value: float) -> int:
    """First position whose value is not below `value`."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if window[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _insert(window: FloatArray, n: int, value: float) -> int:
    at = _find(window, n, value)
    for i in range(n, at, -1):
        window[i] = window[i - 1]
    window[at] = value
    return n + 1


@njit(cache=True, nogil=True)
def _remove(window: FloatArray, n: int, value: float) -> int:
    for i in range(_find(window, n, value), n - 1):
        window[i] = window[i + 1]
    return n - 1


@njit(cache=True, nogil=True)
def _tail(window: FloatArray, n: int, confidence: float, shortfall: bool, upper: bool) -> float:
    mass = n * (1.0 - confidence)
    whole = int(mass + 1e-9)
    edge = window[n - 1 - whole] if upper else -window[whole]
    if not shortfall or mass <= 1e-9:
        return edge
    total = (mass - whole) * edge
    for i in range(whole):
        total += window[n - 1 - i] if upper else -window[i]
    return total / mass


@njit(cache=True, nogil=True)
def limit_speed(rate: FloatArray, rise: float, fall: float, out: FloatArray) -> None:
    """Let each row change by at most a factor ``1 + rise`` up and ``1 - fall`` down from one column to the next.

    Parameters
    ----------
    rate : ndarray, shape (A, T)
        NaN gives NaN and leaves the last level as it is.
    rise, fall : float
        Fractions, >= 0; infinite and 1 for no limit.
    out : ndarray, shape (A, T)
        Filled.
    """
    for a in range(rate.shape[0]):
        last = np.nan
        for t in range(rate.shape[1]):
            level = rate[a, t]
            if np.isfinite(level) and np.isfinite(last) and last > 0.0:
                level = max(min(level, last * (1.0 + rise)), last * (1.0 - fall))
            out[a, t] = level
            if np.isfinite(level):
                last = level
