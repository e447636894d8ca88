"""Numbers as a venue's integers see them: decimals without binary error, and division that rounds one way."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import isfinite, nan

import numpy as np

from models.errors import InputError
from models.margin.tiers import TierSchedule

__all__ = ["ceil_div", "check_range", "exact", "line", "truncated_div"]


def exact(value: float | int | Fraction) -> Fraction:
    """Read a number as the decimal that was written: 0.1 is one tenth.

    Parameters
    ----------
    value : float, int or Fraction
        Finite.

    Returns
    -------
    Fraction
        The shortest decimal that prints as the float.

    Raises
    ------
    InputError
        If the number is not finite.

    Examples
    --------
    >>> exact(0.1)
    Fraction(1, 10)
    """
    if isinstance(value, float):
        if not isfinite(value):
            raise InputError("value", value, "a finite number")
        return Fraction(repr(float(value)))
    return Fraction(value)


def ceil_div(numerator: int, denominator: int) -> int:
    """Divide integers, rounding up.

    Parameters
    ----------
    numerator, denominator : int
        `denominator` is positive.

    Returns
    -------
    int
        The least integer that is not below the quotient.

    Examples
    --------
    >>> ceil_div(7, 2), ceil_div(-7, 2)
    (4, -3)
    """
    return -(-numerator // denominator)


def truncated_div(numerator: int, denominator: int) -> int:
    """Divide integers, rounding towards zero.

    Parameters
    ----------
    numerator, denominator : int
        `denominator` is positive.

    Returns
    -------
    int
        The quotient without its fraction.

    Examples
    --------
    >>> truncated_div(7, 2), truncated_div(-7, 2)
    (3, -3)
    """
    return numerator // denominator if numerator >= 0 else -(-numerator // denominator)


def check_range(field: str, value: float, low: float, high: float) -> None:
    """Refuse a number outside of its range.

    Parameters
    ----------
    field : str
        Name of the field.
    value : float
        What was received.
    low, high : float
        Bounds, both allowed.

    Raises
    ------
    InputError
        If the number lies outside, or is not a number.

    Examples
    --------
    >>> check_range("rate", 0.5, 0.0, 1.0)
    """
    if not low <= value <= high:
        raise InputError(field, value, f"a number in [{low:g}, {high:g}]")


def line(pieces: Iterable[tuple[float, float, float]]) -> TierSchedule:
    """Build a schedule from its slices, for rules whose first slice has a constant or whose rate exceeds 1.

    Parameters
    ----------
    pieces : iterable of (floor, rate, constant)
        Lower bound of a slice, slope on it, and the constant that is added on it.

    Returns
    -------
    TierSchedule
        ``rate * value + constant`` on each slice.

    Examples
    --------
    >>> float(line([(0.0, 0.05, 50.0)])(1_000.0))
    100.0
    """
    floor, rate, constant = (np.array(column, np.float64) for column in zip(*pieces, strict=True))
    return TierSchedule(floor, rate, -constant, np.full(len(floor), nan))
