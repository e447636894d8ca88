"""Replay by the rule: as the fast walk where both can be asked, as a plain walk of option books, and at expiries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import product
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.account import Account, Collateral, Position
from models.book import Book
from models.errors import InputError
from models.instrument import parse_symbol
from models.margin import replay as replay_module
from models.margin.dynamic.block import rate_table
from models.margin.replay import EXTREMES, Replay, replay
from models.margin.rulesets import load_ruleset
from models.margin.valuation import Volatility, valued
from models.market import MarketPanel
from models.typing import FloatArray
from tests.models.builders import AS_OF, AS_OF_NS
from tests.models.margin.test_replay import random_book, random_panel
from tests.models.regime_rules import Standing, standing, tight, volatilities
from tests.models.regimes import ASSETS, LEVEL, MARKET, PRICE, accounts_of

FIGURES = ("minutes_to_call", "minutes_to_liquidation", "call_amount", "worst_gap", "minutes")
FLAGS = ("gap", "truncated", "bound")


def forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every unit take the walk by the rule."""
    monkeypatch.setattr(replay_module, "_direct_units", lambda book, end: np.ones(book.n_units, np.bool_))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    mode=st.sampled_from(EXTREMES),
    missing=st.sampled_from([0.0, 0.05]),
    levels=st.booleans(),
)
def test_the_walk_by_the_rule_is_the_fast_walk_of_linear_books(
    seed: int, mode: str, missing: float, levels: bool
) -> None:
    rng = np.random.default_rng(seed)
    panel, book = random_panel(rng, 110, missing=missing, funding=0.002), random_book(rng, 12, 90)
    factors = rng.uniform(0.5, 5.0, (12, 2)) if levels else None
    fast = replay(book, panel, 60 * 60, mode, factors)
    with pytest.MonkeyPatch.context() as patch:
        forced(patch)
        direct = replay(book, panel, 60 * 60, mode, factors, n_threads=2)
    for name in FLAGS:
        np.testing.assert_array_equal(getattr(direct, name), getattr(fast, name), err_msg=name)
    for name in FIGURES:
        if getattr(fast, name) is not None:
            found, expected = getattr(direct, name), getattr(fast, name)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-6, err_msg=name)


def joint_and_isolated(cash: float) -> Account:
    """One long position in BTC beside one in ETH, and one in BTC on its own."""
    two = [hold("BTC/USDT:USDT", 1.0, 84_000.0), hold("ETH/USDT:USDT", 1.0, 2_200.0)]
    one = hold("BTC/USDT:USDT", 1.0, 84_000.0, margin_mode="isolated", isolated_margin=2_000.0)
    return make("generic-linear", "USDT", {"USDT": cash}, [*two, one])


