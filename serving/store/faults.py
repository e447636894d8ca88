"""What the database's errors mean: lost, busy, full, or of another schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from models.errors import StoreError, StoreFullError, StoreSchemaError, StoreUnavailableError

__all__ = ["may_pass", "meaning", "spoken"]

# Classes and codes of PostgreSQL: https://www.postgresql.org/docs/current/errcodes-appendix.html
_PASSING = ("08", "40001", "40P01", "53300", "57P0", "55P03")  # lost, serialization, deadlock, crowded, shut down, lock
_FULL = ("53100",)
_MISSING = ("42P01", "42703", "3F000")
_SQLITE_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_SQLITE_GONE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)


def may_pass(error: Exception) -> bool:
    """Tell whether the same work may succeed on another try.

    Parameters
    ----------
    error : Exception
        What the database raised.

    Returns
    -------
    bool
        True where the connection was lost or another transaction was in the way.
    """
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        state = _state(error)
        return state.startswith(_PASSING) or (not state and _sqlite(error) in _SQLITE_PASSING) or _no_connection(error)
    return False


def meaning(error: Exception) -> StoreError | None:
    """Say in the words of the error tree what the database raised.

    Parameters
    ----------
    error : Exception
        What was raised.

    Returns
    -------
    StoreError or None
        None where it is a fault of the program, not of the database's state.
    """
    if isinstance(error, PoolTimeoutError):
        return StoreUnavailableError("database: expected a free connection, all are in use; try again")
    if not isinstance(error, DBAPIError):
        return None
    state, code = _state(error), _sqlite(error)
    if state in _FULL or code == sqlite3.SQLITE_FULL:
        return StoreFullError("database: expected room to write, its disk is full; nothing of the request was kept")
    if state in _MISSING or "no such table" in str(error.orig) or "no such column" in str(error.orig):
        return StoreSchemaError("database: expected the tables of this version; run 'margincast db upgrade'")
    if may_pass(error) or state.startswith(("53", "57", "58")) or code in _SQLITE_GONE:
        return StoreUnavailableError("database: expected an answer, it is not available now; try again")
    return None


@contextmanager
def spoken() -> Iterator[None]:
    """Raise what the database raises in the words of the error tree.

    Yields
    ------
    None
        To the block.

    Raises
    ------
    StoreError
        If the database cannot carry the answer; faults of the program stay what they are.
    """
    try:
        yield
    except SQLAlchemyError as error:
        found = meaning(error)
        if found is None:
            raise
        raise found from error


def _state(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def _sqlite(error: DBAPIError) -> int:
    return int(getattr(error.orig, "sqlite_errorcode", 0)) & 0xFF  # the low byte is the primary code


def _no_connection(error: DBAPIError) -> bool:
    """Tell whether PostgreSQL could not be reached: errors of connecting carry no code."""
    kind = type(error.orig)
    return kind.__module__.startswith("psycopg") and kind.__name__ == "OperationalError" and not _state(error)
