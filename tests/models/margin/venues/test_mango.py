"""Mango weights and what they make of one position for the fast engine."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.venues.mango import (
    collateral_schedule,
    debt_schedule,
    initial_rate,
    maintenance_schedule,
    scaled_asset_weight,
    scaled_liability_weight,
)
from models.margin.venues.mango_health import Perpetual, Token, health

RULE = {
    "maint_base_asset_weight": 0.9,
    "init_base_asset_weight": 0.8,
    "maint_base_liab_weight": 1.1,
    "init_base_liab_weight": 1.2,
    "maint_asset_weight": 0.85,
    "maint_liab_weight": 1.15,
}
quantity = st.floats(-1e3, 1e3)
price = st.floats(0.01, 1e5)


@given(quantity, quantity, price, st.floats(-1e6, 1e6))
def test_equity_less_requirements_is_maintenance_health(q: float, coins: float, p: float, quote: float) -> None:
    tokens = {
        "USDC": Token(balance=0.0, price=1.0, asset_weight=1.0, liability_weight=1.0),
        "SOL": Token(balance=coins, price=p, asset_weight=0.85, liability_weight=1.15),
    }
    perpetual = Perpetual(base=q, quote=quote, price=p, asset_weight=0.9, liability_weight=1.1, settle="USDC")
    value = abs(coins) * p
    counted = float(collateral_schedule(RULE, coins)(value)) if coins >= 0 else -value
    required = float(maintenance_schedule(RULE, q)(abs(q) * p))
    required += float(debt_schedule(RULE, coins)(value)) if coins < 0 else 0.0
    folded = quote + q * p + counted - required
    assert folded == pytest.approx(health(tokens, [perpetual]), rel=1e-9, abs=1e-3)


@given(quantity, price, st.floats(-1e6, 1e6), st.floats(0.0, 1.0))
def test_with_an_overall_weight_the_fold_is_a_bound(q: float, p: float, quote: float, overall: float) -> None:
    usdc = {"USDC": Token(balance=0.0, price=1.0, asset_weight=1.0, liability_weight=1.0)}
    terms = {"base": q, "quote": quote, "price": p, "asset_weight": 0.9, "liability_weight": 1.1, "settle": "USDC"}
    found = health(usdc, [Perpetual(**terms, overall_asset_weight=overall)])
    assert found <= quote + q * p - float(maintenance_schedule(RULE, q)(abs(q) * p)) + 1e-3


def test_longs_and_shorts_have_rates_of_their_own() -> None:
    rule = {"init_base_asset_weight": 0.8, "init_base_liab_weight": 1.3}
    assert initial_rate(rule, 2.0) == pytest.approx(0.2)
    assert initial_rate(rule, -2.0) == pytest.approx(0.3)
    with pytest.raises(InputError, match="maint_base_liab_weight"):
        maintenance_schedule({"maint_base_asset_weight": 0.9}, -1.0)


@given(st.floats(0.1, 1.0), st.floats(0.0, 1e9), st.floats(0.0, 1e9), st.floats(1.0, 1e9))
def test_scaled_weights_only_get_worse(weight: float, total: float, more: float, start: float) -> None:
    assert 0 <= scaled_asset_weight(weight, total + more, start) <= scaled_asset_weight(weight, total, start) <= weight
    before, after = (scaled_liability_weight(1 + weight, t, start) for t in (total, total + more))
    assert 1 + weight <= before <= after
    assert scaled_asset_weight(weight, total, inf) == weight
    assert scaled_asset_weight(weight, total, start, more) == scaled_asset_weight(weight, total + more, start)
