"""``margincast ledger``: verified against itself and against an anchor."""

import json
from pathlib import Path

import pytest
from sqlalchemy import delete, update
from typer.testing import CliRunner

from margincast.cli import app
from serving.store import Store, open_store
from serving.store.tables import ledger_pages
from tests.serving.ledger.builders import said_of, say, tenant_of


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    monkeypatch.setenv("MARGINCAST_DATABASE", url)
    found = open_store(url)
    tenant_of(found)
    for seed in range(2):
        say(found, said_of(("x", "y"), seed))
    return found


def _run(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["ledger", *words])
    assert done.exit_code == code, done.output
    return done.output


def test_a_whole_ledger_is_valid(store: Store, tmp_path: Path) -> None:
    (tmp_path / "anchor.json").write_text(_run("head"))
    assert "valid: 4 rows on 2 pages of 2 shards" in _run("verify", "--anchor", str(tmp_path / "anchor.json"))
    assert json.loads(_run("verify", "--json", "--tenant", "nobody")) == {
        "shards": 0, "pages": 0, "rows": 0, "valid": True, "faults": [],
    }  # fmt: skip
    store.close()


def test_a_fault_is_shown_and_ends_with_1(store: Store) -> None:
    store.run(lambda c: c.execute(update(ledger_pages).where(ledger_pages.c.page == 1).values(model_version="other")))
    assert "was changed" in _run("verify", code=1)
    store.run(lambda c: c.execute(delete(ledger_pages)))
    found = json.loads(_run("verify", "--json", code=1))
    assert (found["valid"], found["faults"][0]["page"]) == (False, 1)
    store.close()


@pytest.mark.usefixtures("store")
def test_another_file_is_no_anchor(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"page": 1}')
    assert "margincast ledger head" in _run("verify", "--anchor", str(tmp_path / "x.json"), code=2)
