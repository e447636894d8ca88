"""POST /v1/predictions: what comes back, and what is said about bad input."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from features.forecast import forecast
from models.account import Account
from models.book import Book
from models.market import MarketPanel
from models.prior import PriorModel
from models.typing import HORIZONS
from serving.decode import Accounts, decode_accounts
from serving.engine import Engine
from serving.model_source import load_model
from tests.serving.client import Client, request_of

PATH = "/v1/predictions"


def test_one_account_gets_a_row_for_each_horizon(client: Client, request_json: dict[str, Any]) -> None:
    answer = client.post(PATH, request_json)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["model_version"] == "prior"
    assert body["market"]["sources"] == ["simulated"]
    assert body["market"]["age_minutes"] == pytest.approx(10.0)
    assert body["failures"] == []
    (found,) = body["predictions"]
    assert [row["horizon_minutes"] for row in found["rows"]] == list(HORIZONS)
    p = np.array([[row["p_call"], row["p_liquidation"]] for row in found["rows"]])
    assert np.all((p >= 0) & (p <= 1))
    assert np.all(np.diff(p, axis=0) >= 0)
    assert np.all(p[:, 1] <= p[:, 0])
    assert all(0 <= row["call_amount_q50"] <= row["call_amount_q90"] for row in found["rows"])
    assert all(60 <= row["time_to_call"] <= row["horizon_minutes"] for row in found["rows"])
    assert all(row["time_to_call_q10"] <= row["time_to_call_q90"] for row in found["rows"])
    assert found["flags"] == ["prior_only"]
    assert (found["source"], found["source_reason"]) == ("prior", ["no_model"])
    assert (found["novel"], found["novelty"], found["unusual"]) == (False, None, [])
    assert found["market_age_minutes"] == pytest.approx(5.0)


def test_the_answer_is_that_of_the_library(client: Client, panel: MarketPanel, request_json: dict[str, Any]) -> None:
    account = msgspec.convert(request_json, Account, strict=False)
    book, _ = Book.from_accounts([account], panel.assets)
    expected = forecast(book, panel, None, PriorModel.fit(panel))
    rows = client.post(PATH, request_json).json()["predictions"][0]["rows"]
    np.testing.assert_allclose([r["p_call"] for r in rows], expected.p_call[0], rtol=1e-9)
    np.testing.assert_allclose([r["call_amount_q90"] for r in rows], expected.call_amount_q90[0], rtol=1e-9)


def test_a_list_and_each_alone_give_the_same(client: Client, now: int, price: float) -> None:
    accounts = [
        request_of(now, 5, account_id=str(i), positions=[{"symbol": s, "quantity": q, "entry_price": e}])
        for i, (s, q, e) in enumerate(
            [("BTC/USDT:USDT", 1.0, price), ("ETH/USDT:USDT", -4.0, 2_000.0), ("SOL/USDT:USDT", 30.0, 100.0)] * 10
        )
    ]
    together = client.post(PATH, {"accounts": accounts}).json()["predictions"]
    assert [a["account_id"] for a in together] == [str(i) for i in range(30)]
    for i in (0, 1, 29):
        alone = client.post(PATH, accounts[i]).json()["predictions"][0]
        for a, b in zip(alone.pop("rows"), together[i]["rows"], strict=True):
            known = {name: value for name, value in b.items() if value is not None}
            assert {name for name, value in a.items() if value is not None} == set(known)
            assert {name: a[name] for name in known} == pytest.approx(known, rel=1e-9)
        assert alone.items() <= together[i].items()


def test_a_batch_keeps_its_good_rows(client: Client, request_json: dict[str, Any]) -> None:
    bad: list[dict[str, Any]] = [
        request_json
        | {"account_id": "symbol", "positions": [{"symbol": "XYZ/USDT:USDT", "quantity": 1, "entry_price": 1}]},
        request_json | {"account_id": "negative", "collateral": [{"asset": "BTC", "quantity": -1}]},
        request_json | {"account_id": "future", "as_of": "2150-01-01T00:00:00Z"},
        request_json | {"account_id": "naive", "as_of": "2022-01-01T00:00:00"},
        request_json | {"account_id": "rules", "ruleset": "nowhere"},
        request_json | {"account_id": "extra", "leverage": 3},
        request_json | {"account_id": "type", "currency": 7},
        request_json | {"account_id": "early", "as_of": "2001-01-01T00:00:00Z"},
        {"account_id": 5},
    ]
    answer = client.post(PATH, {"accounts": [request_json, *bad, request_json]})
    assert answer.status_code == 200
    body = answer.json()
    assert len(body["predictions"]) == 2
    found = {f["account_id"]: (f["row"], f["code"], f["field"]) for f in body["failures"]}
    assert found == {
        "symbol": (1, "unknown_symbol", "positions[0].symbol"),
        "negative": (2, "invalid_input", "accounts[2].collateral[0].quantity"),
        "future": (3, "invalid_input", "as_of"),
        "naive": (4, "invalid_input", "accounts[4].as_of"),
        "rules": (5, "unknown_ruleset", "ruleset"),
        "extra": (6, "invalid_input", "accounts[6].leverage"),
        "type": (7, "invalid_input", "accounts[7].currency"),
        "early": (8, "missing_market", ""),
        "": (9, "invalid_input", "accounts[9].account_id"),
    }
    assert all(f["message"] for f in body["failures"])


@pytest.mark.parametrize(("change", "field"), [
    ({"leverage": 3}, "leverage"),
    ({"as_of": None}, "as_of"),
    ({"as_of": "yesterday"}, "as_of"),
    ({"as_of": "2022-01-01T00:00:00"}, "as_of"),
    ({"as_of": "2999-01-01T00:00:00Z"}, "as_of"),
    ({"ruleset": "nowhere"}, "ruleset"),
    ({"currency": "BTC"}, "currency"),
    ({"collateral": [{"asset": "BTC", "quantity": -1}]}, "collateral[0].quantity"),
    ({"collateral": [{"asset": "BTC", "quantity": "1"}]}, "collateral[0].quantity"),
    ({"collateral": [{"asset": "BTC"}]}, "collateral[0].quantity"),
    ({"collateral": [{"asset": "NOPE", "quantity": 1}]}, "collateral[0].asset"),
    ({"positions": [{"symbol": "BTC/USD:BTC", "quantity": 1, "entry_price": 1}]}, "positions[0].symbol"),
    ({"positions": [{"symbol": "BTC/USDT:USDT", "quantity": 0, "entry_price": 1}]}, "positions[0].quantity"),
    ({"positions": [{"symbol": "BTC/USDT:USDT", "quantity": 1, "entry_price": 0}]}, "positions[0].entry_price"),
])  # fmt: skip
def test_one_bad_account_is_a_problem_with_its_field(
    client: Client, request_json: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    answer = client.post(PATH, request_json | change)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["field"] == field
    assert body["status"] == 422
    assert body["instance"] == PATH
    assert field.split(".")[-1] in body["detail"]


def test_a_missing_as_of_is_named(client: Client, request_json: dict[str, Any]) -> None:
    del request_json["as_of"]
    answer = client.post(PATH, request_json)
    assert (answer.status_code, answer.json()["field"]) == (422, "as_of")


@pytest.mark.parametrize(("body", "status"), [
    (b"", 400), (b"{", 400), (b"\xff\xfe\x00", 400), (b'{"as_of": NaN}', 400), (b"garbage" * 1000, 400),
    (b"[" * 100_000, 400), (b"[1, 2]", 422), (b"7", 422), (b'{"accounts": 3}', 422), (b'{"accounts": [], "x": 1}', 422),
])  # fmt: skip
def test_what_is_not_a_request_is_a_problem(client: Client, body: bytes, status: int) -> None:
    answer = client.post(PATH, body)
    assert answer.status_code in (status, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Traceback" not in answer.text
    assert answer.json()["code"] in ("malformed_json", "invalid_input")


def test_deeply_nested_bodies_do_not_break_the_server(client: Client, request_json: dict[str, Any]) -> None:
    deep = json.dumps(request_json)[:-1].encode() + b', "x": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}"
    assert client.post(PATH, deep).status_code in (400, 422)
    assert client.post(PATH, request_json).status_code == 200


def test_an_empty_list_is_an_empty_answer(client: Client) -> None:
    body = client.post(PATH, {"accounts": []}).json()
    assert (body["predictions"], body["failures"]) == ([], [])


def test_too_many_accounts(client: Client) -> None:
    answer = client.post(PATH, {"accounts": [{}] * 501})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_many_accounts")


def test_no_positions_are_answered_and_flagged(client: Client, request_json: dict[str, Any]) -> None:
    (found,) = client.post(PATH, request_json | {"positions": []}).json()["predictions"]
    assert "no_positions" in found["flags"]
    assert [row["p_call"] for row in found["rows"]] == [0.0] * 4


def test_a_stale_market_is_flagged(panel: MarketPanel, request_json: dict[str, Any]) -> None:
    late = Engine(panel, load_model(""), lambda: panel.end + 10**16)
    body = json.dumps(request_json | {"as_of": request_of(panel.end, -24 * 60)["as_of"]}).encode()
    (found,) = late.predict(decode_accounts(body, 10)).predictions
    assert "stale_market" in found.flags
    assert found.market_age_minutes > 1000


def test_an_earlier_instant_is_answered_on_the_market_of_then(client: Client, panel: MarketPanel, now: int) -> None:
    account = request_of(panel.end, 5 * 24 * 60 + 30)
    (found,) = client.post(PATH, account).json()["predictions"]
    assert found["market_as_of"] < found["as_of"]
    assert found["market_age_minutes"] == pytest.approx(30.0)
    assert "in_sample" in found["flags"]


def _engine(panel: MarketPanel, missing: int) -> Engine:
    close = panel.close.copy()
    close[panel.column("SOL"), -missing:] = np.nan
    return Engine(replace(panel, close=close), load_model(""), lambda: panel.end)


def _with_sol(request_json: dict[str, Any], panel: MarketPanel) -> Accounts:
    leg = {"symbol": "SOL/USDT:USDT", "quantity": 1.0, "entry_price": 100.0}
    now = request_json | {"as_of": request_of(panel.end)["as_of"]}
    return decode_accounts(
        json.dumps({"accounts": [now, now | {"account_id": "sol", "positions": [leg]}]}).encode(), 10
    )


def test_missing_bars_are_flagged_for_the_accounts_they_touch(panel: MarketPanel, request_json: dict[str, Any]) -> None:
    answer = _engine(panel, 5).predict(_with_sol(request_json, panel))
    flags = {a.account_id: a.flags for a in answer.predictions}
    assert flags["desk-7"] == ["prior_only"]
    assert {"gap", "stale_market"} <= set(flags["sol"])


def test_an_asset_without_any_price_fails_its_accounts_only(panel: MarketPanel, request_json: dict[str, Any]) -> None:
    answer = _engine(panel, panel.n_bars).predict(_with_sol(request_json, panel))
    assert [a.account_id for a in answer.predictions] == ["desk-7"]
    assert [(f.row, f.code) for f in answer.failures] == [(1, "missing_market")]
    assert "SOL" in answer.failures[0].message


def test_the_answer_names_assets_whose_newest_bar_is_missing(panel: MarketPanel) -> None:
    """ETH without its last two bars, SOL without any: both are named beside the age of the market."""
    cut = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for values in cut.values():
        values[panel.column("ETH"), -2:] = np.nan
        values[panel.column("SOL")] = np.nan
    gapped = replace(panel, **cut)
    prior = PriorModel.fit(panel, paths=64)
    market = Engine(gapped, load_model(""), lambda: panel.end + 60_000_000_000, prior=prior).market()
    assert market.age_minutes == 1.0
    assert market.behind_minutes == {"ETH": 120.0, "SOL": None}
    assert Engine(panel, load_model(""), lambda: panel.end, prior=prior).market().behind_minutes == {}
