"""PostgreSQL loses the connection, or room on its disk, in the middle of a round: all of a shard is kept or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from features.sources import write_panel
from models.typing import MINUTE_NS
from serving.ledger.verify import verify
from serving.live import scoring
from serving.store import Store
from serving.store.engine import database_url
from serving.store.tables import alert_states, alerts, deliveries, events, ledger_pages
from tests.serving.desks import Desk, desk_of
from tests.serving.live.test_service import BASE, NEW, WHOLE, bar_json, register, send
from tests.serving.proxy import Proxy

FIRST = WHOLE.n_bars - NEW
WRITTEN = (ledger_pages, alerts, alert_states, events, deliveries)
SHARDS = 3
pytestmark = pytest.mark.parametrize("database", ["postgres"], indirect=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a market."""
    root = tmp_path_factory.mktemp("faulty-market")
    write_panel(BASE, root)
    return root


@pytest.fixture
def proxy(database: str) -> Iterator[Proxy]:
    """Return a proxy before the PostgreSQL of the test."""
    url = database_url(database)
    found = Proxy(url.host or "127.0.0.1", url.port or 5432)
    yield found
    found.close()


@pytest.fixture
def live(store: Store, database: str, files: Path, proxy: Proxy) -> Iterator[Desk]:
    """Return a server behind the proxy on which accounts of every shard wait for a bar that calls them."""
    url = database_url(database).set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
    now = BASE.end + 10 * MINUTE_NS
    more = {"live_seconds": 0, "history_days": 60, "database_wait_seconds": 2.0, "webhook_private": True, "threads": 1}
    with desk_of(store, url, now, market=str(files), **more) as found:
        found.runtime.database.pause_seconds = 0.01
        hook = {"url": "http://127.0.0.1:9/"}
        assert found.ask("POST", "/v1/webhooks", hook, "a.operate").status_code == 201
        for i in range(9):
            register(found, f"desk-{i}", 1.0, 6_000.0)
        yield found


def counts(store: Store) -> list[int]:
    """Count the rows of every table that a round writes."""
    return [store.query(lambda c, t=t: c.execute(select(func.count()).select_from(t)).scalar_one()) for t in WRITTEN]


def scored(store: Store) -> int:
    """Count the shards that are marked as scored on the new bar."""
    wanted = text("SELECT count(*) FROM shards WHERE tenant_id = 'a' AND scored_close_ns = :close")
    return int(store.query(lambda c: c.execute(wanted, {"close": BASE.end + WHOLE.step}).scalar_one()))


def check_recovered(live: Desk, store: Store) -> None:
    """Do the round again: every account is said once, every alert told once, and the chain holds."""
    assert live.runtime.live is not None
    assert live.runtime.live.step()
    assert scored(store) == SHARDS
    rounds = select(func.sum(ledger_pages.c.n)).where(ledger_pages.c.kind == "round", ledger_pages.c.tenant_id == "a")
    assert store.query(lambda c: c.execute(rounds).scalar_one()) == 9
    told = live.ask("GET", "/v1/alerts?kind=level&severity=emergency").json()["alerts"]
    assert sorted(one["account_id"] for one in told) == [f"desk-{i}" for i in range(9)]
    seqs = store.query(lambda c: c.execute(select(events.c.seq).order_by(events.c.seq)).scalars().all())
    assert list(seqs) == list(range(1, len(seqs) + 1))
    sent = store.query(lambda c: c.execute(select(deliveries.c.event_seq)).scalars().all())
    assert sorted(sent) == list(seqs)
    assert store.query(verify).faults == []


def test_a_connection_that_is_lost_before_the_commit(
    live: Desk, store: Store, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(live, FIRST, scale=0.8)
    assert live.ask("GET", "/v1/models", who="a.operate").status_code == 200  # the key is known now
    before, tell = counts(store), scoring.tell

    def cut_then(*given: Any) -> Any:
        told = tell(*given)  # page, alerts, events and deliveries are written, not yet committed
        proxy.cut()
        return told

    with monkeypatch.context() as patched:
        patched.setattr(scoring, "tell", cut_then)
        assert not live.runtime.live.step()
    assert counts(store) == before
    assert scored(store) == 0
    asked = live.ask("GET", "/v1/accounts/desk-1", who="a.operate")
    assert (asked.status_code, asked.json()["code"], asked.headers["retry-after"]) == (503, "store_unavailable", "5")
    bars = live.ask("POST", "/v1/market/bars", {"bars": [bar_json("BTC", FIRST)]}, "service.operate")
    assert bars.status_code == 503
    assert live.ask("GET", "/v1/models", who="a.operate").status_code == 200  # predictions go on
    assert b'margincast_rounds_total{outcome="failed"}' in live.client.get("/metrics").content
    proxy.mend()
    check_recovered(live, store)


@pytest.mark.parametrize("where", ["events", "shards"])
def test_a_disk_that_is_full(live: Desk, store: Store, where: str) -> None:
    """PostgreSQL says 53100 at the events, or at the very last statement, the mark of the shard; then there is room."""
    send(live, FIRST, scale=0.8)
    before = counts(store)
    with store.begin() as connection:
        connection.execute(text(
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"
        ))  # fmt: skip
        event = {"events": "INSERT ON events", "shards": "UPDATE OF scored_close_ns ON shards"}[where]
        connection.execute(text(f"CREATE TRIGGER no_room BEFORE {event} FOR EACH ROW EXECUTE FUNCTION no_room()"))
        connection.execute(text("CREATE TRIGGER no_room BEFORE INSERT ON bars FOR EACH ROW EXECUTE FUNCTION no_room()"))
    assert not live.runtime.live.step()
    assert counts(store) == before
    assert scored(store) == 0
    bars = live.ask("POST", "/v1/market/bars", {"bars": [bar_json("BTC", FIRST, 0.7)]}, "service.operate")
    assert (bars.status_code, bars.json()["code"]) == (507, "store_full")
    assert live.ask("GET", "/v1/accounts/desk-1").status_code == 200  # what is there can be read
    with store.begin() as connection:
        connection.execute(text("DROP FUNCTION no_room CASCADE"))
    check_recovered(live, store)
