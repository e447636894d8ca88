"""Text of ticks that several charts share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["hours_text", "month_text", "percent_text"]


def hours_text(minutes: float) -> str:
    """Write a horizon in hours.

    Parameters
    ----------
    minutes : float
        The horizon.

    Returns
    -------
    str
        For example ``"4 h"``.

    Examples
    --------
    >>> hours_text(240)
    '4 h'
    """
    return f"{minutes / 60:g} h"


def percent_text(value: float) -> str:
    """Write a share in percent, with no more digits than it has.

    Parameters
    ----------
    value : float
        The share.

    Returns
    -------
    str
        For example ``"0.5%"``.

    Examples
    --------
    >>> percent_text(0.005), percent_text(0.2)
    ('0.5%', '20%')
    """
    return f"{100 * value:.4g}%"


def month_text(months: Sequence[str]) -> Callable[[float], str]:
    """Name the ticks of an axis on which months stand at 0, 1, 2 and so on.

    Parameters
    ----------
    months : sequence of str
        Their names.

    Returns
    -------
    callable
        Text of a tick; empty between two months.

    Examples
    --------
    >>> text = month_text(["2025-01", "2025-02"])
    >>> text(1.0), text(0.5)
    ('2025-02', '')
    """

    def text(value: float) -> str:
        place = round(value)
        return months[place] if abs(value - place) < 1e-9 and 0 <= place < len(months) else ""

    return text
