"""Accounts with isolated positions that no transfer can save: closed and reduced together, at the lowest fee."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pytest

from models.account import Account
from models.rebalance import Policy
from models.rebalance.balances import held
from models.rebalance.joint import DeskPlan, instructions_of, recommend_desk
from tests.models.builders import account, book, position
from tests.models.rebalance.joint.policies import rich, wallet_policy
from tests.models.rebalance.toy import ASSETS, PRICES, toy_predict

PREDICT = toy_predict()
NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
LOTS = {"BTC/USDT:USDT": 0.1, "ETH/USDT:USDT": 0.5, "SOL/USDT:USDT": 50.0}
PRICE = dict(zip(ASSETS, PRICES.tolist(), strict=True))
RULES = {symbol: {"lot": lot} for symbol, lot in LOTS.items()}
FEE = 0.0005


def empty(**changes: Any) -> Policy:
    """Return a policy whose places have nothing to send."""
    places = {"hot": {"inventory": {"USDT": 0.0}}, "cold": {"inventory": {"USDT": 0.0, "BTC": 0.0}}}
    return wallet_policy(places=places, symbols=RULES, taker_fee=FEE, **changes)


def plan_of(value: Account, policy: Policy, **more: Any) -> DeskPlan:
    found, failures = recommend_desk([value, rich()], ASSETS, PRICES, PREDICT, policy, reduce=True, **more)
    assert failures == []
    return found


def three(btc: float = 2_500.0, eth: float = 3_000.0, sol: float = 1_700.0, cash: float = 100.0) -> Account:
    """Return an account of three isolated positions with so much margin."""
    legs = [
        position("BTC/USDT:USDT", 1.0, 50_000.0, margin_mode="isolated", isolated_margin=btc),
        position("ETH/USDT:USDT", -1.0, 3_000.0, margin_mode="isolated", isolated_margin=eth),
        position("SOL/USDT:USDT", 200.0, 150.0, margin_mode="isolated", isolated_margin=sol),
    ]
    return account(legs, cash=cash, account_id="iso")


def reduced_by_hand(value: Account, shares: tuple[float, ...]) -> tuple[Account, float]:
    """Return the account with shares of its positions closed, and the fees, written from the words of a venue."""
    cash, fees, left = held(value, "USDT"), 0.0, []
    for share, leg in zip(shares, value.positions, strict=True):
        now = PRICE[leg.symbol.split("/")[0]]
        fee = FEE * share * abs(leg.quantity) * now
        gain = share * leg.quantity * (now - leg.entry_price)
        freed = gain + share * (leg.isolated_margin or 0.0)
        cash += (freed if leg.margin_mode == "cross" else max(freed, 0.0)) - fee
        fees += fee
        if share < 1:
            margin = None if leg.isolated_margin is None else (1 - share) * leg.isolated_margin
            left.append(msgspec.structs.replace(leg, quantity=(1 - share) * leg.quantity, isolated_margin=margin))
    return account(left, cash=cash, account_id=value.account_id), fees


def everything_tried(value: Account) -> float:
    """Return the lowest fees of all lots of all positions that bring an account under the target; inf where none do."""
    grids = [np.arange(round(abs(p.quantity) / LOTS[p.symbol]) + 1) * LOTS[p.symbol] for p in value.positions]
    sizes = [abs(p.quantity) for p in value.positions]
    tried = [
        reduced_by_hand(value, tuple(x / size for x, size in zip(lots, sizes, strict=True)))
        for lots in itertools.product(*grids)
    ]
    p = PREDICT(book(*(one for one, _ in tried)))[:, 2]
    return float(np.min(np.array([fee for _, fee in tried])[p <= 0.01], initial=np.inf))


def test_every_isolated_position_at_risk_is_closed_and_no_other() -> None:
    value = three()
    plan = plan_of(value, empty())
    assert plan.status == "act"
    assert {step.symbol for step in plan.own} == {"BTC/USDT:USDT", "SOL/USDT:USDT"}
    assert {step.symbol: step.amount for step in plan.own} == {"BTC/USDT:USDT": 1.0, "SOL/USDT:USDT": 200.0}
    assert [p.symbol for p in plan.accounts_after[0].positions] == ["ETH/USDT:USDT"]
    assert held(plan.accounts_after[0], "USDT") == pytest.approx(100.0 + 2_500.0 + 1_700.0 - FEE * 80_000.0)
    (outcome,) = plan.accounts
    assert outcome.status == "reduced"
    assert outcome.p_after == pytest.approx(tuple(PREDICT(book(plan.accounts_after[0]))[0]))
    first, second = plan.own
    assert first.p_after == second.p_before
    assert second.p_after[2] <= 0.01 < first.p_after[2]
    assert plan.certificate.clean
    orders = instructions_of(plan, [value, rich()], NOW)
    assert [(i.method, i.arguments["side"], i.arguments["params"]["reduceOnly"]) for i in orders] == [
        ("createOrder", "sell", True)
    ] * 2


def test_reductions_together_nearly_always_cost_the_least_of_everything_tried_on_the_predictor() -> None:
    rng, ratio, several = np.random.default_rng(5), [], 0
    for _ in range(40):
        margins = rng.uniform([1_500, 200, 1_000], [9_000, 900, 6_000])
        value = three(*margins.tolist())
        if rng.random() < 0.6:  # the first of them in the cross wallet
            legs = [msgspec.structs.replace(value.positions[0], margin_mode="cross", isolated_margin=None)]
            cash = held(value, "USDT") + float(margins[0])
            value = account([*legs, *value.positions[1:]], cash=cash, account_id="iso")
        if PREDICT(book(value))[0, 2] <= 0.01:
            continue
        plan, best = plan_of(value, empty()), everything_tried(value)
        assert plan.status == "act"
        assert PREDICT(book(plan.accounts_after[0]))[0, 2] <= 0.01
        assert plan.certificate.clean
        ratio.append(sum(step.cost_usd for step in plan.own) / best)
        several += len(plan.own) > 1
    assert len(ratio) >= 20
    assert several >= 5
    assert min(ratio) > 1 - 1e-9
    assert np.mean(np.array(ratio) < 1 + 1e-9) >= 0.85
    assert max(ratio) < 1.1


def test_what_the_stress_makes_worse_is_not_done() -> None:
    value = three()
    lost = msgspec.structs.replace(value.positions[0], entry_price=52_000.0)  # closing it takes from the wallet
    cross = position("ETH/USDT:USDT", 4.0, 3_000.0)
    mixed = account([lost, cross], cash=1_500.0, account_id="iso")
    plan = plan_of(mixed, empty())
    for before, after in zip([mixed, rich()], plan.accounts_after, strict=True):
        assert before is after or PREDICT(book(after))[0, 2] <= 0.01
    assert plan.certificate.worsened == ()


def test_a_position_whose_symbol_another_has_is_left() -> None:
    twice = three()
    legs = (*twice.positions[:1], msgspec.structs.replace(twice.positions[0], quantity=-1.0), twice.positions[2])
    plan = plan_of(msgspec.structs.replace(twice, positions=legs), empty())
    assert plan.status == "cannot_reach"
    assert plan.own == ()


def test_nothing_is_closed_where_the_policy_forbids_it() -> None:
    plan = plan_of(three(), empty(reduce=False))
    assert plan.own == ()
    assert plan.status == "cannot_reach"
