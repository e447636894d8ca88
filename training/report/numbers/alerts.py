"""What alerts would have caught: by how many may be sent, and by how far ahead the call was."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.typing import FloatArray
from training.evaluate.metrics import flagged

__all__ = ["BUDGETS", "LEADS", "alert_curve", "caught_by_lead"]

BUDGETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
"""Shares of the accounts that may be alerted."""
LEADS: Final = (0, 60, 120, 240, 480, 960, 1440)
"""Edges of the minutes ahead."""


def alert_curve(p: FloatArray, y: FloatArray) -> FloatArray:
    """Share of the calls that fall among the accounts alerted, at every budget of `BUDGETS`.

    Parameters
    ----------
    p, y : ndarray of float, shape (n,)
        Scores and outcomes.

    Returns
    -------
    ndarray of float
        One share a budget; NaN without calls.

    Examples
    --------
    >>> p = np.linspace(0, 1, 1000)
    >>> alert_curve(p, (p > 0.99).astype(float)).round(2).tolist()
    [0.1, 0.2, 0.5, 1.0, 1.0, 1.0, 1.0]
    """
    total = float(y.sum())
    if total == 0:
        return np.full(len(BUDGETS), np.nan)
    hits = np.cumsum(y[np.argsort(-p, kind="stable")])
    return np.array([hits[max(1, round(b * len(p))) - 1] / total for b in BUDGETS])


def caught_by_lead(p: FloatArray, y: FloatArray, minutes: FloatArray, budget: float = 0.01) -> FloatArray:
    """Share of the calls that were alerted, by how far ahead they were.

    Parameters
    ----------
    p, y, minutes : ndarray of float, shape (n,)
        Scores, outcomes and minutes to the call (read only where y is 1).
    budget : float
        Share of the accounts that may be alerted.

    Returns
    -------
    ndarray of float, length ``len(LEADS) - 1``
        NaN where no call was so far ahead.

    Examples
    --------
    >>> caught_by_lead(np.array([0.9, 0.1]), np.ones(2), np.array([30.0, 90.0]), 0.5)[:2].tolist()
    [1.0, 0.0]
    """
    called = y > 0.5
    group = np.clip(np.searchsorted(LEADS, minutes[called], side="left") - 1, 0, len(LEADS) - 2)
    size = np.bincount(group, minlength=len(LEADS) - 1)
    caught = np.bincount(group, weights=flagged(p, budget)[called], minlength=len(LEADS) - 1)
    return np.where(size > 0, caught / np.maximum(size, 1), np.nan)
