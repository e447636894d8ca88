"""What closing one unit of a position pays, against the definition of each contract."""

from __future__ import annotations

from typing import Any

import pytest

from models.account import Account, Position
from models.margin.rulesets import load_ruleset
from models.rebalance.closing import closing_of, margin_asset
from models.rebalance.quotes import Quotes
from models.rebalance.weights import Weights
from tests.models.rebalance.regimes import NAMED, of

DOLLARS = {"BTC": 84_000.0, "ETH": 2_200.0}


def _closing(account: Account, fee_rate: float = 0.0, position: Position | None = None) -> Any:
    rules = load_ruleset(account.ruleset, account.as_of)
    weights = Weights(account, rules, Quotes(account.currency, DOLLARS, {"BTC": 0.55, "ETH": 0.7}))
    return closing_of(position or account.positions[0], weights, fee_rate)


@pytest.mark.parametrize("quantity", [2.0, -2.0])
def test_linear_contracts_pay_the_difference_in_stable_coin(quantity: float) -> None:
    found = _closing(of("binance-usdm", "USDT", {}, [("BTC/USDC:USDC", quantity, 80_000.0)]))
    assert (found.unit, found.price, found.settle, found.rate) == ("BTC", 84_000.0, "USDT", 1.0)
    assert found.pays == pytest.approx(4_000.0 if quantity > 0 else -4_000.0)


@pytest.mark.parametrize("quantity", [50_000.0, -50_000.0])
def test_coin_margined_contracts_pay_coins_for_a_dollar(quantity: float) -> None:
    found = _closing(of("binance-coinm", "BTC", {}, [("BTC/USD:BTC", quantity, 80_000.0)]))
    assert (found.unit, found.settle, found.rate) == ("USD", "BTC", 1.0)
    assert found.price == pytest.approx(1 / 84_000.0)
    assert found.pays == pytest.approx((1 / 80_000.0 - 1 / 84_000.0) * (1 if quantity > 0 else -1))


def test_coins_of_another_currency_are_worth_their_rate() -> None:
    found = _closing(of("binance-pm", "USDT", {}, [("ETH/USD:ETH", 10_000.0, 2_000.0)]))
    assert (found.settle, found.rate, found.price, found.owed) == ("ETH", 2_200.0, 1.0, True)
    assert found.pays == pytest.approx(1 / 2_000.0 - 1 / 2_200.0)


def test_a_settlement_asset_that_the_account_cannot_hold_is_its_currency() -> None:
    found = _closing(of("derive-srm", "USDC", {}, [("ETH/USD:ETH", 10_000.0, 2_000.0)]))
    assert (found.settle, found.rate) == ("USDC", 1.0)
    assert found.pays == pytest.approx((1 / 2_000.0 - 1 / 2_200.0) * 2_200.0)
    assert found.margin == pytest.approx(2_200.0)


def test_options_pay_their_premium_and_not_their_entry() -> None:
    legs = [("BTC/USD:BTC-250328-80000-C", -1.0, 0.9), ("BTC/USD:BTC-250328-80000-C", 1.0, 0.1)]
    account = of("deribit-standard", "BTC", {}, legs)
    short, long = (_closing(account, position=leg) for leg in account.positions)
    assert short.pays == -long.pays == pytest.approx(-short.price)
    assert short.premium
    assert 0.05 < short.price < 0.12


def test_positions_under_an_agreement_settle_outside() -> None:
    assert _closing(NAMED["csa"]).outside
    assert not _closing(NAMED["binance-usdm"]).outside


@pytest.mark.parametrize(("symbol", "currency", "asset"), [
    ("BTC/USDC:USDC", "USDT", "USDT"), ("BTC/USD:BTC", "USDT", "BTC"), ("BTC/USD:BTC", "BTC", "BTC"),
    ("BTC/USDC:USDC", "BTC", "USDC"),
])  # fmt: skip
def test_margin_of_an_isolated_position_is_in_its_settlement_asset(symbol: str, currency: str, asset: str) -> None:
    assert margin_asset(Position(symbol=symbol, quantity=1.0, entry_price=1.0), currency) == asset
