"""What a plan must reach: a probability of a call within a horizon."""

from __future__ import annotations

from dataclasses import dataclass

from models.errors import InputError
from models.typing import HORIZONS

__all__ = ["Target", "parse_target"]


@dataclass(frozen=True, slots=True)
class Target:
    """P(call within `horizon_minutes`) must be at most `probability`.

    Parameters
    ----------
    probability : float
        In (0, 1).
    horizon_minutes : int
        One of `models.typing.HORIZONS`.

    Raises
    ------
    InputError
        If one of them is outside its range.
    """

    probability: float = 0.01
    horizon_minutes: int = 1440

    def __post_init__(self) -> None:
        if not 0 < self.probability < 1:
            raise InputError("target.probability", self.probability, "a number in (0, 1)")
        if self.horizon_minutes not in HORIZONS:
            raise InputError("target.horizon_minutes", self.horizon_minutes, f"one of {HORIZONS}")

    @property
    def column(self) -> int:
        """Column of the horizon in an array of probabilities."""
        return HORIZONS.index(self.horizon_minutes)

    def __str__(self) -> str:
        return f"{self.probability:g}@{self.horizon_minutes}"


def parse_target(text: str) -> Target:
    """Read a target written as ``probability@minutes``.

    Parameters
    ----------
    text : str
        For example ``"0.01@1440"``: at most 1% within a day.

    Returns
    -------
    Target
        The two numbers.

    Raises
    ------
    InputError
        If the text has another form or a number is outside its range.

    Examples
    --------
    >>> parse_target("0.01@1440")
    Target(probability=0.01, horizon_minutes=1440)
    >>> parse_target("1%")
    Traceback (most recent call last):
    ...
    models.errors.InputError: target: expected PROBABILITY@MINUTES, for example 0.01@1440, was '1%'
    """
    left, at, right = text.partition("@")
    try:
        probability, minutes = float(left), int(right)
    except ValueError:
        at = ""
    if not at:
        raise InputError("target", text, "PROBABILITY@MINUTES, for example 0.01@1440")
    return Target(probability, minutes)
