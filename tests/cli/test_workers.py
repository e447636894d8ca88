"""dataset, train and predict on two worker processes: the same files as without."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.sources import load_panel
from features.sources.accounts import write_account_columns
from models.predictor.predictor import MarginCallPredictor
from tests.cli.conftest import Run, Write, account
from training.dataset_files import read_dataset
from training.population import sample_population

pytest.importorskip("distributed", reason="needs the extra dask")
SMALL = ("--warmup-days", 61, "--every", 1440, "--per-instant", 6)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    from training.cluster import local_cluster

    with local_cluster(2) as found:
        yield found.client.scheduler.address


@pytest.fixture(scope="module")
def accounts(long_market: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return more accounts than a chunk holds, with a bad one in the middle."""
    panel = load_panel(long_market)
    people = sample_population(panel, "generic-linear", np.array([panel.end]), 12_000, seed=3)
    path = tmp_path_factory.mktemp("accounts") / "accounts.jsonl"
    write_account_columns(path, people.accounts, people.positions, people.collateral)
    lines = path.read_text().splitlines()
    lines.insert(11_000, json.dumps(account("bad", "2022-06-01T00:00:00Z", ruleset="nowhere")))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_dataset_of_workers_is_the_same_file(run: Run, long_market: Path, tmp_path: Path, scheduler: str) -> None:
    alone, together = tmp_path / "alone.parquet", tmp_path / "together.parquet"
    for out, more in ((alone, ()), (together, ("--scheduler", scheduler))):
        done = run("dataset", "--market", long_market, *SMALL, "--out", out, *more)
        assert done.exit_code == 0, (done.stderr, done.exception)
    assert alone.read_bytes() == together.read_bytes()


def test_a_folder_of_parts_from_worker_processes_is_that_of_one_process(
    run: Run, long_market: Path, tmp_path: Path
) -> None:
    for out, more in (("alone", ()), ("together", ("--workers", 2)), ("one.parquet", ())):
        done = run("dataset", "--market", long_market, *SMALL, "--out", tmp_path / out, *more)
        assert done.exit_code == 0, (done.stderr, done.exception)
    files = [sorted((tmp_path / out).iterdir()) for out in ("alone", "together")]
    assert [path.name for path in files[0]] == [path.name for path in files[1]]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    whole, one = read_dataset(tmp_path / "together"), read_dataset(tmp_path / "one.parquet")
    assert whole.fingerprint == one.fingerprint
    np.testing.assert_array_equal(whole.x, one.x)


def test_an_error_while_workers_start_ends_them_and_is_told(
    run: Run, tmp_path: Path, long_market: Path, scheduler: str
) -> None:
    before = _processes()
    assert before, f"the workers of {scheduler} must be seen, or the check below could not fail"
    out = tmp_path / "d"
    done = run("dataset", "--market", long_market, *SMALL, "--ruleset", "nowhere", "--out", out, "--workers", 1)
    assert done.exit_code == 2
    assert "ruleset: expected" in done.stderr
    assert _processes() == before
    assert not out.exists()


def _processes() -> set[int]:
    """Live processes for workers that this process, or what it forks from, has started."""
    import psutil

    found = psutil.Process().children(recursive=True)
    words = [(child.pid, " ".join(child.cmdline())) for child in found if child.status() != psutil.STATUS_ZOMBIE]
    return {pid for pid, line in words if "forkserver" in line or "spawn_main" in line}


def test_predictions_of_workers_are_the_same_file(
    run: Run, long_market: Path, tmp_path: Path, scheduler: str, accounts: Path
) -> None:
    alone, together = tmp_path / "alone.parquet", tmp_path / "together.parquet"
    for out, more in ((alone, ()), (together, ("--scheduler", scheduler))):
        done = run("predict", accounts, "--market", long_market, "--model", "prior", "--out", out, *more)
        assert done.exit_code == 0, (done.stderr, done.exception)
        assert "line 11001 (bad)" in done.stderr
    assert alone.read_bytes() == together.read_bytes()
    assert pq.ParquetFile(together).metadata.num_row_groups == 2
    failures = [path.with_name(f"{path.stem}.failures.jsonl") for path in (alone, together)]
    assert failures[0].read_bytes() == failures[1].read_bytes()


def test_a_folder_of_predictions_is_the_same_whoever_answers_and_holds_what_a_file_holds(
    run: Run, long_market: Path, tmp_path: Path, scheduler: str, accounts: Path
) -> None:
    for out, more in (("alone", ()), ("together", ("--scheduler", scheduler)), ("one.parquet", ())):
        done = run("predict", accounts, "--market", long_market, "--model", "prior", "--out", tmp_path / out, *more)
        assert done.exit_code == 0, (done.stderr, done.exception)
        assert "line 11001 (bad)" in done.stderr
    files = [sorted((tmp_path / out).iterdir()) for out in ("alone", "together")]
    assert [path.name for path in files[0]] == ["_parts.json", "part-00000.parquet", "part-00001.parquet"]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    assert json.loads(files[0][0].read_text())["rows"] == 4 * 12_000
    whole, one = pd.read_parquet(tmp_path / "together"), pd.read_parquet(tmp_path / "one.parquet")
    pd.testing.assert_frame_equal(whole, one)
    assert (tmp_path / "together.failures.jsonl").read_bytes() == (tmp_path / "one.failures.jsonl").read_bytes()


def test_a_model_trained_by_workers_is_registered_and_answers_on_the_console_as_without(
    run: Run, long_market: Path, tmp_path: Path, scheduler: str, write: Write
) -> None:
    home, folder = tmp_path / "mlruns", tmp_path / "model"
    done = run(
        "train", "--market", long_market, *SMALL, "--rounds", 5, "--no-evaluate", "--registry", home, "--out", folder,
        "--scheduler", scheduler, "--json",
    )  # fmt: skip
    assert done.exit_code == 0, (done.stderr, done.exception)
    assert json.loads(done.stdout)["training"]["rounds"] == 5
    assert "[num_machines: 2]" in MarginCallPredictor.load(folder).booster.model_to_string()
    path = write(account("a", "2022-06-01T00:00:00Z"), account("b", "2022-06-02T00:00:00Z"))
    said = [
        run("predict", path, "--market", long_market, "--model", folder, "--explain", "--json", *more)
        for more in ((), ("--scheduler", scheduler))
    ]
    assert said[0].exit_code == 0, (said[0].stderr, said[0].exception)
    assert json.loads(said[0].stdout) == json.loads(said[1].stdout)


def test_both_options_and_a_cluster_that_is_not_there_are_refused(run: Run, long_market: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "d.parquet")
    both = run("dataset", "--market", long_market, *out, "--workers", 2, "--scheduler", "tcp://127.0.0.1:1")
    assert both.exit_code == 2
    assert "--workers: expected either --workers or --scheduler, was 2" in both.stderr


def test_without_the_extra_the_answer_says_what_to_install(
    run: Run, long_market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    done = run("dataset", "--market", long_market, "--out", tmp_path / "d.parquet", "--workers", 2)
    assert done.exit_code == 2
    assert "pip install 'margincast[dask]'" in done.stderr
