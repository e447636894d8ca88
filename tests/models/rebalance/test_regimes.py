"""Plans for accounts of every margin regime, confirmed by the engine and by the published rule of each."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from models.account import Account, Collateral, Position
from models.book import Book
from models.errors import InputError
from models.margin.csa import PostedCollateral, credit_support, round_amount
from models.margin.lending import health_factor_of_totals
from models.margin.levels import STATES, MarginLevels, margin_levels
from models.margin.valuation import Volatility, valued
from models.options.black76 import price as black76
from models.rebalance import AssetRule, Plan, Policy, Recommendation, Target, recommend
from models.typing import FloatArray
from tests.models.rebalance.regimes import (
    ACCOUNTS,
    ASSETS,
    CALL,
    LEVELS,
    MARKET,
    NAMED,
    PRICES,
    PUT,
    TERMS,
    gap_predict,
    of,
)

TARGET = Target(0.01, 1440)
PREDICT = gap_predict()
BTC, ETH = PRICES.tolist()


def _book(*accounts: Account) -> Book:
    book, failures = Book.from_accounts(accounts, ASSETS)
    assert failures == []
    return valued(book, PRICES, MARKET)


def _levels(account: Account) -> MarginLevels:
    return margin_levels(_book(account), PRICES)


def _p(account: Account) -> FloatArray:
    return PREDICT(_book(account))[0]


def _one(
    account: Account, policy: Policy | None = None, target: Target = TARGET, predict: Any = None
) -> Recommendation:
    found, failures = recommend([account], ASSETS, PRICES, predict or PREDICT, target, policy, MARKET)
    assert failures == []
    return found[0]


def _plans(found: Recommendation, kind: str) -> dict[str, Plan]:
    """Plans of a kind by asset, or by symbol where there is one."""
    actions = [(plan.actions[0], plan) for plan in found.plans]
    return {action.symbol or action.asset: plan for action, plan in actions if action.kind == kind}


def _moved(account: Account, asset: str, amount: float) -> Account:
    """The account with more (or less) of an asset."""
    kept = tuple(item for item in account.collateral if item.asset != asset)
    before = sum(item.quantity for item in account.collateral if item.asset == asset)
    return msgspec.structs.replace(account, collateral=(*kept, Collateral(asset=asset, quantity=before + amount)))


def _called(account: Account) -> Account:
    """The account with so little of its first balance that it is in a call."""
    while _levels(account).state[0] < STATES.index("call"):
        first = account.collateral[0]
        less = msgspec.structs.replace(first, quantity=first.quantity * 0.98 - 1e-4 * abs(first.quantity))
        account = msgspec.structs.replace(account, collateral=(less, *account.collateral[1:]))
    return account


@pytest.mark.parametrize("called", [False, True])
@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda a: a.account_id)
def test_each_regime_gets_plans_that_the_engine_confirms(account: Account, called: bool) -> None:
    value = _called(account) if called else account
    found = _one(value)
    before, p_before = _levels(value), np.where(_levels(value).gap_call[:, None] < 0, 1.0, _p(value))[0]
    assert found.status == "act"
    assert found.currency == value.currency
    assert found.levels_before.equity == pytest.approx(before.equity[0])
    assert {plan.actions[0].kind for plan in found.plans} & {"top_up", "repay"}
    for plan in found.plans:
        action, after = plan.actions[0], plan.levels_after
        assert plan.p_after[TARGET.column] <= TARGET.probability
        assert all(a <= b + 1e-12 for a, b in zip(plan.p_after, p_before, strict=True))
        assert STATES.index(after.state) < STATES.index("call")
        assert STATES.index(after.state) <= before.state[0]
        assert action.amount > 0
        if action.kind in ("top_up", "repay"):
            again = _moved(value, action.asset, action.amount)
            assert after.equity == pytest.approx(_levels(again).equity[0], rel=1e-12)
            assert after.maintenance == pytest.approx(_levels(again).maintenance[0], rel=1e-12)
            assert plan.p_after == pytest.approx(_p(again).tolist(), abs=1e-12)


@pytest.mark.parametrize("account", [a for a in ACCOUNTS if a.positions and a.csa is None], ids=lambda a: a.account_id)
def test_closing_a_position_costs_its_fee_and_nothing_else(account: Account) -> None:
    """What is realised was in equity already; only standard margin counts no premium and books it when it is paid."""
    found = _one(_called(account), Policy(taker_fee=0.0004), Target(0.4, 60))
    for plan in found.plans:
        action = plan.actions[0]
        if action.kind != "reduce":
            continue
        premium = action.proceeds + action.fee if account.ruleset == "deribit-standard" else 0.0
        change = plan.levels_after.equity - plan.levels_before.equity
        assert change == pytest.approx(premium - action.fee, abs=2e-9 * action.value + 1e-9)
        assert action.fee > 0
        assert plan.cost == action.fee


def _support(account: Account, btc: float = BTC) -> Any:
    (trade,) = account.positions
    value = {"USD": 1.0, "BTC": BTC}
    posted = [PostedCollateral(asset=c.asset, market_value=c.quantity * value[c.asset]) for c in account.collateral]
    return credit_support(-trade.quantity * (btc - trade.entry_price), TERMS, posted)


def _safe_unless_called(book: Book) -> FloatArray:
    return np.zeros((len(book), 4))


def test_a_delivery_under_an_agreement_is_its_rounded_amount() -> None:
    account = NAMED["csa"]
    outcome = _support(account)
    assert (outcome.action, outcome.amount) == ("CALL", 70_000.0)
    odd = of("csa", "USD", {"USD": 143_210.0}, [("BTC/USDT:USDT", 20.0, 100_000.0)], csa=TERMS)
    due = _support(odd)
    assert due.shortfall == pytest.approx(76_790.0)
    for value, amount in ((account, 70_000.0), (odd, 80_000.0)):
        plans = _plans(_one(value, predict=_safe_unless_called), "top_up")
        assert plans["USD"].actions[0].amount == amount == _support(value).amount
        delivered = plans["BTC"].actions[0]
        assert delivered.amount * BTC * 0.8 == pytest.approx(amount)  # 85% less 5%
        assert delivered.haircut == pytest.approx(delivered.value * 0.2)
        assert plans["USD"].sentence.startswith(f"Deliver {amount:,.0f} USD: ")


def test_more_than_is_due_is_delivered_in_whole_increments() -> None:
    account = NAMED["csa"]
    for plan in _plans(_one(account), "top_up").values():
        action = plan.actions[0]
        counted = action.value - action.haircut
        assert counted > _support(account).amount
        assert counted == pytest.approx(round_amount(counted, 10_000.0, "nearest"))


def test_a_delivery_before_any_is_due_is_at_least_the_minimum_transfer_amount() -> None:
    near = of("csa", "USD", {"USD": 175_000.0}, [("BTC/USDT:USDT", 20.0, 100_000.0)], csa=TERMS)
    assert _support(near).action == "NO_ACTION"
    plan = _plans(_one(near, target=Target(0.2, 60)), "top_up")["USD"]
    assert plan.actions[0].amount == 50_000.0


def test_an_unlisted_asset_is_refused_in_the_name_of_the_agreement() -> None:
    found = _one(NAMED["csa"], Policy(eligible_assets=("ETH",), reduce=False))
    assert [u.sentence for u in found.unreachable] == ["The agreement does not accept ETH as collateral."]


def test_unwinding_is_settled_between_the_parties_and_not_from_collateral() -> None:
    account = NAMED["csa"]
    plan = _plans(_one(account), "reduce")["BTC/USDT:USDT"]
    action = plan.actions[0]
    assert action.proceeds == pytest.approx(-action.amount * 16_000.0)
    assert plan.levels_after.equity == pytest.approx(150_000.0 - (20.0 - action.amount) * 16_000.0)
    assert plan.sentence.startswith("Unwind BTC/USDT:USDT by ")
    assert "paying " in plan.sentence


@pytest.mark.parametrize(("posted", "due"), [(400_000.0, 180_000.0), (247_000.0, 25_000.0), (244_000.0, 0.0)])
def test_a_return_is_what_is_due_rounded_down(posted: float, due: float) -> None:
    account = of("csa", "USD", {"USD": posted}, [("BTC/USDT:USDT", 20.0, 100_000.0)], csa=TERMS)
    outcome = _support(account)
    assert (outcome.action, outcome.amount) == (("RETURN", due) if due else ("NO_ACTION", 0.0))
    found = _one(account, predict=_safe_unless_called)
    amounts = [plan.actions[0].amount for plan in found.plans]
    assert amounts == ([due] if due else [])
    assert found.status == ("release" if due else "ok")


def test_a_return_that_would_raise_p_is_smaller_and_on_the_grid() -> None:
    account = of("csa", "USD", {"USD": 400_000.0}, [("BTC/USDT:USDT", 20.0, 100_000.0)], csa=TERMS)
    (plan,) = _one(account).plans
    amount = plan.actions[0].amount
    assert 25_000.0 <= amount < 180_000.0
    assert amount % 5_000.0 == 0.0
    more = _moved(account, "USD", -amount - 5_000.0)
    assert _p(more)[TARGET.column] > TARGET.probability >= plan.p_after[TARGET.column]
    assert plan.sentence.startswith("Recall ")


def _when_healthy(factor: float) -> Any:
    """P is 0 where equity over debt, the health factor, reaches a factor."""

    def predict(book: Book) -> FloatArray:
        found = margin_levels(book, PRICES)
        return np.repeat(np.where(found.equity >= factor * found.maintenance, 0.0, 1.0)[:, None], 4, axis=1)

    return predict


@pytest.mark.parametrize(("name", "asset", "held", "owed", "threshold"), [
    ("stable debt", "USDC", BTC, 50_000.0, 7_500.0),
    ("coin debt", "BTC", 20.0 * ETH, 0.335 * BTC, 8_250.0),
])  # fmt: skip
def test_repaying_brings_the_health_factor_to_the_target(
    name: str, asset: str, held: float, owed: float, threshold: float
) -> None:
    found = _one(NAMED[name], predict=_when_healthy(1.5))
    action = _plans(found, "repay")[asset].actions[0]
    exact = owed - held * threshold / 10_000 / 1.5
    assert action.value == pytest.approx(exact, rel=1e-3)
    assert health_factor_of_totals(held, owed - action.value, threshold) == pytest.approx(1.5, rel=1e-4)
    assert health_factor_of_totals(held, owed - action.value, threshold) >= 1.5
    assert action.haircut == 0.0
    assert asset not in _plans(found, "top_up")


def test_collateral_of_a_loan_counts_at_its_threshold() -> None:
    found = _one(NAMED["stable debt"], predict=_when_healthy(1.5))
    action = _plans(found, "top_up")["BTC"].actions[0]
    assert 0.75 * (1.0 + action.amount) * BTC / 50_000.0 == pytest.approx(1.5, rel=1e-3)
    assert action.haircut == pytest.approx(0.25 * action.value)


def test_no_more_is_repaid_than_is_owed() -> None:
    loan = of("aave-v3", "USDC", {"BTC": 1.0, "USDC": -50_000.0, "ETH": -8.0})
    found = _one(loan, Policy(assets={"ETH": AssetRule(step=3.0)}), predict=_when_healthy(1.2))
    assert _plans(found, "repay")["ETH"].actions[0].amount <= 8.0
    missed = _one(loan, predict=_when_healthy(4.0))
    best = {u.asset: u.amount for u in missed.unreachable if u.kind == "repay"}
    assert best == {"USDC": 0.0, "ETH": 0.0}
    assert _plans(_one(NAMED["coin debt"], predict=_when_healthy(1e9)), "repay")["BTC"].actions[0].amount == 0.335


def test_what_a_unified_account_owes_is_repaid_once() -> None:
    found = _one(NAMED["binance-pm"])
    assert "USDT" in _plans(found, "repay")
    assert "USDT" not in _plans(found, "top_up")
    small = of("binance-pm", "USDT", {"BTC": 0.022, "USDT": -400.0}, [("ETH/USDT:USDT", -10.0, 2_200.0)])
    beyond = _one(small)
    assert "USDT" not in _plans(beyond, "repay")
    plan = _plans(beyond, "top_up")["USDT"]
    assert plan.actions[0].amount > 400.0
    assert plan.levels_after.equity - plan.levels_before.equity == pytest.approx(plan.actions[0].amount)


def test_a_loan_may_supply_and_owe_the_same_asset() -> None:
    loan = of("aave-v3", "USDC", {"BTC": 1.0})
    both = tuple(Collateral(asset="USDC", quantity=q) for q in (10_000.0, -55_000.0, -3_000.0))
    loan = msgspec.structs.replace(loan, collateral=loan.collateral + both)
    found = _one(loan, predict=_when_healthy(1.4))
    plan = _plans(found, "repay")["USDC"]
    assert plan.levels_after.equity == pytest.approx(plan.levels_before.equity)
    assert plan.levels_after.maintenance == pytest.approx(58_000.0 - plan.actions[0].amount)
    safe = _one(msgspec.structs.replace(loan, collateral=(*loan.collateral[:2], both[2])), predict=_when_healthy(1.4))
    assert _plans(safe, "release")["USDC"].actions[0].amount == 10_000.0
    assert _plans(safe, "release")["USDC"].actions[0].haircut == pytest.approx(2_200.0, rel=0.2)


@pytest.mark.parametrize("name", ["binance-coinm", "generic-inverse", "deribit-standard", "deribit-pm"])
def test_a_coin_account_is_topped_up_in_coin(name: str) -> None:
    plan = _plans(_one(NAMED[name]), "top_up")["BTC"]
    action = plan.actions[0]
    assert plan.levels_after.equity - plan.levels_before.equity == pytest.approx(action.amount)
    assert action.value == pytest.approx(action.amount)
    assert action.value_usd == pytest.approx(action.amount * BTC)
    assert action.amount < 1.0
    assert f" BTC ({action.value_usd:,.6g} dollars): P(call" in plan.sentence


def test_dollars_in_a_coin_account_are_worth_their_coins() -> None:
    found = _one(NAMED["deribit-standard"], Policy(eligible_assets=("USDC", "ETH"), reduce=False))
    plans = _plans(found, "top_up")
    assert plans["USDC"].actions[0].value == pytest.approx(plans["USDC"].actions[0].amount / BTC)
    assert plans["USDC"].actions[0].value_usd == pytest.approx(plans["USDC"].actions[0].amount)
    assert plans["ETH"].actions[0].value == pytest.approx(plans["ETH"].actions[0].amount * ETH / BTC)


def test_a_coin_margined_position_is_reduced_in_dollars_and_pays_coins() -> None:
    losing = of("binance-coinm", "BTC", {"BTC": 0.12}, [("BTC/USD:BTC", 100_000.0, 88_000.0)])
    plan = _plans(_one(losing, Policy(taker_fee=0.0)), "reduce")["BTC/USD:BTC"]
    action = plan.actions[0]
    assert action.asset == "USD"
    assert 1_000.0 < action.amount < 100_000.0
    assert action.value == pytest.approx(action.amount / BTC)
    assert action.proceeds == pytest.approx(action.amount * (1 / 88_000.0 - 1 / BTC))
    assert plan.levels_after.equity == pytest.approx(plan.levels_before.equity)
    assert plan.sentence.startswith("Reduce BTC/USD:BTC by ")
    assert " USD (of 100,000): " in plan.sentence


def test_the_lot_of_a_coin_margined_contract_is_in_dollars() -> None:
    policy = Policy(symbols={"BTC/USD:BTC": {"lot": 100.0}})  # type: ignore[dict-item]
    policy = msgspec.convert(msgspec.to_builtins(policy), Policy)
    action = _plans(_one(NAMED["binance-coinm"], policy), "reduce")["BTC/USD:BTC"].actions[0]
    assert action.amount % 100.0 == 0.0


def test_buying_options_back_pays_their_mark() -> None:
    account = NAMED["deribit-standard"]
    put = msgspec.structs.replace(account.positions[1], implied_volatility=0.8)
    account = msgspec.structs.replace(account, positions=(account.positions[0], put))
    plans = _plans(_one(_called(account), Policy(taker_fee=0.0)), "reduce")
    years = (27 * 24 - 4) / 8_760
    action = plans[PUT].actions[0]
    assert action.asset == "BTC"
    mark = float(black76(BTC, 70_000.0, 0.8, years, False)) / BTC
    assert action.value / action.amount == pytest.approx(mark)
    assert action.proceeds == pytest.approx(-action.amount * mark)
    assert plans[CALL].sentence.startswith("Buy back ")
    change = plans[PUT].levels_after.equity - plans[PUT].levels_before.equity
    assert change == pytest.approx(-action.amount * mark)


def test_selling_a_long_option_books_its_premium() -> None:
    long = msgspec.structs.replace(NAMED["deribit-standard"].positions[0], quantity=5.0, symbol=CALL[:-8] + "90000-C")
    account = NAMED["deribit-standard"]
    account = _called(msgspec.structs.replace(account, positions=(*account.positions, long)))
    plan = _plans(_one(account, Policy(taker_fee=0.0)), "reduce")[long.symbol]
    assert plan.sentence.startswith(f"Sell {plan.actions[0].amount:,.6g} BTC of {long.symbol} (of 5), receiving ")
    assert plan.actions[0].proceeds == pytest.approx(plan.levels_after.equity - plan.levels_before.equity)
    assert plan.actions[0].proceeds > 0


def test_taking_a_hedge_off_is_no_plan() -> None:
    found = _one(NAMED["deribit-pm"])
    assert "BTC/USD:BTC" not in _plans(found, "reduce")
    missed = next(u for u in found.unreachable if u.symbol == "BTC/USD:BTC")
    assert "does not lower P" in missed.sentence


def test_the_fee_of_an_option_is_capped_by_its_premium() -> None:
    cheap = of("deribit-standard", "BTC", {"BTC": 0.33}, [("BTC/USD:BTC-250307-140000-C", -4.0, 0.02)])
    found = _one(_called(cheap), Policy(taker_fee=0.0005))
    action = _plans(found, "reduce")["BTC/USD:BTC-250307-140000-C"].actions[0]
    assert action.fee == pytest.approx(0.125 * action.value)
    dear = _plans(_one(_called(NAMED["deribit-standard"]), Policy(taker_fee=0.0005)), "reduce")[PUT].actions[0]
    assert dear.fee == pytest.approx(0.0005 * dear.amount)


def test_what_a_coin_balance_lacks_is_paid_in_account_currency() -> None:
    """A loss in coin of an account that holds dollars and may not owe coin: no plan is lost to a refused balance."""
    legs = [("BTC/USD:BTC", 100_000.0, 88_000.0), ("BTC/USD:USD-250328-100000-C", -1.0, 500.0)]
    account = _called(of("deribit-pm", "USDC", {"USDC": 15_000.0}, legs))
    plan = _plans(_one(account, Policy(taker_fee=0.0)), "reduce")["BTC/USD:BTC"]
    assert plan.actions[0].proceeds < 0
    assert plan.levels_after.equity == pytest.approx(plan.levels_before.equity)


def test_an_isolated_coin_margined_position_gets_coin() -> None:
    leg = Position(
        symbol="BTC/USD:BTC", quantity=1e5, entry_price=84_000.0, margin_mode="isolated", isolated_margin=0.04
    )
    found = _one(msgspec.structs.replace(NAMED["binance-coinm"], positions=(leg,)), Policy(taker_fee=0.0))
    plan = _plans(found, "add_margin")["BTC/USD:BTC"]
    assert plan.actions[0].asset == "BTC"
    assert plan.levels_after.equity - plan.levels_before.equity == pytest.approx(plan.actions[0].amount)
    closing = _plans(found, "reduce")["BTC/USD:BTC"]
    assert closing.actions[0].proceeds == pytest.approx(0.04)
    assert closing.levels_after.equity == pytest.approx(closing.levels_before.equity)


def test_options_without_any_volatility_are_failures_that_say_so() -> None:
    found, failures = recommend(ACCOUNTS, ASSETS, PRICES, PREDICT, TARGET)
    bad = {f.account_id: f.message for f in failures}
    assert "expected a margin rate for every asset" in bad.pop("fhs-margin")
    assert set(bad) == {"deribit-standard", "derive-srm", "deribit-pm", "us-regt"}
    assert all("expected an implied volatility for every option" in message for message in bad.values())
    assert len(found) == len(ACCOUNTS) - len(bad) - 1


def test_volatility_of_the_positions_themselves_is_enough() -> None:
    account = NAMED["deribit-standard"]
    legs = tuple(msgspec.structs.replace(p, implied_volatility=0.6) for p in account.positions)
    found, failures = recommend([msgspec.structs.replace(account, positions=legs)], ASSETS, PRICES, PREDICT, TARGET)
    assert failures == []
    assert found[0].plans


def test_each_account_is_valued_at_its_own_prices_and_volatilities() -> None:
    account = NAMED["deribit-standard"]
    prices = np.array([PRICES, [88_000.0, 2_200.0]])
    levels = Volatility(np.array([LEVELS, [0.9, 0.9]]))

    def nothing(book: Book) -> FloatArray:
        return np.zeros((len(book), 4))

    both, _ = recommend([account, account], ASSETS, prices, nothing, TARGET, None, levels)
    for i in (0, 1):
        market = Volatility(levels.level[i])
        alone, _ = recommend([account], ASSETS, prices[i], nothing, TARGET, None, market)
        assert both[i].levels_before == alone[0].levels_before
    assert both[0].levels_before.maintenance < both[1].levels_before.maintenance


def test_volatility_of_another_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"volatility: expected shape \(2,\) or \(1, 2\)"):
        recommend(ACCOUNTS[:1], ASSETS, PRICES, PREDICT, TARGET, None, np.ones(3))


def test_the_predictor_is_handed_books_with_their_sheets() -> None:
    seen = []

    def predict(book: Book) -> FloatArray:
        seen.append(len(book.arrays.sheet_asset) > 0)
        return np.zeros((len(book), 4))

    recommend([NAMED["deribit-standard"]], ASSETS, PRICES, predict, TARGET, None, LEVELS)
    assert seen
    assert all(seen)
