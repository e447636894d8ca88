"""Events as they happen: each stream reads the table from the number it has seen, so that nothing is skipped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from models.errors import MargincastError, StoreError
from serving.store import Store
from serving.store.tables import AnyRow, events, tenants

__all__ = ["EventHub", "events_after", "frame", "last_event"]

_log = logging.getLogger("margincast.serving.live")
_PAGE = 500
Run = Callable[[Callable[[], Any]], Awaitable[Any]]


def events_after(connection: Connection, tenant: str, seq: int, limit: int = _PAGE) -> Sequence[AnyRow]:
    """Read events of a tenant in their order.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    tenant : str
        Whose.
    seq : int
        Only those with a larger number.
    limit : int
        Most of them.

    Returns
    -------
    sequence of Row
        Of `serving.store.tables.events`.
    """
    wanted = select(events).where(events.c.tenant_id == tenant, events.c.seq > seq)
    return connection.execute(wanted.order_by(events.c.seq).limit(limit)).all()


def last_event(connection: Connection, tenant: str) -> int:
    """Give the number of the newest event of a tenant, 0 where there is none."""
    wanted = select(func.coalesce(func.max(tenants.c.event_seq), 0)).where(tenants.c.id == tenant)
    return int(connection.execute(wanted).scalar_one())


def frame(seq: int, kind: str, body: Any) -> bytes:
    """Write one event as Server-Sent Events want it.

    Parameters
    ----------
    seq : int
        Its number.
    kind : str
        Its kind.
    body : object
        Its content.

    Returns
    -------
    bytes
        Fields id, event and data.

    Examples
    --------
    >>> frame(7, "alert", {"a": 1})
    b'id: 7\\nevent: alert\\ndata: {"a":1}\\n\\n'
    """
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (seq, kind.encode(), msgspec.json.encode(body))


def _page(tenant: str, seq: int, connection: Connection) -> Sequence[AnyRow]:
    return events_after(connection, tenant, seq)


class EventHub:
    """Wakes the streams of a tenant when it has events, whichever process made them.

    Parameters
    ----------
    store : Store
        The store.
    run : callable
        Runs blocking work in a thread.
    pause : float
        Seconds between two looks for events of other processes.
    heartbeat : float
        Seconds after which a stream that has nothing to say shows that it lives.
    """

    def __init__(self, store: Store, run: Run, pause: float = 1.0, heartbeat: float = 15.0) -> None:
        self.store = store
        self._run = run
        self._pause = pause
        self._heartbeat = heartbeat
        self._newest: dict[str, int] = {}
        self._changed = asyncio.Condition()
        self._now = asyncio.Event()
        self.streams = 0

    def nudge(self) -> None:
        """Look at once; to be called on the loop of the streams."""
        self._now.set()

    async def loop(self, stopping: Callable[[], bool]) -> None:
        """Look for new events until told to stop.

        Parameters
        ----------
        stopping : callable
            Whether to stop.
        """
        while not stopping():
            try:
                async with asyncio.timeout(self._pause):
                    await self._now.wait()
            except TimeoutError:
                pass
            self._now.clear()
            if self.streams:
                await self._look()
        async with self._changed:
            self._changed.notify_all()

    async def stream(self, tenant: str, seq: int | None, alive: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
        """Give the events of a tenant for as long as the reader stays.

        Parameters
        ----------
        tenant : str
            Whose.
        seq : int or None
            Number of the last event that was seen; None: begin with the next one.
        alive : callable
            Asked before every read and heartbeat: whether the stream may go on.

        Yields
        ------
        bytes
            Frames, and comments as heartbeats.
        """
        self.streams += 1
        try:
            if seq is None:
                seq = await self._run(lambda: self.store.query(lambda c: last_event(c, tenant)))
            yield b": margincast\n\n"
            while await alive():
                rows = await self._run(partial(self.store.query, partial(_page, tenant, seq)))
                for row in rows:
                    yield frame(row.seq, row.kind, row.body)
                    seq = row.seq
                if len(rows) < _PAGE and not await self._wait(tenant, seq, alive):
                    yield b": still here\n\n"
        except StoreError as error:
            _log.warning("a stream of events ended, its reader resumes: %s", error)
        finally:
            self.streams -= 1

    async def _wait(self, tenant: str, seq: int, alive: Callable[[], Awaitable[bool]]) -> bool:
        """Wait for an event after a number; whether there is one before the heartbeat."""
        try:
            async with asyncio.timeout(self._heartbeat), self._changed:
                while self._newest.get(tenant, 0) <= seq:
                    await self._changed.wait()
                    if not await alive():
                        return True
        except TimeoutError:
            return False
        return True

    async def _look(self) -> None:
        try:
            wanted = select(tenants.c.id, tenants.c.event_seq)
            rows = await self._run(lambda: self.store.query(lambda c: c.execute(wanted).all()))
        except MargincastError as error:
            _log.warning("no look for events, it is tried again: %s", error)
            return
        newest = {row.id: int(row.event_seq) for row in rows}
        if newest != self._newest:
            self._newest = newest
            async with self._changed:
                self._changed.notify_all()
