"""The commands as a whole: help with an example, data commands, the version."""

import json
from pathlib import Path

import pytest

import margincast
from features.sources import load_panel
from tests.cli.conftest import Run

COMMANDS = [
    ["demo"], ["data", "check"], ["data", "fetch"], ["data", "simulate"], ["data", "cut"], ["data", "play"],
    ["dataset"], ["train"], ["evaluate"],
    ["margin"], ["predict"], ["recommend"], ["replay"], ["serve"], ["retrain"], ["rollback"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example(command: list[str], run: Run) -> None:
    done = run(*command, "--help")
    assert done.exit_code == 0
    assert "Example" in done.stdout
    assert f"margincast {' '.join(command)}" in " ".join(done.stdout.split())


def test_version(run: Run) -> None:
    assert run("--version").stdout.strip() == f"margincast {margincast.__version__}"


def test_simulate_then_check(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "market"
    assert run("data", "simulate", "--out", out, "--days", 3, "--assets", "BTC,ETH").exit_code == 0
    assert load_panel(out).source == ("simulated", "simulated")
    done = run("data", "check", out, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["totals"]["files"] == 2
    assert "BTCUSDT-1h" in run("data", "check", out).stdout


def test_check_exits_1_where_rows_are_wrong(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "mark" / "binance"
    folder.mkdir(parents=True)
    rows = [
        "timestamp,open,high,low,close",
        "2024-01-01T00:00:00Z,100,101,99,100",
        "2024-01-01T01:00:00Z,100,90,99,100",
    ]
    (folder / "BTCUSDT-1h.csv").write_text("\n".join(rows) + "\n")
    done = run("data", "check", tmp_path, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["totals"]["inconsistent"] == 1


def test_fetch_wants_one_source(run: Run, tmp_path: Path) -> None:
    done = run("data", "fetch", "--out", tmp_path)
    assert done.exit_code == 2
    assert "exactly one of --zips FOLDER and --exchange NAME" in done.stderr
