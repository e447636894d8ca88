"""Replay against a plain walk of every bar, and the properties that a walk must have."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.book import Book, BookArrays, linear_defaults
from models.errors import InputError
from models.margin.replay import EXTREMES, Replay, replay
from models.market import MarketPanel
from models.typing import MINUTE_NS
from tests.models.margin.replay_oracle import tier_tables, walk_account

ASSETS = ("BTC", "ETH", "SOL")
PRICE = np.array([100.0, 10.0, 1.0])
ARRAYS = ("minutes_to_call", "minutes_to_liquidation", "call_amount", "worst_gap", "gap", "truncated", "bound")


def make_panel(close, spread=0.0, funding=0.0, every=8, assets=ASSETS, bar_minutes=60):
    """Bars around a path of closes: each opens at the close before."""
    close = np.atleast_2d(np.asarray(close, float))
    open_ = np.column_stack([close[:, :1], close[:, :-1]])
    high, low = np.maximum(open_, close) * (1 + spread), np.minimum(open_, close) * (1 - spread)
    rate = np.zeros_like(close)
    rate[:, ::every] = funding
    names = assets[: len(close)]
    sources = ("simulated",) * len(names)
    return MarketPanel(names, bar_minutes, 0, open_, high, low, close, np.ones_like(close), rate, sources)


def random_panel(rng, n_bars, n_assets=3, missing=0.0, funding=0.0, every=8):
    """Correlated random walks with jumps; some bars missing, one of them in part."""
    steps = 0.012 * (rng.standard_normal(n_bars) + rng.standard_normal((n_assets, n_bars)))
    steps += np.where(rng.random((n_assets, n_bars)) < 0.02, 0.15 * rng.standard_normal((n_assets, n_bars)), 0.0)
    panel = make_panel(PRICE[:n_assets, None] * np.exp(np.cumsum(steps, 1)), 0.004, funding, every)
    lost = rng.random((n_assets, n_bars)) < missing
    for price in (panel.open, panel.high, panel.low, panel.close):
        price[lost] = np.nan
    if missing and not lost[0, 3]:
        panel.low[0, 3] = np.nan
    return panel


TABLES = [f"{kind}_{part}" for kind in ("tier", "sched") for part in ("start", "floor", "rate", "offset")]


def make_book(units, as_of, assets=ASSETS, call_factor=1.25):
    """Accounts given as lists of units ``(cash, legs, collateral)``.

    A leg is ``(asset, quantity, entry, leverage, tier)``, collateral ``(asset, quantity, schedule)``.
    """
    flat = [unit for account in units for unit in account]
    legs, colls = [leg for unit in flat for leg in unit[1]], [c for unit in flat for c in unit[2]]
    tiers, schedules = tier_tables()
    leg = np.array(legs, float).reshape(-1, 5).T.copy()
    coll = np.array(colls, float).reshape(-1, 3).T.copy()
    n = len(units)
    tables = dict(zip(TABLES, (*tiers, *schedules), strict=True))
    arrays = BookArrays(
        account_unit=pointer(units), account_call_factor=np.full(n, call_factor),
        account_release_factor=np.full(n, 1.25), unit_cash=np.array([float(u[0]) for u in flat]),
        unit_leg=pointer([u[1] for u in flat]), leg_asset=leg[0].astype(np.int32), leg_quantity=leg[1],
        leg_entry=leg[2], leg_tier=leg[4].astype(np.int32), leg_initial_rate=1 / leg[3],
        unit_coll=pointer([u[2] for u in flat]), coll_asset=coll[0].astype(np.int32), coll_quantity=coll[1],
        coll_schedule=coll[2].astype(np.int32), **tables, **linear_defaults(n, len(flat), leg[1]),
    )  # fmt: skip
    names = np.array([f"a{i}" for i in range(n)], object)
    rules = np.full(n, "generic-linear", object)
    times = np.broadcast_to(np.asarray(as_of, np.int64), n).copy()
    return Book(names, times, rules, assets, arrays, np.full(len(legs), "", object), np.full(len(colls), "", object),
                np.full(n, 120.0))  # fmt: skip


def pointer(groups):
    return np.concatenate([[0], np.cumsum([len(g) for g in groups])]).astype(np.int32)


def one(cash, *legs, collateral=(), as_of=0, assets=ASSETS):
    """A book of one account with a cross unit only."""
    return make_book([[(cash, list(legs), list(collateral))]], as_of, assets)


def random_unit(rng, isolated=False):
    """A unit whose equity is a few percent of its notional, so that some are called soon, some never."""
    n_legs = 1 if isolated else int(rng.integers(0, 5))
    legs = []
    for _ in range(n_legs):
        asset = int(rng.integers(0, 3)) if rng.random() < 0.7 else 0
        notional = float(np.exp(rng.uniform(np.log(2e3), np.log(4e4))))
        quantity = notional / PRICE[asset] * rng.choice([-1, 1])
        legs.append(
            (asset, quantity, PRICE[asset] * rng.uniform(0.97, 1.03), rng.choice([5, 10, 50]), rng.integers(0, 3))
        )
    gross = sum(abs(leg[1]) * leg[2] for leg in legs)
    cash = gross * rng.uniform(0.03, 0.4) if gross else rng.uniform(-5, 50)
    colls = []
    if not isolated and rng.random() < 0.4:
        asset = int(rng.integers(-1, 3))
        value = rng.uniform(300, 6e3)
        colls.append((asset, value / (PRICE[asset] if asset >= 0 else 1.0), rng.integers(0, 3)))
        cash -= 0.7 * value
    return cash, legs, colls


def random_book(rng, n, n_bars):
    units = [[random_unit(rng)] + [random_unit(rng, True) for _ in range(rng.integers(0, 3))] for _ in range(n)]
    as_of = rng.integers(-3 * 60, n_bars * 60, n) * MINUTE_NS
    return make_book(units, as_of, call_factor=rng.choice([1.25, 2.0, 4.0], n))


def same(a, b):
    """Equal to 1e-9 of the size of the books here, NaN at the same places."""
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-7)


def assert_equal(a: Replay, b: Replay, exact: bool = True) -> None:
    for name in ARRAYS:
        left, right = getattr(a, name), getattr(b, name)
        if exact or left.dtype != np.float64:
            np.testing.assert_array_equal(left, right, err_msg=name)
        else:
            same(left, right)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    mode=st.sampled_from(EXTREMES),
    missing=st.sampled_from([0.0, 0.05]),
    funding=st.sampled_from([(0.0, 8), (0.004, 8), (-0.002, 1)]),
    horizon=st.sampled_from([1, 24, 75]),
)
def test_equals_the_plain_walk(seed, mode, missing, funding, horizon):
    rng = np.random.default_rng(seed)
    panel = random_panel(rng, 110, missing=missing, funding=funding[0], every=funding[1])
    book = random_book(rng, 4, 90)
    got = replay(book, panel, horizon * 60, mode)
    for n in range(len(book)):
        want = walk_account(book, n, panel, horizon, mode)
        same(got.minutes_to_call[n], want.call)
        same(got.minutes_to_liquidation[n], want.liquidation)
        same(got.call_amount[n], want.amount)
        same(got.worst_gap[n], want.worst)
        assert got.gap[n] == want.gap
        assert got.truncated[n] == want.truncated


def test_random_books_reach_every_outcome():
    """The comparison above is worth something only while its books are called late, liquidated, left alone, gapped."""
    rng = np.random.default_rng(1)
    panel = random_panel(rng, 110, missing=0.01, funding=0.001)
    got = replay(random_book(rng, 200, 90), panel, 75 * 60)
    late = got.minutes_to_call > 60
    assert late.sum() > 20
    assert np.isnan(got.minutes_to_call).sum() > 20
    assert (np.isfinite(got.minutes_to_call) & np.isnan(got.minutes_to_liquidation)).sum() > 5
    assert 0 < got.gap.sum() < 200
    assert 0 < got.truncated.sum() < 200
    assert set(got.bound) == {"exact", "synchronous"}


def called_no_later(a, b):
    """Whether every row of `a` is called where `b` is, and no later."""
    return bool(np.all(np.isnan(b) | (a <= b)))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_extremes_are_ordered(seed):
    rng = np.random.default_rng(seed)
    panel, book = random_panel(rng, 110, funding=0.001), random_book(rng, 40, 90)
    adverse, middle, close = (replay(book, panel, 60 * 60, mode) for mode in ("adverse", "synchronous", "close"))
    for name in ("minutes_to_call", "minutes_to_liquidation"):
        assert called_no_later(getattr(adverse, name), getattr(middle, name))
        assert called_no_later(getattr(middle, name), getattr(close, name))
    one_price = middle.bound == "exact"
    for name in ("minutes_to_call", "minutes_to_liquidation", "call_amount", "worst_gap"):
        np.testing.assert_array_equal(getattr(adverse, name)[one_price], getattr(close, name)[one_price])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), mode=st.sampled_from(EXTREMES))
def test_liquidation_follows_the_call(seed, mode):
    rng = np.random.default_rng(seed)
    got = replay(random_book(rng, 60, 90), random_panel(rng, 110, funding=0.001), 72 * 60, mode)
    assert called_no_later(got.minutes_to_call, got.minutes_to_liquidation)
    called = np.isfinite(got.minutes_to_call)
    np.testing.assert_array_equal(called, got.worst_gap < 0)
    np.testing.assert_array_equal(called, np.isfinite(got.call_amount))
    assert (got.call_amount[called] > 0).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), mode=st.sampled_from(("synchronous", "close")))
def test_more_cash_is_never_called_earlier(seed, mode):
    rng = np.random.default_rng(seed)
    panel, book = random_panel(rng, 110), random_book(rng, 40, 90)
    richer = with_arrays(book, unit_cash=book.arrays.unit_cash + 50.0)
    assert called_no_later(
        replay(book, panel, 3600, mode).minutes_to_call, replay(richer, panel, 3600, mode).minutes_to_call
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(1.01, 3.0))
def test_larger_positions_are_never_called_later(seed, scale):
    """What is not scaled, cash and collateral, is not negative here."""
    rng = np.random.default_rng(seed)
    panel, book = random_panel(rng, 110, funding=0.001), random_book(rng, 40, 90)
    book = with_arrays(book, unit_cash=np.abs(book.arrays.unit_cash))
    scaled = {name: getattr(book.arrays, name) * scale for name in ("leg_quantity", "leg_size", "leg_funding")}
    bigger = with_arrays(book, **scaled)
    before, after = replay(book, panel, 3600).minutes_to_call, replay(bigger, panel, 3600).minutes_to_call
    assert called_no_later(after, before)


def with_arrays(book, **arrays):
    return replace(book, arrays=book.arrays._replace(**arrays))


def test_many_rows_equal_one_row_and_order_does_not_matter():
    rng = np.random.default_rng(5)
    panel, book = random_panel(rng, 200, missing=0.01, funding=0.001), random_book(rng, 300, 180)
    together = replay(book, panel, 24 * 60)
    for n in range(0, 300, 7):
        assert_equal(replay(book.take([n]), panel, 24 * 60), pick(together, [n]), exact=False)
    shuffled = rng.permutation(300)
    assert_equal(replay(book.take(shuffled), panel, 24 * 60), pick(together, shuffled))
    assert_equal(replay(book, panel, 24 * 60, n_threads=3), together)
    many = replay(book.take(np.tile(np.arange(300), 50)), panel, 24 * 60)
    assert_equal(pick(many, np.arange(14_700, 15_000)), together)


def pick(result, rows):
    return Replay(*(getattr(result, name)[rows] for name in ARRAYS))


def test_extra_levels():
    """The call level again gives the call; levels below liquidation are timed as if nobody liquidated."""
    rng = np.random.default_rng(8)
    panel, book = random_panel(rng, 110, funding=0.001), random_book(rng, 100, 90)
    factors = np.column_stack([book.arrays.account_call_factor, np.ones(100), np.full(100, 4.0), np.full(100, 0.5)])
    plain, got = replay(book, panel, 3600), replay(book, panel, 3600, factors=factors)
    assert plain.minutes is None
    assert_equal(got, plain)
    np.testing.assert_array_equal(got.minutes[:, 0], plain.minutes_to_call)
    np.testing.assert_array_equal(got.minutes[:, 1], plain.minutes_to_liquidation)
    assert called_no_later(got.minutes[:, 2], got.minutes[:, 0])
    assert called_no_later(got.minutes[:, 1], got.minutes[:, 3])
    assert np.isfinite(got.minutes[:, 3]).any()


def test_a_call_by_hand():
    """1 BTC bought at 100 with 11.5: at 89.5 equity is 1.0, maintenance 0.895, the call requirement 1.11875."""
    panel = make_panel([[100.0, 95.0, 90.0, 89.5, 100.0]], assets=("BTC",))
    got = replay(one(11.5, (0, 1.0, 100.0, 10, 0), assets=("BTC",)), panel, 300)
    assert got.minutes_to_call.tolist() == [240.0]
    assert np.isnan(got.minutes_to_liquidation[0])
    np.testing.assert_allclose(got.call_amount, 8.95 - 1.0)
    np.testing.assert_allclose(got.worst_gap, 1.0 - 1.11875)
    assert not got.truncated[0]
    assert got.bound.tolist() == ["exact"]


def test_funding_alone_can_call():
    """A long pays 1% of notional at each stamp: 1.0 is left of 3.0 after two, below the requirement of 1.25."""
    panel = make_panel(np.full((1, 24), 100.0), funding=0.01)
    long = one(3.0, (0, 1.0, 100.0, 10, 0), assets=("BTC",))
    short = one(3.0, (0, -1.0, 100.0, 10, 0), assets=("BTC",))
    assert replay(long, panel, 24 * 60).minutes_to_call.tolist() == [9 * 60.0]
    assert replay(long, panel, 24 * 60).minutes_to_liquidation.tolist() == [17 * 60.0]
    assert np.isnan(replay(short, panel, 24 * 60).minutes_to_call[0])
    later = one(3.0, (0, 1.0, 100.0, 10, 0), assets=("BTC",), as_of=60 * MINUTE_NS)
    assert replay(later, panel, 23 * 60).minutes_to_call.tolist() == [16 * 60.0]


def test_a_hedge_tells_the_extremes_apart():
    """Long BTC and short ETH of one size: both at their lows, or both at their highs, hurt less than one of each."""
    panel = make_panel([[100.0] * 4, [10.0] * 4], spread=0.05, assets=("BTC", "ETH"))
    book = one(8.0, (0, 1.0, 100.0, 10, 0), (1, -10.0, 10.0, 10, 0), assets=("BTC", "ETH"))
    assert replay(book, panel, 240, "adverse").minutes_to_call.tolist() == [60.0]
    assert np.isnan(replay(book, panel, 240, "synchronous").minutes_to_call[0])
    assert replay(book, panel, 240, "adverse").bound.tolist() == ["adverse"]


def test_an_isolated_unit_stops_alone():
    """The isolated position is liquidated in the second bar, the cross position walks on to its own worst gap."""
    panel = make_panel([[100.0, 80.0, 60.0, 60.0]], assets=("BTC",))
    units = [[(50.0, [(0, 1.0, 100.0, 10, 0)], []), (10.0, [(0, 1.0, 100.0, 10, 0)], [])]]
    got = replay(make_book(units, 0, ("BTC",)), panel, 240)
    assert got.minutes_to_call.tolist() == [120.0]
    assert got.minutes_to_liquidation.tolist() == [120.0]
    np.testing.assert_allclose(got.worst_gap, -10 - 1.0)
    richer = [[(12.0, [(0, 1.0, 100.0, 10, 0)], []), (45.0, [(0, 1.0, 100.0, 10, 0)], [])]]
    assert replay(make_book(richer, 0, ("BTC",)), panel, 240).minutes_to_call.tolist() == [120.0]


def test_units_called_together_add_their_amounts():
    panel = make_panel([[100.0, 80.0]], assets=("BTC",))
    unit = (10.0, [(0, 1.0, 100.0, 10, 0)], [])
    alone, both = (replay(make_book([[unit] * n], 0, ("BTC",)), panel, 120) for n in (1, 2))
    np.testing.assert_allclose(both.call_amount, 2 * alone.call_amount)


def test_missing_bars_are_skipped_and_flagged():
    panel = make_panel([[100.0, 80.0, 100.0, 100.0]], assets=("BTC",))
    panel.low[0, 1] = np.nan
    panel.open[0, 2] = 100.0
    panel.low[0, 2] = 100.0
    got = replay(one(10.0, (0, 1.0, 100.0, 10, 0), assets=("BTC",)), panel, 240)
    assert np.isnan(got.minutes_to_call[0])
    assert got.gap.tolist() == [True]
    np.testing.assert_allclose(got.worst_gap, 10 - 1.25)
    assert panel.open[0, 1] == 100.0, "the panel itself is left as it was"


def test_before_and_after_the_data():
    panel = make_panel(np.full((1, 4), 100.0), assets=("BTC",))
    leg = (0, 1.0, 100.0, 10, 0)
    early = replay(one(0.5, leg, assets=("BTC",), as_of=-120 * MINUTE_NS), panel, 240)
    assert (early.minutes_to_call[0], early.gap[0], early.truncated[0]) == (180.0, True, False)
    late = replay(one(0.5, leg, assets=("BTC",), as_of=panel.end), panel, 240)
    assert np.isnan([late.minutes_to_call[0], late.worst_gap[0], late.call_amount[0]]).all()
    assert late.truncated.tolist() == [True]
    inside = replay(one(20.0, leg, assets=("BTC",), as_of=60 * MINUTE_NS), panel, 240)
    assert inside.truncated.tolist() == [True]
    assert not replay(one(20.0, leg, assets=("BTC",)), panel, 240).truncated[0]


def test_an_asset_without_bars_is_flagged_and_harms_no_other_row():
    panel = make_panel([[100.0, 80.0], [10.0, 10.0]], assets=("BTC", "ETH"))
    units = [[(10.0, [(0, 1.0, 100.0, 10, 0)], [])], [(10.0, [(2, 1.0, 100.0, 10, 0)], [])]]
    got = replay(make_book(units, 0), panel, 120)
    assert got.gap.tolist() == [False, True]
    assert got.minutes_to_call[0] == 120.0
    assert np.isnan(got.worst_gap[1])


def test_assets_in_another_order_than_the_panel():
    rng = np.random.default_rng(3)
    panel, book = random_panel(rng, 110), random_book(rng, 30, 90)
    assert_equal(replay(book, panel.select(("SOL", "BTC", "ETH")), 3600), replay(book, panel, 3600))


def test_no_accounts():
    empty = random_book(np.random.default_rng(0), 3, 10).take([])
    got = replay(empty, make_panel(np.full((3, 4), 100.0)), 240, factors=np.zeros((0, 2)))
    assert len(got) == 0
    assert got.minutes.shape == (0, 2)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"extremes": "worst"}, "extremes"),
        ({"horizon_minutes": 59}, "horizon_minutes"),
        ({"n_threads": 0}, "n_threads"),
        ({"factors": np.ones((2, 1))}, "factors"),
        ({"factors": np.ones(1)}, "factors"),
        ({"factors": np.full((1, 1), -0.1)}, "factors"),
        ({"factors": np.full((1, 1), np.nan)}, "factors"),
    ],
)
def test_refused_arguments(arguments, field):
    with pytest.raises(InputError, match=f"^{field}: expected"):
        replay(one(10.0, (0, 1.0, 100.0, 10, 0)), make_panel(np.full((3, 4), 100.0)), **arguments)
