"""How far beyond a level the extreme of the hour lies in which the price passed it.

For every past hour u, horizon h and barrier at z forecast deviations, the first hour within h whose low (or high) lies
beyond the barrier is one draw: its distance beyond, in deviations of one hour. Quantiles of these draws over a grid of
z, for barriers above and below, say how large a margin call is once the price that calls it is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit

from models.errors import InputError
from models.market import MarketPanel
from models.typing import FloatArray, IntArray

__all__ = ["AMOUNT_LEVELS", "OVERSHOOT_NODES", "OvershootTable", "overshoot_at"]

AMOUNT_LEVELS: Final = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
"""Quantile levels of the overshoot and of the call amount."""
OVERSHOOT_NODES: Final = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)
"""Distances of the barrier, forecast deviations to the horizon."""
_NODES: Final = np.array(OVERSHOOT_NODES)
_LEAST_DRAWS: Final = 400
_BINS: Final = 400
_LOW, _HIGH = np.log(1e-4), np.log(100.0)


@dataclass(frozen=True, slots=True, eq=False)
class OvershootTable:
    """Quantiles of the distance beyond a barrier at its first passage.

    Parameters
    ----------
    quantile : ndarray of float, shape (2, 4, 17, 7)
        ``[0]`` for barriers above, ``[1]`` below; by horizon, node of `OVERSHOOT_NODES` and level of `AMOUNT_LEVELS`;
        log price over the deviation of one hour (that to the horizon over the root of its hours). Rising along the
        last axis.
    """

    quantile: FloatArray

    def __post_init__(self) -> None:
        shape = (2, self.quantile.shape[1] if self.quantile.ndim == 4 else 4, len(_NODES), len(AMOUNT_LEVELS))
        if self.quantile.shape != shape or not np.isfinite(self.quantile).all():
            raise InputError("quantile", self.quantile.shape, f"finite, of shape {shape}")
        if (self.quantile < 0.0).any() or (np.diff(self.quantile, axis=3) < 0.0).any():
            raise InputError("quantile", "falling or negative", "values >= 0 that rise with the level")

    @classmethod
    def fit(cls, panel: MarketPanel, total_variance: FloatArray, hours: IntArray) -> OvershootTable:
        """Collect the draws of all assets and hours of a panel.

        Parameters
        ----------
        panel : MarketPanel
            Hourly bars; nothing beyond it is used.
        total_variance : ndarray, shape (A, T, H)
            Forecast at each close.
        hours : ndarray of int, shape (H,)
            Horizons.

        Returns
        -------
        OvershootTable
            The table. Beyond the last node with 400 draws the quantiles grow in proportion to the distance, as those
            of a power law do.
        """
        counts = np.zeros((2, len(hours), len(_NODES), _BINS))
        for a in range(len(panel.assets)):
            _count(panel.high[a], panel.low[a], panel.close[a], np.sqrt(total_variance[a]), hours, _NODES, counts)
        out = np.empty((2, len(hours), len(_NODES), len(AMOUNT_LEVELS)))
        for side in range(2):
            for k in range(len(hours)):
                out[side, k] = _quantiles(counts[side, k])
        return cls(out)


@njit(cache=True, inline="always")
def overshoot_at(rows: FloatArray, z: float, level: int) -> float:
    """Interpolate one quantile over the nodes, shape (17, 7), at a distance; in proportion to it beyond the last."""
    last = len(_NODES) - 1
    if z >= _NODES[last]:
        return rows[last, level] * z / _NODES[last]
    k = 0
    while _NODES[k + 1] <= z:
        k += 1
    w = (max(z, 0.0) - _NODES[k]) / (_NODES[k + 1] - _NODES[k])
    return rows[k, level] + w * (rows[k + 1, level] - rows[k, level])


@njit(cache=True)
def _count(  # pragma: no cover - compiled
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    deviation: FloatArray,
    hours: IntArray,
    nodes: FloatArray,
    counts: FloatArray,
) -> None:
    """Add the first passages of one asset to ``counts``, shape (2, H, nodes, bins)."""
    last = hours[-1]
    passed = np.empty(len(hours), np.int64)
    for t in range(len(close) - last):
        if not (np.isfinite(close[t : t + last + 1]).all() and np.isfinite(deviation[t]).all()):
            continue
        for side in range(2):
            passed[:] = 0
            reach = 1.0
            for j in range(1, last + 1):
                ratio = high[t + j] / close[t] if side == 0 else close[t] / low[t + j]
                if ratio > reach or (ratio == 1.0 and passed[-1] == 0):
                    reach = ratio
                    _pass(np.log(ratio), j, deviation[t], hours, nodes, passed, counts[side])


@njit(cache=True)
def _pass(  # pragma: no cover - compiled
    move: float,
    hour: int,
    deviation: FloatArray,
    hours: IntArray,
    nodes: FloatArray,
    passed: IntArray,
    counts: FloatArray,
) -> None:
    """Count the nodes of each horizon that a new extreme in this hour passes."""
    for k in range(len(hours)):
        z = move / deviation[k]
        while hour <= hours[k] and passed[k] < len(nodes) and nodes[passed[k]] <= z:
            counts[k, passed[k], _bin((z - nodes[passed[k]]) * np.sqrt(hours[k]))] += 1.0
            passed[k] += 1


@njit(cache=True, inline="always")
def _bin(beyond: float) -> int:
    if beyond <= 1e-4:
        return 0
    return int(min(max((np.log(beyond) - _LOW) / (_HIGH - _LOW) * _BINS, 0.0), _BINS - 1.0))


def _quantiles(counts: FloatArray) -> FloatArray:
    """Quantiles of each node of one side and horizon, shape (nodes, 7)."""
    edges = np.exp(np.linspace(_LOW, _HIGH, _BINS + 1))
    edges[0] = 0.0
    out = np.zeros((len(_NODES), len(AMOUNT_LEVELS)))
    for i, row in enumerate(counts):
        if row.sum() >= _LEAST_DRAWS:
            share = np.concatenate([[0.0], np.cumsum(row) / row.sum()])
            out[i] = np.interp(AMOUNT_LEVELS, share, edges)
        elif i > 0:
            out[i] = out[i - 1] * (_NODES[i] / _NODES[i - 1] if _NODES[i - 1] > 0.0 else 1.0)
    return np.maximum.accumulate(out, axis=1)
