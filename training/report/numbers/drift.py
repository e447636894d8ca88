"""Have the inputs moved away from the training? Share of unusual inputs, and the stability index of each column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from models.predictor.novelty import NoveltyModel
from models.predictor.predictor import MarginCallPredictor
from models.typing import Float32Array, FloatArray, IntArray
from training.dataset import Dataset
from training.report.numbers.weeks import months_of

__all__ = ["MOVED", "Inputs", "monthly_novelty", "stability", "stability_index"]

MOVED: Final = 0.25
"""Stability index from which a column is commonly taken as having moved."""
_EXPECTED: Final = np.array([0.01, 0.04, 0.05, 0.15, 0.25, 0.25, 0.15, 0.05, 0.04, 0.01])
_UPTO: Final = np.cumsum(_EXPECTED)[:-1]
_EDGES: Final = slice(2, 11)  # the quantiles from 1% to 99% of the grid
_LEAST: Final = 1e-4


def stability_index(expected: FloatArray, found: FloatArray) -> float:
    """Population stability index of two distributions over the same bins.

    Parameters
    ----------
    expected, found : ndarray of float, shape (B,)
        Shares; those below 0.0001 count as that.

    Returns
    -------
    float
        0 where they are equal.

    References
    ----------
    Yurdakul and Naranjo (2020), "Statistical properties of the population stability index", Journal of Risk Model
    Validation 14(4).

    Examples
    --------
    >>> round(stability_index(np.array([0.5, 0.5]), np.array([0.4, 0.6])), 4)
    0.0405
    """
    a, b = np.maximum(expected, _LEAST), np.maximum(found, _LEAST)
    return float(((b - a) * np.log(b / a)).sum())


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Features alone, n rows.

    Parameters
    ----------
    x : ndarray of float32, shape (n, K)
        One row for each account.
    feature_names : tuple of str, length K
        Their names.
    as_of : ndarray of int64, shape (n,)
        Instants, nanoseconds UTC.
    """

    x: Float32Array
    feature_names: tuple[str, ...]
    as_of: IntArray

    def __len__(self) -> int:
        return len(self.as_of)


def stability(dataset: Dataset | Inputs, novelty: NoveltyModel) -> tuple[list[str], dict[str, FloatArray]]:
    """Stability index of every column beside the training, by month.

    Parameters
    ----------
    dataset : Dataset
        n pairs.
    novelty : NoveltyModel
        Holds the quantiles of the training.

    Returns
    -------
    months : list of str
        In order of time.
    index : dict of str to ndarray of float
        By column, the one that moved most in any month first; NaN in months where the column is missing.

    Notes
    -----
    Where the training had many equal values, a month counts as moved only as far as its shares below and up to such a
    value do not enclose the quantile.
    """
    months, place = months_of(dataset.as_of)
    rows = dataset.x[:: len(dataset.x) // max(len(dataset), 1)] if len(dataset) else dataset.x
    found: dict[str, FloatArray] = {}
    for name, grid in zip(novelty.columns, novelty.grid, strict=True):
        if name not in dataset.feature_names:
            continue
        column = rows[:, dataset.feature_names.index(name)].astype(np.float64)
        found[name] = _by_month(column, place, len(months), grid[_EDGES])
    order = sorted(found, key=lambda name: -float(np.nan_to_num(found[name]).max(initial=0.0)))
    return months, {name: found[name] for name in order}


def monthly_novelty(dataset: Dataset | Inputs, predictor: MarginCallPredictor) -> tuple[list[str], FloatArray]:
    """Share of the accounts with an unusual input, by month.

    Parameters
    ----------
    dataset : Dataset
        n pairs.
    predictor : MarginCallPredictor
        The model.

    Returns
    -------
    months : list of str
        In order of time.
    share : ndarray of float
        In [0, 1]; NaN where the model does not know what is usual.
    """
    months, place = months_of(dataset.as_of)
    novelty = predictor.novelty_of(dataset.x[:: len(dataset.x) // max(len(dataset), 1)])[0]
    size = np.bincount(place, minlength=len(months))
    novel = np.bincount(place, weights=novelty > 1.0, minlength=len(months)) / np.maximum(size, 1)
    return months, novel if np.isfinite(novelty).any() else np.full(len(months), np.nan)


def _by_month(column: FloatArray, place: IntArray, months: int, edges: FloatArray) -> FloatArray:
    out = np.full(months, np.nan)
    known = np.isfinite(column)
    for month in range(months):
        values = np.sort(column[known & (place == month)])
        if len(values):
            below, upto = (np.searchsorted(values, edges, side=side) / len(values) for side in ("left", "right"))
            # where the training had many equal values, any share between the two is what it had
            found = np.diff(np.clip(_UPTO, below, upto), prepend=0.0, append=1.0)
            out[month] = stability_index(_EXPECTED, found)
    return out
