"""``margincast tenants`` and ``margincast keys``."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from margincast.cli import app
from serving.security.keys import find_principal
from serving.store import open_store


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    monkeypatch.setenv("MARGINCAST_DATABASE", url)
    return url


def _run(*words: str, code: int = 0) -> tuple[str, str]:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == code, done.output
    return done.stdout, done.output


def test_a_key_from_its_making_to_its_end(database: str) -> None:
    _run("tenants", "create", "desk", "--name", "The desk")
    made, _ = _run("keys", "create", "--tenant", "desk", "--role", "operate", "--name", "engine", "--days", "90")
    text = made.strip()
    store = open_store(database)
    found = store.query(lambda connection: find_principal(connection, text))
    assert found is not None
    principal, expires = found
    assert (principal.tenant, principal.role.label) == ("desk", "operate")
    assert expires is not None
    (row,) = json.loads(_run("keys", "list", "--json")[0])
    assert (row["key_id"], row["tenant"], row["revoked"]) == (principal.key_id, "desk", "")
    assert text not in _run("keys", "list")[1]
    _run("keys", "revoke", principal.key_id)
    assert store.query(lambda connection: find_principal(connection, text)) is None
    store.close()


@pytest.mark.usefixtures("database")
def test_what_is_wrong_is_said() -> None:
    assert "tenants list" in _run("keys", "create", "--tenant", "x", "--role", "read", "--name", "x", code=2)[1]
    assert "read, predict" in _run("keys", "create", "--role", "root", "--name", "x", code=2)[1]
    assert "keys list" in _run("keys", "revoke", "x", code=2)[1]
    _run("tenants", "create", "desk")
    assert "taken" in _run("tenants", "create", "desk", code=2)[1]
    assert [row["tenant"] for row in json.loads(_run("tenants", "list", "--json")[0])] == ["desk"]
