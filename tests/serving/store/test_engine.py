"""Addresses of databases, and how SQLite is set up."""

import pytest
from sqlalchemy import text

from models.errors import InputError
from serving.store import open_store
from serving.store.engine import database_url, shown


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
