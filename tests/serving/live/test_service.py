"""Bars over HTTP, accounts scored at once and at every bar, alerts and events: on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sqlalchemy import func, select

from features.forecast import forecast
from features.sources import simulate_market, write_panel
from models.account import Account
from models.book import Book
from models.market import MarketPanel
from models.typing import MINUTE_NS
from serving.accounts import decode_body
from serving.accounts.schemas import instant
from serving.app import create_app
from serving.ledger.page import unpack
from serving.settings import Secret, Settings
from serving.store import Store
from serving.store.tables import accounts, alert_states, alerts, bars, events, ledger_pages, shards
from tests.serving.client import Client, request_of
from tests.serving.desks import Desk, desk_of

WHOLE = simulate_market(("BTC", "ETH", "SOL"), days=64, seed=3)
NEW = 5
BASE = WHOLE.slice(0, WHOLE.n_bars - NEW)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("live-market")
    write_panel(BASE, root)
    return root


@pytest.fixture
def live(store: Store, database: str, files: Path) -> Iterator[Desk]:
    """Return a server on a market whose newest bars are still to come; it scores when it is told to."""
    now = BASE.end + 10 * MINUTE_NS
    with desk_of(store, database, now, market=str(files), live_seconds=0, history_days=60) as found:
        yield found


def bar_json(asset: str, column: int, scale: float = 1.0, panel: MarketPanel = WHOLE) -> dict[str, Any]:
    row = panel.column(asset)
    prices = {n: float(getattr(panel, n)[row, column]) * scale for n in ("open", "high", "low", "close", "volume")}
    stamp = instant(panel.start + column * panel.step).isoformat()
    return {"asset": asset, "timestamp": stamp, "funding_rate": float(panel.funding_rate[row, column]), **prices}


def send(live: Desk, column: int, assets: tuple[str, ...] = WHOLE.assets, scale: float = 1.0) -> dict[str, Any]:
    """Send a bar at the moment at which it closes."""
    live.clock.now = max(live.clock.now, WHOLE.start + (column + 1) * WHOLE.step + MINUTE_NS)
    answer = live.ask(
        "POST", "/v1/market/bars", {"bars": [bar_json(a, column, scale) for a in assets]}, "service.operate"
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def register(live: Desk, name: str, size: float = 1.5, cash: float = 2000.0, who: str = "a.operate") -> Any:
    price = float(BASE.close[0, -1])
    leg = {"symbol": "BTC/USDT:USDT", "quantity": size, "entry_price": price}
    body = request_of(
        live.clock.now, 1, account_id=name, positions=[leg], collateral=[{"asset": "USDT", "quantity": cash}]
    )
    answer = live.ask("PUT", f"/v1/accounts/{name}", body, who)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def count(live: Desk, table: Any, *where: Any) -> int:
    store = live.runtime.database
    return store.query(lambda c: c.execute(select(func.count()).select_from(table).where(*where)).scalar_one())


def step(live: Desk) -> None:
    assert live.runtime.live is not None
    assert live.runtime.live.step()


def test_an_account_is_scored_when_it_is_told_and_at_every_bar(live: Desk) -> None:
    told = register(live, "desk-7")
    assert told["prediction"]["account_id"] == "desk-7"
    pages = count(live, ledger_pages)
    assert pages == 1
    assert "prediction" not in register(live, "desk-7")  # the same state: nothing new is said
    assert count(live, ledger_pages) == 1
    first = WHOLE.n_bars - NEW
    assert send(live, first) == {"accepted": 3, "revised": 0, "duplicate": 0, "late": 0, "failures": []}
    step(live)
    assert live.runtime.engine.panel.end == BASE.end + WHOLE.step
    assert count(live, ledger_pages, ledger_pages.c.kind == "round") == 1
    step(live)
    assert send(live, first)["duplicate"] == 3
    step(live)
    assert count(live, ledger_pages, ledger_pages.c.kind == "round") == 1  # no bar is new: nothing is said again
    marks = live.runtime.database.query(
        lambda c: c.execute(select(shards.c.scored_close_ns, shards.c.scored_market_seq)).all()
    )
    assert {tuple(row) for row in marks} == {(BASE.end + WHOLE.step, 3)}


def test_what_the_stream_says_is_what_a_file_says(live: Desk) -> None:
    """To 1e-9: what a round put into the ledger, `forecast` on the whole market, and POST /v1/predictions."""
    register(live, "desk-7")
    for column in range(WHOLE.n_bars - NEW, WHOLE.n_bars):
        send(live, column)
        step(live)
    engine, store = live.runtime.engine, live.runtime.database
    body = store.query(lambda c: c.execute(select(accounts.c.body)).scalar_one())
    account = decode_body(bytes(body))
    book, _ = Book.from_accounts([_at(account, WHOLE.end)], WHOLE.assets)
    seen = forecast(book, WHOLE, None, engine.prior)
    states = live.ask("GET", "/v1/accounts/desk-7", who="a.read").json()
    request = {**states["account"], "as_of": instant(WHOLE.end).isoformat()}
    api = live.ask("POST", "/v1/predictions", request, "a.predict").json()["predictions"][0]["rows"]
    said = _last_said(live, "a", "desk-7")
    np.testing.assert_allclose(said, seen.p_call[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose([row["p_call"] for row in api], seen.p_call[0], rtol=1e-9, atol=1e-12)


def _at(account: Account, end: int) -> Account:
    return msgspec.structs.replace(account, as_of=instant(end))


def _last_said(live: Desk, tenant: str, name: str) -> list[float]:
    wanted = select(ledger_pages.c.body).where(ledger_pages.c.tenant_id == tenant, ledger_pages.c.kind == "round")
    rows = live.runtime.database.query(lambda c: c.execute(wanted.order_by(ledger_pages.c.close_ns.desc())).all())
    for row in rows:
        page = unpack(bytes(row.body))
        at = page.find(name)
        if at is not None:
            return page.rows["p_call"][at].tolist()
    raise AssertionError(name)


def test_late_revised_and_bad_bars_are_counted_and_named(live: Desk) -> None:
    first = WHOLE.n_bars - NEW
    send(live, first)
    step(live)
    answer = send(live, first, ("BTC",), 1.001)
    assert (answer["revised"], answer["late"]) == (1, 1)
    step(live)
    assert live.runtime.engine.panel.close[0, -1] == pytest.approx(WHOLE.close[0, first] * 1.001)
    late = send(live, first - 3, ("ETH",))
    assert (late["duplicate"], late["late"]) == (1, 0)  # the files have it
    bad = [
        bar_json("BTC", first) | {"high": 1.0},
        bar_json("BTC", first) | {"asset": "WAT"},
        bar_json("BTC", first) | {"timestamp": instant(WHOLE.start + 60 * 10**9).isoformat()},
        bar_json("BTC", WHOLE.n_bars - 1),
        bar_json("ETH", first) | {"close": -1.0},
    ]
    answer = live.ask("POST", "/v1/market/bars", {"bars": bad}, "service.operate").json()
    fields = [f["field"] for f in answer["failures"]]
    assert fields == ["bars[0].high", "bars[1].asset", "bars[2].timestamp", "bars[3].timestamp", "bars[4].close"]
    assert "future" in answer["failures"][3]["message"]
    assert answer["accepted"] == answer["revised"] == 0


def test_a_late_bar_of_the_newest_close_is_a_new_round(live: Desk) -> None:
    register(live, "desk-7")
    step(live)
    first = WHOLE.n_bars - NEW
    send(live, first, ("BTC", "ETH"))
    step(live)
    assert count(live, ledger_pages, ledger_pages.c.kind == "round") == 1
    assert live.runtime.engine.panel.end == BASE.end  # the third asset is waited for
    live.clock.now += 60 * 10**9
    step(live)
    assert live.runtime.engine.panel.end == BASE.end + WHOLE.step
    answer = live.ask("POST", "/v1/predictions", request_of(live.clock.now), "a.predict").json()
    assert answer["market"]["behind_minutes"] == {"SOL": 60.0}
    assert send(live, first, ("SOL",))["late"] == 1
    step(live)
    assert count(live, ledger_pages, ledger_pages.c.kind == "round") == 3
    assert live.runtime.engine.market().behind_minutes == {}


def test_bars_need_a_key_of_the_service(live: Desk) -> None:
    first = WHOLE.n_bars - NEW
    for who, status in (("a.admin", 403), ("service.predict", 403), ("", 401)):
        answer = live.ask("POST", "/v1/market/bars", {"bars": [bar_json("BTC", first)]}, who)
        assert answer.status_code == status
    assert count(live, bars) == 0


def test_a_crash_raises_alerts_once_and_recovery_ends_them(live: Desk) -> None:
    register(live, "risky", 1.0, 3000.0)
    register(live, "calm", 0.001, 50_000.0)
    register(live, "other", 1.0, 3000.0, "b.operate")
    before = count(live, alerts)
    first = WHOLE.n_bars - NEW
    send(live, first, scale=0.9)
    step(live)
    opened = live.runtime.database.query(lambda c: c.execute(select(alerts).where(alerts.c.closed_ns.is_(None))).all())
    assert {row.account_id for row in opened} == {"risky", "other"}
    assert ("level", "emergency") in {(row.kind, row.severity) for row in opened}
    assert count(live, alerts) > before
    seqs = live.runtime.database.query(
        lambda c: (
            c.execute(select(events.c.seq).where(events.c.tenant_id == "a").order_by(events.c.seq)).scalars().all()
        )
    )
    assert seqs == list(range(1, len(seqs) + 1))
    n = count(live, alerts)
    send(live, first + 1, scale=0.9)
    step(live)
    assert count(live, alerts) == n  # still as bad: nothing is told again
    register(live, "risky", 0.001, 50_000.0)
    assert count(live, alert_states, alert_states.c.tenant_id == "a") == 0
    ended = select(events.c.body).where(events.c.tenant_id == "a", events.c.kind == "alert_ended")
    bodies = live.runtime.database.query(lambda c: c.execute(ended).scalars().all())
    assert {body["account_id"] for body in bodies} == {"risky"}


def test_deleted_accounts_leave_the_rounds_and_their_alerts_end(live: Desk) -> None:
    register(live, "risky", 1.0, 3000.0)
    send(live, WHOLE.n_bars - NEW, scale=0.9)
    step(live)
    assert count(live, alert_states) > 0
    assert live.ask("DELETE", "/v1/accounts/risky", who="a.operate").status_code == 204
    send(live, WHOLE.n_bars - NEW + 1, scale=0.9)
    step(live)
    assert count(live, alert_states) == 0
    assert count(live, alerts, alerts.c.closed_ns.is_(None)) == 0
    assert count(live, ledger_pages, ledger_pages.c.kind == "round") == 1


def test_a_server_that_starts_again_has_the_bars_and_says_nothing_twice(
    live: Desk, store: Store, database: str, files: Path
) -> None:
    register(live, "desk-7")
    for column in range(WHOLE.n_bars - NEW, WHOLE.n_bars):
        send(live, column)
        step(live)
    pages = count(live, ledger_pages)
    settings = Settings(
        database=Secret(database), market=str(files), live_seconds=0, history_days=60, refresh_seconds=0
    )
    app = create_app(settings, live.clock)
    with Client(app):
        again = app.state.runtime
        np.testing.assert_array_equal(again.engine.panel.close, live.runtime.engine.panel.close)
        assert again.live.step()
        assert count(live, ledger_pages) == pages
