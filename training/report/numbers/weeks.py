"""The course of a period: where the gain came from, and calibration by month."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from models.typing import BoolArray, FloatArray, IntArray
from training.evaluate.bootstrap import WEEK_NS
from training.evaluate.metrics import losses

__all__ = ["cumulative_gain", "months_of", "monthly_ratio"]


def cumulative_gain(
    p: FloatArray, reference: FloatArray, y: BoolArray, usable: BoolArray, as_of: IntArray
) -> tuple[IntArray, FloatArray]:
    """Log loss saved against a reference up to the end of each week.

    Parameters
    ----------
    p, reference : ndarray of float, shape (n, 4)
        Forecasts.
    y, usable : ndarray of bool, shape (n, 4)
        Outcomes, and whether they are known.
    as_of : ndarray of int64, shape (n,)
        Instants, nanoseconds UTC.

    Returns
    -------
    weeks : ndarray of int64, shape (w,)
        First instant of each week.
    gain : ndarray of float, shape (w,)
        Loss saved so far, as a share of the loss of the reference over the whole period.

    Examples
    --------
    >>> p, b, known = np.full((2, 4), 0.1), np.full((2, 4), 0.5), np.ones((2, 4), bool)
    >>> cumulative_gain(p, b, ~known, known, np.array([0, WEEK_NS]))[1].round(3).tolist()
    [0.424, 0.848]
    """
    outcome = y.astype(np.float64)
    mine = np.where(usable, losses(p, outcome), 0.0).sum(axis=1)
    theirs = np.where(usable, losses(reference, outcome), 0.0).sum(axis=1)
    weeks, place = np.unique(as_of // WEEK_NS, return_inverse=True)
    saved = np.bincount(place, weights=theirs - mine, minlength=len(weeks))
    total = float(theirs.sum())
    return np.asarray(weeks * WEEK_NS, np.int64), np.cumsum(saved) / total if total > 0 else np.full(len(weeks), np.nan)


def months_of(as_of: IntArray) -> tuple[list[str], IntArray]:
    """Calendar months of instants.

    Parameters
    ----------
    as_of : ndarray of int64, shape (n,)
        Nanoseconds UTC.

    Returns
    -------
    names : list of str
        Months that occur, for example ``"2025-03"``.
    place : ndarray of int64, shape (n,)
        Index of each instant's.

    Examples
    --------
    >>> months_of(np.array([0, 40 * 86_400 * 10**9]))[0]
    ['1970-01', '1970-02']
    """
    month = as_of.astype("datetime64[ns]").astype("datetime64[M]")
    names, place = np.unique(month, return_inverse=True)
    return [str(name) for name in names], np.asarray(place, np.int64)


def monthly_ratio(
    forecasts: Mapping[str, FloatArray], y: BoolArray, usable: BoolArray, as_of: IntArray
) -> tuple[list[str], dict[str, FloatArray], IntArray]:
    """Predicted over observed calls by month, over all horizons.

    Parameters
    ----------
    forecasts : mapping of str to ndarray of float, shape (n, 4)
        Forecasts by name.
    y, usable : ndarray of bool, shape (n, 4)
        Outcomes, and whether they are known.
    as_of : ndarray of int64, shape (n,)
        Instants, nanoseconds UTC.

    Returns
    -------
    months : list of str
        In order of time.
    ratio : dict of str to ndarray of float
        By forecast; NaN in months without calls.
    calls : ndarray of int64
        By month.

    Examples
    --------
    >>> known = np.ones((1, 4), bool)
    >>> monthly_ratio({"a": np.full((1, 4), 0.5)}, known, known, np.array([0]))[1]["a"].tolist()
    [0.5]
    """
    months, place = months_of(as_of)
    calls = np.bincount(place, weights=(y & usable).sum(axis=1), minlength=len(months))
    ratio = {}
    for name, p in forecasts.items():
        said = np.bincount(place, weights=np.where(usable, p, 0.0).sum(axis=1), minlength=len(months))
        ratio[name] = np.where(calls > 0, said / np.maximum(calls, 1), np.nan)
    return months, ratio, np.asarray(calls, np.int64)
