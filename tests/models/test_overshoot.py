"""The overshoot table: draws counted by hand, and laws that are known."""

import numpy as np
import pytest

from models.errors import InputError
from models.overshoot import AMOUNT_LEVELS, OVERSHOOT_NODES, OvershootTable, overshoot_at
from models.prior import PriorModel
from models.volatility.forecast import HORIZON_HOURS
from tests.models.builders import walk

HOURS = np.array([1, 4, 24, 72])


@pytest.fixture(scope="module")
def fitted():
    panel = walk(24 * 400, assets=2, seed=3)
    total = np.tile(0.006**2 * HOURS, (2, panel.n_bars, 1)).astype(float)
    return panel, total, OvershootTable.fit(panel, total, HOURS)


@pytest.mark.parametrize(("side", "k", "node"), [(0, 1, 4), (1, 1, 4), (1, 2, 6), (0, 0, 0)])
def test_quantiles_are_those_of_the_first_passages(fitted, side, k, node):
    panel, total, table = fitted
    draws = []
    z = OVERSHOOT_NODES[node]
    for a in range(2):
        deviation = np.sqrt(total[a, 0, k])
        for t in range(panel.n_bars - 72):
            now = panel.close[a, t]
            for j in range(1, HOURS[k] + 1):
                move = np.log(panel.high[a, t + j] / now) if side == 0 else np.log(now / panel.low[a, t + j])
                if move >= z * deviation:
                    draws.append((move / deviation - z) * np.sqrt(HOURS[k]))
                    break
    assert len(draws) > 400
    np.testing.assert_allclose(table.quantile[side, k, node], np.quantile(draws, AMOUNT_LEVELS), rtol=0.06, atol=0.01)


def test_beyond_the_draws_the_overshoot_grows_with_the_distance(fitted):
    rows = fitted[2].quantile[1, 0]
    last = len(OVERSHOOT_NODES) - 1
    assert overshoot_at(rows, 80.0, 2) == pytest.approx(10.0 * rows[last, 2])
    middle = 0.5 * (OVERSHOOT_NODES[5] + OVERSHOOT_NODES[6])
    assert overshoot_at(rows, middle, 4) == pytest.approx(0.5 * (rows[5, 4] + rows[6, 4]))
    assert overshoot_at(rows, -1.0, 4) == rows[0, 4]


def test_windows_with_a_missing_bar_do_not_count(fitted):
    panel, total, table = fitted
    close = panel.close.copy()
    close[:, 5000:] = np.nan
    from dataclasses import replace

    half = OvershootTable.fit(replace(panel, close=close), total, HOURS)
    early = OvershootTable.fit(panel.slice(0, 5000), total[:, :5000], HOURS)
    np.testing.assert_array_equal(half.quantile, early.quantile)
    assert (half.quantile != table.quantile).any()


def test_the_prior_carries_the_table_of_its_own_data_and_baselines_have_none():
    panel = walk(24 * 120, seed=4)
    prior = PriorModel.fit(panel, paths=64)
    total = prior.volatility.total_variance(panel)
    np.testing.assert_array_equal(prior.overshoot.quantile, OvershootTable.fit(panel, total, HORIZON_HOURS).quantile)
    assert PriorModel.fit(panel, volatility="har", paths=64).overshoot is None
    copy = PriorModel.from_arrays(prior.to_arrays())
    np.testing.assert_array_equal(copy.overshoot.quantile, prior.overshoot.quantile)
    old = {name: value for name, value in prior.to_arrays().items() if name != "overshoot"}
    assert PriorModel.from_arrays(old).overshoot is None


def test_bad_tables_are_refused(fitted):
    good = fitted[2].quantile
    for bad in (good[:, :, :-1], good * np.nan, -good, good[:, :, :, ::-1]):
        with pytest.raises(InputError, match="quantile"):
            OvershootTable(bad)
