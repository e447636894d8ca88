"""Axes: where a value lies, and at which round values the ticks stand."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from models.errors import InputError

__all__ = ["Axis", "axis_over"]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a chart.

    Parameters
    ----------
    low, high : float
        Values at its ends.
    start, stop : float
        Where these are drawn.
    log : bool
        Whether it is logarithmic.
    """

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise InputError("axis", (self.low, self.high), "two rising values, above 0 on a logarithmic axis")

    def at(self, value: float) -> float:
        """Give the place of a value.

        Parameters
        ----------
        value : float
            The value; beyond the ends it is drawn at the end.

        Returns
        -------
        float
            The place.

        Examples
        --------
        >>> Axis(1, 100, 0, 10, log=True).at(10)
        5.0
        """
        inside = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            share = (inside - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Give round values between the ends.

        Parameters
        ----------
        most : int
            At most about so many.

        Returns
        -------
        list of float
            In rising order.

        Examples
        --------
        >>> Axis(0, 1, 0, 1).ticks()
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
        >>> Axis(0.002, 1, 0, 1, log=True).ticks()
        [0.01, 0.1, 1.0]
        """
        if self.log:
            return self._decades(most)
        step = _round_step((self.high - self.low) / most)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(i * step, 12) + 0.0 for i in range(first, last + 1)]

    def _decades(self, most: int) -> list[float]:
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        if last - first >= 2:
            every = max(1, math.ceil((last - first) / most))
            return [float(f"1e{e}") for e in range(first, last + 1, every)]
        found = [m * 10.0**e for e in range(first - 1, last + 1) for m in (1, 2, 5)]
        inside = [float(f"{v:.6g}") for v in found if self.low * 0.999 <= v <= self.high * 1.001]
        return inside if len(inside) > 2 else Axis(self.low, self.high, 0.0, 1.0).ticks(most)


def axis_over(
    values: Iterable[float], start: float, stop: float, log: bool = False, keep: tuple[float, ...] = ()
) -> Axis:
    """Span an axis over values, with a little room.

    Parameters
    ----------
    values : iterable of float
        What has to be seen; NaN does not count, nor does what is not above 0 on a logarithmic axis.
    start, stop : float
        Where the ends are drawn.
    log : bool
        Whether it is logarithmic.
    keep : tuple of float
        Values that are seen as well, for example 0.

    Returns
    -------
    Axis
        The axis.

    Examples
    --------
    >>> axis_over([1.0, 3.0], 0, 100, keep=(0.0,)).low
    0.0
    """
    found = np.array([*values, *keep], np.float64)
    found = found[np.isfinite(found) & ((found > 0) | (not log))]
    if not len(found):
        return Axis(0.1 if log else 0.0, 1.0, start, stop, log)
    low, high = float(found.min()), float(found.max())
    if log:
        return Axis(low / 1.15, high * 1.15, start, stop, True)
    room = 0.05 * (high - low) or abs(high) * 0.1 or 1.0
    if low == high:
        return Axis(low - room, high + room, start, stop)
    return Axis(low if low in keep else low - room, high if high in keep else high + room, start, stop)


def _round_step(rough: float) -> float:
    """The least of 1, 2, 2.5, 5 times a power of ten that is not below."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= rough * (1 - 1e-9))
