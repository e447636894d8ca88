"""The simulated market has the habits of real prices, and the same seed draws the same."""

import numpy as np
import pytest

from features.sources import simulate_market
from models.errors import InputError
from models.market import MarketPanel
from models.typing import FloatArray

DAY = 24


@pytest.fixture(scope="module")
def market() -> MarketPanel:
    return simulate_market(days=3 * 365, seed=0)


@pytest.fixture(scope="module")
def returns(market: MarketPanel) -> FloatArray:
    return np.asarray(np.log(market.close / market.open))


def test_bars_are_whole_and_consistent(market: MarketPanel) -> None:
    assert market.close.shape == (5, 3 * 365 * 24)
    assert set(market.source) == {"simulated"}
    assert (market.low > 0).all()
    assert (market.high >= np.maximum(market.open, market.close)).all()
    assert (market.low <= np.minimum(market.open, market.close)).all()
    assert (market.volume > 0).all()
    np.testing.assert_array_equal(market.open[:, 1:], market.close[:, :-1])


def test_levels_of_volatility_are_those_of_crypto(returns: FloatArray) -> None:
    annual = returns.std(axis=1) * np.sqrt(365 * 24)
    assert ((annual > 0.4) & (annual < 1.3)).all()
    assert annual[0] < annual[2], "BTC moves less than SOL"


def test_tails_are_fat(returns: FloatArray) -> None:
    z = (returns - returns.mean(axis=1, keepdims=True)) / returns.std(axis=1, keepdims=True)
    assert ((z**4).mean(axis=1) > 6).all()


def test_volatility_clusters_and_falls_raise_it(returns: FloatArray) -> None:
    size = np.abs(returns)
    for asset, moves in zip(size, returns, strict=True):
        assert np.corrcoef(asset[1:], asset[:-1])[0, 1] > 0.15
        assert np.corrcoef(asset[168:], asset[:-168])[0, 1] > 0.02
        assert np.corrcoef(moves[:-1], asset[1:])[0, 1] < 0.0
        assert abs(np.corrcoef(moves[1:], moves[:-1])[0, 1]) < 0.05, "direction is not predictable"


def test_hours_and_weekends_differ(market: MarketPanel, returns: FloatArray) -> None:
    size = np.abs(returns).mean(axis=0)
    hour = (market.times() // 3_600_000_000_000) % 24
    assert size[(hour >= 14) & (hour < 16)].mean() > 1.25 * size[(hour >= 4) & (hour < 6)].mean()
    weekday = (market.times() // 86_400_000_000_000 + 3) % 7
    assert size[weekday >= 5].mean() < 0.9 * size[weekday < 5].mean()


def test_assets_move_together_more_in_the_worst_days(returns: FloatArray) -> None:
    days = returns.reshape(5, -1, DAY)
    market = days.sum(axis=2).mean(axis=0)
    worst = market <= np.quantile(market, 0.05)

    def together(part: FloatArray) -> float:
        return float(np.corrcoef(part.reshape(5, -1))[np.triu_indices(5, 1)].mean())

    assert 0.45 < together(days[:, ~worst]) < 0.8
    assert together(days[:, worst]) > together(days[:, ~worst]) + 0.05


def test_funding_is_charged_every_eight_hours_and_follows_the_trend(market: MarketPanel) -> None:
    paid = market.funding_rate != 0
    hour = (market.times() // 3_600_000_000_000) % 24
    assert paid[:, hour % 8 == 0].mean() > 0.99
    assert not paid[:, hour % 8 != 0].any()
    assert np.median(market.funding_rate[paid]) == pytest.approx(1e-4)
    assert np.abs(market.funding_rate).max() <= 0.0075
    week = np.log(market.open[0, 168:] / market.open[0, :-168])[hour[168:] % 8 == 0]
    assert np.corrcoef(week, market.funding_rate[0, 168:][hour[168:] % 8 == 0])[0, 1] > 0.2


def test_volume_follows_the_range(market: MarketPanel) -> None:
    for asset in range(5):
        value = np.log(market.volume[asset] * market.close[asset])
        width = np.log(np.log(market.high[asset] / market.low[asset]))
        assert np.corrcoef(value, width)[0, 1] > 0.6


def test_same_seed_same_market_and_assets_do_not_depend_on_each_other() -> None:
    one, two = (simulate_market(("BTC", "ETH"), days=10, seed=5) for _ in range(2))
    for name in ("open", "high", "low", "close", "volume", "funding_rate"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    alone = simulate_market(("ETH",), days=10, seed=5)
    np.testing.assert_array_equal(alone.close[0], one.close[1])
    assert not np.array_equal(simulate_market(("ETH",), days=10, seed=6).close, alone.close)


def test_other_bar_lengths_and_unknown_assets() -> None:
    fine = simulate_market(("XYZ",), days=2, bar_minutes=5, steps=12)
    assert fine.n_bars == 2 * 288
    daily = simulate_market(("XYZ",), days=40, bar_minutes=1440)
    assert daily.n_bars == 40
    assert np.count_nonzero(daily.funding_rate) == 40


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"assets": ()}, "assets: expected one or more"),
        ({"assets": "BTC"}, "assets: expected one or more"),
        ({"assets": ("BTC", "BTC")}, "assets: expected one or more different"),
        ({"days": 0}, "days: expected 1 to 36500, was 0"),
        ({"days": 36_501}, "days: expected 1 to 36500"),
        ({"steps": 3}, "steps: expected 4 to 240"),
        ({"steps": 241}, "steps: expected 4 to 240"),
        ({"seed": -1}, "seed: expected an integer >= 0"),
        ({"bar_minutes": 7}, "bar: expected a divisor of a day"),
    ],
)
def test_arguments_out_of_range_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        simulate_market(**{"days": 1, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [4, 240])
def test_ends_of_the_range_work(steps: int) -> None:
    assert simulate_market(("BTC",), days=1, steps=steps).n_bars == 24
