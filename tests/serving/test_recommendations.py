"""POST /v1/recommendations."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving.client import Client

PATH = "/v1/recommendations"


@pytest.fixture
def risky(client: Client, request_json: dict[str, Any]) -> dict[str, Any]:
    """Return an account whose P(call within a day) is over one percent."""
    rows = client.post("/v1/predictions", request_json).json()["predictions"][0]["rows"]
    assert rows[2]["p_call"] > 0.01
    return request_json


def test_each_plan_is_enough_when_it_is_asked_again(client: Client, risky: dict[str, Any]) -> None:
    body = client.post(PATH, {"accounts": [risky], "target": "0.01@1440"}).json()
    (found,) = body["recommendations"]
    assert found["status"] == "act"
    assert found["target"] == {"probability": 0.01, "horizon_minutes": 1440}
    kinds = {(p["actions"][0]["kind"], p["actions"][0]["asset"]) for p in found["plans"]}
    assert {("top_up", "USDT"), ("reduce", "BTC")} <= kinds
    plan = next(p for p in found["plans"] if p["actions"][0]["asset"] == "USDT")
    balance = risky["collateral"][0]["quantity"] + plan["actions"][0]["amount"]
    after = risky | {"collateral": [{"asset": "USDT", "quantity": balance}, *risky["collateral"][1:]]}
    rows = client.post("/v1/predictions", after).json()["predictions"][0]["rows"]
    assert [row["p_call"] for row in rows] == pytest.approx(plan["p_after"], rel=1e-9)
    assert plan["p_after"][2] <= 0.01
    assert plan["levels_after"]["equity"] > plan["levels_before"]["equity"]
    assert plan["last_safe_minute"] is not None


def test_one_account_alone_and_named(client: Client, risky: dict[str, Any]) -> None:
    bare = client.post(PATH, risky).json()["recommendations"]
    named = client.post(PATH, {"account": risky}).json()["recommendations"]
    assert bare == named
    assert bare[0]["status"] == "act"


def test_a_policy_of_the_request_holds(client: Client, risky: dict[str, Any]) -> None:
    policy = {"reduce": False, "eligible_assets": ["USDT"], "assets": {"USDT": {"step": 100}}}
    (found,) = client.post(PATH, {"account": risky, "policy": policy}).json()["recommendations"]
    (plan,) = found["plans"]
    assert plan["actions"][0]["amount"] % 100 == 0


def test_a_batch_keeps_its_good_rows(client: Client, risky: dict[str, Any]) -> None:
    accounts = [risky | {"ruleset": "nowhere"}, risky, {"account_id": "short"}, risky | {"positions": []}]
    body = client.post(PATH, {"accounts": accounts}).json()
    assert [f["row"] for f in body["failures"]] == [0, 2]
    assert [r["status"] for r in body["recommendations"]] == ["act", "release"]


@pytest.mark.parametrize(("change", "field"), [
    ({"target": "1%"}, "target"),
    ({"target": "0.01@7"}, "target.horizon_minutes"),
    ({"target": 5}, "target"),
    ({"policy": {"asets": {}}}, "policy.asets"),
    ({"policy": {"assets": {"USDT": {"step": -1}}}}, "policy.assets[...].step"),
    ({"polcy": {}}, "polcy"),
    ({"accounts": []}, "accounts"),
])  # fmt: skip
def test_a_wrong_envelope_is_a_problem_with_its_field(
    client: Client, risky: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    answer = client.post(PATH, {"account": risky} | change)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_wrong_account_is_a_problem_with_its_path(client: Client, risky: dict[str, Any]) -> None:
    bad = risky | {"collateral": [{"asset": "BTC", "quantity": -1}]}
    answer = client.post(PATH, {"account": bad})
    assert (answer.status_code, answer.json()["field"]) == (422, "account.collateral[0].quantity")


def _desk_policy(usdt: float) -> dict[str, Any]:
    route = {"name": "chain", "source": "hot", "to": ["*"], "assets": ["USDT"], "step": 0.01, "gas": 2}
    return {"places": {"hot": {"inventory": {"USDT": usdt}}}, "routes": [route], "limits": {"target": "0.01@1440"}}


def test_a_desk_is_planned_together(client: Client, risky: dict[str, Any]) -> None:
    accounts = [risky | {"account_id": name} for name in ("a", "b")]
    body = client.post(PATH, {"accounts": accounts, "policy": _desk_policy(1e6), "desk": True}).json()
    plan = body["plan"]
    assert plan["status"] == "act"
    assert {t["account_id"] for t in plan["transfers"]} == {"a", "b"}
    assert all(o["p_after"][2] <= 0.01 for o in plan["accounts"])
    assert plan["certificate"]["worsened"] == []
    assert (plan["objective"], plan["trades"]) == ("expected", [])
    assert plan["risk_after"]["cvar95_usd"] < plan["risk_before"]["cvar95_usd"]
    rows = client.post("/v1/predictions", {"accounts": plan["accounts_after"]}).json()["predictions"]
    assert [r["rows"][2]["p_call"] for r in rows] == pytest.approx([o["p_after"][2] for o in plan["accounts"]])


def test_accounts_are_hedged_where_the_policy_has_a_rule_for_it(client: Client, risky: dict[str, Any]) -> None:
    hedge = {"name": "future", "symbol": "BTC/USDT:USDT-301227", "fee_rate": 0.0004}
    policy = {"hedges": [hedge], "reduce": False, "limits": {"risk_measure": "cvar90"}}
    (found,) = client.post(PATH, {"account": risky, "policy": policy}).json()["recommendations"]
    action = next(p["actions"][0] for p in found["plans"] if p["actions"][0]["kind"] == "hedge")
    assert action["quantity"] * risky["positions"][0]["quantity"] < 0
    plan = client.post(PATH, {"accounts": [risky], "policy": _desk_policy(1.0) | policy, "desk": True}).json()["plan"]
    assert (plan["status"], plan["objective"]) == ("act", "cvar90")
    assert [trade["kind"] for trade in plan["trades"]] == ["hedge"]
    wrong = {"hedges": [hedge | {"symbol": "BTC/USDT"}]}
    assert client.post(PATH, {"account": risky, "policy": wrong}).json()["field"] == "policy.hedges[0].symbol"


def test_a_desk_shares_its_inventory(client: Client, risky: dict[str, Any]) -> None:
    accounts = [risky | {"account_id": name} for name in ("a", "b")]
    asked = {"accounts": accounts, "policy": _desk_policy(100.0), "desk": True}
    assert client.post(PATH, asked | {"front": [1.5]}).json()["field"] == "front[0]"
    body = client.post(PATH, asked | {"front": [0.05, 0.01]}).json()
    assert body["front"][0]["short_usd"] <= body["front"][1]["short_usd"]
    assert body["plan"]["status"] == "cannot_reach"
    assert body["plan"]["relaxations"][0]["limit"] == "inventory: USDT at hot"
    assert sum(t["amount"] for t in body["plan"]["transfers"]) <= 100.0


def test_a_desk_reduces_and_takes_back_where_it_is_asked_to(client: Client, risky: dict[str, Any]) -> None:
    rich = risky | {"account_id": "rich", "collateral": [{"asset": "USDT", "quantity": 400_000.0}]}
    policy = _desk_policy(1.0) | {"assets": {"USDT": {"annual_cost": 0.1}}}
    asked = {"accounts": [risky, rich], "policy": policy, "desk": True}
    assert client.post(PATH, asked).json()["plan"]["own"] == []
    plan = client.post(PATH, asked | {"reduce": True, "release": True}).json()["plan"]
    assert [(step["account_id"], step["kind"]) for step in plan["own"]] == [
        (risky["account_id"], "reduce"), ("rich", "release"),
    ]  # fmt: skip
    assert plan["status"] == "act"
    rows = client.post("/v1/predictions", {"accounts": plan["accounts_after"]}).json()["predictions"]
    assert all(r["rows"][2]["p_call"] <= 0.01 for r in rows)
    assert client.post(PATH, asked | {"reduce": 1}).json()["field"] == "reduce"


def test_what_is_posted_is_exchanged_alone_and_in_the_plan_of_a_desk(
    client: Client, request_json: dict[str, Any]
) -> None:
    lines = [{"asset": "USD"}, {"asset": "BTC", "valuation_percentage": 0.8}]
    annex = request_json | {
        "account_id": "annex", "ruleset": "csa", "currency": "USD", "csa": {"eligible_collateral": lines},
        "collateral": [{"asset": "USD", "quantity": 2_000_000.0}],
    }  # fmt: skip
    policy = {
        "assets": {"USD": {"annual_cost": 0.06}},
        "places": {"vault": {"inventory": {"BTC": 1.0}}},
        "routes": [{"name": "chain", "source": "vault", "to": ["*"], "assets": ["BTC"]}],
        "substitutions": [{"name": "s", "deliver": ["BTC"], "ask_back": ["USD"], "holding_days": 90}],
        "limits": {"stress": [0.9]},
        "release": False,
    }
    (found,) = client.post(PATH, {"account": annex, "policy": policy}).json()["recommendations"]
    assert found["status"] == "substitute"
    (plan,) = found["plans"]
    assert plan["substitution"]["counted_in"] >= plan["substitution"]["counted_out"] > 0
    assert [one["method"] for one in plan["substitution"]["instructions"]] == ["substitute", "deliver", "demand_return"]
    asked = {"accounts": [annex], "policy": policy, "desk": True}
    assert client.post(PATH, asked).json()["plan"]["own"] == []
    (step,) = client.post(PATH, asked | {"substitute": True}).json()["plan"]["own"]
    assert (step["kind"], step["received"]) == ("substitute", pytest.approx(1.0))
    assert client.post(PATH, asked | {"substitute": 1}).json()["field"] == "substitute"


def test_a_desk_is_sent_what_saves_the_most(client: Client, risky: dict[str, Any]) -> None:
    """By worth no target is reached: too little for all is no refusal, and what can wait is left for later."""
    accounts = [risky | {"account_id": name} for name in ("a", "b")]
    policy = _desk_policy(3000.0)
    policy["limits"] = {"liquidation_cost": 500}
    asked = {"accounts": accounts, "policy": policy, "desk": True, "worth": 1.0}
    plan = client.post(PATH, asked | {"every_minutes": 4320}).json()["plan"]
    assert plan["knob"] == 1.0
    assert plan["relaxations"] == []
    assert 0.0 < sum(t["amount"] for t in plan["transfers"]) <= 3000.0
    assert plan["certificate"]["worsened"] == []
    waits = client.post(PATH, asked | {"every_minutes": 1}).json()["plan"]
    assert (waits["transfers"], waits["waits"]) == ([], ["a", "b"])
    careless = client.post(PATH, asked | {"worth": 1e-9, "every_minutes": 4320}).json()["plan"]
    assert careless["transfers"] == []


@pytest.mark.parametrize(("change", "field"), [
    ({"worth": 0}, "worth"), ({"worth": 1.0, "desk": False}, "worth"), ({"worth": 1.0, "reduce": True}, "worth"),
    ({"worth": 1.0, "substitute": True}, "worth"),
    ({"worth": 1.0, "front": [0.1]}, "worth"), ({"worth": 1.0, "every_minutes": 0}, "every_minutes"),
])  # fmt: skip
def test_worth_is_asked_of_a_desk_alone(
    client: Client, risky: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    answer = client.post(PATH, {"accounts": [risky], "policy": _desk_policy(1.0), "desk": True} | change)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_the_target_of_the_policy_holds_where_the_request_has_none(client: Client, risky: dict[str, Any]) -> None:
    policy = {"limits": {"target": "0.05@240"}}
    (found,) = client.post(PATH, {"account": risky, "policy": policy}).json()["recommendations"]
    assert found["target"] == {"probability": 0.05, "horizon_minutes": 240}


def test_a_desk_on_two_bars_is_refused(client: Client, risky: dict[str, Any]) -> None:
    accounts = [risky, risky | {"account_id": "b", "as_of": "2022-02-01T00:00:00Z"}]
    answer = client.post(PATH, {"accounts": accounts, "policy": _desk_policy(1.0), "desk": True})
    assert answer.status_code == 422
    assert answer.json()["field"] == "as_of"
