"""Splits by time, with a purge of the longest label window and an embargo.

Every row of one instant falls into the same part, because a row is placed by its ``as_of`` alone. A row belongs to a
part only if its whole label window (``as_of`` to ``as_of + purge``) ends, with the embargo to spare, before the next
part begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np

from models.errors import InputError
from models.typing import DAY_NS, HORIZONS, MINUTE_NS, BoolArray, IntArray

__all__ = ["EMBARGO_NS", "PURGE_NS", "Split", "Windows", "split", "to_ns", "walk_forward", "windows_before"]

PURGE_NS = max(HORIZONS) * MINUTE_NS
EMBARGO_NS = DAY_NS


@dataclass(frozen=True, slots=True)
class Windows:
    """Boundaries of the four consecutive parts, int64 nanoseconds UTC.

    Parameters
    ----------
    start : int
        First instant of the fit part.
    valid, calibration, test : int
        First instants of the validation, calibration and test parts; the part before ends there.
    end : int
        First instant after the test part.
    """

    start: int
    valid: int
    calibration: int
    test: int
    end: int

    def __post_init__(self) -> None:
        """Refuse boundaries that are not in order."""
        edges = (self.start, self.valid, self.calibration, self.test, self.end)
        if any(right < left for left, right in pairwise(edges)):
            raise InputError("windows", edges, "start <= valid <= calibration <= test <= end")


@dataclass(frozen=True, slots=True)
class Split:
    """Row masks of one split; rows that are in no part were purged or lie outside.

    Parameters
    ----------
    fit, valid, calibration, test : ndarray of bool
        One flag a row.
    """

    fit: BoolArray
    valid: BoolArray
    calibration: BoolArray
    test: BoolArray


def windows_before(
    start: int, train_end: int, end: int, valid_share: float = 0.12, calibration_share: float = 0.12
) -> Windows:
    """Cut ``[start, train_end)`` into fit, validation and calibration; the test part ends at ``end``.

    Parameters
    ----------
    start, train_end, end : int
        Nanoseconds UTC.
    valid_share, calibration_share : float
        Shares of the training period, in (0, 0.4].

    Returns
    -------
    Windows
        The boundaries.

    Raises
    ------
    InputError
        If a share is out of its range or the times are not in order.

    Examples
    --------
    >>> windows_before(0, 100, 120, valid_share=0.1, calibration_share=0.2)
    Windows(start=0, valid=70, calibration=80, test=100, end=120)
    """
    for name, share in (("valid_share", valid_share), ("calibration_share", calibration_share)):
        if not 0.0 < share <= 0.4:
            raise InputError(name, share, "a share in (0, 0.4]")
    length = train_end - start
    calibration = train_end - round(length * calibration_share)
    valid = calibration - round(length * valid_share)
    return Windows(start, valid, calibration, train_end, end)


def split(as_of: IntArray, windows: Windows, purge: int = PURGE_NS, embargo: int = EMBARGO_NS) -> Split:
    """Place rows into the parts of ``windows``.

    Parameters
    ----------
    as_of : ndarray of int64, shape (n,)
        Instant of each row, nanoseconds UTC.
    windows : Windows
        The boundaries.
    purge : int
        Length of the longest label window, nanoseconds.
    embargo : int
        Extra distance kept between the end of a label window and the next part, nanoseconds.

    Returns
    -------
    Split
        Disjoint masks.

    Examples
    --------
    >>> parts = split(np.arange(0, 100, 10), Windows(0, 40, 60, 80, 100), purge=5, embargo=5)
    >>> [int(m.sum()) for m in (parts.fit, parts.valid, parts.calibration, parts.test)]
    [4, 2, 2, 2]
    """
    last = as_of + (purge + embargo)

    def part(left: int, right: int) -> BoolArray:
        return np.asarray((as_of >= left) & (as_of < right) & (last <= right), dtype=np.bool_)

    test = np.asarray((as_of >= windows.test) & (as_of < windows.end), dtype=np.bool_)
    return Split(
        part(windows.start, windows.valid),
        part(windows.valid, windows.calibration),
        part(windows.calibration, windows.test),
        test,
    )


def walk_forward(
    start: int, first_test: int, end: int, step: int, valid_share: float = 0.12, calibration_share: float = 0.12
) -> Iterator[Windows]:
    """Yield expanding windows: everything before a test part of length ``step`` trains, then the test part moves on.

    Parameters
    ----------
    start, first_test, end : int
        Nanoseconds UTC; the first test part begins at ``first_test``, the last one ends at ``end``.
    step : int
        Length of a test part, nanoseconds.
    valid_share, calibration_share : float
        As in :func:`windows_before`.

    Yields
    ------
    Windows
        One set of boundaries per test part.

    Raises
    ------
    InputError
        If ``step`` is not positive.

    Examples
    --------
    >>> [w.test for w in walk_forward(0, 60, 100, 20)]
    [60, 80]
    """
    if step <= 0:
        raise InputError("step", step, "a positive length in nanoseconds")
    test = first_test
    while test < end:
        yield windows_before(start, test, min(test + step, end), valid_share, calibration_share)
        test += step


def to_ns(moment: datetime | str | int) -> int:
    """Turn a moment into nanoseconds UTC; a naive moment is taken as UTC.

    Parameters
    ----------
    moment : datetime, str or int
        A datetime, an ISO 8601 text, or nanoseconds already.

    Returns
    -------
    int
        Nanoseconds since the epoch.

    Raises
    ------
    InputError
        If a text is not an ISO 8601 moment.

    Examples
    --------
    >>> to_ns("1970-01-02")
    86400000000000
    """
    if isinstance(moment, int | np.integer):
        return int(moment)
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            raise InputError(
                "moment", moment, "an ISO 8601 moment such as 2024-07-01 or 2024-07-01T00:00:00Z"
            ) from None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    delta = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1000
