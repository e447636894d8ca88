"""The modelled surface: its anchor, its flags, and that nothing can be bought from it for less than nothing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.options.black76 import price
from models.options.ssvi import ANCHOR_YEARS, SHORTEST_YEARS, SurfaceParameters
from models.options.surface import PREMIUM, ModelledSurface, VolSurface, implied_vol, modelled_index
from models.typing import FloatArray

LEVELS = (0.15, 0.3, 0.55, 1.0, 2.5)
YEARS = (1 / 8760, 1 / 365, 7 / 365, 30 / 365, 0.5, 1.0, 3.0)


def _parameters() -> st.SearchStrategy[SurfaceParameters]:
    def make(skew: float, share: float, long_vol: float, reversion: float, ratio: float) -> SurfaceParameters:
        curvature = max(0.01, share * min(1.9, 2.0 / (1.0 + abs(skew))) * (1 - 1e-12))
        return SurfaceParameters(
            skew=skew, curvature=curvature, long_vol=long_vol, reversion=reversion, atm_ratio=ratio
        )

    return st.builds(
        make,
        st.floats(-0.7, 0.7),
        st.floats(0.01, 1.0),
        st.floats(0.05, 3.0),
        st.floats(0.1, 6.0),
        st.floats(0.7, 1.1),
    )


def _density(level: float, years: float, parameters: SurfaceParameters) -> FloatArray:
    """Second differences of call prices over strikes, times a positive number."""
    atm = float(implied_vol(level, 0.0, years, parameters)) * math.sqrt(years)
    strike = 100.0 * np.exp(np.linspace(-min(8.0 * atm, 6.0), min(8.0 * atm, 6.0), 801))
    vol = implied_vol(level, np.log(strike / 100.0), years, parameters)
    call = strike > 100.0
    value = price(100.0, strike, vol, years, call) - np.where(call, 0.0, strike - 100.0)
    return np.diff(np.diff(value) / np.diff(strike))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("years", YEARS)
def test_no_butterfly_of_the_default_shape_costs_less_than_nothing(level: float, years: float) -> None:
    assert _density(level, years, SurfaceParameters()).min() > -1e-11


@given(level=st.floats(0.1, 3.0), years=st.floats(1 / 365, 2.0), parameters=_parameters())
def test_no_butterfly_of_any_allowed_shape_costs_less_than_nothing(
    level: float, years: float, parameters: SurfaceParameters
) -> None:
    assert _density(level, years, parameters).min() > -1e-10


@given(level=st.floats(0.1, 3.0), parameters=_parameters(), moneyness=st.floats(-2.0, 2.0))
def test_no_calendar_spread_costs_less_than_nothing(
    level: float, parameters: SurfaceParameters, moneyness: float
) -> None:
    years = np.geomspace(1 / 8760, 3.0, 200)
    total = implied_vol(level, moneyness, years, parameters) ** 2 * years
    assert np.all(np.diff(total) > -1e-12 * total[1:])


@given(level=st.floats(1e-3, 10.0), moneyness=st.floats(-5, 5), years=st.floats(0, 10), parameters=_parameters())
def test_it_is_always_a_positive_number(
    level: float, moneyness: float, years: float, parameters: SurfaceParameters
) -> None:
    vol = float(implied_vol(level, moneyness, years, parameters))
    assert 0 < vol < math.inf


@pytest.mark.parametrize("level", LEVELS)
def test_fair_variance_of_30_days_is_the_square_of_the_index(level: float) -> None:
    """E[-2 log(S/F)] by its replication with options out of the money."""
    strike = np.exp(np.linspace(-12, 12, 40_001) * level * math.sqrt(ANCHOR_YEARS) * 1.5)
    vol = implied_vol(level, np.log(strike), ANCHOR_YEARS)
    value = price(1.0, strike, vol, ANCHOR_YEARS, strike > 1.0)
    fair = np.trapezoid(2.0 * value / strike**2, strike) / ANCHOR_YEARS
    assert math.sqrt(fair) == pytest.approx(level, rel=0.012)


def test_at_the_money_it_is_a_fixed_share_of_the_index() -> None:
    assert implied_vol(LEVELS, 0.0, ANCHOR_YEARS) == pytest.approx(0.94 * np.array(LEVELS), rel=1e-12)
    shape = SurfaceParameters(atm_ratio=1.0)
    assert float(implied_vol(0.6, 0.0, ANCHOR_YEARS, shape)) == pytest.approx(0.6, rel=1e-12)


def test_term_structure_falls_from_a_high_index_and_rises_from_a_low_one() -> None:
    years = np.array([0.02, ANCHOR_YEARS, 0.25, 1.0, 3.0])
    assert np.all(np.diff(implied_vol(1.2, 0.0, years)) < 0)
    assert np.all(np.diff(implied_vol(0.3, 0.0, years)) > 0)
    far = implied_vol(0.94**-1 * 0.54, 0.0, years)
    np.testing.assert_allclose(far, 0.54, rtol=1e-12)


def test_skew_and_curvature_do_what_their_names_say() -> None:
    def smile(skew: float, curvature: float) -> list[float]:
        shape = SurfaceParameters(skew=skew, curvature=curvature)
        return [float(v) for v in implied_vol(0.55, [-0.15, 0.0, 0.15], ANCHOR_YEARS, shape)]

    put, middle, call = smile(-0.3, 0.7)
    assert put > middle
    assert put > call
    assert smile(0.3, 0.7) == pytest.approx([call, middle, put])
    assert smile(0.0, 1.2)[0] > smile(0.0, 0.6)[0] > middle


def test_within_the_last_hour_the_smile_stands_still() -> None:
    moneyness = np.array([-0.1, 0.0, 0.2])
    np.testing.assert_array_equal(implied_vol(0.5, moneyness, 0.0), implied_vol(0.5, moneyness, SHORTEST_YEARS))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("skew", -0.7, 0.7),
        ("curvature", 0.01, 1.9),
        ("long_vol", 0.05, 3.0),
        ("reversion", 0.1, 6.0),
        ("atm_ratio", 0.7, 1.1),
    ],
)
def test_each_parameter_has_its_range(name: str, low: float, high: float) -> None:
    for value in (low, high):
        assert getattr(SurfaceParameters(**{name: value}), name) == value
    for value in (low - 1e-9, high + 1e-9, math.nan):
        with pytest.raises(InputError, match=rf"^surface\.{name}: expected a number in "):
            SurfaceParameters(**{name: value})


def test_a_shape_that_admits_arbitrage_is_refused() -> None:
    SurfaceParameters(skew=0.6, curvature=1.25)
    with pytest.raises(InputError, match=r"^surface\.curvature: expected at most 1\.25 here, was 1\.26"):
        SurfaceParameters(skew=-0.6, curvature=1.26)


@pytest.mark.parametrize("level", [0.0, -0.5, 55.0, math.nan])
def test_an_index_that_is_no_fraction_is_refused(level: float) -> None:
    with pytest.raises(InputError, match=r"^index_level: expected fractions in \(0, 10\]"):
        implied_vol([0.5, level], 0.0, 0.1)
    with pytest.raises(InputError, match=r"^index_level: expected a fraction in \(0, 10\]"):
        ModelledSurface(level)
    with pytest.raises(InputError, match=r"^years: expected finite numbers"):
        implied_vol(0.5, 0.0, math.nan)


def test_a_surface_says_that_it_is_modelled() -> None:
    surface = ModelledSurface(float(modelled_index(0.5)), SurfaceParameters(skew=0.1), index_modelled=True)
    assert surface.modelled
    assert surface.index_modelled
    assert not ModelledSurface(0.5).index_modelled
    np.testing.assert_array_equal(
        surface.vol([0.1, 0.2], 0.1), implied_vol(0.575, [0.1, 0.2], 0.1, SurfaceParameters(skew=0.1))
    )
    assert not isinstance(surface, VolSurface)


def test_modelled_index_is_realised_volatility_and_a_premium() -> None:
    np.testing.assert_allclose(modelled_index([0.4, math.nan, 9.9]), [0.4 * PREMIUM, math.nan, 10.0])
    assert float(modelled_index(0.4, 0.8)) == pytest.approx(0.32)
    for wrong in (0.0, -0.1):
        with pytest.raises(InputError, match="realised_vol_30d: expected fractions > 0"):
            modelled_index(wrong)
    for ratio in (0.79, 2.01):
        with pytest.raises(InputError, match="premium: expected a ratio in"):
            modelled_index(0.4, ratio)
