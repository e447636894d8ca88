"""What must hold of scenario margin whatever the ruleset, and values worked by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as replace_rules

from models.errors import InputError
from models.margin.portfolio import (
    BaseCollateral,
    Expiry,
    Holdings,
    PmrmAccount,
    load_portfolio_rules,
    net_margin,
    scenario_margin,
)
from models.margin.portfolio.contingencies import DeltaShock
from models.margin.portfolio.engine import delta_shock
from models.margin.portfolio.shocks import VolShock
from models.margin.portfolio.valuation import shocked_vols
from tests.models.margin.portfolio.builders import STYLES

SPOT = 60_000.0
LINEAR_STYLES = ("derive-pmrm2", "paradex-pm")
"""Rulesets whose requirement grows in proportion: no dampener, no tiers."""


@st.composite
def books(draw: st.DrawFn) -> Holdings:
    seed = draw(st.integers(0, 2**32 - 1))
    n = draw(st.integers(0, 8))
    rng = np.random.default_rng(seed)
    years = np.sort(rng.exponential(0.3, 3)) + 1e-3
    return Holdings(
        spot=SPOT,
        expiries=[Expiry(float(t), SPOT * float(np.exp(0.05 * t)), 0.03, float(rng.normal())) for t in years],
        strike=np.round(SPOT * np.exp(rng.normal(0, 0.3, n)), -2),
        quantity=rng.normal(0, 2, n),
        vol=rng.uniform(0.3, 1.2, n),
        is_call=rng.random(n) > 0.5,
        expiry=rng.integers(0, 3, n),
        perpetual=float(rng.normal()),
    )


def _changed(held: Holdings, **changes: Any) -> Holdings:
    names = ("spot", "expiries", "strike", "quantity", "vol", "is_call", "expiry", "perpetual", "perpetual_price")
    return Holdings(**({name: getattr(held, name) for name in names} | {"base_value": held.base_value} | changes))


@given(held=books(), style=st.sampled_from(STYLES), seed=st.integers(0, 99))
def test_the_order_of_options_does_not_matter(held: Holdings, style: str, seed: int) -> None:
    rules = load_portfolio_rules(style)
    at = np.random.default_rng(seed).permutation(len(held.strike))
    columns = {name: getattr(held, name)[at] for name in ("strike", "quantity", "vol", "is_call", "expiry")}
    ours, other = scenario_margin(rules, held), scenario_margin(rules, _changed(held, **columns))
    assert other.maintenance == pytest.approx(ours.maintenance, rel=1e-9, abs=1e-6)
    assert other.initial == pytest.approx(ours.initial, rel=1e-9, abs=1e-6)


@given(held=books(), style=st.sampled_from(STYLES))
def test_the_requirement_covers_every_scenario(held: Holdings, style: str) -> None:
    rules = load_portfolio_rules(style)
    found = scenario_margin(rules, held)
    assert np.all(found.requirement >= -found.profit)
    assert found.worst_loss == pytest.approx(max(-found.profit.min(), 0.0))
    assert found.initial >= found.maintenance - 1e-9 >= -1e-9


@given(held=books(), style=st.sampled_from(LINEAR_STYLES), factor=st.floats(0.1, 50.0))
def test_the_requirement_scales_with_the_positions(held: Holdings, style: str, factor: float) -> None:
    rules = load_portfolio_rules(style)
    expiries = [replace(at, futures=at.futures * factor) for at in held.expiries]
    scaled = _changed(held, quantity=held.quantity * factor, perpetual=held.perpetual * factor, expiries=expiries)
    assert scenario_margin(rules, scaled).initial == pytest.approx(
        factor * scenario_margin(rules, held).initial, rel=1e-9
    )


@given(held=books(), style=st.sampled_from(STYLES))
def test_a_book_that_is_offset_needs_contingencies_only(held: Holdings, style: str) -> None:
    rules = load_portfolio_rules(style)
    twice = {name: np.tile(getattr(held, name), 2) for name in ("strike", "vol", "is_call", "expiry")}
    flat = _changed(
        held,
        **twice,
        quantity=np.concatenate([held.quantity, -held.quantity]),
        perpetual=0.0,
        expiries=[replace(at, futures=0.0) for at in held.expiries],
    )
    found = scenario_margin(rules, flat)
    scale = SPOT * float(np.abs(held.quantity).sum())
    assert found.worst_loss == pytest.approx(0.0, abs=1e-9 * scale + 1e-9)
    assert found.requirement <= found.roll + found.delta + found.vega + found.rate + found.minimum + 1e-9 * scale


@given(held=books(), cash=st.floats(-1e6, 1e6), more=st.floats(0.0, 1e6), price=st.floats(0.5, 1.1))
def test_more_cash_never_worsens(held: Holdings, cash: float, more: float, price: float) -> None:
    rules = load_portfolio_rules("derive-pmrm2")
    poor = net_margin(rules, PmrmAccount(held, cash=cash, stable_price=price))
    rich = net_margin(rules, PmrmAccount(held, cash=cash + more, stable_price=price))
    assert rich.initial >= poor.initial - 1e-6
    assert rich.maintenance - poor.maintenance == pytest.approx(more, abs=1e-6)


def test_collateral_that_nets_covers_a_short_perpetual() -> None:
    rules = load_portfolio_rules("derive-pmrm2")
    coin = BaseCollateral(1.0, SPOT, 0.02, 0.01)
    held = Holdings(SPOT, perpetual=-1.0)
    bare = net_margin(rules, PmrmAccount(held, collateral=[coin]))
    covered = net_margin(rules, PmrmAccount(held, collateral=[replace(coin, nets=True)]))
    assert bare.regular_loss == pytest.approx(-0.18 * SPOT)
    assert covered.regular_loss == pytest.approx(0.0, abs=1e-9)


def test_a_future_gains_coins_as_an_inverse_contract_does() -> None:
    rules = load_portfolio_rules("deribit-pm-btc")
    found = scenario_margin(rules, Holdings(SPOT, [Expiry(0.1, 61_000.0, futures=2.0)]))
    assert found.worst_loss == pytest.approx(2.0 * SPOT * (1.0 / 0.84 - 1.0))


def test_the_static_discount_never_marks_a_debt_above_its_undiscounted_value() -> None:
    rules = load_portfolio_rules("derive-pmrm2")
    at = Expiry(1.0, SPOT, rate=0.1)
    short = Holdings(SPOT, [at], [50_000.0], [-1.0], [0.001], [True], [0])
    zero = next(k for k, p in enumerate(rules.points()) if p.price == 0.0 and p.vol == "none")
    found = scenario_margin(rules, short)
    assert found.value + found.profit[zero] == pytest.approx(-10_000.0)


@pytest.mark.parametrize("days", [29.9, 30.0, 30.1])
def test_the_shock_is_continuous_where_its_power_changes(days: float) -> None:
    rules = load_portfolio_rules("derive-pmrm2")
    at = Expiry(days / 365.0, SPOT)
    up = shocked_vols(rules, "up", np.array([0.6]), np.array([SPOT]), at)
    assert up[0] == pytest.approx(0.9, rel=1e-3)


def test_the_floor_holds_for_the_up_shock_only() -> None:
    rules = load_portfolio_rules("deribit-pm-btc")
    at = Expiry(300 / 365.0, SPOT)
    vol, strike = np.array([0.1]), np.array([SPOT])
    assert shocked_vols(rules, "up", vol, strike, at)[0] == 0.5
    assert shocked_vols(rules, "down", vol, strike, at)[0] < 0.1


def test_a_down_shock_ends_at_zero() -> None:
    rules = replace_rules(load_portfolio_rules("deribit-pm-btc"), vol=VolShock(up=1.0, down=3.0))
    vols = shocked_vols(rules, "down", np.array([0.5]), np.array([1.0]), Expiry(0.1, 1.0))
    assert vols[0] == 0.0


def test_delta_shock_is_free_below_its_threshold_and_capped_above() -> None:
    shock = DeltaShock(threshold=20e6, slope=5e-5, cap=0.1)
    assert delta_shock(shock, 50_000.0, 0.0, -400.0) == 0.0
    assert delta_shock(shock, 50_000.0, 0.0, -100_000.0) == pytest.approx(0.1 * 100_000 * 50_000)
    # long options take off what they hedge, and do not turn the delta
    assert delta_shock(shock, 50_000.0, 5_000.0, -2_000.0) == 0.0
    assert delta_shock(shock, 50_000.0, -5_000.0, -2_000.0) == delta_shock(shock, 50_000.0, 0.0, -2_000.0)


def test_inside_the_settlement_window_only_the_open_part_moves() -> None:
    rules = load_portfolio_rules("derive-pmrm2")
    half = Expiry(900 / 31_536_000, SPOT)
    held = Holdings(SPOT, [half], [1.0], [-1.0], [0.5], [True], [0])
    found = scenario_margin(rules, held)
    up = found.profit[0]
    whole = scenario_margin(rules, _changed(held, expiries=[Expiry(3600 / 31_536_000, SPOT)])).profit[0]
    assert whole == pytest.approx(-0.18 * SPOT, rel=1e-4)
    assert up == pytest.approx(0.5 * whole, rel=1e-3)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"spot": 0.0}, "spot"),
    ({"strike": [-1.0]}, r"strike\[0\]"),
    ({"vol": [0.0]}, r"vol\[0\]"),
    ({"quantity": [np.nan]}, r"quantity\[0\]"),
    ({"expiry": [1]}, r"expiry\[0\]"),
    ({"vol": [0.5, 0.5]}, "vol"),
    ({"perpetual": np.inf}, "perpetual"),
]


@pytest.mark.parametrize(("changes", "field"), BAD)
def test_wrong_holdings_are_refused(changes: dict[str, Any], field: str) -> None:
    base = Holdings(SPOT, [Expiry(0.1, SPOT)], [SPOT], [1.0], [0.5], [True], [0])
    with pytest.raises(InputError, match=field):
        _changed(base, **changes)


def test_wrong_expiries_and_accounts_are_refused() -> None:
    with pytest.raises(InputError, match="years"):
        Expiry(-0.1, SPOT)
    with pytest.raises(InputError, match="forward"):
        Expiry(0.1, 0.0)
    with pytest.raises(InputError, match="stable_price"):
        PmrmAccount(Holdings(SPOT), stable_price=0.0)
    with pytest.raises(InputError, match="expiry_confidence"):
        PmrmAccount(Holdings(SPOT), expiry_confidence=[(1.0,)])
