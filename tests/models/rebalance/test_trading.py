"""Swaps and hedges of single accounts: enough, no more than that, priced, and refused with a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.account import Account
from models.margin.rulesets import load_ruleset
from models.rebalance import Plan, Policy, Recommendation, Target, policy_from_mapping, recommend
from models.rebalance.balances import held
from models.rebalance.effects import apply_move
from models.rebalance.evaluate import Evaluator
from models.rebalance.moves import hedge_move, swap_move
from models.rebalance.quotes import Quotes
from models.rebalance.trades import Hedge, Swap
from models.rebalance.trading import exposures
from models.rebalance.weights import Weights
from tests.models.builders import account, book, position
from tests.models.rebalance.regimes import ASSETS as MIXED
from tests.models.rebalance.regimes import MARKET, NAMED, gap_predict
from tests.models.rebalance.regimes import PRICES as MIXED_PRICES
from tests.models.rebalance.toy import ASSETS, PRICES, toy_predict

TARGET = Target(0.01, 1440)
PREDICT = toy_predict()
FUTURE = "BTC/USDT:USDT-250627"
SLOW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def policy(**more: Any) -> Policy:
    """Return a policy with a swap of coins into USDT and a hedge by a future."""
    swap = {"name": "spot", "sell": ["BTC", "ETH"], "buy": "USDT", "impact": [[0, 0.0005], [1000, 0.002]]}
    hedge = {"name": "future", "symbol": FUTURE, "fee_rate": 0.0004}
    limits = {"stress": [0.8, 1.2]}
    return policy_from_mapping({"swaps": [swap], "hedges": [hedge], "limits": limits, "reduce": False, **more})


def found_for(value: Account, rules: Policy) -> Recommendation:
    found, failures = recommend([value], ASSETS, PRICES, PREDICT, TARGET, rules)
    assert failures == []
    return found[0]


def plan_of(found: Recommendation, kind: str) -> Plan:
    return next(plan for plan in found.plans if plan.actions[0].kind == kind)


def weights(value: Account, prices: dict[str, float] | None = None) -> Weights:
    dollars = prices or dict(zip(ASSETS, PRICES.tolist(), strict=True))
    return Weights(value, load_ruleset(value.ruleset, value.as_of), Quotes(value.currency, dollars, {}))


@SLOW
@given(cash=st.floats(1_500.0, 3_500.0), quantity=st.sampled_from([1.0, -1.0, 0.7, -1.3]))
def test_a_hedge_is_enough_and_one_percent_less_is_not(cash: float, quantity: float) -> None:
    value = account([position(quantity=quantity)], cash=cash)
    found = found_for(value, policy())
    for plan in [p for p in found.plans if p.actions[0].kind == "hedge"]:
        action = plan.actions[0]
        assert action.quantity is not None
        assert action.quantity * quantity < 0
        assert action.amount <= abs(quantity) * (1 + 1e-6)
        assert action.fee == pytest.approx(0.0004 * action.amount * 50_000.0)
        rule = policy().hedges[0]
        move = hedge_move(weights(value), quantity * 50_000.0, rule, 0.0)
        for share, enough in ((1.0, True), (0.99, False)):
            after = apply_move(value, move, action.amount * share)
            assert bool(PREDICT(book(after))[0, 2] <= TARGET.probability) is enough
        assert held(after, "USDT") == pytest.approx(cash - 0.99 * action.fee)


def test_a_swap_takes_the_risk_of_the_coins_away() -> None:
    value = account([position(quantity=1.0)], cash=0.0, collateral=[("BTC", 0.1)])
    after = recommend([value], ASSETS, PRICES, wrong_way, TARGET, policy(hedges=[]))[0][0]
    action = plan_of(after, "swap").actions[0]
    assert (action.asset, action.into) == ("BTC", "USDT")
    assert 0.0 < action.amount <= 0.1
    dollars = action.amount * 50_000.0
    lost = min(dollars, 1_000.0) * 0.0005 + max(dollars - 1_000.0, 0.0) * 0.002
    fee = load_ruleset("generic-linear", value.as_of).taker_fee * dollars
    assert action.fee == pytest.approx(lost + fee)
    assert action.received == pytest.approx(dollars - action.fee)
    assert "Swap" in plan_of(after, "swap").sentence
    assert after.plans[0].levels_after.equity > after.levels_before.equity


def wrong_way(b: Any) -> Any:
    """Return P that also counts what coins lose when the price falls."""
    from scipy.special import ndtr

    from models.margin.levels import margin_levels

    p = np.zeros((len(b), 4))
    low = margin_levels(b, PRICES * np.array([0.9, 0.9, 0.9])).gap_call
    now = margin_levels(b, PRICES).gap_call
    for j, sigma in enumerate((0.006, 0.012, 0.03, 0.052)):
        p[:, j] = np.minimum(2 * ndtr(-now / np.maximum((now - low) / 0.1 * sigma, 1e-9)), 1.0)
    return np.where(now[:, None] <= 0, 1.0, p)


def test_what_is_bought_is_what_is_sold_less_fee_and_slippage() -> None:
    value = account([position()], cash=100.0, collateral=[("ETH", 2.0)])
    rule = Swap(name="s", sell=("ETH",), buy="BTC", fee_rate=0.001, impact=((0.0, 0.01),), step=0.3)
    move = swap_move("ETH", weights(value), 2.0, rule, 0.5, repays=False)
    assert move.limit == pytest.approx(1.8)
    after = apply_move(value, move, 1.5)
    assert held(after, "ETH") == pytest.approx(0.5)
    assert held(after, "BTC") * 50_000.0 == pytest.approx(1.5 * 3_000.0 * (1 - 0.011))
    assert held(after, "USDT") == 100.0


@pytest.mark.parametrize(("symbol", "entry", "mean"), [
    (FUTURE, 40_000.0, (0.5 * 40_000 + 0.25 * 50_000) / 0.75),
    ("BTC/USD:BTC", 40_000.0, 750.0 / (500.0 / 40_000 + 250.0 / 50_000)),
])  # fmt: skip
def test_a_hedge_that_joins_a_position_keeps_the_profit_of_both(symbol: str, entry: float, mean: float) -> None:
    size = 0.5 if symbol == FUTURE else 500.0
    value = account([position(symbol, -size, entry)], ruleset="binance-pm")
    move = hedge_move(weights(value), 1e9, Hedge(name="h", symbol=symbol, fee_rate=0.0), 0.0)
    after = apply_move(value, move, size / 2)
    assert len(after.positions) == 1
    assert after.positions[0].quantity == pytest.approx(-1.5 * size)
    assert after.positions[0].entry_price == pytest.approx(mean)


def test_the_fee_of_a_coin_margined_hedge_is_paid_in_coins() -> None:
    value = NAMED["deribit-standard"]
    own = weights(value, dict(zip(MIXED, MIXED_PRICES.tolist(), strict=True)))
    move = hedge_move(own, -0.5, Hedge(name="h", symbol="BTC/USD:BTC", fee_rate=0.001), 0.0)
    assert move.limit == pytest.approx(0.5 * 84_000.0)
    after = apply_move(value, move, 42_000.0)
    assert after.positions[-1].quantity == 42_000.0
    assert held(after, "BTC") == pytest.approx(0.33 - 0.0005)


def test_exposure_is_by_the_engine_and_leaves_isolated_positions_out() -> None:
    legs = [position(quantity=0.5), position(quantity=2.0, margin_mode="isolated", isolated_margin=9_000.0)]
    value = account(legs, collateral=[("BTC", 0.1)])
    evaluate = Evaluator(ASSETS, PRICES[None, :], PREDICT)
    rules = policy_from_mapping({"hedges": [{"name": "h", "symbol": FUTURE}]})
    (found,) = exposures([value], np.array([0]), rules, evaluate)
    haircut = float(load_ruleset("generic-linear", value.as_of).haircut("BTC").rate[0])
    assert found["BTC"] == pytest.approx(50_000.0 * (0.5 + 0.1 * haircut), rel=1e-6)


@pytest.mark.parametrize("name", ["deribit-pm", "derive-srm", "binance-pm", "deribit-standard"])
def test_books_of_options_are_hedged_by_their_delta(name: str) -> None:
    value = NAMED[name]
    symbol = {"derive-srm": "BTC/USDC:USDC", "binance-pm": "ETH/USDT:USDT"}.get(name, "BTC/USD:BTC-250627")
    rules = policy_from_mapping({"hedges": [{"name": "h", "symbol": symbol}], "reduce": False})
    found, failures = recommend([value], MIXED, MIXED_PRICES, gap_predict(), TARGET, rules, MARKET)
    assert failures == []
    hedges = [p.actions[0] for p in found[0].plans if p.actions[0].kind == "hedge"]
    missed = [u for u in found[0].unreachable if u.kind == "hedge"]
    assert len(hedges) + len(missed) == 1
    if name == "binance-pm":  # short of the symbol itself and of nothing else
        assert "the other side" in missed[0].sentence
    elif missed:
        assert missed[0].lowest_p <= found[0].p_before[2]


@pytest.mark.parametrize(("value", "more", "words"), [
    (NAMED["csa"], {"hedges": [{"name": "h", "symbol": "BTC/USDT:USDT"}]}, "traded with its other party"),
    (NAMED["binance-usdm"], {"hedges": [{"name": "h", "symbol": "BTC/USDT:USDT"}]}, "the other side"),
    (NAMED["binance-usdm"], {"hedges": [{"name": "h", "symbol": "BTC/USDC:USDC", "min_trade": 2}]}, "less than h may"),
    (NAMED["dydx-v4"], {"swaps": [{"name": "s", "sell": ["USDC"], "buy": "ETH"}]}, "does not accept ETH"),
    (NAMED["binance-pm"], {"swaps": [{"name": "s", "sell": ["BTC"], "buy": "SOL"}]}, "no price for SOL"),
    (NAMED["binance-pm"], {
        "swaps": [{"name": "s", "sell": ["BTC"], "buy": "USDT"}],
        "eligibility": {"binance-pm": {"assets": {"BTC": {}}}},
    }, "does not list USDT"),
    (NAMED["binance-pm"], {
        "swaps": [{"name": "s", "sell": ["BTC"], "buy": "USDT"}],
        "eligibility": {"binance-pm": {"assets": {"USDT": {"most_share": 0.5}}}},
    }, "share of USDT"),
    (NAMED["binance-pm"], {
        "swaps": [{"name": "s", "sell": ["BTC"], "buy": "USDT", "min_trade": 1}],
    }, "less BTC than s"),
])  # fmt: skip
def test_what_cannot_be_traded_is_refused_with_the_reason(value: Account, more: dict[str, Any], words: str) -> None:
    rules = policy_from_mapping({"reduce": False, **more})
    found, failures = recommend([value], MIXED, MIXED_PRICES, gap_predict(), TARGET, rules, MARKET)
    assert failures == []
    assert any(words in item.sentence for item in found[0].unreachable), found[0].unreachable


def test_a_loan_is_repaid_from_its_collateral() -> None:
    rules = policy_from_mapping({"swaps": [{"name": "s", "sell": ["BTC"], "buy": "USDC"}]})
    found, _ = recommend([NAMED["stable debt"]], MIXED, MIXED_PRICES, gap_predict(), TARGET, rules, MARKET)
    action = plan_of(found[0], "swap").actions[0]
    assert action.received is not None
    assert action.received < 50_000.0  # not more than is owed
    own = weights(NAMED["stable debt"], dict(zip(MIXED, MIXED_PRICES.tolist(), strict=True)))
    after = apply_move(
        own.account, swap_move("BTC", own, 1.0, rules.swaps[0], own.rules.taker_fee, True), action.amount
    )
    assert held(after, "USDC", "owed") == pytest.approx(50_000.0 - action.received)
    assert held(after, "USDC", "supplied") == 0.0


def test_a_trade_that_a_scenario_of_the_policy_punishes_is_not_given() -> None:
    coins_hedge_the_short = account(
        [position(quantity=-1.0, entry_price=34_700.0)], cash=0.0, collateral=[("BTC", 0.4)]
    )
    mild, hard = (found_for(coins_hedge_the_short, policy(limits={"stress": [factor]})) for factor in (1.02, 1.085))
    assert "swap" in {p.actions[0].kind for p in mild.plans}  # this predictor does not see what coins do
    assert "swap" not in {p.actions[0].kind for p in hard.plans}
    assert "would be called in a price scenario" in next(u for u in hard.unreachable if u.kind == "swap").sentence


def test_an_isolated_position_is_not_hedged_from_the_cross_wallet() -> None:
    """By the engine: an opposite position beside it leaves its liquidation, and P, where they were."""
    alone = position(quantity=1.0, margin_mode="isolated", isolated_margin=2_000.0)
    value = account([alone], cash=5_000.0)
    found = found_for(value, policy())
    assert found.status in ("act", "cannot_reach")
    assert all(plan.actions[0].kind != "hedge" for plan in found.plans)
    (missed,) = [item for item in found.unreachable if item.kind == "hedge"]
    assert missed.sentence.startswith("BTC/USDT:USDT of a is liquidated on its own margin")
    hedged = account([alone, position(FUTURE, -0.3)], cash=5_000.0)
    assert PREDICT(book(hedged))[0, 2] >= PREDICT(book(value))[0, 2]


def test_beside_an_isolated_position_the_cross_wallet_is_hedged_for_itself() -> None:
    legs = [
        position(quantity=1.0),
        position("ETH/USDT:USDT", 1.0, 3_000.0, margin_mode="isolated", isolated_margin=3e3),
    ]
    found = found_for(account(legs, cash=2_300.0), policy())
    action = plan_of(found, "hedge").actions[0]
    assert action.quantity is not None
    assert -1.0 <= action.quantity < 0.0


def test_nothing_is_traded_without_a_rule() -> None:
    found = found_for(account([position()], cash=2_000.0, collateral=[("BTC", 0.01)]), Policy())
    kinds = {p.actions[0].kind for p in found.plans} | {u.kind for u in found.unreachable}
    assert not kinds & {"swap", "hedge"}
