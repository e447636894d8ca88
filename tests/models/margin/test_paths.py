"""Paths of equity and maintenance: what replay judges, at every point, and beyond a breach."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import InputError
from models.margin.paths import margin_paths
from models.margin.replay import replay
from tests.models.builders import account, book, panel, position
from tests.models.margin.test_replay import random_book, random_panel

BARS = 60


def first_breach(paths, b, factor):
    """Bars to the first breach of each account by a factor of maintenance; -1 where none."""
    k = np.broadcast_to(factor, len(b))[b.unit_account()][:, None, None]
    with np.errstate(invalid="ignore"):
        breach = (paths.equity < k * paths.maintenance).any(axis=2)
    bars = np.where(breach.any(axis=1), breach.argmax(axis=1), np.iinfo(np.int64).max)
    out = np.full(len(b), np.iinfo(np.int64).max)
    np.minimum.at(out, b.unit_account(), bars)
    return np.where(out < np.iinfo(np.int64).max, out, -1)


@pytest.mark.parametrize(("missing", "funding"), [(0.0, 0.0), (0.05, 0.01)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_first_breaches_are_those_of_replay(seed, missing, funding):
    rng = np.random.default_rng(seed)
    market = random_panel(rng, 3 * BARS, missing=missing, funding=funding)
    b = random_book(rng, 40, 2 * BARS)
    seen = replay(b, market, BARS * 60)
    paths = margin_paths(b, market, BARS * 60)
    for factor, minutes in (
        (b.arrays.account_call_factor, seen.minutes_to_call),
        (1.0, seen.minutes_to_liquidation),
    ):
        expected = np.where(np.isnan(minutes), -1, minutes / 60 - 1)
        np.testing.assert_array_equal(first_breach(paths, b, factor), expected)
    assert np.isfinite(seen.minutes_to_liquidation).any()
    assert np.isnan(seen.minutes_to_call).any()


def test_the_path_goes_on_beyond_a_breach_and_recovers_with_the_price():
    market = panel([[50_000.0, 40_000.0, 50_000.0]], spread=0.0)
    b = book(account([position(quantity=1.0)], cash=6_000.0), assets=("BTC",))
    paths = margin_paths(b, market, 180)
    np.testing.assert_allclose(paths.equity[0, :, 3], [6_000.0, -4_000.0, 6_000.0])


def test_funding_is_paid_at_its_stamp_and_said():
    market = panel([[100.0] * 4], spread=0.0)
    market.funding_rate[0, 2] = 0.01
    b = book(account([position(quantity=5.0, entry_price=100.0)], cash=1_000.0), assets=("BTC",))
    paths = margin_paths(b, market, 240)
    np.testing.assert_allclose(paths.paid[0], [0.0, 0.0, 5.0, 5.0])
    np.testing.assert_allclose(paths.equity[0, :, 0], [1_000.0, 1_000.0, 995.0, 995.0])


def test_a_missing_bar_and_the_end_of_the_data_are_unknown():
    market = panel([[100.0] * 4], spread=0.0)
    market.low[0, 1] = np.nan
    b = book(account([position(quantity=1.0, entry_price=100.0)]), assets=("BTC",))
    known = np.isfinite(margin_paths(b, market, 360).equity[0, :, 0])
    assert known.tolist() == [True, False, True, True, False, False]


def test_a_horizon_below_one_bar_is_refused():
    market = panel([[100.0] * 4])
    with pytest.raises(InputError, match="horizon_minutes: expected at least one bar of 60 minutes, was 59"):
        margin_paths(book(account(), assets=("BTC",)), market, 59)
