"""The simulated track from end to end, as small as it gets: it repeats to the digit, and its tables hold everything."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from models.errors import InputError
from training.benchmark import peers
from training.benchmark.names import FILTER
from training.benchmark.output import write_benchmark
from training.benchmark.sheets import attainable_sheets, comparison_sheets
from training.benchmark.simulated import SimulatedSettings, simulated_track
from training.evaluate.decisions import RATIOS
from training.evaluate.metrics import auc
from training.evaluate.table import markdown_of, table_of

TINY = SimulatedSettings(
    assets=("BTC", "ETH"), train_days=130, test_days=24, warmup_days=61, train_every=960, test_every=960,
    train_accounts=6, test_accounts=8, paths=60, prior_paths=64, particles=200, rounds=5, ruleset="generic-linear",
)  # fmt: skip
FORECASTS = {"margincast", "P", *(f"B{i}" for i in range(10)), "histgb", "logistic"}


@pytest.fixture(scope="module")
def found():
    return simulated_track(TINY, seed=1, peers=("histgb", "logistic"))


def test_same_seed_same_digits(found):
    assert simulated_track(TINY, seed=1, peers=("histgb", "logistic")) == found


def test_every_forecast_is_scored_on_every_horizon(found):
    assert set(found["scores"]) == FORECASTS
    for scored in found["scores"].values():
        assert set(scored) == {"60", "240", "1440", "4320", "pooled"}
        assert set(scored["pooled"]["expected_cost"]) == {str(r) for r in RATIOS}
    assert set(found["skill"]) == FORECASTS - {"margincast"}
    assert set(found["best_cost"]["pooled"].values()) <= FORECASTS
    json.dumps(found, allow_nan=False)


def test_the_truth_is_the_best_there_is(found):
    for part in found["attainable"].values():
        pooled = part["pooled"]
        losses = {name: f["loss"] for name, f in pooled["forecasts"].items()}
        assert pooled["bayes_loss"] < min(loss for name, loss in losses.items() if name != FILTER)
        assert set(losses) == {*FORECASTS, FILTER}
        assert pooled["forecasts"]["B0"]["share"]["value"] == pytest.approx(0.0)
        assert all(f["share"]["value"] < 1.0 for name, f in pooled["forecasts"].items() if name != FILTER)
    share = found["attainable"]["all"]["pooled"]["forecasts"]
    assert share[FILTER]["share"]["value"] > share["B5"]["share"]["value"]
    assert share["B5"]["share"]["value"] > max(0.5, share["B7"]["share"]["value"])


def test_outcomes_and_truth_agree(found):
    seen = found["scores"]["margincast"]["pooled"]
    true = found["attainable"]["all"]["pooled"]
    assert seen["n"] == true["n"] == 4 * found["about"]["accounts"]
    assert seen["base_rate"] == pytest.approx(true["p_call"], abs=0.05)


def test_tables_name_every_forecast(found):
    sheets = [*attainable_sheets(found["attainable"]), *comparison_sheets(found)]
    assert len(sheets) == 3 + 5 + 5 + 5 + 1 + 1 + 1
    for sheet in sheets:
        assert all(len(row) == len(sheet.columns) for row in sheet.rows)
        assert table_of(sheet.columns, sheet.rows, sheet.title).row_count == len(sheet.rows)
        assert markdown_of(sheet.columns, sheet.rows).count("\n") == len(sheet.rows) + 2
    first = comparison_sheets(found)[0]
    assert {row[0].split()[0] for row in first.rows} == FORECASTS
    losses = [float(row[1]) for row in first.rows]
    assert losses == sorted(losses)


def test_what_is_written_is_what_was_found(found, tmp_path):
    names = {path.name for path in write_benchmark({"simulated": found}, tmp_path / "out")}
    assert names == {"benchmark.json", "scores.csv", "calibration.csv", "attainable.csv"}
    assert json.loads((tmp_path / "out" / "benchmark.json").read_text())["simulated"] == found
    with (tmp_path / "out" / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 5 * len(FORECASTS)
    first = next(r for r in rows if (r["rows"], r["forecast"], r["horizon"]) == ("all", "B5", "1440"))
    assert float(first["log_loss"]) == found["scores"]["B5"]["1440"]["log_loss"]
    assert float(first["recall_at_budget_0.01"]) == found["scores"]["B5"]["1440"]["recall_at_budget"]["0.01"]


def test_settings_out_of_range_are_refused():
    for wrong in ({"paths": 5}, {"paths": 2}, {"test_days": 7}, {"particles": 99}):
        with pytest.raises(InputError):
            replace(TINY, **wrong)


def test_a_peer_that_is_not_installed_is_left_out_with_a_line(small, monkeypatch):
    dataset, parts = small
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    fitted, notes = peers.fit_peers(dataset, parts, ("xgboost", "catboost"))
    assert not fitted
    assert ["xgboost" in notes[0], "catboost" in notes[1]] == [True, True]
    assert all("pip install '.[peers]'" in line for line in notes)
    with pytest.raises(InputError, match="peers"):
        peers.fit_peers(dataset, parts, ("prophet",))


@pytest.mark.parametrize("name", list(peers.PEERS))
def test_a_peer_gives_probabilities_that_follow_the_prior_and_repeat(small, name):
    pytest.importorskip(peers.PEERS[name])
    dataset, parts = small
    one, two = (peers.fit_peers(dataset, parts, (name,), rounds=8)[0][name](dataset) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.shape == (len(dataset), 4)
    assert ((one > 0) & (one < 1)).all()
    assert auc(one.ravel(), dataset.y.ravel().astype(float)) > 0.75


@pytest.fixture(scope="module")
def small():
    """A dataset of two features, of which one is the prior's logit."""
    from tests.training.evaluate.test_decisions import dataset
    from training.splits import split, windows_before

    rng = np.random.default_rng(0)
    n = 4000
    p = rng.beta(0.4, 3.0, n).clip(1e-4, 0.99)
    as_of = np.arange(n) * 3_600_000_000_000
    data = dataset(as_of, p, rng.uniform(size=n) < p)
    data.x[:, 1] = np.repeat(np.log(p / (1 - p)), 4)
    data.x[:, 0] = np.tile(np.arange(4), n)
    data.x[rng.uniform(size=len(data.x)) < 0.05, 2] = np.nan
    return data, split(as_of, windows_before(0, int(as_of[-1]), int(as_of[-1])))
