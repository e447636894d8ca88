"""Trades, loans and recalls in the plan of a desk: cheapest by the predictor itself, certified, told, instructed."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pytest

from models.account import Account
from models.margin.rulesets import load_ruleset
from models.rebalance import Policy, policy_from_mapping
from models.rebalance.balances import changed, held
from models.rebalance.effects import apply_move
from models.rebalance.joint import DeskPlan, instructions_of, recommend_desk
from models.rebalance.moves import hedge_move, swap_move
from models.rebalance.quotes import Quotes
from models.rebalance.weights import Weights
from tests.models.builders import account, book, position
from tests.models.rebalance.joint.policies import rich, risky, wallet_policy
from tests.models.rebalance.regimes import ASSETS as MIXED
from tests.models.rebalance.regimes import MARKET, NAMED, TERMS, gap_predict, of
from tests.models.rebalance.regimes import PRICES as MIXED_PRICES
from tests.models.rebalance.test_trading import wrong_way
from tests.models.rebalance.toy import ASSETS, PRICES, toy_predict

PREDICT = toy_predict()
NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
NO_LOSS = {"target": "0.01@1440", "liquidation_cost_rate": 0.0, "stress": [0.8, 1.2]}
HEDGE = {"name": "future", "symbol": "BTC/USDT:USDT-250627", "step": 0.1, "fee_rate": 0.0004}
SWAP = {"name": "spot", "sell": ["ETH"], "buy": "USDT", "step": 0.1, "fee_rate": 0.0005, "impact": [[0, 0.0002]]}


def plan_of(accounts: list[Account], policy: Policy, predict: Any = PREDICT, **more: Any) -> DeskPlan:
    found, failures = recommend_desk(accounts, ASSETS, PRICES, predict, policy, **more)
    assert failures == []
    return found


def trading(usdt: float, **more: Any) -> Policy:
    """Return a policy with one wallet, a swap and a hedge."""
    route = {"name": "chain", "source": "hot", "to": ["*"], "assets": ["USDT"], "step": 100.0, "gas": 2}
    costs = {"USDT": {"annual_cost": 0.3}}
    places = {"hot": {"inventory": {"USDT": usdt}}}
    whole = {
        "assets": costs,
        "places": places,
        "routes": [route],
        "swaps": [SWAP],
        "hedges": [HEDGE],
        "limits": NO_LOSS,
    }
    return policy_from_mapping({**whole, **more})


def everything_tried(value: Account, policy: Policy, predict: Any) -> float:
    """Return the lowest cost of all lots that bring one account under the target by the predictor: money, ETH swapped,
    BTC hedged.
    """
    own = Weights(
        value, load_ruleset(value.ruleset, value.as_of), Quotes("USDT", dict(zip(ASSETS, PRICES, strict=True)), {})
    )
    hedge = hedge_move(own, 50_000.0 * value.positions[0].quantity, policy.hedges[0], 0.0)
    swap = swap_move("ETH", own, held(value, "ETH"), policy.swaps[0], 0.0, repays=False)
    money, days = policy.places["hot"].free("USDT"), policy.limits.holding_days / 365.0
    lots = itertools.product(
        np.arange(0.0, min(money, 3_000.0) + 1, 100.0), np.arange(0.0, swap.limit + 0.01, 0.1),
        np.arange(0.0, hedge.limit + 0.01, 0.1),
    )  # fmt: skip
    accounts, costs = [], []
    for sent, sold, hedged in lots:
        after = changed(value, "USDT", sent)
        after = apply_move(after, swap, sold) if sold > 0 else after
        accounts.append(apply_move(after, hedge, hedged) if hedged > 0 else after)
        costs.append((sent > 0) * 2.0 + sent * 0.3 * days + swap.fee(sold) + hedge.fee(hedged))
    p = predict(book(*accounts))[:, 2]
    return float(np.min(np.array(costs)[p <= 0.01], initial=np.inf))


def test_plans_with_trades_are_near_the_best_of_everything_tried_on_the_predictor() -> None:
    rng, ratio, traded = np.random.default_rng(3), [], 0
    for _ in range(8):
        side = float(rng.choice([1.0, -1.0]))
        cash, eth = float(rng.uniform(700, 1_600)), float(rng.uniform(0.3, 0.9))
        value = account([position(quantity=side)], cash=cash, collateral=[("ETH", eth)])
        policy = trading(float(rng.choice([0.0, 600.0, 5_000.0])))
        plan = plan_of([value], policy, time_limit=2.0, gap=1e-5)
        best = everything_tried(value, policy, PREDICT)
        if plan.status == "act":
            assert PREDICT(book(plan.accounts_after[0]))[0, 2] <= 0.01
            assert plan.certificate.clean
            ratio.append(plan.transfers_usd / best)
            traded += bool(plan.trades)
        else:
            assert not np.isfinite(best)
    assert len(ratio) >= 6
    assert traded >= 3
    assert min(ratio) > 1 - 1e-9
    assert max(ratio) < 1.02


def test_what_is_traded_is_what_the_accounts_hold_after_it() -> None:
    desk = [account([position()], cash=900.0, collateral=[("ETH", 0.5)], account_id="a"), risky("b")]
    plan = plan_of(desk, trading(300.0))
    assert plan.status == "act"
    assert {t.kind for t in plan.trades} >= {"hedge"}
    for before, after in zip(desk, plan.accounts_after, strict=True):
        sent = sum(t.amount for t in plan.transfers if t.account_id == before.account_id)
        swaps = [t for t in plan.trades if t.account_id == before.account_id and t.kind == "swap"]
        hedges = [t for t in plan.trades if t.account_id == before.account_id and t.kind == "hedge"]
        assert held(after, "ETH") == pytest.approx(held(before, "ETH") - sum(t.amount for t in swaps))
        got, fees = sum(t.received or 0.0 for t in swaps), sum(t.cost_usd for t in hedges)
        assert held(after, "USDT") == pytest.approx(held(before, "USDT") + sent + got - fees)
        assert len(after.positions) == 1 + bool(hedges)
        assert sum(t.quantity or 0.0 for t in hedges) * before.positions[0].quantity <= 0
    assert plan.transfers_usd == pytest.approx(sum(t.cost_usd for t in (*plan.transfers, *plan.trades)))
    assert "as a hedge" in plan.sentence
    again = plan_of(list(plan.accounts_after), plan.policy_after)
    assert (again.status, again.transfers, again.trades) == ("ok", (), ())


def test_coins_that_fall_with_the_position_are_swapped() -> None:
    value = account([position()], cash=0.0, collateral=[("BTC", 0.1)])
    swap = {"name": "spot", "sell": ["BTC"], "buy": "USDT", "step": 0.001}
    plan = plan_of([value], trading(0.0, swaps=[swap], hedges=[]), wrong_way)
    assert plan.status == "act"
    (trade,) = plan.trades
    assert (trade.kind, trade.asset, trade.into) == ("swap", "BTC", "USDT")
    assert wrong_way(book(plan.accounts_after[0]))[0, 2] <= 0.01


def test_the_same_exposure_is_not_hedged_twice_and_the_same_balance_not_sold_twice() -> None:
    hedges = [HEDGE, {**HEDGE, "name": "other", "symbol": "BTC/USDT:USDT-250926"}]
    swaps = [SWAP, {**SWAP, "name": "otc", "fee_rate": 0.0004}]
    value = account([position()], cash=700.0, collateral=[("ETH", 0.35)])
    plan = plan_of([value], trading(0.0, hedges=hedges, swaps=swaps))
    assert sum(t.amount for t in plan.trades if t.kind == "hedge") <= 1.0 + 1e-9
    assert sum(t.amount for t in plan.trades if t.kind == "swap") <= 0.35
    assert not any(r.limit.startswith("inventory: ETH in") for r in plan.relaxations)


def test_a_trade_that_the_stress_of_the_policy_punishes_is_taken_back() -> None:
    value = account([position(quantity=-1.0, entry_price=34_700.0)], cash=0.0, collateral=[("BTC", 0.4)])
    swap = {"name": "spot", "sell": ["BTC"], "buy": "USDT", "step": 0.001}
    mild, hard = (
        plan_of([value], trading(0.0, swaps=[swap], hedges=[], limits={**NO_LOSS, "stress": [factor]}))
        for factor in (1.02, 1.085)
    )
    assert [t.kind for t in mild.trades] == ["swap"]
    assert hard.trades == ()
    assert hard.certificate.worsened == ()


def test_trades_count_as_moves_and_may_need_approval() -> None:
    desk = [risky("a"), risky("b")]
    plan = plan_of(desk, trading(0.0, limits={**NO_LOSS, "max_moves": 1, "approval_above": 1_000.0}))
    assert len(plan.trades) == 1
    assert plan.trades[0].needs_approval
    orders = instructions_of(plan, desk, NOW)
    assert [(i.method, i.hold, i.reason) for i in orders] == [("createOrder", True, "approval")]
    assert orders[0].arguments["side"] == "sell"
    assert [r.limit for r in plan.relaxations] == ["max_moves"]


def test_prices_that_are_too_old_are_not_traded_on() -> None:
    plan = plan_of([risky("a")], trading(5_000.0), age_minutes=np.array([10_000.0, 0.0, 0.0]))
    assert plan.trades == ()
    assert any("minutes old" in r.reason and r.route == "future" for r in plan.refused)


@pytest.mark.parametrize(("asset", "into", "method", "arguments"), [
    ("BTC", "USDT", "createOrder", {"symbol": "BTC/USDT", "side": "sell", "amount": 2.0}),
    ("USDT", "BTC", "createMarketBuyOrderWithCost", {"symbol": "BTC/USDT", "cost": 2.0}),
])  # fmt: skip
def test_a_swap_is_an_order_on_the_market_that_there_is(
    asset: str, into: str, method: str, arguments: dict[str, Any]
) -> None:
    from models.rebalance.joint.instructions import _trade_instruction
    from models.rebalance.joint.plan import TradeStep

    step = TradeStep("a", "spot", "swap", asset, 2.0, 2.0, 0.0, None, None, into, 1.0, False, "")
    found = _trade_instruction(step, NOW)
    assert found.method == method
    assert arguments.items() <= found.arguments.items()


def test_a_credit_line_is_borrowed_from_at_its_price_and_only_when_it_is_cheapest() -> None:
    places = {
        "own": {"inventory": {"USDT": 1_500.0}},
        "line": {"kind": "credit_line", "inventory": {"USDT": 1e5}, "annual_rate": 0.5},
    }
    routes = [{"name": n, "source": n, "to": ["*"], "assets": ["USDT"], "fee_rate": 0.001} for n in places]
    desk = [risky("a")]
    plan = plan_of(desk, wallet_policy(places=places, routes=routes, limits=NO_LOSS))
    drawn = {t.source: t for t in plan.transfers}
    assert drawn["own"].amount == pytest.approx(1_500.0 / 1.001)
    loan = drawn["line"]
    assert (drawn["own"].annual_rate, loan.annual_rate) == (None, 0.5)
    earned = 0.05  # what USDT would have earned, by the policy
    assert loan.cost_usd == pytest.approx(loan.amount * (0.001 + (0.5 + earned) * 3.0 / 365.0))
    assert "borrowed at 50% a year from line" in plan.sentence
    borrow, send = (i for i in instructions_of(plan, desk, NOW) if "line" in str(i.arguments))
    assert (borrow.method, send.method) == ("borrowCrossMargin", "transfer")
    assert borrow.arguments["amount"] == pytest.approx(loan.amount * 1.001)
    assert len({i.key for i in instructions_of(plan, desk, NOW)}) == 3


def recalling(value: Account, **more: Any) -> tuple[DeskPlan, list[Account]]:
    """Return the plan of an account at risk and one under an agreement whose excess may be recalled."""
    places = {"bank": {"kind": "account", "account": value.account_id}}
    routes = [{"name": "recall", "source": "bank", "to": ["*"], "assets": ["USD"], "gas": 20, **more}]
    policy = policy_from_mapping({"places": places, "routes": routes, "limits": NO_LOSS})
    desk = [of("drift-v2", "USD", {"USD": 5_000.0}, [("BTC/USDC:USDC", 1.0, 84_000.0)]), value]
    found, failures = recommend_desk(desk, MIXED, MIXED_PRICES, gap_predict(), policy, volatility=MARKET)
    assert failures == []
    return found, desk


def test_what_an_agreement_owes_back_is_recalled_in_its_own_amounts() -> None:
    excess = of("csa", "USD", {"USD": 400_000.0}, [("BTC/USDT:USDT", 1.0, 84_000.0)], csa=TERMS)
    plan, desk = recalling(excess)
    assert plan.status == "act"
    (transfer,) = plan.transfers
    assert transfer.recalled_from == "csa"
    assert transfer.amount >= 25_000.0  # the other party's minimum transfer amount
    assert transfer.amount % 5_000.0 == pytest.approx(0.0)  # its rounding
    assert held(plan.accounts_after[1], "USD") == pytest.approx(400_000.0 - transfer.amount)
    assert "recalled under csa from bank" in plan.sentence
    demand, send = instructions_of(plan, desk, NOW)
    assert (demand.channel, demand.method, demand.arguments["amount"]) == ("csa", "demand_return", transfer.amount)
    assert (send.method, send.hold, send.reason) == ("transfer", True, "the return")


def test_nothing_is_recalled_that_is_not_due() -> None:
    plan, _ = recalling(NAMED["csa"])
    assert plan.transfers == ()
    assert "Nothing is due back from the other party of csa." in {r.reason for r in plan.refused}


def isolated(**more: Any) -> Account:
    """Return an account of a cross position and two isolated ones, the ETH one safe."""
    legs = [
        position("BTC/USDT:USDT", 1.0, 50_000.0, margin_mode="isolated", isolated_margin=2_500.0),
        position("ETH/USDT:USDT", -1.0, 3_000.0, margin_mode="isolated", isolated_margin=3_000.0),
        position("SOL/USDT:USDT", 200.0, 150.0, margin_mode="isolated", isolated_margin=1_700.0),
    ]
    return account(legs, **{"cash": 100.0, "account_id": "iso", **more})


def test_each_isolated_position_gets_margin_of_its_own() -> None:
    plan = plan_of([isolated(), risky("a")], wallet_policy(limits=NO_LOSS))
    assert plan.status == "act"
    assert {o.account_id: o.status for o in plan.accounts} == {"iso": "reached", "a": "reached"}
    sent = {t.symbol: t for t in plan.transfers if t.account_id == "iso"}
    assert set(sent) == {"BTC/USDT:USDT", "SOL/USDT:USDT"}
    assert {t.kind for t in sent.values()} == {"add_margin"}
    after = plan.accounts_after[0]
    for before, now in zip(isolated().positions, after.positions, strict=True):
        more = sent[before.symbol].amount if before.symbol in sent else 0.0
        assert now.isolated_margin == pytest.approx((before.isolated_margin or 0.0) + more)
    assert PREDICT(book(after))[0, 2] <= 0.01
    assert plan.certificate.clean
    assert [i.method for i in instructions_of(plan, [isolated(), risky("a")], NOW)].count("addMargin") == 2


def test_positions_that_move_together_do_not_share_the_target_as_if_they_did_not() -> None:
    plan = plan_of([isolated()], wallet_policy(limits=NO_LOSS))
    p = PREDICT(book(plan.accounts_after[0]))[0, 2]  # the worse of the positions, by this predictor
    assert 0.0085 < p <= 0.01


def test_positions_whose_risks_add_share_the_target() -> None:
    def added(b: Any) -> Any:
        from tests.models.rebalance.toy import _unit_probability

        p = np.zeros((len(b), 4))
        for unit, row in enumerate(b.unit_account()):
            p[row] += _unit_probability(b, unit, PRICES)
        return np.minimum(p, 1.0)

    plan = plan_of([isolated()], wallet_policy(limits=NO_LOSS), added)
    assert plan.status == "act"
    assert added(book(plan.accounts_after[0]))[0, 2] <= 0.01
    together = plan_of([isolated()], wallet_policy(limits=NO_LOSS))
    assert plan.transfers_usd > together.transfers_usd


def test_the_cross_wallet_beside_isolated_positions_is_fed_and_feeds() -> None:
    legs = [position(quantity=1.0), *isolated().positions[1:]]
    mixed = msgspec.structs.replace(isolated(cash=2_500.0), positions=tuple(legs))
    plan = plan_of([mixed], wallet_policy(limits=NO_LOSS))
    assert plan.status == "act"
    assert {(t.kind, t.symbol) for t in plan.transfers} == {("top_up", None), ("add_margin", "SOL/USDT:USDT")}
    own = {"own": {"kind": "account", "account": "iso"}}
    inside = [{"name": "inside", "source": "own", "to": ["iso"], "assets": ["USDT"]}]
    fed = plan_of([isolated(cash=9_000.0)], wallet_policy(places=own, routes=inside, limits=NO_LOSS))
    assert fed.status == "act"
    assert {(t.source, t.kind) for t in fed.transfers} == {("own", "add_margin")}
    assert held(fed.accounts_after[0], "USDT") == pytest.approx(9_000.0 - sum(t.amount for t in fed.transfers))


def test_the_cross_wallet_is_not_hedged_with_what_has_isolated_margin() -> None:
    legs = [position(quantity=1.0), position(HEDGE["symbol"], -0.5, margin_mode="isolated", isolated_margin=9_000.0)]
    mixed = msgspec.structs.replace(isolated(cash=2_300.0), positions=tuple(legs))
    plan = plan_of([mixed], trading(5_000.0))
    assert plan.status == "act"
    assert plan.trades == ()
    assert any("has isolated margin" in r.reason for r in plan.refused)
    other = plan_of([mixed], trading(0.0, hedges=[{**HEDGE, "symbol": "BTC/USDT:USDT-250926"}]))
    assert [t.symbol for t in other.trades] == ["BTC/USDT:USDT-250926"]
    assert other.accounts_after[0].positions[1] == legs[1]


def test_isolated_positions_that_need_something_are_not_hedged_and_the_plan_says_why() -> None:
    plan = plan_of([isolated()], trading(5_000.0))
    told = [r for r in plan.refused if r.route == HEDGE["name"]]
    assert [(r.account_id, r.asset) for r in told] == [("iso", "BTC")]
    assert "BTC/USDT:USDT of iso is liquidated on its own margin" in told[0].reason


def test_what_lacks_is_told_by_position() -> None:
    plan = plan_of([isolated(), rich()], trading(500.0, swaps=[], hedges=[]))
    assert plan.status == "cannot_reach"
    (outcome,) = plan.accounts
    (change,) = plan.relaxations
    assert change.limit == "inventory: USDT at hot"
    assert outcome.short_usd == pytest.approx(change.more, abs=200.0)  # two steps of the route
