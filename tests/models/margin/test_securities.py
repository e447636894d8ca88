"""Stock under Regulation T, margin calls, and the ranges of the parameters."""

from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from models.errors import InputError
from models.margin.contract_margin import contract_margin
from models.margin.securities import (
    _RANGES,
    REG_T,
    OptionPosition,
    Underlying,
    call_amount,
    call_price,
    stock_requirement,
)


@pytest.mark.parametrize(
    ("price", "a_share"), [(4.99, 4.99), (2.5, 2.5), (2.49, 2.5), (5.0, 5.0), (16.0, 5.0), (17.0, 5.1), (100.0, 30.0)]
)
def test_short_stock_has_a_least_amount_a_share(price: float, a_share: float) -> None:
    assert stock_requirement(-200, price) == pytest.approx(200 * a_share)


def test_initial_is_half_and_never_below_maintenance() -> None:
    assert stock_requirement(10, 50.0, "initial") == 250.0
    assert stock_requirement(-10, 50.0, "initial") == 250.0
    assert stock_requirement(-10, 2.0, "initial") == stock_requirement(-10, 2.0) == 25.0


@pytest.mark.parametrize(("quantity", "rate"), [(300.0, 0.25), (300.0, 0.4), (-300.0, 0.3)])
def test_call_price_is_where_equity_meets_the_requirement(quantity: float, rate: float) -> None:
    balance = 9_000.0 if quantity > 0 else 40_000.0
    price = call_price(balance, quantity, rate)
    equity = quantity * price - math.copysign(balance, quantity)
    assert equity == pytest.approx(rate * abs(quantity) * price)
    worse = price * (0.99 if quantity > 0 else 1.01)
    lost = quantity * worse - math.copysign(balance, quantity)
    assert call_amount(rate * abs(quantity) * worse, lost) > 0.0
    assert call_amount(rate * abs(quantity) * price, equity + 1.0) == 0.0


@pytest.mark.parametrize("field", sorted(_RANGES))
def test_each_parameter_is_checked_at_both_ends(field: str) -> None:
    low, high = _RANGES[field]
    assert getattr(replace(REG_T, **{field: low}), field) == low
    assert getattr(replace(REG_T, **{field: high}), field) == high
    for outside in (math.nextafter(low, -math.inf), math.nextafter(high, math.inf), math.nan):
        with pytest.raises(InputError, match=field):
            replace(REG_T, **{field: outside})


def test_inputs_are_checked_with_their_names() -> None:
    for field, build in (
        ("strike", lambda: OptionPosition(True, 0.0, 1, 1.0)),
        ("price", lambda: OptionPosition(True, 1.0, 1, -0.1)),
        ("days", lambda: OptionPosition(True, 1.0, 1, 1.0, days=-1)),
        ("multiplier", lambda: OptionPosition(True, 1.0, 1, 1.0, multiplier=0.0)),
        ("quantity", lambda: OptionPosition(True, 1.0, math.nan, 1.0)),
        ("price", lambda: Underlying(0.0)),
        ("kind", lambda: Underlying(1.0, "bond")),  # type: ignore[arg-type]
        ("leverage", lambda: Underlying(1.0, leverage=0.5)),
        ("price", lambda: stock_requirement(1, -1.0)),
        ("level", lambda: stock_requirement(1, 1.0, "house")),  # type: ignore[arg-type]
        ("quantity", lambda: call_price(1.0, 0.0, 0.25)),
        ("requirement", lambda: call_price(1.0, 1.0, 1.0)),
        ("leverage", lambda: contract_margin(1, 1.0, 0.5)),
        ("contract_size", lambda: contract_margin(1, 1.0, 1.0, contract_size=0.0)),
    ):
        with pytest.raises(InputError, match=field):
            build()


def test_coin_margin_is_the_coin_notional_valued_at_the_price() -> None:
    assert contract_margin(7, 32_000.0, 10, contract_size=100.0, inverse=True) == pytest.approx(70.0)
    assert contract_margin(7, 32_000.0, 10) == pytest.approx(22_400.0)
