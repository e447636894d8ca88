"""Money is not sent to what is then closed: transfers that reductions make needless are left out or made smaller."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest

from models.account import Account
from models.rebalance import Policy
from models.rebalance.joint import DeskPlan, recommend_desk
from models.rebalance.joint.carry_out import accounts_after
from models.rebalance.joint.own import reduced
from models.rebalance.joint.plan import Transfer
from models.rebalance.joint.run import DeskRun
from models.rebalance.joint.spare import spared
from models.rebalance.target import Target
from tests.models.builders import account, book, position
from tests.models.rebalance.joint.policies import rich, risky, wallet_policy
from tests.models.rebalance.toy import ASSETS, PRICES, toy_predict

PREDICT = toy_predict()
GAS = {"chain": 2.0, "vault": 25.0}


def short_of(usdt: float, cold: float = 0.0, **changes: Any) -> Policy:
    """Return a policy whose places have so many dollars in all."""
    places = {"hot": {"inventory": {"USDT": usdt}}, "cold": {"inventory": {"USDT": cold, "BTC": 0.0}}}
    return wallet_policy(places=places, taker_fee=0.0005, **changes)


def isolated(btc: float, eth: float, sol: float, cash: float = 100.0) -> Account:
    """Return an account of three isolated positions with so much margin."""
    legs = [
        position("BTC/USDT:USDT", 1.0, 50_000.0, margin_mode="isolated", isolated_margin=btc),
        position("ETH/USDT:USDT", -1.0, 3_000.0, margin_mode="isolated", isolated_margin=eth),
        position("SOL/USDT:USDT", 200.0, 150.0, margin_mode="isolated", isolated_margin=sol),
    ]
    return account(legs, cash=cash, account_id="iso")


def plan_of(value: Account, policy: Policy) -> DeskPlan:
    found, failures = recommend_desk([value, rich()], ASSETS, PRICES, PREDICT, policy, reduce=True)
    assert failures == []
    return found


def fees_of(plan: DeskPlan) -> float:
    """Return what a plan pays for transfers and reductions."""
    return sum(t.cost_usd for t in plan.transfers) + sum(step.cost_usd for step in plan.own)


def received(value: Account, transfers: tuple[Transfer, ...]) -> Account:
    """Return an account with transfers added, written from the words of a venue."""
    items, legs = list(value.collateral), list(value.positions)
    for one in transfers:
        if one.kind == "add_margin":
            k = [leg.symbol for leg in legs].index(one.symbol or "")
            legs[k] = msgspec.structs.replace(legs[k], isolated_margin=(legs[k].isolated_margin or 0.0) + one.amount)
        else:
            (j,) = [j for j, item in enumerate(items) if item.asset == one.asset]
            items[j] = msgspec.structs.replace(items[j], quantity=items[j].quantity + one.amount)
    return msgspec.structs.replace(value, collateral=tuple(items), positions=tuple(legs))


def alone(value: Account, policy: Policy) -> float:
    """Return the fees of the reductions that an account needs with nothing sent; inf where none are enough."""
    run = DeskRun([value], ASSETS, PRICES, PREDICT, policy, Target(0.01, 1440))
    steps = reduced(run, [value], [0], policy).steps
    return sum(step.cost_usd for step in steps) if steps else np.inf


@cache
def planned() -> list[tuple[Account, Policy, DeskPlan]]:
    """Return the accounts that a plan reduces, with their policies and plans."""
    over = [(value, policy) for value, policy in desks() if PREDICT(book(value))[0, 2] > 0.01]
    plans = [(value, policy, plan_of(value, policy)) for value, policy in over]
    return [one for one in plans if one[2].own and one[2].status == "act"]


def desks() -> list[tuple[Account, Policy]]:
    """Return accounts with isolated positions and inventories that are too small for them."""
    rng, out = np.random.default_rng(11), []
    for _ in range(12):
        value = isolated(*rng.uniform([1_500, 200, 1_000], [9_000, 900, 6_000]).tolist())
        out.append((value, short_of(float(rng.uniform(100, 2_500)), float(rng.uniform(0, 800)))))
    return out


def test_no_transfer_can_be_left_out_of_a_plan_with_reductions_to_lower_fees() -> None:
    seen = sending = 0
    for value, policy, plan in planned():
        seen, sending = seen + 1, sending + bool(plan.transfers)
        assert plan.certificate.clean
        assert PREDICT(book(plan.accounts_after[0]))[0, 2] <= 0.01
        for left_out in plan.transfers:
            kept = tuple(t for t in plan.transfers if t is not left_out)
            fees = sum(t.cost_usd for t in kept) + alone(received(value, kept), policy)
            assert fees >= fees_of(plan) * (1 - 1e-6)
    assert seen >= 3
    assert sending >= 1


def test_what_was_sent_to_a_position_that_is_then_closed_is_spared() -> None:
    value = isolated(btc=2_500.0, eth=3_000.0, sol=30_000.0)
    policy = short_of(300.0)
    run = DeskRun([value, rich()], ASSETS, PRICES, PREDICT, policy, Target(0.01, 1440))
    carried = run._transfers(2.0, 1e-3)
    assert (carried.found.amount > 0).any()  # as much as there is is sent, and is not enough
    own = reduced(run, carried.after, [0], policy)
    assert [step.symbol for step in own.steps] == ["BTC/USDT:USDT"]
    again = spared(run, carried)
    assert not again.found.amount.any()
    assert again.after[0] == value
    plan = plan_of(value, policy)
    assert plan.transfers == ()
    assert [step.symbol for step in plan.own] == ["BTC/USDT:USDT"]
    assert plan.bound_usd is None
    assert plan.policy_after.places["hot"].inventory["USDT"] == 300.0
    assert plan.certificate.clean


def test_no_other_account_is_begun_when_the_time_is_over() -> None:
    """The account with the dearest transfers comes first, and what the others were sent stays as it was."""
    one = isolated(btc=2_500.0, eth=3_000.0, sol=30_000.0)
    accounts = [one, msgspec.structs.replace(one, account_id="other"), rich()]
    ways = zip(wallet_policy().routes, ("iso", "other"), strict=True)
    policy = short_of(300.0, 300.0, routes=[msgspec.to_builtins(route) | {"to": [name]} for route, name in ways])
    run = DeskRun(accounts, ASSETS, PRICES, PREDICT, policy, Target(0.01, 1440))
    carried = run._transfers(2.0, 1e-3)
    mine = [np.array([link.account == i for link in run.network.links]) for i in (0, 1)]
    cost = [run.network.arcs.transfer_cost(np.where(own, carried.found.amount, 0.0)).sum() for own in mine]
    assert min(cost) > 0.0
    first, other = (mine[i] for i in np.argsort(cost)[::-1])
    late = spared(run, carried, 1.0, iter([0.0, 1.0]).__next__)
    assert not late.found.amount[first].any()
    assert (late.found.amount[other] == carried.found.amount[other]).all()
    assert late.worse == set()
    in_time = spared(run, carried, 1.0, lambda: 0.0)
    assert not in_time.found.amount.any()


def test_a_transfer_that_makes_a_reduction_cheaper_than_it_costs_stays() -> None:
    cheap = [msgspec.to_builtins(route) | {"gas": 0.01} for route in wallet_policy().routes]
    plan = plan_of(risky("a"), short_of(800.0, routes=cheap))
    assert sum(t.amount for t in plan.transfers) > 700.0
    fees = fees_of(plan)
    assert fees < alone(risky("a"), short_of(0.0))
    dear = [msgspec.to_builtins(route) | {"gas": 40.0} for route in wallet_policy().routes]
    without = plan_of(risky("a"), short_of(800.0, routes=dear))
    assert without.transfers == ()
    assert fees_of(without) == pytest.approx(alone(risky("a"), short_of(0.0)))


def test_a_transfer_is_as_small_as_what_the_reductions_leave_asks_for() -> None:
    seen = 0
    for value, policy, plan in planned():
        seen += bool(plan.transfers)
        for one in plan.transfers:
            less = tuple(replace(t, amount=0.97 * t.amount) if t is one else t for t in plan.transfers)
            saved = 0.03 * (one.cost_usd - GAS[one.route])
            fees = sum(t.cost_usd for t in plan.transfers) - saved + alone(received(value, less), policy)
            assert fees >= fees_of(plan) * (1 - 1e-6)
    assert seen >= 1


def test_nothing_changes_where_transfers_are_enough_or_nothing_may_be_reduced() -> None:
    for policy in (wallet_policy(), short_of(800.0, reduce=False)):
        run = DeskRun([risky("a"), rich()], ASSETS, PRICES, PREDICT, policy, Target(0.01, 1440))
        carried = run._transfers(2.0, 1e-3)
        assert spared(run, carried) is carried
    assert accounts_after(run.accounts, run.network, np.zeros(len(run.links)))[0] is run.accounts[0]
