"""Point-in-time join, against a sorted merge."""

import numpy as np
import pandas as pd
import pytest

from features.join import join_asof, known_rows, market_states
from models.errors import InputError
from tests.features.markets import random_panel

HOUR = 3_600_000_000_000


def figures(panel, width=3):
    return np.random.default_rng(1).normal(size=(len(panel.assets), panel.n_bars, width))


def test_equals_merge_asof():
    panel, rng = random_panel(3, 200), np.random.default_rng(2)
    values = figures(panel)
    as_of = rng.integers(panel.start - 3 * HOUR, panel.end + 5 * HOUR, 500)
    as_of[:50] = panel.start + rng.integers(0, 200, 50) * HOUR  # exactly on a close
    asset = rng.integers(0, 3, 500)
    right = pd.DataFrame(values.reshape(-1, 3), columns=list("xyz"))
    right["asset"] = np.repeat(np.arange(3), panel.n_bars)
    right["time"] = np.tile(panel.times() + panel.step, 3)
    left = pd.DataFrame({"time": as_of, "asset": asset}).reset_index().sort_values("time")
    merged = pd.merge_asof(left, right.sort_values("time"), on="time", by="asset").sort_values("index")
    np.testing.assert_array_equal(join_asof(values, panel, as_of, asset), merged[list("xyz")].to_numpy())


def test_a_bar_is_known_at_its_close_and_not_before():
    panel = random_panel(1, 10)
    close = panel.start + 4 * HOUR
    assert known_rows(panel, np.array([close - 1, close, close + 1])).tolist() == [2, 3, 3]


def test_before_the_first_close_and_beyond_the_age_nothing_is_known():
    panel = random_panel(1, 10)
    values = figures(panel)
    as_of = np.array([panel.start, panel.start + HOUR - 1, panel.end + 30 * 60 * 10**9, panel.end + 2 * HOUR])
    out = join_asof(values, panel, as_of, np.zeros(4, int), max_age_minutes=60)
    assert np.isnan(out[[0, 1, 3]]).all()
    np.testing.assert_array_equal(out[2], values[0, -1])
    assert known_rows(panel, as_of, 60).tolist() == [-1, -1, 9, -1]


def test_states_are_laid_out_by_row():
    panel = random_panel(2, 10)
    values = figures(panel)
    states = market_states(values, np.array([3, -1]))
    assert states.shape == (2, 2, 3)
    np.testing.assert_array_equal(states[0], values[:, 3])
    assert np.isnan(states[1]).all()
    with pytest.raises(InputError, match="rows: expected from -1 to 9"):
        market_states(values, np.array([10]))


@pytest.mark.parametrize(
    ("values", "asset", "field"),
    [((1, 9, 3), [0], "values"), ((1, 10, 3), [1], "asset"), ((1, 10, 3), [0, 0], "asset")],
)
def test_what_does_not_fit_is_refused(values, asset, field):
    panel = random_panel(1, 10)
    with pytest.raises(InputError, match=f"^{field}: expected"):
        join_asof(np.zeros(values), panel, np.array([panel.end]), np.array(asset))


def test_no_instants_give_no_rows():
    panel = random_panel(1, 10)
    assert join_asof(figures(panel), panel, np.array([], np.int64), np.array([], int)).shape == (0, 3)
