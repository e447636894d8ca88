"""When a call is due: notification time, lags in business days, and the last minute to demand.

A demand that arrives on a business day at or before the notification time counts as made that day, a later one as made
on the next business day. The transfer is due at the close of business `settlement_lag` business days after.

References
----------
ISDA 1995 English law annex, paragraph 3(a) (settlement on the next local business day); ISDA 2016 variation margin
annex, "Regular Settlement Day" (the same local business day). Notification time 13:00: default of the 1994 and 1995
forms.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from models.errors import InputError

__all__ = ["Timetable", "add_business_days", "call_due", "demand_deadline", "is_business_day", "last_demand"]

_DAY = timedelta(days=1)
_LONGEST_LAG = 30


class Timetable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Times and lags of an agreement.

    Parameters
    ----------
    notification_time : time
        Local time until which a demand counts as made that day.
    close_of_business : time
        Local time at which a transfer is due, not before the notification time.
    time_zone : str
        IANA name of the zone of both times.
    valuation_lag : int
        Business days from the valuation date to the demand, in [0, 30].
    settlement_lag : int
        Business days from the demand to the transfer, in [0, 30]: 0 under a 2016 variation margin annex, 1 under the
        1994 and 1995 forms.
    holidays : tuple of date
        Days that are no business days, besides Saturdays and Sundays.

    Raises
    ------
    InputError
        If a lag lies outside its range, the zone is unknown or the times are in the wrong order.

    Examples
    --------
    >>> Timetable(notification_time=time(10), time_zone="America/New_York").settlement_lag
    1
    """

    notification_time: time = time(13)
    close_of_business: time = time(17)
    time_zone: str = "UTC"
    valuation_lag: int = 1
    settlement_lag: int = 1
    holidays: tuple[date, ...] = ()

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        for name in ("valuation_lag", "settlement_lag"):
            if not 0 <= getattr(self, name) <= _LONGEST_LAG:
                raise InputError(name, getattr(self, name), f"business days in [0, {_LONGEST_LAG}]")
        for name in ("notification_time", "close_of_business"):
            if getattr(self, name).tzinfo is not None:
                raise InputError(name, str(getattr(self, name)), "a local time without offset: the zone is time_zone")
        if self.close_of_business < self.notification_time:
            expected = f"a time not before the notification time {self.notification_time}"
            raise InputError("close_of_business", str(self.close_of_business), expected)
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            expected = "an IANA time zone, for example 'Europe/London'"
            raise InputError("time_zone", self.time_zone, expected) from None


def is_business_day(day: date, timetable: Timetable) -> bool:
    """Say whether a day is neither at a weekend nor a holiday.

    Parameters
    ----------
    day : date
        The day.
    timetable : Timetable
        The holidays.

    Returns
    -------
    bool
        Whether business is done.

    Examples
    --------
    >>> is_business_day(date(2025, 3, 1), Timetable())
    False
    """
    return day.weekday() < 5 and day not in timetable.holidays


def add_business_days(day: date, count: int, timetable: Timetable) -> date:
    """Move by a number of business days, from a business day or from the first one on its other side.

    Parameters
    ----------
    day : date
        Start. Where it is no business day, counting starts from the next one (the one before for a negative count).
    count : int
        Business days to move, negative for back.
    timetable : Timetable
        The holidays.

    Returns
    -------
    date
        A business day.

    Examples
    --------
    >>> add_business_days(date(2025, 2, 28), 1, Timetable())
    datetime.date(2025, 3, 3)
    """
    step = -_DAY if count < 0 else _DAY
    while not is_business_day(day, timetable):
        day += step
    for _ in range(abs(count)):
        day += step
        while not is_business_day(day, timetable):
            day += step
    return day


def call_due(demanded_at: datetime, timetable: Timetable) -> datetime:
    """Give the instant at which the transfer of a call is due.

    Parameters
    ----------
    demanded_at : datetime
        When the demand is received, with a time zone.
    timetable : Timetable
        The terms.

    Returns
    -------
    datetime
        Close of business of the settlement day, in the zone of the agreement.

    Raises
    ------
    InputError
        If the instant has no time zone.

    Examples
    --------
    >>> terms = Timetable(notification_time=time(10), time_zone="America/New_York", settlement_lag=0)
    >>> call_due(datetime.fromisoformat("2025-02-28T14:59:00+00:00"), terms).isoformat()
    '2025-02-28T17:00:00-05:00'
    >>> call_due(datetime.fromisoformat("2025-02-28T15:01:00+00:00"), terms).isoformat()
    '2025-03-03T17:00:00-05:00'
    """
    local = _local("demanded_at", demanded_at, timetable)
    day = local.date()
    if not is_business_day(day, timetable):
        day = add_business_days(day, 0, timetable)
    elif local.time() > timetable.notification_time:
        day = add_business_days(day, 1, timetable)
    return _at(add_business_days(day, timetable.settlement_lag, timetable), timetable.close_of_business, timetable)


def demand_deadline(valuation_date: date, timetable: Timetable) -> datetime:
    """Give the notification time of the day on which a valuation is to be called.

    Parameters
    ----------
    valuation_date : date
        Day as of which exposure and collateral are valued.
    timetable : Timetable
        The terms.

    Returns
    -------
    datetime
        Notification time `valuation_lag` business days later, in the zone of the agreement.

    Examples
    --------
    >>> demand_deadline(date(2025, 2, 28), Timetable()).isoformat()
    '2025-03-03T13:00:00+00:00'
    """
    day = add_business_days(valuation_date, timetable.valuation_lag, timetable)
    return _at(day, timetable.notification_time, timetable)


def last_demand(needed_by: datetime, timetable: Timetable) -> datetime:
    """Give the last minute at which a call can be demanded so that it is due by an instant.

    Parameters
    ----------
    needed_by : datetime
        When the collateral must be there at the latest, with a time zone.
    timetable : Timetable
        The terms.

    Returns
    -------
    datetime
        A notification time, in the zone of the agreement: `call_due` of it is at or before `needed_by`, and
        `call_due` of any later instant is not.

    Raises
    ------
    InputError
        If the instant has no time zone.

    Examples
    --------
    >>> terms = Timetable()
    >>> last_demand(datetime.fromisoformat("2025-03-03T17:00:00+00:00"), terms).isoformat()
    '2025-02-28T13:00:00+00:00'
    """
    local = _local("needed_by", needed_by, timetable)
    day = local.date()
    if not is_business_day(day, timetable):
        day = _previous(day, timetable)
    elif local.time() < timetable.close_of_business:
        day = add_business_days(day, -1, timetable)
    if timetable.settlement_lag:
        day = add_business_days(day, -timetable.settlement_lag, timetable)
    return _at(day, timetable.notification_time, timetable)


def _previous(day: date, timetable: Timetable) -> date:
    while not is_business_day(day, timetable):
        day -= _DAY
    return day


def _local(name: str, instant: datetime, timetable: Timetable) -> datetime:
    if instant.tzinfo is None:
        raise InputError(name, instant.isoformat(), "a time with a zone, for example 2025-03-03T09:00:00Z")
    return instant.astimezone(ZoneInfo(timetable.time_zone))


def _at(day: date, clock: time, timetable: Timetable) -> datetime:
    return datetime.combine(day, clock, ZoneInfo(timetable.time_zone))
