"""``margincast serve``: options become settings; the environment fills what is left out."""

from pathlib import Path

import pytest

import serving.main
from serving.settings import Settings
from tests.cli.conftest import Run


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Return what the server would have been started with."""
    seen: list[Settings] = []
    monkeypatch.setattr(serving.main, "serve", lambda settings, log_level: seen.append(settings))
    return seen


def test_options_win_over_the_environment(
    run: Run, market: Path, started: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARGINCAST_PORT", "9000")
    monkeypatch.setenv("MARGINCAST_HOST", "0.0.0.0")
    done = run("serve", "--market", market, "--model", "prior", "--port", 9001, "--assets", "BTC,ETH")
    assert done.exit_code == 0, done.stderr
    settings = started[0]
    assert (settings.market, settings.model, settings.port, settings.host) == (str(market), "", 9001, "0.0.0.0")
    assert settings.assets == ("BTC", "ETH")


def test_a_market_that_is_not_there_is_refused(run: Run, tmp_path: Path, started: list[Settings]) -> None:
    done = run("serve", "--market", tmp_path / "none")
    assert done.exit_code == 2
    assert "market: expected a folder with market data" in done.stderr
    assert not started


def test_settings_are_printed_with_secrets_masked(
    run: Run, market: Path, started: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARGINCAST_API_KEY", "hunter2")
    done = run("serve", "--market", market, "--port", 9001, "--log-format", "json", "--print-settings")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert {"MARGINCAST_PORT=9001", "MARGINCAST_API_KEY=****", "MARGINCAST_LOG_FORMAT=json"} <= set(lines)
    assert "hunter2" not in done.stdout
    assert not started


def test_a_registered_model_is_left_to_the_server_to_look_up(
    run: Run, market: Path, tmp_path: Path, started: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    command = ("serve", "--market", market, "--model", "models:/margincast@champion", "--registry", tmp_path)
    done = run(*command)
    assert done.exit_code == 2
    assert "margincast train" in done.stderr
    (tmp_path / "mlflow.db").touch()
    done = run(*command, "--shadow", "models:/margincast@challenger")
    assert done.exit_code == 0, done.stderr
    (found,) = started
    assert (found.model, found.shadow) == ("models:/margincast@champion", "models:/margincast@challenger")
    assert found.tracking_uri.reveal() == f"sqlite:///{tmp_path / 'mlflow.db'}"
