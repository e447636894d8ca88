"""Mango health: the worst fill, orders across markets, and prices for assets and liabilities."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError, UnknownAssetError
from models.margin.venues.mango_health import Perpetual, SpotOrders, Token, health, perpetual_health

amount = st.floats(-1e4, 1e4)
positive = st.floats(0.0, 1e3)


def _tokens(a: float, b: float, c: float = 0.0) -> dict[str, Token]:
    return {
        "USDC": Token(balance=a, price=1.0, asset_weight=0.8, liability_weight=1.2),
        "SOL": Token(balance=b, price=5.0, asset_weight=0.5, liability_weight=1.5),
        "BTC": Token(balance=c, price=10.0, asset_weight=0.5, liability_weight=1.5),
    }


def _perpetual(**terms: float) -> Perpetual:
    rule = {"base": 0.0, "quote": 0.0, "price": 5.0, "asset_weight": 0.8, "liability_weight": 1.2}
    return Perpetual(**{**rule, "overall_asset_weight": 0.95, **terms}, settle="USDC")


@given(amount, amount, st.floats(0.0, 1e3))
def test_more_of_a_token_never_worsens(a: float, b: float, more: float) -> None:
    assert health(_tokens(a + more, b)) >= health(_tokens(a, b)) - 1e-9
    assert health(_tokens(a, b + more)) >= health(_tokens(a, b)) - 1e-9


@given(amount, amount, positive, positive)
def test_orders_of_a_perpetual_never_help(base: float, quote: float, bids: float, asks: float) -> None:
    alone = perpetual_health(_perpetual(base=base, quote=quote))
    assert perpetual_health(_perpetual(base=base, quote=quote, bids=bids, asks=asks)) <= alone + 1e-6


@given(amount, amount, positive, positive)
def test_reserving_tokens_for_an_order_never_helps(a: float, b: float, base: float, quote: float) -> None:
    order = SpotOrders(base="SOL", quote="USDC", reserved_base=base, reserved_quote=quote)
    free = health(_tokens(a + quote, b + base))
    assert health(_tokens(a, b), orders=[order]) <= free + 1e-6 * (abs(free) + 1)


@pytest.mark.parametrize(
    ("lowest_ask", "highest_bid", "expected"),
    [
        (3.0, 12.0, -120 - 75 + 4 * 1.2 + (11 / 12 + 1) * 5),
        (6.0, 9.0, -120 - 75 + 6 * 1.2 + (11 / 10 + 1) * 5),
    ],
)
def test_reserved_orders_at_the_worse_of_oracle_and_order_price(
    lowest_ask: float, highest_bid: float, expected: float
) -> None:
    orders = [
        SpotOrders(base="SOL", quote="USDC", reserved_base=1, reserved_quote=1, lowest_ask=lowest_ask),
        SpotOrders(base="BTC", quote="USDC", reserved_base=1, reserved_quote=11, highest_bid=highest_bid),
    ]
    assert health(_tokens(-100, -10), orders=orders) == pytest.approx(expected)


def test_init_health_takes_the_worse_price_for_each_side() -> None:
    terms = {"price": 4.0, "liability_price": 6.0, "asset_weight": 0.5, "liability_weight": 1.5}
    assert health({"SOL": Token(balance=10.0, **terms)}) == 20.0
    assert health({"SOL": Token(balance=-10.0, **terms)}) == -90.0
    assert perpetual_health(_perpetual(base=-10.0, price=4.0, liability_price=6.0)) == pytest.approx(-72.0)


def test_an_untrusted_market_adds_nothing_but_losses() -> None:
    assert perpetual_health(_perpetual(quote=100.0, overall_asset_weight=0.0)) == 0.0
    assert perpetual_health(_perpetual(quote=-100.0, overall_asset_weight=0.0)) == -100.0


def test_unknown_tokens_and_ranges() -> None:
    with pytest.raises(UnknownAssetError, match="USDC"):
        health({}, [_perpetual()])
    with pytest.raises(UnknownAssetError, match="ETH"):
        health(_tokens(0, 0), orders=[SpotOrders(base="ETH", quote="USDC")])
    for wrong in ({"asset_weight": 1.1}, {"liability_weight": 0.9}, {"price": -1.0}, {"liability_price": 0.5}):
        with pytest.raises(InputError):
            Token(**{"balance": 0.0, "price": 1.0, "asset_weight": 0.5, "liability_weight": 1.5, **wrong})
    for wrong in ({"bids": -1.0}, {"overall_asset_weight": 1.1}, {"asset_weight": -0.1}, {"liability_weight": 0.5}):
        with pytest.raises(InputError):
            _perpetual(**wrong)
