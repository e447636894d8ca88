"""Symbols parse into what they stand for, or are refused by name."""

from datetime import UTC, datetime

import pytest

from models.errors import InputError
from models.instrument import parse_symbol


@pytest.mark.parametrize(
    ("symbol", "kind", "settle", "linear"),
    [
        ("BTC/USDT", "spot", "USDT", True),
        ("BTC/USDT:USDT", "perpetual", "USDT", True),
        ("BTC/USD:BTC", "perpetual", "BTC", False),
        ("1000PEPE/USDT:USDT", "perpetual", "USDT", True),
        ("BTC/USDT:USDT-251226", "future", "USDT", True),
        ("BTC/USD:BTC-251226-100000-C", "option", "BTC", False),
        ("ETH/USDC:USDC-250328-2500.5-P", "option", "USDC", True),
    ],
)
def test_kinds(symbol: str, kind: str, settle: str, linear: bool) -> None:
    found = parse_symbol(symbol)
    assert (found.kind, found.settle, found.linear) == (kind, settle, linear)


def test_expiry_strike_and_right() -> None:
    found = parse_symbol("ETH/USDC:USDC-250328-2500.5-P")
    assert found.expiry == datetime(2025, 3, 28, 8, tzinfo=UTC)
    assert (found.strike, found.option_type) == (2500.5, "put")


@pytest.mark.parametrize(
    "symbol",
    ["BTCUSDT", "", "btc/usdt", "BTC/USDT:EUR", "BTC/USDT:USDT-251340", "BTC/USDT:USDT-251226-1-X", "BTC/USDT:USDT "],
)
def test_refused_with_the_value(symbol: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_symbol(symbol)
    assert caught.value.field == "symbol"
    assert caught.value.value == symbol
