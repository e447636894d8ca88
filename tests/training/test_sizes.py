"""Size and time of calls from training to metrics, on a small market and on made-up outcomes."""

from dataclasses import replace

import numpy as np
import pytest

from models.overshoot import AMOUNT_LEVELS
from models.predictor.adaptive import AdaptiveLevels
from models.predictor.timing import TimeModel, curve
from models.prior import PriorModel
from models.typing import DAY_NS, HORIZONS
from tests.training.markets import market
from training.build import BuildSettings, PriorSchedule, build_dataset
from training.dataset import Dataset, concatenate
from training.evaluate.sizes import adaptive_coverage
from training.pipeline import instants_between
from training.population import sample_population
from training.simulated import SIMULATED, SIZED
from training.sizes import called, calls_of, fit_amounts, fit_times, reached, sizes_of

CUT = 170


@pytest.fixture(scope="module")
def learned() -> Dataset:
    panel = market(CUT)
    prior = PriorModel.fit(panel, paths=64)
    build = BuildSettings(paths=64, baselines=True)
    begin, end = panel.start + 75 * DAY_NS, panel.end - 3 * DAY_NS
    people = sample_population(panel, "generic-linear", instants_between(panel, begin, end, 300), 10, 3)
    schedule = PriorSchedule(panel, begin, build, fixed=prior, in_sample=True)
    with pytest.MonkeyPatch.context() as patch:  # the EWMA baseline asks for a prior of its own, from the same bars
        patch.setattr(PriorSchedule, "at", lambda self, as_of: self.fixed)
        whole = concatenate(list(build_dataset(panel, people, schedule, build)))
    return whole.take(whole.level == 0)


@pytest.fixture(scope="module")
def model(learned):
    return fit_amounts(learned, learned.take(np.zeros(len(learned), bool)), rounds=10)


def test_in_sample_the_stated_shares_are_covered(model, learned):
    part = called(learned)
    calls = calls_of(part)
    assert len(calls) > 300
    below = reached(model, part, calls)[:, None] <= model.constant[calls.horizon]
    np.testing.assert_allclose(below.mean(axis=0), AMOUNT_LEVELS, atol=0.02)
    table = model.quantiles(part.x, part.size_base, part.size_scale, sizes=sizes_of(part))[calls.pair, calls.horizon]
    np.testing.assert_array_equal(part.amount[calls.pair][:, None] <= table * (1 + 1e-9), below | (below == 1))


def test_held_weeks_move_the_constants_part_of_the_way(model, learned):
    rich = replace(learned, amount=learned.amount * 3.0)
    moved = fit_amounts(learned, rich, rounds=10)
    assert (moved.constant[:, 2] > model.constant[:, 2] + 0.1).all()
    part = called(rich)
    calls = calls_of(part)
    full = np.median(reached(model, part, calls) - model.constant[calls.horizon, 2])
    assert (moved.constant[:, 2] - model.constant[:, 2]).max() < 0.9 * full


def test_the_model_starts_from_the_quantiles_of_the_prior(model, learned):
    assert model.from_prior
    part = called(learned)
    calls = calls_of(part)
    table = sizes_of(part)
    amount, one = part.amount[calls.pair], (calls.pair, calls.horizon)
    assert np.median(np.abs(np.log(amount / table[one][:, 2]))) < 0.25
    below = (amount[:, None] <= table[one]).mean(axis=0)
    np.testing.assert_allclose(below, AMOUNT_LEVELS, atol=0.12)
    rich = dict(part.extra)
    for name in SIZED:
        rich[name] = 2.0 * rich[name]
    twice = model.quantiles(part.x, part.size_base, part.size_scale, sizes=sizes_of(replace(part, extra=rich)))
    once = model.quantiles(part.x, part.size_base, part.size_scale, sizes=table)
    np.testing.assert_allclose(twice, 2.0 * once, rtol=1e-9)


