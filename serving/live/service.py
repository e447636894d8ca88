"""What one process does live: every shard scored on each new market, and what follows from it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Connection, select

from features.sources.exchange import open_exchange
from models.errors import MargincastError
from serving.accounts.changes import Change
from serving.live.events import EventHub
from serving.live.following import Following
from serving.live.poll import Poller
from serving.live.scoring import Outcome, Scored, Scorer, View
from serving.live.silence import tell_silence
from serving.live.webhooks import Deliverer, Targets
from serving.live.webhooks.deliver import Backoff
from serving.store import Store
from serving.store.tables import shards, tenants

if TYPE_CHECKING:
    from serving.live.stream import Stream
    from serving.runtime import Runtime

__all__ = ["Live", "Spread"]

_log = logging.getLogger("margincast.serving.live")
_SILENCE_SECONDS = 10.0


class Spread(Protocol):
    """Shares the shards of a round out among processes."""

    @property
    def connected(self) -> bool:
        """Whether the broker can be reached now."""

    def spread(self, jobs: Sequence[tuple[str, int]], view: View) -> bool:
        """Hand the jobs over; False where that is not possible now and they must be done here."""


class Live(Following):
    """The live part of one process.

    Parameters
    ----------
    runtime : Runtime
        Settings, clock, metrics and the engine in use.
    store : Store
        Where bars, accounts and the ledger are.

    Notes
    -----
    Any number of processes may do this on one database. Each follows the bars by their numbers; a shard is scored once
    for each market, by whoever comes first.
    """

    def __init__(self, runtime: Runtime, store: Store) -> None:
        super().__init__(runtime, store)
        self.scorer = Scorer(store, runtime.policy if runtime.settings.policy else None)
        self.spread: Spread | None = None
        self._scored: View | None = None
        self._handed: View | None = None
        self._handed_at = 0.0
        self._stream: Stream | None = None
        self._thread: threading.Thread | None = None
        self._pool = ThreadPoolExecutor(runtime.settings.threads, "margincast-round")
        self._after: list[Callable[[], None]] = []
        settings = runtime.settings
        self.targets = Targets(settings.webhook_private)
        self.hub = EventHub(store, runtime.io)
        backoff = Backoff(settings.webhook_attempts, settings.webhook_first_seconds)
        parts = (store, self.targets, runtime.clock, runtime.metrics, runtime.io)
        self.deliverer = Deliverer(*parts, settings.webhook_timeout_seconds, backoff)

    def start(self) -> list[asyncio.Task[None]]:
        """Begin to look for bars, events and deliveries, on the loop that runs.

        Returns
        -------
        list of Task
            To be cancelled at the end. Without the ones for bars and deliveries where the settings say never.
        """
        loop, stopping = asyncio.get_running_loop(), self.runtime.stopping.is_set

        def nudge() -> None:
            if not stopping():
                loop.call_soon_threadsafe(self.hub.nudge)

        self.after_round(nudge)
        tasks = [loop.create_task(self.hub.loop(stopping))]
        if self.runtime.settings.live_seconds > 0 and self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="margincast-live", daemon=True)
            self._thread.start()
            tasks.append(loop.create_task(self.deliverer.loop(stopping)))
            if self.runtime.settings.stream_url:
                self._join_stream()
            if self.runtime.settings.poll_exchange:
                client = open_exchange(self.runtime.settings.poll_exchange)
                poller = Poller(client, self.runtime.settings.poll_symbols, self)
                tasks.append(loop.create_task(self._poll_on(poller)))
        return tasks

    def _join_stream(self) -> None:
        from serving.live.stream import Stream

        self._stream = Stream(self, self.runtime.settings)
        self.spread = self._stream
        self.after_round(self._stream.nudge)
        self._stream.start()

    def watch_silence(self) -> int:
        """Tell desks that the market is silent, or no longer; how many were told something."""
        limit, view = self.runtime.settings.silence_minutes, self.view
        if limit <= 0 or view is None:
            return 0
        told = tell_silence(self.store, view, limit, self.runtime.clock())
        if told:
            self.told()
        return told

    async def _poll_on(self, poller: Poller) -> None:
        """Ask for ever."""
        while not self.runtime.stopping.is_set():
            try:
                await self.runtime.io(lambda: self.poll(poller))
            except MargincastError as error:
                _log.warning("no bars from the exchange, asked again: %s", error)
            await asyncio.sleep(self.runtime.settings.poll_seconds)

    def close(self) -> None:
        """Stop after what is under way."""
        self._wake.set()
        if self._stream is not None:
            self._stream.close()
        if self._thread is not None:
            self._thread.join(10.0)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def after_round(self, hook: Callable[[], None]) -> None:
        """Call something after every scoring that may have told something."""
        self._after.append(hook)

    def step(self) -> bool:
        """Catch up, and score every shard that has not been scored on this market.

        Returns
        -------
        bool
            Whether all of it is done.
        """
        self.catch_up()
        view = self.view
        if view is None or view is self._scored:
            return True
        if self.spread is not None and self.spread.connected:
            jobs = self.jobs(view)
            if not jobs:
                self._scored = view
                return True
            if self._hand_over(jobs, view):  # where the broker is lost on the way they are done here
                return False
        done = all(list(self._pool.map(lambda job: self._try(job[0], job[1], view), self.jobs(view))))
        if done:
            self._scored = view
        return done

    def _hand_over(self, jobs: Sequence[tuple[str, int]], view: View) -> bool:
        """Let whoever takes them do the jobs; those that nobody did in time are handed over again."""
        late = time.monotonic() - self._handed_at > self.runtime.settings.stream_ack_seconds
        if view is not self._handed or late:
            if self.spread is None or not self.spread.spread(jobs, view):
                return False
            self._handed, self._handed_at = view, time.monotonic()
        return True

    def jobs(self, view: View | None = None) -> list[tuple[str, int]]:
        """Name the shards of every tenant that is not disabled.

        Parameters
        ----------
        view : View, optional
            Only those that were not scored on this market or a later one.

        Returns
        -------
        list of (str, int)
            Tenant and shard.
        """
        wanted = select(shards.c.tenant_id, shards.c.shard).join(tenants, tenants.c.id == shards.c.tenant_id)
        wanted = wanted.where(tenants.c.disabled_ns.is_(None)).order_by(shards.c.shard, shards.c.tenant_id)
        if view is not None:
            close, seq = shards.c.scored_close_ns, shards.c.scored_market_seq
            later = (close == view.moment.as_of) & (seq >= view.seq)
            wanted = wanted.where(close.is_(None) | ~((close > view.moment.as_of) | later))
        return [(row.tenant_id, row.shard) for row in self.store.query(lambda c: c.execute(wanted).all())]

    def score_for(self, tenant: str, shard: int, close_ns: int, seq: int) -> bool:
        """Score a shard for whoever handed it over, on the market named or a later one.

        Parameters
        ----------
        tenant : str
            Whose accounts.
        shard : int
            The shard.
        close_ns, seq : int
            The market.

        Returns
        -------
        bool
            False where this process cannot know that market yet.
        """
        if not self._knows(close_ns, seq):
            self.catch_up(close_ns)
        view = self.view
        if view is None or not self._knows(close_ns, seq):
            return False
        self.score(tenant, shard, view)
        return True

    def _knows(self, close_ns: int, seq: int) -> bool:
        view = self.view
        return view is not None and (view.moment.as_of, view.seq) >= (close_ns, seq)

    def score(self, tenant: str, shard: int, view: View) -> Outcome:
        """Score one shard, count it, and pass on what was told.

        Parameters
        ----------
        tenant : str
            Whose accounts.
        shard : int
            The shard.
        view : View
            The market.

        Returns
        -------
        Outcome
            What was done.
        """
        metrics = self.runtime.metrics
        with metrics.round_seconds.time():
            outcome = self.scorer.score(tenant, shard, view, self.runtime.clock())
        metrics.rounds.labels(outcome.what).inc()
        metrics.round_accounts.inc(outcome.accounts)
        if outcome.failures:
            _log.warning("%s accounts of shard %s/%s cannot be scored", outcome.failures, tenant, shard)
        for one in outcome.told.opened:
            metrics.alerts.labels(one.kind, str(one.level)).inc()
        self.told()
        return outcome

    def score_changes(self, connection: Connection, tenant: str, changes: Sequence[Change]) -> Scored | None:
        """Score accounts in the transaction that stores them; nothing while there is no market.

        Parameters
        ----------
        connection : Connection
            In the transaction.
        tenant : str
            Whose accounts.
        changes : sequence of Change
            What was written.

        Returns
        -------
        Scored or None
            What is predicted.
        """
        view = self.view
        if view is None:
            return None
        return self.scorer.score_changes(connection, tenant, changes, view, self.runtime.clock())

    def told(self) -> None:
        """Pass on that something may have been told."""
        for hook in self._after:
            hook()

    def _try(self, tenant: str, shard: int, view: View) -> bool:
        try:
            self.score(tenant, shard, view)
        except MargincastError as error:
            self.runtime.metrics.rounds.labels("failed").inc()
            _log.warning("shard %s/%s not scored, it is tried again: %s", tenant, shard, error)
            return False
        return True

    def _loop(self) -> None:
        pause, looked = self.runtime.settings.live_seconds, time.monotonic()
        while not self.runtime.stopping.is_set():
            self._wake.wait(pause)
            self._wake.clear()
            if self.runtime.stopping.is_set():
                return
            try:
                self.step()
                if time.monotonic() - looked > _SILENCE_SECONDS:
                    self.watch_silence()
                    looked = time.monotonic()
            except MargincastError as error:
                _log.warning("no step of the live market, it is tried again: %s", error)
            except Exception:
                _log.exception("no step of the live market, it is tried again")
