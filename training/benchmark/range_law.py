"""The law of the range of one hour of the simulated market, given its return: what a bar says about volatility.

A bar is summed up in its return c and in the variance of Rogers and Satchell, u = h (h - c) + l (l - c), with h and l
its high and low over the open in log price. In deviations of the hour, u of a walk of some steps has a law that depends
on |c| alone, with an atom at 0 (open and close are the extremes). It is counted on drawn walks. Normal scores of u of
two assets, given their returns, are correlated the more, the more the walks are.

References
----------
Rogers and Satchell (1991), "Estimating Variance from High, Low and Closing Prices", Annals of Applied Probability 1(4).
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from scipy.ndimage import gaussian_filter1d
from scipy.stats import norm

from models.typing import FloatArray, IntArray

__all__ = ["RETURN_STEP", "U_HIGH", "U_LOW", "RangeLaw", "range_law", "rogers_satchell"]

RETURN_STEP: Final = 0.1
"""Width of a row of the tables, |c| in deviations."""
U_LOW: Final = -9.5
U_HIGH: Final = 3.0
"""Ends of the columns, log u in squared deviations; the first column is the atom."""
_ROWS: Final = 36
_COLUMNS: Final = 625
_WALKS: Final = 4_000_000
_PAIRS: Final = 60_000
_STEPS: Final = np.linspace(0.2, 0.98, 14)
_LEAST: Final = 1e-4


class RangeLaw(NamedTuple):
    """Tables of log u given |c|."""

    log_density: FloatArray  # (36, 625); the atom's is that of its share over a column
    score: FloatArray  # (36, 625) normal score of the middle of the column
    correlation: FloatArray  # (14,) of walks
    score_correlation: FloatArray  # (14,) of their scores


def range_law(steps: int, seed: int = 0) -> RangeLaw:
    """Count the law on drawn walks.

    Parameters
    ----------
    steps : int
        Steps of the path inside an hour.
    seed : int
        Seed of the walks.

    Returns
    -------
    RangeLaw
        The tables.
    """
    rng = np.random.default_rng(seed)
    width = (U_HIGH - U_LOW) / _COLUMNS
    u, c = _walks(_WALKS, 0.0, steps, 1, rng)
    count = np.zeros((_ROWS, _COLUMNS))
    np.add.at(count, _cell(u[:, 0], c[:, 0]), 1.0)
    share = count / np.maximum(count.sum(axis=1, keepdims=True), 1.0)
    atom = share[:, 0].copy()
    share[:, 0] = 0.0
    share = gaussian_filter1d(share, 4.0, axis=1)
    share[:, 0] = atom
    density = gaussian_filter1d(share, 0.7, axis=0) + 1e-7
    density /= density.sum(axis=1, keepdims=True) * width
    middle = np.cumsum(density, axis=1) * width - 0.5 * density * width
    score = norm.ppf(np.clip(middle, 1e-6, 1.0 - 1e-6))
    pairs = [_walks(_PAIRS, float(rho), steps, 2, rng) for rho in _STEPS]
    alike = [np.corrcoef(score[_cell(*pair)], rowvar=False)[0, 1] for pair in pairs]
    return RangeLaw(np.log(density), score, _STEPS.copy(), np.maximum.accumulate(np.clip(alike, 0.0, 0.97)))


def rogers_satchell(high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    """Variance of Rogers and Satchell of bars; 0 where open and close are the extremes.

    Parameters
    ----------
    high, low, close : ndarray
        Log price over that of the open.

    Returns
    -------
    ndarray
        Squared log price.

    Examples
    --------
    >>> rogers_satchell(np.array([2.0, 1.0]), np.array([-1.0, 0.0]), np.array([1.0, 1.0])).tolist()
    [4.0, 0.0]
    """
    return np.asarray(high * (high - close) + low * (low - close), np.float64)


def _cell(u: FloatArray, c: FloatArray) -> tuple[IntArray, IntArray]:
    """Row and column of the tables; 0 for u at or below the least is the atom."""
    row = np.minimum((np.abs(c) / RETURN_STEP).astype(np.int64), _ROWS - 1)
    with np.errstate(divide="ignore"):
        place = (np.log(u) - U_LOW) / (U_HIGH - U_LOW) * _COLUMNS
    column = np.where(u > _LEAST, np.clip(place, 1.0, _COLUMNS - 1.0), 0.0).astype(np.int64)
    return np.asarray(row), np.asarray(column)


@njit(cache=True)
def _walks(  # pragma: no cover - compiled
    n: int, rho: float, steps: int, assets: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Rogers and Satchell's variance and return of correlated walks of unit variance, both (n, assets)."""
    u, c, common = np.empty((n, assets)), np.empty((n, assets)), np.empty(steps)
    both, alone = math.sqrt(rho / steps), math.sqrt((1.0 - rho) / steps)
    for i in range(n):
        for k in range(steps):
            common[k] = rng.standard_normal()
        for a in range(assets):
            x = high = low = 0.0
            for k in range(steps):
                x += both * common[k] + alone * rng.standard_normal()
                high, low = max(high, x), min(low, x)
            u[i, a] = high * (high - x) + low * (low - x)
            c[i, a] = x
    return u, c
