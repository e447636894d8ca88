"""The numbers behind the charts, against plain definitions."""

import numpy as np
import pytest

from models.predictor.novelty import NoveltyModel
from training.evaluate.bootstrap import WEEK_NS
from training.evaluate.metrics import log_loss
from training.report.numbers import alert_curve, caught_by_lead, decompose, reliability_curve
from training.report.numbers.alerts import BUDGETS
from training.report.numbers.drift import stability, stability_index
from training.report.numbers.weeks import cumulative_gain, monthly_ratio


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_bins_hold_equal_expected_calls(rng):
    p = rng.beta(0.3, 4.0, 20_000)
    y = (rng.random(len(p)) < p).astype(float)
    found = reliability_curve(p, y, rng.integers(0, 30, len(p)) * WEEK_NS, bins=10)
    assert found.count.sum() == len(p)
    expected = found.count * found.predicted
    assert expected == pytest.approx(np.full(10, p.sum() / 10), rel=0.01)
    assert (np.diff(found.predicted) > 0).all()
    assert (found.count * found.observed).sum() == pytest.approx(y.sum())
    inside = (found.low <= found.predicted) & (found.predicted <= found.high)
    assert inside.sum() >= 8  # forecasts that mean what they say
    shifted = reliability_curve(
        p, (rng.random(len(p)) < p / 3).astype(float), np.arange(len(p)) % 30 * WEEK_NS, bins=10
    )
    assert (shifted.high < shifted.predicted).sum() >= 8  # and forecasts that do not


def test_equal_forecasts_stay_in_one_bin():
    p = np.repeat([0.1, 0.2], [500, 500])
    found = reliability_curve(p, np.tile([0.0, 1.0], 500), np.zeros(1000, np.int64), bins=6)
    assert found.predicted.tolist() == pytest.approx([0.1, 0.2])
    assert found.count.tolist() == [500, 500]


def test_intervals_draw_whole_weeks(rng):
    week = np.repeat(np.arange(40), 250)
    p = np.full(len(week), 0.1)
    together = (week % 10 == 0).astype(float)  # all calls in four weeks
    apart = rng.permutation(together)
    wide = reliability_curve(p, together, week * WEEK_NS, bins=1)
    narrow = reliability_curve(p, apart, week * WEEK_NS, bins=1)
    assert wide.high[0] - wide.low[0] > 5 * (narrow.high[0] - narrow.low[0])


def test_no_forecast_above_zero_gives_no_bins():
    assert len(reliability_curve(np.zeros(5), np.zeros(5), np.zeros(5, np.int64)).count) == 0


def test_decomposition_finds_each_fault(rng):
    q = rng.beta(0.5, 3.0, 30_000)
    y = (rng.random(len(q)) < q).astype(float)
    good, bold, blind = decompose(q, y), decompose(np.sqrt(q), y), decompose(np.full(len(q), y.mean()), y)
    for parts in (good, bold, blind):
        assert parts.loss == pytest.approx(parts.miscalibration - parts.discrimination + parts.uncertainty)
    assert good.miscalibration < 0.002
    assert bold.miscalibration > 10 * good.miscalibration
    assert bold.discrimination == pytest.approx(good.discrimination, rel=1e-9)  # the same order of the accounts
    assert blind.discrimination == pytest.approx(0.0, abs=1e-9)
    assert good.loss == log_loss(q, y)


def test_alert_curve_counts_the_highest_forecasts():
    p = np.arange(1000) / 1000
    y = np.zeros(1000)
    y[[999, 998, 500]] = 1.0
    found = dict(zip(BUDGETS, alert_curve(p, y).tolist(), strict=True))
    assert found[0.001] == pytest.approx(1 / 3)
    assert found[0.002] == pytest.approx(2 / 3)
    assert found[0.1] == pytest.approx(2 / 3)


def test_leads_sort_calls_by_how_far_ahead_they_were():
    p, y = np.array([0.9, 0.8, 0.1, 0.0]), np.array([1.0, 1.0, 1.0, 0.0])
    minutes = np.array([60.0, 1440.0, 1300.0, np.nan])
    found = caught_by_lead(p, y, minutes, budget=0.5)
    assert found[0] == 1.0  # 60 minutes belong to the first hour
    assert found[-1] == 0.5
    assert np.isnan(found[2])


def test_stability_index_is_small_on_the_training_and_large_when_moved(rng):
    x = rng.normal(size=(20_000, 2)).astype(np.float32)
    model = NoveltyModel.fit(x, ["a", "b"])
    rows = _rows(x[:5000], ("a", "b"))
    _, same = stability(rows, model)
    moved = _rows(x[:5000] + np.array([1.0, 0.0], np.float32), ("a", "b"))
    _, other = stability(moved, model)
    assert max(float(v.max()) for v in same.values()) < 0.02
    assert next(iter(other)) == "a"  # what moved most comes first
    assert other["a"][0] > 0.5
    assert other["b"][0] < 0.02


def test_stability_index_of_a_column_with_equal_values(rng):
    x = np.where(rng.random((20_000, 1)) < 0.8, 0.0, rng.normal(size=(20_000, 1))).astype(np.float32)
    model = NoveltyModel.fit(x, ["a"])
    assert stability(_rows(x[:8000], ("a",)), model)[1]["a"][0] < 0.05
    assert stability(_rows(x[:8000] * 0 + 3, ("a",)), model)[1]["a"][0] > 1.0


def test_stability_index_by_its_formula():
    assert stability_index(np.array([0.2, 0.8]), np.array([0.2, 0.8])) == 0.0
    assert stability_index(np.array([0.5, 0.5]), np.array([0.25, 0.75])) == pytest.approx(
        -0.25 * np.log(0.5) + 0.25 * np.log(1.5)
    )


def test_gain_adds_up_to_the_skill(rng):
    p, b = rng.uniform(0.1, 0.4, (300, 4)), np.full((300, 4), 0.5)
    y, usable = rng.random((300, 4)) < p, rng.random((300, 4)) < 0.9
    _, gain = cumulative_gain(p, b, y, usable, np.sort(rng.integers(0, 10, 300)) * WEEK_NS)
    outcome = y[usable].astype(float)
    assert gain[-1] == pytest.approx(1 - log_loss(p[usable], outcome) / log_loss(b[usable], outcome))


def test_ratio_by_month_leaves_unknown_outcomes_out():
    day = 86_400_000_000_000
    p = np.full((2, 4), 0.5)
    usable = np.array([[True, True, False, False], [True] * 4])
    y = np.array([[True, False, True, True], [False] * 4])
    months, ratio, calls = monthly_ratio({"m": p}, y, usable, np.array([0, 40 * day]))
    assert (months, calls.tolist()) == (["1970-01", "1970-02"], [1, 0])
    assert ratio["m"][0] == 1.0
    assert np.isnan(ratio["m"][1])


class _rows:
    """The three things of a dataset that stability reads."""

    def __init__(self, x, names):
        self.x, self.feature_names, self.as_of = x, names, np.zeros(len(x), np.int64)

    def __len__(self):
        return len(self.x)
