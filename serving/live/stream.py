"""NATS JetStream: bars come in, events go out, and the shards of a round are shared out among processes.

Three streams: bars and rounds are work queues, of which each message is taken by one process, and by another where that
one does not finish; events are kept for a week. What is done is decided by the database alone: a message that comes
twice finds its work done.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import select

from models.errors import InputError, MargincastError
from serving.live.bars import decode_bars
from serving.live.events import events_after
from serving.live.scoring import View
from serving.settings import Settings
from serving.store.tables import tenants

if TYPE_CHECKING:
    from serving.live.service import Live

__all__ = ["Stream"]

_log = logging.getLogger("margincast.serving.live")
_WEEK = 7 * 86_400.0
_WINDOW = 600.0  # seconds within which a message of the same name is dropped by the broker
_HEADER = "Margincast-Event"


class _Job(msgspec.Struct, frozen=True):
    tenant: str
    shard: int
    close_ns: int
    seq: int


_job = msgspec.json.Decoder(_Job)


class Stream:
    """The connection of one process to the broker, on a loop and a thread of its own.

    Parameters
    ----------
    live : Live
        What bars go to and rounds are done by.
    settings : Settings
        Address, prefix, and how long work may take.

    Raises
    ------
    InputError
        If nats-py is not installed.
    """

    def __init__(self, live: Live, settings: Settings) -> None:
        try:
            import nats
        except ImportError:
            raise InputError("stream_url", "****", "the extra 'stream': pip install 'margincast[stream]'") from None
        self._nats = nats
        self._live = live
        self._settings = settings
        self._prefix = settings.stream_prefix
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="margincast-stream", daemon=True)
        self._client: Any = None
        self._js: Any = None
        self._nudged = asyncio.Event()
        self._told: dict[str, int] = {}

    @property
    def connected(self) -> bool:
        """Whether the broker can be reached now."""
        return self._js is not None and self._client.is_connected

    def start(self) -> None:
        """Connect, and go on trying where that fails."""
        self._thread.start()

    def close(self) -> None:
        """Leave; what is under way is finished by somebody else."""
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join(10.0)

    def nudge(self) -> None:
        """Send what was told since."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._nudged.set)

    def spread(self, jobs: Sequence[tuple[str, int]], view: View) -> bool:
        """Hand the shards of a round over to whoever takes them first.

        Parameters
        ----------
        jobs : sequence of (str, int)
            Tenant and shard.
        view : View
            The market.

        Returns
        -------
        bool
            Whether the broker has all of them.
        """
        if not self.connected:
            return False
        future = asyncio.run_coroutine_threadsafe(self._publish_jobs(jobs, view), self._loop)
        try:
            future.result(10.0)
        except Exception as error:  # whatever the broker's trouble is, the round must be done
            future.cancel()
            _log.warning("the round is not shared out, it is done here: %s", error)
            return False
        return True

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._main())
        self._loop.close()

    def _stop(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    async def _main(self) -> None:
        await self._connect()
        try:
            workers = max(1, self._settings.threads)
            seconds = self._settings.stream_ack_seconds
            await asyncio.gather(
                self._work("BARS", "bars", 120.0, self._take_bars),
                *(self._work("ROUNDS", "rounds", seconds, self._take_job) for _ in range(workers)),
                self._send_events(),
            )
        finally:
            with suppress(Exception):
                await self._client.close()

    async def _connect(self) -> None:
        while self._js is None:
            try:
                self._client = await self._nats.connect(
                    self._settings.stream_url.reveal(), name="margincast", max_reconnect_attempts=-1,
                    reconnect_time_wait=0.5, connect_timeout=2, allow_reconnect=True, error_cb=_on_error,
                )  # fmt: skip
                js = self._client.jetstream(timeout=5.0)
                await self._prepare(js)
                self._js = js
            except asyncio.CancelledError:
                raise
            except Exception as error:  # the broker may come later
                _log.warning("no broker at stream_url yet: %s", error)
                if self._client is not None:
                    with suppress(Exception):
                        await self._client.close()
                await asyncio.sleep(1.0)

    async def _prepare(self, js: Any) -> None:
        from nats.js.api import RetentionPolicy, StreamConfig

        queue, limits = RetentionPolicy.WORK_QUEUE, RetentionPolicy.LIMITS
        for kind, subject, retention, age in (
            ("BARS", "bars", queue, _WEEK),
            ("ROUNDS", "rounds.>", queue, 86_400.0),
            ("EVENTS", "events.>", limits, _WEEK),
        ):
            wanted = StreamConfig(
                name=self._name(kind), subjects=[f"{self._prefix}.{subject}"], retention=retention, max_age=age,
                duplicate_window=_WINDOW,
            )  # fmt: skip
            await js.add_stream(wanted)

    def _name(self, kind: str) -> str:
        return f"{self._prefix.replace('.', '-')}-{kind}"

    async def _work(self, kind: str, durable: str, seconds: float, take: Callable[[Any], Awaitable[None]]) -> None:
        """Take messages one at a time, for ever."""
        from nats.errors import TimeoutError as NatsTimeoutError
        from nats.js.api import ConsumerConfig

        config = ConsumerConfig(durable_name=durable, ack_wait=seconds, max_ack_pending=1000)
        subject, taken = f"{self._prefix}.{'bars' if kind == 'BARS' else 'rounds.>'}", None
        while True:
            try:
                if taken is None:
                    taken = await self._js.pull_subscribe(subject, durable, stream=self._name(kind), config=config)
                for message in await taken.fetch(1, timeout=2.0):
                    await self._kept_alive(message, seconds, take)
            except asyncio.CancelledError:
                raise
            except NatsTimeoutError:
                continue
            except Exception as error:  # the broker is gone, or its consumer: begin again
                _log.warning("no messages of %s, it is tried again: %s", kind.lower(), error)
                taken = None
                await asyncio.sleep(0.5)

    async def _kept_alive(self, message: Any, seconds: float, take: Callable[[Any], Awaitable[None]]) -> None:
        """Work on a message; the broker is told that it is worked on, and at the end that it is done."""

        async def tell() -> None:
            while True:
                await asyncio.sleep(seconds / 3.0)
                await message.in_progress()

        telling = asyncio.create_task(tell())
        try:
            await take(message)
        except MargincastError as error:
            _log.warning("a message is not done, it comes again: %s", error)
            await message.nak(delay=1.0)
        finally:
            telling.cancel()

    async def _take_bars(self, message: Any) -> None:
        try:
            bars = decode_bars(message.data, self._settings.max_bars)
        except InputError as error:
            _log.warning("a message of bars is refused for good: %s", error)
            self._live.runtime.metrics.bars.labels("stream", "refused").inc()
            await message.term()
            return
        if self._live.view is None:
            await message.nak(delay=1.0)
            return
        report = await asyncio.to_thread(self._live.ingest, bars, "stream")
        for failure in report.failures:
            _log.warning("a bar is refused: %s", failure.message)
        await message.ack()

    async def _take_job(self, message: Any) -> None:
        job = _job.decode(message.data)
        done = await asyncio.to_thread(self._live.score_for, job.tenant, job.shard, job.close_ns, job.seq)
        await (message.ack() if done else message.nak(delay=0.5))

    async def _publish_jobs(self, jobs: Sequence[tuple[str, int]], view: View) -> None:
        close, seq = view.moment.as_of, view.seq

        async def send(tenant: str, shard: int) -> None:
            body = msgspec.json.encode(_Job(tenant, shard, close, seq))
            name = {"Nats-Msg-Id": f"{tenant}.{shard}.{close}.{seq}"}
            await self._js.publish(f"{self._prefix}.rounds.{tenant}.{shard}", body, headers=name)

        await asyncio.gather(*(send(tenant, shard) for tenant, shard in jobs))

    async def _send_events(self) -> None:
        """Send events in their order, from the last one that the broker has."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._nudged.wait()
            self._nudged.clear()
            try:
                await self._send_new()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # broker or database: both come back
                _log.warning("events wait for the broker: %s", error)

    async def _send_new(self) -> None:
        wanted = select(tenants.c.id, tenants.c.event_seq).where(tenants.c.event_seq > 0)
        store = self._live.store
        for row in await asyncio.to_thread(store.query, lambda c: c.execute(wanted).all()):
            if row.id not in self._told:
                self._told[row.id] = await self._last_told(row.id)
            while self._told[row.id] < row.event_seq:
                await self._send_page(row.id)

    async def _send_page(self, tenant: str) -> None:
        after = self._told[tenant]
        rows = await asyncio.to_thread(self._live.store.query, lambda c: events_after(c, tenant, after))
        for event in rows:
            headers = {"Nats-Msg-Id": f"{tenant}.{event.seq}", _HEADER: str(event.seq)}
            body = msgspec.json.encode(event.body)
            await self._js.publish(f"{self._prefix}.events.{tenant}", body, headers=headers)
            self._told[tenant] = event.seq
            self._live.runtime.metrics.deliveries.labels("stream", "delivered").inc()

    async def _last_told(self, tenant: str) -> int:
        from nats.js.errors import NotFoundError

        try:
            last = await self._js.get_last_msg(self._name("EVENTS"), f"{self._prefix}.events.{tenant}")
        except NotFoundError:
            return 0
        return int((last.headers or {}).get(_HEADER, 0))


async def _on_error(error: Exception) -> None:
    _log.debug("broker: %s", error)
