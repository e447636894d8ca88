"""What survives kill -9: nothing acknowledged is lost, no account scored twice, no alert told twice."""

from __future__ import annotations

import http.client
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from serving.store.tables import alerts, bars, events, ledger_pages
from tests.serving.live.replicas import lines, marked, prepare, replica, said, until
from tests.serving.live.test_service import BASE, NEW, WHOLE, bar_json

ACCOUNTS, SHARDS = 1500, 12


def test_kill_9_while_bars_come_in_loses_none_that_was_acknowledged(database: str, tmp_path: Path) -> None:
    store = prepare(database, BASE.slice(0, BASE.n_bars - 40), tmp_path / "market", 1)
    first, acknowledged = BASE.n_bars - 40, []
    with replica(database, tmp_path / "market") as server:

        def send() -> None:
            try:
                for column in range(first, WHOLE.n_bars):
                    for asset in WHOLE.assets:
                        answer = server.ask("POST", "/v1/market/bars", {"bars": [bar_json(asset, column)]})
                        acknowledged.append((asset, WHOLE.start + column * WHOLE.step, answer["accepted"]))
            except (OSError, http.client.HTTPException):  # killed before, or in the middle of, an answer
                pass

        sender = threading.Thread(target=send)
        sender.start()
        until(lambda: len(acknowledged) >= 30)
        server.kill()
        sender.join(60)
    assert not sender.is_alive()
    assert 30 <= len(acknowledged) < 3 * (WHOLE.n_bars - first)
    kept = {tuple(row) for row in store.query(lambda c: c.execute(select(bars.c.asset, bars.c.open_ns)).all())}
    assert {(asset, stamp) for asset, stamp, _ in acknowledged} <= kept
    assert {n for _, _, n in acknowledged} == {1}
    with replica(database, tmp_path / "market") as server:  # everything again: nothing is doubled
        rows = [bar_json(asset, column) for column in range(first, WHOLE.n_bars) for asset in WHOLE.assets]
        answer = server.ask("POST", "/v1/market/bars", {"bars": rows})
        assert answer["duplicate"] == len(kept)
        assert answer["accepted"] == len(rows) - len(kept)
        assert answer["revised"] == 0
    store.close()


def test_kill_9_while_accounts_are_scored_again(database: str, tmp_path: Path) -> None:
    """Killed after the first shard of a round that calls every account; started again, it does the others."""
    store = prepare(database, BASE, tmp_path / "market", SHARDS)
    first = WHOLE.n_bars - NEW
    close = WHOLE.start + (first + 1) * WHOLE.step
    crash = {"bars": [bar_json(asset, first, 0.85) for asset in WHOLE.assets]}
    with replica(database, tmp_path / "market", threads=1) as server:
        put = server.ask("PUT", "/v1/accounts", lines(BASE, ACCOUNTS, 0.15), "application/x-ndjson")
        assert put["created"] == ACCOUNTS
        until(lambda: marked(store, BASE.end) == SHARDS)
        server.ask("POST", "/v1/market/bars", crash)
        until(lambda: marked(store, close) >= 1)
        server.kill()
    done = marked(store, close)
    with replica(database, tmp_path / "market"):
        until(lambda: marked(store, close) == SHARDS, 120.0)
        time.sleep(0.5)
    assert 1 <= done < SHARDS
    names = said(store, close)
    assert len(names) == len(set(names)) == ACCOUNTS
    wanted = select(alerts.c.account_id, alerts.c.kind, alerts.c.severity, func.count()).group_by(
        alerts.c.account_id, alerts.c.kind, alerts.c.severity
    )
    counted = store.query(lambda c: c.execute(wanted).all())
    assert {row[3] for row in counted} == {1}
    assert len({row.account_id for row in counted if row.severity == "emergency"}) == ACCOUNTS
    seqs = store.query(lambda c: c.execute(select(events.c.seq).order_by(events.c.seq)).scalars().all())
    assert list(seqs) == list(range(1, len(seqs) + 1))
    _assert_chained(store)
    store.close()


def _assert_chained(store) -> None:
    c = ledger_pages.c
    wanted = select(c.shard, c.page, c.first_seq, c.n, c.prev_hash, c.last_hash).order_by(c.shard, c.page)
    before: dict[int, tuple[int, int, bytes]] = {}
    for row in store.query(lambda connection: connection.execute(wanted).all()):
        page, following, last = before.get(row.shard, (0, 1, None))
        assert (row.page, row.first_seq) == (page + 1, following)
        assert last is None or bytes(row.prev_hash) == last
        before[row.shard] = (row.page, row.first_seq + row.n, bytes(row.last_hash))
    assert len(before) == SHARDS


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_ten_thousand_alerts_at_once_are_one_budget_and_one_digest(database: str, tmp_path: Path) -> None:
    n = 5000  # each with two alerts or more
    store = prepare(database, BASE, tmp_path / "market", 4)
    first = WHOLE.n_bars - NEW
    close = WHOLE.start + (first + 1) * WHOLE.step
    with replica(database, tmp_path / "market") as server:
        server.ask("PUT", "/v1/settings/alerts", {"target": "0.5@60", "critical_probability": 0.9})
        server.ask("PUT", "/v1/accounts", lines(BASE, n, 0.15), "application/x-ndjson")
        until(lambda: marked(store, BASE.end) == 4)
        before = store.query(lambda c: c.execute(select(func.count()).select_from(alerts)).scalar_one())
        server.ask("POST", "/v1/market/bars", {"bars": [bar_json(a, first, 0.85) for a in WHOLE.assets]})
        until(lambda: marked(store, close) == 4, 120.0)
    count = select(func.count()).select_from(alerts)
    opened = store.query(lambda c: c.execute(count).scalar_one()) - before
    told = store.query(lambda c: c.execute(count.where(~alerts.c.over_budget)).scalar_one())
    kinds = store.query(lambda c: c.execute(select(events.c.kind)).scalars().all())
    assert opened >= 10_000
    assert told <= 100
    assert kinds.count("digest") == 1
    assert kinds.count("alert") == told
    store.close()
