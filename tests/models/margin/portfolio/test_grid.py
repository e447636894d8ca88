"""Grids of replay: never wrong by more than they say, and no call, liquidation or amount depends on them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from numba import njit
from numpy.polynomial.hermite_e import hermeval

from models.account import Account, Collateral, Position
from models.book import Book
from models.margin._direct import _unit
from models.margin._direct_plan import DirectPlan, Walked, build_plan, own_copies
from models.margin._extremes import Extremes, build_extremes
from models.margin._gridded import ALLOWED, forget_grids, room_for
from models.margin.portfolio._grid import GridRoom
from models.margin.portfolio._nodes import _HERMITE, _LEBESGUE, MOST_FORWARDS, chebyshev_node, set_weights
from models.margin.replay import replay
from models.margin.valuation import Volatility, valued
from models.market import MarketPanel
from models.typing import FloatArray, IntArray
from tests.models.builders import AS_OF, AS_OF_NS

RULESETS = ("deribit-pm", "okx-pm", "derive-pmrm2", "paradex-pm")
COIN = ("deribit-pm", "okx-pm")
BARS = 24
BOOKS = 1000
START = np.array([84_000.0, 2_200.0])
LEVEL = np.array([0.55, 0.75])
ASSETS = ("BTC", "ETH")


def random_panel(rng: np.random.Generator, size: float, implied: bool) -> MarketPanel:
    """Hourly bars with jumps, and an implied volatility that changes every six hours."""
    steps = size * rng.standard_normal((2, BARS)) * (1.0 + 5.0 * (rng.random((2, BARS)) < 0.04))
    close = START[:, None] * np.exp(np.cumsum(steps, axis=1))
    open_ = np.column_stack([START, close[:, :-1]]) * np.exp(0.05 * size * rng.standard_normal((2, BARS)))
    high = np.maximum(open_, close) * np.exp(size * rng.random((2, BARS)))
    low = np.minimum(open_, close) * np.exp(-size * rng.random((2, BARS)))
    panel = MarketPanel(
        ASSETS, 60, AS_OF_NS, open_, high, low, close, np.ones((2, BARS)), np.zeros((2, BARS)), ("simulated",) * 2, None
    )
    if not implied:
        return panel
    level = LEVEL[:, None] * np.exp(0.1 * np.repeat(rng.standard_normal((2, BARS // 6)), 6, axis=1))
    level[:, 0] = LEVEL
    return replace(panel, implied=level)


def random_account(rng: np.random.Generator, i: int, funds: float) -> Account:
    """One to 24 options on one or both assets, with perpetuals and futures beside them."""
    ruleset = RULESETS[i % len(RULESETS)]
    coin = ruleset in COIN
    held: dict[str, Position] = {}
    for _ in range(rng.integers(1, 25)):
        a = int(rng.random() < 0.3)
        settle = ASSETS[a] if coin else "USD"
        expiry = AS_OF + timedelta(days=round(float(np.exp(rng.uniform(0.0, np.log(250.0))))))
        strike = round(float(START[a] * np.exp(0.2 * rng.standard_normal())), -2)
        contract = ("C", "P", "", "F")[rng.choice(4, p=[0.45, 0.45, 0.05, 0.05])]
        pair = f"{ASSETS[a]}/USD:{settle}"
        symbol = f"{pair}-{expiry:%y%m%d}-{strike:.0f}-{contract}" if contract in "CP" and contract else pair
        if contract == "F":
            symbol = f"{pair}-{expiry:%y%m%d}"
        quantity = float(rng.normal() * (10.0 if a else 1.0) * (START[a] if coin and contract in ("", "F") else 1.0))
        held[symbol] = Position(symbol=symbol, quantity=quantity, entry_price=float(START[a]))
    currency = "BTC" if coin else "USDC"
    return Account(
        account_id=f"a{i}",
        as_of=AS_OF,
        ruleset=ruleset,
        currency=currency,
        collateral=(Collateral(asset=currency, quantity=funds * (1.0 if coin else float(START[0]))),),
        positions=tuple(held.values()),
    )


def random_book(rng: np.random.Generator, n: int, funds: tuple[float, float]) -> Book:
    accounts = []
    while len(accounts) < n:
        accounts.append(random_account(rng, len(accounts), float(np.exp(rng.uniform(*np.log(funds))))))
    book, failures = Book.from_accounts(accounts, ASSETS)
    assert not failures, failures[0]
    return valued(book, START, Volatility(LEVEL))


@njit(cache=True)
def walk(
    w: Walked,
    t: Extremes,
    d: DirectPlan,
    g: GridRoom,
    account: IntArray,
    found: FloatArray,
) -> int:
    """Equity, maintenance, both again by the rule, and the bounds of the two errors; how many looks used a grid."""
    price, gridded = np.full(2, np.nan), 0
    for u in range(len(account)):
        forget_grids(g)
        for bar in range(t.close.shape[1]):
            for point in range(4):
                for a in range(2):
                    prices = (t.open[a, bar], t.low[a, bar], t.high[a, bar], t.close[a, bar])
                    price[a] = prices[point]
                hours = float(bar + (1 if point == 3 else 0))
                n, end = account[u], t.close.shape[1]
                one = _unit(w, t, d, g, u, n, bar, end, hours, price, True)
                two = _unit(w, t, d, g, u, n, bar, end, hours, price, False)
                found[u, 4 * bar + point, 0], found[u, 4 * bar + point, 1] = one[0], one[1]
                found[u, 4 * bar + point, 2], found[u, 4 * bar + point, 3] = two[0], two[1]
                found[u, 4 * bar + point, 4], found[u, 4 * bar + point, 5] = one[3], one[4]
                gridded += one[3] > 0.0
    return gridded


@pytest.mark.parametrize(("seed", "size", "implied"), [(1, 0.004, False), (2, 0.012, True)])
def test_a_grid_is_never_wrong_by_more_than_it_says(seed: int, size: float, implied: bool) -> None:
    rng = np.random.default_rng(seed)
    book, panel = random_book(rng, BOOKS // 2, (5.0, 50.0)), random_panel(rng, size, implied)
    used = np.ones(2, np.bool_)
    tables = build_extremes(panel, book.assets, used)
    plan = build_plan(book, panel, panel, np.zeros(book.n_units, np.bool_))
    found = np.empty((book.n_units, 4 * BARS, 6))
    gridded = walk(own_copies(book), tables, plan, room_for(book), book.unit_account(), found)
    equity, need, exact_equity, exact_need, need_bound, value_bound = np.moveaxis(found, 2, 0)
    assert gridded > 0.5 * need.size
    assert len(book) == BOOKS // 2
    rounding = 1e-10 * (np.abs(exact_equity) + exact_need)
    off, wrong = np.abs(equity - exact_equity), np.abs(need - exact_need)
    assert (off <= value_bound + rounding).all()
    assert (wrong <= need_bound + rounding).all()
    assert (off + wrong <= ALLOWED * exact_need + rounding).all()
    assert (off + wrong).max() > 0.0


@pytest.mark.parametrize("mode", ["synchronous", "adverse"])
def test_no_call_depends_on_a_grid(mode: str) -> None:
    rng = np.random.default_rng(3)
    book, panel = random_book(rng, 300, (0.02, 5.0)), random_panel(rng, 0.012, implied=True)
    by_grid = replay(book, panel, 60 * BARS, mode, n_threads=2)
    by_rule = replay(book, panel, 60 * BARS, mode, revalue=True)
    for name in ("minutes_to_call", "minutes_to_liquidation", "call_amount"):
        np.testing.assert_array_equal(getattr(by_grid, name), getattr(by_rule, name), err_msg=name)
    called = np.isfinite(by_rule.minutes_to_call)
    assert 0.1 < called.mean() < 0.95
    assert (by_grid.worst_gap != by_rule.worst_gap).mean() > 0.1


def test_chebyshev_weights_give_polynomials_back() -> None:
    out = np.empty(MOST_FORWARDS)
    for n in range(1, MOST_FORWARDS + 1):
        nodes = np.array([chebyshev_node(n, k) for k in range(n)])
        for x in (-1.0, -0.3, 0.0, 0.77, 1.0, float(nodes[0])):
            set_weights(n, x, out)
            assert out[:n] @ nodes ** (n - 1) == pytest.approx(x ** (n - 1), abs=1e-12)


def test_tables_of_the_bounds_are_what_they_say() -> None:
    at = np.linspace(-1.0, 1.0, 4001)
    out = np.empty(MOST_FORWARDS)
    for n in range(1, MOST_FORWARDS + 1):
        most = 0.0
        for x in at:
            set_weights(n, x, out)
            most = max(most, float(np.abs(out[:n]).sum()))
        assert most <= _LEBESGUE[n] < most + 2e-3
    d = np.linspace(0.0, 8.0, 80_001)
    density = np.exp(-0.5 * d * d) / np.sqrt(2.0 * np.pi)
    for m, bound in enumerate(_HERMITE):
        most = float(np.abs(hermeval(d, [0.0] * m + [1.0]) * density).max())
        assert most <= bound < most + 1e-4
