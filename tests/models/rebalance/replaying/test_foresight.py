"""The least cost of a known need, against every way of holding."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from models.rebalance.replaying.foresight import foresight, least_cost
from models.rebalance.replaying.rules import Nothing
from models.rebalance.replaying.run import run_rule
from tests.models.rebalance.replaying.stages import stage


def cheapest(need, rate, fixed):
    """Cost of the best of all ways to hold one of the needs, or nothing, in each period."""
    best = np.inf
    for held in itertools.product(sorted({0.0, *need}), repeat=len(need)):
        if all(h >= n for h, n in zip(held, need, strict=True)):
            changes = sum(a != b for a, b in itertools.pairwise((0.0, *held)))
            best = min(best, fixed * changes + float(np.dot(held, rate)))
    return best


@pytest.mark.parametrize("seed", range(12))
def test_no_way_of_holding_is_cheaper(seed):
    rng = np.random.default_rng(seed)
    need = np.where(rng.random(6) < 0.5, 0.0, rng.integers(1, 4, 6).astype(float))
    rate, fixed = rng.uniform(0.2, 1.5, 6), float(rng.choice([0.1, 1.0, 3.0]))
    cost, held = least_cost(need, rate, fixed)
    assert cost == pytest.approx(cheapest(need.tolist(), rate, fixed))
    assert (held >= need).all()
    paid = fixed * np.count_nonzero(np.diff(held, prepend=0.0)) + held @ rate
    assert paid == pytest.approx(cost)


def test_it_saves_what_is_worth_it_and_nobody_else():
    bars = [-50.0, -50.0, -50.0, 40.0, -50.0, -50.0]
    own = stage([bars, [-50.0] * 6, [5.0, *bars[1:]]])
    cheap = foresight(own, 1.0)
    assert cheap.liquidated.tolist() == [False, False, True]  # nothing arrives before the first bar ends
    assert cheap.fees.tolist() == [2.0, 0.0, 0.0]  # holding to the end is cheaper than the way back
    assert cheap.holding[0] == pytest.approx(40.0 * 0.001 * 4 / 24)
    assert foresight(own, 0.001).liquidated.tolist() == [True, False, True]
    assert cheap.losses.tolist() == [0.0, 0.0, 100.0]
    assert run_rule(own, Nothing()).losses.tolist() == [100.0, 0.0, 100.0]
