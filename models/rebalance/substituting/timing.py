"""When a substitution happens: notice, delivery, return, in the timetable of the agreement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from models.margin.csa.timetable import Timetable, call_due
from models.rebalance.hours import arrival
from models.rebalance.places import Route
from models.rebalance.substitution import Substitution

__all__ = ["Timing", "timing_of"]

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Timing:
    """The instants of a substitution, UTC, in their order.

    Parameters
    ----------
    now : datetime
        When the notice is given.
    sent : datetime
        When the substitute may leave.
    arrived : datetime
        When it has arrived, at the confidence of the policy.
    returned : datetime
        When what is asked back is due.
    """

    now: datetime
    sent: datetime
    arrived: datetime
    returned: datetime

    @property
    def arrives_minutes(self) -> float:
        """Minutes until the substitute has arrived."""
        return (self.arrived - self.now) / _MINUTE

    @property
    def returns_minutes(self) -> float:
        """Minutes until what is asked back is due."""
        return (self.returned - self.now) / _MINUTE

    @property
    def both_days(self) -> float:
        """Days for which both are out of the desk's hands."""
        return (self.returned - self.sent) / timedelta(days=1)


def timing_of(now: datetime, timetable: Timetable, rule: Substitution, route: Route, confidence: float) -> Timing:
    """Say when the substitute leaves and arrives, and when what it replaces is due back.

    Parameters
    ----------
    now : datetime
        When the notice is given, with a time zone.
    timetable : Timetable
        That of the agreement: business days, notification time, close of business.
    rule : Substitution
        Notice time and lags.
    route : Route
        The way of the substitute.
    confidence : float
        Probability with which it is to have arrived.

    Returns
    -------
    Timing
        A notice after its time, and a substitute that arrives after the close of business, count for the next business
        day. The return is due at the close of business.

    Raises
    ------
    InputError
        If `now` has no time zone, or the route stays closed for 60 days.

    Examples
    --------
    >>> rule = Substitution(name="s", deliver=("UST",), ask_back=("USD",))
    >>> wire = Route(name="wire", source="desk", to=("*",), assets=("UST",), lag=((0.95, 120.0),))
    >>> found = timing_of(datetime(2025, 2, 27, 14, tzinfo=UTC), Timetable(), rule, wire, 0.95)
    >>> found.arrived.isoformat(), found.returned.isoformat()
    ('2025-02-28T02:00:00+00:00', '2025-03-03T17:00:00+00:00')
    """
    close, zone = timetable.close_of_business, ZoneInfo(timetable.time_zone)
    latest = min(rule.notice_time or timetable.notification_time, close)
    notice = msgspec.structs.replace(timetable, notification_time=latest, settlement_lag=rule.notice_lag)
    day = call_due(now, notice).date()
    sent = max(now, datetime.combine(day, time(), zone)).astimezone(UTC)
    arrived = sent + arrival(sent, route.hours, route.lag, confidence) * _MINUTE
    receipt = msgspec.structs.replace(timetable, notification_time=close, settlement_lag=rule.return_lag)
    return Timing(now.astimezone(UTC), sent, arrived, call_due(arrived, receipt).astimezone(UTC))
