"""First-passage probability of one price: the distribution of standardised running extremes.

For every past hour u and horizon h the running minimum and maximum of the log price over the next h
hours, divided by the volatility that was forecast at u, are one draw. Their empirical survival
function answers "how likely is a barrier at z forecast deviations reached within h" for any asset
and any instant. Beyond the largest draws the tail goes on as a power law. Where a trend is given, there
are three such functions, after falls, in calm and after rises, and an instant is interpolated between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit

from models.errors import InputError
from models.market import MarketPanel
from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["TREND_KNOTS", "ExtremeTable", "running_extremes"]

_STEP = 0.02
_CELLS = 601  # z from 0 to 12
_TAIL_COUNT = 30
_TAIL_POWER = 4.0
_LEAST_DRAWS = 500
TREND_KNOTS: Final = (-1.5, 0.0, 1.5)
"""Trends, in deviations, that the tables stand for."""


@njit(cache=True)
def running_extremes(high: FloatArray, low: FloatArray, close: FloatArray, hours: IntArray) -> FloatArray:
    """Log running maximum and minimum after each close.

    Parameters
    ----------
    high, low, close : ndarray, shape (T,)
        Hourly bars of one asset.
    hours : ndarray of int
        Horizons, rising.

    Returns
    -------
    ndarray, shape (2, len(hours), T)
        ``[0]`` the largest log rise, ``[1]`` the largest log fall (both >= 0) over bars t+1 .. t+h; NaN where a
        bar is missing or the data end before.
    """
    n = len(close)
    out = np.full((2, len(hours), n), np.nan)
    for t in range(n):
        if not np.isfinite(close[t]):
            continue
        top, bottom, k = 0.0, np.inf, 0
        for j in range(1, hours[-1] + 1):
            if t + j >= n or not np.isfinite(close[t + j]):
                break
            top = max(top, high[t + j])
            bottom = min(bottom, low[t + j])
            if j == hours[k]:
                out[0, k, t] = max(0.0, np.log(top / close[t]))
                out[1, k, t] = max(0.0, np.log(close[t] / bottom))
                k += 1
    return out


@dataclass(frozen=True, slots=True, eq=False)
class ExtremeTable:
    """Survival of the standardised running extremes on a grid of z.

    Parameters
    ----------
    survival : ndarray, shape (B, 2, H, 601)
        One table (B = 1), or one for each of `TREND_KNOTS`. In each ``[0]`` for barriers above, ``[1]`` for barriers
        below; at z = 0, 0.02, ... 12; starts at 1, never rises.
    """

    survival: FloatArray

    @classmethod
    def fit(
        cls, panel: MarketPanel, total_variance: FloatArray, hours: IntArray, trend: FloatArray | None = None
    ) -> ExtremeTable:
        """Collect the draws of all assets and hours of a panel.

        Parameters
        ----------
        panel : MarketPanel
            Hourly bars; nothing beyond it is used.
        total_variance : ndarray, shape (A, T, H)
            Forecast at each close.
        hours : ndarray of int, shape (H,)
            Horizons.
        trend : ndarray, shape (A, T), optional
            Trend at each close, see `models.volatility.trend.recent_trend`; one table for all draws where None.

        Returns
        -------
        ExtremeTable
            The table. A knot with under 500 draws near it gets the table of all.

        Raises
        ------
        InputError
            If there are under 500 complete draws.
        """
        draws = np.concatenate(
            [
                running_extremes(panel.high[a], panel.low[a], panel.close[a], hours) / np.sqrt(total_variance[a].T)
                for a in range(len(panel.assets))
            ],
            axis=2,
        )
        weights = np.ones((1, draws.shape[2])) if trend is None else knot_weights(trend.ravel())
        survival = np.empty((len(weights), 2, len(hours), _CELLS))
        for knot, weight in enumerate(weights):
            for side in range(2):
                for k in range(len(hours)):
                    survival[knot, side, k] = _weighted(draws[side, k], weight)
        return cls(np.minimum.accumulate(survival, axis=3))

    def at(self, trend: FloatArray) -> FloatArray:
        """Tables of assets with these trends now.

        Parameters
        ----------
        trend : ndarray, shape (A,)
            Trend of each asset; NaN counts as none.

        Returns
        -------
        ndarray, shape (A, 2, H, 601)
            Interpolated between the knots, flat beyond them.
        """
        if len(self.survival) == 1:
            return np.broadcast_to(self.survival, (len(trend), *self.survival.shape[1:]))
        return np.asarray(np.tensordot(knot_weights(np.nan_to_num(trend)).T, self.survival, axes=1))

    def probability(self, side: int, horizon: int, z: FloatArray, trend: float = 0.0) -> FloatArray:
        """Probability that the running extreme exceeds z forecast deviations.

        Parameters
        ----------
        side : {0, 1}
            0 for a barrier above, 1 below.
        horizon : int
            Index of the horizon.
        z : ndarray
            Log distance over forecast volatility; <= 0 gives 1.
        trend : float
            Trend now.

        Returns
        -------
        ndarray
            In [0, 1], same shape as `z`.
        """
        row = np.ascontiguousarray(self.at(np.array([trend]))[0, side, horizon])
        return np.asarray(_interpolate(row, np.atleast_1d(np.asarray(z, np.float64))))


def knot_weights(trend: FloatArray) -> FloatArray:
    """Weight of each of `TREND_KNOTS` in an instant with this trend.

    Parameters
    ----------
    trend : ndarray, shape (n,)
        Trends; NaN gives NaN.

    Returns
    -------
    ndarray, shape (3, n)
        Linear between the knots, flat beyond; each column adds up to 1.

    Examples
    --------
    >>> knot_weights(np.array([-0.75, 9.0])).T.tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    """
    return np.stack([np.interp(trend, TREND_KNOTS, row) for row in np.eye(len(TREND_KNOTS))])


def _weighted(z: FloatArray, weight: FloatArray) -> FloatArray:
    """Survival of the complete draws, by weight; of all alike where the weights leave too few."""
    there = np.isfinite(z)
    if there.sum() < _LEAST_DRAWS:
        raise InputError("panel", f"{there.sum()} complete windows", "at least 500 to tabulate running extremes")
    near = there & (weight > 0.0)
    if weight[near].sum() < _LEAST_DRAWS:
        near, weight = there, np.ones(len(z))
    order = np.argsort(z[near], kind="stable")
    return _survival(z[near][order], weight[near][order])


def _survival(z: FloatArray, weight: FloatArray) -> FloatArray:
    grid = np.arange(_CELLS) * _STEP
    n = len(z)
    before = np.concatenate([[0.0], np.cumsum(weight)])
    first = max(0, n - _TAIL_COUNT)
    survival = (before[-1] - before[np.searchsorted(z, grid, side="left")]) / before[-1]
    survival[0] = 1.0
    beyond: BoolArray = grid > z[first]
    survival[beyond] = (before[-1] - before[first]) / before[-1] * (z[first] / grid[beyond]) ** _TAIL_POWER
    return np.asarray(survival, np.float64)


@njit(cache=True)
def lookup(survival: FloatArray, z: float) -> float:
    """Log-linear interpolation of one survival row; a power law beyond the grid."""
    if not z > 0.0:
        return 1.0
    x = z / _STEP
    k = int(x) if x < _CELLS - 1 else _CELLS - 1
    if k >= _CELLS - 1:
        return survival[_CELLS - 1] * ((_CELLS - 1) * _STEP / z) ** _TAIL_POWER if z < np.inf else 0.0
    w = x - k
    return np.exp((1.0 - w) * np.log(survival[k]) + w * np.log(survival[k + 1]))


@njit(cache=True)
def _interpolate(survival: FloatArray, z: FloatArray) -> FloatArray:
    out = np.empty(len(z))
    for i in range(len(z)):
        out[i] = lookup(survival, z[i])
    return out
