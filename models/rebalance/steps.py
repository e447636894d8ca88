"""Numbers that rise with size: slippage by dollars, lags by probability."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, TypeAlias

from msgspec import Meta

from models.errors import InputError

__all__ = ["Steps", "check_impact", "check_rising", "pieces", "slippage"]

Steps: TypeAlias = tuple[tuple[Annotated[float, Meta(ge=0.0)], Annotated[float, Meta(ge=0.0)]], ...]
"""Pairs of a size and what applies from there on."""


def check_rising(name: str, pairs: Steps) -> None:
    """Refuse pairs that do not rise from one to the next.

    Parameters
    ----------
    name : str
        Field, for the message.
    pairs : tuple of tuple of float
        The pairs.

    Raises
    ------
    InputError
        If a first number does not rise, or a second one falls.
    """
    if any(a >= c or b > d for (a, b), (c, d) in pairwise(pairs)):
        raise InputError(name, pairs, "pairs that rise from one to the next")


def check_impact(impact: Steps) -> None:
    """Refuse what is no slippage by size.

    Parameters
    ----------
    impact : tuple of tuple of float
        Dollars, and the rate that is lost on what lies above.

    Raises
    ------
    InputError
        If a rate is 1 or more, or the pairs do not rise.
    """
    if any(rate >= 1 for _, rate in impact):
        raise InputError("impact", impact, "pairs of dollars and a rate in [0, 1)")
    check_rising("impact", impact)


def pieces(impact: Steps) -> Iterator[tuple[float, float]]:
    """Lay slippage out as pieces from zero on.

    Parameters
    ----------
    impact : tuple of tuple of float
        Dollars, and the rate that is lost on what lies above.

    Yields
    ------
    tuple of float
        Dollars of the piece, inf for the last one, and its rate.

    Examples
    --------
    >>> list(pieces(((1_000.0, 0.01),)))
    [(1000.0, 0.0), (inf, 0.01)]
    """
    if not impact or impact[0][0] > 0:
        impact = ((0.0, 0.0), *impact)
    ends = [*(size for size, _ in impact[1:]), math.inf]
    for (start, rate), end in zip(impact, ends, strict=True):
        yield end - start, rate


def slippage(impact: Steps, dollars: float) -> float:
    """Dollars that a trade or transfer of some dollars loses to its size.

    Parameters
    ----------
    impact : tuple of tuple of float
        Dollars, and the rate that is lost on what lies above.
    dollars : float
        Size, >= 0.

    Returns
    -------
    float
        Dollars.

    Examples
    --------
    >>> slippage(((0.0, 0.001), (1_000.0, 0.01)), 3_000.0)
    21.0
    """
    lost = 0.0
    for width, rate in pieces(impact):
        lost += min(dollars, width) * rate
        dollars = max(dollars - width, 0.0)
    return lost
