"""When calls are due: notification time, lags, weekends and holidays."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.csa import Timetable, add_business_days, call_due, demand_deadline, is_business_day, last_demand

FRIDAY = date(2025, 2, 28)
MONDAY = date(2025, 3, 3)
NEXT_DAY = Timetable(holidays=(date(2025, 3, 4),))
SAME_DAY = Timetable(settlement_lag=0)

timetables = st.builds(
    Timetable,
    settlement_lag=st.integers(0, 3),
    time_zone=st.sampled_from(["UTC", "America/New_York", "Asia/Tokyo"]),
    holidays=st.lists(st.dates(date(2025, 2, 1), date(2025, 4, 30)), max_size=5).map(tuple),
)
instants = st.datetimes(datetime(2025, 3, 1), datetime(2025, 4, 1), timezones=st.just(UTC))


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


def test_a_demand_at_the_notification_time_counts_for_that_day_and_one_after_it_does_not() -> None:
    assert call_due(at(FRIDAY, 13), SAME_DAY) == at(FRIDAY, 17)
    assert call_due(at(FRIDAY, 13, 1), SAME_DAY) == at(MONDAY, 17)


def test_a_demand_at_the_weekend_counts_for_monday_whatever_its_time() -> None:
    assert call_due(at(FRIDAY + timedelta(1), 20), SAME_DAY) == at(MONDAY, 17)


def test_lags_count_business_days_only() -> None:
    assert call_due(at(FRIDAY, 9), NEXT_DAY) == at(MONDAY, 17)
    assert call_due(at(MONDAY, 9), NEXT_DAY) == at(date(2025, 3, 5), 17)
    assert demand_deadline(FRIDAY, NEXT_DAY) == at(MONDAY, 13)
    assert demand_deadline(MONDAY, NEXT_DAY) == at(date(2025, 3, 5), 13)


def test_business_days_can_be_counted_back_and_from_a_weekend() -> None:
    assert add_business_days(MONDAY, -1, NEXT_DAY) == FRIDAY
    assert add_business_days(date(2025, 3, 1), 1, NEXT_DAY) == date(2025, 3, 5)
    assert add_business_days(date(2025, 3, 2), -1, NEXT_DAY) == date(2025, 2, 27)
    assert add_business_days(FRIDAY, 0, NEXT_DAY) == FRIDAY
    assert not is_business_day(date(2025, 3, 4), NEXT_DAY)


def test_times_are_local_to_the_agreement() -> None:
    york = Timetable(notification_time=time(10), time_zone="America/New_York", settlement_lag=0)
    assert call_due(at(MONDAY, 15), york) == at(MONDAY, 22)
    assert call_due(at(MONDAY, 15, 1), york) == at(date(2025, 3, 4), 22)
    # after the clock change New York is four hours behind
    assert call_due(at(date(2025, 3, 10), 14), york) == at(date(2025, 3, 10), 21)


@given(timetables, instants)
def test_the_last_demand_is_in_time_and_any_later_one_is_not(timetable: Timetable, needed_by: datetime) -> None:
    last = last_demand(needed_by, timetable)
    assert call_due(last, timetable) <= needed_by
    assert call_due(last + timedelta(minutes=1), timetable) > needed_by


@given(timetables, instants, st.integers(0, 10_000))
def test_a_later_demand_is_never_due_earlier(timetable: Timetable, demanded_at: datetime, minutes: int) -> None:
    later = demanded_at + timedelta(minutes=minutes)
    assert demanded_at < call_due(demanded_at, timetable) <= call_due(later, timetable)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"settlement_lag": -1}, "settlement_lag"),
        ({"settlement_lag": 31}, "settlement_lag"),
        ({"valuation_lag": -1}, "valuation_lag"),
        ({"time_zone": "Mars/Base"}, "time_zone"),
        ({"notification_time": time(18)}, "close_of_business"),
        ({"notification_time": time(10, tzinfo=UTC)}, "notification_time"),
    ],
)
def test_values_out_of_range_are_refused(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InputError) as raised:
        Timetable(**fields)  # type: ignore[arg-type]
    assert raised.value.field == field
    assert Timetable(settlement_lag=30, valuation_lag=0).settlement_lag == 30


def test_an_instant_without_zone_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="demanded_at"):
        call_due(datetime(2025, 3, 3, 9), SAME_DAY)
    with pytest.raises(InputError, match="needed_by"):
        last_demand(datetime(2025, 3, 3, 9), SAME_DAY)
