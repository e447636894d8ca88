"""When the trees are not asked: their input is missing or too old, and the prior answers instead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.errors import InputError
from models.typing import BoolArray, FloatArray

__all__ = ["Fallback"]


@dataclass(frozen=True, slots=True)
class Fallback:
    """Limits beyond which the prior answers.

    Parameters
    ----------
    missing_share : float
        Largest share, in [0, 1], of the columns that training (nearly) always had and that are missing now: those of
        the market's state and of what the account is made of. 1: never.
    stale_minutes : float
        Largest age of the oldest price that an account depends on, at the account's instant; in [0, 10080] (a week).

    Raises
    ------
    InputError
        If a value is outside its range.
    """

    missing_share: float = 0.2
    stale_minutes: float = 360.0

    def __post_init__(self) -> None:
        for name, high in (("missing_share", 1.0), ("stale_minutes", 10_080.0)):
            if not 0.0 <= getattr(self, name) <= high:
                raise InputError(name, getattr(self, name), f"a number in [0, {high:g}]")

    def missing(self, share: FloatArray) -> BoolArray:
        """Say where too much is missing.

        Parameters
        ----------
        share : ndarray of float, shape (n,)
            Missing share of each account.

        Returns
        -------
        ndarray of bool, shape (n,)
            Where the prior answers.

        Examples
        --------
        >>> Fallback(missing_share=0.2).missing(np.array([0.2, 0.3])).tolist()
        [False, True]
        """
        return np.asarray(share > self.missing_share, np.bool_)

    def stale(self, age_minutes: FloatArray) -> BoolArray:
        """Say where the market is too old.

        Parameters
        ----------
        age_minutes : ndarray of float, shape (n,)
            Age of the oldest price of each account.

        Returns
        -------
        ndarray of bool, shape (n,)
            Where the prior answers.

        Examples
        --------
        >>> Fallback(stale_minutes=60).stale(np.array([60.0, 61.0])).tolist()
        [False, True]
        """
        return np.asarray(age_minutes > self.stale_minutes, np.bool_)
