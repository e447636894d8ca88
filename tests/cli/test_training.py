"""Training, evaluation and the demo through the command line, as small as they get."""

import inspect
import json
import math
from pathlib import Path

import pytest

from features.sources import load_panel
from features.sources.accounts import write_account_columns
from features.sources.times import iso
from margincast.cli.train import train, train_settings
from models.predictor.explain import PARTS
from models.typing import DAY_NS
from tests.cli.conftest import Run
from training.fit import FitParameters

SMALL = ("--warmup-days", 61, "--every", 720, "--per-instant", 8)


def until(market: Path, days: int) -> str:
    return iso(load_panel(market).start + days * DAY_NS)


def test_train_evaluate_predict_from_the_registry(run: Run, long_market: Path, tmp_path: Path) -> None:
    home, folder = tmp_path / "mlruns", tmp_path / "model"
    end = until(long_market, 160)
    done = run(
        "train",
        "--market",
        long_market,
        "--to",
        end,
        *SMALL,
        "--rounds",
        5,
        "--registry",
        home,
        "--out",
        folder,
        "--valid-days",
        90,
        "--json",
    )
    assert done.exit_code == 0, (done.stderr, done.exception)
    metadata = json.loads((folder / "bundle.json").read_text())["metadata"]
    assert metadata["expires_at"] == until(long_market, 250).replace("Z", "+00:00")
    answer = json.loads(done.stdout)
    assert (answer["model"], answer["alias"]) == ("margincast/1", "champion")
    assert set(answer["metrics"]["horizons"]) == {"60", "240", "1440", "4320"}
    assert {f"B{i}" for i in range(10)} <= set(answer["metrics"]["baselines"])
    assert json.loads((folder / "metrics.json").read_text()) == answer["metrics"]
    assert {"call_amount", "time_to_call", "novelty"} <= set(answer["metrics"])

    out = tmp_path / "metrics.json"
    done = run(
        "evaluate",
        "--market",
        long_market,
        "--registry",
        home,
        "--every",
        720,
        "--per-instant",
        8,
        "--out",
        out,
        "--report",
        tmp_path / "report",
        "--json",
    )
    assert done.exit_code == 0, (done.stderr, done.exception)
    assert json.loads(out.read_text()) == json.loads(done.stdout)
    assert (tmp_path / "report" / "report.html").stat().st_size > 50_000
    attached = list(home.rglob("artifacts/report/report.html"))
    assert [page.read_bytes() for page in attached] == [(tmp_path / "report" / "report.html").read_bytes()]
    assert json.loads(done.stdout)["pooled"]["log_loss"] == pytest.approx(answer["metrics"]["pooled"]["log_loss"])

    accounts = tmp_path / "accounts.jsonl"
    population(long_market, accounts)
    done = run("predict", accounts, "--market", long_market, "--registry", home, "--json")
    assert done.exit_code == 0, (done.stderr, done.exception)
    rows = json.loads(done.stdout)["rows"]
    assert {row["model_version"] for row in rows} == {"margincast/1"}
    assert {row["flags"] for row in rows} == {""}

    done = run("predict", accounts, "--market", long_market, "--registry", home, "--explain", "--json")
    assert done.exit_code == 0, (done.stderr, done.exception)
    for plain, row in zip(rows, json.loads(done.stdout)["rows"], strict=True):
        parts = [row.pop(f"explain_{name}") for name in PARTS]
        logit = row.pop("explain_prior") + sum(part or 0.0 for part in parts)
        assert row == plain
        assert None in parts or 1 / (1 + math.exp(-logit)) == pytest.approx(row["p_call"], abs=1e-9)

    early = run("evaluate", "--market", long_market, "--model", folder, "--from", "2022-02-01")
    assert early.exit_code == 2
    assert "after the model's training data" in early.stderr


def population(market: Path, path: Path) -> None:
    import numpy as np

    from training.population import sample_population

    panel = load_panel(market)
    people = sample_population(panel, "generic-linear", np.array([panel.end]), 20, seed=1)
    write_account_columns(path, people.accounts, people.positions, people.collateral)


def test_dataset_of_own_accounts(run: Run, long_market: Path, tmp_path: Path) -> None:
    import numpy as np

    from training.dataset_files import read_dataset
    from training.population import sample_population

    panel = load_panel(long_market)
    instants = panel.start + np.arange(100, 150, 10) * DAY_NS
    people = sample_population(panel, "generic-linear", instants, 6, seed=1)
    write_account_columns(tmp_path / "own.jsonl", people.accounts, people.positions, people.collateral)
    lines = (tmp_path / "own.jsonl").read_text().splitlines()
    (tmp_path / "own.jsonl").write_text("\n".join(reversed(lines)) + "\n")  # the order of the file must not matter
    out = tmp_path / "set.parquet"
    done = run(
        "dataset",
        "--market",
        long_market,
        "--accounts",
        tmp_path / "own.jsonl",
        "--warmup-days",
        61,
        "--out",
        out,
        "--json",
    )
    assert done.exit_code == 0, (done.stderr, done.exception)
    held = read_dataset(out)
    assert len(held) == 2 * len(people)
    assert json.loads(done.stdout)["rows"] == 8 * len(people)
    assert (np.diff(held.as_of) >= 0).all()
    assert set(held.as_of.tolist()) == set(instants.tolist())


def test_a_wrong_alias_and_a_short_market_are_refused(run: Run, market: Path, tmp_path: Path) -> None:
    done = run("train", "--market", market, "--alias", "best", "--registry", tmp_path)
    assert done.exit_code == 2
    assert "--alias: expected one of champion, challenger or none, was 'best'" in done.stderr
    done = run("train", "--market", market, "--registry", tmp_path)
    assert done.exit_code == 2
    assert "days of bars" in done.stderr


def test_demo_ends_with_everything_on_disk(run: Run, tmp_path: Path) -> None:
    out, svg = tmp_path / "demo", tmp_path / "demo.svg"
    done = run("demo", "--out", out, "--days", 500, "--per-instant", 5, "--accounts", 20, "--top", 3, "--svg", svg)
    assert done.exit_code == 0, (done.stderr, done.exception)
    assert "SIMULATED" in done.stdout
    assert "The accounts most at risk" in done.stdout
    assert "What would save each" in done.stdout
    assert "B5 filtered" in done.stdout
    names = {path.name for path in out.iterdir()}
    files = {"accounts.jsonl", "predictions.parquet", "plans.jsonl", "metrics.json"}
    assert names == {"market", "model", "report", *files}
    assert "The market is simulated" in (out / "report" / "report.html").read_text(encoding="utf-8")
    assert svg.read_text().startswith("<svg")
    again = run("predict", out / "accounts.jsonl", "--market", out / "market", "--model", out / "model", "--json")
    assert again.exit_code == 0, again.stderr
    assert len(json.loads(again.stdout)["rows"]) == 80


def test_the_number_of_trees_is_that_of_the_settings_where_none_is_asked_for() -> None:
    assert inspect.signature(train).parameters["rounds"].default is None
    assert train_settings("binance-usdm", 300, 28, 7).fit == FitParameters()
    assert train_settings("binance-usdm", 300, 28, 7, rounds=5).fit.max_rounds == 5