def test_a_dataset_of_before_gives_a_model_of_before(learned):
    plain = replace(learned, extra={name: v for name, v in learned.extra.items() if name not in SIZED})
    old = fit_amounts(plain, plain.take(np.zeros(len(plain), bool)), rounds=10)
    assert not old.from_prior
    part = called(plain)
    calls = calls_of(part)
    below = reached(old, part, calls)[:, None] <= old.constant[calls.horizon]
    np.testing.assert_allclose(below.mean(axis=0), AMOUNT_LEVELS, atol=0.02)


def test_constants_are_counted_on_weeks_that_the_trees_have_not_seen(learned, monkeypatch):
    monkeypatch.setattr("training.sizes._LEAST", 50)  # so that few calls are enough for trees
    part = called(learned)
    many = replace(part, amount=part.amount * np.exp(np.random.default_rng(0).normal(0.0, 0.5, len(part))))
    calls = calls_of(many)
    nobody = many.take(np.zeros(len(many), bool))
    eager = fit_amounts(many, nobody, rounds=150)
    assert eager.texts
    away = reached(eager, many, calls)
    seen = np.quantile(away, AMOUNT_LEVELS)
    unseen = eager.constant[calls.horizon].mean(axis=0)
    assert unseen[4] > seen[4] + 0.05
    assert unseen[0] < seen[0] - 0.05


def test_too_few_calls_give_no_model(learned):
    few = called(learned).take(np.arange(len(called(learned))) < 40)
    assert fit_amounts(few, few) is None


def test_times_follow_the_curve_where_it_is_true():
    rng = np.random.default_rng(0)
    n = 20_000
    p = np.sort(rng.uniform(0.05, 0.9, (n, 4)), axis=1)
    grid, u = curve(p), rng.random(n)
    hour = (grid < u[:, None]).sum(axis=1)
    minutes = np.where(u <= p[:, 3], 60.0 * hour, np.nan)
    found = fit_times(_outcomes(minutes), p)
    np.testing.assert_allclose(found.high[2:], 0.9, atol=0.03)
    expected, low, high = found.times(p)
    seen = np.isfinite(minutes)
    assert expected[seen, 3].mean() == pytest.approx(minutes[seen].mean(), rel=0.03)
    inside = (minutes >= low[:, 3]) & (minutes <= high[:, 3])
    assert 0.78 < inside[seen].mean() < 0.87
    assert fit_times(_outcomes(minutes).take(np.zeros(n, bool)), p[:0]) == TimeModel()


def _outcomes(minutes: np.ndarray) -> Dataset:
    n = len(minutes)
    y = minutes[:, None] <= np.array(HORIZONS)
    as_of = np.arange(n, dtype=np.int64) * DAY_NS // 10
    zero = np.zeros(n)
    x = np.zeros((4 * n, 1), np.float32)
    return Dataset(
        ("a",), x, np.zeros((n, 4)), y, np.ones((n, 4), bool), as_of, zero.astype(np.int8), zero, zero, zero, minutes,
        zero, zero, zero, ("k",),
    )  # fmt: skip


def test_adaptive_coverage_learns_from_days_that_are_over_and_from_no_other():
    day = np.repeat(np.arange(200), 5) * DAY_NS
    away = np.random.default_rng(1).normal(size=(1000, 1)) + 1.0
    start = AdaptiveLevels((0.9,), np.zeros(1), 0.02)
    constant = np.full((1000, 1), 1.2816)
    static = (away <= constant).mean()
    followed = adaptive_coverage(day, day + DAY_NS // 2, away, constant, start)[0]
    unknown = adaptive_coverage(day, day + 300 * DAY_NS, away, constant, start)[0]
    assert static < 0.7
    assert unknown == static
    assert followed == pytest.approx(0.9, abs=0.06)


def test_the_prior_simulates_the_amounts_of_those_that_were_called(learned):
    amount = np.stack([learned.extra[name] for name in SIMULATED], axis=2)
    seen = np.isfinite(learned.amount)
    assert np.isnan(amount[~seen]).all()
    known = np.isfinite(amount[seen]).all(axis=(1, 2))
    assert known.mean() > 0.8
    assert (np.diff(amount[seen][known], axis=2) >= 0).all()
    middle = amount[seen][known][:, 3, 2]
    assert np.median(np.abs(np.log(learned.amount[seen][known] / middle))) < 0.5
