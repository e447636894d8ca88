"""Nanoseconds of the database as times that go out, and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["instant", "nanoseconds"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def instant(ns: int) -> datetime:
    """Turn nanoseconds since the epoch into a time, to the microsecond.

    Parameters
    ----------
    ns : int
        Nanoseconds.

    Returns
    -------
    datetime
        UTC.

    Examples
    --------
    >>> instant(1_500).isoformat()
    '1970-01-01T00:00:00.000001+00:00'
    """
    return _EPOCH + timedelta(microseconds=ns // 1000)


def nanoseconds(when: datetime) -> int:
    """Turn a time into nanoseconds since the epoch, without rounding.

    Parameters
    ----------
    when : datetime
        With a zone.

    Returns
    -------
    int
        Nanoseconds.

    Examples
    --------
    >>> nanoseconds(instant(1_760_000_000_123_456_000))
    1760000000123456000
    """
    return (when - _EPOCH) // _MICROSECOND * 1000
