"""Early terminations under an agreement: listed, priced at the half-spread, in time, and asked of the other party."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from models.errors import InputError
from models.rebalance import Plan, Policy, Recommendation, Target, policy_from_mapping, recommend
from models.rebalance.joint import instructions_of, recommend_desk
from models.rebalance.joint.plan import DeskPlan
from tests.models.rebalance.regimes import ASSETS, MARKET, NAMED, PRICES, gap_predict

SYMBOL = "BTC/USDT:USDT"
BTC = 84_000.0
ANNEX = NAMED["csa"]
PREDICT = gap_predict()
TARGET = Target(0.3, 1440)


def policy(**rule: Any) -> Policy:
    unwind = {"name": "dealer", "symbols": [SYMBOL], "half_spread": 0.002, "lag_minutes": 240} | rule
    return policy_from_mapping({"unwinds": [unwind], "limits": {"stress": [0.9, 1.1]}})


def found_for(rules: Policy) -> Recommendation:
    found, failures = recommend([ANNEX], ASSETS, PRICES, PREDICT, TARGET, rules, MARKET)
    assert failures == []
    return found[0]


def unwound(found: Recommendation) -> Plan:
    return next(plan for plan in found.plans if plan.actions[0].kind == "reduce")


def test_it_costs_the_half_spread_of_what_is_unwound() -> None:
    plan, free = unwound(found_for(policy())), unwound(found_for(Policy()))
    action = plan.actions[0]
    assert free.cost == 0.0
    assert plan.cost == action.fee == pytest.approx(0.002 * action.amount * BTC)
    assert action.proceeds == pytest.approx(-action.amount * 16_000.0 - action.fee)
    assert action.amount == pytest.approx(free.actions[0].amount)  # settled outside: the annex is called by the rest
    assert plan.levels_after.equity == pytest.approx(150_000.0 - (20.0 - action.amount) * 16_000.0)


@pytest.mark.parametrize(("rule", "amounts"), [
    ({"step": 0.5}, {k * 0.5 for k in range(1, 41)}),
    ({"step": 3.0, "min_trade": 9.0}, {9.0, 12.0, 15.0, 18.0, 20.0}),
    ({"min_trade": 50.0}, {20.0}),
])  # fmt: skip
def test_sizes_are_those_of_the_rule_and_all_of_it_may_always_go(rule: dict[str, Any], amounts: set[float]) -> None:
    assert unwound(found_for(policy(**rule))).actions[0].amount in amounts


@pytest.mark.parametrize("rule", [{"symbols": ["ETH/USDT:USDT"]}, {"to": ["other"]}])
def test_what_no_rule_lists_is_refused_with_the_reason(rule: dict[str, Any]) -> None:
    found = found_for(policy(**rule))
    assert all(plan.actions[0].kind != "reduce" for plan in found.plans)
    (missed,) = [item for item in found.unreachable if item.kind == "reduce"]
    assert missed.sentence == f"The policy does not list {SYMBOL} of csa under unwinds."


def test_every_symbol_may_be_listed_at_once_and_the_first_rule_counts() -> None:
    both = policy_from_mapping({"unwinds": [
        {"name": "a", "symbols": ["*"], "half_spread": 0.001},
        {"name": "b", "symbols": [SYMBOL], "half_spread": 0.1},
    ]})  # fmt: skip
    action = unwound(found_for(both)).actions[0]
    assert action.fee == pytest.approx(0.001 * action.amount * BTC)


def test_venues_know_no_unwinds() -> None:
    rules = policy(symbols=["ETH/USDT:USDT"])
    found, _ = recommend([NAMED["vega"]], ASSETS, PRICES, PREDICT, Target(0.01, 1440), rules, MARKET)
    assert any(plan.actions[0].kind == "reduce" for plan in found[0].plans)


def test_the_last_safe_minute_leaves_time_to_agree() -> None:
    cash = msgspec.structs.replace(ANNEX.collateral[0], quantity=235_000.0)
    calm, near = msgspec.structs.replace(ANNEX, collateral=(cash,)), Target(0.01, 1440)
    one, other = (
        recommend([calm], ASSETS, PRICES, PREDICT, near, policy(lag_minutes=lag), MARKET)[0][0] for lag in (0.0, 60.0)
    )
    soon, later = unwound(other).last_safe_minute, unwound(one).last_safe_minute
    assert soon is not None
    assert later is not None
    assert 60.0 < later == pytest.approx(soon + 60.0)


def _desk(rules: Policy) -> DeskPlan:
    plan, failures = recommend_desk([ANNEX], ASSETS, PRICES, PREDICT, rules, TARGET, volatility=MARKET, reduce=True)
    assert failures == []
    return plan


@pytest.mark.parametrize(("approval", "reason"), [(False, "consent"), (True, "approval")])
def test_a_desk_asks_the_other_party_and_never_a_venue(approval: bool, reason: str) -> None:
    plan = _desk(policy(needs_approval=approval))
    (step,) = plan.own
    assert (step.kind, step.needs_approval) == ("reduce", approval)
    assert step.cost_usd == pytest.approx(0.002 * step.value_usd)
    now = datetime(2025, 3, 1, 12, tzinfo=UTC)
    (notice,) = instructions_of(plan, [ANNEX], now)
    assert (notice.channel, notice.method, notice.hold, notice.reason) == ("csa", "unwind", True, reason)
    assert notice.arguments == {"agreement": "csa", "symbol": SYMBOL, "side": "sell", "amount": step.amount}
    assert notice.key == instructions_of(plan, [ANNEX], now)[0].key


@pytest.mark.parametrize(("rule", "field", "value"), [
    ({"symbols": []}, "symbols", "()"),
    ({"symbols": ["BTC"]}, "symbol", "'BTC'"),
    ({"half_spread": 0.51}, "half_spread", "0.51"),
    ({"half_spread": -0.01}, "half_spread", "-0.01"),
    ({"lag_minutes": 43_201}, "lag_minutes", "43201"),
])  # fmt: skip
def test_a_wrong_rule_is_told(rule: dict[str, Any], field: str, value: str) -> None:
    with pytest.raises(InputError, match=field) as caught:
        policy(**rule)
    assert value in str(caught.value)
