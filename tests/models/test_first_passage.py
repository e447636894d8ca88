"""Tables by trend: what they learn, how they are mixed, and one table where no trend is given."""

import numpy as np
import pytest

from models.first_passage import ExtremeTable, knot_weights, running_extremes
from models.market import MarketPanel
from tests.models.builders import walk

HOURS = np.array([1, 4, 24, 72])


@pytest.fixture(scope="module")
def market() -> MarketPanel:
    return walk(24 * 120, assets=2, seed=4)


@pytest.fixture(scope="module")
def variance(market: MarketPanel) -> np.ndarray:
    return np.broadcast_to(1e-4 * HOURS, (*market.close.shape, 4))


def test_one_table_is_the_share_of_all_draws(market: MarketPanel, variance: np.ndarray) -> None:
    table = ExtremeTable.fit(market, variance, HOURS)
    draws = np.concatenate(
        [running_extremes(market.high[a], market.low[a], market.close[a], HOURS)[1, 2] for a in range(2)]
    )
    z = draws[np.isfinite(draws)] / np.sqrt(24e-4)
    assert table.survival.shape[0] == 1
    assert table.survival[0, 1, 2, 50] == pytest.approx((z >= 1.0).mean())
    assert np.array_equal(table.at(np.array([-3.0, np.nan]))[0], table.survival[0])


def test_a_trend_that_says_how_far_it_falls_is_learned(market: MarketPanel, variance: np.ndarray) -> None:
    falls = np.stack([running_extremes(market.high[a], market.low[a], market.close[a], HOURS)[1, 2] for a in range(2)])
    trend = np.where(falls > np.nanmedian(falls), -1.5, 1.5)
    table = ExtremeTable.fit(market, variance, HOURS, trend)
    after_falls, calm, after_rises = (table.probability(1, 2, np.array([0.5, 1.0, 2.0]), x) for x in (-1.5, 0.0, 1.5))
    assert (after_falls > 1.3 * after_rises).all()
    one = ExtremeTable.fit(market, variance, HOURS)
    assert calm == pytest.approx(one.probability(1, 2, np.array([0.5, 1.0, 2.0])))  # no draw near it: all of them


def test_tables_are_mixed_between_the_knots_and_stay_monotone(market: MarketPanel, variance: np.ndarray) -> None:
    trend = np.random.default_rng(0).normal(0, 1.5, market.close.shape)
    table = ExtremeTable.fit(market, variance, HOURS, trend)
    low, middle, high = table.at(np.array([-1.5, -0.75, 0.0]))
    assert middle == pytest.approx(0.5 * (low + high))
    assert (np.diff(table.at(np.array([0.4])), axis=3) <= 0).all()
    assert knot_weights(np.linspace(-9, 9, 50)).sum(axis=0) == pytest.approx(1.0)
