"""What a chart draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.errors import InputError
from models.typing import FloatArray

__all__ = ["Band", "Series", "as_array"]


def as_array(values: Sequence[float] | FloatArray) -> FloatArray:
    """Give values as an array.

    Parameters
    ----------
    values : sequence of float
        Numbers, NaN where a point is not known.

    Returns
    -------
    ndarray of float64
        The same.

    Examples
    --------
    >>> as_array([1]).tolist()
    [1.0]
    """
    return np.asarray(values, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """A line through points, or the points alone.

    Parameters
    ----------
    name : str
        Its name in the legend.
    x, y : sequence of float
        Points; NaN breaks the line.
    low, high : sequence of float, optional
        Ends of an interval at each point.
    line, marks : bool
        Whether points are joined, and whether they are marked.
    """

    name: str
    x: Sequence[float] | FloatArray
    y: Sequence[float] | FloatArray
    low: Sequence[float] | FloatArray | None = None
    high: Sequence[float] | FloatArray | None = None
    line: bool = True
    marks: bool = False

    def __post_init__(self) -> None:
        sizes = {len(v) for v in (self.x, self.y, self.low, self.high) if v is not None}
        if len(sizes) != 1:
            raise InputError(self.name, sorted(sizes), "as many x as y, low and high")


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """An area between two curves.

    Parameters
    ----------
    name : str
        Its name in the legend.
    x, low, high : sequence of float
        The curves.
    """

    name: str
    x: Sequence[float] | FloatArray
    low: Sequence[float] | FloatArray
    high: Sequence[float] | FloatArray
