"""The filter of the simulated market: honest about what it does not know, and wiser than the long run."""

import numpy as np
import pytest

from models.errors import InputError
from models.typing import HOUR_NS
from training.benchmark.filtered import filter_market
from training.benchmark.law import Law
from training.benchmark.market import HOURS, draw_market

EVERY = 17


@pytest.fixture(scope="module")
def market():
    return draw_market(Law(assets=("BTC", "ETH")), days=240, seed=4)


@pytest.fixture(scope="module")
def filtered(market):
    instants = market.panel.start + np.arange(60 * 24, 240 * 24, EVERY) * HOUR_NS
    return filter_market(market, instants, particles=500, kept=250, warmup_days=60)


def log_volatilities(states, assets):
    """What slow and fast factors add, of every asset; the kicks are known. Shape (..., A, 2)."""
    own = [0.35**0.5 * states[..., 3 + 5 * a : 5 + 5 * a] for a in range(assets)]
    return np.stack([0.65**0.5 * states[..., :2] + part for part in own], axis=-2)


def test_the_truth_lies_within_the_particles_as_often_as_it_should(market, filtered):
    truth = log_volatilities(market.state[filtered.row], 2)
    every = np.arange(250)
    cloud = np.stack([log_volatilities(filtered.states(i, every), 2) for i in range(len(filtered.row))])
    for seen, true in ((cloud.sum(axis=3), truth.sum(axis=2)), (cloud[..., 1], truth[..., 1])):
        z = (true - seen.mean(axis=1)) / seen.std(axis=1)
        assert abs(z.mean()) < 0.2
        assert 0.85 < z.std() < 1.15
    assert cloud.sum(axis=3).std(axis=1).mean() < 0.5 * truth.sum(axis=2).std()


def test_what_can_be_seen_is_taken_from_the_market(market, filtered):
    states = filtered.states(7, np.array([3, 3, 5]))
    true = market.state[filtered.row[7]]
    seen = [2, *(3 + 5 * a + k for a in range(2) for k in (2, 3, 4))]
    np.testing.assert_array_equal(states[:, seen], np.tile(true[seen], (3, 1)))
    np.testing.assert_array_equal(states[0], states[1])
    assert (states[0] != states[2]).any()


def test_nothing_after_an_instant_moves_its_particles(market, filtered):
    other = draw_market(market.law, days=240, seed=4)
    late = int(filtered.row[40])
    for prices in (other.panel.open, other.panel.high, other.panel.low, other.panel.close):
        prices[:, late:] *= 2.0
    again = filter_market(other, market.panel.start + filtered.row * HOUR_NS, particles=500, kept=250, warmup_days=60)
    np.testing.assert_array_equal(again.particles[:41], filtered.particles[:41])
    assert (again.particles[41:] != filtered.particles[41:]).any()


def test_futures_start_at_the_price_of_the_instant_and_repeat(market, filtered):
    row = int(filtered.row[5])
    as_of = market.panel.start + row * HOUR_NS
    one, two = (next(filtered.futures(as_of, 20, 20)) for _ in range(2))
    np.testing.assert_array_equal(one.bars, two.bars)
    assert one.bars.shape == (4, 2, 20, HOURS)
    np.testing.assert_allclose(one.bars[0, :, :, 0], np.tile(market.panel.close[:, row - 1, None], 20), rtol=1e-9)


def test_what_cannot_be_filtered_is_refused(market, filtered):
    end = np.array([market.panel.end])
    with pytest.raises(InputError, match="particles"):
        filter_market(market, end, particles=99)
    with pytest.raises(InputError, match="kept"):
        filter_market(market, end, particles=100, kept=101)
    with pytest.raises(InputError, match="as_of"):
        next(filtered.futures(market.panel.start + HOUR_NS, 4, 4))
    with pytest.raises(InputError, match="paths"):
        next(filtered.futures(int(market.panel.start + filtered.row[0] * HOUR_NS), 3, 4))
