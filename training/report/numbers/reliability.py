"""Reliability where the calls are: bins that hold equal expected calls, with intervals over weeks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.errors import InputError
from models.typing import FloatArray, IntArray
from training.evaluate.bootstrap import WEEK_NS

__all__ = ["Reliability", "reliability_curve"]


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Mean forecast and observed share of each bin.

    Parameters
    ----------
    count : ndarray, shape (B,)
        Forecasts.
    predicted, observed : ndarray, shape (B,)
        Mean probability, and share called.
    low, high : ndarray, shape (B,)
        95% interval of the share, weeks drawn together.
    """

    count: FloatArray
    predicted: FloatArray
    observed: FloatArray
    low: FloatArray
    high: FloatArray


def reliability_curve(
    p: FloatArray, y: FloatArray, as_of: IntArray, bins: int = 12, draws: int = 1000, seed: int = 0
) -> Reliability:
    """Group forecasts into bins of equal expected calls.

    Parameters
    ----------
    p, y : ndarray of float, shape (n,)
        Probabilities and outcomes.
    as_of : ndarray of int64, shape (n,)
        Instants, nanoseconds UTC; their weeks are the blocks of the bootstrap.
    bins : int
        Bins, at least 1; fewer where there are fewer distinct forecasts.
    draws, seed : int
        Of the bootstrap.

    Returns
    -------
    Reliability
        Bins in rising order of the forecast; empty without a forecast above 0.

    Raises
    ------
    InputError
        If ``bins`` is below one.

    Notes
    -----
    Bins of equal mass would put nine of ten among forecasts near 0, where nothing can be seen.

    Examples
    --------
    >>> p = np.repeat([0.1, 0.4], [400, 100])
    >>> found = reliability_curve(p, np.zeros(500), np.arange(500) * WEEK_NS // 50, bins=2)
    >>> found.predicted.round(3).tolist(), found.count.tolist()
    ([0.1, 0.4], [400.0, 100.0])
    """
    if bins < 1:
        raise InputError("bins", bins, "at least 1")
    total = float(p.sum())
    if not len(p) or total <= 0:
        empty = np.empty(0)
        return Reliability(empty, empty, empty, empty, empty)
    place = np.unique(p, return_inverse=True)[1]
    mass = np.cumsum(np.bincount(place, weights=p))
    group_of = np.minimum(((mass - 1e-12 * total) / total * bins).astype(np.int64), bins - 1)
    names, group_of = np.unique(group_of, return_inverse=True)
    group, width = group_of[place], len(names)
    weeks, week = np.unique(as_of // WEEK_NS, return_inverse=True)
    cell = week * width + group
    count, events, expected = (
        np.bincount(cell, weights=w, minlength=len(weeks) * width).reshape(len(weeks), width)
        for w in (np.ones(len(p)), y, p)
    )
    weight = np.random.default_rng(seed).multinomial(len(weeks), np.full(len(weeks), 1 / len(weeks)), size=draws)
    with np.errstate(invalid="ignore"):
        drawn = (weight @ events) / (weight @ count)
    low, high = np.nanquantile(drawn, (0.025, 0.975), axis=0)
    size = count.sum(axis=0)
    return Reliability(size, expected.sum(axis=0) / size, events.sum(axis=0) / size, low, high)
