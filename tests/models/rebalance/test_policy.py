"""Policies: ranges, defaults, and what is said about a wrong one."""

import math

import pytest

from models.errors import InputError
from models.rebalance import AssetRule, Policy, SymbolRule, policy_from_mapping


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
