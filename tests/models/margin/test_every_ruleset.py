"""What must hold under every ruleset, on random accounts of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.account import Account, Collateral, Position
from models.book import Book
from models.book_small import BookMaker
from models.margin.levels import MarginLevels, margin_levels
from models.margin.linear import unit_gap
from models.margin.rulesets import load_ruleset, ruleset_names
from models.margin.valuation import valued
from models.typing import FloatArray
from tests.models.builders import AS_OF
from tests.models.regimes import ASSETS, MARKET, PRICE, accounts_of, book_of, levels_of, regime

NAMES = ruleset_names()
COLUMNS = ("equity", "maintenance", "call", "initial", "release", "call_amount", "gap_call")
LEVELS = ("maintenance", "call", "initial", "release")
every = pytest.mark.parametrize("name", NAMES)
seeded = given(seed=st.integers(0, 2**32 - 1))
few = settings(max_examples=4)


def close(found: MarginLevels, expected: MarginLevels, scale: FloatArray | float = 1.0) -> None:
    """Equal to rounding: sums may be taken in another order."""
    size = 1e-9 * scale * (np.abs(expected.equity) + np.abs(expected.release) + 1e-6)
    for column in COLUMNS:
        gap = np.abs(getattr(found, column) - scale * getattr(expected, column))
        assert (gap <= size).all(), (column, gap, size)


def changed(account: Account, **fields: Any) -> Account:
    return msgspec.structs.replace(account, **fields)


def add(account: Account, asset: str, quantity: float) -> Account:
    """Bring more of an asset: onto the balance that there is, else as a new one."""
    held = {c.asset: c.quantity for c in account.collateral}
    held[asset] = held.get(asset, 0.0) + quantity
    return changed(account, collateral=tuple(Collateral(asset=a, quantity=q) for a, q in held.items()))


def pick(levels: MarginLevels, rows: Sequence[int]) -> MarginLevels:
    return MarginLevels(**{f: getattr(levels, f)[rows] for f in MarginLevels.__dataclass_fields__})


@every
@few
@seeded
def test_levels_rise(name: str, seed: int) -> None:
    found = levels_of(accounts_of(name, seed))
    slack = 1e-9 * np.abs(found.equity) + 1e-9
    for lower, upper in pairwise(LEVELS):
        assert (getattr(found, lower) <= getattr(found, upper) + slack).all(), (lower, upper)
    assert (found.call_amount >= 0.0).all()
    assert ((found.call_amount > 0.0) == (found.gap_call < 0.0)).all()


@every
@few
@seeded
def test_levels_are_finite_at_any_price(name: str, seed: int) -> None:
    accounts = accounts_of(name, seed, 6)
    for move in (1e-3, 0.2, 0.9, 1.1, 6.0, 1e3):
        found = levels_of(accounts, PRICE * np.array([move, 1.0 / move]))
        for column in COLUMNS:
            assert np.isfinite(getattr(found, column)).all(), (column, move)
        assert (found.state >= 0).all()


@every
@few
@seeded
def test_more_collateral_never_hurts(name: str, seed: int) -> None:
    accounts = accounts_of(name, seed)
    before = levels_of(accounts)
    size = 1e-9 * (np.abs(before.equity) + np.abs(before.release)) + 1e-9
    for asset in (regime(name).currency, *regime(name).collateral):
        more = 5_000.0 / (PRICE[ASSETS.index(asset)] if asset in ASSETS else 1.0)
        after = levels_of([add(a, asset, more) for a in accounts])
        for level in LEVELS:
            gained = (after.equity - getattr(after, level)) - (before.equity - getattr(before, level))
            assert (gained >= -size).all(), (asset, level)
        assert (after.call_amount <= before.call_amount + size).all()


@every
@few
@seeded
def test_the_order_of_positions_and_collateral_does_not_matter(name: str, seed: int) -> None:
    accounts, rng = accounts_of(name, seed), np.random.default_rng(seed)

    def shuffled(items: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(items[i] for i in rng.permutation(len(items)))

    mixed = [changed(a, positions=shuffled(a.positions), collateral=shuffled(a.collateral)) for a in accounts]
    close(levels_of(mixed), levels_of(accounts))


@every
@few
@seeded
def test_an_account_is_the_same_alone_and_among_others(name: str, seed: int) -> None:
    accounts = accounts_of(name, seed, 12)
    together = levels_of(accounts)
    close(pick(together, [4]), levels_of(accounts[4:5]))
    close(pick(together, list(range(11, -1, -1))), levels_of(accounts[::-1]))


@every
@few
@seeded
def test_taking_rows_commutes_with_the_levels(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = book_of(accounts_of(name, seed))
    bare = Book.from_accounts(accounts_of(name, seed), ASSETS)[0]
    rows = rng.integers(0, len(whole), 9)
    expected = pick(margin_levels(whole, PRICE), rows.tolist())
    close(margin_levels(whole.take(rows), PRICE), expected)
    close(margin_levels(valued(bare.take(rows), PRICE, MARKET), PRICE), expected)
    close(margin_levels(whole.take(rows).take([3, 3]), PRICE), pick(expected, [3, 3]))


@every
@few
@seeded
def test_small_books_are_the_books_of_columns(name: str, seed: int) -> None:
    maker = BookMaker(ASSETS)
    for first in (0, 4):
        accounts = accounts_of(name, seed, 8)[first : first + 4]
        small = margin_levels(valued(maker(accounts), PRICE, MARKET), PRICE)
        close(small, levels_of(accounts))


@every
@few
@seeded
def test_the_gap_has_no_jump_in_the_price(name: str, seed: int) -> None:
    """At the bounds of tiers and ratios, and of sheets at the price of now."""
    held = book_of(accounts_of(name, seed))
    b, unit = held.arrays, held.unit_of_leg()
    spots = [(u, int(b.leg_asset[i]), at) for i, u in enumerate(unit.tolist()) for at in _bounds(b, i)]
    spots += [(u, a, float(PRICE[a])) for u in range(held.n_units) for a in range(len(ASSETS))]
    for u, a, at in spots:
        below, above = PRICE.copy(), PRICE.copy()
        below[a], above[a] = at * (1.0 - 1e-9), at * (1.0 + 1e-9)
        jump = unit_gap(b, u, 1.25, above) - unit_gap(b, u, 1.25, below)
        assert abs(jump) <= 1e-7 * _size(held, u, at / PRICE[a]), (u, a, at)


def _bounds(b: Any, leg: int) -> list[float]:
    rows = slice(b.tier_start[b.leg_tier[leg]] + 1, b.tier_start[b.leg_tier[leg] + 1])
    return [f / b.leg_size[leg] for f in b.tier_floor[rows].tolist() if b.leg_size[leg] > 0.0]


def _size(held: Book, u: int, times: float) -> float:
    b = held.arrays
    legs, rows = slice(b.unit_leg[u], b.unit_leg[u + 1]), slice(b.unit_coll[u], b.unit_coll[u + 1])
    size = float((np.abs(b.leg_quantity[legs]) + b.leg_size[legs]) @ PRICE[b.leg_asset[legs]])
    at = np.where(b.coll_asset[rows] >= 0, PRICE[b.coll_asset[rows]], 1.0)
    size += float(np.abs(b.coll_quantity[rows]) @ at) + abs(float(b.unit_cash[u])) + float(b.unit_floor[u])
    sheets = slice(b.unit_sheet[u], b.unit_sheet[u + 1])
    size += float(b.sheet_gross[sheets] @ PRICE[b.sheet_asset[sheets]])
    return 1.0 + size * max(times, 1.0)


TWICE: dict[str, str] = {
    "binance-usdm": "tiers by notional",
    "bybit-linear": "tiers by notional",
    "generic-linear": "tiers by notional",
    "okx-linear": "tiers by quantity",
    "binance-coinm": "tiers by notional in coin",
    "binance-pm": "the tiers of its venues",
    "bybit-uta": "the tiers of its venues",
    "csa": "threshold and minimum transfer amount stay",
    "synthetix-v3": "rates rise with the size, and a constant for each position",
    "drift-v2": "weights of collateral follow the size",
    "deribit-standard": "the rate of futures rises with the size",
    "deribit-pm": "delta shock above a threshold, and a dampener in dollars",
    "okx-pm": "the minimum charge rises by tiers",
}
"""Rulesets under which twice the account does not need twice as much, and why."""


@every
def test_twice_the_account_needs_twice_as_much_unless_said(name: str) -> None:
    accounts = [_times(a, k) for a in accounts_of(name, 0, 30) for k in (1.0, 300.0)]
    once, twice = levels_of(accounts), levels_of([_times(a, 2.0) for a in accounts])
    if name not in TWICE:
        close(twice, once, 2.0)
        return
    changes = [np.abs(getattr(twice, f) - 2.0 * getattr(once, f)) / np.abs(once.equity) for f in COLUMNS[:2]]
    assert np.max(changes) > 1e-6
    if name != "csa":  # nothing gets cheaper by its size; what a party may owe without collateral is not a price
        assert (twice.maintenance >= 2.0 * once.maintenance * (1.0 - 1e-9) - _constants(accounts)).all()


def _constants(accounts: Sequence[Account]) -> FloatArray:
    """What positions need whatever their size: the least margin and the least reward of Synthetix."""
    each = 51.0 if accounts[0].ruleset == "synthetix-v3" else 0.0
    return np.array([each * len(a.positions) for a in accounts]) + 1e-9


def _times(account: Account, k: float) -> Account:
    """All positions and balances, so many times."""

    def larger(p: Position) -> Position:
        margin = None if p.isolated_margin is None else k * p.isolated_margin
        return msgspec.structs.replace(p, quantity=k * p.quantity, isolated_margin=margin)

    return changed(
        account,
        positions=tuple(larger(p) for p in account.positions),
        collateral=tuple(Collateral(asset=c.asset, quantity=k * c.quantity) for c in account.collateral),
    )


NETS_FUTURES = ("csa", "deribit-pm", "derive-pmrm2", "fhs-margin", "okx-pm", "paradex-pm")
"""Rulesets under which a future covers a perpetual; all others margin them one by one."""
NETS_OPTIONS = ("deribit-pm", "derive-pmrm2", "derive-srm", "okx-pm", "paradex-pm", "us-regt")
"""Rulesets under which a long option covers a short one; deribit-standard margins the short one alone."""


def _need(name: str, *positions: Position) -> float:
    """Initial requirement less what options add to equity: what must be brought for these positions."""
    held, money = regime(name), 1e7 / (PRICE[0] if regime(name).currency == "BTC" else 1.0)
    template = accounts_of(name, 0, 1)[0]
    cash = (Collateral(asset=held.currency, quantity=money),)
    found = levels_of([changed(template, collateral=cash, positions=positions)])
    return float(money - found.equity[0] + found.initial[0])


def _pair(name: str, suffixes: tuple[str, str], size: float) -> tuple[Position, Position]:
    root = regime(name).perpetuals[0] if regime(name).perpetuals else regime(name).options[0].split("-")[0]
    one, two = (
        Position(symbol=root + s, quantity=q, entry_price=84_000.0, implied_volatility=0.6 if s[-1:] == "C" else None)
        for s, q in zip(suffixes, (size, -size), strict=True)
    )
    return one, two


@pytest.mark.parametrize("name", [n for n in NAMES if regime(n).futures and regime(n).perpetuals])
def test_a_future_covers_a_perpetual_where_the_regime_nets(name: str) -> None:
    if name == "csa":
        _check_netted_exposure()
        return
    try:
        size = 100_000.0 if regime(name).currency == "BTC" else 1.0
        pair = _pair(name, ("", "-250328"), size)
        _need(name, pair[1])
    except AssertionError:
        pytest.skip("the ruleset lists no dated future")
    both, apart = _need(name, *pair), sum(_need(name, p) for p in pair)
    if name in NETS_FUTURES:
        assert both < 0.9 * apart
    else:
        assert both == pytest.approx(apart, rel=1e-9)


def _check_netted_exposure() -> None:
    """What is owed under an annex is the net value of all trades."""
    template = accounts_of("csa", 0, 1)[0]
    cash = (Collateral(asset="USD", quantity=1e6),)
    long = Position(symbol="BTC/USDT:USDT", quantity=10.0, entry_price=90_000.0)
    short = Position(symbol="BTC/USDT:USDT-250328", quantity=-10.0, entry_price=90_000.0)
    moved = PRICE * np.array([0.5, 1.0])
    pair = [changed(template, collateral=cash, positions=p) for p in ((long, short), (long,))]
    at, then = levels_of(pair), levels_of(pair, moved)
    assert then.gap_call[0] == pytest.approx(at.gap_call[0])
    assert then.gap_call[1] < at.gap_call[1] - 4e5


@pytest.mark.parametrize("name", [n for n in NAMES if regime(n).options])
def test_a_long_option_covers_a_short_one_where_the_regime_nets(name: str) -> None:
    long, short = _pair(name, ("-250328-90000-C", "-250328-100000-C"), 1.0)
    both, alone = _need(name, long, short), _need(name, short)
    apart = alone + _need(name, long)
    assert both <= apart * (1.0 + 1e-9)
    if name in NETS_OPTIONS:
        assert both < 0.8 * apart
    else:
        assert both == pytest.approx(apart, rel=1e-9)
    same = msgspec.structs.replace(short, symbol=long.symbol)
    floor = 1e-6 * alone if name in NETS_OPTIONS and name not in GROSS_CHARGES else np.inf
    assert _need(name, long, same) <= floor


GROSS_CHARGES = ("okx-pm", "paradex-pm", "deribit-pm")
"""Rulesets that charge the size of each option as well, so that even opposite ones on one strike need something."""


@every
def test_the_date_of_the_account_chooses_the_rules(name: str) -> None:
    """Every ruleset answers for its first day and for a day far ahead."""
    make: Callable[[Any], Account] = lambda at: changed(accounts_of(name, 1, 1)[0], as_of=at)  # noqa: E731
    for at in (load_ruleset(name, AS_OF).effective_from, AS_OF):
        book, failures = Book.from_accounts([make(at)], ASSETS)
        assert failures == []
        found = margin_levels(valued(book, PRICE, MARKET), PRICE)
        assert np.isfinite(found.maintenance).all()
