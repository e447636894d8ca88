"""dYdX fractions: rounding, the rise with open interest, and the schedule against the chain's integers."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.venues.dydx import (
    PPM,
    LiquidityTier,
    collateral_schedule,
    effective_imf_ppm,
    initial_margin,
    initial_rate,
    maintenance_margin,
    maintenance_margin_ppm,
    maintenance_schedule,
    net_notional,
)

ppm = st.integers(0, PPM)
tiers = st.builds(
    lambda a, b, lower, width: LiquidityTier(a, b, lower, lower + width),
    ppm,
    ppm,
    st.integers(0, 10**15),
    st.integers(0, 10**15),
)
notionals = st.integers(-(10**18), 10**18)


def _rule(tier: LiquidityTier, open_interest: int = 0) -> dict[str, float]:
    return {**tier._asdict(), "open_interest": open_interest}


@given(tiers, notionals, st.integers(0, 3 * 10**15))
def test_the_folded_rates_are_the_integers_up_to_rounding(tier: LiquidityTier, notional: int, oi: int) -> None:
    size = abs(notional)
    folded = Fraction(tier.initial_margin_ppm * tier.maintenance_fraction_ppm, PPM**2) * size
    exact = maintenance_margin(tier, notional)
    assert folded <= exact < folded + 2
    assert float(maintenance_schedule(_rule(tier), 1.0)(float(size))) == pytest.approx(float(folded), rel=1e-12)
    assert abs(initial_rate(_rule(tier, oi), 1.0) * size - initial_margin(tier, notional, oi)) <= 1 + 1e-9 * size


@given(tiers, st.integers(0, 3 * 10**15), st.integers(0, 10**15))
def test_the_initial_fraction_rises_with_open_interest(tier: LiquidityTier, oi: int, more: int) -> None:
    before, after = effective_imf_ppm(tier, oi), effective_imf_ppm(tier, oi + more)
    assert tier.initial_margin_ppm <= before <= after <= PPM


@given(tiers, notionals, st.integers(0, 3 * 10**15))
def test_initial_is_not_below_maintenance(tier: LiquidityTier, notional: int, oi: int) -> None:
    assert initial_margin(tier, notional, oi) >= maintenance_margin(tier, notional) - 1


@given(tiers, st.integers(1, 10**15), st.integers(1, 100))
def test_a_larger_position_never_needs_a_lower_rate(tier: LiquidityTier, notional: int, times: int) -> None:
    assert maintenance_margin(tier, notional * times) + 2 * times >= maintenance_margin(tier, notional) * times


def test_maintenance_rounds_up_twice_and_its_printed_fraction_down() -> None:
    tier = LiquidityTier(100_000, 500_000)
    assert maintenance_margin(tier, 11) == 1  # ceil(ceil(1.1) / 2)
    assert maintenance_margin(tier, 21) == 2  # ceil(ceil(2.1) / 2): rounded once it would be 2 too
    assert maintenance_margin(LiquidityTier(100_000, 900_000), 11) == 2  # ceil(0.99) = 1 if rounded once
    assert maintenance_margin_ppm(LiquidityTier(637_239, 289_284)) == 184_343


def test_caps_that_are_both_zero_switch_the_rise_off() -> None:
    assert effective_imf_ppm(LiquidityTier(20_000), 10**18) == 20_000
    assert effective_imf_ppm(LiquidityTier(20_000, PPM, 5, 5), 5) == 20_000
    assert effective_imf_ppm(LiquidityTier(20_000, PPM, 5, 5), 6) == PPM


def test_the_larger_of_two_initial_fractions_holds() -> None:
    assert initial_margin(LiquidityTier(50_000), 1_000, custom_imf_ppm=200_000) == 200
    assert initial_margin(LiquidityTier(50_000), 1_000, custom_imf_ppm=20_000) == 50
    assert initial_rate({"initial_margin_ppm": 50_000, "custom_imf_ppm": 200_000}, 1.0) == 0.2


@given(st.integers(0, 10**18), st.integers(0, 10**12), st.integers(-9, 2), st.integers(-12, 0))
def test_value_is_odd_in_the_position(quantums: int, price: int, exponent: int, resolution: int) -> None:
    value = net_notional(quantums, price, exponent, resolution)
    assert net_notional(-quantums, price, exponent, resolution) == -value
    assert value <= Fraction(quantums * price) * Fraction(10) ** (exponent + resolution + 6)


def test_usdc_counts_in_full() -> None:
    assert float(collateral_schedule({}, 1.0)(12.0)) == 12.0


def test_ranges() -> None:
    for wrong in (LiquidityTier(PPM + 1), LiquidityTier(1, -1), LiquidityTier(1, 1, 2, 1)):
        with pytest.raises(InputError):
            effective_imf_ppm(wrong)
        with pytest.raises(InputError):
            maintenance_schedule(wrong._asdict(), 1.0)
    with pytest.raises(InputError, match="initial_margin_ppm"):
        maintenance_schedule({}, 1.0)
