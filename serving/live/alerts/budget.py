"""How many alerts are told one by one; the others are told together."""

from __future__ import annotations

from collections.abc import Sequence

from serving.live.alerts.steps import Raised

__all__ = ["within_budget"]


def within_budget(raised: Sequence[Raised], told: int, budget: int) -> tuple[list[Raised], list[Raised]]:
    """Split alerts that begin or grow by the budget of the hour; ends are not counted and in neither part.

    Parameters
    ----------
    raised : sequence of Raised
        The worst first.
    told : int
        How many were told within the last hour.
    budget : int
        How many may be.

    Returns
    -------
    tuple of two list
        Those to be told one by one, and those beyond the budget.

    Examples
    --------
    >>> one = Raised(0, "p_call", 2, "a", "", 0.1, 0.01)
    >>> [len(part) for part in within_budget([one, one, one], 99, 100)]
    [1, 2]
    """
    new = [one for one in raised if one.level]
    room = max(0, budget - told)
    return new[:room], new[room:]
