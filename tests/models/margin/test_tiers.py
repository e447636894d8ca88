"""Schedules are continuous, and their offsets are the venues' published amounts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.tiers import TierSchedule, flatten_schedules


def test_offsets_are_the_published_maintenance_amounts() -> None:
    """BTCUSDT brackets of Binance USDⓈ-M, September 2026."""
    floor = [0, 300_000, 800_000, 3_000_000, 12_000_000, 70_000_000]
    schedule = TierSchedule.from_rates(floor, [0.004, 0.005, 0.0065, 0.01, 0.02, 0.025])
    assert schedule.offset == pytest.approx([0, 300, 1_500, 12_000, 132_000, 482_000])


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8), st.booleans())
def test_continuous_at_every_bound(rates: list[float], falling: bool) -> None:
    rates = sorted(rates, reverse=falling)
    floor = np.arange(len(rates)) * 1000.0
    schedule = TierSchedule.from_rates(floor, rates)
    left = schedule(np.nextafter(floor[1:], 0.0))
    assert schedule(floor[1:]) == pytest.approx(left, rel=1e-9, abs=1e-6)


def test_a_bound_belongs_to_the_upper_slice_and_debts_are_not_cut() -> None:
    schedule = TierSchedule.from_rates([0, 100], [1.0, 0.5])
    assert schedule.lookup(100.0) == (0.5, -50.0)
    assert schedule(np.array([-30.0, 50.0, 300.0])).tolist() == [-30.0, 50.0, 200.0]


@pytest.mark.parametrize(
    ("floor", "rate", "field"),
    [
        ([], [], "floor"),
        ([1.0], [0.1], "floor"),
        ([0.0, 0.0], [0.1, 0.2], "floor"),
        ([0.0, 1.0], [0.1], "floor"),
        ([0.0], [1.01], "rate"),
        ([0.0], [-0.01], "rate"),
        ([0.0], [float("nan")], "rate"),
        ([0.0, 1.0, 2.0], [0.1, 0.2, 0.1], "rate"),
    ],
)
def test_bad_schedules_are_refused(floor: list[float], rate: list[float], field: str) -> None:
    with pytest.raises(InputError) as caught:
        TierSchedule.from_rates(floor, rate)
    assert caught.value.field == field


def test_flattened_tables_keep_the_order() -> None:
    tables = flatten_schedules([TierSchedule.from_rates([0, 1], [0.1, 0.2]), TierSchedule.from_rates([0], [0.3])])
    assert tables.start.tolist() == [0, 2, 3]
    assert tables.rate.tolist() == [0.1, 0.2, 0.3]
