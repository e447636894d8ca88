"""Deribit's risk matrix, OKX's components and the agreement of both with the engine."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from models.errors import InputError
from models.margin.portfolio import Expiry, Holdings, load_portfolio_rules, scenario_margin
from models.margin.portfolio.contingencies import Offset
from models.margin.portfolio.deribit import deribit_rules, risk_matrix, risk_vectors
from models.margin.portfolio.okx import RiskUnit, depeg_hedges, margin_ratio, okx_margin, risk_unit

BTC = load_portfolio_rules("deribit-pm-btc")
PARAMETERS: dict[str, Any] = {
    "price_range": 0.16,
    "volatility_range_up": 0.5,
    "volatility_range_down": 0.25,
    "short_term_vega_power": 0.3,
    "long_term_vega_power": 0.13,
    "min_volatility_for_shock_up": 0.5,
    "m_inc": 5e-5,
    "max_delta_shock": 0.1,
    "delta_total_liq_shock_threshold": 2e7,
    "annualised_move_risk": 0.075,
    "min_annualised_move": 0.01,
    "extended_dampener_usd": 1e5,
    "pnl_offset": 0,
    "max_offsetable_pnl": 0,
}


def _short_calls(size: float) -> Holdings:
    return Holdings(65_000.0, [Expiry(0.2, 65_500.0)], [200_000.0], [-size], [0.7], [True], [0])


def test_the_answered_parameters_give_the_shipped_ruleset() -> None:
    ours = deribit_rules(PARAMETERS, date(2024, 6, 17), "BTC")
    assert replace(ours, source=BTC.source, title=BTC.title, assumed=BTC.assumed, grid=BTC.grid) == BTC
    assert ours.grid is not None
    assert BTC.grid is not None
    assert ours.grid.prices == pytest.approx(BTC.grid.prices)


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(InputError, match="m_inc"):
        deribit_rules({k: v for k, v in PARAMETERS.items() if k != "m_inc"}, date(2024, 6, 17))
    with pytest.raises(InputError, match="buckets_count"):
        deribit_rules(PARAMETERS | {"buckets_count": 0}, date(2024, 6, 17))


@pytest.mark.parametrize("size", [1.0, 5_000.0])
def test_the_matrix_of_one_pair_is_the_engine_over_the_index(size: float) -> None:
    held = _short_calls(size)
    found, engine = risk_matrix(BTC, [held]), scenario_margin(BTC, held)
    assert found.risk_matrix_margin == pytest.approx(engine.requirement / held.spot, rel=1e-12)
    assert found.maintenance_margin == pytest.approx(engine.maintenance / held.spot, rel=1e-12)


def test_far_calls_are_worst_in_the_extended_moves_and_the_dampener_spares_small_books() -> None:
    large = risk_matrix(BTC, [_short_calls(5_000.0)])
    assert large.worst_index >= 27
    small = risk_matrix(BTC, [_short_calls(0.01)])
    assert np.all(small.extended == 0.0)
    vectors = risk_vectors(BTC, _short_calls(0.01))
    assert np.all(vectors.extended[2:] < 0.0)


def test_extended_moves_of_a_future_stop_at_the_edge_of_the_range() -> None:
    vectors = risk_vectors(BTC, Holdings(65_000.0, perpetual=2.0))
    assert vectors.extended[:2] == pytest.approx([vectors.standard[0, 1]] * 2)
    assert vectors.extended[2:] == pytest.approx([vectors.standard[-1, 1]] * 6)


@given(share=st.floats(0.0, 1.0), most=st.floats(0.0, 1e6), size=st.floats(0.1, 100.0))
def test_gains_of_another_pair_help_up_to_their_share_and_cap(share: float, most: float, size: float) -> None:
    rules = replace(BTC, offset=Offset(share=share, most=most))
    long, short = Holdings(65_000.0, perpetual=size), Holdings(65_000.0, perpetual=-0.5 * size)
    apart = risk_matrix(replace(BTC, offset=Offset(share=0.0, most=0.0)), [long, short]).worst_case
    found = risk_matrix(rules, [long, short]).worst_case
    netted = risk_matrix(rules, [Holdings(65_000.0, perpetual=0.5 * size)]).worst_case
    assert netted - 1e-9 <= found <= apart + 1e-9
    assert apart - found <= most / 65_000.0 + 1e-9


def test_vectors_need_a_coin_settled_grid() -> None:
    with pytest.raises(InputError, match="coin-settled"):
        risk_vectors(load_portfolio_rules("paradex-pm"), Holdings(1.0))
    with pytest.raises(InputError, match="pairs"):
        risk_matrix(BTC, [])


def test_the_components_of_a_risk_unit_come_to_the_requirement_of_the_engine() -> None:
    rules = load_portfolio_rules("okx-pm-btc")
    held = Holdings(
        60_000.0, [Expiry(0.05, 60_100.0), Expiry(0.5, 61_000.0)], [58_000.0, 62_000.0], [-30.0, 25.0], [0.6, 0.5],
        [True, True], [0, 1],
    )  # fmt: skip
    found = scenario_margin(rules, held)
    unit = risk_unit(rules, found)
    assert min(unit.mr1, unit.mr3, unit.mr4, unit.mr5, unit.mr6) > 0.0
    margin = okx_margin(unit, ())
    assert margin.maintenance == pytest.approx(max(found.maintenance, 0.0))
    assert margin.initial == pytest.approx(1.3 * margin.maintenance)


def test_the_greatest_of_three_counts_and_the_rest_is_added() -> None:
    unit = RiskUnit(mr1=10, mr2=40, mr3=1, mr4=2, mr5=3, mr6=20, mr7=5, mr8=7, mr9=11)
    assert okx_margin(unit, ((None, 2),)).maintenance == 40 + 6 + 7 + 11
    assert okx_margin(unit, ((None, 20),)).maintenance == 100 + 7 + 11
    assert okx_margin(unit, (), borrow_initial=9.0).initial == pytest.approx(1.3 * (46 + 11) + 9.0)
    with pytest.raises(InputError, match="mr2"):
        RiskUnit(mr2=-1.0)


def test_stable_coins_hedge_in_the_stated_order() -> None:
    assert depeg_hedges(-5.0, 3.0, 4.0) == (4.0, 1.0, 0.0)
    assert depeg_hedges(0.0, 3.0, -4.0) == (0.0, 0.0, 3.0)
    assert depeg_hedges(1.0, 2.0, 3.0) == (0.0, 0.0, 0.0)


def test_margin_ratio() -> None:
    assert margin_ratio(100.0, 0.0) == float("inf")
    with pytest.raises(InputError, match="maintenance"):
        margin_ratio(1.0, -1.0)
