"""The extended HAR: found slopes, an honest level, no future, and figures that may be missing."""

from dataclasses import replace

import numpy as np
import pytest

from models.errors import InputError
from models.market import MarketPanel
from models.volatility.harx import HarXModel
from models.volatility.realised import bar_variance, forward_mean
from models.volatility.regressors import N_REGRESSORS, regressors
from models.volatility.trend import TREND_HOURS, recent_trend
from tests.models.builders import walk

FUNDING = N_REGRESSORS - 2


@pytest.fixture(scope="module")
def market() -> MarketPanel:
    return walk(24 * 150, assets=2, seed=3)


@pytest.fixture(scope="module")
def model(market: MarketPanel) -> HarXModel:
    return HarXModel.fit(market.slice(0, market.n_bars // 2))


def _cut(market: MarketPanel, t: int) -> MarketPanel:
    """The same market with every price after bar `t` three times as high."""
    prices = {name: getattr(market, name).copy() for name in ("open", "high", "low", "close")}
    for values in prices.values():
        values[:, t + 1 :] *= 3.0
    rate = market.funding_rate.copy()
    rate[:, t + 1 :] = 0.01
    return replace(market, funding_rate=rate, **prices)


def test_forecast_is_unbiased_in_scale_and_beats_a_constant() -> None:
    market = walk(24 * 400, assets=2, seed=3)
    model = HarXModel.fit(market.slice(0, market.n_bars // 2))
    total = model.total_variance(market)
    truth = forward_mean(bar_variance(market.open, market.high, market.low, market.close), 24) * 24
    seen = np.isfinite(truth[0]) & (np.arange(market.n_bars) > market.n_bars // 2)
    forecast, actual = np.log(total[0, seen, 2]), np.log(truth[0, seen])
    assert abs(np.mean(forecast - actual)) < 0.3
    assert np.var(actual - forecast) < 0.6 * np.var(actual)


def test_forecast_and_trend_know_no_future(market: MarketPanel, model: HarXModel) -> None:
    t = 1800
    for figures in (model.total_variance, recent_trend):
        one, two = figures(market), figures(_cut(market, t))
        assert np.array_equal(one[:, : t + 1], two[:, : t + 1], equal_nan=True)
        assert not np.array_equal(one[:, t + 1], two[:, t + 1])


def test_totals_are_there_and_never_fall_with_the_horizon(market: MarketPanel, model: HarXModel) -> None:
    total = model.total_variance(market)[:, 720:]
    assert np.isfinite(total).all()
    assert (np.diff(total, axis=2) >= 0).all()


def test_funding_is_unknown_where_none_is_charged_and_the_mean_stands_in(market: MarketPanel) -> None:
    rate = np.zeros_like(market.close)
    rate[:, ::8] = np.where(np.arange(rate[:, ::8].shape[1]) % 40 < 20, 1e-4, 5e-4)
    charged = replace(market, funding_rate=rate)
    plain = bar_variance(market.open, market.high, market.low, market.close)
    assert regressors(charged, plain)[0, 900, FUNDING] == pytest.approx(5.0)
    assert np.isnan(regressors(market, plain)[..., FUNDING:]).all()
    model = HarXModel.fit(charged)
    whole, without = model.total_variance(charged), model.total_variance(market)
    assert np.isfinite(without[:, 720:]).all()
    slope = model.coefficient[:, 1 + FUNDING :]
    shift = ((regressors(charged, plain)[0, 900, FUNDING:] - model.centre[FUNDING:]) / model.scale[FUNDING:]) @ slope.T
    assert np.log(whole[0, 900] / without[0, 900])[:3] == pytest.approx(shift[:3], abs=1e-9)


def test_a_market_without_funding_has_no_slope_on_it(model: HarXModel) -> None:
    assert (model.coefficient[:, 1 + FUNDING :] == 0.0).all()


def test_trend_is_the_return_in_deviations(market: MarketPanel) -> None:
    t = 1000
    hourly = np.diff(np.log(market.close[0, t - 168 : t + 1]))
    expected = np.log(market.close[0, t] / market.close[0, t - TREND_HOURS]) / np.sqrt((hourly**2).mean() * TREND_HOURS)
    assert recent_trend(market)[0, t] == pytest.approx(expected)


def test_too_little_or_wrong_history_is_refused(market: MarketPanel) -> None:
    with pytest.raises(InputError, match="60 days"):
        HarXModel.fit(walk(1000))
    with pytest.raises(InputError, match="bar_minutes"):
        HarXModel.fit(replace(walk(2000), bar_minutes=15))
