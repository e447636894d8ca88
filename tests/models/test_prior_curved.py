"""The prior over units with sheets: against a plain count over the same paths, and against the ordinary prior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from models.account import Account, Collateral, Position
from models.book import Book, BookArrays
from models.margin.linear import tier_value
from models.margin.sheets import NODES, SLICES, set_slices, sheet_at
from models.market import MarketPanel
from models.prior import PriorModel, PriorState
from models.typing import FloatArray
from tests.models.builders import account, position, walk
from tests.models.regime_rules import tight
from tests.models.regimes import ASSETS, LEVEL, accounts_of, book_of

HORIZONS = (1, 4, 24, 72)
PATHS = 128
NAMES = ("derive-srm", "deribit-standard", "us-regt", "paradex-pm", "fhs-margin")


@pytest.fixture(scope="module")
def market() -> MarketPanel:
    return walk(24 * 150, assets=2, seed=3, sigma=0.009)


@pytest.fixture(scope="module")
def prior(market: MarketPanel) -> PriorModel:
    return PriorModel.fit(market, paths=PATHS)


@pytest.fixture(scope="module")
def state(prior: PriorModel, market: MarketPanel) -> PriorState:
    return prior.state(market, market.end)


def option_books(name: str, price: FloatArray, n: int = 8) -> Book:
    """Return random accounts of a ruleset whose collateral is around their initial requirement at the prices."""
    rng = np.random.default_rng(1)
    moved = [_at(a, price) for a in accounts_of(name, 2, n)]
    if name != "fhs-margin":
        moved = [tight(a, price, LEVEL, rng) for a in moved]
    return book_of(moved, price)


def _at(a: Account, price: FloatArray) -> Account:
    """The account with its strikes and entry prices where this market is."""
    scale = price / np.array([84_000.0, 2_200.0])
    out = []
    for p in a.positions:
        k = float(scale[ASSETS.index(p.symbol[:3])])
        parts = p.symbol.split("-")
        if len(parts) == 4:
            parts[2] = str(round(float(parts[2]) * k, 2))
        out.append(msgspec.structs.replace(p, symbol="-".join(parts), entry_price=p.entry_price * k))
    return msgspec.structs.replace(a, positions=tuple(out))


def plain_share(b: BookArrays, units: Sequence[int], k: float, price: FloatArray, state: PriorState) -> FloatArray:
    """Share of paths on which some unit breaches by each horizon: every path, hour and point, through the sheets."""
    s = state.scenarios
    first = np.full(len(s.low), 999)
    for u in units:
        for i in range(len(s.low)):
            for t in range(72):
                points = (price * p[i, :, t].astype(np.float64) for p in (s.low, s.high, s.close))
                if t < first[i] and any(plain_gap(b, u, k, x, t + 1.0) < 0.0 for x in points):
                    first[i] = t
                    break
    return np.array([(first < h).mean() for h in HORIZONS])


def plain_gap(b: BookArrays, u: int, k: float, price: FloatArray, hours: float) -> float:
    """Gap of a unit at prices some hours ahead: cash, legs and collateral as they are, sheets at the hours."""
    gap = float(b.unit_cash[u] - b.unit_offset[u] - k * b.unit_floor[u])
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        p = price[b.leg_asset[i]]
        tiers = b.tier_start, b.tier_floor, b.tier_rate, b.tier_offset, int(b.leg_tier[i])
        gap += b.leg_quantity[i] * (p - b.leg_entry[i]) - k * tier_value(*tiers, b.leg_size[i] * p)
    for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
        p = price[b.coll_asset[j]] if b.coll_asset[j] >= 0 else 1.0
        ratios = b.sched_start, b.sched_floor, b.sched_rate, b.sched_offset, int(b.coll_schedule[j])
        gap += tier_value(*ratios, b.coll_quantity[j] * p)
    for h in range(b.unit_sheet[u], b.unit_sheet[u + 1]):
        at = price[b.sheet_asset[h]]
        gap += sheet_at(b.sheet_now[h], b.sheet_hours[h], b.sheet_equity[h], at, hours)
        gap -= k * sheet_at(b.sheet_now[h], b.sheet_hours[h], b.sheet_maintenance[h], at, hours)
    return float(gap)


@pytest.mark.parametrize("name", NAMES)
def test_the_probability_is_the_share_of_the_paths(
    name: str, prior: PriorModel, market: MarketPanel, state: PriorState
) -> None:
    """Up to the weight of two paths, and to paths that touch the barrier within the interpolation of futures."""
    price = market.close[:, -1]
    book = option_books(name, price)
    k = book.arrays.account_call_factor
    found = prior.probability(book, price, state, k)
    between = 0
    for n in range(len(book)):
        units = range(book.arrays.account_unit[n], book.arrays.account_unit[n + 1])
        if any(plain_gap(book.arrays, u, float(k[n]), price, 0.0) < 0.0 for u in units):
            assert found[n].tolist() == [1.0] * 4
            continue
        share = plain_share(book.arrays, units, float(k[n]), price, state)
        assert found[n] == pytest.approx(share, abs=4.5 / PATHS)
        between += 0.02 < share[-1] < 0.98
    assert between >= 2


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_rise_with_the_horizon_and_the_level(
    name: str, prior: PriorModel, market: MarketPanel, state: PriorState
) -> None:
    price = market.close[:, -1]
    book = option_books(name, price, 30)
    call = book.arrays.account_call_factor
    both = prior.probability(book, price, state, np.column_stack([call, np.ones(len(book))]))
    assert (np.diff(both, axis=2) >= 0.0).all()
    assert ((both >= 0.0) & (both <= 1.0)).all()
    assert (both[:, 1] <= both[:, 0]).all()
    alone = prior.probability(book, price, state, np.ones(len(book)))
    assert both[:, 1] == pytest.approx(alone, abs=1e-4)
    part = prior.probability(book.take([7, 2]), price, state, call[[7, 2]])
    assert part == pytest.approx(both[[7, 2], 0], abs=1e-12)


def flat_sheets(book: Book, price: FloatArray) -> Book:
    """The same accounts with a sheet of nothing on every asset of every unit: they take the curved count."""
    n, m = book.n_units, len(ASSETS)
    hours = np.empty((n * m, SLICES))
    for row in hours:
        set_slices(np.zeros(0), row)
    arrays = book.arrays._replace(
        unit_sheet=(m * np.arange(n + 1)).astype(np.int32),
        sheet_asset=np.tile(np.arange(m, dtype=np.int32), n),
        sheet_gross=np.zeros(n * m),
        sheet_now=np.tile(price, n),
        sheet_hours=hours,
        sheet_equity=np.zeros((n * m, SLICES, NODES)),
        sheet_maintenance=np.zeros((n * m, SLICES, NODES)),
        sheet_initial=np.zeros((n * m, NODES)),
    )
    return replace(book, arrays=arrays)


def test_a_linear_unit_is_the_same_in_the_curved_count(
    prior: PriorModel, market: MarketPanel, state: PriorState
) -> None:
    """Legs and collateral between nodes are lines in the log price: a few paths near the barrier may differ."""
    price, rng = market.close[:, -1], np.random.default_rng(0)
    accounts = []
    for _ in range(20):
        legs = [
            position(s, float(rng.choice([-1, 1]) * rng.uniform(0.5, 2.0) * 1e5 / p), float(p))
            for s, p in zip(("BTC/USDT:USDT", "ETH/USDT:USDT"), price, strict=True)
        ]
        accounts.append(account(legs, float(rng.uniform(0.05, 0.25)) * 1e5, [("BTC", 0.05)]))
    book, _ = Book.from_accounts(accounts, ASSETS)
    k = book.arrays.account_call_factor
    ordinary = prior.probability(book, price, state, k)
    curved = prior.probability(flat_sheets(book, price), price, state, k)
    assert curved == pytest.approx(ordinary, abs=3.0 / PATHS)
    assert ((ordinary[:, -1] > 0.02) & (ordinary[:, -1] < 0.98)).sum() > 5


def test_the_danger_of_an_option_ends_with_it(prior: PriorModel, market: MarketPanel, state: PriorState) -> None:
    """A short call with 20 hours to run: hardly a call after them. With a week to run they go on."""
    price = market.close[:, -1]
    strike, later = round(float(price[0]) * 1.01), []
    for expiry in ("250302", "250307"):
        sold = Position(symbol=f"BTC/USDC:USDC-{expiry}-{strike}-C", quantity=-1.0, entry_price=1.0)
        cash = (Collateral(asset="USDC", quantity=0.145 * float(price[0])),)
        one = msgspec.structs.replace(accounts_of("derive-srm", 0, 1)[0], positions=(sold,), collateral=cash)
        book = book_of([one], price)
        p = prior.probability(book, price, state, book.arrays.account_call_factor)[0]
        assert 0.05 < p[2] < 0.95
        later.append(p[3] - p[2])
    assert later[0] < 0.1 * later[1]
