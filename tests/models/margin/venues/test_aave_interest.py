"""Interest in ray: the published digits, the order of the two growths, and the float twins."""

from __future__ import annotations

from fractions import Fraction
from math import exp

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.venues.aave_interest import (
    RAY,
    YEAR_SECONDS,
    accrued_debt,
    accrued_supply,
    balance,
    compounded_interest,
    grown_index,
    linear_interest,
    ray_div,
    ray_mul,
)

rates = st.integers(0, RAY)
seconds = st.integers(0, 5 * YEAR_SECONDS)


@given(rates, seconds)
def test_compounding_is_not_below_linear_but_for_the_rounded_rate(rate: int, time: int) -> None:
    lost = time * 2  # the rate for one second is rounded down, the share of a year half up
    assert compounded_interest(rate, time) >= linear_interest(rate, time) - lost - RAY // YEAR_SECONDS // 10**9


def _rounded(time: int) -> float:
    """What halves of a ray, lost or won in the cube of the rate of a second, come to after so many seconds."""
    return (time**3 / 12 + time**2 + time) / RAY


@example(rate=RAY // 40, time=5 * YEAR_SECONDS)
@example(rate=999423664206722073038179993, time=42336640)
@given(rates, seconds)
def test_three_terms_stay_below_the_exponential(rate: int, time: int) -> None:
    x = rate / RAY * time / YEAR_SECONDS
    found = compounded_interest(rate, time) / RAY
    assert found <= exp(x) * (1 + 1e-12) + _rounded(time)
    assert found >= (1 + x + x * x / 2 + x**3 / 6) * (1 - 1e-6) - _rounded(time)


@example(rate=823008606691806698774529318, time=157679999)
@given(rates, seconds)
def test_floats_follow_the_integers(rate: int, time: int) -> None:
    assert accrued_supply(1.0, rate / RAY, time) == pytest.approx(linear_interest(rate, time) / RAY, rel=1e-12)
    found = compounded_interest(rate, time) / RAY
    assert accrued_debt(1.0, rate / RAY, time) == pytest.approx(found, rel=1e-9, abs=_rounded(time))


@given(st.integers(0, 10**40), st.integers(1, 10**40))
def test_products_and_quotients_round_half_up(a: int, b: int) -> None:
    assert ray_mul(a, b) == int(Fraction(a * b, RAY) + Fraction(1, 2))
    assert abs(ray_div(a, b) - Fraction(a * RAY, b)) <= Fraction(1, 2)


def test_published_balances() -> None:
    rate, time = 500_000_000_000_000_000, 100_000_100
    assert balance(10_000, 1_048_540_642_417_873_765_200_833_079, rate, time, compounded=True) == 10_485
    assert balance(2 * 10**18, RAY, rate, 120_000_000, compounded=True) == 2_000_000_003_805_175_038
    assert grown_index(123, 0, time) == 123


def test_the_first_seconds_have_no_later_terms() -> None:
    rate = RAY
    x = rate // YEAR_SECONDS
    assert compounded_interest(rate, 0) == RAY
    assert compounded_interest(rate, 1) == RAY + x
    assert compounded_interest(rate, 2) == RAY + 2 * x + ray_mul(x, x)
    assert accrued_debt(7.0, 0.05, 0.0) == 7.0


@pytest.mark.parametrize(("rate", "time"), [(-1, 0), (0, -1)])
def test_refuses_negative_input(rate: int, time: int) -> None:
    for grow in (linear_interest, compounded_interest):
        with pytest.raises(InputError):
            grow(rate, time)
