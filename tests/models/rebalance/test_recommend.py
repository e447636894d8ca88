"""Recommendations: enough, smallest, certified; and honest where an action is not enough."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.account import Account
from models.errors import InputError
from models.margin.levels import STATES
from models.margin.rulesets import load_ruleset
from models.rebalance import Plan, Policy, Recommendation, Target, policy_from_mapping, recommend
from models.rebalance.effects import apply_move
from models.rebalance.moves import Move, reduce_move
from models.rebalance.quotes import Quotes
from models.rebalance.weights import Weights
from tests.models.builders import account, book, position
from tests.models.rebalance.toy import ASSETS, PRICES, toy_predict

TARGET = Target(0.01, 1440)
PREDICT = toy_predict()


def _one(value: Account, policy: Policy | None = None, target: Target = TARGET) -> Recommendation:
    found, failures = recommend([value], ASSETS, PRICES, PREDICT, target, policy)
    assert failures == []
    return found[0]


def _plan(found: Recommendation, kind: str, asset: str) -> Plan:
    return next(p for p in found.plans if (p.actions[0].kind, p.actions[0].asset) == (kind, asset))


def _p_after(value: Account, plan: Plan, share: float) -> float:
    action = plan.actions[0]
    index = next((i for i, p in enumerate(value.positions) if p.symbol == action.symbol), -1)
    if action.kind == "reduce":
        quotes = Quotes("USDT", dict(zip(ASSETS, PRICES.tolist(), strict=True)), {})
        move = reduce_move(Weights(value, load_ruleset(value.ruleset, value.as_of), quotes), index, 0.0, 0.0005)
    else:
        price = 1.0 if action.asset == "USDT" else float(PRICES[ASSETS.index(action.asset)])
        move = Move(action.kind, action.asset, index, action.symbol, price, np.inf)
    return float(PREDICT(book(apply_move(value, move, action.amount * share)))[0, TARGET.column])


def _risky(**more: Any) -> Account:
    return account([position(quantity=1.0, entry_price=50_000.0)], cash=2_500.0, **more)


def test_an_account_at_risk_gets_each_action_that_is_enough() -> None:
    found = _one(_risky(collateral=[("BTC", 0.01)]), Policy(taker_fee=0.0005))
    assert found.status == "act"
    assert {(p.actions[0].kind, p.actions[0].asset) for p in found.plans} == {
        ("top_up", "USDT"), ("top_up", "BTC"), ("reduce", "BTC"),
    }  # fmt: skip
    assert [p.cost for p in found.plans] == sorted(p.cost for p in found.plans)
    assert all(p.p_after[TARGET.column] <= TARGET.probability < p.p_before[TARGET.column] for p in found.plans)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    cash=st.floats(1_500.0, 5_000.0),
    quantity=st.sampled_from([1.0, -1.0, 0.8, -1.3]),
    eth=st.sampled_from([0.0, 5.0, -5.0]),
    coins=st.sampled_from([0.0, 0.02]),
)
def test_amounts_reach_the_target_and_one_percent_less_does_not(
    cash: float, quantity: float, eth: float, coins: float
) -> None:
    legs = [position(quantity=quantity)] + ([position("ETH/USDT:USDT", eth, 3_000.0)] if eth else [])
    value = account(legs, cash=cash, collateral=[("BTC", coins)] if coins else [])
    found = _one(value, Policy(taker_fee=0.0005))
    for plan in found.plans if found.status == "act" else ():
        assert _p_after(value, plan, 1.0) <= TARGET.probability
        assert _p_after(value, plan, 0.99) > TARGET.probability
        assert all(a <= b + 1e-12 for a, b in zip(plan.p_after, plan.p_before, strict=True))
        assert STATES.index(plan.levels_after.state) <= STATES.index(plan.levels_before.state)


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(cash=st.floats(8_000.0, 60_000.0), coins=st.floats(0.0, 0.5), quantity=st.sampled_from([1.0, -1.0]))
def test_a_release_is_the_largest_that_keeps_the_target_and_the_release_level(
    cash: float, coins: float, quantity: float
) -> None:
    value = account([position(quantity=quantity)], cash=cash, collateral=[("BTC", coins)] if coins > 0.01 else [])
    found = _one(value)
    for plan in found.plans if found.status == "release" else ():
        action, after = plan.actions[0], plan.levels_after
        assert plan.p_after[TARGET.column] <= TARGET.probability
        assert after.equity >= after.release
        held_all = action.amount >= (cash if action.asset == "USDT" else coins) * (1 - 1e-9)
        tight = after.equity - after.release < 2e-3 * max(cash, 1e4)
        assert held_all or tight or plan.p_after[TARGET.column] > 0.98 * TARGET.probability


def test_plans_carry_the_engine_before_and_after() -> None:
    plan = _plan(_one(_risky()), "top_up", "USDT")
    before, after, amount = plan.levels_before, plan.levels_after, plan.actions[0].amount
    assert after.equity - before.equity == pytest.approx(amount)
    assert dataclasses.replace(after, equity=before.equity, state=before.state) == before


def test_reducing_the_hedge_is_said_to_be_of_little_use() -> None:
    legs = [position(quantity=1.0), position("ETH/USDT:USDT", -10.0, 3_000.0)]
    found = _one(account(legs, cash=2_000.0))
    missed = next(u for u in found.unreachable if u.symbol == "ETH/USDT:USDT")
    assert missed.lowest_p > 0.95 * found.p_before[TARGET.column]
    assert missed.amount < 1.0


def test_the_lowest_p_is_given_where_an_action_helps_but_not_enough() -> None:
    legs = [position(quantity=1.0), position("SOL/USDT:USDT", 50.0, 150.0)]
    found = _one(account(legs, cash=2_600.0))
    missed = next(u for u in found.unreachable if u.symbol == "SOL/USDT:USDT")
    assert TARGET.probability < missed.lowest_p < found.p_before[TARGET.column]
    assert missed.amount == pytest.approx(50.0)
    assert "lowest P is" in missed.sentence


def test_a_cap_can_make_a_top_up_unreachable() -> None:
    policy = policy_from_mapping({"reduce": False, "assets": {"USDT": {"cap": 100.0}}})
    found = _one(_risky(), policy)
    assert found.status == "cannot_reach"
    assert found.plans == ()
    assert found.unreachable[0].amount == pytest.approx(100.0)


def test_steps_and_smallest_amounts_hold() -> None:
    policy = policy_from_mapping(
        {"assets": {"USDT": {"step": 250.0, "fee": 2.0}}, "symbols": {"BTC/USDT:USDT": {"lot": 0.05}}}
    )
    found = _one(_risky(), policy)
    top_up, reduced = _plan(found, "top_up", "USDT"), _plan(found, "reduce", "BTC")
    assert top_up.actions[0].amount % 250.0 == 0.0
    assert top_up.cost == 2.0
    assert reduced.actions[0].amount / 0.05 == pytest.approx(round(reduced.actions[0].amount / 0.05))
    assert reduced.p_after[TARGET.column] <= TARGET.probability


def test_eligible_assets_are_those_of_the_policy() -> None:
    found = _one(_risky(), Policy(eligible_assets=("ETH",), reduce=False))
    assert [p.actions[0].asset for p in found.plans] == ["ETH"]
    assert found.plans[0].actions[0].haircut > 0


def test_every_accepted_asset_on_request() -> None:
    found = _one(_risky(), Policy(eligible_assets=("*",), reduce=False))
    assert {"USDT", "BTC", "ETH"} <= {p.actions[0].asset for p in found.plans} | {u.asset for u in found.unreachable}


def test_an_asset_without_a_price_is_refused_with_the_reason() -> None:
    found = _one(_risky(), Policy(eligible_assets=("PEPE",), reduce=False))
    assert found.status == "cannot_reach"
    assert found.unreachable[0].sentence == "The market has no price for PEPE."


def test_isolated_positions_get_margin_of_their_own() -> None:
    leg = position(quantity=1.0, margin_mode="isolated", isolated_margin=2_500.0)
    found = _one(account([leg], cash=500.0))
    assert _plan(found, "add_margin", "USDT").actions[0].symbol == "BTC/USDT:USDT"
    missed = {(u.kind, u.asset) for u in found.unreachable}
    assert ("top_up", "USDT") in missed
    assert "does not lower P" in found.unreachable[0].sentence
    closing = _plan(found, "reduce", "BTC").actions[0]
    assert closing.amount == pytest.approx(1.0)


def test_an_account_in_call_is_acted_on_whatever_p_says() -> None:
    called = account([position(quantity=1.0)], cash=200.0)
    found, _ = recommend([called], ASSETS, PRICES, lambda b: np.full((len(b), 4), 0.001), TARGET)
    assert found[0].status == "act"
    assert found[0].last_safe_minute == 0.0
    assert found[0].plans[0].levels_after.state not in ("call", "liquidation")


def test_nothing_to_do_is_said() -> None:
    found = _one(account([position(quantity=1.0)], cash=4_800.0), Policy(release=False))
    assert (found.status, found.plans, found.unreachable) == ("ok", (), ())


def test_without_positions_everything_may_leave() -> None:
    found = _one(account(cash=700.0))
    assert found.status == "release"
    assert found.plans[0].actions[0].amount == pytest.approx(700.0)


def test_a_plan_that_is_worse_at_another_horizon_is_not_given() -> None:
    def crooked(b: Any) -> Any:
        p = PREDICT(b)
        return np.column_stack([np.where(p[:, 2] < 0.01, 0.5, 0.0), p[:, 1:]])

    found, _ = recommend([_risky()], ASSETS, PRICES, crooked, TARGET)
    assert found[0].status == "cannot_reach"
    assert found[0].plans == ()


def test_bad_accounts_do_not_take_the_good_ones_along() -> None:
    good = [_risky(account_id=f"good-{i}") for i in range(3)]
    bad = _risky(account_id="bad", ruleset="nowhere")
    found, failures = recommend([good[0], bad, good[1], good[2]], ASSETS, PRICES, PREDICT, TARGET)
    assert [r.account_id for r in found] == ["good-0", "good-1", "good-2"]
    assert [(f.row, f.account_id, f.code) for f in failures] == [(1, "bad", "unknown_ruleset")]


def test_rows_are_counted_over_chunks() -> None:
    values = [account(account_id=str(i), cash=100.0) for i in range(150)]
    values[140] = account(account_id="bad", ruleset="nowhere")
    found, failures = recommend(values, ASSETS, PRICES, PREDICT, TARGET)
    assert len(found) == 149
    assert failures[0].row == 140


def test_a_missing_price_is_a_failure() -> None:
    prices = np.array([np.nan, 3_000.0, 150.0])
    found, failures = recommend([_risky()], ASSETS, prices, PREDICT, TARGET)
    assert found == []
    assert failures[0].code == "missing_market"


def test_prices_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match="prices"):
        recommend([_risky()], ASSETS, np.ones(2), PREDICT, TARGET)


def test_a_search_asks_the_predictor_few_times() -> None:
    calls = []

    def counted(b: Any) -> Any:
        calls.append(len(b))
        return PREDICT(b)

    recommend([_risky(), _risky()], ASSETS, PRICES, counted, TARGET)
    assert len(calls) <= 5


def test_lag_moves_the_last_safe_minute_of_transfers_only() -> None:
    found = _one(_risky(), Policy(route_lag_minutes=30.0))
    top_up, reduced = _plan(found, "top_up", "USDT"), _plan(found, "reduce", "BTC")
    assert top_up.last_safe_minute is not None
    assert reduced.last_safe_minute is not None
    assert reduced.last_safe_minute - top_up.last_safe_minute == pytest.approx(30.0)
