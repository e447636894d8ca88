"""Hours of routes: cut-offs, weekends, holidays, settlement days, lags."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.rebalance import Hours
from models.rebalance.hours import arrival, lag_at, next_open

FRIDAY = datetime(2025, 2, 28, 15, 30, tzinfo=UTC)
WEEKDAYS = Hours(days=(0, 1, 2, 3, 4), opens=time(9), cut_off=time(16))


@pytest.mark.parametrize(("now", "opened"), [
    (FRIDAY, FRIDAY),
    (FRIDAY.replace(hour=8), FRIDAY.replace(hour=9, minute=0)),
    (FRIDAY.replace(hour=16, minute=0), FRIDAY.replace(hour=16, minute=0)),
    (FRIDAY.replace(hour=16, minute=1), datetime(2025, 3, 3, 9, tzinfo=UTC)),
    (datetime(2025, 3, 1, 12, tzinfo=UTC), datetime(2025, 3, 3, 9, tzinfo=UTC)),
])  # fmt: skip
def test_cut_off_and_weekend(now: datetime, opened: datetime) -> None:
    assert next_open(now, WEEKDAYS) == opened


def test_a_holiday_is_closed() -> None:
    hours = Hours(days=(0, 1, 2, 3, 4), opens=time(9), cut_off=time(16), holidays=(date(2025, 3, 3),))
    assert next_open(FRIDAY.replace(hour=17), hours) == datetime(2025, 3, 4, 9, tzinfo=UTC)


def test_the_cut_off_is_local() -> None:
    hours = Hours(cut_off=time(10, 29), time_zone="America/New_York")  # 15:29 UTC in winter
    assert next_open(FRIDAY, hours) == datetime(2025, 3, 1, 5, tzinfo=UTC)


def test_settlement_days_skip_the_weekend() -> None:
    hours = Hours(days=(0, 1, 2, 3, 4), opens=time(9), cut_off=time(16), settlement_days=2)
    assert arrival(FRIDAY, hours, ((0.95, 15.0),), 0.95) == (4 - 0) * 1440 - 390 + 15


def test_a_confidence_between_quantiles_takes_the_later_one() -> None:
    lag = ((0.5, 10.0), (0.95, 60.0))
    assert [lag_at(lag, p) for p in (0.1, 0.5, 0.51, 0.95, 0.99)] == [10.0, 10.0, 60.0, 60.0, 60.0]


def test_a_route_that_never_opens_is_told() -> None:
    holidays = tuple(date(2025, 2, 28) + timedelta(days=i) for i in range(70))
    with pytest.raises(InputError, match="holidays"):
        next_open(FRIDAY, Hours(holidays=holidays))


@pytest.mark.parametrize(("fields", "name"), [
    ({"days": ()}, "days"), ({"days": (7,)}, "days"), ({"opens": time(12), "cut_off": time(11)}, "cut_off"),
    ({"time_zone": "Mars"}, "time_zone"), ({"settlement_days": 31}, "settlement_days"),
])  # fmt: skip
def test_wrong_hours_are_refused(fields: dict[str, object], name: str) -> None:
    with pytest.raises(InputError, match=name):
        Hours(**fields)  # type: ignore[arg-type]


@given(minutes=st.integers(0, 20_000), later=st.integers(0, 5_000), days=st.integers(0, 2))
def test_sending_later_never_arrives_earlier(minutes: int, later: int, days: int) -> None:
    hours = Hours(
        days=(0, 1, 2, 3, 4), opens=time(9), cut_off=time(16), time_zone="Europe/London", settlement_days=days
    )
    first, second = FRIDAY + timedelta(minutes=minutes), FRIDAY + timedelta(minutes=minutes + later)
    arrived = [now + timedelta(minutes=arrival(now, hours, ((1.0, 30.0),), 0.95)) for now in (first, second)]
    assert arrived[0] <= arrived[1]
    assert arrived[0] >= first + timedelta(minutes=30)
