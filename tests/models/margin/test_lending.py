"""Loans: limits keep the health factor, and the fold into equity and maintenance is the venue's rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.lending import (
    NO_DEBT,
    Reserve,
    available_borrow,
    average_threshold,
    collateral_schedule,
    debt_schedule,
    health_factor_of_totals,
    in_emode,
    liquidation_price,
    withdrawable,
)

amount = st.floats(1.0, 1e9)
share = st.floats(0.01, 1.0)
book = st.lists(st.tuples(amount, share), min_size=1, max_size=5)


@given(book, amount)
def test_equity_below_maintenance_is_a_health_factor_below_one(held: list[tuple[float, float]], debt: float) -> None:
    values, thresholds = zip(*held, strict=True)
    total = sum(values)
    equity = sum(float(collateral_schedule(t)(v)) for v, t in held)
    health = health_factor_of_totals(total, debt, 10_000 * min(average_threshold(values, thresholds), 1.0))
    assert equity / float(debt_schedule()(debt)) == pytest.approx(health, rel=1e-9)


@given(book, amount, st.floats(0.0, 1e9))
def test_more_collateral_never_worsens(held: list[tuple[float, float]], debt: float, more: float) -> None:
    values, thresholds = map(list, zip(*held, strict=True))
    before = sum(v * t for v, t in held) / debt
    after = (sum(v * t for v, t in held) + more * thresholds[0]) / debt
    assert after >= before
    richer = [values[0] + more, *values[1:]]
    assert available_borrow(richer, thresholds, debt) >= available_borrow(values, thresholds, debt)
    assert withdrawable(richer, thresholds, debt, 0) >= withdrawable(values, thresholds, debt, 0) - 1e-6


@given(book, amount, st.sampled_from([1.0, 1.1, 1.5]))
def test_what_is_withdrawn_leaves_the_health_factor(held: list[tuple[float, float]], debt: float, keep: float) -> None:
    values, thresholds = map(list, zip(*held, strict=True))
    out = withdrawable(values, thresholds, debt, 0, keep)
    assert 0.0 <= out <= values[0]
    left = sum(v * t for v, t in held) - out * thresholds[0]
    rounding = 1e-12 * sum(values) + 1e-9 * debt
    if out > 0:
        assert left >= keep * debt - rounding
    if 0 < out < values[0]:
        assert left == pytest.approx(keep * debt, abs=rounding)


@given(st.floats(1e-3, 1e6), share, amount)
def test_health_is_one_at_the_liquidation_price(quantity: float, threshold: float, debt: float) -> None:
    price = liquidation_price(quantity, threshold, debt)
    assert health_factor_of_totals(quantity * price, debt, threshold * 10_000) == pytest.approx(1.0, rel=1e-9)


def test_borrowing_to_the_limit_is_not_liquidation() -> None:
    debt = available_borrow([10_000.0], [0.8], 0.0)
    assert health_factor_of_totals(10_000.0, debt, 8_250) == pytest.approx(1.03125)


def test_emode_is_for_its_own_category() -> None:
    staked, bitcoin = Reserve(0.685, 0.795, 0.07, 1), Reserve(0.7, 0.75, 0.0625)
    mode = Reserve(0.9, 0.93, 0.01, 1)
    assert in_emode(staked, mode) is mode
    assert in_emode(bitcoin, mode) is bitcoin
    assert in_emode(bitcoin, Reserve(0.9, 0.93, 0.01, 0)) is bitcoin


def test_nothing_owed() -> None:
    assert health_factor_of_totals(100.0, 0.0, 5_000) == NO_DEBT
    assert withdrawable([100.0], [0.8], 0.0, 0) == 100.0
    assert average_threshold([], []) == 0.0
    assert liquidation_price(1.0, 0.8, -5.0) == 0.0


@pytest.mark.parametrize(
    ("collateral", "debt", "bps"), [(-1.0, 1.0, 0), (1.0, float("nan"), 0), (1.0, 1.0, 10_001), (1.0, 1.0, -1)]
)
def test_health_refuses_what_is_out_of_range(collateral: float, debt: float, bps: float) -> None:
    with pytest.raises(InputError):
        health_factor_of_totals(collateral, debt, bps)


def test_other_ranges() -> None:
    with pytest.raises(InputError, match="least_health"):
        withdrawable([1.0], [0.5], 1.0, 0, 0.99)
    with pytest.raises(InputError, match="quantity"):
        liquidation_price(0.0, 0.5, 1.0)
    with pytest.raises(InputError, match="rate"):
        collateral_schedule(1.01)
