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
