"""The database goes and comes back, or its disk is full: what was acknowledged is there, the rest is said."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import func, select, text

from serving.security.directory import FRESH_NS, GRACE_NS
from serving.store import Store
from serving.store.engine import database_url, make_engine
from serving.store.tables import account_versions, accounts, audit
from tests.serving.desks import NOW, Desk, account_json, desk_of
from tests.serving.proxy import Proxy

PATH = "/v1/accounts/desk-7"


@pytest.fixture
def proxy(database: str) -> Iterator[Proxy]:
    """Return a proxy before the PostgreSQL of the test."""
    url = database_url(database)
    found = Proxy(url.host or "127.0.0.1", url.port or 5432)
    yield found
    found.close()


@pytest.fixture
def behind(store: Store, database: str, proxy: Proxy) -> Iterator[Desk]:
    """Return a server that reaches its database through the proxy."""
    url = database_url(database).set(host="127.0.0.1", port=proxy.port)
    with desk_of(store, url.render_as_string(hide_password=False), database_wait_seconds=2.0) as found:
        found.runtime.database.pause_seconds = 0.01
        yield found


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_the_database_goes_and_comes_back(behind: Desk, proxy: Proxy, store: Store) -> None:
    desk = behind
    assert desk.ask("PUT", PATH, account_json()).status_code == 201
    proxy.cut()
    for method, path, body in (("GET", PATH, None), ("PUT", PATH, account_json(minutes_ago=4)), ("DELETE", PATH, None)):
        found = desk.ask(method, path, body)
        assert (found.status_code, found.json()["code"]) == (503, "store_unavailable"), (method, found.text)
        assert found.headers["retry-after"] == "5"
        assert "127.0.0.1" not in found.text
    assert desk.ask("GET", "/v1/models").status_code == 200  # what needs no database goes on
    proxy.mend()
    again = desk.ask("PUT", PATH, account_json(minutes_ago=4))
    assert (again.status_code, again.headers["etag"]) == (200, '"2"')
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(account_versions)).scalar_one() == 2


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_known_keys_open_for_a_while_without_the_database(behind: Desk, proxy: Proxy) -> None:
    desk = behind
    assert desk.ask("GET", "/v1/models", who="a.read").status_code == 200
    proxy.cut()
    desk.clock.now = NOW + FRESH_NS
    assert desk.ask("GET", "/v1/models", who="a.read").status_code == 200
    unknown = desk.ask("GET", "/v1/models", who="b.read")
    assert (unknown.status_code, unknown.headers["retry-after"]) == (503, "5")
    desk.clock.now = NOW + GRACE_NS
    assert desk.ask("GET", "/v1/models", who="a.read").status_code == 503
    proxy.mend()
    for who in ("a.read", "b.read"):
        assert desk.ask("GET", "/v1/models", who=who).status_code == 200


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_connections_that_the_server_ends_are_made_anew(desk: Desk, database: str) -> None:
    desk.ask("PUT", PATH, account_json())
    engine = make_engine(database_url(database))
    query = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'margincast' AND pid IN "
    )
    with desk.runtime.database.read() as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with engine.connect() as connection:
        assert connection.execute(text(query + f"({pid})")).scalars().all() == [True]
    engine.dispose()
    assert desk.ask("GET", PATH).status_code == 200
    assert desk.ask("PUT", PATH, account_json(minutes_ago=4)).headers["etag"] == '"2"'


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_full_disk_keeps_all_or_nothing(desk: Desk, store: Store) -> None:
    desk.ask("PUT", PATH, account_json())
    engine = desk.runtime.database.engine
    with engine.connect() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
    _limit(desk, pages + 8)
    many = {"accounts": [account_json(f"x{i}") for i in range(500)]}
    found = desk.ask("PUT", "/v1/accounts", many)
    assert (found.status_code, found.json()["code"]) == (507, "store_full")
    with store.read() as connection:
        counts = [
            connection.execute(select(func.count()).select_from(t)).scalar_one() for t in (accounts, account_versions)
        ]
        assert counts == [1, 1]
        assert connection.execute(select(func.count()).select_from(audit)).scalar_one() == 1
    assert desk.ask("GET", PATH).status_code == 200
    _limit(desk, 1_000_000)
    assert desk.ask("PUT", "/v1/accounts", many).json()["created"] == 500


def _limit(desk: Desk, pages: int) -> None:
    """Let every connection of the server write so many pages at most."""
    pool = desk.runtime.database.engine
    held = [pool.connect() for _ in range(desk.runtime.settings.database_pool)]
    for connection in held:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        connection.close()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_file_that_another_process_holds_is_waited_for_and_then_said(store: Store, database: str) -> None:
    with desk_of(store, database, database_wait_seconds=0.05) as desk:
        with store.begin() as connection:
            connection.execute(text("UPDATE tenants SET name = name"))
            found = desk.ask("PUT", PATH, account_json())
            assert (found.status_code, found.headers["retry-after"]) == (503, "5")
            assert desk.ask("GET", PATH).status_code == 404  # readers go on
        assert desk.ask("PUT", PATH, account_json()).status_code == 201
