"""The benchmark through the command line, as small as it gets."""

import json
from pathlib import Path

import pytest

from features.sources import simulate_market, write_panel
from tests.cli.conftest import Run
from tests.training.benchmark.test_track import TINY


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the quick track smaller still, and hide the data of this machine."""
    monkeypatch.setattr("training.benchmark.simulated.QUICK", TINY)
    monkeypatch.delenv("MARGINCAST_DATA", raising=False)


@pytest.mark.usefixtures("quick")
def test_both_tracks_print_and_write(run: Run, tmp_path: Path) -> None:
    root, out = tmp_path / "market", tmp_path / "out"
    write_panel(simulate_market(("BTC", "ETH"), days=150, seed=5), root)
    done = run("benchmark", "--quick", "--market", root, "--peers", "logistic", "--out", out, "--markdown")
    assert done.exit_code == 0, (done.stderr, done.exception)
    for title in ("## Simulated market, known truth", "## Simulated market, outcomes", "## Real market, "):
        assert title in done.stdout
    assert "Share of the attainable skill" in done.stdout
    assert "| Bayes: expected log loss |" in done.stdout
    found = json.loads((out / "benchmark.json").read_text())
    assert set(found) == {"simulated", "real"}
    assert set(found["real"]["scores"]) == {"margincast", "P", *(f"B{i}" for i in range(10)), "logistic"}
    assert found["real"]["about"]["assets"] == ["BTC", "ETH"]


@pytest.mark.usefixtures("quick")
def test_what_is_missing_is_said(run: Run, tmp_path: Path) -> None:
    done = run("benchmark", "--track", "real")
    assert done.exit_code == 2
    assert "MARGINCAST_DATA" in done.stderr
    done = run("benchmark", "--track", "real", "--market", tmp_path / "nowhere")
    assert done.exit_code == 2
    done = run("benchmark", "--peers", "prophet", "--market", tmp_path)
    assert done.exit_code == 2
    assert "catboost" in done.stderr
    root = tmp_path / "short"
    write_panel(simulate_market(("BTC",), days=40, seed=5), root)
    done = run("benchmark", "--track", "real", "--market", root, "--walk-forward")
    assert done.exit_code == 2
    assert "--walk-forward" in done.stderr
