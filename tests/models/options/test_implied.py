"""Implied volatility: there and back, and where there is none."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.options.black76 import price
from models.options.implied import implied_volatility


def test_a_million_kinds_of_options_there_and_back() -> None:
    rng = np.random.default_rng(3)
    n = 50_000
    vol = np.exp(rng.uniform(math.log(0.02), math.log(5.0), n))
    years = np.exp(rng.uniform(math.log(1 / 8760), math.log(3.0), n))
    strike = 60_000.0 * np.exp(vol * np.sqrt(years) * rng.uniform(-7, 7, n))
    call = strike >= 60_000.0
    value = price(60_000.0, strike, vol, years, call, 0.05)
    back = implied_volatility(value, 60_000.0, strike, years, call, 0.05)
    np.testing.assert_allclose(back, vol, rtol=2e-11)


def test_tiny_prices_still_tell_their_volatility() -> None:
    strike = 100.0 * math.exp(0.3 * 25)
    value = price(100.0, strike, 0.3, 1.0, True)
    assert 0 < value < 1e-130
    assert float(implied_volatility(value, 100.0, strike, 1.0, True)) == pytest.approx(0.3, rel=1e-12)


def test_prices_close_to_their_bound_still_tell_their_volatility() -> None:
    value = price(100.0, 100.0, 10.0, 1.0, True)
    assert value > 99.99
    assert float(implied_volatility(value, 100.0, 100.0, 1.0, True)) == pytest.approx(10.0, rel=1e-8)


@given(moneyness=st.floats(-0.4, 0.4), vol=st.floats(0.2, 3.0), years=st.floats(0.02, 2.0), is_call=st.booleans())
def test_in_the_money_too_where_the_time_value_is_not_drowned(
    moneyness: float, vol: float, years: float, is_call: bool
) -> None:
    strike = 100.0 * math.exp(moneyness)
    value = price(100.0, strike, vol, years, is_call)
    time_value = float(value) - max((100.0 - strike) * (1 if is_call else -1), 0.0)
    back = float(implied_volatility(value, 100.0, strike, years, is_call))
    if time_value > 1e-3:
        assert back == pytest.approx(vol, rel=1e-8)


@pytest.mark.parametrize(
    ("value", "strike", "is_call"),
    [
        (9.99, 90.0, True),  # below intrinsic
        (-0.01, 110.0, True),
        (100.0, 90.0, True),  # at the bound of a call, its forward
        (101.0, 90.0, True),
        (90.0, 90.0, False),  # at the bound of a put, its strike
        (math.nan, 90.0, True),
        (math.inf, 90.0, True),
    ],
)
def test_no_volatility_gives_such_a_price(value: float, strike: float, is_call: bool) -> None:
    assert np.isnan(implied_volatility(value, 100.0, strike, 0.5, is_call))


def test_intrinsic_value_is_no_volatility_at_all() -> None:
    assert implied_volatility([10.0, 0.0], 100.0, [90.0, 110.0], 0.5, True).tolist() == [0.0, 0.0]


def test_without_time_left_there_is_none() -> None:
    assert np.isnan(implied_volatility(12.0, 100.0, 90.0, [0.0, -1.0], True)).all()


def test_a_put_above_the_forward_is_possible() -> None:
    value = price(100.0, 300.0, 2.0, 4.0, False)
    assert value > 200.0
    assert float(implied_volatility(value, 100.0, 300.0, 4.0, False)) == pytest.approx(2.0, rel=1e-9)


def test_it_agrees_with_vollib() -> None:
    iv = pytest.importorskip(
        "vollib.black.implied_volatility", reason="vollib is an optional cross-check: pip install vollib"
    )
    for strike, vol in ((80.0, 0.9), (100.0, 0.5), (140.0, 0.7)):
        call = strike >= 100.0
        value = float(price(100.0, strike, vol, 0.4, call))
        exact = iv.implied_volatility(value, 100.0, strike, 0.0, 0.4, "c" if call else "p")
        assert float(implied_volatility(value, 100.0, strike, 0.4, call)) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("name", ["forward", "strike"])
@pytest.mark.parametrize("value", [0.0, -5.0, math.nan])
def test_forward_and_strike_must_be_positive(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"^{name}: expected finite numbers > 0"):
        implied_volatility(**{"price": 5.0, "forward": 100.0, "strike": 100.0, "years": 0.5, name: value}, is_call=True)
