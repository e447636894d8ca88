"""The simulated market: its law is the same for history and futures, and a seed fixes every digit."""

import numpy as np
import pytest

from models.errors import InputError
from models.typing import HOUR_NS
from training.benchmark._walk import walk
from training.benchmark.law import Law
from training.benchmark.market import HOURS, draw_market

LAW = Law(assets=("BTC", "ETH"))


@pytest.fixture(scope="module")
def market():
    return draw_market(LAW, days=400, seed=3)


def test_same_seed_same_digits(market):
    again = draw_market(LAW, days=400, seed=3)
    np.testing.assert_array_equal(again.panel.close, market.panel.close)
    np.testing.assert_array_equal(again.state, market.state)
    as_of = market.panel.start + 1000 * HOUR_NS
    one, two = (np.concatenate([f.bars for f in m.futures(as_of, 20, 10)], axis=2) for m in (market, again))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(draw_market(LAW, days=400, seed=4).panel.close, market.panel.close)


def test_the_future_depends_on_the_kept_state_alone():
    law, hours, cut = LAW, 200, 77
    rng = np.random.default_rng(0)
    normal = rng.standard_normal((1, hours, law.n_normal), np.float32)
    uniform = rng.random((1, hours, law.n_uniform), np.float32)
    uniform[0, 100, 0] = 0.0  # a market jump after the cut
    first = law.first_state(rng)

    def walked(state, start, hour):
        n = hours - start
        bars, funding, kept = np.empty((4, 2, 1, n)), np.empty((2, 1, n)), np.empty((1, n + 1, law.n_state))
        walk(law.arrays(), state[None].copy(), hour, normal[:, start:], uniform[:, start:], 1.0, bars, funding, kept)
        return bars, funding, kept[0]

    bars, funding, kept = walked(first, 0, 0)
    later = walked(kept[cut], cut, cut)
    np.testing.assert_array_equal(later[0], bars[:, :, :, cut:])
    np.testing.assert_array_equal(later[1], funding[:, :, cut:])
    np.testing.assert_array_equal(later[2], kept[cut:])


def test_bars_hang_together(market):
    panel = market.panel
    assert (panel.high >= np.maximum(panel.open, panel.close)).all()
    assert (panel.low <= np.minimum(panel.open, panel.close)).all()
    np.testing.assert_array_equal(panel.open[:, 1:], panel.close[:, :-1])
    np.testing.assert_allclose(np.exp(market.state[1:, [7, 12]].T), panel.close)
    charged = np.flatnonzero(panel.funding_rate[0])
    assert set(((panel.times()[charged] // HOUR_NS) % 24).tolist()) == {0, 8, 16}


def test_futures_begin_where_history_ends_and_scatter_as_history_does(market):
    panel = market.panel
    row = 5000
    (futures,) = market.futures(panel.start + row * HOUR_NS, 400, 400)
    assert futures.bars.shape == (4, 2, 400, HOURS)
    np.testing.assert_allclose(futures.bars[0, :, :, 0], np.tile(panel.close[:, row - 1, None], 400))
    step = np.diff(np.log(panel.close), axis=1)
    ahead = np.diff(np.log(futures.bars[3]), axis=2)
    assert 0.4 < np.median(np.abs(ahead)) / np.median(np.abs(step)) < 2.5
    assert np.isfinite(futures.bars).all()


def test_pairs_are_mirrored_where_there_is_no_jump():
    calm = Law(assets=("BTC",), market_jumps=0.0, own_jumps=0.0)
    market = draw_market(calm, days=10, seed=1)
    (futures,) = market.futures(market.panel.start + 100 * HOUR_NS, 40, 40)
    first = np.log(futures.bars[3, 0, :, 0] / futures.bars[0, 0, :, 0])
    np.testing.assert_allclose(first[0::2], -first[1::2], atol=1e-12)


def test_moments_are_those_of_the_law(market):
    step = np.diff(np.log(market.panel.close), axis=1)
    yearly = step.std(axis=1) * np.sqrt(8766)
    assert 0.35 < yearly[0] < 1.1
    assert 0.4 < np.corrcoef(step)[0, 1] < 0.85
    season = LAW.arrays().season
    assert np.mean(season**2) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 2, "leverage": -1.0, "own_share": 0.0, "market_jumps": 0.0, "correlation": 0.01, "crowding": 0.0},
        {"steps": 60, "leverage": 1.0, "own_share": 1.0, "own_jumps": 500.0, "correlation": 0.99, "crowding": 5.0},
        {"slow_hours": 1.0, "fast_hours": 1e4, "slow_deviation": 0.0, "fast_deviation": 1.0, "rebound": 1.0},
        {"jump_size": 0.0, "market_down": 0.0, "own_down": 1.0, "jump_kick": 2.0, "rebound": 0.0},
    ],
)
def test_a_law_at_its_bounds_draws_prices(changes):
    market = draw_market(Law(assets=("BTC", "ETH"), **changes), days=5, seed=1)
    assert np.isfinite(market.state).all()
    assert (market.panel.close > 0).all()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"assets": ()}, "assets"),
        ({"assets": ("BTC", "BTC")}, "assets"),
        ({"assets": ("GOLD",)}, "assets"),
        ({"steps": 1}, "steps"),
        ({"leverage": -1.01}, "leverage"),
        ({"own_share": 1.1}, "own_share"),
        ({"jump_size": 0.31}, "jump_size"),
        ({"correlation": 0.0}, "correlation"),
        ({"market_jumps": -1.0}, "market_jumps"),
        ({"slow_hours": 0.5}, "slow_hours"),
    ],
)
def test_a_law_out_of_range_is_refused(changes, named):
    with pytest.raises(InputError, match=named):
        Law(**changes)


def test_odd_numbers_of_paths_and_other_instants_are_refused(market):
    as_of = market.panel.start + 1000 * HOUR_NS
    for wrong in ((as_of, 3, 2), (as_of, 4, 1), (as_of + 1, 4, 2), (market.panel.end + HOUR_NS, 4, 2)):
        with pytest.raises(InputError):
            next(market.futures(*wrong))
    with pytest.raises(InputError, match="days"):
        draw_market(LAW, days=0)
    with pytest.raises(InputError, match="full hour"):
        draw_market(LAW, days=2, start="2021-01-01T00:30:00Z")
