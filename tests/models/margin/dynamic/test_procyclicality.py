"""What each damping tool does to a calculated rate, and what the measures see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.dynamic.procyclicality import bar_rise, buffered, peak_to_trough, speed_limited, stress_weighted

rates = st.lists(st.floats(0.01, 1.0), min_size=1, max_size=60).map(lambda r: np.array([r]))


@given(rates, st.floats(0.25, 1.0), st.integers(1, 20))
def test_a_buffer_lies_between_the_rate_and_the_rate_with_all_of_it(rate: np.ndarray, buffer: float, n: int) -> None:
    found = buffered(rate, buffer, n)
    assert np.all(found >= rate - 1e-15)
    assert np.all(found <= (1 + buffer) * rate + 1e-12)


def test_a_buffer_is_exhausted_by_a_rise_and_given_back_afterwards() -> None:
    calm, stress = np.full(30, 0.1), np.full(120, 0.3)
    found = buffered(np.concatenate([calm, stress])[None], 0.25, 60)[0]
    assert found[29] == pytest.approx(0.125)
    assert found[30] == pytest.approx(0.3)
    assert found[-1] == pytest.approx(0.375)
    raw = np.diff(np.concatenate([calm, stress])).max()
    assert np.diff(found).max() < raw


def test_a_small_rise_does_not_move_the_margin_at_all() -> None:
    rate = np.concatenate([np.full(100, 0.1), [0.11, 0.12]])[None]
    found = buffered(rate, 0.25, 100)[0]
    assert found[100] == pytest.approx(0.125, rel=2e-3)
    assert found[101] == pytest.approx(0.125, rel=4e-3)


def test_stress_lifts_calm_rates_and_leaves_stressed_ones() -> None:
    found = stress_weighted(np.array([[0.1, 0.2, 0.6]]), np.array([[np.nan, 0.4, 0.4]]), 0.5)
    assert found[0] == pytest.approx([0.1, 0.3, 0.6])


@given(rates, st.floats(0.01, 1.0), st.floats(0.01, 0.5))
def test_limits_of_speed_hold_between_any_two_bars(rate: np.ndarray, rise: float, fall: float) -> None:
    found = speed_limited(rate, rise, fall)[0]
    change = found[1:] / found[:-1]
    assert np.all(change <= 1 + rise + 1e-12)
    assert np.all(change >= 1 - fall - 1e-12)
    assert found[0] == rate[0, 0]


@given(rates)
def test_no_limit_changes_nothing(rate: np.ndarray) -> None:
    assert np.array_equal(speed_limited(rate), rate)


def test_a_gap_stays_a_gap_and_the_limit_remembers() -> None:
    found = speed_limited(np.array([[0.1, np.nan, 0.4]]), rise=1.0)[0]
    assert found == pytest.approx([0.1, np.nan, 0.2], nan_ok=True)


def test_measures_by_hand() -> None:
    rate = np.array([[np.nan, 0.2, 0.1, 0.3, 0.6, 0.5], [np.nan] * 6])
    assert peak_to_trough(rate) == pytest.approx([6.0, np.nan], nan_ok=True)
    assert bar_rise(rate, 1) == pytest.approx([2.0, np.nan], nan_ok=True)
    assert bar_rise(rate, 2) == pytest.approx([5.0, np.nan], nan_ok=True)
    assert bar_rise(np.array([[0.3, 0.2]]), 1).tolist() == [0.0]
    assert np.isnan(bar_rise(rate, 6)).all()


def test_wrong_arguments_are_refused_by_name() -> None:
    one = np.ones((1, 3))
    for share in (0.24, 1.01):
        with pytest.raises(InputError, match="buffer"):
            buffered(one, share, 5)
        with pytest.raises(InputError, match="weight"):
            stress_weighted(one, one, share)
    with pytest.raises(InputError, match="window"):
        buffered(one, 0.25, 0)
    with pytest.raises(InputError, match="rise"):
        speed_limited(one, rise=0.0)
    for fall in (0.0, 1.1):
        with pytest.raises(InputError, match="fall"):
            speed_limited(one, fall=fall)
    with pytest.raises(InputError, match="bars"):
        bar_rise(one, 0)
