"""Engines for SQLite and PostgreSQL, set up alike: durable commits, bounded waits, JSON by msgspec."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from models.errors import InputError

__all__ = ["WRITE", "database_url", "make_engine", "shown"]

WRITE = "margincast_write"  # execution option: the transaction will write

_EXPECTED = "sqlite:///FILE or postgresql://USER@HOST/DATABASE"


def database_url(text: str) -> URL:
    """Read the address of a database.

    Parameters
    ----------
    text : str
        ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST/DATABASE``; the driver may be left out.

    Returns
    -------
    URL
        With the driver that margincast uses.

    Raises
    ------
    InputError
        If it is something else; a password in it is not repeated.

    Examples
    --------
    >>> database_url("postgres://desk@db/margincast").drivername
    'postgresql+psycopg'
    """
    try:
        url = make_url(text)
    except ArgumentError:
        raise InputError("database", "****", _EXPECTED) from None
    kind = url.drivername.partition("+")[0]
    if kind in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise InputError("database", shown(url), _EXPECTED)
    if url.database in (None, "", ":memory:"):
        raise InputError("database", shown(url), "sqlite:///FILE: what is kept in memory is lost at the first restart")
    return url.set(drivername="sqlite+pysqlite")


def shown(url: URL) -> str:
    """Give the address without its password.

    Parameters
    ----------
    url : URL
        The address.

    Returns
    -------
    str
        It, with ``***`` for the password.

    Examples
    --------
    >>> shown(database_url("postgresql://desk:secret@db/margincast"))
    'postgresql+psycopg://desk:***@db/margincast'
    """
    return url.render_as_string(hide_password=True)


def make_engine(url: URL, pool: int = 8, wait_seconds: float = 10.0) -> Engine:
    """Make an engine; nothing is connected yet.

    Parameters
    ----------
    url : URL
        From `database_url`.
    pool : int
        Most connections of this process.
    wait_seconds : float
        Longest wait for a lock, for a connection of the pool, or for the server to take a connection.

    Returns
    -------
    Engine
        Transactions begin when told; those with the execution option `WRITE` hold SQLite's lock from their start.

    Raises
    ------
    InputError
        If the driver is not installed.

    Notes
    -----
    Commits are durable on both: SQLite runs in WAL mode with ``synchronous=FULL``, as what was acknowledged must also
    outlive a loss of power; PostgreSQL with the server's own ``synchronous_commit``.
    """
    common: dict[str, Any] = {
        "pool_size": pool,
        "max_overflow": 0,
        "pool_timeout": wait_seconds,
        "pool_use_lifo": True,  # few of them work, with what they keep; the others wait for a rush
        "json_serializer": _to_json,
        "json_deserializer": msgspec.json.decode,
    }
    if url.drivername.startswith("sqlite"):
        engine = create_engine(url, connect_args={"timeout": wait_seconds, "check_same_thread": False}, **common)
        event.listen(engine, "connect", _set_up_sqlite(wait_seconds))
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    wait_ms = max(1, round(wait_seconds * 1000))
    options = f"-c lock_timeout={wait_ms} -c timezone=UTC {url.query.get('options', '')}".strip()
    connect = {"connect_timeout": max(2, round(wait_seconds)), "application_name": "margincast", "options": options}
    try:
        return create_engine(url.difference_update_query(["options"]), connect_args=connect, **common)
    except ModuleNotFoundError:
        raise InputError("database", shown(url), "the extra 'postgres': pip install 'margincast[postgres]'") from None


_PAUSE_SECONDS: Final = 0.01
_CACHE: Final = ("cache_size", "-512")  # KiB of pages in each connection; the system keeps the file itself


def _to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _set_up_sqlite(wait_seconds: float) -> Callable[[Any, Any], None]:
    def set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver shall not begin on its own; `_begin_sqlite` does
        cursor = connection.cursor()
        _write_ahead(cursor, time.monotonic() + wait_seconds)
        for name, value in (("synchronous", "FULL"), ("foreign_keys", "ON"), _CACHE):
            cursor.execute(f"PRAGMA {name}={value}")
        cursor.execute(f"PRAGMA journal_size_limit={64 * 2**20}")
        cursor.close()

    return set_up


def _write_ahead(cursor: Any, until: float) -> None:
    """Turn on WAL; SQLite does not wait by itself where another connection has just begun to write a new file."""
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get(WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
