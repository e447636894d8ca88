"""Sheets: exact at the price of now, close to the rule elsewhere, and where their barriers lie."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.account import Account, Collateral, Position
from models.book import Book, BookArrays
from models.errors import InputError
from models.margin.block_models import block_margin
from models.margin.blocks import BlockArrays, own_blocks
from models.margin.levels import margin_levels
from models.margin.linear import barriers, unit_gap
from models.margin.sheets import MIDDLE, NODES, SLICES, node_move, set_slices, sheet_at, sheet_value
from models.margin.valuation import Volatility, valued
from tests.models.builders import AS_OF
from tests.models.regime_rules import tight
from tests.models.regimes import ASSETS, LEVEL, MARKET, PRICE, accounts_of, book_of

RULESETS = (
    "deribit-standard", "derive-srm", "us-regt", "deribit-pm", "derive-pmrm2", "okx-pm", "paradex-pm", "fhs-margin",
)  # fmt: skip
NEAR = timedelta(days=4)
"""So much later 44 hours are left to the nearest expiry of the random accounts."""
ERROR = (3e-4, 0.03, 1.0)
"""Of the gap, over its requirement and a hundredth of the position: median, 99 of 100, and the largest, which is at
strikes far out, where nodes are wide, just before an expiry.
"""


def valued_book(name: str, later: timedelta = timedelta()) -> tuple[Book, BlockArrays]:
    """Return a book of random accounts with sheets, and blocks that the rule may be asked for."""
    accounts = [msgspec.structs.replace(a, as_of=AS_OF + later) for a in accounts_of(name, 11, 30)]
    book = book_of(accounts)
    assert book.blocks is not None
    return book, own_blocks(book.blocks)


@pytest.mark.parametrize("name", RULESETS)
def test_a_sheet_is_exact_at_the_price_of_now(name: str) -> None:
    book, b = valued_book(name)
    a = book.arrays
    for i in range(len(a.sheet_asset)):
        now = float(a.sheet_now[i])
        rule = block_margin(b, i, now, 1.0, 0.0)
        rows = a.sheet_equity[i, 0], a.sheet_maintenance[i, 0], a.sheet_initial[i]
        assert [sheet_value(now, row, now) for row in rows] == pytest.approx(rule, rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("name", RULESETS)
def test_between_nodes_and_hours_the_gap_is_close_to_the_rule(name: str) -> None:
    """A thousand prices within 40% and hours within 72, half of them with an expiry inside."""
    rng, found = np.random.default_rng(0), []
    for later in (timedelta(), NEAR):
        book, b = valued_book(name, later)
        a = book.arrays
        for i in rng.integers(0, len(a.sheet_asset), 500):
            now = float(a.sheet_now[i])
            price, hours = now * float(np.exp(rng.uniform(-0.4, 0.4))), float(rng.uniform(0.0, 72.0))
            value, need, _ = block_margin(b, i, price, 1.0, hours)
            equity = sheet_at(now, a.sheet_hours[i], a.sheet_equity[i], price, hours)
            held = sheet_at(now, a.sheet_hours[i], a.sheet_maintenance[i], price, hours)
            miss = abs((equity - 1.25 * held) - (value - 1.25 * need))
            found.append(miss / (need + 0.01 * a.sheet_gross[i] * price))
    assert len(found) == 1000
    for share, bound in zip((0.5, 0.99, 1.0), ERROR, strict=True):
        assert np.quantile(found, share) < bound


@given(st.lists(st.floats(0.0, 100.0), max_size=6))
def test_slices_rise_and_hold_the_next_expiries(hours: list[float]) -> None:
    expiries, out = np.sort(np.array(hours, np.float64)), np.empty(SLICES)
    set_slices(expiries, out)
    assert (out[0], out[-1]) == (0.0, 72.0)
    assert (np.diff(out) >= 0.0).all()
    inside = [x for x in expiries.tolist() if 1e-3 < x < 72.0][:3]
    for x in inside:
        assert x in out
        assert x - 1e-3 in out
    if len(inside) < 3:
        assert np.diff(out).max() <= 48.0


def test_slices_without_an_expiry_are_the_common_hours() -> None:
    out = np.empty(SLICES)
    set_slices(np.array([200.0]), out)
    assert out.tolist() == [0.0, 2.0, 6.0, 12.0, 24.0, 36.0, 48.0, 72.0]


def test_a_requirement_ends_with_its_option_and_not_before() -> None:
    """One short call, 44 hours before its expiry."""
    position = Position(symbol="BTC/USDC:USDC-250307-90000-C", quantity=-1.0, entry_price=1.0)
    book = book_of([_account([position], 1e5, AS_OF + NEAR)])
    a = book.arrays
    at = [
        sheet_at(float(PRICE[0]), a.sheet_hours[0], a.sheet_maintenance[0], 84_000.0, h)
        for h in (0.0, 43.9, 44.0, 60.0)
    ]
    assert at[1] > 0.9 * 0.09 * 84_000.0
    assert at[2] == pytest.approx(0.0, abs=1e-6)
    assert at[3] == pytest.approx(0.0, abs=1e-6)


def _account(positions: list[Position], cash: float, as_of: object = AS_OF, name: str = "derive-srm") -> Account:
    balance = (Collateral(asset="USDC", quantity=cash),)
    return Account(
        account_id="a", as_of=as_of, ruleset=name, currency="USDC", collateral=balance, positions=tuple(positions)
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["derive-srm", "deribit-standard", "paradex-pm", "us-regt"])
@pytest.mark.parametrize("factor", [1.0, 1.25])
def test_barriers_are_the_nearest_roots_of_the_gap(name: str, factor: float) -> None:
    """Between the barriers no price breaches; at a barrier the gap changes its sign."""
    rng, accounts = np.random.default_rng(2), accounts_of(name, 5, 60)
    mine = [
        msgspec.structs.replace(a, positions=tuple(p for p in a.positions if p.symbol[:3] == "BTC")) for a in accounts
    ]
    book = book_of([tight(a, PRICE, LEVEL, rng) for a in mine if a.positions])
    a, seen = book.arrays, 0
    for u in range(book.n_units):
        if a.unit_sheet[u + 1] == a.unit_sheet[u]:
            continue
        lower, upper = barriers(a, u, factor, 0, PRICE)
        if unit_gap(a, u, factor, PRICE) < 0.0:
            assert (lower, upper) == (np.inf, 0.0)
            continue
        assert lower < PRICE[0] < upper
        for root, inwards in ((lower, 1.0 + 1e-5), (upper, 1.0 - 1e-5)):
            if 0.0 < root < np.inf:
                seen += 1
                assert _gap(a, u, factor, root) <= 0.0 <= _gap(a, u, factor, root * inwards)
        reach = np.log([max(lower, 0.3 * PRICE[0]), min(upper, 3.0 * PRICE[0])])
        inside = np.exp(np.linspace(*reach, 41))[1:-1]
        assert min(_gap(a, u, factor, p) for p in inside) > -1e-4 * a.sheet_gross[a.unit_sheet[u]] * PRICE[0]
    assert seen > 10


def _gap(a: BookArrays, u: int, factor: float, price: float) -> float:
    return float(unit_gap(a, u, factor, np.array([price, PRICE[1]])))


def test_nodes_are_symmetric_and_dense_in_the_middle() -> None:
    moves = np.array([node_move(i) for i in range(NODES)])
    assert moves[MIDDLE] == 0.0
    assert moves == pytest.approx(-moves[::-1], abs=1e-15)
    assert np.diff(moves)[MIDDLE] < 0.007
    assert moves[-1] == pytest.approx(1.3)


def test_beyond_the_ends_a_sheet_goes_on_and_without_a_price_it_is_unknown() -> None:
    row = np.array([3.0 * node_move(i) for i in range(NODES)])
    for x in (-3.0, -1.4, 0.01, 2.5):
        assert sheet_value(100.0, row, 100.0 * np.exp(x)) == pytest.approx(3.0 * x)
    assert np.isnan(sheet_value(100.0, row, np.nan))


def test_an_underlying_without_a_price_makes_its_accounts_unknown_only() -> None:
    both = [_account([Position(symbol=f"{a}/USDC:USDC-250627-{k}-C", quantity=-1.0, entry_price=1.0)], 1e5)
            for a, k in (("BTC", 84_000), ("ETH", 2_200))]  # fmt: skip
    bare, _ = Book.from_accounts(both, ASSETS)
    price = np.array([84_000.0, np.nan])
    found = margin_levels(valued(bare, price, MARKET), price)
    assert found.state_names()[1] == "unknown"
    assert np.isfinite(found.maintenance[0])
    assert np.isnan(found.maintenance[1])


def test_volatilities_that_are_stated_are_kept_and_others_follow_the_level() -> None:
    stated, open_ = (
        Position(symbol="BTC/USDC:USDC-250627-84000-C", quantity=-1.0, entry_price=1.0, implied_volatility=v)
        for v in (0.6, None)
    )
    bare, _ = Book.from_accounts([_account([p], 1e5) for p in (stated, open_)], ASSETS)
    calm, wild = (margin_levels(valued(bare, PRICE, Volatility(LEVEL * k)), PRICE).equity for k in (1.0, 1.5))
    assert calm[0] == wild[0]
    assert calm[1] > wild[1] + 1_000.0


def test_volatility_may_answer_to_the_price() -> None:
    """With a positive response a fall lifts volatility: a short put is dearer below, the same now."""
    put = Position(symbol="BTC/USDC:USDC-250627-84000-P", quantity=-1.0, entry_price=1.0, implied_volatility=0.6)
    bare, _ = Book.from_accounts([_account([put], 1e5)], ASSETS)
    flat, moved = (valued(bare, PRICE, Volatility(LEVEL, response=r)).arrays for r in (0.0, 1.0))
    down = np.array([60_000.0, 2_200.0])
    assert unit_gap(moved, 0, 1.25, PRICE) == unit_gap(flat, 0, 1.25, PRICE)
    assert unit_gap(moved, 0, 1.25, down) < unit_gap(flat, 0, 1.25, down) - 500.0


def test_the_size_of_a_sheet_counts_coin_margined_contracts() -> None:
    positions = (
        Position(symbol="BTC/USD:BTC", quantity=-84_000.0, entry_price=84_000.0),
        Position(symbol="BTC/USD:BTC-250627", quantity=168_000.0, entry_price=84_000.0),
        Position(symbol="BTC/USD:BTC-250627-84000-C", quantity=-3.0, entry_price=0.01),
    )
    account = msgspec.structs.replace(_account(list(positions), 1.0, name="deribit-pm"), currency="BTC",
                                      collateral=(Collateral(asset="BTC", quantity=1.0),))  # fmt: skip
    assert book_of([account]).arrays.sheet_gross.tolist() == [6.0]


def test_prices_and_volatilities_must_have_one_shape() -> None:
    bare, _ = Book.from_accounts(accounts_of("derive-srm", 0, 1), ASSETS)
    with pytest.raises(InputError, match="volatility: expected the shape of the prices"):
        valued(bare, PRICE, np.ones((3, 2)))
