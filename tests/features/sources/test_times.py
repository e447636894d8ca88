"""Instants in every notation, and bar lengths."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest

from features.sources.times import bar_minutes, bar_name, iso, stamps_to_ns, to_ns
from models.errors import InputError

NOON = 1_740_830_400_000_000_000  # 2025-03-01T12:00:00Z


@pytest.mark.parametrize(
    "value",
    [
        NOON,
        "2025-03-01T12:00:00Z",
        "2025-03-01 12:00",
        "2025-03-01T13:00:00+01:00",
        datetime(2025, 3, 1, 12, tzinfo=UTC),
        datetime(2025, 3, 1, 13, tzinfo=timezone(timedelta(hours=1))),
        np.datetime64("2025-03-01T12:00:00", "ms"),
        np.int64(NOON),
    ],
)
def test_every_notation_of_one_instant(value: object) -> None:
    assert to_ns(value) == NOON  # type: ignore[arg-type]


def test_a_date_is_its_midnight_and_iso_is_the_way_back() -> None:
    assert to_ns(date(2025, 3, 1)) == to_ns("2025-03-01") == NOON - 12 * 3_600_000_000_000
    assert iso(NOON) == "2025-03-01T12:00:00Z"


def test_what_is_no_instant_is_refused() -> None:
    with pytest.raises(InputError, match=r"start: expected an ISO time .* was 'soon'"):
        to_ns("soon", "start")
    with pytest.raises(InputError, match="end: expected a datetime with a zone"):
        to_ns(datetime(2025, 3, 1), "end")


def test_bar_lengths() -> None:
    assert [bar_minutes(b) for b in ("1m", "15m", "1h", "8h", "1d", 30)] == [1, 15, 60, 480, 1440, 30]
    assert [bar_name(m) for m in (1, 15, 60, 480, 1440)] == ["1m", "15m", "1h", "8h", "1d"]
    for wrong in ("7m", "0h", "2d", "hour", 0, 2.5):
        with pytest.raises(InputError, match="bar: expected a divisor of a day"):
            bar_minutes(wrong)  # type: ignore[arg-type]


def test_stamps_of_four_units_in_one_column() -> None:
    second = 1_740_830_400
    assert stamps_to_ns([second, second * 10**3, second * 10**6, second * 10**9]).tolist() == [NOON] * 4


@pytest.mark.parametrize("wrong", [0, -5, 12345])
def test_a_stamp_that_is_no_time_is_named_with_its_row(wrong: int) -> None:
    with pytest.raises(InputError, match=r"timestamp\[1\]: expected a time since 1990"):
        stamps_to_ns([1_740_830_400, wrong])
