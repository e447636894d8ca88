"""Hyperliquid portfolio margin: borrowing against collateral, caps, the ratio and its threshold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.unified_hyperliquid import (
    HyperliquidPortfolio,
    borrow_interest,
    borrow_oracle_price,
    collateral_schedule,
    hyperliquid_margin,
    liquidation_threshold,
    maintenance_schedule,
)


def portfolio(borrowed: float = 100_000.0) -> HyperliquidPortfolio:
    """Build an account of 10,000 HYPE at 40 dollars, as the FAQ has it."""
    return HyperliquidPortfolio(
        balance=np.array(0.0),
        borrowed=np.array(borrowed),
        held=np.array([10_000.0]),
        oracle=np.array([40.0]),
        ltv=np.array([0.5]),
        maintenance=np.array(0.0),
    )


def test_the_faq_lends_half_and_liquidates_at_three_quarters() -> None:
    found = hyperliquid_margin(portfolio())
    assert float(found.borrowable) == 200_000.0
    assert float(found.liquidation_value) == 300_000.0
    assert float(found.requirement) == 100_020.0
    limit = 0.95 * 300_000 - 20
    assert int(hyperliquid_margin(portfolio(limit - 0.01)).state) == 0
    assert int(hyperliquid_margin(portfolio(limit + 0.01)).state) == 1


def test_cross_maintenance_and_perpetual_profit_enter_where_they_should() -> None:
    found = hyperliquid_margin(replace(portfolio(), maintenance=np.array(500.0), balance=np.array(-1_000.0)))
    assert float(found.requirement) == 100_520.0
    assert float(found.liquidation_value) == 299_000.0


def test_caps_bound_what_collateral_counts_for() -> None:
    capped = hyperliquid_margin(replace(portfolio(), supply_cap=200.0))
    assert float(capped.liquidation_value) == pytest.approx(200 * 40 * 0.75)
    assert float(capped.borrowable) == pytest.approx(200 * 40 * 0.5)
    borrow = hyperliquid_margin(replace(portfolio(), borrow_cap=1_000.0))
    assert (float(borrow.liquidation_value), float(borrow.borrowable)) == (1_000.0, 1_000.0)


def test_no_value_left_is_liquidatable() -> None:
    found = hyperliquid_margin(replace(portfolio(), balance=np.array(-400_000.0)))
    assert float(found.ratio) == np.inf
    assert int(found.state) == 1


@given(st.floats(0.0, 1e4), st.floats(0.0, 1e3), st.floats(0.0, 1.0), st.floats(0.0, 1e6), st.floats(0.0, 1e4))
def test_the_schedules_give_the_same_verdict_as_the_ratio(
    held: float, oracle: float, ltv: float, borrowed: float, cap: float
) -> None:
    p = replace(
        portfolio(borrowed), held=np.array([held]), oracle=np.array([oracle]), ltv=np.array([ltv]), supply_cap=cap,
        borrow_cap=5e4,
    )  # fmt: skip
    found = hyperliquid_margin(p)
    rule = {"ltv": ltv, "supply_cap": cap, "borrow_cap": 5e4}
    counted = float(collateral_schedule(rule, held)(held * oracle))
    assert counted == pytest.approx(float(found.liquidation_value), rel=1e-9, abs=1e-9)
    required = float(maintenance_schedule({}, -borrowed if borrowed else -1.0)(borrowed))
    assert required == pytest.approx(float(found.requirement) / 0.95, rel=1e-12)
    if abs(counted - required) > 1e-6 * required:
        assert (counted < required) is bool(found.state)


def test_the_oracle_is_the_median_in_usdc() -> None:
    assert float(borrow_oracle_price(40.0, 42.0, 41.0, 1.0)) == 41.0
    assert float(borrow_oracle_price(40.0, 42.0, 44.0, 1.1)) == pytest.approx(40.0)


def test_interest_rises_steeply_above_four_fifths() -> None:
    assert float(borrow_interest(1.0, 0.8, 8760.0)) == pytest.approx(np.expm1(0.05))
    assert float(borrow_interest(1.0, 0.9, 8760.0)) == pytest.approx(np.expm1(0.525))
    assert float(borrow_interest(1.0, 0.9, 0.0)) == 0.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("borrowed", np.array(-1.0)),
        ("held", np.array([-1.0])),
        ("oracle", np.array([-1.0])),
        ("borrow_cap", -1.0),
        ("supply_cap", -1.0),
        ("ltv", np.array([1.01])),
    ],
)
def test_wrong_balances_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InputError, match=field):
        replace(portfolio(), **{field: value})


def test_wrong_arguments_are_refused_by_name() -> None:
    for ltv in (-0.01, 1.01):
        with pytest.raises(InputError, match="ltv"):
            liquidation_threshold(ltv)
    for used in (-0.01, 1.01):
        with pytest.raises(InputError, match="utilisation"):
            borrow_interest(1.0, used)
    with pytest.raises(InputError, match="quantity"):
        collateral_schedule({"ltv": 0.5}, -1.0)
    with pytest.raises(InputError, match="ltv"):
        collateral_schedule({}, 1.0)
    with pytest.raises(InputError, match="offset"):
        maintenance_schedule({"offset": -1.0}, -1.0)
