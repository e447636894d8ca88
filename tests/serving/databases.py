"""Databases for tests: a SQLite file, or a schema of its own in the PostgreSQL of MARGINCAST_TEST_POSTGRES."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from models.errors import InputError
from serving.store.engine import database_url, make_engine

__all__ = ["KINDS", "database_of"]

KINDS = ("sqlite", "postgres")
_SERVER = os.environ.get("MARGINCAST_TEST_POSTGRES", "postgresql://127.0.0.1/test")


@contextmanager
def database_of(kind: str, folder: Path) -> Iterator[str]:
    """Give the address of an empty database; it is dropped afterwards."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'margincast.db'}"
        return
    name = f"margincast_test_{uuid.uuid4().hex[:12]}"
    _execute(f"CREATE SCHEMA {name}")
    try:
        url = database_url(_SERVER).update_query_dict({"options": f"-csearch_path={name}"})
        yield url.render_as_string(hide_password=False)
    finally:
        _execute(f"DROP SCHEMA {name} CASCADE")


def _execute(statement: str) -> None:
    try:
        engine = make_engine(database_url(_SERVER), 1, 5.0)
        with engine.begin() as connection:
            connection.execute(text(statement))
        engine.dispose()
    except (OperationalError, InputError) as error:
        pytest.skip(
            f"no PostgreSQL: set MARGINCAST_TEST_POSTGRES to one that can be used ({str(error).splitlines()[0]})"
        )
