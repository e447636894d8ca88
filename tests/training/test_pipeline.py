"""From market to metrics on a small simulated market; and the leak tests, which must bite."""

import json
from dataclasses import replace

import numpy as np
import pytest

from features.build import FEATURE_NAMES
from features.market import MARKET_FEATURES, market_features
from models.errors import InputError, ModelError
from models.predictor import MarginCallPredictor
from models.typing import DAY_NS
from tests.training.markets import market
from training.build import BuildSettings, PriorSchedule, build_dataset
from training.dataset import concatenate
from training.evaluate.size_table import markdown_sizes, size_tables
from training.evaluate.table import baseline_table, horizon_table, markdown_baselines, markdown_horizons
from training.fit import FitParameters
from training.pipeline import (
    TrainSettings,
    evaluate,
    instants_between,
    load_baselines,
    save_training,
    train,
    train_dataset,
)
from training.population import sample_population

DAYS, TEST_DAYS = 250, 50
SETTINGS = TrainSettings(
    ruleset="generic-linear",
    every_minutes=420,
    per_instant=12,
    warmup_days=75,
    build=BuildSettings(paths=128),
    fit=FitParameters(
        min_data_in_leaf=150,
        lambda_l2=20.0,
        learning_rate=0.1,
        feature_fraction=0.6,
        max_rounds=80,
        patience=15,
        shrink=1.0,
    ),
)


@pytest.fixture(scope="module")
def panel():
    return market(DAYS)


@pytest.fixture(scope="module")
def cut(panel):
    return panel.end - TEST_DAYS * DAY_NS


@pytest.fixture(scope="module")
def trained(panel, cut):
    seen = []
    out = train(panel, None, cut, SETTINGS, progress=lambda *step: seen.append(step))
    assert {name for name, _, _ in seen} == {"population", "dataset", "trees", "baselines"}
    assert all(0 <= done <= total for _, done, total in seen)
    return out


@pytest.fixture(scope="module")
def scored(panel, cut, trained):
    return evaluate(panel, trained.predictor, cut, None, trained.baselines, SETTINGS)


def test_metrics_hold_the_contract(scored):
    metrics = scored.metrics
    assert set(metrics["horizons"]) == {"60", "240", "1440", "4320"}
    assert list(metrics["baselines"]) == [*(f"B{i}" for i in range(10)), "P"]
    assert set(metrics["skill_vs_prior"]["pooled"]) == {"value", "low", "high", "blocks"}
    assert {"contested", "liquidation", "one_position", "several_positions"} <= set(metrics["segments"])
    json.dumps(metrics, allow_nan=False)
    rates = [metrics["horizons"][h]["base_rate"] for h in ("60", "240", "1440", "4320")]
    assert rates == sorted(rates)


def test_the_prior_beats_the_naive_baselines(scored):
    loss = {name: part["pooled"]["log_loss"] for name, part in scored.metrics["baselines"].items()}
    assert loss["B5"] < loss["B0"]
    assert loss["B5"] < loss["B7"]
    assert loss["B5"] < loss["B8"]
    assert scored.metrics["baselines"]["B5"]["skill_of_model"] == pytest.approx(
        scored.metrics["skill_vs_prior"]["pooled"], abs=0.01
    )


def test_no_account_falls_with_horizon_or_leverage(scored):
    found = scored.metrics["monotone"]
    assert found["accounts"] > 50
    assert found["horizon_violations"] == 0
    assert found["leverage_violations"] == 0


def test_training_is_reproducible_and_reads_nothing_after_its_end(panel, cut, trained):
    row = int(panel.row_after(cut))
    changed = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for array in changed.values():
        array[:, row:] *= 1.7
    other = train(replace(panel, **changed), None, cut, replace(SETTINGS, baselines=False))
    assert other.fingerprint == trained.fingerprint
    assert other.predictor.booster.model_to_string() == trained.predictor.booster.model_to_string()
    assert other.predictor.calibration == trained.predictor.calibration


def test_what_is_saved_loads_and_scores_the_same(tmp_path, panel, cut, trained, scored):
    folder = save_training(trained, tmp_path / "model", scored.metrics)
    copy = MarginCallPredictor.load(folder, FEATURE_NAMES)
    np.testing.assert_array_equal(copy.predict(scored.dataset.x, scored.dataset.prior), scored.p)
    assert load_baselines(folder) == trained.baselines
    assert json.loads((folder / "metrics.json").read_text()) == scored.metrics
    (folder / "baselines.json").write_text("{")
    with pytest.raises(ModelError, match=r"baselines\.json"):
        load_baselines(folder)
    (folder / "baselines.json").unlink()
    assert load_baselines(folder) is None


