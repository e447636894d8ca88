"""When a route is open: days, hours, cut-off, holidays; and when what is sent has arrived."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta

from models.errors import InputError
from models.rebalance.checked import Checked

__all__ = ["Hours", "arrival", "lag_at", "next_open"]

_WEEK = tuple(range(7))
_LONGEST_CLOSURE = 60


class Hours(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Opening hours of a route; always open by default.

    Parameters
    ----------
    days : tuple of int
        Weekdays on which it is open, 0 for Monday to 6 for Sunday.
    opens : time
        Local time from which it takes instructions.
    cut_off : time or None
        Local time until which an instruction counts as given that day; None: midnight.
    time_zone : str
        IANA name of the zone of both times.
    holidays : tuple of date
        Days on which it is closed.
    settlement_days : int
        Open days from the instruction to the arrival, in [0, 30]; what settles on a later day arrives when it opens.

    Raises
    ------
    InputError
        If a day, the zone or the order of the times is wrong.

    Examples
    --------
    >>> Hours(days=(0, 1, 2, 3, 4), cut_off=time(16), time_zone="America/New_York").opens
    datetime.time(0, 0)
    """

    days: tuple[Annotated[int, Meta(ge=0, le=6)], ...] = _WEEK
    opens: time = time(0)
    cut_off: time | None = None
    time_zone: str = "UTC"
    holidays: tuple[date, ...] = ()
    settlement_days: Annotated[int, Meta(ge=0, le=30)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.days or not set(self.days) <= set(_WEEK):
            raise InputError("days", self.days, "at least one weekday from 0 (Monday) to 6 (Sunday)")
        for name in ("opens", "cut_off"):
            clock = getattr(self, name)
            if clock is not None and clock.tzinfo is not None:
                raise InputError(name, str(clock), "a local time without offset: the zone is time_zone")
        if self.cut_off is not None and self.cut_off < self.opens:
            raise InputError("cut_off", str(self.cut_off), f"a time not before the opening at {self.opens}")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            expected = "an IANA time zone, for example 'Europe/London'"
            raise InputError("time_zone", self.time_zone, expected) from None

    def is_open(self, day: date) -> bool:
        """Whether instructions are taken on a day."""
        return day.weekday() in self.days and day not in self.holidays


def next_open(now: datetime, hours: Hours) -> datetime:
    """Give the first instant from now on at which an instruction counts.

    Parameters
    ----------
    now : datetime
        An instant with a time zone.
    hours : Hours
        The opening hours.

    Returns
    -------
    datetime
        `now` itself where the route is open; in the zone of the route.

    Raises
    ------
    InputError
        If the route stays closed for 60 days.

    Examples
    --------
    >>> hours = Hours(days=(0, 1, 2, 3, 4), opens=time(9), cut_off=time(16))
    >>> next_open(datetime.fromisoformat("2025-02-28T16:01:00+00:00"), hours).isoformat()
    '2025-03-03T09:00:00+00:00'
    """
    zone = ZoneInfo(hours.time_zone)
    local = now.astimezone(zone)
    if hours.is_open(local.date()) and (hours.cut_off is None or local.time() <= hours.cut_off):
        return max(local, datetime.combine(local.date(), hours.opens, zone))
    return datetime.combine(_open_day(local.date(), 1, hours), hours.opens, zone)


def lag_at(quantiles: Sequence[tuple[float, float]], confidence: float) -> float:
    """Read a lag off its distribution, never too early: the first quantile that is not below the confidence.

    Parameters
    ----------
    quantiles : sequence of tuple of float
        Probability and minutes, both rising.
    confidence : float
        Probability with which the transfer is to have arrived.

    Returns
    -------
    float
        Minutes; those of the last quantile where the confidence is above all of them.

    Examples
    --------
    >>> lag_at(((0.5, 10.0), (0.95, 60.0)), 0.9), lag_at((), 0.9)
    (60.0, 0.0)
    """
    for probability, minutes in quantiles:
        if probability >= confidence:
            return minutes
    return quantiles[-1][1] if quantiles else 0.0


def arrival(now: datetime, hours: Hours, quantiles: Sequence[tuple[float, float]], confidence: float) -> float:
    """Give the minutes from now until what is sent now has arrived.

    Parameters
    ----------
    now : datetime
        An instant with a time zone.
    hours : Hours
        The opening hours of the route.
    quantiles : sequence of tuple of float
        Its lag, from the instant at which the instruction counts.
    confidence : float
        Probability with which it is to have arrived.

    Returns
    -------
    float
        Minutes, >= 0: waiting for the opening and the lag; with settlement days, the lag counts from the opening of
        the settlement day.

    Examples
    --------
    >>> friday = datetime.fromisoformat("2025-02-28T15:30:00+00:00")
    >>> arrival(friday, Hours(), ((0.95, 45.0),), 0.95)
    45.0
    >>> weekdays = Hours(days=(0, 1, 2, 3, 4), opens=time(9), cut_off=time(16), settlement_days=1)
    >>> arrival(friday, weekdays, ((0.95, 30.0),), 0.95) / 60
    66.0
    """
    start = next_open(now, hours)
    if hours.settlement_days:
        day = _open_day(start.date(), hours.settlement_days, hours)
        start = datetime.combine(day, hours.opens, ZoneInfo(hours.time_zone))
    return (start - now) / timedelta(minutes=1) + lag_at(quantiles, confidence)


def _open_day(day: date, count: int, hours: Hours) -> date:
    """The day that lies a number of open days after a day."""
    for _ in range(_LONGEST_CLOSURE):
        day += timedelta(days=1)
        count -= hours.is_open(day)
        if not count:
            return day
    raise InputError("hours.holidays", len(hours.holidays), f"an open day within {_LONGEST_CLOSURE} days of {day}")
