"""``margincast db``: makes the tables, and says when they are not those of this version."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from margincast.cli import app


def _run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["db", *words])
    return done.exit_code, done.output


def test_upgrade_then_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARGINCAST_DATABASE", f"sqlite:///{tmp_path / 'a.db'}")
    code, text = _run("check")
    assert code == 2
    assert "run 'margincast db upgrade'" in text
    assert _run("upgrade")[0] == 0
    code, text = _run("check", "--json")
    assert (code, json.loads(text)["version"]) == (0, "0001")


def test_no_database_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MARGINCAST_DATABASE", raising=False)
    code, text = _run("check")
    assert code == 2
    assert "MARGINCAST_DATABASE" in text


def test_a_server_that_is_not_there_is_said_without_its_password() -> None:
    code, text = _run("upgrade", "--database", "postgresql://desk:hunter2@127.0.0.1:1/x")
    assert code == 2
    assert "not available" in text
    assert "hunter2" not in text
