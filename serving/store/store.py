"""Transactions: one way to read, one way to write, the right lock on both databases."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, RowMapping, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from models.errors import InputError, StoreError
from serving.store import tables
from serving.store.engine import WRITE, database_url, make_engine
from serving.store.faults import may_pass, meaning, spoken
from serving.store.migrate import check_schema, upgrade

__all__ = ["Store", "open_store"]

_T = TypeVar("_T")
_BARS_LOCK = 0x6D63_6261  # PostgreSQL's advisory lock of who writes bars


class Store:
    """A database, and how to work with it from any thread.

    Parameters
    ----------
    engine : Engine
        From `serving.store.engine.make_engine`.
    attempts : int
        How often work is tried where the connection is lost or another transaction is in the way.
    pause_seconds : float
        Mean wait before the second try; it doubles with each.

    Notes
    -----
    A row of `shards` is locked before the row of `tenants`, never after: then no two transactions wait for each other.
    """

    def __init__(self, engine: Engine, attempts: int = 4, pause_seconds: float = 0.05) -> None:
        self.engine = engine
        self.attempts = attempts
        self.pause_seconds = pause_seconds
        self.postgres = engine.dialect.name == "postgresql"
        snapshot = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if self.postgres else {}
        self._reader = engine.execution_options(**snapshot)
        self._writer = engine.execution_options(**{WRITE: True})

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Read within one snapshot.

        Yields
        ------
        Connection
            In a transaction that sees one state of the database.

        Raises
        ------
        StoreError
            If the database cannot answer.
        """
        with spoken(), self._reader.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Write: commit at the end of the block, take all back if it raises. Nothing is tried again.

        Yields
        ------
        Connection
            In a transaction; on SQLite it is the only one that writes.

        Raises
        ------
        StoreError
            If the database cannot take it.
        """
        with spoken(), self._writer.connect() as connection, connection.begin():
            yield connection

    def run(self, work: Callable[[Connection], _T], *, idempotent: bool = False) -> _T:
        """Do work in one transaction, again from its start where the connection is lost or a lock is in the way.

        Parameters
        ----------
        work : callable
            Takes the connection; must have no effect outside the transaction.
        idempotent : bool
            Whether doing it twice is the same as once. Only then is it tried again when the connection was lost
            during the commit itself, where nobody can know whether it was done.

        Returns
        -------
        object
            What `work` returned, after the commit.

        Raises
        ------
        StoreError
            If the database cannot take it after all attempts.
        """
        return self._again(self._writer, work, idempotent)

    def query(self, work: Callable[[Connection], _T]) -> _T:
        """Read within one snapshot, again where the connection is lost.

        Parameters
        ----------
        work : callable
            Takes the connection.

        Returns
        -------
        object
            What `work` returned.

        Raises
        ------
        StoreError
            If the database cannot answer after all attempts.
        """
        return self._again(self._reader, work, True)

    def lock_shard(self, connection: Connection, tenant: str, shard: int) -> RowMapping:
        """Take the lock of a shard until the end of the transaction.

        Parameters
        ----------
        connection : Connection
            Of `begin` or `run`.
        tenant : str
            The tenant.
        shard : int
            The shard.

        Returns
        -------
        RowMapping
            The row of `shards`.

        Raises
        ------
        InputError
            If there is no such shard.
        """
        table = tables.shards
        wanted = select(table).where(table.c.tenant_id == tenant, table.c.shard == shard).with_for_update()
        row = connection.execute(wanted).mappings().one_or_none()
        if row is None:
            raise InputError("shard", f"{tenant}/{shard}", "a shard of a tenant")
        return row

    def lock_bars(self, connection: Connection) -> None:
        """Take the lock of who writes bars, so that ``bars.seq`` rises in the order of the commits.

        Parameters
        ----------
        connection : Connection
            Of `begin` or `run`; on SQLite it is alone already.
        """
        if self.postgres:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _BARS_LOCK})

    def next_events(self, connection: Connection, tenant: str, n: int) -> range:
        """Take the next numbers for events of a tenant; locks the tenant's row, so do it late.

        Parameters
        ----------
        connection : Connection
            Of `begin` or `run`.
        tenant : str
            The tenant.
        n : int
            How many.

        Returns
        -------
        range
            The numbers, without a gap since the last commit.
        """
        table = tables.tenants
        raised = update(table).where(table.c.id == tenant).values(event_seq=table.c.event_seq + n)
        last = connection.execute(raised.returning(table.c.event_seq)).scalar_one()
        return range(last - n + 1, last + 1)

    def close(self) -> None:
        """Let all connections go."""
        self.engine.dispose()

    def _again(self, engine: Engine, work: Callable[[Connection], _T], idempotent: bool) -> _T:
        for attempt in range(self.attempts):
            committing = False
            try:
                with engine.connect() as connection:
                    transaction = connection.begin()
                    try:
                        found = work(connection)
                        committing = True
                        transaction.commit()
                    except BaseException:
                        _roll_back(transaction)
                        raise
                return found
            except SQLAlchemyError as error:
                last = attempt == self.attempts - 1
                if last or not may_pass(error) or (committing and not idempotent):
                    raise (meaning(error) or error) from error
            time.sleep(self.pause_seconds * 2**attempt * random.uniform(0.5, 1.5))
        raise AssertionError("attempts >= 1")


def _roll_back(transaction: Any) -> None:
    try:
        transaction.rollback()
    except SQLAlchemyError:
        transaction.connection.invalidate()


def open_store(text_url: str, pool: int = 8, wait_seconds: float = 10.0) -> Store:
    """Open the database of the server, and check that its tables are those of this version.

    Parameters
    ----------
    text_url : str
        ``sqlite:///FILE`` or ``postgresql://USER@HOST/DATABASE``.
    pool : int
        Most connections of this process.
    wait_seconds : float
        Longest wait for a lock or a connection.

    Returns
    -------
    Store
        Ready for use. A SQLite file without tables is given them; PostgreSQL waits for ``margincast db upgrade``.

    Raises
    ------
    StoreSchemaError
        If the tables are older or newer than this version's.
    StoreUnavailableError
        If the database cannot be reached.
    InputError
        If the address is not one.
    """
    url = database_url(text_url)
    store = Store(make_engine(url, pool, wait_seconds))
    try:
        with spoken():
            if not store.postgres:
                upgrade(store.engine, only_empty=True)
            check_schema(store.engine)
    except StoreError:
        store.close()
        raise
    return store