@pytest.mark.parametrize("mode", ["synchronous", "adverse"])
@pytest.mark.parametrize("direct", [False, True])
def test_units_called_at_one_point_add_up(mode: str, direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    account, bars = joint_and_isolated(2_000.0), flat(3)
    bars.open[0, 1] = bars.low[0, 1] = 82_000.0
    if direct:
        forced(monkeypatch)
    found = replay(book_of([account]), bars, 180, mode)
    alone = [msgspec.structs.replace(account, positions=account.positions[:2]),
             msgspec.structs.replace(account, positions=account.positions[2:])]  # fmt: skip
    amounts = replay(book_of(alone), bars, 180, mode).call_amount
    assert found.call_amount[0] == pytest.approx(amounts.sum())


@pytest.mark.parametrize("direct", [False, True])
def test_a_call_at_the_open_comes_before_one_at_the_close(direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In close mode the isolated position still walks its bar; the two prices together are looked at at the close."""
    account, bars = joint_and_isolated(4_000.0), flat(3)
    bars.open[0, 1], bars.low[0, 1], bars.close[0, 1] = 82_000.0, 79_000.0, 79_000.0
    if direct:
        forced(monkeypatch)
    found = replay(book_of([account]), bars, 180, "close")
    only = msgspec.structs.replace(account, positions=account.positions[2:])
    assert found.call_amount[0] == replay(book_of([only]), bars, 180, "close").call_amount[0]


# bars


def hold(symbol: str, quantity: float, entry: float, **more: Any) -> Position:
    return Position(symbol=symbol, quantity=quantity, entry_price=entry, **more)


def make(name: str, currency: str, collateral: dict[str, float], positions: Sequence[Position] = ()) -> Account:
    balances = tuple(Collateral(asset=a, quantity=q) for a, q in collateral.items())
    return Account(
        account_id="a", as_of=AS_OF, ruleset=name, currency=currency, collateral=balances, positions=tuple(positions)
    )


def bars_of(close: FloatArray, spread: float = 0.0, start: int = AS_OF_NS) -> MarketPanel:
    """Hourly bars from the instant of the accounts, each opening at the close before."""
    close = np.array(close, np.float64)
    open_ = np.column_stack([close[:, :1], close[:, :-1]])
    high, low = np.maximum(open_, close) * (1 + spread), np.minimum(open_, close) * (1 - spread)
    zero = np.zeros_like(close)
    return MarketPanel(ASSETS, 60, start, open_, high, low, close, zero + 1.0, zero, ("simulated",) * 2, None)


def flat(n: int, price: FloatArray = PRICE) -> MarketPanel:
    return bars_of(np.repeat(price[:, None], n, axis=1))


def wild(rng: np.random.Generator, n: int, missing: float = 0.0) -> MarketPanel:
    """A walk with jumps, funding, implied volatility that changes every six hours, and bars that are missing."""
    steps = 0.01 * rng.standard_normal((2, n)) + 0.05 * rng.standard_normal((2, n)) * (rng.random((2, n)) < 0.05)
    out = bars_of(PRICE[:, None] * np.exp(np.cumsum(steps, axis=1) - steps[:, :1]), 0.003)
    out.funding_rate[:, 4::8] = 0.0005 * rng.standard_normal((2, len(range(4, n, 8))))
    level = LEVEL[:, None] * np.exp(np.repeat(0.2 * rng.standard_normal((2, n // 6 + 1)), 6, axis=1)[:, :n])
    level[:, 0] = LEVEL
    lost = rng.random((2, n)) < missing
    for price in (out.open, out.high, out.low, out.close):
        price[lost] = np.nan
    return replace(out, implied=level)


def book_of(accounts: Sequence[Account], market: Volatility = MARKET) -> Book:
    out, failures = Book.from_accounts(accounts, ASSETS)
    assert failures == []
    return valued(out, PRICE, market)


# a plain walk


@dataclass
class Walk:
    """What the plain walk of an account found."""

    call: float = math.nan
    liquidation: float = math.nan
    amount: float = math.nan
    worst: float = math.inf
    gap: bool = False


@dataclass
class State:
    """Positions and balances of an account while time passes."""

    account: Account
    positions: list[Position]
    balances: dict[str, float]
    paid: float = 0.0
    vols: dict[Position, float] = field(default_factory=dict)

    def settle(self, opens: dict[str, float], hours: float) -> None:
        """Turn what has expired into what it pays."""
        at = self.account.as_of + timedelta(hours=hours)
        for p in list(self.positions):
            i = parse_symbol(p.symbol)
            if i.expiry is None or i.expiry > at:
                continue
            self.positions.remove(p)
            price = opens[i.base]
            if i.strike is not None:
                inside = price - i.strike if i.option_type == "call" else i.strike - price
                dollars = p.quantity * max(inside, 0.0)
            else:
                dollars = p.quantity * (price - p.entry_price) * (1.0 if i.linear else 1.0 / p.entry_price)
            asset, unit = (i.settle, 1.0) if i.linear else (i.base, price)
            self.balances[asset] = self.balances.get(asset, 0.0) + dollars / unit

    def pay(self, opens: dict[str, float], rates: dict[str, float]) -> None:
        """Funding of perpetuals at the open of a bar."""
        for p in self.positions:
            i = parse_symbol(p.symbol)
            if i.kind == "perpetual" and math.isfinite(opens[i.base]):
                units = p.quantity if i.linear else p.quantity / p.entry_price
                self.paid += units * opens[i.base] * rates[i.base]

    def needs(self) -> set[str]:
        """Assets without whose bar the account cannot be valued."""
        held = {parse_symbol(p.symbol).base for p in self.account.positions}
        return held | {c.asset for c in self.account.collateral if c.asset in ASSETS}

    def at(self, price: FloatArray, hours: float, ratio: dict[str, float]) -> Standing:
        """Where the account stands at prices, some hours on."""
        vols = {p: v * ratio[parse_symbol(p.symbol).base] for p, v in self.vols.items()}
        out = standing(self.account, self.positions, self.balances, price, vols, hours)
        out.equity -= self.paid
        return out


def plain_walk(account: Account, panel: MarketPanel, bars: int, mode: str) -> Walk:
    """Every bar and every point, by the reference functions of the regime."""
    out, factor = Walk(), 1.0 / load_ruleset(account.ruleset, account.as_of).call_ratio
    state = State(account, list(account.positions), {c.asset: c.quantity for c in account.collateral})
    state.vols = volatilities(account, PRICE, LEVEL)
    many = len(state.needs()) > 1
    implied = panel.implied if panel.implied is not None else np.ones((2, panel.n_bars))
    for t in range(min(bars, panel.n_bars)):
        opens = dict(zip(ASSETS, panel.open[:, t].tolist(), strict=True))
        state.pay(opens, dict(zip(ASSETS, panel.funding_rate[:, t].tolist(), strict=True)))
        if any(math.isnan(opens[a]) for a in state.needs()):
            out.gap = True
            continue
        state.settle(opens, float(t))
        ratio = dict(zip(ASSETS, (implied[:, t] / implied[:, 0]).tolist(), strict=True))
        for price, hours in _points(state, panel, t, factor, ratio, mode if many else "synchronous"):
            now = state.at(price, hours, ratio)
            out.worst = min(out.worst, now.equity - factor * now.maintenance)
            if math.isnan(out.call) and now.short_of(factor):
                out.call = (t + 1) * 60.0
                out.amount = (now.initial - now.equity) / (price[0] if account.currency == "BTC" else 1.0)
            if now.short_of(1.0):
                out.liquidation = (t + 1) * 60.0
                return out
    return out


def _points(
    state: State, panel: MarketPanel, t: int, factor: float, ratio: dict[str, float], mode: str
) -> list[tuple[FloatArray, float]]:
    opens, lows, highs, closes = (x[:, t] for x in (panel.open, panel.low, panel.high, panel.close))
    if mode == "close":
        return [(closes, t + 1.0)]
    if mode == "synchronous":
        return [(opens, float(t)), (lows, float(t)), (highs, float(t)), (closes, t + 1.0)]

    def gap(corner: FloatArray) -> float:
        now = state.at(corner, float(t), ratio)
        return now.equity - factor * now.maintenance

    corners = [np.array(c) for c in product(*zip(lows.tolist(), highs.tolist(), strict=True))]
    return [(opens, float(t)), (min(corners, key=gap), float(t)), (closes, t + 1.0)]


OPTION_RULESETS = ("deribit-standard", "derive-srm", "us-regt", "deribit-pm", "paradex-pm")


@pytest.mark.parametrize("name", OPTION_RULESETS)
@settings(max_examples=3)
@given(
    seed=st.integers(0, 2**32 - 1), mode=st.sampled_from(("synchronous", "close")), missing=st.sampled_from([0.0, 0.05])
)
def test_option_books_equal_the_plain_walk(name: str, seed: int, mode: str, missing: float) -> None:
    """From midnight of 2025-03-07: one of the expiries is at its 08:00."""
    rng = np.random.default_rng(seed)
    start = AS_OF + timedelta(days=5, hours=12)
    panel = replace(wild(rng, 24, missing), start=int(start.timestamp()) * 10**9)
    if missing:
        panel.open[:, 0], panel.high[:, 0], panel.low[:, 0], panel.close[:, 0] = PRICE, PRICE, PRICE, PRICE
    accounts = [tight(msgspec.structs.replace(a, as_of=start), PRICE, LEVEL, rng) for a in accounts_of(name, seed, 5)]
    found = replay(book_of(accounts), panel, 20 * 60, mode, revalue=True)
    for n, account in enumerate(accounts):
        check(found, n, plain_walk(account, panel, 20, mode))


@pytest.mark.parametrize("name", OPTION_RULESETS)
def test_the_books_of_the_comparison_reach_every_outcome(name: str) -> None:
    rng = np.random.default_rng(0)
    start = AS_OF + timedelta(days=5, hours=12)
    panel = replace(wild(rng, 24, 0.01), start=int(start.timestamp()) * 10**9)
    accounts = [tight(msgspec.structs.replace(a, as_of=start), PRICE, LEVEL, rng) for a in accounts_of(name, 0, 60)]
    found = replay(book_of(accounts), panel, 20 * 60)
    called, liquidated = np.isfinite(found.minutes_to_call), np.isfinite(found.minutes_to_liquidation)
    assert min(called.sum(), (~called).sum(), liquidated.sum(), (~liquidated).sum(), found.gap.sum()) > 3
    assert (found.minutes_to_call[called] > 60.0).sum() > 3


def check(found: Replay, n: int, expected: Walk) -> None:
    np.testing.assert_equal(found.minutes_to_call[n], expected.call)
    np.testing.assert_equal(found.minutes_to_liquidation[n], expected.liquidation)
    np.testing.assert_allclose(found.call_amount[n], expected.amount, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.worst_gap[n], expected.worst, rtol=1e-6, atol=1e-2)
    assert found.gap[n] == expected.gap


def test_the_worst_corner_of_each_level() -> None:
    """Adverse: short calls on one asset and short puts on the other, one called at the high and one at the low."""
    positions = [
        hold("BTC/USDC:USDC-250328-90000-C", -1.0, 1.0, implied_volatility=0.5),
        hold("ETH/USDC:USDC-250328-2000-P", -30.0, 1.0, implied_volatility=0.7),
    ]
    rng = np.random.default_rng(4)
    for _ in range(4):
        account = tight(make("derive-srm", "USDC", {"USDC": 1.0}, positions), PRICE, LEVEL, rng)
        panel = wild(rng, 30)
        check(
            replay(book_of([account]), panel, 30 * 60, "adverse", revalue=True),
            0,
            plain_walk(account, panel, 30, "adverse"),
        )


# expiries


def test_a_settled_linear_future_is_cash() -> None:
    """Bought at 84,000, settled at 90,000; the later fall to 60,000 does not touch the account."""
    close = np.repeat(PRICE[:, None], 60, axis=1)
    close[0, 10:] = 90_000.0
    close[0, 30:] = 60_000.0
    future, perpetual = (
        make("generic-linear", "USDT", {"USDT": 4_000.0}, [hold(symbol, 1.0, 84_000.0)])
        for symbol in ("BTC/USDT:USDT-250302", "BTC/USDT:USDT")
    )
    found = replay(book_of([future, perpetual]), bars_of(close), 60 * 60)
    assert np.isnan(found.minutes_to_call).tolist() == [True, False]
    assert found.worst_gap[0] == pytest.approx(4_000.0 - 1.25 * 0.01 * 84_000.0)


def test_the_price_of_settlement_is_the_open_of_the_bar_at_expiry() -> None:
    """Expiry at 08:00, 20 hours after the account; one dollar decides."""
    close = np.repeat(PRICE[:, None], 30, axis=1)
    close[0, 19:] = 80_000.0  # the open of bar 20 is the close of bar 19
    close[0, 20:] = 200_000.0
    position = hold("BTC/USDT:USDT-250302", 1.0, 84_000.0)
    debt = make("generic-linear", "USDT", {"USDT": 20_000.0}, [position, hold("ETH/USDT:USDT", 1.0, 2_200.0)])
    left = [replay(book_of([debt]), bars_of(close), 60 * h).worst_gap[0] for h in (19, 30)]
    need = 1.25 * 0.01 * 2_200.0
    assert left[1] == pytest.approx(min(left[0], 16_000.0 - 1.25 * 0.01 * 80_000.0 - need), rel=1e-9)
    after = bars_of(close).slice(20, 30)
    settled = replay(
        book_of([msgspec.structs.replace(debt, as_of=AS_OF + timedelta(hours=19, minutes=30))]), after, 600
    )
    assert settled.worst_gap[0] == pytest.approx(16_000.0 - need)


def test_a_settled_coin_future_is_coin_and_needs_nothing_more() -> None:
    """Short 84,000 dollars at 84,000: at 60,000 that pays 0.4 coins. What was required must be free afterwards."""
    close = np.repeat(PRICE[:, None], 40, axis=1)
    close[0, 15:] = 60_000.0
    close[0, 25:] = 30_000.0
    position = hold("BTC/USD:BTC-250302", -84_000.0, 84_000.0)
    account = make("binance-coinm", "BTC", {"BTC": 0.2}, [position])
    found = replay(book_of([account]), bars_of(close), 40 * 60)
    assert np.isnan(found.minutes_to_call).all()
    need = float(load_ruleset("binance-coinm", AS_OF).tier("BTC/USD:BTC-250302", 84_000.0)(84_000.0)) / 0.8
    assert found.worst_gap[0] == pytest.approx(min(0.2 * 84_000.0 - need, 0.6 * 30_000.0))


def test_a_call_after_the_settlement_asks_for_what_is_left_only() -> None:
    """Of two coin futures the first is settled without profit; a call on the second does not restore its margin."""
    close = np.repeat(PRICE[:, None], 40, axis=1)
    close[0, 30:] = 60_000.0
    first, second = hold("BTC/USD:BTC-250302", 84_000.0, 84_000.0), hold("BTC/USD:BTC-250307", 84_000.0, 84_000.0)
    both, one = (make("binance-coinm", "BTC", {"BTC": 0.3}, p) for p in ([first, second], [second]))
    found = replay(book_of([both, one]), bars_of(close), 40 * 60)
    assert found.minutes_to_call.tolist() == [31 * 60.0] * 2
    assert found.call_amount[0] == pytest.approx(found.call_amount[1], rel=1e-12)


@pytest.mark.parametrize(
    ("option", "pays"),
    [("90000-C", 0.0), ("80000-C", 10_000.0), ("100000-P", 10_000.0), ("85000-P", 0.0)],
)
@pytest.mark.parametrize(
    ("name", "root", "money"),
    [
        ("derive-srm", "BTC/USDC:USDC", "USDC"),
        ("deribit-standard", "BTC/USD:BTC", "BTC"),
        ("us-regt", "BTC/USD:USD", "USD"),
    ],
)
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_options_are_settled_at_expiry(option: str, pays: float, name: str, root: str, money: str, side: float) -> None:
    """At 90,000; a coin-settled option pays coins, whose price is 45,000 in the end."""
    close = np.repeat(np.array([[90_000.0], [2_200.0]]), 40, axis=1)
    close[0, 30:] = 45_000.0
    coins = money == "BTC"
    account = make(name, money, {money: 0.5 if coins else 45_000.0}, [hold(f"{root}-250302-{option}", side, 1.0)])
    book, _ = Book.from_accounts([account], ASSETS)
    book = valued(book, np.array([90_000.0, 2_200.0]), MARKET)
    before = replay(book, bars_of(close), 20 * 60)
    found = replay(book, bars_of(close), 40 * 60)
    left = 0.5 * 45_000.0 + side * pays / 90_000.0 * 45_000.0 if coins else 45_000.0 + side * pays
    assert found.worst_gap[0] == pytest.approx(min(before.worst_gap[0], left), rel=1e-9)
    assert np.isnan(found.minutes_to_call[0]) == (before.worst_gap[0] >= 0.0)


# volatility, rates, gaps and currencies


def test_implied_volatility_moves_the_value_of_options() -> None:
    """A short straddle at a price that stands still: called when implied volatility doubles, not before."""
    sold = [hold(f"BTC/USDC:USDC-250627-84000-{x}", -1.0, 1.0) for x in "CP"]
    account = make("derive-srm", "USDC", {"USDC": 55_000.0}, sold)
    still, moved = flat(48), replace(flat(48), implied=np.repeat(LEVEL[:, None], 48, axis=1))
    moved.implied[0, 24:] *= 2.0  # type: ignore[index]
    assert np.isnan(replay(book_of([account]), still, 48 * 60).minutes_to_call[0])
    assert replay(book_of([account]), moved, 48 * 60).minutes_to_call[0] == 25 * 60.0
    gone = replace(moved, implied=moved.implied.copy())  # type: ignore[union-attr]
    gone.implied[0, 30:] = np.nan  # type: ignore[index]
    worst = [replay(book_of([account]), p, 48 * 60, "close").worst_gap[0] for p in (moved, gone)]
    assert worst[0] == pytest.approx(worst[1], rel=1e-3)  # the last level that was known stays


def test_an_account_is_walked_the_same_alone_and_among_earlier_ones() -> None:
    """Its volatility starts from the level at its own instant, also where the level changes just then."""
    sold = [hold("BTC/USDC:USDC-250627-84000-C", -1.0, 1.0)]
    early = make("derive-srm", "USDC", {"USDC": 30_000.0}, sold)
    late = msgspec.structs.replace(early, as_of=AS_OF + timedelta(hours=24))
    panel = replace(flat(72), implied=np.repeat(LEVEL[:, None], 72, axis=1))
    panel.implied[0, 23], panel.implied[0, 24:] = 0.9, 0.3  # type: ignore[index]
    both = replay(book_of([early, late]), panel, 24 * 60)
    alone = replay(book_of([late]), panel, 24 * 60)
    assert both.worst_gap[1] == alone.worst_gap[0]
    none = replay(book_of([late]), replace(panel, implied=None), 24 * 60)
    assert alone.worst_gap[0] == none.worst_gap[0]


def test_dynamic_margin_rises_with_the_volatility_of_the_bars() -> None:
    """At each point equity is compared with the rate that was known at the open of its bar."""
    rng = np.random.default_rng(0)
    n, calm = 1000, 900
    steps = np.where(np.arange(n) < calm, 0.002, 0.02) * rng.choice([-1.0, 1.0], (2, n))
    path = np.cumsum(steps, axis=1)
    panel = bars_of(PRICE[:, None] * np.exp(path - path[:, calm - 1 : calm]), start=AS_OF_NS - calm * 3_600_000_000_000)
    at = rate_table(panel)[:, calm]
    position = hold("BTC/USDT:USDT", 1e-3, float(PRICE[0]))
    account = make("fhs-margin", "USDT", {"USDT": 2.0 * at[0] * 84.0}, [position])
    book = book_of([account], replace(MARKET, margin_rate=at))
    found = replay(book, panel, 96 * 60)
    rates = rate_table(panel)[0, calm:]
    assert rates.max() > 2.0 * at[0]
    expected, walking = math.inf, True
    for t, price in product(range(96), (panel.open, panel.low, panel.high, panel.close)):
        p = price[0, calm + t]
        equity, need = 2.0 * at[0] * 84.0 + 1e-3 * (p - PRICE[0]), 1e-3 * p * rates[t]
        expected = min(expected, equity - 1.25 * need) if walking else expected
        walking = walking and equity >= need
    assert found.worst_gap[0] == pytest.approx(expected, rel=1e-6)


def test_missing_bars_are_gaps_and_are_not_valued() -> None:
    sold = [hold("BTC/USDC:USDC-250627-84000-C", -1.0, 1.0)]
    account = make("derive-srm", "USDC", {"USDC": 30_000.0}, sold)
    close = np.repeat(PRICE[:, None], 12, axis=1)
    close[0, 5] = 200_000.0
    bars = bars_of(close)
    for price in (bars.open, bars.high, bars.low, bars.close):
        price[0, 5:7] = np.nan
    found = replay(book_of([account]), bars, 12 * 60)
    assert found.gap[0]
    assert np.isnan(found.minutes_to_call[0])
    other = bars_of(close)
    for price in (other.open, other.high, other.low, other.close):
        price[1, 3:6] = np.nan
    assert not replay(book_of([account]), other, 12 * 60).gap[0]


def test_an_option_whose_underlying_had_no_price_is_a_gap_of_its_account_only() -> None:
    held = [make("derive-srm", "USDC", {"USDC": 1e5}, [hold(f"{a}/USDC:USDC-250627-{k}-C", -1.0, 1.0)])
            for a, k in (("BTC", 84_000), ("ETH", 2_200))]  # fmt: skip
    book, _ = Book.from_accounts(held, ASSETS)
    found = replay(valued(book, np.array([84_000.0, np.nan]), MARKET), flat(10), 600)
    assert found.gap.tolist() == [False, True]
    assert np.isfinite(found.worst_gap).tolist() == [True, False]


def test_a_book_without_its_sheets_is_refused() -> None:
    account = make("derive-srm", "USDC", {"USDC": 1e5}, [hold("BTC/USDC:USDC-250627-84000-C", -1.0, 1.0)])
    book, _ = Book.from_accounts([account], ASSETS)
    with pytest.raises(InputError, match=r"book: expected a book of models\.margin\.valuation\.valued"):
        replay(book, flat(10), 600)


@pytest.mark.parametrize("dated", [False, True])
def test_amounts_are_in_the_currency_of_the_account(dated: bool) -> None:
    """An account in BTC with an isolated ETH contract: the amount is at the BTC price of that point of that bar."""
    close = np.repeat(PRICE[:, None], 8, axis=1)
    close[0, 3:] = 42_000.0
    close[1, 4:] = 1_900.0
    symbol = "ETH/USD:ETH-250302" if dated else "ETH/USD:ETH"
    position = hold(symbol, 22_000.0, 2_200.0, margin_mode="isolated", isolated_margin=1.2)
    if dated:
        close = np.concatenate([close, np.repeat(close[:, -1:], 20, axis=1)], axis=1)
    account = make("binance-coinm", "BTC", {"BTC": 0.01}, [position])
    found = replay(book_of([account]), bars_of(close), close.shape[1] * 60)
    equity = (1.2 + 22_000.0 / 2_200.0) * 1_900.0 - 22_000.0
    assert found.minutes_to_call[0] == 5 * 60.0
    assert found.call_amount[0] == pytest.approx((22_000.0 / 20.0 - equity) / 42_000.0)
