"""The forecast of co-movement: by hand, found where it is planted, no future, and what it does to joint paths."""

from dataclasses import replace

import numpy as np
import pytest

from models.errors import InputError
from models.market import MarketPanel
from models.prior import WARMUP_HOURS, PriorModel
from models.typing import FloatArray
from models.volatility.comovement import ComovementModel, separation
from tests.models.builders import account, book, position, walk

HOURS = 24 * 400
HALF = HOURS // 2


def _market(moves: FloatArray) -> MarketPanel:
    """A panel whose hours open at the close before and reach no further than their close."""
    close = 100.0 * np.exp(np.cumsum(moves, axis=1))
    before = np.concatenate([np.full((len(moves), 1), 100.0), close[:, :-1]], axis=1)
    most, least = np.maximum(close, before) * 1.0005, np.minimum(close, before) / 1.0005
    names = ("BTC", "ETH", "SOL", "XRP")[: len(moves)]
    empty = np.full_like(close, np.nan)
    return MarketPanel(names, 60, 0, before, most, least, close, empty, 0 * close, ("simulated",) * len(moves))


@pytest.fixture(scope="module")
def correlation() -> FloatArray:
    """The planted correlation of each hour: high and low by turns of a month."""
    return np.where(np.arange(HOURS) // 720 % 2 == 0, 0.9, 0.3)


@pytest.fixture(scope="module")
def market(correlation: FloatArray) -> MarketPanel:
    rng = np.random.default_rng(4)
    shared, own = rng.normal(size=(1, HOURS)), rng.normal(size=(4, HOURS))
    moves = np.sqrt(correlation) * shared + np.sqrt(1.0 - correlation) * own
    return _market(0.004 * moves * np.array([1.0, 1.5, 2.0, 3.0])[:, None])


@pytest.fixture(scope="module")
def prior(market: MarketPanel) -> PriorModel:
    return PriorModel.fit(market.slice(0, HALF), paths=1024)


def test_separation_by_hand(market: MarketPanel) -> None:
    moves = np.diff(np.log(market.close[:, 99:124]), axis=1)
    size = np.sqrt((moves**2).mean(axis=1))
    c = (moves @ moves.T) / moves.shape[1] / np.outer(size, size)
    expected = 1.0 - (c.sum(axis=1) - 1.0) / 3.0
    assert separation(market, 24)[:, 123] == pytest.approx(expected)
    assert separation(market, 24, ahead=True)[:, 99] == pytest.approx(expected)


def test_a_missing_asset_is_left_out_of_the_others(market: MarketPanel) -> None:
    close = market.close.copy()
    close[3] = np.nan
    without = separation(replace(market, close=close), 72)
    assert np.isnan(without[3]).all()
    assert without[:3, 100:] == pytest.approx(separation(market.select(market.assets[:3]), 72)[:, 100:])


def test_the_planted_share_is_found_on_hours_not_fitted_on(market: MarketPanel, correlation: FloatArray) -> None:
    model = ComovementModel.fit(market.slice(0, HALF))
    assert model is not None
    assert model.count == 4
    forecast, truth = model.forecast(market)[:, HALF:].mean(axis=0), (1.0 - correlation[HALF:]) * 0.75
    assert np.corrcoef(forecast, truth)[0, 1] > 0.8
    settled = np.arange(HALF, HOURS) % 720 > 480
    for c in (0.9, 0.3):
        level = forecast[settled & (correlation[HALF:] == c)].mean()
        assert level == pytest.approx((1.0 - c) * 0.75, rel=0.25)


def test_it_knows_no_future(market: MarketPanel) -> None:
    model = ComovementModel.fit(market.slice(0, HALF))
    assert model is not None
    close = market.close.copy()
    close[0, HALF + 1 :] *= np.linspace(1.0, 3.0, HOURS - HALF - 1)
    one, two = model.forecast(market), model.forecast(replace(market, close=close))
    assert np.array_equal(one[:, : HALF + 1], two[:, : HALF + 1], equal_nan=True)
    assert not np.array_equal(one[:, HALF + 10], two[:, HALF + 10])


def test_one_asset_has_none_and_bars_are_hourly(market: MarketPanel) -> None:
    alone = market.select(market.assets[:1])
    assert ComovementModel.fit(alone) is None
    prior = PriorModel.fit(alone, paths=64)
    assert prior.comovement is None
    assert prior.own_share(alone) is None
    with pytest.raises(InputError, match="bar_minutes"):
        ComovementModel.fit(replace(market, bar_minutes=30))


def _daily(prior: PriorModel, own_share: FloatArray | None) -> FloatArray:
    """Log moves over each day of the scenario paths; shape (A, S * 3)."""
    paths = prior.pool.at(np.full((4, 72), 0.01), own_share)
    close = np.log(paths.close.astype(np.float64))[:, :, [23, 47, 71]]
    return np.diff(close, axis=2, prepend=0.0).transpose(1, 0, 2).reshape(4, -1)


def test_paths_move_together_as_forecast_and_keep_their_variance(prior: PriorModel) -> None:
    plain, spread, tight = (_daily(prior, x) for x in (None, np.full(4, 0.5), np.full(4, 0.05)))
    means = [float(np.corrcoef(x)[np.triu_indices(4, 1)].mean()) for x in (tight, plain, spread)]
    assert means[0] > means[1] + 0.15 > means[2] + 0.3
    for turned in (spread, tight):
        assert turned.std() == pytest.approx(plain.std(), rel=0.1)


def test_the_share_of_the_window_leaves_it_as_it_was(prior: PriorModel) -> None:
    assert prior.pool.own_share is not None
    deviation = np.full((4, 72), 0.01)
    s = int(np.flatnonzero(np.isfinite(prior.pool.own_share).all(axis=1))[0])
    plain, same = prior.pool.at(deviation), prior.pool.at(deviation, prior.pool.own_share[s])
    for name in ("low", "high", "close"):
        assert getattr(same, name)[s] == pytest.approx(getattr(plain, name)[s], rel=1e-5)
    assert not np.allclose(same.close, plain.close, rtol=1e-3)


def test_an_asset_without_a_forecast_is_not_turned_and_bars_stay_whole(prior: PriorModel) -> None:
    deviation = np.full((4, 72), 0.01)
    share = np.array([np.nan, 0.5, 0.5, 0.02])
    plain, turned = prior.pool.at(deviation), prior.pool.at(deviation, share)
    assert np.array_equal(turned.close[:, 0], plain.close[:, 0])
    assert not np.array_equal(turned.close[:, 1], plain.close[:, 1])
    before = np.concatenate([np.ones((*turned.close.shape[:2], 1)), turned.close[:, :, :-1]], axis=2)
    assert (turned.low <= np.minimum(turned.close, before) * (1 + 1e-6)).all()
    assert (turned.high >= np.maximum(turned.close, before) * (1 - 1e-6)).all()
    order = ("SOL", "NEW", "BTC")
    moved = prior.pool.for_assets(order).at(deviation[:3], np.array([0.5, 0.5, np.nan]))
    assert np.array_equal(moved.close[:, 0], turned.close[:, 2])
    assert np.array_equal(moved.close[:, 2], plain.close[:, 0])


def test_a_spread_is_riskier_when_assets_move_apart(prior: PriorModel, market: MarketPanel) -> None:
    price = np.array([50_000.0, 50_000.0, 1.0, 1.0])
    total = np.tile([1e-4, 4e-4, 2.4e-3, 7.2e-3], (4, 1))
    legs = [position("BTC/USDT:USDT", 1.0, 5e4), position("ETH/USDT:USDT", -1.0, 5e4)]
    hedged = book(account(legs, 5_000.0), assets=market.assets)
    k = hedged.arrays.account_call_factor
    states = [prior.state_from(market.assets, total, market.end, None, np.full(4, share)) for share in (0.05, 0.5)]
    tight, loose = (prior.probability(hedged, price, state, k)[0, 3] for state in states)
    assert loose > 1.5 * tight > 0.0


def test_the_state_has_the_forecast_of_its_hour_from_a_tail_as_from_all(prior: PriorModel, market: MarketPanel) -> None:
    own = prior.own_share(market)
    assert own is not None
    total = prior.total_variance(market)[:, -1]
    expected = prior.state_from(market.assets, total, market.end, None, own[:, -1]).scenarios
    tail = market.slice(HOURS - WARMUP_HOURS, HOURS)
    assert prior.state(tail, market.end).scenarios.close == pytest.approx(expected.close, rel=1e-5)
    plain = prior.state_from(market.assets, total, market.end).scenarios
    assert not np.allclose(expected.close, plain.close, rtol=1e-3)


def test_assets_of_a_part_of_the_pool_are_enough_and_strangers_have_none(
    prior: PriorModel, market: MarketPanel
) -> None:
    part = prior.own_share(market.select(market.assets[:2]))
    assert part is not None
    assert np.isfinite(part[:, 800:]).all()
    alone = prior.own_share(market.select(market.assets[:1]))
    assert alone is not None
    assert np.isnan(alone).all()
    stranger = prior.own_share(replace(market, assets=("BTC", "ETH", "SOL", "NEW")))
    assert stranger is not None
    assert np.isnan(stranger[3]).all()
    assert np.isfinite(stranger[:3, 800:]).all()


def test_bundles_of_before_and_baselines_have_none(prior: PriorModel, market: MarketPanel) -> None:
    added = ("comovement", "comovement_count", "market", "own_share")
    old = PriorModel.from_arrays({k: v for k, v in prior.to_arrays().items() if k not in added})
    assert old.own_share(market) is None
    assert old.pool.own_share is None
    again = PriorModel.from_arrays(prior.to_arrays())
    one, two, three = (p.state(market, market.end).scenarios.close for p in (prior, again, old))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, three)
    assert PriorModel.fit(walk(24 * 100), volatility="har", paths=64).comovement is None
