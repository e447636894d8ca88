"""Transactions: all or nothing, the right lock, another try where one is safe."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from sqlalchemy import Connection, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from models.errors import InputError, StoreFullError, StoreSchemaError, StoreUnavailableError
from serving.store import Store, open_store
from serving.store.engine import make_engine
from serving.store.tables import audit, bars, shards, tenants

_BAR = {"revision": 0, "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "source": "test", "received_ns": 2}


def _tenant(store: Store, name: str = "desk") -> None:
    with store.begin() as connection:
        row = {"id": name, "name": name, "shards": 1, "settings": {}, "created_ns": 1}
        connection.execute(insert(tenants), row)
        connection.execute(insert(shards), {"tenant_id": name, "shard": 0, "ledger_hash": bytes(32)})


def _note(connection: Connection, subject: str = "x") -> None:
    row = {"action": "test", "subject": subject, "detail": {"n": 1.5, "at": 2**60}, "at_ns": 2**62}
    connection.execute(insert(audit), row)


def _notes(store: Store) -> int:
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(audit)).scalar_one()


def test_values_come_back_as_they_were(store: Store) -> None:
    store.run(_note)
    row = store.query(lambda connection: connection.execute(select(audit)).one())
    assert (row.at_ns, row.detail, row.tenant_id) == (2**62, {"n": 1.5, "at": 2**60}, None)


def test_an_error_takes_all_back(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.begin() as connection:
        _fail_after_a_note(connection)
    with pytest.raises(ZeroDivisionError):
        store.run(_fail_after_a_note)
    assert _notes(store) == 0


def test_a_fault_of_the_program_is_not_hidden(store: Store) -> None:
    calls = []

    def twice(connection: Connection) -> None:
        calls.append(1)
        row = {"id": "a", "name": "a", "shards": 1, "settings": {}, "created_ns": 1}
        connection.execute(insert(tenants), [row, row])

    with pytest.raises(IntegrityError):
        store.run(twice)
    assert len(calls) == 1


def test_foreign_keys_hold(store: Store) -> None:
    row = {"tenant_id": "nobody", "shard": 0, "ledger_hash": bytes(32)}
    with pytest.raises(IntegrityError):
        store.run(lambda connection: connection.execute(insert(shards), row))


def test_a_reader_sees_one_state(store: Store) -> None:
    store.run(_note)
    with store.read() as connection:
        count = select(func.count()).select_from(audit)
        before = connection.execute(count).scalar_one()
        store.run(_note)
        assert connection.execute(count).scalar_one() == before
    assert _notes(store) == before + 1


def test_the_lock_of_a_shard_lets_no_change_get_lost(store: Store) -> None:
    _tenant(store)

    def add(_: int) -> None:
        def work(connection: Connection) -> None:
            row = store.lock_shard(connection, "desk", 0)
            time.sleep(0.002)
            connection.execute(update(shards).values(ledger_seq=row["ledger_seq"] + 1))

        store.run(work)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(40)))
    with store.read() as connection:
        assert connection.execute(select(shards.c.ledger_seq)).scalar_one() == 40


def test_no_such_shard_is_said(store: Store) -> None:
    with pytest.raises(InputError, match="desk/3"), store.begin() as connection:
        store.lock_shard(connection, "desk", 3)


def test_bars_are_numbered_in_the_order_of_commits(store: Store) -> None:
    seen: list[int] = []
    done = threading.Event()

    def follow() -> None:
        while not done.is_set():
            with store.read() as connection:
                after = seen[-1] if seen else 0
                seen.extend(
                    connection.execute(select(bars.c.seq).where(bars.c.seq > after).order_by(bars.c.seq)).scalars()
                )

    def write(k: int) -> None:
        def work(connection: Connection) -> None:
            store.lock_bars(connection)
            connection.execute(insert(bars), [_BAR | {"asset": f"A{k}", "open_ns": i} for i in range(3)])
            time.sleep(0.003 * (k % 2))

        store.run(work)

    follower = threading.Thread(target=follow)
    follower.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(30)))
    time.sleep(0.1)
    done.set()
    follower.join()
    assert len(seen) == 90  # who asks for seq > last has missed none


def test_numbers_of_events_have_no_gap(store: Store) -> None:
    _tenant(store)
    taken: list[int] = []

    def take(k: int) -> None:
        def work(connection: Connection) -> list[int]:
            found = list(store.next_events(connection, "desk", 2))
            if k % 5 == 0:
                raise ZeroDivisionError
            return found

        with suppress(ZeroDivisionError):
            taken.extend(store.run(work))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(take, range(20)))
    assert sorted(taken) == list(range(1, 33))


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_lost_connection_is_tried_again(store: Store) -> None:
    tries = []

    def work(connection: Connection) -> None:
        tries.append(1)
        if len(tries) == 1:
            _end(store, [_pid(connection)])
        _note(connection)

    store.run(work)
    assert (len(tries), _notes(store)) == (2, 1)


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_connection_lost_in_the_commit_is_tried_again_only_where_twice_is_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = store.engine.dialect.do_commit
    cut = []

    def commit(raw: object) -> None:
        whole(raw)  # type: ignore[arg-type]
        if not cut:
            cut.append(1)
            raw.dbapi_connection.close()  # type: ignore[attr-defined]
            import psycopg

            raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(store.engine.dialect, "do_commit", commit)
    with pytest.raises(StoreUnavailableError):
        store.run(_note)
    assert _notes(store) == 1  # it was done, and not doubled
    cut.clear()
    store.run(_note, idempotent=True)
    assert _notes(store) == 3


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_killed_pool_heals(store: Store) -> None:
    with store.engine.connect() as one, store.engine.connect() as two:
        pids = [_pid(connection) for connection in (one, two)]
    _end(store, pids)
    assert _notes_by_query(store) == 0
    store.run(_note)
    assert _notes_by_query(store) == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_busy_sqlite_waits_and_then_says_so(store: Store, database: str) -> None:
    hasty = open_store(database, wait_seconds=0.05)
    hasty.attempts = 2
    with store.begin() as connection:
        _note(connection)
        with pytest.raises(StoreUnavailableError, match="try again"):
            hasty.run(_note)
    hasty.run(_note)
    assert _notes(store) == 2
    hasty.close()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_full_disk_keeps_nothing_half(store: Store) -> None:
    with store.engine.connect() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
    store.engine.dispose()

    def limited(connection: Connection) -> None:
        connection.execute(text(f"PRAGMA max_page_count={pages + 5}"))
        _note(connection, "first")
        connection.execute(insert(audit), [_row(i) for i in range(2000)])

    with pytest.raises(StoreFullError, match="full"):
        store.run(limited)
    assert _notes(store) == 0


def test_missing_tables_are_said(store: Store) -> None:
    with store.begin() as connection:
        connection.execute(text("DROP TABLE audit"))
    with pytest.raises(StoreSchemaError, match="margincast db upgrade"):
        _notes(store)


def _row(i: int) -> dict[str, object]:
    return {"action": "fill", "subject": "s" * 200, "detail": {}, "at_ns": i}


def _fail_after_a_note(connection: Connection) -> None:
    _note(connection)
    raise ZeroDivisionError


def _pid(connection: Connection) -> int:
    return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def _end(store: Store, pids: list[int]) -> None:
    other = make_engine(store.engine.url)
    with other.connect() as connection:
        for pid in pids:
            assert connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid}).scalar_one()
    other.dispose()


def _notes_by_query(store: Store) -> int:
    return store.query(lambda connection: connection.execute(select(func.count()).select_from(audit)).scalar_one())
