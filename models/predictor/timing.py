"""When a call comes, given that it comes: the curve of P(call by h), read as a distribution.

Between the horizons P(call by t) is a monotone cubic in ``log(1 + t / 1 h)`` (Fritsch and Carlson, 1980), on full
hours. Times are those of the close of the hour in which the call comes, as in the labels of hourly bars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit

from models.errors import InputError
from models.predictor.adaptive import AdaptiveLevels
from models.typing import HORIZONS, FloatArray

__all__ = ["TIME_LEVELS", "TimeModel", "curve"]

TIME_LEVELS: Final = (0.1, 0.9)
"""Stated levels of the two ends of the interval of the time to a call."""
_STEPS: Final = np.array(HORIZONS, np.int64) // 60
_KNOT: Final = np.log1p(np.concatenate([[0.0], _STEPS.astype(np.float64)]))
_GRID: Final = np.log1p(np.arange(int(_STEPS[-1]) + 1, dtype=np.float64))


@dataclass(frozen=True, slots=True)
class TimeModel:
    """Expected time to a call within each horizon, and an interval.

    Parameters
    ----------
    low, high : tuple of float, one a horizon
        Levels of the curve at which the interval ends, such that a tenth of the calls came before, and a tenth
        after; 0 <= low < high <= 1.
    """

    low: tuple[float, ...] = (TIME_LEVELS[0],) * len(HORIZONS)
    high: tuple[float, ...] = (TIME_LEVELS[1],) * len(HORIZONS)

    def __post_init__(self) -> None:
        low, high = np.asarray(self.low, np.float64), np.asarray(self.high, np.float64)
        if low.shape != high.shape or low.shape != (len(HORIZONS),) or not ((low >= 0) & (low < high)).all():
            raise InputError("low", (self.low, self.high), f"{len(HORIZONS)} pairs 0 <= low < high <= 1")
        if not (high <= 1.0).all():
            raise InputError("high", self.high, "levels up to 1")

    def times(self, p: FloatArray, adaptive: AdaptiveLevels | None = None) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Expected minutes to a call, given one within each horizon, and the ends of its interval.

        Parameters
        ----------
        p : ndarray of float, shape (n, 4)
            P(call) by horizon, non-decreasing along a row.
        adaptive : AdaptiveLevels, optional
            Levels that have followed the calls seen since the training.

        Returns
        -------
        expected, low, high : ndarray of float, shape (n, 4)
            Minutes; NaN where P is 0 or NaN.

        Examples
        --------
        >>> expected, low, high = TimeModel().times(np.array([[0.1, 0.1, 0.1, 0.1], [0.0, 0.0, 0.2, 0.2]]))
        >>> expected[0].tolist(), bool(240 < low[1, 2] <= expected[1, 2] <= high[1, 2] <= 1440)
        ([60.0, 60.0, 60.0, 60.0], True)
        """
        ends = np.array([*zip(self.low, self.high, strict=True)])
        if adaptive is not None:
            ends = np.clip(ends + adaptive.shift, 0.0, 1.0)
        out = np.empty((3, *p.shape))
        _times(np.ascontiguousarray(p, np.float64), ends, _KNOT, _GRID, _STEPS, out)
        return out[0], out[1], out[2]

    def as_dict(self) -> dict[str, list[float]]:
        """Give the fields for JSON."""
        return {"low": list(self.low), "high": list(self.high)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> TimeModel:
        """Read what :meth:`as_dict` gave; checks the values."""
        low, high = (tuple(float(v) for v in fields[name]) for name in ("low", "high"))
        return cls(low, high)


def curve(p: FloatArray) -> FloatArray:
    """P(call by t) on full hours.

    Parameters
    ----------
    p : ndarray of float, shape (n, 4)
        P(call) by horizon, non-decreasing along a row.

    Returns
    -------
    ndarray of float, shape (n, 73)
        At 0, 1, ... 72 hours; non-decreasing, and equal to ``p`` at the horizons.

    Examples
    --------
    >>> curve(np.array([[0.1, 0.2, 0.4, 0.5]]))[0, [0, 1, 4, 24, 72]].round(12).tolist()
    [0.0, 0.1, 0.2, 0.4, 0.5]
    """
    out = np.empty((len(p), len(_GRID)))
    for i in range(len(p)):
        _curve(np.ascontiguousarray(p[i], np.float64), _KNOT, _GRID, out[i])
    return out


@njit(cache=True, nogil=True)
def _slopes(x: FloatArray, y: FloatArray, out: FloatArray) -> None:  # pragma: no cover - compiled
    """Slopes at the knots that keep a cubic monotone: harmonic means inside, one-sided and held at the ends."""
    n = len(x)
    for i in range(1, n - 1):
        h0, h1 = x[i] - x[i - 1], x[i + 1] - x[i]
        d0, d1 = (y[i] - y[i - 1]) / h0, (y[i + 1] - y[i]) / h1
        out[i] = 0.0
        if d0 > 0.0 and d1 > 0.0:
            w0, w1 = 2.0 * h1 + h0, h1 + 2.0 * h0
            out[i] = (w0 + w1) / (w0 / d0 + w1 / d1)
    out[0] = _end(x[1] - x[0], x[2] - x[1], (y[1] - y[0]) / (x[1] - x[0]), (y[2] - y[1]) / (x[2] - x[1]))
    a, b, c = n - 1, n - 2, n - 3
    out[a] = _end(x[a] - x[b], x[b] - x[c], (y[a] - y[b]) / (x[a] - x[b]), (y[b] - y[c]) / (x[b] - x[c]))


@njit(cache=True, inline="always")
def _end(h0: float, h1: float, d0: float, d1: float) -> float:  # pragma: no cover - compiled
    """One-sided slope of three points, from 0 to three times the secant."""
    d = ((2.0 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
    return min(max(d, 0.0), 3.0 * max(d0, 0.0))


@njit(cache=True, nogil=True)
def _curve(p: FloatArray, knot: FloatArray, grid: FloatArray, out: FloatArray) -> None:  # pragma: no cover - compiled
    """Fill P(call by t) on the grid."""
    y, slope = np.zeros(len(p) + 1), np.empty(len(p) + 1)
    y[1:] = p
    _slopes(knot, y, slope)
    k = 0
    for j in range(len(grid)):
        while k < len(p) - 1 and grid[j] > knot[k + 1]:
            k += 1
        h = knot[k + 1] - knot[k]
        t = (grid[j] - knot[k]) / h
        low, high = (1.0 + 2.0 * t) * (1.0 - t) ** 2, t * t * (3.0 - 2.0 * t)
        value = low * y[k] + high * y[k + 1] + h * t * (1.0 - t) * ((1.0 - t) * slope[k] - t * slope[k + 1])
        out[j] = min(max(value, y[k]), y[k + 1])


@njit(cache=True, nogil=True)
def _times(
    p: FloatArray, ends: FloatArray, knot: FloatArray, grid: FloatArray, steps: FloatArray, out: FloatArray
) -> None:  # pragma: no cover - compiled
    """Mean and two quantiles of the hour of a call, in minutes."""
    f = np.empty(len(grid))
    for i in range(len(p)):
        if np.isnan(p[i, -1]):
            out[:, i] = np.nan
            continue
        _curve(p[i], knot, grid, f)
        for k in range(len(steps)):
            n, whole = steps[k], p[i, k]
            if not whole > 0.0:
                out[:, i, k] = np.nan
                continue
            rest = 0.0
            for j in range(n):
                rest += 1.0 - min(f[j] / whole, 1.0)
            out[0, i, k] = 60.0 * rest
            for e in range(2):
                j = 1
                while j < n and f[j] < ends[k, e] * whole:
                    j += 1
                out[1 + e, i, k] = 60.0 * j
