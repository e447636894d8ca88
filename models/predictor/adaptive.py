"""Constants of the amount's quantiles that follow the outcomes: adaptive conformal inference.

With each call that becomes known the constant of a level rises by ``step * (level - covered)``, so that over time the
share of outcomes below a quantile is the stated one, whatever the market does.

References
----------
Gibbs and Candès (2021), "Adaptive conformal inference under distribution shift", NeurIPS 34.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.errors import InputError
from models.typing import BoolArray, FloatArray

__all__ = ["AdaptiveLevels"]


@dataclass(frozen=True, slots=True, eq=False)
class AdaptiveLevels:
    """What is added to the constants of each level.

    Parameters
    ----------
    level : tuple of float, length Q
        Stated shares of outcomes at or below each quantile, rising in (0, 1).
    shift : ndarray of float, shape (Q,)
        Added to the constants.
    step : float
        How much one outcome moves a constant, in (0, 1].

    Examples
    --------
    >>> start = AdaptiveLevels((0.5, 0.9), np.zeros(2), 0.1)
    >>> start.update(np.array([[False, False]])).shift.round(3).tolist()
    [0.05, 0.09]
    """

    level: tuple[float, ...]
    shift: FloatArray
    step: float = 0.002

    def __post_init__(self) -> None:
        if not 0.0 < self.step <= 1.0:
            raise InputError("step", self.step, "a number in (0, 1]")
        if self.shift.shape != (len(self.level),) or not np.isfinite(self.shift).all():
            raise InputError("shift", self.shift.shape, f"finite, of shape ({len(self.level)},)")

    def apply(self, constant: FloatArray) -> FloatArray:
        """Shift constants and keep them in order.

        Parameters
        ----------
        constant : ndarray of float, shape (..., Q)
            Of each level.

        Returns
        -------
        ndarray of float, same shape
            Rising along the last axis.
        """
        return np.asarray(np.maximum.accumulate(constant + self.shift, axis=-1), np.float64)

    def update(self, covered: FloatArray | BoolArray) -> AdaptiveLevels:
        """Learn from outcomes that have become known together.

        Parameters
        ----------
        covered : ndarray of bool or float, shape (m, Q)
            Whether each outcome was at or below each quantile that had been given.

        Returns
        -------
        AdaptiveLevels
            The next state.
        """
        missed = np.asarray(self.level) - np.asarray(covered, np.float64)
        return AdaptiveLevels(self.level, self.shift + self.step * missed.sum(axis=0), self.step)
