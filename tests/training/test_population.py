"""The sampled population: reproducible, alive, within the ruleset, blind to the future."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from features.sources import simulate_market
from models.book import Book
from models.errors import InputError
from models.instrument import parse_symbol
from models.margin.levels import margin_levels
from models.margin.rulesets import load_ruleset, ruleset_names
from models.margin.rulesets.loader import ruleset_model
from models.typing import DAY_NS
from tests.training.markets import HOUR, START, market
from training._rules import RuleTable
from training.population import TYPES, sample_population

LINEAR = [k for k in TYPES if k.regime == "linear"]
SETTLED = {"hyperliquid": "USDC", "dydx-v4": "USDC", "drift-v2": "USDC", "synthetix-v3": "USDC", "mango-v4": "USDC"}
PERPETUALS = ("linear", "vega", "synthetix", "dydx", "drift", "mango")


@pytest.fixture(scope="module")
def panel():
    return market(90)


@pytest.fixture(scope="module")
def instants(panel):
    return panel.start + np.arange(24 * 35, 24 * 85, 11) * HOUR


@pytest.fixture(scope="module", params=["generic-linear", "binance-usdm"])
def population(panel, instants, request):
    return sample_population(panel, request.param, instants, 60, seed=5)


def test_every_account_is_good_and_above_its_call_level(panel, population):
    book, failures = Book.from_columns(population.accounts, population.positions, population.collateral, panel.assets)
    assert failures == []
    price = panel.close.T[panel.row_closed(book.as_of)]
    assert (margin_levels(book, price).gap_call > 0).all()


def test_each_instant_has_its_accounts_in_order(population, instants):
    as_of = population.accounts["as_of"]
    assert (np.diff(as_of) >= 0).all()
    found, counts = np.unique(as_of, return_counts=True)
    assert found.tolist() == instants.tolist()
    assert counts.max() == 60
    assert counts.mean() > 50
    assert len(set(population.accounts["account_id"])) == len(population)


def test_the_mixture_is_as_documented(population):
    shares = np.bincount(population.kind, minlength=len(LINEAR)) / len(population)
    assert shares == pytest.approx([k.share for k in LINEAR], abs=0.04)
    legs = np.bincount(population.positions["row"], minlength=len(population))
    assert (legs == 1).mean() == pytest.approx(0.64, abs=0.06)
    for code, kind in enumerate(LINEAR):
        mine = legs[population.kind == code]
        assert mine.min() == kind.legs[0]
        assert mine.max() <= kind.legs[1]


def test_leverage_stays_within_what_the_first_tier_allows(panel, population):
    book, _ = Book.from_columns(population.accounts, population.positions, population.collateral, panel.assets)
    b = book.arrays
    assert (b.leg_initial_rate > 0).all()
    levels = margin_levels(book, panel.close.T[panel.row_closed(book.as_of)])
    assert (levels.maintenance <= levels.call).all()


def test_treasuries_hold_coins_on_both_sides(population):
    rows = np.flatnonzero(population.kind == 4)
    coins = {
        r
        for r, a in zip(population.collateral["row"], population.collateral["asset"], strict=True)
        if a in ("BTC", "ETH")
    }
    assert len(coins.intersection(rows)) == len(rows)
    side = np.sign(population.positions["quantity"][np.isin(population.positions["row"], rows)])
    assert 0.2 < (side > 0).mean() < 0.8


def test_the_seed_decides(panel, instants):
    one, two, other = (sample_population(panel, "generic-linear", instants[:9], 20, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.positions["quantity"], two.positions["quantity"])
    assert len(one.positions["quantity"]) != len(other.positions["quantity"]) or not np.array_equal(
        one.positions["quantity"], other.positions["quantity"]
    )


def test_nothing_after_the_instant_is_read(panel, instants):
    before = sample_population(panel, "generic-linear", instants[:3], 40, 3)
    row = int(panel.row_closed(int(instants[2])))
    changed = panel.close.copy()
    changed[:, row + 1 :] *= 3.0
    after = sample_population(replace(panel, close=changed), "generic-linear", instants[:3], 40, 3)
    for name in ("quantity", "entry_price", "symbol"):
        np.testing.assert_array_equal(before.positions[name], after.positions[name])
    np.testing.assert_array_equal(before.collateral["quantity"], after.collateral["quantity"])


def test_an_asset_without_a_price_is_not_held(panel, instants):
    close = panel.close.copy()
    close[1] = np.nan
    found = sample_population(replace(panel, close=close), "generic-linear", instants[:5], 50, 0)
    assert not any(s.startswith("ETH") for s in found.positions["symbol"])
    assert "ETH" not in set(found.collateral["asset"])


def test_pieces_hold_whole_instants_and_all_accounts(population):
    pieces = list(population.chunks(500))
    assert sum(len(p) for _, p in pieces) == len(population)
    seen = [set(p.accounts["as_of"]) for _, p in pieces]
    assert sum(map(len, seen)) == len(set().union(*seen))
    rows, piece = pieces[1]
    np.testing.assert_array_equal(piece.accounts["account_id"], population.accounts["account_id"][rows])
    held = np.isin(population.positions["row"], rows)
    np.testing.assert_array_equal(piece.positions["quantity"], population.positions["quantity"][held])


def test_consecutive_accounts_are_those_that_are_taken_one_by_one(population):
    some, same = population.between(130, 517), population.take(np.arange(130, 517))
    for name in ("accounts", "positions", "collateral"):
        one, other = getattr(some, name), getattr(same, name)
        assert list(one) == list(other)
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])
    assert some.kind.tolist() == same.kind.tolist()


def test_tables_out_of_the_order_of_their_accounts_are_refused(population):
    turned = {name: column[::-1] for name, column in population.positions.items()}
    with pytest.raises(InputError, match=r"positions\.row: expected positions in the order of their accounts"):
        replace(population, positions=turned)


def test_bad_arguments_are_refused(panel, instants):
    with pytest.raises(InputError, match="per_instant"):
        sample_population(panel, "generic-linear", instants, 0, 0)
    with pytest.raises(InputError, match="instants"):
        sample_population(panel, "generic-linear", instants[::-1], 5, 0)


@pytest.mark.parametrize("ruleset", [name for name in ruleset_names() if ruleset_model(name) in PERPETUALS])
def test_every_ruleset_of_linear_perpetuals_gives_accounts_that_its_own_rules_take(ruleset):
    panel = simulate_market(("BTC", "ETH"), days=100, seed=1)
    drawn = sample_population(panel, ruleset, np.array([panel.end]), 30, seed=1)
    book, failures = Book.from_columns(drawn.accounts, drawn.positions, drawn.collateral, panel.assets)
    assert failures == []
    assert len(book) == 30
    settled = {parse_symbol(s).settle for s in drawn.positions["symbol"]}
    assert settled == set(drawn.accounts["currency"])
    assert settled == {SETTLED.get(ruleset, "USDT")}


def test_initial_margin_that_a_venue_publishes_bounds_leverage():
    """Mango asks for a fifth of the notional of BTC: leverage of five is the most."""
    rules = RuleTable("mango-v4", ("BTC", "ETH"), np.array([START]))
    allowed = rules.max_leverage(np.zeros(2, np.int64), np.array([0, 1]), np.array([1e4, 1e4]))
    assert allowed.tolist() == [pytest.approx(5.0), pytest.approx(5.0)]


def test_leverage_of_coin_margined_contracts_falls_with_their_size_in_coins():
    rules = RuleTable("binance-coinm", ("BTC",), np.array([START]), inverse=True)
    nothing = np.zeros(3, np.int64)
    allowed = rules.max_leverage(nothing, nothing, np.array([1.0, 30.0, 600.0]))
    assert allowed.tolist() == [125.0, 20.0, 3.0]
    assert rules.ratio(np.array([0])).tolist() == [1.0]
    assert rules.call_ratio.tolist() == [0.8]


def test_leverage_is_that_of_the_version_of_each_row_and_of_each_asset():
    """What is asked for in any order, over two versions and two assets, is what one position at a time is told."""
    as_of = np.array([START, START + 400 * DAY_NS])
    rules = RuleTable("binance-usdm", ("BTC", "LTC"), as_of)
    rows, assets, sizes = np.array([1, 0, 1, 0, 1]), np.array([1, 1, 0, 0, 1]), np.array([1e3, 2e6, 5e7, 3e5, 4e6])
    one = [float(rules.max_leverage(rows[[i]], assets[[i]], sizes[[i]])[0]) for i in range(5)]
    assert rules.max_leverage(rows, assets, sizes).tolist() == one
    assert one[0] > one[4]  # more of it, less leverage
    tiers = load_ruleset("binance-usdm", datetime.fromtimestamp(as_of[0] / 1e9, UTC)).tier("LTC/USDT:USDT")
    slot = int(np.searchsorted(tiers.floor, 2e6, side="right")) - 1
    assert one[1] == min(tiers.max_leverage[slot], 0.7 / tiers.rate[slot])


def test_an_asset_that_is_no_collateral_counts_for_nothing():
    assert RuleTable("hyperliquid", ("BTC",), np.array([START])).ratio(np.array([0])).tolist() == [0.0]
