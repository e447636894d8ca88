"""Collateral: progressive ratios, debts in full, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.collateral import (
    capped_schedule,
    collateral_value,
    health_factor,
    negative_balance_interest,
    quantity_tiered_value,
)

TIERS = capped_schedule([100.0, 200.0, 400.0], [1.0, 0.9, 0.5])


def test_each_slice_counts_at_its_own_ratio_and_nothing_beyond_the_last() -> None:
    assert TIERS(np.array([50.0, 100.0, 150.0, 400.0, 1e6])).tolist() == [50.0, 100.0, 145.0, 290.0, 290.0]
    assert capped_schedule([100.0, None], [1.0, 0.5])(300.0) == 200.0
    assert capped_schedule([100.0], [1.0], beyond=0.25)(300.0) == 150.0


@given(st.floats(-1e6, 1e6), st.floats(0.0, 1e4), st.floats(0.0, 1.0))
def test_a_haircut_is_never_applied_to_a_debt(quantity: float, price: float, ratio: float) -> None:
    value = quantity * price
    assert collateral_value(quantity, price, ratio) == pytest.approx(min(value * ratio, value), rel=1e-12, abs=1e-12)
    assert collateral_value(quantity, price, TIERS) <= value + 1e-9 * abs(value)


@given(st.floats(0.0, 1e3), st.floats(0.0, 1e3), st.floats(0.0, 1.0))
def test_counted_value_is_concave(a: float, b: float, w: float) -> None:
    assert TIERS(w * a + (1 - w) * b) >= w * TIERS(a) + (1 - w) * TIERS(b) - 1e-9


def test_quantity_tiers_do_not_move_with_the_price() -> None:
    for price in (1.0, 7.0):
        assert quantity_tiered_value(150.0, price, TIERS) == 145.0 * price
    assert quantity_tiered_value(-150.0, 2.0, TIERS) == -300.0


@pytest.mark.parametrize(
    ("balance", "charged", "interest"), [(-10_050.0, -50.0, 0.05), (-10_000.0, 0.0, 0.0), (5.0, 0.0, 0.0)]
)
def test_interest_on_what_is_owed_beyond_the_threshold(balance: float, charged: float, interest: float) -> None:
    found = negative_balance_interest(balance, 10_000.0, 0.001)
    assert (float(found[0]), float(found[1])) == pytest.approx((charged, interest))


def test_health_factor_sums_collateral_at_its_thresholds() -> None:
    assert health_factor([100.0, 200.0], [0.8, 0.5], 90.0) == pytest.approx(2.0)
    assert health_factor(100.0, 0.8, 0.0) == float("inf")
    for debt in (-1.0, float("nan")):
        with pytest.raises(InputError, match="debt"):
            health_factor(100.0, 0.8, debt)


def test_wrong_tables_are_refused() -> None:
    with pytest.raises(InputError, match="caps"):
        capped_schedule([1.0, 2.0], [1.0])
    with pytest.raises(InputError, match="caps"):
        capped_schedule([None, 2.0], [1.0, 0.5])
    with pytest.raises(InputError, match="caps"):
        capped_schedule([], [])
    with pytest.raises(InputError, match="floor"):
        capped_schedule([2.0, 1.0], [1.0, 0.5])
    with pytest.raises(InputError, match="rate"):
        collateral_value(1.0, 1.0, 1.01)
