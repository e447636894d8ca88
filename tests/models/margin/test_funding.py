"""Funding: signs, the window rule and its grace, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.funding import charged_stamps, funding_cash_flow, funding_over_window

DAY = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = 3_600_000_000_000
STAMPS = int(DAY.timestamp()) * 1_000_000_000 + np.arange(0, 25, 8) * HOUR


def test_longs_pay_a_positive_rate_and_shorts_receive_it() -> None:
    assert funding_cash_flow([2.0, -2.0], 100.0, [0.01, 0.01]).tolist() == [-2.0, 2.0]
    assert funding_cash_flow([2.0, -2.0], 100.0, -0.01).tolist() == [2.0, -2.0]


@given(st.floats(-1e6, 1e6), st.floats(0.0, 1e6), st.floats(-0.03, 0.03))
def test_what_longs_pay_shorts_receive(quantity: float, mark: float, rate: float) -> None:
    assert funding_cash_flow(quantity, mark, rate) == -funding_cash_flow(-quantity, mark, rate)


def test_both_ends_of_the_window_are_charged() -> None:
    assert charged_stamps(STAMPS, DAY, DAY + timedelta(hours=8)).tolist() == [True, True, False, False]
    before = DAY + timedelta(hours=8, microseconds=-1)
    assert charged_stamps(STAMPS, DAY, before).tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("seconds", "grace", "charged"), [(14.999999, 15, True), (15, 15, False), (0, 0, True), (1e-6, 0, False)]
)
def test_a_position_opened_just_after_a_stamp_is_charged_within_the_grace(
    seconds: float, grace: float, charged: bool
) -> None:
    opened = DAY + timedelta(seconds=seconds)
    assert bool(charged_stamps(STAMPS, opened, DAY + timedelta(hours=1), grace)[0]) is charged


def test_the_sum_over_a_window_is_the_sum_of_its_stamps() -> None:
    rate, mark = np.array([1e-4, 2e-4, -1e-4, 5e-4]), np.array([10.0, 11.0, 12.0, 13.0])
    total = funding_over_window(3.0, DAY + timedelta(hours=1), DAY + timedelta(hours=16), STAMPS, rate, mark)
    assert total == pytest.approx(-3.0 * (11.0 * 2e-4 - 12.0 * 1e-4))
    assert funding_over_window(3.0, DAY + timedelta(hours=1), DAY + timedelta(hours=2), STAMPS, rate, mark) == 0.0


def test_a_missing_rate_is_not_taken_for_zero() -> None:
    rate = np.array([np.nan, 1e-4, 1e-4, 1e-4])
    assert np.isnan(funding_over_window(1.0, DAY, DAY + timedelta(hours=8), STAMPS, rate, np.full(4, 10.0)))


def test_impossible_windows_are_refused() -> None:
    with pytest.raises(InputError, match="closed: expected a time at or after opened"):
        charged_stamps(STAMPS, DAY, DAY - timedelta(seconds=1))
    with pytest.raises(InputError, match="opened: expected a time with a zone"):
        charged_stamps(STAMPS, datetime(2024, 1, 1), DAY)
    for grace in (-1.0, 3600.0, float("nan")):
        with pytest.raises(InputError, match="grace_seconds"):
            charged_stamps(STAMPS, DAY, DAY, grace)
    with pytest.raises(InputError, match="one rate and one mark for each of 4 stamps"):
        funding_over_window(1.0, DAY, DAY, STAMPS, [1.0], [1.0])
