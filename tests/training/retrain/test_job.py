"""Whole nights: idempotent, resumable after a kill at every stage, and deaf to sabotage."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest

from features.market import market_features
from features.sources.folders import folder_digest
from models.errors import BusyError, ModelError
from models.predictor import MarginCallPredictor
from models.predictor.calibration import Calibration
from models.typing import DAY_NS
from tests.training.retrain.conftest import SETTINGS, fresh_work
from training.registry import Registry
from training.retrain import Triggers, only_one, retrain
from training.retrain.chunks import Chunks, months_between
from training.retrain.job import STAGES
from training.retrain.period import period_of


def champion(registry: Registry) -> str:
    """Version of the champion."""
    return registry.load("champion").version


def times_of(panel):
    """Times of a run with the settings of these tests."""
    return period_of(panel, SETTINGS.judged_days, SETTINGS.window_days, SETTINGS.prior_days, SETTINGS.train.warmup_days)


def test_the_first_night_makes_a_champion(first_night, early):
    home, done = first_night
    assert done.outcome == "promoted"
    assert champion(home.registry) == "margincast/1"
    found = {path.stem for path in done.folder.glob("*.json")}
    assert found == {"begun", *STAGES, "ended"}
    exported = MarginCallPredictor.load(home.work.parent / "export")
    assert exported.version == "margincast/1"
    times = period_of(
        early, SETTINGS.judged_days, SETTINGS.window_days, SETTINGS.prior_days, SETTINGS.train.warmup_days
    )
    assert exported.prior.fitted_until <= times.judged  # nothing of the period judged was seen
    assert exported.metadata["trained_until"] == times.judged
    assert exported.expires_ns == times.judged + 365 * DAY_NS


def test_the_same_night_again_does_nothing(first_night, early):
    home, done = first_night
    stamps = {p: p.stat().st_mtime_ns for p in done.folder.rglob("*") if p.name != "ended.json" and p.is_file()}
    again = retrain(early, home.registry, home.work, SETTINGS, export=home.work.parent / "export")
    assert again.outcome == done.outcome
    assert {k: v for k, v in again.summary.items() if k != "triggers"} == json.loads(
        json.dumps({k: v for k, v in done.summary.items() if k != "triggers"})
    )
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    assert again.registered.version == done.registered.version == "1"


def test_the_same_inputs_give_the_same_bundle(home, early, tmp_path):
    other = retrain(early, Registry(tmp_path / "mlruns"), fresh_work(home, "twin"), SETTINGS)
    first = home.work / "runs" / other.folder.name / "challenger"
    assert folder_digest(other.folder / "challenger") == folder_digest(first)
    assert other.summary["bundle"] == folder_digest(first)


def test_rows_kept_are_the_rows_built_anew(home, early, tmp_path):
    times = period_of(
        early, SETTINGS.judged_days, SETTINGS.window_days, SETTINGS.prior_days, SETTINGS.train.warmup_days
    )
    prior = home.registry.load("champion").prior
    kept = Chunks(home.work / "rows", early, prior, SETTINGS.train)
    anew = Chunks(tmp_path / "rows", early, prior, SETTINGS.train)
    a = kept.rows(times.judged, times.until, SETTINGS.train.seed + 1, False)
    b = anew.rows(times.judged, times.until, SETTINGS.train.seed + 1, False)
    assert np.array_equal(a.x, b.x, equal_nan=True)
    assert np.array_equal(a.y, b.y)
    assert (np.diff(a.as_of) >= 0).all()


def test_a_night_builds_only_the_months_that_are_new(home, whole_panel, early):
    prior = home.registry.load("champion").prior
    folder = home.work.parent / "grown"
    begin, until = early.end - 100 * DAY_NS, early.end - 4 * DAY_NS
    Chunks(folder, early, prior, SETTINGS.train).rows(begin, until, 7, False)
    before = {p.name for p in folder.glob("*.parquet")}
    Chunks(folder, whole_panel, prior, SETTINGS.train).rows(begin, until + 20 * DAY_NS, 7, False)
    after = {p.name for p in folder.glob("*.parquet")}
    complete = {name for name in before if name[:7] < str(np.datetime64(until, "ns").astype("datetime64[M]"))}
    assert complete
    assert complete <= after
    months = len(months_between(begin, until + 20 * DAY_NS))
    assert len(after - before) <= months - len(complete)


@pytest.fixture
def nightly(home, whole_panel):
    """Return a function that runs the second night with a sabotaged challenger, and gives the checks that failed."""

    def run(name, spoil=None, columns=market_features, **bounds):
        kept = "leak" if columns is not market_features else "second"
        work = home.work.parent / f"work-{name}"
        (home.work.parent / kept / "rows").mkdir(parents=True, exist_ok=True)
        work.mkdir()
        (work / "rows").symlink_to(home.work.parent / kept / "rows", target_is_directory=True)
        settings = replace(SETTINGS, gate=replace(SETTINGS.gate, **bounds))
        done = retrain(whole_panel, home.registry, work, settings, spoil=spoil, columns=columns)
        assert (done.outcome == "promoted") == done.decision.promote
        if not done.decision.promote:
            assert champion(home.registry) == "margincast/1"
        return {check.name: check.words for check in done.decision.checks if not check.passed}

    return run


def test_an_honest_challenger_fails_at_most_for_its_gain(nightly):
    assert set(nightly("honest")) <= {"gain"}


def test_an_improvement_is_promoted(home, whole_panel):
    bad = replace(home.registry.load("1"), calibration=Calibration("platt", 1.0, 1.0, 2.0), metadata={})
    worse = home.registry.log(bad, {}, {}, "x", "champion")
    work = fresh_work(home, "improved")
    done = retrain(whole_panel, home.registry, work, SETTINGS)
    assert done.outcome == "promoted", done.decision.reasons()
    assert champion(home.registry) == f"margincast/{done.registered.version}"
    assert home.registry.rollback() == (done.registered.version, worse.version)
    assert champion(home.registry) == f"margincast/{worse.version}"


def test_shifted_labels_are_refused(nightly):
    found = nightly("labels", labels_shifted)
    assert "in log loss over the champion: the lower end" in found["gain"]
    assert "is -" in found["gain"]


def test_miscalibration_is_refused(nightly):
    found = nightly("flat", flat, most_ratio=1.1, segment_calls=50)
    assert {"gain", "ratio"} <= set(found)
    assert "beyond the bounds of 0.5 to 1.1" in found["ratio"]


def test_broken_parts_are_refused_and_the_worst_is_named(nightly):
    found = nightly("shorts", broken_for_shorts, segment_calls=20)
    assert "segments" in found
    assert "worse than the champion beyond -3.0%, the worst: " in found["segments"]


def test_a_slow_model_is_refused(nightly):
    found = nightly("slow", slow)
    assert "latency" in found
    assert "ms, beyond 0.2" in found["latency"]


def test_a_feature_that_knows_the_future_is_refused(nightly):
    found = nightly("leak", None, tomorrow)
    assert "served" in found
    assert "knows the future" in found["served"]


def tomorrow(panel):
    """Features of the bar a day later."""
    found = market_features(panel)
    return np.ascontiguousarray(np.concatenate([found[:, 24:], found[:, -1:].repeat(24, axis=1)], axis=1))


def flat(predictor: MarginCallPredictor) -> MarginCallPredictor:
    """Raise every forecast: miscalibrated."""
    return replace(predictor, calibration=Calibration("platt", 1.0, 1.0, 2.0))


def labels_shifted(predictor: MarginCallPredictor) -> MarginCallPredictor:
    """Trees that learned the outcomes of other accounts."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, len(predictor.feature_names))) * 5
    target = rng.normal(size=4000) * 2
    return replace(
        predictor, booster=lgb.train({**QUIET, "num_leaves": 63, "min_data_in_leaf": 1}, lgb.Dataset(x, target), 30)
    )


