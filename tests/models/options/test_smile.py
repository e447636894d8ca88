"""Quoted smiles: quotes are met, and nothing happens beyond them."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.options.black76 import greeks
from models.options.smile import Smile, VolSurface

MONTH = Smile.from_strikes(30 / 365, 60_000.0, [50_000, 55_000, 60_000, 70_000], [0.62, 0.57, 0.55, 0.60])
QUARTER = Smile.from_strikes(90 / 365, 61_000.0, [45_000, 61_000, 90_000], [0.66, 0.60, 0.64])


def test_quotes_are_met_and_beyond_them_it_is_flat() -> None:
    np.testing.assert_allclose(MONTH.vol(MONTH.log_moneyness), MONTH.quote, rtol=1e-14)
    assert MONTH.vol([-9.0, 9.0]).tolist() == [0.62, 0.60]


@given(quotes=st.lists(st.floats(0.05, 5.0), min_size=2, max_size=8))
def test_between_two_quotes_it_never_leaves_their_range(quotes: list[float]) -> None:
    knots = np.linspace(-1, 1, len(quotes))
    smile = Smile(0.1, knots, np.array(quotes))
    between = np.linspace(knots[:-1], knots[1:], 21)
    found = smile.vol(between)
    low, high = np.minimum(quotes[:-1], quotes[1:]), np.maximum(quotes[:-1], quotes[1:])
    assert np.all((found >= low - 1e-12) & (found <= high + 1e-12))


def test_deltas_name_the_strikes_that_have_them() -> None:
    delta, vol = [-0.1, -0.25, 0.5, 0.25, 0.1], [0.70, 0.60, 0.55, 0.58, 0.66]
    smile = Smile.from_deltas(0.1, delta, vol)
    assert smile.quote.tolist() == vol
    strike = 100.0 * np.exp(smile.log_moneyness)
    call = np.array([False, False, True, True, True])
    np.testing.assert_allclose(greeks(100.0, strike, vol, 0.1, call).forward_delta, delta, rtol=1e-12)


def test_strikes_may_come_in_any_order() -> None:
    mixed = Smile.from_strikes(30 / 365, 60_000.0, [70_000, 50_000, 60_000, 55_000], [0.60, 0.62, 0.55, 0.57])
    np.testing.assert_array_equal(mixed.quote, MONTH.quote)


def test_total_variance_is_linear_between_expiries_at_equal_moneyness() -> None:
    surface = VolSurface([QUARTER, MONTH])
    k, years = 0.1, 60 / 365
    expected = 0.5 * (float(MONTH.vol(k)) ** 2 * MONTH.years + float(QUARTER.vol(k)) ** 2 * QUARTER.years)
    assert float(surface.vol(k, years)) == pytest.approx(math.sqrt(expected / years), rel=1e-12)
    assert float(surface.vol(k, 1e-9)) == pytest.approx(float(MONTH.vol(k)), rel=1e-14)
    assert float(surface.vol(k, 5.0)) == pytest.approx(float(QUARTER.vol(k)), rel=1e-14)


def test_expiries_themselves_are_met_over_a_grid() -> None:
    surface = VolSurface([MONTH, QUARTER])
    k = np.linspace(-0.5, 0.5, 11)
    found = surface.vol(k[:, None], [MONTH.years, QUARTER.years])
    assert found.shape == (11, 2)
    np.testing.assert_allclose(found, np.stack([MONTH.vol(k), QUARTER.vol(k)], axis=1), rtol=1e-12)


def test_one_expiry_and_one_quote_suffice() -> None:
    surface = VolSurface([Smile.from_strikes(0.1, 100.0, 100.0, 0.5)])
    assert surface.vol([-1.0, 0.0, 1.0], 0.7).tolist() == [0.5, 0.5, 0.5]
    assert not surface.modelled


@given(st.floats(-3, 3), st.floats(-0.1, 5), st.floats(0.05, 3), st.floats(0.05, 3))
def test_it_is_positive_even_where_quotes_admit_calendar_arbitrage(k: float, years: float, a: float, b: float) -> None:
    surface = VolSurface([Smile(0.1, np.zeros(1), np.array([a])), Smile(0.2, np.zeros(1), np.array([b]))])
    assert min(a, b) * 0.7 < float(surface.vol(k, years)) < max(a, b) * 1.0001


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Smile.from_strikes(0.0, 100.0, [100], [0.5]), r"years: expected a finite number > 0"),
        (lambda: Smile.from_strikes(0.1, 0.0, [100], [0.5]), r"forward: expected a finite number > 0, was 0"),
        (lambda: Smile.from_strikes(0.1, 100.0, [100, 0], [0.5, 0.5]), r"strike: expected strikes > 0"),
        (lambda: Smile.from_strikes(0.1, 100.0, [100, 100], [0.5, 0.6]), r"log_moneyness: .* strictly rising"),
        (lambda: Smile.from_strikes(0.1, 100.0, [100, 110], [0.5, 0.0]), r"quote: expected finite volatilities > 0"),
        (
            lambda: Smile.from_strikes(0.1, 100.0, [100, 110], [0.5]),
            r"quote: expected one volatility for each of the 2",
        ),
        (lambda: Smile.from_strikes(0.1, 100.0, [], []), r"quote: expected one volatility"),
        (lambda: Smile.from_deltas(0.1, [0.0], [0.5]), r"delta: expected deltas in"),
        (lambda: Smile.from_deltas(0.1, [1.0], [0.5]), r"delta: expected deltas in"),
        (lambda: Smile.from_deltas(-0.1, [0.5], [0.5]), r"years: expected a finite number > 0"),
        (lambda: VolSurface([]), r"smiles: expected at least one smile"),
        (lambda: VolSurface([MONTH, MONTH]), r"smiles: expected each expiry once"),
    ],
)
def test_quotes_that_cannot_be_are_refused(build: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build()
