"""Time to a call: the curve keeps the forecasts, is monotone, and recovers known laws."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from models.errors import InputError
from models.predictor.adaptive import AdaptiveLevels
from models.predictor.timing import TimeModel, curve
from models.typing import HORIZONS

HOURS = np.array([0, *HORIZONS]) / 60


def draws(n: int = 200) -> np.ndarray:
    return np.sort(np.random.default_rng(0).beta(0.5, 3.0, (n, 4)), axis=1)


def test_the_curve_is_the_monotone_cubic_of_scipy():
    p = draws()
    known = np.column_stack([np.zeros(len(p)), p])
    expected = PchipInterpolator(np.log1p(HOURS), known, axis=1)(np.log1p(np.arange(73)))
    np.testing.assert_allclose(curve(p), expected, atol=1e-12)


@given(st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4))
def test_times_are_ordered_and_within_the_horizon(p):
    p = np.sort(np.array([p]), axis=1)
    grid = curve(p)
    assert (np.diff(grid) >= 0).all()
    np.testing.assert_allclose(grid[0, HOURS[1:].astype(int)], p[0], atol=1e-12)
    expected, low, high = TimeModel().times(p)
    for k in range(4):
        if p[0, k] > 0:
            assert 60 <= low[0, k] <= high[0, k] <= HORIZONS[k]
            assert 60 - 1e-6 <= expected[0, k] <= HORIZONS[k] + 1e-6
        else:
            assert np.isnan([expected[0, k], low[0, k], high[0, k]]).all()


def test_the_expected_time_is_the_mean_of_the_curve():
    p = draws(5)
    grid, (expected, _, high) = curve(p), TimeModel().times(p)
    share = np.diff(grid[:, :25], axis=1) / grid[:, 24:25]
    np.testing.assert_allclose(expected[:, 2], 60 * (share * np.arange(1, 25)).sum(axis=1), rtol=1e-9)
    reached = np.take_along_axis(grid, (high[:, 2:3] / 60).astype(int), axis=1)[:, 0]
    assert (reached >= 0.9 * grid[:, 24] - 1e-12).all()


def test_unknown_forecasts_have_no_time():
    assert np.isnan(TimeModel().times(np.full((1, 4), np.nan))[0]).all()


def test_adaptive_levels_move_the_ends():
    p = draws(50)
    shift = AdaptiveLevels((0.1, 0.9), np.array([-0.05, 0.08]))
    plain, moved = TimeModel().times(p), TimeModel().times(p, shift)
    np.testing.assert_array_equal(plain[0], moved[0])
    assert (moved[1] <= plain[1]).all()
    assert (moved[2] >= plain[2]).all()
    assert (moved[2] > plain[2]).any()


def test_json_round_trip_and_bad_levels():
    model = TimeModel((0.1, 0.12, 0.2, 0.1), (0.9, 0.8, 0.95, 1.0))
    assert TimeModel.from_dict(json.loads(json.dumps(model.as_dict()))) == model
    for low, high in (((0.9,) * 4, (0.1,) * 4), ((0.1,) * 3, (0.9,) * 3), ((0.1,) * 4, (1.1,) * 4)):
        with pytest.raises(InputError):
            TimeModel(low, high)
