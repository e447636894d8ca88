"""Delivery of events: claimed with a lease, signed, tried again with back-off, dead after the last attempt."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpcore
import msgspec
from sqlalchemy import Connection, case, func, select, update

from models.errors import MargincastError
from serving.accounts.schemas import instant
from serving.live.webhooks.signing import signed_headers
from serving.live.webhooks.targets import Checked, Targets
from serving.metrics import Metrics
from serving.store import Store
from serving.store.lists import in_groups
from serving.store.tables import deliveries, events, webhooks

__all__ = ["Backoff", "Deliverer", "Due"]

_log = logging.getLogger("margincast.serving.live")
_SECOND = 1_000_000_000
_OTHER_CLOCKS = 60 * _SECOND  # how far those of other processes may be ahead
_EACH = 4  # deliveries of one webhook at a time, so that one that hangs holds up no other
_ALL = 64
_MOST_ANSWER = 65_536
_GONE = 410
Run = Callable[[Callable[[], Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Backoff:
    """When to try again.

    Parameters
    ----------
    attempts : int
        Tries before a delivery is dead, >= 1.
    first_seconds, longest_seconds : float
        Mean wait after the first failure, which doubles with each, and the longest.
    """

    attempts: int = 8
    first_seconds: float = 5.0
    longest_seconds: float = 21_600.0

    def wait_ns(self, failures: int, jitter: float) -> int | None:
        """Nanoseconds to wait after so many failures; None where it is dead.

        Parameters
        ----------
        failures : int
            At least 1.
        jitter : float
            In [0.5, 1.5].

        Returns
        -------
        int or None
            The wait.

        Examples
        --------
        >>> [Backoff(3, 5.0).wait_ns(n, 1.0) for n in (1, 2, 3)]
        [5000000000, 10000000000, None]
        """
        if failures >= self.attempts:
            return None
        return int(self._mean(failures) * jitter * _SECOND)

    def most_ns(self, failures: int) -> int:
        """The longest wait after so many failures."""
        return int(self._mean(max(failures, 1)) * 1.5 * _SECOND)

    def _mean(self, failures: int) -> float:
        return min(self.first_seconds * 2.0 ** (failures - 1), self.longest_seconds)


@dataclass(frozen=True, slots=True)
class Due:
    """One delivery that is claimed.

    Parameters
    ----------
    delivery, attempts : int
        Its number, and the attempts before this one.
    webhook, url, secret : str
        Where it goes.
    message_id : str
        Name of the event, the same at every attempt.
    body : bytes
        What is sent.
    """

    delivery: int
    attempts: int
    webhook: str
    url: str
    secret: str
    message_id: str
    body: bytes


class Deliverer:
    """Sends what is due.

    Parameters
    ----------
    store : Store
        The store.
    targets : Targets
        Which targets are allowed.
    clock : callable
        Nanoseconds since the epoch now.
    metrics : Metrics
        Counts attempts.
    run : callable
        Runs blocking work in a thread.
    timeout_seconds : float
        Longest time for one attempt, connection included.
    backoff : Backoff
        When to try again.

    Notes
    -----
    An event is delivered at least once: whoever takes it knows it again by ``webhook-id``. Any number of processes may
    deliver from one database; a claim that its process did not live to finish ends with its lease.
    """

    def __init__(
        self, store: Store, targets: Targets, clock: Callable[[], int], metrics: Metrics, run: Run,
        timeout_seconds: float = 10.0, backoff: Backoff | None = None,
    ) -> None:  # fmt: skip
        self.store = store
        self._clock = clock
        self._metrics = metrics
        self._run = run
        self._timeout = timeout_seconds
        self._backoff = backoff or Backoff()
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=_ALL, keepalive_expiry=5.0, network_backend=Checked(targets, run)
        )

    async def step(self) -> int:
        """Send what is due now.

        Returns
        -------
        int
            How many deliveries were tried.
        """
        now = self._clock()
        due = await self._run(lambda: self.store.run(lambda c: self._claim(c, now)))
        if due:
            results = await asyncio.gather(*(self._send(one) for one in due))
            after = self._clock()
            await self._run(lambda: self.store.run(lambda c: self._settle(c, due, results, after), idempotent=True))
        return len(due)

    async def loop(self, stopping: Callable[[], bool], pause: float = 0.5) -> None:
        """Send until told to stop.

        Parameters
        ----------
        stopping : callable
            Whether to stop.
        pause : float
            Seconds between two looks while nothing is due.
        """
        while not stopping():
            sent = 0
            try:
                sent = await self.step()
            except MargincastError as error:
                _log.warning("no webhooks delivered, it is tried again: %s", error)
            except Exception:
                _log.exception("no webhooks delivered, it is tried again")
            if not sent:
                await asyncio.sleep(pause)

    async def close(self) -> None:
        """Let the connections go."""
        await self._pool.aclose()

    def _claim(self, connection: Connection, now: int) -> list[Due]:
        c = deliveries.c
        backlog = select(func.count()).select_from(deliveries).where(c.status == "pending")
        self._metrics.delivery_backlog.set(connection.execute(backlog).scalar_one())
        place = func.row_number().over(partition_by=c.webhook_id, order_by=(c.next_ns, c.id)).label("place")
        lease = now + int((self._timeout + 5.0) * _SECOND)
        longest = {n: max(lease, now + self._backoff.most_ns(n)) for n in range(self._backoff.attempts)}
        most = case(longest, value=c.attempts, else_=lease) + _OTHER_CLOCKS
        early = c.next_ns > most  # said by a clock that has been set back since
        due = (c.status == "pending") & ((c.next_ns <= now) | early)
        waiting = select(c.id, c.next_ns, place).where(due).subquery()
        wanted = select(waiting).where(waiting.c.place <= _EACH).order_by(waiting.c.next_ns).limit(_ALL)
        claimed = []
        for row in connection.execute(wanted).all():
            mine = (c.id == row.id) & (c.status == "pending") & (c.next_ns == row.next_ns)
            if connection.execute(update(deliveries).where(mine).values(next_ns=lease)).rowcount:
                claimed.append(row.id)
        return self._read(connection, claimed)

    def _read(self, connection: Connection, ids: Sequence[int]) -> list[Due]:
        d, e, w = deliveries.c, events.c, webhooks.c
        joined = deliveries.join(webhooks, w.id == d.webhook_id).join(
            events, (e.tenant_id == d.tenant_id) & (e.seq == d.event_seq)
        )
        columns = (d.id, d.attempts, d.webhook_id, w.url, w.secret, e.tenant_id, e.seq, e.kind, e.body, e.created_ns)
        wanted = select(*columns).select_from(joined)
        rows = [row for some in in_groups(ids) for row in connection.execute(wanted.where(d.id.in_(some)))]
        return [
            Due(row.id, row.attempts, row.webhook_id, row.url, row.secret, f"{row.tenant_id}.{row.seq}", _body(row))
            for row in rows
        ]

    async def _send(self, one: Due) -> str:
        """Try once; what went wrong, empty where it arrived."""
        stamp = self._clock() // _SECOND
        headers = signed_headers(one.secret, one.message_id, stamp, one.body)
        headers |= {"content-type": "application/json", "user-agent": "margincast", "host": _host(one.url)}
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._pool.stream("POST", one.url, headers=sent, content=one.body) as answer,
            ):
                await _drain(answer)
                return "" if 200 <= answer.status < 300 else f"status {answer.status}"
        except TimeoutError:
            return f"no answer within {self._timeout:g} seconds"
        except Exception as error:  # whatever the target does must not stop the others
            return f"{type(error).__name__}: {error}"[:500]

    def _settle(self, connection: Connection, due: Sequence[Due], results: Sequence[str], now: int) -> None:
        for one, wrong in zip(due, results, strict=True):
            values = self._values(one, wrong, now)
            connection.execute(update(deliveries).where(deliveries.c.id == one.delivery).values(values))
            if wrong == f"status {_GONE}":  # the target says that it is gone for good
                gone = (webhooks.c.id == one.webhook) & webhooks.c.disabled_ns.is_(None)
                connection.execute(update(webhooks).where(gone).values(disabled_ns=now))
            outcome = "failed" if values["status"] == "pending" else values["status"]
            self._metrics.deliveries.labels("webhook", outcome).inc()

    def _values(self, one: Due, wrong: str, now: int) -> dict[str, Any]:
        attempts = one.attempts + 1
        if not wrong:
            return {"status": "delivered", "attempts": attempts, "last_error": None, "delivered_ns": now}
        wait = None if wrong == f"status {_GONE}" else self._backoff.wait_ns(attempts, random.uniform(0.5, 1.5))
        if wait is None:
            return {"status": "dead", "attempts": attempts, "last_error": wrong}
        return {"status": "pending", "attempts": attempts, "last_error": wrong, "next_ns": now + wait}


def _body(row: Any) -> bytes:
    return msgspec.json.encode({"type": row.kind, "timestamp": instant(row.created_ns).isoformat(), "data": row.body})


def _host(url: str) -> str:
    return url.split("/", 3)[2]


async def _drain(answer: httpcore.Response) -> None:
    """Read the answer, and no more than a webhook has to say."""
    seen = 0
    async for part in answer.aiter_stream():
        seen += len(part)
        if seen > _MOST_ANSWER:
            return
