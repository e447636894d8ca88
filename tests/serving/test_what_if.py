"""POST /v1/what-if: before and after agree with what is predicted for the same accounts, and with arithmetic."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving.client import Client

SYMBOL = "BTC/USDT:USDT"


def ask(client: Client, account: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the answer to changes."""
    answer = client.post("/v1/what-if", {"account": account, "changes": changes})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def rows(client: Client, account: dict[str, Any]) -> list[dict[str, float]]:
    """Return what is predicted for an account."""
    (found,) = client.post("/v1/predictions", account).json()["predictions"]
    return [{k: row[k] for k in ("horizon_minutes", "p_call", "p_liquidation", "prior")} for row in found["rows"]]


@pytest.mark.parametrize("changes", [
    {},
    {"collateral": [{"asset": "USDT", "quantity": 900.0}, {"asset": "BTC", "quantity": -0.01}]},
    {"close": [{"symbol": SYMBOL, "quantity": 0.5}], "fee": 0.0005},
    {"open": [{"symbol": "ETH/USDT:USDT", "quantity": -1.0, "entry_price": 1500.0}]},
])  # fmt: skip
def test_both_sides_are_those_of_predictions(
    client: Client, request_json: dict[str, Any], changes: dict[str, Any]
) -> None:
    body = ask(client, request_json, **changes)
    assert body["before"]["rows"] == rows(client, request_json)
    assert body["after"]["rows"] == rows(client, body["account"])
    assert body["account"]["account_id"] == "desk-7"
    assert (body["before"] == body["after"]) == (not changes)


def test_cash_adds_to_equity_and_lowers_the_risk(client: Client, request_json: dict[str, Any]) -> None:
    body = ask(client, request_json, collateral=[{"asset": "USDT", "quantity": 1000.0}])
    before, after = body["before"], body["after"]
    assert after["levels"]["equity"] == pytest.approx(before["levels"]["equity"] + 1000.0)
    assert after["levels"]["call"] == pytest.approx(before["levels"]["call"])
    assert all(b["p_call"] < a["p_call"] for a, b in zip(before["rows"], after["rows"], strict=True))


def test_closing_pays_profit_and_fee(client: Client, request_json: dict[str, Any], price: float) -> None:
    leg = request_json["positions"][0] | {"entry_price": price * 0.98}
    account = request_json | {"positions": [leg]}
    body = ask(client, account, close=[{"symbol": SYMBOL, "quantity": 0.5}], fee=0.001)
    cash = {c["asset"]: c["quantity"] for c in body["account"]["collateral"]}
    paid = 0.5 * price * 0.02 - 0.5 * price * 0.001
    assert cash["USDT"] == pytest.approx(request_json["collateral"][0]["quantity"] + paid)
    assert body["account"]["positions"][0]["quantity"] == pytest.approx(1.0)
    lost = body["before"]["levels"]["equity"] - body["after"]["levels"]["equity"]
    assert lost == pytest.approx(0.5 * price * 0.001)
    assert body["after"]["levels"]["maintenance"] < body["before"]["levels"]["maintenance"]
    whole = ask(client, account, close=[{"symbol": SYMBOL, "quantity": 1.5}])
    assert whole["account"]["positions"] == []
    assert all(row["p_call"] == 0 for row in whole["after"]["rows"])


def test_prices_move_the_market_of_what_comes_after(client: Client, request_json: dict[str, Any], price: float) -> None:
    body = ask(client, request_json, prices={"BTC": -0.03})
    account = request_json | {"collateral": [{"asset": "USDT", "quantity": 2_000.0}]}
    plain = ask(client, account, prices={"BTC": -0.03})
    fall = plain["before"]["levels"]["equity"] - plain["after"]["levels"]["equity"]
    assert fall == pytest.approx(1.5 * price * 0.03)
    assert body["after"]["rows"][0]["p_call"] > body["before"]["rows"][0]["p_call"]
    assert body["before"]["rows"] == rows(client, request_json)
    crash = ask(client, request_json, prices={"BTC": -0.5})
    assert crash["after"]["levels"]["state"] == "liquidation"
    assert crash["after"]["rows"][0]["p_call"] == 1.0
    assert crash["after"]["levels"]["call_amount"] > 0


@pytest.mark.parametrize(("changes", "field"), [
    ({"close": [{"symbol": "SOL/USDT:USDT", "quantity": 1.0}]}, "changes.close[0].symbol"),
    ({"close": [{"symbol": SYMBOL, "quantity": 1.51}]}, "changes.close[0].quantity"),
    ({"close": [{"symbol": SYMBOL, "quantity": 0.0}]}, "changes.close[0].quantity"),
    ({"fee": -0.1}, "changes.fee"),
    ({"fee": 0.11}, "changes.fee"),
    ({"prices": {"DOGE": 0.1}}, "changes.prices.DOGE"),
    ({"prices": {"BTC": -1.0}}, "changes.prices.BTC"),
    ({"collateral": [{"asset": "BTC", "quantity": -9.0}]}, "changes"),
    ({"open": [{"symbol": SYMBOL, "quantity": 0.0, "entry_price": 1.0}]}, "changes"),
    ({"leverage": 3}, "changes.leverage"),
])  # fmt: skip
def test_what_is_wrong_is_named(
    client: Client, request_json: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    answer = client.post("/v1/what-if", {"account": request_json, "changes": changes})
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text


def test_a_wrong_account_is_named(client: Client, request_json: dict[str, Any]) -> None:
    wrong = request_json | {"collateral": [{"asset": "BTC", "quantity": -1.0}]}
    answer = client.post("/v1/what-if", {"account": wrong, "changes": {}})
    assert (answer.status_code, answer.json()["field"]) == (422, "account.collateral[0].quantity")
    assert client.post("/v1/what-if", {"account": request_json}).status_code == 422
    assert client.post("/v1/what-if", b"[").status_code in (400, 422)
