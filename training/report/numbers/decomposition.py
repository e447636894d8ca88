"""Where a log loss comes from: miscalibration, discrimination, and how uncertain the outcomes are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.typing import FloatArray
from training.evaluate.metrics import log_loss

__all__ = ["Decomposition", "decompose"]


class Decomposition(NamedTuple):
    """Parts of a mean log loss: ``loss = miscalibration - discrimination + uncertainty``."""

    loss: float
    miscalibration: float
    discrimination: float
    uncertainty: float


def decompose(p: FloatArray, y: FloatArray) -> Decomposition:
    """Take a log loss apart by the best monotone recalibration of the forecasts.

    Parameters
    ----------
    p, y : ndarray of float, shape (n,)
        Probabilities and outcomes.

    Returns
    -------
    Decomposition
        Nats. Miscalibration is what the recalibration on these very outcomes would gain, never below 0;
        discrimination is what the recalibrated forecasts gain over the base rate; uncertainty is the loss of that.
        NaN without rows.

    References
    ----------
    Dimitriadis, Gneiting and Jordan (2021), "Stable reliability diagrams for probabilistic classifiers", PNAS 118(8).

    Examples
    --------
    >>> parts = decompose(np.repeat([0.1, 0.6], 50), np.tile(np.repeat([0.0, 1.0], [9, 1]), 10))
    >>> parts.miscalibration > 0, round(parts.miscalibration - parts.discrimination + parts.uncertainty - parts.loss, 9)
    (True, 0.0)
    """
    from sklearn.isotonic import IsotonicRegression

    if not len(y):
        return Decomposition(*[float("nan")] * 4)
    again = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit_transform(p, y)
    loss, best = log_loss(p, y), log_loss(np.asarray(again, np.float64), y)
    base = log_loss(np.full(len(y), float(np.mean(y))), y)
    return Decomposition(loss, loss - best, base - best, base)