def slow(predictor: MarginCallPredictor) -> MarginCallPredictor:
    """Thousands of trees that add next to nothing."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, len(predictor.feature_names)))
    settings = {**QUIET, "num_leaves": 15, "min_data_in_leaf": 2, "learning_rate": 1e-7, "max_bin": 15}
    return replace(predictor, booster=lgb.train(settings, lgb.Dataset(x, rng.normal(size=200)), 4000))


def broken_for_shorts(predictor: MarginCallPredictor) -> MarginCallPredictor:
    """Trees that raise P(call) of every short account."""
    column = predictor.feature_names.index("short_share")
    x = np.zeros((4000, len(predictor.feature_names)))
    x[2000:, column] = 1.0
    target = np.where(x[:, column] > 0.5, 3.0, 0.0)
    return replace(
        predictor, booster=lgb.train({**QUIET, "num_leaves": 2, "min_data_in_leaf": 1}, lgb.Dataset(x, target), 1)
    )


QUIET = {
    "objective": "regression",
    "verbosity": -1,
    "learning_rate": 1.0,
    "boost_from_average": False,
    "num_threads": 1,
}


def test_only_one_at_a_time(tmp_path):
    with only_one(tmp_path), pytest.raises(BusyError, match="another retraining"), only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass  # free again


NIGHT = """
import os, signal, sys
from models.typing import DAY_NS
from tests.training.markets import market
from tests.training.retrain.conftest import SETTINGS
from training.registry import Registry
from training.retrain import Triggers, only_one, retrain

