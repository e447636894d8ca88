"""A book says of an account what the regime's own module says of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.account import Account, Collateral, Position
from models.book import Book
from models.instrument import parse_symbol
from models.margin.bands import BINANCE_PM
from models.margin.csa import CsaTerms, PartyTerms, PostedCollateral, credit_support
from models.margin.inverse import coin_initial, coin_maintenance
from models.margin.lending import average_threshold, health_factor_of_totals
from models.margin.levels import STATES, MarginLevels, margin_levels
from models.margin.requirement import inverse_pnl
from models.margin.rulesets import load_ruleset
from models.margin.unified import BinancePortfolio, UnifiedMargin, binance_margin
from models.margin.unified_bybit import BybitAccount, bybit_margin
from models.margin.venues import drift, dydx, mango_health, synthetix, synthetix_account, vega
from models.margin.venues.parameters import load_parameters
from models.rebalance.quotes import Quotes
from models.rebalance.weights import Weights
from models.typing import FloatArray
from tests.models.builders import AS_OF
from tests.models.regime_rules import standing, volatilities
from tests.models.regimes import ASSETS, LEVEL, PRICE, accounts_of, levels_of

few = settings(max_examples=6)
seeded = given(seed=st.integers(0, 2**32 - 1), move=st.floats(-0.6, 0.6))


def make(name: str, currency: str, collateral: dict[str, float], positions: Sequence[Position] = ()) -> Account:
    balances = tuple(Collateral(asset=a, quantity=q) for a, q in collateral.items())
    return Account(
        account_id="a", as_of=AS_OF, ruleset=name, currency=currency, collateral=balances, positions=tuple(positions)
    )


def hold(symbol: str, quantity: float, entry: float, **more: float) -> Position:
    return Position(symbol=symbol, quantity=quantity, entry_price=entry, **more)  # type: ignore[arg-type]


def cross_only(accounts: Sequence[Account]) -> list[Account]:
    """The same accounts with all positions in the cross wallet."""
    return [
        msgspec.structs.replace(
            a,
            positions=tuple(msgspec.structs.replace(p, margin_mode="cross", isolated_margin=None) for p in a.positions),
        )
        for a in accounts
    ]


def balance(account: Account, asset: str) -> float:
    return sum(c.quantity for c in account.collateral if c.asset == asset)


def at(move: float) -> FloatArray:
    return np.asarray(PRICE * np.exp([move, 0.7 * move]))


def row(levels: MarginLevels, i: int = 0) -> dict[str, float]:
    return {f: float(getattr(levels, f)[i]) for f in MarginLevels.__dataclass_fields__}


# inverse


@few
@seeded
@pytest.mark.parametrize("name", ["binance-coinm", "generic-inverse"])
def test_coin_margined_accounts_are_coin_arithmetic(name: str, seed: int, move: float) -> None:
    price, rules = at(move), load_ruleset(name, AS_OF)
    accounts = [
        msgspec.structs.replace(
            a,
            positions=tuple(p for p in a.positions if p.symbol.startswith("BTC")),
            collateral=tuple(c for c in a.collateral if c.asset == "BTC"),
        )
        for a in cross_only(accounts_of(name, seed))
    ]
    found = levels_of(accounts, price)
    for i, a in enumerate(accounts):
        p = price[0]
        equity = balance(a, "BTC") + sum(float(inverse_pnl(x.quantity, x.entry_price, p)) for x in a.positions)
        need = sum(float(coin_maintenance(x.quantity, p, rules.tier(x.symbol))) for x in a.positions)
        initial = 0.0
        for x in a.positions:
            most = np.fmax.reduce(rules.tier(x.symbol).max_leverage)
            initial += float(coin_initial(x.quantity, p, min(x.leverage or rules.default_leverage, most)))
        assert found.equity[i] == pytest.approx(equity, rel=1e-9, abs=1e-12)
        assert found.maintenance[i] == pytest.approx(need, rel=1e-9, abs=1e-12)
        assert found.call[i] == pytest.approx(need / rules.call_ratio, rel=1e-9, abs=1e-12)
        assert found.initial[i] == pytest.approx(max(initial, need / rules.call_ratio), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("coins", [5.0, 10.0, 20.0, 50.0, 1500.0])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_coin_tiers_change_at_the_price_that_makes_the_position_so_many_coins(coins: float, side: float) -> None:
    tiers = load_ruleset("binance-coinm", AS_OF).tier("BTC/USD:BTC")
    contracts = 2_000_000.0
    account = make("binance-coinm", "BTC", {"BTC": 10.0}, [hold("BTC/USD:BTC", side * contracts, 80_000.0)])
    for price in contracts / coins * np.array([1 - 1e-9, 1.0, 1 + 1e-9, 1.01, 0.99]):
        found = levels_of([account], np.array([price, 2_000.0]))
        assert found.maintenance[0] == pytest.approx(float(coin_maintenance(contracts, price, tiers)), rel=1e-9)


# unified accounts


def wallet(account: Account, assets: Sequence[str], sign: float) -> FloatArray:
    """What is held (1) or owed (-1) of each asset."""
    return np.array([sum(max(sign * c.quantity, 0.0) for c in account.collateral if c.asset == a) for a in assets])


def binance_portfolio(account: Account, price: FloatArray) -> UnifiedMargin:
    """Wallets of Binance portfolio margin: margin assets and loans, the profit and maintenance of futures."""
    assets, rules = ("USDT", *ASSETS), load_ruleset("binance-pm", AS_OF)
    linear, coin = load_ruleset("binance-usdm", AS_OF), load_ruleset("binance-coinm", AS_OF)
    pnl, need = np.zeros(3), np.zeros(3)
    for x in account.positions:
        instrument = parse_symbol(x.symbol)
        k = assets.index(instrument.settle)
        at_price = price[ASSETS.index(instrument.base)]
        if instrument.linear:
            pnl[k] += x.quantity * (at_price - x.entry_price)
            need[k] += float(linear.tier(x.symbol)(abs(x.quantity) * at_price))
        else:
            pnl[k] += float(inverse_pnl(x.quantity, x.entry_price, at_price))
            need[k] += float(coin_maintenance(x.quantity, at_price, coin.tier(x.symbol)))
    return binance_margin(
        BinancePortfolio(
            margin_asset=wallet(account, assets, 1.0),
            margin_loan=wallet(account, assets, -1.0),
            futures_asset=np.zeros(3),
            futures_pnl=pnl,
            futures_maintenance=need,
            index_price=np.array([1.0, *price]),
            collateral_rate=np.array([float(rules.haircut(a).rate[0]) for a in assets]),
            open_loss=np.zeros(3),
            loan_leverage=10,
        )
    )


@few
@seeded
def test_binance_portfolio_margin_is_the_unimmr(seed: int, move: float) -> None:
    price = at(move)
    accounts = cross_only(accounts_of("binance-pm", seed))
    found = levels_of(accounts, price)
    for i, a in enumerate(accounts):
        expected = binance_portfolio(a, price)
        size = 1e-9 * float(wallet(a, ("USDT", *ASSETS), 1.0) @ np.array([1.0, *price]) + expected.maintenance)
        assert found.equity[i] == pytest.approx(float(expected.equity), rel=1e-9, abs=size)
        assert found.maintenance[i] == pytest.approx(1.05 * float(expected.maintenance), rel=1e-9, abs=size)
        assert found.call[i] == pytest.approx(1.5 * float(expected.maintenance), rel=1e-9, abs=size)


@pytest.mark.parametrize(
    ("ratio", "state"),
    [(1.0501, "call"), (1.0499, "liquidation"), (1.4999, "call"), (1.5001, "below_initial"), (50.0, "release")],
)
def test_the_bands_of_the_unimmr(ratio: float, state: str) -> None:
    """Reminder below 1.5, liquidation below 1.05; in between the venue calls and then allows reductions only."""
    position = hold("BTC/USDT:USDT", 1.0, float(PRICE[0]))
    need = float(load_ruleset("binance-usdm", AS_OF).tier("BTC/USDT:USDT")(PRICE[0]))
    account = make("binance-pm", "USDT", {"USDT": ratio * need}, [position])
    assert levels_of([account]).state_names() == [state]
    venue = BINANCE_PM.names(np.array([ratio]))[0]
    assert (venue == "normal") == (state in ("release", "ok", "below_initial"))


def test_the_profit_of_coin_contracts_counts_at_the_ratio_of_the_coin() -> None:
    """A short of all coins at twice the price: 10 coins became 20, and 20 coins count for 95%."""
    short = hold("BTC/USD:BTC", -840_000.0, 84_000.0)
    account = make("binance-pm", "USDT", {"BTC": 10.0}, [short])
    found = levels_of([account], np.array([42_000.0, 2_000.0]))
    assert found.equity[0] == pytest.approx(0.95 * 20.0 * 42_000.0)
    assert levels_of([account]).equity[0] == pytest.approx(0.95 * 10.0 * 84_000.0)


def test_a_balance_and_a_debt_of_one_coin_are_netted() -> None:
    account = make("binance-pm", "USDT", {"USDT": 1e4})
    both = (*account.collateral, Collateral(asset="BTC", quantity=1.0), Collateral(asset="BTC", quantity=-0.4))
    found = levels_of([msgspec.structs.replace(account, collateral=both)])
    assert found.equity[0] == pytest.approx(1e4 + 0.95 * 0.6 * PRICE[0])
    assert found.maintenance[0] == pytest.approx(1.05 * 0.05 * 0.4 * PRICE[0])


@few
@seeded
def test_bybit_unified_accounts_are_the_maintenance_rate(seed: int, move: float) -> None:
    price, rules = at(move), load_ruleset("bybit-uta", AS_OF)
    assets = ("USDT", *ASSETS)
    for a in cross_only(accounts_of("bybit-uta", seed, 6)):
        found = levels_of([a], price)
        wallet, pnl, need = np.zeros(3), np.zeros(3), 0.0
        for c in a.collateral:
            wallet[assets.index(c.asset)] += c.quantity
            unit = 1.0 if c.asset == "USDT" else price[ASSETS.index(c.asset)]
            need += rules.loan_rate * max(-c.quantity, 0.0) * unit
        for x in a.positions:
            instrument = parse_symbol(x.symbol)
            p = price[ASSETS.index(instrument.base)]
            venue = load_ruleset("bybit-linear" if instrument.linear else "generic-inverse", AS_OF)
            if instrument.linear:
                pnl[0] += x.quantity * (p - x.entry_price)
                need += float(venue.tier(x.symbol)(abs(x.quantity) * p))
            else:
                pnl[assets.index(instrument.base)] += float(inverse_pnl(x.quantity, x.entry_price, p))
                need += float(coin_maintenance(x.quantity, p, venue.tier(x.symbol))) * p
        zero = np.zeros(3)
        ratio = np.array([float(rules.haircut(c).rate[0]) for c in assets])
        expected = bybit_margin(BybitAccount(wallet, pnl, zero, zero, np.array([1.0, *price]), ratio, need, need))
        size = 1e-9 * (abs(float(found.equity[0])) + need)
        assert found.maintenance[0] == pytest.approx(need, rel=1e-9, abs=size)
        if found.equity[0] > 0.0:
            assert found.maintenance[0] / found.equity[0] == pytest.approx(float(expected.maintenance_rate), rel=1e-9)


# loans


@few
@seeded
def test_loans_are_the_health_factor(seed: int, move: float) -> None:
    price, rules = at(move), load_ruleset("aave-v3", AS_OF)
    accounts = accounts_of("aave-v3", seed)
    found = levels_of(accounts, price)
    worth = {"USDC": 1.0, "BTC": float(price[0]), "ETH": float(price[1])}
    for i, a in enumerate(accounts):
        held = [(c.quantity * worth[c.asset], float(rules.haircut(c.asset).rate[0])) for c in a.collateral]
        assets = [(v, r) for v, r in held if v > 0.0]
        debt = -sum(v for v, _ in held if v < 0.0)
        values = [v for v, _ in assets]
        threshold = average_threshold(values, [r for _, r in assets])
        health = health_factor_of_totals(sum(values), debt, 1e4 * threshold)
        assert found.equity[i] / found.maintenance[i] == pytest.approx(health, rel=1e-9)
        assert (found.state[i] == STATES.index("liquidation")) == (health < 1.0)
        assert (found.call_amount[i] > 0.0) == (health < 1.25)
        if health < 1.25:
            healed = (found.equity[i] + found.call_amount[i]) / debt
            assert healed == pytest.approx(rules.initial_factor, rel=1e-9)


# credit support annexes


@few
@seeded
def test_an_annex_is_called_when_a_delivery_is_due(seed: int, move: float) -> None:
    price = at(move)
    accounts = accounts_of("csa", seed)
    found = levels_of(accounts, price)
    for i, a in enumerate(accounts):
        assert a.csa is not None
        value = sum(x.quantity * (price[ASSETS.index(x.symbol.split("/")[0])] - x.entry_price) for x in a.positions)
        unit = {"BTC": float(price[0]), "ETH": float(price[1])}
        posted = [
            PostedCollateral(asset=c.asset, market_value=c.quantity * unit.get(c.asset, 1.0)) for c in a.collateral
        ]
        due = credit_support(-value, a.csa, posted)
        assert (found.state[i] >= STATES.index("call")) == (due.action == "CALL")
        assert found.equity[i] == pytest.approx(due.effective_collateral + value, rel=1e-9, abs=1e-6)
        if due.action == "CALL":
            assert found.call_amount[i] == pytest.approx(due.amount, rel=1e-9, abs=1e-3)
        if due.credit_support_amount > 0.0:
            assert (found.state[i] == 0) == (due.action == "RETURN")


@pytest.mark.parametrize(("short_of", "called"), [(49_999.0, False), (50_000.0, True), (50_001.0, True)])
def test_a_delivery_is_due_when_it_reaches_the_minimum_transfer_amount(short_of: float, called: bool) -> None:
    terms = CsaTerms(party=PartyTerms(threshold=100_000.0, minimum_transfer_amount=50_000.0))
    trade = hold("BTC/USDT:USDT", 10.0, float(PRICE[0]) + 30_000.0)  # worth -300,000: 200,000 over the threshold
    account = msgspec.structs.replace(make("csa", "USD", {"USD": 200_000.0 - short_of}, [trade]), csa=terms)
    found = levels_of([account])
    assert (found.state_names()[0] == "call") is called
    assert found.call_amount[0] == pytest.approx(short_of if called else 0.0)


def test_cash_in_another_currency_bears_the_currency_haircut() -> None:
    terms = CsaTerms(fx_haircut=0.08)
    account = msgspec.structs.replace(make("csa", "USD", {"USD": 10.0, "EUR": 100.0, "BTC": 1.0}), csa=terms)
    matched = msgspec.structs.replace(account, csa=CsaTerms(fx_haircut=0.08, matched_currencies=("EUR",)))
    book, failures = Book.from_accounts([account, matched], ("BTC", "EUR"))
    assert failures == []
    price = np.array([84_000.0, 1.1])
    assert margin_levels(book, price).equity == pytest.approx([10.0 + 110.0 * 0.92 + 84_000.0, 10.0 + 110.0 + 84_000.0])
    weights = Weights(account, load_ruleset("csa", AS_OF), Quotes("USD", {"BTC": 84_000.0, "EUR": 1.1}, {}))
    assert weights.counted("EUR", 100.0) == pytest.approx(101.2)


def test_a_party_with_an_infinite_threshold_is_never_called() -> None:
    terms = CsaTerms(party=PartyTerms(threshold="infinite"))
    trade = hold("BTC/USDT:USDT", 1e6, float(PRICE[0]) * 2.0)
    account = msgspec.structs.replace(make("csa", "USD", {"USD": 1.0}, [trade]), csa=terms)
    found = levels_of([account])
    assert found.state_names() == ["ok"]
    assert found.call_amount[0] == 0.0


# venues with a formula of their own


@few
@seeded
def test_vega_is_its_integer_rule(seed: int, move: float) -> None:
    price, scale = at(move), 10**5  # USDT with five decimals, positions with four
    for a in accounts_of("vega", seed, 8):
        x = a.positions[0]
        one = msgspec.structs.replace(a, positions=(x,))
        found = levels_of([one], price)
        rule = load_parameters("vega", AS_OF).of(x.symbol)
        factors = vega.risk_factors(rule["risk_aversion"], rule["tau_years"], rule["sigma"], rule["mu"])
        market = vega.VegaMarket(
            risk_factor_long=factors[0],
            risk_factor_short=factors[1],
            linear_slippage=rule["linear_slippage"],
            quadratic_slippage=rule["quadratic_slippage"],
            search=rule["search"],
            initial=rule["initial"],
            release=rule["release"],
            position_factor=10**9,
        )
        mark = float(price[ASSETS.index(x.symbol.split("/")[0])])
        need = vega.maintenance_margin(market, mark * scale, round(x.quantity * 1e9))
        levels = vega.levels(market, need)
        rounding = 2e-5 + 1e-8 * abs(x.quantity) * mark
        assert found.maintenance[0] == pytest.approx(levels.maintenance / scale, abs=rounding)
        assert found.call[0] == pytest.approx(levels.search / scale, abs=2 * rounding)
        assert found.initial[0] == pytest.approx(levels.initial / scale, abs=2 * rounding)
        assert found.release[0] == pytest.approx(levels.release / scale, abs=3 * rounding)


@few
@seeded
def test_synthetix_is_its_account(seed: int, move: float) -> None:
    """Exact for one position; the least reward counts for each of several: an upper bound of a dollar each."""
    price = at(move)
    for a in accounts_of("synthetix-v3", seed, 8):
        found = levels_of([a], price)
        parameters = {x.symbol: load_parameters("synthetix", AS_OF).of(x.symbol) for x in a.positions}
        required, pnl = [], 0.0
        for x in a.positions:
            rule = parameters[x.symbol]
            fields = {k: rule[k] for k in synthetix.SynthetixMarket.__struct_fields__ if k in rule}
            p = float(price[ASSETS.index(x.symbol.split("/")[0])])
            required.append(synthetix.required_margins(synthetix.SynthetixMarket(**fields), x.quantity, p))
            pnl += x.quantity * (p - x.entry_price)
        bounds = parameters[a.positions[0].symbol]["minimum_reward"], math.inf
        expected = synthetix_account.margin_account(balance(a, "USDC"), pnl, required, *bounds)
        assert found.equity[0] == pytest.approx(expected.available, rel=1e-9, abs=1e-6)
        gap = found.maintenance[0] - (expected.maintenance + expected.reward)
        assert -1e-6 <= gap <= 1e-6 + bounds[0] * (len(a.positions) - 1)
        if expected.reward < parameters[a.positions[0].symbol]["maximum_reward"] and len(a.positions) == 1:
            assert (found.state_names()[0] == "liquidation") == expected.can_liquidate


@few
@seeded
def test_dydx_is_its_integer_rule(seed: int, move: float) -> None:
    price = at(move)
    for a in accounts_of("dydx-v4", seed, 8):
        found = levels_of([a], price)
        need = initial = 0
        for x in a.positions:
            rule = load_parameters("dydx", AS_OF).of(x.symbol)
            tier = dydx.LiquidityTier(int(rule["initial_margin_ppm"]), int(rule["maintenance_fraction_ppm"]))
            notional = round(abs(x.quantity) * float(price[ASSETS.index(x.symbol.split("/")[0])]) * 1e6)
            need += dydx.maintenance_margin(tier, notional)
            initial += dydx.initial_margin(tier, notional)
        assert found.maintenance[0] * 1e6 == pytest.approx(need, abs=2.0 * len(a.positions) + 1e-9 * need)
        assert found.initial[0] * 1e6 == pytest.approx(max(initial, 1.25 * need), abs=8.0 + 1e-9 * need)


@few
@seeded
def test_drift_is_its_integer_rule(seed: int, move: float) -> None:
    price = at(move)
    for a in accounts_of("drift-v2", seed, 8):
        found = levels_of([a], price)
        venue = load_parameters("drift", AS_OF)
        weighted, need = 0.0, 0.0
        for c in a.collateral:
            rule = venue.of(c.asset)
            p = 1.0 if c.asset == "USDC" else float(price[ASSETS.index(c.asset)])
            size, imf = round(c.quantity * drift.BASE), int(rule.get("imf_factor", 0))
            weight = drift.asset_weight(size, imf, int(rule["maintenance_asset_weight"]))
            weighted += round(c.quantity * p * drift.PRICE) * weight // drift.WEIGHT
        for x in a.positions:
            rule = venue.of(x.symbol)
            mark = round(float(price[ASSETS.index(x.symbol.split("/")[0])]) * drift.PRICE)
            base = round(x.quantity * drift.BASE)
            ratios = int(rule["margin_ratio_initial"]), int(rule["margin_ratio_maintenance"])
            ratio = drift.margin_ratio(base, int(rule["imf_factor"]), *ratios)
            need += drift.perpetual_margin(base, mark, ratio)
            weighted += drift.unrealized_pnl(base, -round(x.quantity * x.entry_price * drift.PRICE), mark)
        size = 1e-5 + 1e-9 * float(price.max()) * (len(a.positions) + len(a.collateral))
        assert found.equity[0] == pytest.approx(weighted / drift.PRICE, rel=1e-8, abs=size)
        assert found.maintenance[0] == pytest.approx(need / drift.PRICE, rel=1e-8, abs=size)


def test_drift_weighs_by_the_tables_of_the_day() -> None:
    """The second table of the venue holds from December 2024."""
    before, after = (load_ruleset("drift-v2", AS_OF.replace(year=2024, month=m)) for m in (11, 12))
    assert before.haircut("SOL", 1e4) != after.haircut("SOL", 1e4)


@few
@seeded
def test_mango_is_its_health(seed: int, move: float) -> None:
    price = at(move)
    for a in accounts_of("mango-v4", seed, 8):
        found = levels_of([a], price)
        venue = load_parameters("mango", AS_OF)
        expected = float(sum(_mango_token(venue.of(c.asset), c, price) for c in a.collateral))
        for x in a.positions:
            expected += _mango_perpetual(venue.of(x.symbol), x, price)
        assert found.equity[0] - found.maintenance[0] == pytest.approx(expected, rel=1e-9, abs=1e-6)


def _mango_token(rule: Mapping[str, float], held: Collateral, price: FloatArray) -> float:
    p = 1.0 if held.asset == "USDC" else float(price[ASSETS.index(held.asset)])
    token = mango_health.Token(
        balance=held.quantity,
        price=p,
        asset_weight=rule["maint_asset_weight"],
        liability_weight=rule["maint_liab_weight"],
    )
    return mango_health.health({held.asset: token})


def _mango_perpetual(rule: Mapping[str, float], x: Position, price: FloatArray) -> float:
    p = float(price[ASSETS.index(x.symbol.split("/")[0])])
    return mango_health.perpetual_health(
        mango_health.Perpetual(
            base=x.quantity,
            quote=-x.quantity * x.entry_price,
            price=p,
            asset_weight=rule["maint_base_asset_weight"],
            liability_weight=rule["maint_base_liab_weight"],
            settle="USDC",
        )
    )


# options and scenario margin


@few
@seeded
@example(seed=61128, move=0.0)  # a put worth more than that of a higher strike
@pytest.mark.parametrize(
    "name",
    ["deribit-standard", "derive-srm", "us-regt", "deribit-pm", "derive-pmrm2", "okx-pm", "paradex-pm"],
)
def test_options_and_scenarios_are_the_reference_functions(name: str, seed: int, move: float) -> None:
    price = at(move)
    for a in accounts_of(name, seed, 5):
        found = levels_of([a], price)
        balances = {c.asset: c.quantity for c in a.collateral}
        expected = standing(a, a.positions, balances, price, volatilities(a, price, LEVEL))
        unit = float(price[0]) if a.currency == "BTC" else 1.0
        size = 1e-9 * (abs(expected.equity) + expected.maintenance) / unit
        assert found.equity[0] == pytest.approx(expected.equity / unit, rel=1e-9, abs=size)
        assert found.maintenance[0] == pytest.approx(expected.maintenance / unit, rel=1e-9, abs=size)
        assert found.initial[0] == pytest.approx(expected.initial / unit, rel=1e-9, abs=size)
