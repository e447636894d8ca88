"""Curves against each other where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import InputError
from models.rebalance.replaying.compare import compare
from models.rebalance.replaying.ledger import Outcome

N = 40


def outcome(name: str, lost: int, spent: float) -> Outcome:
    """Return an outcome that loses the first accounts and spends as much on each."""
    liquidated = np.arange(N) < lost
    none = np.zeros(N)
    return Outcome(
        name,
        spent,
        liquidated,
        liquidated,
        np.full(N, -1),
        np.full(N, spent / N),
        none,
        none,
        none,
        none,
        none.astype(int),
        (),
    )


PLAN = [outcome("plan", 30, 0.0), outcome("plan", 10, 100.0), outcome("plan", 4, 400.0)]
BLOCK = np.arange(N) % 8


def test_it_reads_the_curve_at_equal_cost_and_at_equal_liquidations():
    (one,) = compare(PLAN, [outcome("band", 20, 250.0)], BLOCK, draws=200)
    assert one.plan_liquidated == pytest.approx(7.0)
    assert one.fewer == pytest.approx(13.0)
    assert one.plan_spent == pytest.approx(50.0)
    assert one.cheaper == pytest.approx(200.0)
    assert one.fewer_low <= one.fewer <= one.fewer_high
    assert one.fewer_low > 0


def test_a_point_of_the_curve_is_no_better_than_itself():
    (one,) = compare(PLAN, [PLAN[1]], BLOCK, draws=100)
    assert (one.fewer, one.fewer_low, one.fewer_high) == pytest.approx((0.0, 0.0, 0.0))
    assert (one.cheaper, one.cheaper_low, one.cheaper_high) == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)


def test_beyond_the_ends_nothing_is_claimed():
    dear, safe = compare(PLAN, [outcome("band", 20, 900.0), outcome("band", 1, 300.0)], BLOCK, draws=50)
    assert np.isnan(dear.fewer)
    assert np.isfinite(dear.cheaper)
    assert np.isnan(safe.cheaper)
    assert np.isfinite(safe.fewer)


def test_one_setting_is_no_curve():
    with pytest.raises(InputError, match="at least two settings"):
        compare(PLAN[:1], [], BLOCK)
