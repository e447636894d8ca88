"""Drift weights: monotone in size, exact in the program's integers, and what the schedules make of them."""

from __future__ import annotations

from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.venues.drift import (
    BASE,
    PRICE,
    WEIGHT,
    asset_weight,
    collateral_schedule,
    debt_schedule,
    initial_rate,
    liability_weight,
    maintenance_schedule,
    margin_ratio,
    perpetual_margin,
    pnl_asset_weight,
    scaled_asset_weight,
    size_in_base,
    unrealized_pnl,
)

sizes = st.integers(0, 10**18)
factors = st.integers(0, 200_000)


@given(sizes, st.integers(0, 10**18), factors, st.integers(0, WEIGHT))
def test_a_larger_deposit_never_counts_for_a_higher_share(size: int, more: int, imf: int, weight: int) -> None:
    small, large = asset_weight(size, imf, weight), asset_weight(size + more, imf, weight)
    assert 0 <= large <= small <= weight
    assert (size + more) * large >= size * small * 0.999 - BASE  # and yet it counts for more


@given(sizes, st.integers(0, 10**18), factors, st.integers(1, 30_000))
def test_a_larger_borrow_never_needs_a_lower_rate(size: int, more: int, imf: int, weight: int) -> None:
    assert weight <= liability_weight(size, imf, weight) <= liability_weight(size + more, imf, weight)


@given(st.integers(1, 10**15), st.integers(1, 100_000))
def test_the_integers_are_the_documented_formula(size: int, imf: int) -> None:
    root, share = sqrt(size / BASE), imf / 1e6
    assert asset_weight(size, imf, WEIGHT) == pytest.approx(min(WEIGHT, 1.1 * WEIGHT / (1 + share * root)), abs=2)
    assert liability_weight(size, imf, 1_000) == pytest.approx(max(1_000, 800 + WEIGHT * share * root), abs=2)


@given(st.floats(-1e5, 1e5), st.integers(1, 10**6), factors)
def test_the_schedules_are_the_integers_up_to_rounding(quantity: float, dollars: int, imf: int) -> None:
    rule = {"margin_ratio_maintenance": 500, "margin_ratio_initial": 1_000, "imf_factor": imf}
    rule |= {"maintenance_asset_weight": 9_000, "maintenance_liability_weight": 11_000}
    base, price = round(quantity * BASE), dollars * PRICE
    notional = abs(base) * price / BASE
    for ratio, folded in (
        (margin_ratio(base, imf, 1_000, 500), float(maintenance_schedule(rule, quantity)(notional))),
        (margin_ratio(base, imf, 1_000, 500, "initial"), initial_rate(rule, quantity) * notional),
    ):
        assert abs(perpetual_margin(base, price, ratio) - folded) <= 2 + ratio / WEIGHT + 1e-9 * folded
    held = float(collateral_schedule(rule, quantity)(notional))
    assert held == pytest.approx(notional * asset_weight(abs(base), imf, 9_000) / WEIGHT)
    owed = float(debt_schedule(rule, quantity)(notional))
    assert owed + notional == pytest.approx(notional * liability_weight(abs(base), imf, 11_000) / WEIGHT)


def test_the_fill_ratio_is_the_mean() -> None:
    assert margin_ratio(0, 0, 1_000, 501, "fill") == 750
    with pytest.raises(InputError, match="margin_type"):
        margin_ratio(0, 0, 1_000, 500, "other")  # type: ignore[arg-type]


@given(st.integers(-(10**16), 10**16), st.integers(0, 10**15), factors)
def test_gains_count_for_less_and_losses_in_full(pnl: int, more: int, imf: int) -> None:
    weight = pnl_asset_weight(pnl, imf)
    assert weight == WEIGHT if pnl <= 0 else weight <= WEIGHT
    assert pnl_asset_weight(pnl + more, imf) <= weight


def test_an_imbalance_of_the_venue_cuts_gains() -> None:
    assert pnl_asset_weight(100, 0, net_pnl=400, max_imbalance=100) == 2_500
    assert pnl_asset_weight(100, 0, net_pnl=100, max_imbalance=100) == WEIGHT
    assert pnl_asset_weight(100, 0, net_pnl=400) == WEIGHT


@pytest.mark.parametrize(("tokens", "weight"), [(1, 9_000), (20_000, 9_000), (40_000, 4_500), (60_000, 3_000)])
def test_published_scaled_weights(tokens: int, weight: int) -> None:
    assert scaled_asset_weight(9_000, tokens * 25 * PRICE, 500_000 * PRICE) == weight
    assert scaled_asset_weight(9_000, tokens * 25 * PRICE, 0) == 9_000


@given(st.integers(-(10**15), 10**15), st.integers(0, 10**12))
def test_pnl_of_a_short_mirrors_that_of_a_long(base: int, price: int) -> None:
    assert unrealized_pnl(base, 0, price) == -unrealized_pnl(-base, 0, price)


def test_decimals() -> None:
    assert size_in_base(-5, 9) == 5
    assert size_in_base(1_999, 12) == 1
    assert size_in_base(1, 0) == BASE


def test_ranges() -> None:
    for rule in (asset_weight, liability_weight):
        for wrong in ((-1, 0, 0), (0, -1, 0), (0, 0, -1)):
            with pytest.raises(InputError):
                rule(*wrong)
    with pytest.raises(InputError, match="margin_ratio_maintenance"):
        maintenance_schedule({"margin_ratio_initial": 1_000}, 1.0)
