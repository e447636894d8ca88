"""What sending so much now is worth, where what can wait is sent at the next decision instead."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from models.errors import InputError
from models.typing import FloatArray

__all__ = ["Weighing"]


@dataclass(frozen=True, slots=True)
class Weighing:
    """How expected losses are set against what help costs.

    Parameters
    ----------
    knob : float
        Dollars that may be spent to avoid a dollar of expected loss, > 0; 1 is the least total cost.
    ahead : float
        Days for which an amount is chosen, at least.
    patience : float
        What sending now must save before help sent at the next decision could arrive, over what it costs, in [0, 1].
    lost : float
        Dollars of loss that a dollar of inventory would have saved elsewhere, if it is lost with its account, >= 0.
    waits : bool
        Whether what can wait is left for the next decision; else an amount is worth what it saves over the days ahead.

    Raises
    ------
    InputError
        If one of them is outside its range.
    """

    knob: float
    ahead: float = 1.0
    patience: float = 0.1
    lost: float = 0.2
    waits: bool = True

    def __post_init__(self) -> None:
        for name, good, expected in (
            ("knob", 0.0 < self.knob < math.inf, "a number above 0"),
            ("ahead", 0.0 < self.ahead < math.inf, "days above 0"),
            ("patience", 0.0 <= self.patience <= 1.0, "a number in [0, 1]"),
            ("lost", 0.0 <= self.lost < math.inf, "a number of 0 or more"),
        ):
            if not good:
                raise InputError(name, getattr(self, name), expected)

    def value(
        self, spared: FloatArray, soon: FloatArray, cost: FloatArray, waiting: FloatArray, eaten: FloatArray
    ) -> FloatArray:
        """Dollars that sending each of some rising amounts now is worth more than leaving it for the next decision.

        Parameters
        ----------
        spared : ndarray, shape (r,)
            Expected loss that each amount spares over the days ahead, less what it costs to hold so long; dollars,
            the loss times the knob.
        soon : ndarray, shape (r,)
            Expected loss that it spares until help sent at the next decision would have arrived, times the knob.
        cost : ndarray, shape (r,)
            Dollars of the transfer.
        waiting : ndarray, shape (r,)
            Dollars of holding it until then.
        eaten : ndarray, shape (r,)
            Dollars of collateral that are expected to be lost with the account over the days ahead, beyond those that
            would be anyhow.

        Returns
        -------
        ndarray, shape (r,)
            0 for amounts that do not pay over the days ahead, that are more than the best one, or that can wait.

        Examples
        --------
        >>> w = Weighing(1.0, patience=0.5)
        >>> w.value(np.array([8.0, 9.0]), np.array([4.0, 4.5]), np.ones(2), np.zeros(2), np.array([0.0, 20.0])).tolist()
        [3.5, 0.0]
        """
        net = spared - cost - self.knob * self.lost * eaten
        if not len(net):
            return net
        value = soon - self.patience * (cost + waiting) if self.waits else net
        pays = (net > 0.0) & (np.arange(len(net)) <= np.argmax(net)) & (value > 0.0)
        return np.where(pays, value, 0.0)
