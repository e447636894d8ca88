"""Expiries and strikes as venues list them."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.instrument import parse_symbol
from models.typing import DAY_NS
from training.population.calendar import expiry_code, friday_after, month_end_after, strike_grid, strike_step

INSTANTS = st.integers(1_500_000_000, 2_000_000_000).map(lambda s: s * 1_000_000_000)


def _utc(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / 1e9, UTC)


@given(INSTANTS)
def test_weekly_expiries_are_the_next_friday_at_eight(instant):
    found = int(friday_after(np.array([instant]))[0])
    assert instant < found <= instant + 7 * DAY_NS
    assert (_utc(found).weekday(), _utc(found).hour, _utc(found).minute) == (4, 8, 0)


@given(INSTANTS)
def test_monthly_expiries_are_last_fridays(instant):
    found = int(month_end_after(np.array([instant]))[0])
    assert instant < found <= instant + 36 * DAY_NS
    assert (_utc(found).weekday(), _utc(found).hour) == (4, 8)
    assert _utc(found + 7 * DAY_NS).month != _utc(found).month


@given(INSTANTS)
def test_the_code_of_an_expiry_is_read_back(instant):
    expiry = friday_after(np.array([instant]))
    symbol = f"BTC/USD:BTC-{expiry_code(expiry)[0]}-100000-C"
    assert parse_symbol(symbol).expiry == _utc(int(expiry[0]))


@given(st.floats(0.01, 1e6), st.floats(0.001, 2.0))
def test_steps_are_one_two_or_five(price, years):
    step = float(strike_step(np.array([price]), np.array([years]))[0])
    lead = step / 10 ** np.floor(np.log10(step * 1.0000001))
    assert min(abs(lead - x) for x in (1, 2, 5)) < 1e-6
    assert 0.0039 * price < step <= 0.0401 * price


@pytest.mark.parametrize(("strike", "expected"), [(83_740.0, 83_500.0), (12.0, 500.0), (83_750.1, 84_000.0)])
def test_strikes_lie_on_the_grid_and_above_zero(strike, expected):
    assert strike_grid(np.array([strike]), np.array([500.0])).tolist() == [expected]