mlruns, work, export, stage, days = sys.argv[1:]
panel = market(260)

def told(name, done, total):
    if name == stage:
        os.kill(os.getpid(), signal.SIGKILL)

with only_one(work):
    known = panel.between(panel.start, panel.end - int(days) * DAY_NS)
    done = retrain(known, Registry(mlruns), work, SETTINGS, export=export, progress=told)
print(done.outcome, done.registered.version)
"""


def night(folder: Path, stage: str, days: int = 20) -> subprocess.CompletedProcess[str]:
    """Run a night in a process of its own, which kills itself as soon as a stage is told of."""
    command = [
        sys.executable,
        "-c",
        NIGHT,
        str(folder / "mlruns"),
        str(folder / "work"),
        str(folder / "export"),
        stage,
        str(days),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=dict(os.environ))


def test_killed_at_every_stage_it_resumes_and_the_champion_stays_whole(tmp_path, home, first_night):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "rows").symlink_to(home.work / "rows", target_is_directory=True)
    registry = Registry(tmp_path / "mlruns")
    for stage in ("rows", "challenger", "judged", "registered", "promoted", "exported"):
        died = night(tmp_path, stage)
        assert died.returncode == -signal.SIGKILL, (stage, died.stdout, died.stderr[-2000:])
        if stage == "exported":
            assert champion(registry) == "margincast/1"  # promoted whole before the bundle was copied
        else:
            with pytest.raises(ModelError):
                registry.load("champion")
        assert not (tmp_path / "export").exists()
    done = night(tmp_path, "none")
    assert done.stdout.split() == ["promoted", "1"], done.stderr[-2000:]
    assert MarginCallPredictor.load(tmp_path / "export").version == "margincast/1"
    with pytest.raises(ModelError):
        registry.load("2")  # one challenger, registered once
    run = next((tmp_path / "work" / "runs").iterdir())
    assert folder_digest(run / "challenger") == first_night[1].summary["bundle"]


def test_killed_after_the_act_and_before_it_was_written_down(home, early):
    work = fresh_work(home, "unwritten")
    registry = Registry(work / "mlruns")
    done = retrain(early, registry, work, SETTINGS, export=work / "export")
    for name in ("registered", "promoted", "exported", "ended"):
        (done.folder / f"{name}.json").unlink()
    again = retrain(early, registry, work, SETTINGS, export=work / "export")
    assert (again.outcome, again.registered.version, champion(registry)) == ("promoted", "1", "margincast/1")
    with pytest.raises(ModelError):
        registry.load("2")
    with pytest.raises(ModelError, match="replaced another one"):
        registry.rollback()  # it does not believe that it replaced itself


def test_too_few_bars_are_said_to_be_too_few(early, tmp_path):
    short = early.between(early.start, early.start + 120 * DAY_NS)
    done = retrain(short, Registry(tmp_path / "mlruns"), tmp_path / "work", SETTINGS)
    assert (done.outcome, done.decision, done.registered) == ("no data", None, None)
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()


def test_not_due_trains_nothing(home, whole_panel):
    quiet = replace(
        SETTINGS,
        triggers=Triggers(every_days=3650, moved_share=1.0, novel_share=1.0, least_skill=-1.0, expected_loss_ratio=100),
    )
    work = fresh_work(home, "quiet")
    done = retrain(whole_panel, home.registry, work, quiet)
    assert done.outcome == "not due"
    assert {reason.name for reason in done.reasons} == {
        "schedule",
        "loss",
        "drift",
        "novelty",
        "expected loss",
        "rules",
    }
    assert not (work / "runs").exists()
    assert (
        retrain(
            whole_panel, home.registry, work, replace(quiet, triggers=replace(quiet.triggers, every_days=10))
        ).outcome
        != "not due"
    )
    home.registry.set_alias("champion", "1")
