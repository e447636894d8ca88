"""Scores of probabilities against outcomes, each written out so that its definition can be read.

All functions take ``p`` (probabilities) and ``y`` (0 or 1) of shape (n,), without NaN; an empty or one-class input
gives NaN where the score is undefined.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.errors import InputError
from models.typing import BoolArray, FloatArray, IntArray
from training.evaluate.decisions import decision_curve

CLIP = 1e-6
ECE_BINS = 20
BUDGETS = (0.01, 0.02)

NAN = float("nan")


class Order(NamedTuple):
    """Rows in order of a score, sorted once for all measures of it; equal scores stay in the order of the rows."""

    rising: IntArray
    falling: IntArray
    first: IntArray
    """First place of each distinct score in ``rising``."""

    @classmethod
    def of(cls, p: FloatArray) -> Order:
        """Sort the rows of a score, shape (n,)."""
        rising = np.argsort(p, kind="stable")
        first = np.flatnonzero(np.diff(p[rising], prepend=np.nan))
        count = np.diff(np.append(first, len(p)))[::-1]
        shift = np.repeat(first[::-1] - (np.cumsum(count) - count), count)
        return cls(rising, rising[np.arange(len(p)) + shift], first)


def losses(p: FloatArray, y: FloatArray) -> FloatArray:
    """Log loss of each row, with ``p`` clipped to [1e-6, 1 - 1e-6].

    Parameters
    ----------
    p, y : ndarray of float, shape (n,)
        Probabilities and outcomes.

    Returns
    -------
    ndarray of float, shape (n,)
        Losses in nats.

    Examples
    --------
    >>> losses(np.array([0.5]), np.array([1.0])).round(4).tolist()
    [0.6931]
    """
    clipped = np.clip(p, CLIP, 1.0 - CLIP)
    return np.asarray(-np.where(y > 0.5, np.log(clipped), np.log1p(-clipped)), dtype=np.float64)


def log_loss(p: FloatArray, y: FloatArray) -> float:
    """Mean log loss.

    Parameters
    ----------
    p, y : ndarray of float, shape (n,)
        Probabilities and outcomes.

    Returns
    -------
    float
        Nats; NaN without rows.

    Examples
    --------
    >>> round(log_loss(np.array([0.9, 0.1]), np.array([1.0, 0.0])), 4)
    0.1054
    """
    return float(losses(p, y).mean()) if len(y) else NAN


def brier(p: FloatArray, y: FloatArray) -> float:
    """Mean squared error of the probability.

    Parameters
    ----------
    p, y : ndarray of float, shape (n,)
        Probabilities and outcomes.

    Returns
    -------
    float
        In [0, 1]; NaN without rows.

    Examples
    --------
    >>> round(brier(np.array([0.9, 0.2]), np.array([1.0, 0.0])), 4)
    0.025
    """
    return float(((p - y) ** 2).mean()) if len(y) else NAN


def reliability(
    p: FloatArray, y: FloatArray, bins: int = ECE_BINS, order: Order | None = None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Group rows into bins of equal mass by ``p`` (equal values stay in their order, a bin never being empty).

    Parameters
    ----------
    p, y : ndarray of float, shape (n,)
        Probabilities and outcomes.
    bins : int
        Number of bins; fewer if there are fewer rows.
    order : Order, optional
        Of ``p``, where it is known already.

    Returns
    -------
    count, predicted, observed : ndarray of float
        Rows, mean probability and observed rate of each bin.

    Raises
    ------
    InputError
        If ``bins`` is below one.

    Examples
    --------
    >>> reliability(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.0, 0.0, 1.0, 1.0]), bins=2)[2].tolist()
    [0.0, 1.0]
    """
    if bins < 1:
        raise InputError("bins", bins, "at least 1")
    rising = (order or Order.of(p)).rising
    edges = np.unique(np.linspace(0, len(p), min(bins, max(len(p), 1)) + 1).astype(np.int64))
    if len(p) == 0:
        empty = np.empty(0)
        return empty, empty, empty
    count = np.diff(edges).astype(np.float64)
    predicted = np.add.reduceat(p[rising], edges[:-1]) / count
    observed = np.add.reduceat(y[rising].astype(np.float64), edges[:-1]) / count
    return count, predicted, observed


def ece(p: FloatArray, y: FloatArray, bins: int = ECE_BINS, order: Order | None = None) -> float:
    """Expected calibration error over bins of equal mass (20 by default).

    Parameters
    ----------
    p, y : ndarray of float, shape (n,)
        Probabilities and outcomes.
    bins : int
        Number of bins.
    order : Order, optional
        Of ``p``, where it is known already.

    Returns
    -------
    float
        Mean absolute difference of predicted and observed, weighted by rows; NaN without rows.

    Examples
    --------
    >>> ece(np.array([0.25, 0.25, 0.25, 0.25]), np.array([0.0, 0.0, 0.0, 1.0]), bins=1)
    0.0
    """
    if not len(y):
        return NAN
    count, predicted, observed = reliability(p, y, bins, order)
    return float((count * np.abs(predicted - observed)).sum() / count.sum())


def auc(p: FloatArray, y: FloatArray, order: Order | None = None) -> float:
    """Area under the ROC curve by mid-ranks.

    Parameters
    ----------
    p, y : ndarray of float, shape (n,)
        Scores and outcomes.
    order : Order, optional
        Of ``p``, where it is known already.

    Returns
    -------
    float
        In [0, 1]; NaN if only one class is present.

    Examples
    --------
    >>> auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.0, 0.0, 1.0, 1.0]))
    0.75
    """
    hits = float(y.sum())
    misses = len(y) - hits
    if hits == 0 or misses == 0:
        return NAN
    known = order or Order.of(p)
    counts = np.diff(np.append(known.first, len(p)))
    middle = np.cumsum(counts) - (counts - 1) / 2.0
    called = np.add.reduceat((y > 0.5)[known.rising].astype(np.float64), known.first)
    return float(((middle * called).sum() - hits * (hits + 1) / 2.0) / (hits * misses))