def test_size_and_time_are_scored_beside_the_prior(scored):
    found, times = scored.metrics["call_amount"], scored.metrics["time_to_call"]
    assert found["n_compared"] > 50
    assert {"model", "overshoot", "tabulated", "prior", "adaptive", "by_horizon", "by_regime"} <= set(found)
    assert found["model"]["coverage"] == sorted(found["model"]["coverage"])
    assert [x is None for x in found["overshoot"]["pinball"]] == [True, True, False, True, False, True, True]
    for name in ("240", "1440", "4320"):
        assert times[name]["mean_absolute_error"] < times[name]["constant"]
        assert 0.5 < times[name]["coverage"] <= 1
    assert [table.row_count for table in size_tables(scored.metrics)] == [9, 4]
    assert markdown_sizes(scored.metrics).count("| margincast") == 6
    assert 0 <= scored.metrics["novelty"]["share"] < 0.3


def test_a_period_inside_the_training_data_is_refused(panel, cut, trained):
    with pytest.raises(InputError, match="after the model's training data"):
        evaluate(panel, trained.predictor, cut - DAY_NS, None, None, SETTINGS)


def test_too_short_a_period_is_refused(panel):
    with pytest.raises(InputError, match="train_end"):
        train(panel, None, panel.start + 90 * DAY_NS, SETTINGS)


def test_tables_show_every_horizon_and_baseline(scored):
    assert horizon_table(scored.metrics).row_count == 5
    assert baseline_table(scored.metrics).row_count == 12
    assert markdown_horizons(scored.metrics).count("\n") == 7
    assert all(f"| B{i} " in markdown_baselines(scored.metrics) for i in range(10))


# --- leak tests: the same pipeline, one bar of the future in one feature


PLANTED = MARKET_FEATURES.index("ret_1h")


def leaky(panel):
    """Market features of which one, the last return, is taken one bar too late; the rest is honest."""
    whole = market_features(panel)
    later = np.concatenate([whole[:, 1:, PLANTED], whole[:, -1:, PLANTED]], axis=1)
    rows = {int(t): i for i, t in enumerate(panel.times())}

    def columns(part):
        out = market_features(part)
        first = rows[part.start]
        out[:, :, PLANTED] = later[:, first : first + part.n_bars]
        return out

    return columns


def built(panel, first, until, seed, columns, **more):
    instants = instants_between(panel, first, until - 3 * DAY_NS, SETTINGS.every_minutes)
    accounts = sample_population(panel, SETTINGS.ruleset, instants, SETTINGS.per_instant, seed)
    schedule = PriorSchedule(panel, first, SETTINGS.build, **more)
    return concatenate(list(build_dataset(panel, accounts, schedule, SETTINGS.build, market_columns=columns)))


@pytest.fixture(scope="module")
def planted(panel, cut, trained):
    known = panel.between(panel.start, cut)
    first = panel.start + SETTINGS.warmup_days * DAY_NS
    return (
        built(known, first, cut, 7, leaky(known)),
        built(panel, cut, panel.end, 8, leaky(panel), fixed=trained.predictor.prior),
    )


def one_hour_skill(learn, test, prior, first, until):
    """Skill over the prior on the one-hour horizon, where one bar of the future is worth most."""
    predictor = train_dataset(learn, prior, first, until, replace(SETTINGS, baselines=False)).predictor
    p = predictor.predict(test.x, test.prior)
    use = test.usable[:, 0]
    y, mine, theirs = test.y[use, 0], p[use, 0], np.clip(test.prior[use, 0], 1e-6, 1 - 1e-6)

    def loss(q):
        return -np.where(y, np.log(q), np.log1p(-q)).mean()

    return 1.0 - loss(mine) / loss(theirs)


def test_one_bar_of_look_ahead_in_one_feature_raises_the_score_visibly(panel, cut, trained, scored, planted):
    learn, test = planted
    first = panel.start + SETTINGS.warmup_days * DAY_NS
    honest = scored.metrics["skill_vs_prior"]["60"]["value"]
    with_leak = one_hour_skill(learn, test, trained.predictor.prior, first, cut)
    assert with_leak > honest + 0.05


def test_shuffled_labels_kill_the_score_even_with_the_leak(panel, cut, trained, planted):
    learn, test = planted
    first = panel.start + SETTINGS.warmup_days * DAY_NS
    # labels change places only among rows of nearly the same prior: what the prior says stays true, the rest is lost
    rng, y = np.random.default_rng(0), learn.y.copy()
    for k in range(y.shape[1]):
        order = np.argsort(learn.prior[:, k], kind="stable")
        for block in np.array_split(order, len(order) // 200):
            y[block, k] = y[rng.permutation(block), k]
    shuffled = one_hour_skill(replace(learn, y=y), test, trained.predictor.prior, first, cut)
    assert shuffled <= 0.01
