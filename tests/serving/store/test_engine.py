"""Addresses of databases, and how SQLite is set up."""

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from models.errors import InputError
from serving.store import open_store
from serving.store.engine import database_url, make_engine, shown


@pytest.mark.parametrize("url", ["mysql://u:hunter2@db/x", "sqlite://", "sqlite:///:memory:", "no url: hunter2"])
def test_other_addresses_are_refused_without_their_password(url: str) -> None:
    with pytest.raises(InputError, match="database: expected") as caught:
        database_url(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"])
def test_postgres_is_spoken_to_through_psycopg(name: str) -> None:
    assert shown(database_url(f"{name}://u:hunter2@db/x")) == "postgresql+psycopg://u:***@db/x"


def test_sqlite_is_durable_and_checks_keys(tmp_path: object) -> None:
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    with store.read() as connection:
        found = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in _PRAGMAS]
    store.close()
    assert found == ["wal", 2, 1, 10_000]


_PRAGMAS = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")


def test_a_new_file_that_another_is_writing_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")  # SQLite refuses the change to WAL at once, without its busy handler
    other.execute("CREATE TABLE t (x)")
    timer = threading.Timer(0.3, other.execute, ["COMMIT"])
    timer.start()
    engine = make_engine(database_url(f"sqlite:///{path}"), wait_seconds=30)
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    timer.join()
    engine.dispose()
    other.close()


def test_a_new_file_that_stays_locked_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE t (x)")
    engine = make_engine(database_url(f"sqlite:///{path}"), wait_seconds=0.05)
    with pytest.raises(OperationalError, match="database is locked"):
        engine.connect()
    other.close()
