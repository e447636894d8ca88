"""What a forecast is worth to somebody who acts on it."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.errors import InputError
from models.typing import FloatArray

__all__ = ["RATIOS", "decision_curve", "expected_cost"]

RATIOS: Final = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
"""Cost of acting over the loss that acting prevents."""


def expected_cost(p: FloatArray, y: FloatArray, ratio: float) -> float:
    """Mean cost of acting wherever the probability is above the ratio of cost to loss.

    Parameters
    ----------
    p, y : ndarray of float, shape (n,)
        Probabilities, and outcomes or true probabilities.
    ratio : float
        Cost of acting over the loss that it prevents, in (0, 1). Who acts pays it, call or not; who does not pays the
        loss of each call.

    Returns
    -------
    float
        In losses for each forecast; NaN without rows.

    Raises
    ------
    InputError
        If the ratio is out of its range.

    References
    ----------
    Murphy (1977), "The Value of Climatological, Categorical and Probabilistic Forecasts in the Cost-Loss Ratio
    Situation", Monthly Weather Review 105(7); Vickers and Elkin (2006), "Decision Curve Analysis", Medical Decision
    Making 26(6).

    Examples
    --------
    >>> expected_cost(np.array([0.5, 0.01]), np.array([1.0, 1.0]), 0.1)
    0.55
    """
    if not 0.0 < ratio < 1.0:
        raise InputError("ratio", ratio, "a share in (0, 1)")
    if not len(y):
        return float("nan")
    return float(np.where(p > ratio, ratio, y).mean())


def decision_curve(p: FloatArray, y: FloatArray) -> dict[str, float]:
    """Give the expected cost at every ratio of `RATIOS`.

    Parameters
    ----------
    p, y : ndarray of float, shape (n,)
        Probabilities, and outcomes or true probabilities.

    Returns
    -------
    dict of str to float
        Cost by ratio (as text).

    Examples
    --------
    >>> decision_curve(np.array([0.25]), np.array([0.0]))["0.2"]
    0.2
    """
    return {str(ratio): expected_cost(p, y, ratio) for ratio in RATIOS}
