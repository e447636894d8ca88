"""Nested simulation: the rule of the labels, no noise in the Bayes loss."""

from datetime import UTC, datetime

import numpy as np
import pytest

from models.account import Account, Collateral, Position
from models.book import Book
from models.errors import InputError
from models.typing import DAY_NS, HOUR_NS
from training.accounts import draw_accounts
from training.benchmark.law import Law
from training.benchmark.market import HOURS, Futures, draw_market
from training.benchmark.truth import (
    Truth,
    bayes_loss,
    breaches,
    counted,
    counted_loss,
    entropy,
    expected_loss,
    nested,
)
from training.labels import label


@pytest.fixture(scope="module")
def market():
    return draw_market(Law(assets=("BTC", "ETH")), days=150, seed=2)


def book_of(market, instants, per_instant):
    people = draw_accounts(market.panel, "generic-linear", instants, per_instant, 1)
    return Book.from_columns(people.accounts, people.positions, people.collateral, market.panel.assets)[0]


def test_the_real_future_laid_out_as_one_gives_the_labels(market):
    panel = market.panel
    called = 0
    for day in range(60, 140, 5):
        as_of = panel.start + day * DAY_NS + day % 24 * HOUR_NS
        book = book_of(market, np.array([as_of]), 25)
        row = int(panel.row_after(as_of))
        bars = np.stack([panel.open, panel.high, panel.low, panel.close])[:, :, None, row : row + HOURS]
        # the same future four times: what is laid before and behind must not matter
        futures = Futures(
            np.tile(bars, (1, 1, 4, 1)), np.tile(panel.funding_rate[:, None, row : row + HOURS], (1, 4, 1))
        )
        hit = breaches(book, futures, panel.assets)
        truth = label(book, panel).y
        np.testing.assert_array_equal(hit, np.repeat(truth[:, None], 4, axis=1))
        called += int(truth[:, 0].sum())
    assert called > 20


def test_the_share_of_calls_is_what_the_truth_says(market):
    instants = market.panel.start + np.arange(40 * 24, 146 * 24, 13) * HOUR_NS
    book = book_of(market, instants, 12)
    truth = nested(market, book, 40, 20)
    seen = label(book, market.panel)
    assert seen.usable.all()
    _, group = np.unique(book.as_of, return_inverse=True)
    for k in range(4):
        off = np.bincount(group, seen.y[:, 0, k] - truth.p[:, 0, k])
        # instants of three days overlap: count them as one
        blocks = np.add.reduceat(off, np.arange(0, len(off), 6))
        assert abs(blocks.sum()) < 4.0 * np.sqrt((blocks**2).sum())
    assert (np.diff(truth.p, axis=2) >= 0).all()
    assert (truth.p[:, 1] <= truth.p[:, 0]).all()


def test_more_futures_and_other_chunks_agree(market):
    book = book_of(market, market.panel.start + np.array([100, 120]) * DAY_NS, 20)
    one, two = nested(market, book, 200, 100), nested(market, book, 200, 100)
    np.testing.assert_array_equal(one.one, two.one)
    np.testing.assert_array_equal(one.both, two.both)
    more = nested(market, book, 800, 200)
    spread = np.sqrt(more.p * (1 - more.p) / 200)
    assert (np.abs(one.p - more.p) <= 5.0 * spread + 0.02).all()
    assert one.p.shape == (len(book), 2, 4)


def test_accounts_whose_value_needs_more_than_prices_are_refused(market):
    future = Position(symbol="BTC/USDT:USDT-210601", quantity=0.1, entry_price=40_000.0)
    account = Account(
        account_id="a", as_of=datetime(2021, 5, 30, tzinfo=UTC), ruleset="generic-linear", currency="USDT",
        collateral=(Collateral(asset="USDT", quantity=9e3),), positions=(future,),
    )  # fmt: skip
    book, failures = Book.from_accounts([account], market.panel.assets)
    assert not failures
    with pytest.raises(InputError, match="expiries"):
        nested(market, book, 4, 4)


@pytest.mark.parametrize("p", [0.002, 0.02, 0.3])
def test_the_jackknife_takes_the_noise_out_of_the_entropy(p):
    rng = np.random.default_rng(0)
    pairs, repeats = 1000, 20_000
    # antithetic pairs that seldom breach together
    both, one = 0.3 * p, 1.4 * p
    counts = rng.multinomial(pairs, [both, one, 1 - both - one], size=repeats)
    found = bayes_loss(counts[:, 1], counts[:, 0], pairs)
    noise = 4.0 * found.std() / np.sqrt(repeats)
    truth = float(entropy(np.array([p]))[0])
    plain = entropy((counts[:, 1] + 2.0 * counts[:, 0]) / (2.0 * pairs)).mean()
    assert abs(found.mean() - truth) < noise + 0.1 * (truth - plain)
    assert plain < truth - 1e-4


def test_the_expected_loss_is_linear_in_the_truth_and_least_at_it():
    q = np.array([0.2, 0.2, 0.2])
    found = expected_loss(q, np.array([0.0, 0.5, 1.0]))
    assert found[1] == pytest.approx((found[0] + found[2]) / 2)
    grid = np.linspace(0.01, 0.99, 99)
    at = expected_loss(grid, np.full(99, 0.37))
    assert grid[at.argmin()] == pytest.approx(0.37)
    assert at.min() == pytest.approx(float(entropy(np.array([0.37]))[0]))


@pytest.mark.parametrize("p", [0.01, 0.2])
def test_a_counted_forecast_loses_nothing_to_the_noise_of_its_count(p):
    rng = np.random.default_rng(3)
    pairs, repeats, believed = 400, 20_000, 1.3 * p
    alike = 0.3 * believed
    counts = rng.multinomial(pairs, [alike, 2 * (believed - alike), 1 - 2 * believed + alike], size=repeats)
    seen = Truth(*(np.tile(c[:, None, None], (1, 2, 4)) for c in (counts[:, 1], counts[:, 0])), pairs)
    start, truth = np.full((repeats, 4), believed), np.full((repeats, 4), p)
    found = counted_loss(seen, truth, start)
    wanted = expected_loss(np.array([believed]), np.array([p]))[0]
    plain = expected_loss(counted(seen, start), truth).mean()
    assert plain > wanted + 5e-5
    assert found.mean() == pytest.approx(
        wanted, abs=4.0 * found[:, 0].std() / np.sqrt(repeats) + 0.1 * (plain - wanted)
    )


def test_no_count_says_that_a_call_cannot_come():
    none = Truth(np.zeros((1, 2, 4), np.int64), np.zeros((1, 2, 4), np.int64), 10)
    np.testing.assert_allclose(counted(none, np.full((1, 4), 0.11)), 0.01)


def test_the_truth_of_counts_and_its_bounds():
    truth = Truth(np.array([[[2, 0, 0, 0]] * 2]), np.array([[[1, 0, 4, 0]] * 2]), 4)
    assert truth.p[0, 0].tolist() == [0.5, 0.0, 1.0, 0.0]
    assert truth.bayes_loss()[0, 0, 1:].tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(InputError, match="pairs"):
        bayes_loss(np.array([1]), np.array([0]), 1)
