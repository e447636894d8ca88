"""Instants and bar lengths: one reading of every notation that sources use."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any, Final, TypeAlias

import numpy as np

from models.errors import InputError
from models.typing import DAY_NS, MINUTE_NS, IntArray

__all__ = ["Instant", "bar_minutes", "bar_name", "iso", "stamps_to_ns", "to_ns"]

Instant: TypeAlias = int | str | date | datetime | np.datetime64
"""Nanoseconds since the epoch, ISO text (UTC where no offset is written), a date, or an aware datetime."""

_BAR: Final = re.compile(r"^(\d+)(m|h|d)$")
_UNIT: Final = {"m": 1, "h": 60, "d": 1440}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_HINT: Final = "an ISO time such as '2025-03-01T12:00:00Z' or '2025-03-01' (UTC)"


def to_ns(value: Instant, field: str = "time") -> int:
    """Nanoseconds since the epoch of an instant in any notation.

    Parameters
    ----------
    value : int, str, date, datetime or numpy.datetime64
        Integers are nanoseconds already. Text and dates without an offset are UTC; a datetime must carry its zone.
    field : str
        Name used in the error.

    Returns
    -------
    int
        Nanoseconds since 1970-01-01T00:00:00Z.

    Raises
    ------
    InputError
        If the text is not a time, or a datetime has no zone.

    Examples
    --------
    >>> to_ns("2025-03-01T12:00:00Z") == to_ns("2025-03-01 12:00")
    True
    """
    if isinstance(value, np.datetime64):
        return int(value.astype("datetime64[ns]").astype(np.int64))
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, str):
        value = _parse(value, field)
    elif not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if value.tzinfo is None:
        raise InputError(field, value.isoformat(), "a datetime with a zone, for example tzinfo=UTC")
    delta = value - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1_000


def _parse(text: str, field: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InputError(field, text, _TIME_HINT) from None
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)


def iso(time: int) -> str:
    """ISO text of an instant, to the second, UTC.

    Parameters
    ----------
    time : int
        Nanoseconds since the epoch.

    Returns
    -------
    str
        For example ``"2025-03-01T12:00:00Z"``.

    Examples
    --------
    >>> iso(0)
    '1970-01-01T00:00:00Z'
    """
    return f"{np.datetime64(int(time), 'ns').astype('datetime64[s]')}Z"


def bar_minutes(bar: str | int) -> int:
    """Length of a bar in minutes.

    Parameters
    ----------
    bar : str or int
        ``"5m"``, ``"1h"``, ``"1d"``, or minutes as an integer.

    Returns
    -------
    int
        Minutes; a divisor of a day.

    Raises
    ------
    InputError
        If it is not a bar length, or does not divide a day.

    Examples
    --------
    >>> bar_minutes("1h"), bar_minutes(15)
    (60, 15)
    """
    match = _BAR.match(bar) if isinstance(bar, str) else None
    minutes = int(match[1]) * _UNIT[match[2]] if match else bar
    if not isinstance(minutes, int) or minutes < 1 or 1440 % minutes:
        raise InputError("bar", bar, "a divisor of a day such as '1m', '5m', '15m', '1h', '8h' or '1d'")
    return minutes


def bar_name(minutes: int) -> str:
    """Name of a bar length as it stands in file names.

    Parameters
    ----------
    minutes : int
        Length in minutes.

    Returns
    -------
    str
        For example ``"15m"``, ``"1h"`` or ``"1d"``.

    Examples
    --------
    >>> bar_name(60), bar_name(1440), bar_name(90)
    ('1h', '1d', '90m')
    """
    if minutes % 1440 == 0:
        return f"{minutes // 1440}d"
    return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"


def stamps_to_ns(stamps: Any, field: str = "timestamp") -> IntArray:
    """Integer stamps in seconds, milliseconds, microseconds or nanoseconds as nanoseconds.

    Parameters
    ----------
    stamps : array_like of int
        The unit is told from the size of each number, so that one file may hold several.
    field : str
        Name used in the error.

    Returns
    -------
    ndarray of int64
        Nanoseconds since the epoch.

    Raises
    ------
    InputError
        If a stamp lies before 1990 or after 2200, with its row.

    Notes
    -----
    Binance public data are in milliseconds, spot files from 2025 on in microseconds.

    Examples
    --------
    >>> stamps_to_ns([1735689600000, 1735689600000000]).tolist()
    [1735689600000000000, 1735689600000000000]
    """
    raw = np.asarray(stamps, np.int64)
    size = np.abs(raw)
    factor = np.select([size < 10**11, size < 10**14, size < 10**17], [10**9, 10**6, 10**3], 1).astype(np.int64)
    out = raw * factor
    wrong = np.flatnonzero((out < 20 * 365 * DAY_NS) | (out >= 230 * 365 * DAY_NS))
    if len(wrong):
        raise InputError(
            f"{field}[{wrong[0]}]", int(raw[wrong[0]]), "a time since 1990 in s, ms, us or ns of the epoch"
        )
    return out


def grid_floor(time: int, minutes: int) -> int:
    """Greatest multiple of the bar length that is not after `time` (nanoseconds)."""
    step = minutes * MINUTE_NS
    return time // step * step
