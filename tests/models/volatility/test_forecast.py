"""Volatility: estimators against closed forms, the season found again, forecasts that know no future."""

from dataclasses import replace

import numpy as np
import pytest

from models.errors import InputError
from models.typing import HOUR_NS
from models.volatility.forecast import HORIZON_HOURS, HarModel
from models.volatility.realised import bar_variance, forward_mean, trailing_mean
from models.volatility.seasonality import HourOfWeek, hour_of_week
from tests.models.builders import walk


def test_range_variance_of_a_random_walk_is_its_variance() -> None:
    rng = np.random.default_rng(1)
    path = np.cumsum(rng.normal(0, 0.01 / np.sqrt(400), (4000, 400)), axis=1)
    bars = np.exp(np.stack([np.zeros(4000), path.max(axis=1).clip(0), path.min(axis=1).clip(None, 0), path[:, -1]]))
    found = np.mean([bar_variance(*(b[i : i + 1, None] for b in bars))[0, 0] for i in range(4000)])
    assert found == pytest.approx(0.01**2, rel=0.12)


def test_gap_between_bars_counts_and_missing_bars_do_not() -> None:
    close = np.array([[100.0, 110.0, np.nan, 110.0]])
    variance = bar_variance(close, close, close, close)[0]
    assert variance[1] == pytest.approx(np.log(1.1) ** 2)
    assert np.isnan(variance[2])
    assert variance[3] == pytest.approx(1e-10)


def test_trailing_and_forward_means_with_gaps() -> None:
    values = np.array([[1.0, np.nan, 3.0, 5.0]])
    assert trailing_mean(values, 2).tolist() == [[1.0, 1.0, 3.0, 4.0]]
    assert trailing_mean(values, 2, least=1.0)[0, 2:].tolist()[1] == 4.0
    assert np.isnan(trailing_mean(values, 2, least=1.0)[0, 1])
    assert forward_mean(np.array([[1.0, 2.0, 4.0]]), 1)[0, :2].tolist() == [2.0, 4.0]


def test_hour_of_week_starts_on_monday() -> None:
    assert hour_of_week(1_740_960_000_000_000_000) == 0  # Monday 2025-03-03 00:00 UTC
    assert hour_of_week(1_740_960_000_000_000_000 - HOUR_NS) == 167


def test_season_is_found_again() -> None:
    start = 1_740_960_000_000_000_000
    hours = np.arange(168 * 60)
    truth = 1.0 + 0.5 * np.sin(2 * np.pi * hours / 24)
    rng = np.random.default_rng(0)
    variance = truth * rng.chisquare(20, (2, len(hours))) / 20 * 1e-4
    season = HourOfWeek.fit(variance, start)
    assert season.factor.mean() == pytest.approx(1.0)
    assert np.abs(season.factor - truth[:168] / truth[:168].mean()).max() < 0.08


def test_season_ahead_adds_up_over_the_week() -> None:
    season = HourOfWeek(np.linspace(0.5, 1.5, 168))
    ahead = season.ahead(np.array([1, 168]))
    assert ahead[167, 0] == 1.5
    assert ahead[:, 1] == pytest.approx(np.full(168, season.factor.sum()))


def test_forecast_is_unbiased_in_scale_and_beats_a_constant() -> None:
    market = walk(24 * 400, assets=2, seed=3)
    half = market.n_bars // 2
    model = HarModel.fit(market.slice(0, half))
    total = model.total_variance(market)
    truth = forward_mean(bar_variance(market.open, market.high, market.low, market.close), 24) * 24
    seen = np.isfinite(truth[0]) & (np.arange(market.n_bars) > half)
    forecast, actual = np.log(total[0, seen, 2]), np.log(truth[0, seen])
    assert abs(np.mean(forecast - actual)) < 0.3
    assert np.var(actual - forecast) < 0.5 * np.var(actual)


def test_forecast_knows_no_future() -> None:
    market = walk(24 * 90, seed=5)
    model = HarModel.fit(market)
    t = 1800
    later = market.close.copy()
    later[:, t + 1 :] *= 3.0
    changed = replace(market, close=later, high=np.maximum(market.high, later))
    one, two = model.total_variance(market), model.total_variance(changed)
    assert np.array_equal(one[:, : t + 1], two[:, : t + 1], equal_nan=True)
    assert not np.array_equal(one[:, t + 1], two[:, t + 1])


def test_totals_never_fall_with_the_horizon() -> None:
    total = HarModel.fit(walk(24 * 90)).total_variance(walk(24 * 90, seed=9))
    known = total[np.isfinite(total).all(axis=2)]
    assert (np.diff(known, axis=1) >= 0).all()


def test_ewma_is_flat_over_the_horizons() -> None:
    total = HarModel.fit(walk(2000), "ewma").total_variance(walk(2000))[0, -1]
    assert total / HORIZON_HOURS == pytest.approx(np.full(4, total[0]))


def test_too_little_or_wrong_history_is_refused() -> None:
    with pytest.raises(InputError, match="60 days"):
        HarModel.fit(walk(1000))
    with pytest.raises(InputError, match="bar_minutes"):
        HarModel.fit(replace(walk(2000), bar_minutes=15))