def average_precision(p: FloatArray, y: FloatArray, order: Order | None = None) -> float:
    """Area under the precision-recall steps (ties taken together), as scikit-learn defines it.

    Parameters
    ----------
    p, y : ndarray of float, shape (n,)
        Scores and outcomes.
    order : Order, optional
        Of ``p``, where it is known already.

    Returns
    -------
    float
        In [0, 1]; NaN without events.

    Examples
    --------
    >>> round(average_precision(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.0, 0.0, 1.0, 1.0])), 4)
    0.8333
    """
    total = float(y.sum())
    if total == 0:
        return NAN
    falling = (order or Order.of(p)).falling
    hits = np.cumsum(y[falling], dtype=np.float64)
    last = np.append(np.flatnonzero(np.diff(p[falling])), len(p) - 1)
    recall = hits[last] / total
    precision = hits[last] / (last + 1)
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def flagged(p: FloatArray, budget: float, order: Order | None = None) -> BoolArray:
    """Mark the ``budget`` share of rows with the highest ``p`` (at least one; ties by position).

    Parameters
    ----------
    p : ndarray of float, shape (n,)
        Scores.
    budget : float
        Share of rows that may be flagged, in (0, 1].
    order : Order, optional
        Of ``p``, where it is known already.

    Returns
    -------
    ndarray of bool, shape (n,)
        The flags.

    Raises
    ------
    InputError
        If ``budget`` is out of its range.

    Examples
    --------
    >>> flagged(np.array([0.1, 0.9, 0.3, 0.2]), 0.25).tolist()
    [False, True, False, False]
    """
    if not 0.0 < budget <= 1.0:
        raise InputError("budget", budget, "a share in (0, 1]")
    out = np.zeros(len(p), dtype=np.bool_)
    if len(p):
        take = max(1, round(budget * len(p)))
        out[(order or Order.of(p)).falling[:take]] = True
    return out


def recall_at_budget(p: FloatArray, y: FloatArray, budget: float, order: Order | None = None) -> float:
    """Share of events among the ``budget`` share of rows with the highest ``p``.

    Parameters
    ----------
    p, y : ndarray of float, shape (n,)
        Scores and outcomes.
    budget : float
        Share of rows that may be flagged.
    order : Order, optional
        Of ``p``, where it is known already.

    Returns
    -------
    float
        In [0, 1]; NaN without events.

    Examples
    --------
    >>> recall_at_budget(np.array([0.1, 0.9, 0.3, 0.2]), np.array([1.0, 1.0, 0.0, 0.0]), 0.25)
    0.5
    """
    total = float(y.sum())
    return float(y[flagged(p, budget, order)].sum()) / total if total else NAN


def median_lead_minutes(
    p: FloatArray, y: FloatArray, minutes: FloatArray, budget: float = BUDGETS[0], order: Order | None = None
) -> float:
    """Median minutes from the forecast to the event, over the events that the budget caught.

    Parameters
    ----------
    p, y, minutes : ndarray of float, shape (n,)
        Scores, outcomes, and minutes from the forecast to the event (read only where y is 1).
    budget : float
        Share of rows that may be flagged.
    order : Order, optional
        Of ``p``, where it is known already.

    Returns
    -------
    float
        Minutes; NaN if nothing was caught.

    Examples
    --------
    >>> median_lead_minutes(np.array([0.9, 0.8]), np.array([1.0, 1.0]), np.array([120.0, 60.0]), budget=1.0)
    90.0
    """
    caught = flagged(p, budget, order) & (y > 0.5)
    return float(np.median(minutes[caught])) if caught.any() else NAN


def summary(p: FloatArray, y: FloatArray, minutes: FloatArray | None = None) -> dict[str, object]:
    """Compute every score of ``metrics.json`` for one set of rows.

    Parameters
    ----------
    p, y : ndarray of float, shape (n,)
        Probabilities and outcomes.
    minutes : ndarray of float, shape (n,), optional
        Minutes to the event; without it the median lead is NaN.

    Returns
    -------
    dict
        n, base_rate, log_loss, brier, ece, auc, average_precision, recall_at_budget and lead_at_budget (by budget),
        median_lead_minutes (at the first budget), expected_cost (by ratio of cost to loss), predicted_over_observed.

    Examples
    --------
    >>> summary(np.array([0.9, 0.1]), np.array([1.0, 0.0]))["base_rate"]
    0.5
    """
    y = np.asarray(y, dtype=np.float64)
    events = float(y.sum())
    order = Order.of(p)
    leads = {b: median_lead_minutes(p, y, minutes, b, order) if minutes is not None else NAN for b in BUDGETS}
    return {
        "n": len(y),
        "base_rate": float(y.mean()) if len(y) else NAN,
        "log_loss": log_loss(p, y),
        "brier": brier(p, y),
        "ece": ece(p, y, order=order),
        "auc": auc(p, y, order),
        "average_precision": average_precision(p, y, order),
        "recall_at_budget": {str(budget): recall_at_budget(p, y, budget, order) for budget in BUDGETS},
        "lead_at_budget": {str(budget): lead for budget, lead in leads.items()},
        "median_lead_minutes": leads[BUDGETS[0]],
        "expected_cost": decision_curve(p, y),
        "predicted_over_observed": float(p.sum()) / events if events else NAN,
    }
