"""Block bootstrap: paired, by week, and wide enough for what it claims."""

import numpy as np
import pytest

from models.errors import InputError
from training.evaluate.bootstrap import WEEK_NS, block_sums, skill


def test_sums_by_block_equal_a_loop():
    rng = np.random.default_rng(0)
    loss, block = rng.uniform(size=500), rng.integers(0, 9, 500)
    np.testing.assert_allclose(block_sums(loss, block), [loss[block == b].sum() for b in range(9)])


def test_blocks_far_apart_are_summed_as_near_ones():
    rng = np.random.default_rng(1)
    loss, block = rng.uniform(size=500), rng.integers(0, 9, 500) * 2
    np.testing.assert_array_equal(block_sums(loss, block * 10**15 - 10**16), block_sums(loss, block))
    assert len(block_sums(np.empty(0), np.empty(0, np.int64))) == 0


def test_equal_forecasts_have_no_skill_and_no_spread():
    loss = np.random.default_rng(0).uniform(size=300)
    found = skill(loss, loss, np.arange(300) * WEEK_NS // 10)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
    assert found.blocks == 30


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    hits = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        reference = rng.gamma(2.0, 0.5, 60 * 8)
        week = np.repeat(np.arange(60), 8)
        shared = rng.normal(0.0, 0.05, 60)[week]  # moves with the week, as markets do
        loss = reference * (0.98 + shared)
        found = skill(loss, reference, week * WEEK_NS, draws=400, seed=seed)
        hits += found.low <= 0.02 <= found.high
    assert 0.86 <= hits / 120 <= 1.0


def test_rows_of_one_week_are_drawn_together():
    rng = np.random.default_rng(1)
    week = np.repeat(np.arange(40), 50)
    noise = rng.normal(0, 0.1, 40)[week]
    blocked = skill(1.0 + noise, np.ones(2000), week * WEEK_NS)
    free = skill(1.0 + noise, np.ones(2000), np.arange(2000) * WEEK_NS)
    assert blocked.high - blocked.low > 4 * (free.high - free.low)


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="one length"):
        skill(np.ones(3), np.ones(2), np.zeros(3, np.int64))
    with pytest.raises(InputError, match="draws"):
        skill(np.ones(3), np.ones(3), np.zeros(3, np.int64), draws=99)
