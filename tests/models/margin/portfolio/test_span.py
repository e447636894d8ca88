"""SPAN: arrays from ranges, spreads, credits and minima."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.portfolio.span import (
    CalendarSpread,
    CommodityRisk,
    SpanContract,
    SpanPosition,
    SpanTerms,
    commodity_risk,
    intercommodity_credit,
    scanning_risk,
)
from models.margin.portfolio.span_arrays import SpanOption, load_span_rules, price_scan_range, risk_array
from models.options.black76 import price

FUTURE = SpanContract(risk_array(100.0, 9.0, 0.04), 1.0, "A")
LATER = SpanContract(risk_array(101.0, 9.0, 0.04), 1.0, "B")
CALL = SpanContract(risk_array(100.0, 9.0, 0.04, SpanOption(105.0, 0.4, 0.25, True)), 0.45, "A", 6.0, True)


def _risk(*held: tuple[SpanContract, float], terms: SpanTerms | None = None, credit: float = 0.0) -> CommodityRisk:
    return commodity_risk([SpanPosition(c, q) for c, q in held], terms or SpanTerms(), credit)


def test_the_scenarios_stand_in_the_published_order() -> None:
    third, full = 3.0, 9.0
    expected = [0, 0, third, third, -third, -third, 6, 6, -6, -6, full, full, -full, -full, 6.3, -6.3]
    np.testing.assert_allclose(FUTURE.risk_array, expected)
    call = np.asarray(CALL.risk_array)
    assert np.all(call[0:14:2] > call[1:14:2]), "volatility up comes first in each pair"
    up, now = price(118.0, 105.0, 0.4, 0.25, True), price(100.0, 105.0, 0.4, 0.25, True)
    assert call[14] == pytest.approx(0.35 * float(up - now))


@given(spot=st.floats(60.0, 160.0), years=st.floats(0.01, 2.0))
def test_put_call_parity_holds_in_every_scenario(spot: float, years: float) -> None:
    call = risk_array(spot, 9.0, 0.04, SpanOption(100.0, 0.4, years, True))
    put = risk_array(spot, 9.0, 0.04, SpanOption(100.0, 0.4, years, False))
    np.testing.assert_allclose(call - put, risk_array(spot, 9.0, 0.04), atol=1e-10)


@given(sizes=st.lists(st.integers(-20, 20), min_size=3, max_size=3), factor=st.integers(1, 9))
def test_the_requirement_covers_each_scenario_and_scales(sizes: list[int], factor: int) -> None:
    held = list(zip((FUTURE, LATER, CALL), sizes, strict=True))
    terms = SpanTerms([CalendarSpread("A", "B", 2.0)], 1.5, {"A": 0.5})
    one = _risk(*held, terms=terms)
    assert one.risk >= max(-one.profit.min(), 0.0) - 1e-9
    many = _risk(*[(c, factor * q) for c, q in held], terms=terms)
    assert many.requirement == pytest.approx(factor * one.requirement, abs=1e-6)


def test_calendar_spreads_form_in_their_order_and_use_deltas_up() -> None:
    last = SpanContract(np.zeros(16), 1.0, "C")
    terms = SpanTerms([CalendarSpread("A", "B", 10.0), CalendarSpread("A", "C", 100.0)])
    found = _risk((FUTURE, 3), (LATER, -2), (last, -5), terms=terms)
    assert found.calendar_charge == 2 * 10.0 + 1 * 100.0
    assert found.net_delta == -4.0


def test_a_spread_may_take_unequal_deltas() -> None:
    terms = SpanTerms([CalendarSpread("A", "B", 10.0, first_delta=1.0, second_delta=2.0)])
    assert _risk((FUTURE, 3), (LATER, -4), terms=terms).calendar_charge == 20.0


def test_deltas_on_one_side_form_no_spread() -> None:
    terms = SpanTerms([CalendarSpread("A", "B", 10.0)])
    assert _risk((FUTURE, 3), (LATER, 4), terms=terms).calendar_charge == 0.0


def test_spot_month_charges_what_is_left() -> None:
    terms = SpanTerms([CalendarSpread("A", "B", 10.0)], spot_month={"A": 7.0})
    assert _risk((FUTURE, 3), (LATER, -2), terms=terms).spot_month_charge == 7.0


def test_short_options_cost_at_least_their_minimum() -> None:
    flat = SpanContract(np.zeros(16), 0.0, "A", 1.0, True)
    found = _risk((flat, -4), (flat, 1), terms=SpanTerms(short_option_minimum=2.5))
    assert found.short_option_minimum == 10.0
    assert (found.risk, found.requirement) == (10.0, 10.0 + 3.0)


def test_a_short_option_pays_for_its_own_value_and_a_long_one_is_paid() -> None:
    assert _risk((CALL, -1)).requirement == pytest.approx(_risk((CALL, -1)).scan_risk + 6.0)
    assert _risk((CALL, 1)).requirement == 0.0


def test_the_credit_is_given_to_opposed_deltas_only() -> None:
    long, short = _risk((FUTURE, 4)), _risk((LATER, -2))
    credits, spreads = intercommodity_credit({"x": long, "y": short}, {"x": 1.0, "y": -1.0}, 0.5)
    assert spreads == 2.0
    assert credits == {"x": pytest.approx(9.0), "y": pytest.approx(9.0)}
    assert _risk((FUTURE, 4), credit=credits["x"]).requirement == pytest.approx(36.0 - 9.0)
    assert intercommodity_credit({"x": long, "y": long}, {"x": 1.0, "y": -1.0}, 0.5)[1] == 0.0


def test_price_risk_leaves_volatility_and_time_out() -> None:
    paid = np.asarray(FUTURE.risk_array) - 2.0
    array = paid + np.array([1.0, -1.0] * 8) * 0.5
    found = _risk((SpanContract(array, 1.0, "A"), 2))
    assert found.scan_risk == pytest.approx(2 * 11.5)
    assert found.weighted_price_risk == pytest.approx(9.0)


def test_every_scenario_with_the_worst_loss_is_named() -> None:
    assert scanning_risk([SpanPosition(FUTURE, 1)])[:2] == (9.0, (13, 14))
    assert scanning_risk([])[0] == 0.0


def test_ranges_of_an_exchange() -> None:
    nse = load_span_rules("nse")
    assert price_scan_range(nse, "stock", 100.0, 0.02, days=4.0) == pytest.approx(100 * 3.5 * 0.02 * 2)
    with pytest.raises(InputError, match="kind"):
        price_scan_range(nse, "bond", 100.0, 0.02)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(InputError, match="16 finite"):
        SpanContract([0.0] * 15)
    with pytest.raises(InputError, match="charge"):
        CalendarSpread("A", "B", -1.0)
    with pytest.raises(InputError, match="price_range"):
        risk_array(100.0, 51.0, 0.04)
    with pytest.raises(InputError, match="rate"):
        intercommodity_credit({}, {}, 1.5)
    with pytest.raises(InputError, match=r"legs\.z"):
        intercommodity_credit({"x": _risk((FUTURE, 1))}, {"z": 1.0}, 0.5)
