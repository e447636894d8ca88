"""Policies: ranges, defaults, and what is said about a wrong one."""

import math

import pytest

from models.errors import InputError
from models.rebalance import (
    AssetRule,
    CollateralLine,
    Place,
    Policy,
    SymbolRule,
    policy_from_mapping,
    policy_schema,
)


def test_defaults_allow_any_amount() -> None:
    policy = Policy()
    assert policy.asset_rule("BTC") == AssetRule(min_transfer=0.0, step=0.0, cap=None, fee=0.0)
    assert policy.lot("BTC/USDT:USDT") == 0.0


def test_rules_are_found_by_name() -> None:
    policy = policy_from_mapping(
        {"assets": {"USDT": {"min_transfer": 10, "step": 1}}, "symbols": {"BTC/USDT:USDT": {"lot": 0.001}}}
    )
    assert policy.asset_rule("USDT") == AssetRule(min_transfer=10.0, step=1.0)
    assert policy.symbols["BTC/USDT:USDT"] == SymbolRule(lot=0.001)


@pytest.mark.parametrize("lag", [0.0, 10_080.0])
def test_lag_at_its_ends(lag: float) -> None:
    assert Policy(route_lag_minutes=lag).route_lag_minutes == lag


@pytest.mark.parametrize("lag", [-0.001, 10_080.001, math.nan, math.inf])
def test_lag_outside_its_range(lag: float) -> None:
    with pytest.raises(InputError, match="route_lag_minutes"):
        Policy(route_lag_minutes=lag)


@pytest.mark.parametrize(("mapping", "words"), [
    ({"asets": {}}, "asets"),
    ({"route_lag_minutes": "soon"}, "route_lag_minutes"),
    ({"route_lag_minutes": -1}, "route_lag_minutes"),
    ({"taker_fee": 0.2}, "taker_fee"),
    ({"assets": {"USDT": {"step": -1}}}, "step"),
    ({"assets": {"USDT": {"stp": 1}}}, "stp"),
    ({"symbols": {"X": {"lot": "a"}}}, "lot"),
])  # fmt: skip
def test_a_wrong_key_or_value_is_named(mapping: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        policy_from_mapping(mapping)


VAULT = {"vault": {"inventory": {"USDT": 100.0}, "least": {"USDT": 40.0}}}
WIRE = {"name": "wire", "source": "vault", "to": ["*"], "assets": ["USDT"]}


def _with_route(**more: object) -> dict[str, object]:
    return {"places": VAULT, "routes": [WIRE | more]}


def test_what_may_leave_a_place() -> None:
    policy = policy_from_mapping(_with_route())
    place = policy.places["vault"]
    assert (place.free("USDT"), place.free("BTC")) == (60.0, 0.0)
    assert place.serves("anyone")


def test_a_segregated_place_serves_its_own() -> None:
    place = Place(inventory={"USDT": 1.0}, segregated=True, draws=("client",))
    assert place.serves("client")
    assert not place.serves("house")


def test_an_account_goes_before_its_ruleset() -> None:
    rules = {"csa": {"assets": {"USD": {}}}, "bank": {"assets": {"UST": {"haircut": 0.02}}}}
    policy = policy_from_mapping({"eligibility": rules})
    bank, other = policy.eligible("bank", "csa"), policy.eligible("fund", "csa")
    assert bank is not None
    assert other is not None
    assert (bank.line("USD"), other.line("USD")) == (None, CollateralLine())
    assert policy.eligible("fund", "binance-usdm") is None


@pytest.mark.parametrize(("mapping", "field", "value"), [
    ({"assets": {"BTC": {"fee": 1}, "USDT": {"step": -1}}}, "policy.assets.USDT.step", "-1"),
    ({"assets": {"USDT": {"stp": -1}}}, "policy.assets.USDT.stp", "-1"),
    ({"places": {"vault": {"inventory": {"USDT": math.nan}}}}, "policy.places.vault.inventory.USDT", "nan"),
    ({"places": {"vault": {"inventory": {"A": 1.0}, "least": {"A": 2.0}}}}, "policy.places.vault.least.A", "2.0"),
    ({"places": {"vault": {"kind": "account"}}}, "policy.places.vault.account", "None"),
    ({"places": {"vault": {"segregated": True}}}, "policy.places.vault.draws", "None"),
    (_with_route(source="bank"), "policy.routes[0].source", "'bank'"),
    (_with_route(assets=["BTC"]), "policy.routes[0].assets", "'BTC'"),
    (_with_route(to=[]), "policy.routes[0].to", "()"),
    (_with_route(fee_rate=1.0), "policy.routes[0].fee_rate", "1.0"),
    (_with_route(min_transfer=5, max_transfer=4), "policy.routes[0].max_transfer", "4"),
    (_with_route(lag=[[0.95, 10], [0.5, 60]]), "policy.routes[0].lag", "10.0"),
    (_with_route(lag=[[1.5, 10]]), "policy.routes[0].lag", "1.5"),
    (_with_route(hours={"time_zone": "Mars"}), "policy.routes[0].hours.time_zone", "'Mars'"),
    ({"places": VAULT, "routes": [WIRE, WIRE]}, "policy.routes[1].name", "'wire'"),
    ({"places": VAULT, "routes": [{"name": "a"}]}, "policy.routes[0].source", "None"),
    ({"swaps": [{"name": "s", "sell": ["BTC"], "buy": "BTC"}]}, "policy.swaps[0].sell", "'BTC'"),
    ({"swaps": [{"name": "s", "sell": [], "buy": "BTC"}]}, "policy.swaps[0].sell", "()"),
    ({"swaps": [{"name": "s", "sell": ["BTC"], "buy": "USDT", "fee_rate": 0.2}]}, "policy.swaps[0].fee_rate", "0.2"),
    ({"hedges": [{"name": "h", "symbol": "BTC/USDT"}]}, "policy.hedges[0].symbol", "'BTC/USDT'"),
    ({"hedges": [{"name": "h", "symbol": "BTC/USDT:USDT", "impact": [[5, 1.0]]}]}, "policy.hedges[0].impact", "1.0"),
    ({"hedges": [{"name": "h", "symbol": "BTC/USDT:USDT", "min_trade": 2, "max_trade": 1}]}, "max_trade", "1"),
    ({"places": VAULT, "routes": [WIRE], "hedges": [{"name": "wire", "symbol": "BTC/USDT:USDT"}]}, "hedges[0].name",
     "'wire'"),
    ({"limits": {"target": "1%"}}, "policy.limits.target", "'1%'"),
    ({"limits": {"risk_measure": "var"}}, "policy.limits.risk_measure", "'var'"),
    ({"limits": {"arrival_confidence": 0.0}}, "policy.limits.arrival_confidence", "0.0"),
    ({"limits": {"stress": [0.0]}}, "policy.limits.stress", "0.0"),
    ({"eligibility": {"csa": {"assets": {"USD": {"most_share": 1.5}}}}}, "most_share", "1.5"),
])  # fmt: skip
def test_a_fault_is_told_by_field_and_value(mapping: dict[str, object], field: str, value: str) -> None:
    with pytest.raises(InputError) as caught:
        policy_from_mapping(mapping)
    assert field in str(caught.value)
    assert value in str(caught.value).rpartition(", was ")[2]


def test_the_schema_states_the_ranges() -> None:
    defined = policy_schema()["$defs"]
    assert defined["Route"]["properties"]["fee_rate"] == {
        "type": "number", "default": 0.0, "minimum": 0.0, "exclusiveMaximum": 1.0,
    }  # fmt: skip
    assert defined["Place"]["additionalProperties"] is False
