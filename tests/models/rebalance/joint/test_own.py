"""What accounts of a desk do themselves: reductions where transfers fall short, releases that are worth their cost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from models.account import Account
from models.rebalance import Policy
from models.rebalance.balances import held
from models.rebalance.joint import instructions_of
from models.rebalance.joint.plan import DeskPlan
from models.rebalance.joint.recommend import recommend_desk
from tests.models.builders import book
from tests.models.rebalance.joint.policies import rich, risky, wallet_policy
from tests.models.rebalance.toy import ASSETS, PRICES, toy_predict

PREDICT = toy_predict()
NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)


def plan_of(accounts: list[Account], policy: Policy, **more: Any) -> DeskPlan:
    found, failures = recommend_desk(accounts, ASSETS, PRICES, PREDICT, policy, **more)
    assert failures == []
    return found


def poor(**changes: Any) -> Policy:
    """Return a policy whose places are nearly empty."""
    places = {"hot": {"inventory": {"USDT": 50.0}}, "cold": {"inventory": {"USDT": 0.0, "BTC": 0.0}}}
    return wallet_policy(places=places, **changes)


def test_positions_are_reduced_only_where_transfers_fall_short_and_only_if_asked() -> None:
    desk = [risky("a"), rich()]
    assert plan_of(desk, poor()).own == ()
    assert plan_of(desk, poor()).status == "cannot_reach"
    enough = plan_of(desk, wallet_policy(), reduce=True)
    assert enough.own == ()
    plan = plan_of(desk, poor(), reduce=True)
    assert plan.status == "act"
    (step,) = plan.own
    assert (step.account_id, step.kind, step.symbol) == ("a", "reduce", "BTC/USDT:USDT")
    assert 0.0 < step.amount < 1.0
    after = plan.accounts_after[0]
    assert after.positions[0].quantity == pytest.approx(1.0 - step.amount)
    assert PREDICT(book(after))[0, 2] <= 0.01
    (outcome,) = [o for o in plan.accounts if o.account_id == "a"]
    assert outcome.status == "reduced"
    assert outcome.p_after == pytest.approx(tuple(PREDICT(book(after))[0]))
    assert plan.certificate.clean
    assert "Reduce BTC/USDT:USDT of a" in plan.sentence


def test_what_was_sent_makes_the_reduction_smaller() -> None:
    none = plan_of([risky("a")], poor(), reduce=True).own[0].amount
    places = {"hot": {"inventory": {"USDT": 800.0}}, "cold": {"inventory": {"USDT": 0.0, "BTC": 0.0}}}
    some = plan_of([risky("a")], wallet_policy(places=places), reduce=True)
    assert sum(t.amount for t in some.transfers) > 100.0
    assert some.own[0].amount < none


def test_a_policy_may_forbid_both() -> None:
    plan = plan_of([risky("a"), rich()], poor(reduce=False, release=False), reduce=True, release=True)
    assert plan.own == ()
    assert plan.status == "cannot_reach"


def test_excess_goes_back_where_that_saves_more_than_it_costs() -> None:
    desk = [risky("a"), rich()]
    plan = plan_of(desk, wallet_policy(), release=True)
    (step,) = plan.own
    assert (step.account_id, step.kind, step.asset, step.to) == ("rich", "release", "USDT", "hot")
    assert step.cost_usd == pytest.approx(2.0 - step.value_usd * 0.05 * 3.0 / 365.0)
    assert step.cost_usd < 0.0
    after = plan.accounts_after[1]
    assert held(after, "USDT") == pytest.approx(60_000.0 - step.amount)
    assert PREDICT(book(after))[0, 2] <= 0.01
    sent = sum(t.amount + t.fee for t in plan.transfers if t.source == "hot")
    assert plan.policy_after.places["hot"].inventory["USDT"] == pytest.approx(100_000.0 - sent + step.amount)
    assert "Take back" in plan.sentence
    dear = [msgspec.to_builtins(route) | {"gas": 1_000.0} for route in wallet_policy().routes]
    assert plan_of(desk, wallet_policy(routes=dear), release=True).own == ()


def test_a_desk_at_rest_may_still_give_back_and_asked_again_has_nothing_left() -> None:
    plan = plan_of([rich()], wallet_policy(), release=True)
    assert plan.status == "act"
    assert [step.kind for step in plan.own] == ["release"]
    again = plan_of(list(plan.accounts_after), plan.policy_after, release=True)
    assert again.own == ()


def test_the_dry_run_holds_orders_and_returns() -> None:
    desk = [risky("a", quantity=-1.0), rich()]
    plan = plan_of(desk, poor(), reduce=True, release=True)
    found = {i.method: i for i in instructions_of(plan, desk, NOW)}
    order, back = found["createOrder"].arguments, found["transfer"].arguments
    assert order["side"] == "buy"
    assert order["params"]["reduceOnly"] is True
    assert (back["fromAccount"], back["toAccount"]) == ("rich", "hot")
    keys = [i.key for i in instructions_of(plan, desk, NOW)]
    assert len(set(keys)) == len(keys)
    assert keys == [i.key for i in instructions_of(plan, desk, NOW)]
