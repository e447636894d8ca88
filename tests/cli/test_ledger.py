"""``margincast ledger``: verified against itself and against an anchor."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import delete, update
from typer.testing import CliRunner

from features.sources import simulate_market, write_panel
from margincast.cli import app
from models.account import Account, Collateral, Position
from serving.accounts import change, entry_of
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


def test_what_was_said_is_matured_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = simulate_market(("BTC",), days=12, seed=2)
    write_panel(panel, tmp_path / "market")
    monkeypatch.setenv("MARGINCAST_DATABASE", f"sqlite:///{tmp_path / 'a.db'}")
    found = open_store(f"sqlite:///{tmp_path / 'a.db'}")
    tenant_of(found, shards=1)
    close = panel.start + 200 * panel.step
    account = Account(
        account_id="x",
        as_of=datetime.fromtimestamp(close / 1e9, UTC),
        ruleset="generic-linear",
        currency="USDT",
        collateral=(Collateral(asset="USDT", quantity=1e7),),
        positions=(Position(symbol="BTC/USDT:USDT", quantity=1.0, entry_price=1.0),),
    )
    found.run(lambda connection: change(found, connection, "a", [entry_of(account)], close, "k"))
    say(found, replace(said_of(("x",), 0), close_ns=close))
    found.close()
    assert json.loads(_run("mature", "--market", str(tmp_path / "market"), "--json")) == {
        "pages": 1, "rows": 1, "lost": 0,
    }  # fmt: skip
    days = str((time.time_ns() - close) / 86_400e9 + 1)
    report = json.loads(_run("report", "--days", days, "--json"))
    assert [(one["n"], one["called"]) for one in report["horizons"]] == [(1, 0)] * 4
    assert (report["pages"], report["waiting"], len(report["weeks"])) == (1, 0, 1)
    table = _run("report", "--days", days, "--horizon", "60")
    assert "1 pages since" in table
    assert "week by week, within 60 minutes" in table
    assert report["weeks"][0]["week"] in table
    _run("report", "--days", days, "--html", str(tmp_path / "page"))
    page = (tmp_path / "page" / "hindcast.html").read_text(encoding="utf-8")
    assert "1 pages judged" in page
    assert f"calls were expected, {report['horizons'][0]['called']} came" in page
    assert (tmp_path / "page" / "data" / "hindcast-60-minutes.csv").read_text().splitlines()[1].startswith("20")
    assert "one of 60, 240, 1440, 4320" in _run("report", "--horizon", "61", code=2)
    assert json.loads(_run("report", "--days", "0.01", "--json"))["horizons"][0]["log_loss"] is None
