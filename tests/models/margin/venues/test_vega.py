"""Vega levels: their order, both sides, funding, and the schedule against the venue's integers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.venues.vega import (
    VegaMarket,
    collateral_schedule,
    funding_payment,
    initial_rate,
    levels,
    maintenance_margin,
    maintenance_schedule,
    risk_factors,
)

factor = st.floats(0.001, 2.0).map(lambda x: round(x, 6))
markets = st.builds(
    VegaMarket,
    risk_factor_long=factor,
    risk_factor_short=factor,
    linear_slippage=st.floats(0.0, 0.3).map(lambda x: round(x, 6)),
    quadratic_slippage=st.floats(0.0, 0.01).map(lambda x: round(x, 6)),
)
sizes = st.integers(-10_000, 10_000)
marks = st.integers(1, 10**9)


@given(markets, st.integers(0, 10**15))
def test_search_is_not_below_maintenance_and_the_levels_rise(market: VegaMarket, maintenance: int) -> None:
    found = levels(market, maintenance)
    assert found.maintenance <= found.search <= found.initial <= found.release


@given(markets, sizes, marks, st.integers(-(10**6), 10**6))
def test_the_schedule_is_the_rule_before_it_is_rounded_up(market: VegaMarket, q: int, mark: int, due: int) -> None:
    rule = {k: float(getattr(market, k)) for k in market.__struct_fields__} | {"funding_per_unit": float(due)}
    exact = maintenance_margin(market, mark, q, funding_per_unit=due)
    folded = float(maintenance_schedule(rule, float(q))(abs(q) * mark))
    assert folded <= exact + 1e-9 * (exact + 1)
    assert exact <= folded + 1 + 1e-9 * (exact + 1)
    assert initial_rate(rule, float(q)) == pytest.approx(1.2 * float(maintenance_schedule(rule, q).rate[0]))


@given(markets, marks, st.integers(1, 5_000), st.integers(0, 5_000), st.sampled_from([1, -1]))
def test_a_larger_position_never_needs_a_lower_rate(
    market: VegaMarket, mark: int, q: int, more: int, side: int
) -> None:
    small, large = (maintenance_margin(market, mark, side * n) for n in (q, q + more))
    assert large * q >= (small - 1) * (q + more)


@given(markets, marks, sizes, st.integers(0, 5_000), st.integers(0, 5_000))
def test_orders_never_lower_the_requirement(market: VegaMarket, mark: int, size: int, buy: int, sell: int) -> None:
    alone = maintenance_margin(market, mark, size)
    assert maintenance_margin(market, mark, size, buy=buy, sell=sell) >= alone


def test_sides_have_factors_of_their_own() -> None:
    market = VegaMarket(risk_factor_long=0.25, risk_factor_short=0.2)
    assert (maintenance_margin(market, 100, 4), maintenance_margin(market, 100, -4)) == (100, 80)


def test_an_order_that_leaves_the_position_on_the_other_side_is_free() -> None:
    market = VegaMarket(risk_factor_long=0.5, risk_factor_short=0.1)
    assert maintenance_margin(market, 100, -10, buy=10) == maintenance_margin(market, 100, -10)
    assert maintenance_margin(market, 100, -10, buy=11) == 550


def test_in_an_auction_orders_count_at_their_own_price() -> None:
    market = VegaMarket(risk_factor_long=0.1, risk_factor_short=0.11)
    terms = {
        "buy": 8,
        "sell": 7,
        "buy_value": 3 * 141 + 5 * 132,
        "sell_value": 5 * 146 + 2 * 151,
        "funding_per_unit": 10,
    }
    assert maintenance_margin(market, 144, 9, **terms) == 335
    assert maintenance_margin(market, 144, 9, **terms, auction=True) == 328
    with pytest.raises(InputError, match="buy_value"):
        maintenance_margin(market, 144, 9, buy=1, auction=True)


def test_funding_that_is_received_takes_nothing_off() -> None:
    market = VegaMarket(risk_factor_long=0.1, risk_factor_short=0.1)
    assert maintenance_margin(market, 100, 1, funding_per_unit=-5) == 10
    assert maintenance_margin(market, 100, -1, funding_per_unit=-5) == 15


def test_scaling_is_read_as_decimals() -> None:
    assert (
        levels(VegaMarket(search=1.1, initial=1.1, release=1.1), 10).search == 11
    )  # 1.1 * 10 in binary is 11.000...01


@given(st.floats(1e-8, 0.2), st.floats(1e-6, 0.1), st.floats(0.1, 3.0))
def test_risk_factors_rise_with_volatility_and_the_short_side_is_the_dearer(a: float, tau: float, s: float) -> None:
    long, short = risk_factors(a, tau, s)
    assert 0 < long < short
    calmer = risk_factors(a, tau, 0.9 * s)
    assert calmer[0] < long
    assert calmer[1] < short
    table = risk_factors(a, tau, s, as_tabulated=True)
    assert table[1] == short
    assert 0 <= table[0] - long <= 0.25 * (s * s * tau) ** 2 + 1e-12


def test_the_schedule_takes_the_model_where_there_is_no_factor() -> None:
    rule = {"risk_aversion": 1e-6, "tau_years": 3.995e-6, "sigma": 1.0, "linear_slippage": 0.001}
    long, short = risk_factors(1e-6, 3.995e-6, 1.0)
    assert float(maintenance_schedule(rule, 1.0).rate[0]) == pytest.approx(long + 0.001)
    assert float(maintenance_schedule(rule, -1.0).rate[0]) == pytest.approx(short + 0.001)
    assert float(collateral_schedule(rule, 1.0)(7.0)) == 7.0


@pytest.mark.parametrize(
    ("internal", "clamp", "payment"),
    [
        (1590.0, (0.0, 0.9), 0.16),
        (1700.0, (-0.05, 0.9), 20.0),
        (1500.0, (-0.05, 0.05), -20.0),
        (1700.0, (0.0, 0.0), 100.0),
    ],
)
def test_published_funding_payments(internal: float, clamp: tuple[float, float], payment: float) -> None:
    found, rate = funding_payment(internal, 1600.0, 0.05, 0.002, clamp)
    assert (float(found), float(rate)) == (payment, payment / 1600.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"risk_factor_long": -0.1},
        {"linear_slippage": 1.1e6},
        {"search": 0.99},
        {"search": 1.3, "initial": 1.2},
        {"initial": 1.5, "release": 1.4},
        {"position_factor": 0},
    ],
)
def test_ranges(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        VegaMarket(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError):
        funding_payment(1.0, 1.0, 0.0, 0.0, (0.1, 0.0))
    with pytest.raises(InputError):
        risk_factors(0.0, 0.001, 1.0)
    with pytest.raises(InputError):
        maintenance_margin(VegaMarket(), -1, 1)
