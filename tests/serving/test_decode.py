"""Accounts of every margin regime in requests: what is read, and the path of what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serving.decode import decode_accounts, decode_recommendation
from serving.problems import ProblemError

HEAD = {"as_of": "2025-03-01T12:00:00Z"}
COIN: dict[str, Any] = HEAD | {
    "account_id": "coin", "ruleset": "binance-coinm", "currency": "BTC",
    "collateral": [{"asset": "BTC", "quantity": 0.2}],
    "positions": [{"symbol": "BTC/USD:BTC", "quantity": 1e5, "entry_price": 84_000.0}],
}  # fmt: skip
LOAN: dict[str, Any] = HEAD | {
    "account_id": "loan", "ruleset": "aave-v3", "currency": "USDC",
    "collateral": [{"asset": "BTC", "quantity": 1.0}, {"asset": "ETH", "quantity": -3.0}],
}  # fmt: skip
OPTION: dict[str, Any] = HEAD | {
    "account_id": "option", "ruleset": "deribit-standard", "currency": "BTC",
    "positions": [
        {"symbol": "BTC/USD:BTC-250328-100000-C", "quantity": -2.0, "entry_price": 0.02,
         "implied_volatility": 0.6},
    ],
}  # fmt: skip
CSA: dict[str, Any] = HEAD | {
    "account_id": "csa", "ruleset": "csa", "currency": "USD",
    "positions": [{"symbol": "BTC/USDT:USDT", "quantity": 20.0, "entry_price": 1e5}],
    "csa": {"party": {"threshold": 1e5, "minimum_transfer_amount": 5e4}},
}  # fmt: skip


def _body(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize("account", [COIN, LOAN, OPTION, CSA])
def test_an_account_of_each_regime_is_read(account: dict[str, Any]) -> None:
    (found,) = decode_accounts(_body(account), 10).accounts
    assert found.account_id == account["account_id"]
    (again,) = decode_accounts(_body({"accounts": [account]}), 10).accounts
    assert again == found


def test_new_fields_have_their_values() -> None:
    option, csa, loan = decode_accounts(_body({"accounts": [OPTION, CSA, LOAN]}), 10).accounts
    assert option.positions[0].implied_volatility == 0.6
    assert csa.csa is not None
    assert csa.csa.party.minimum_transfer_amount == 5e4
    assert loan.collateral[1].quantity == -3.0


@pytest.mark.parametrize(("account", "change", "field"), [
    (CSA, {"csa": {"party": {"treshold": 1.0}}}, "csa.party.treshold"),
    (CSA, {"csa": {"party": {"threshold": -1.0}}}, "csa.party.threshold"),
    (CSA, {"csa": {"rounding": {"delivery_increment": 0.0}}}, "csa.rounding.delivery_increment"),
    (CSA, {"csa": [1]}, "csa"),
    (COIN, {"collateral": [{"asset": "ETH", "quantity": -1.0}]}, "collateral[0].quantity"),
    (OPTION, {"positions": [OPTION["positions"][0] | {"implied_volatility": 55.0}]}, "positions[0].implied_volatility"),
    (OPTION, {"positions": [OPTION["positions"][0] | {"iv": 0.5}]}, "positions[0].iv"),
])  # fmt: skip
def test_what_is_wrong_is_named_with_its_path(account: dict[str, Any], change: dict[str, Any], field: str) -> None:
    bad = account | change
    with pytest.raises(ProblemError) as caught:
        decode_accounts(_body(bad), 10)
    assert caught.value.field == field
    with pytest.raises(ProblemError) as caught:
        decode_recommendation(_body({"account": bad}), 10)
    assert caught.value.field == f"account.{field}"
    (failure,) = decode_accounts(_body({"accounts": [LOAN, bad]}), 10).failures
    assert (failure.row, failure.field) == (1, f"accounts[1].{field}")
    assert failure.message.startswith(f"accounts[1].{field}: ")


def test_the_words_of_a_range_are_kept() -> None:
    bad = CSA | {"csa": {"party": {"threshold": -1.0}}}
    (failure,) = decode_accounts(_body({"accounts": [bad]}), 10).failures
    assert failure.message == "accounts[0].csa.party.threshold: expected an amount >= 0, or 'infinite', was -1.0"
