"""NATS JetStream, a real server: bars in, events out, rounds shared by two processes of which one is killed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from serving.store.tables import bars, events
from tests.serving.live.replicas import lines, marked, prepare, replica, said, until
from tests.serving.live.test_service import BASE, NEW, WHOLE, bar_json

nats = pytest.importorskip("nats", reason="no nats-py: the extra 'stream'")
SERVER = os.environ.get("MARGINCAST_TEST_NATS", "nats://127.0.0.1:4222")
FIRST = WHOLE.n_bars - NEW


def with_broker(work: Callable[[Any, Any], Awaitable[Any]], url: str = SERVER) -> Any:
    """Do something with a connection and its JetStream."""

    async def run() -> Any:
        client = await nats.connect(url, max_reconnect_attempts=0, connect_timeout=2, allow_reconnect=False)
        try:
            return await work(client, client.jetstream())
        finally:
            await client.close()

    return asyncio.run(run())


@pytest.fixture
def prefix() -> Iterator[str]:
    """Return a prefix of subjects of our own; its streams are deleted afterwards."""

    async def there(client: Any, js: Any) -> None:
        await js.account_info()

    try:
        with_broker(there)
    except Exception as error:
        pytest.skip(f"no NATS server with JetStream: set MARGINCAST_TEST_NATS to one ({type(error).__name__})")
    name = f"test{uuid.uuid4().hex[:10]}"
    yield name

    async def drop(client: Any, js: Any) -> None:
        for kind in ("BARS", "ROUNDS", "EVENTS"):
            with suppress(nats.js.errors.NotFoundError):
                await js.delete_stream(f"{name}-{kind}")

    with_broker(drop)


def publish(subject: str, *bodies: Any, url: str = SERVER) -> None:
    async def send(client: Any, js: Any) -> None:
        for body in bodies:
            await js.publish(subject, body if isinstance(body, bytes) else json.dumps(body).encode())

    with_broker(send, url)


def heard(prefix: str, tenant: str, n: int) -> list[dict[str, Any]]:
    """Read so many events of a tenant from the beginning."""

    async def read(client: Any, js: Any) -> list[dict[str, Any]]:
        taken = await js.subscribe(f"{prefix}.events.{tenant}", ordered_consumer=True)
        return [json.loads((await taken.next_msg(20)).data) for _ in range(n)]

    return with_broker(read)


def bar_batch(column: int, scale: float = 1.0) -> dict[str, Any]:
    return {"bars": [bar_json(asset, column, scale) for asset in WHOLE.assets]}


def test_bars_come_in_and_events_go_out(database: str, tmp_path: Path, prefix: str) -> None:
    store = prepare(database, BASE, tmp_path / "market", 3)
    close = WHOLE.start + (FIRST + 1) * WHOLE.step
    with replica(database, tmp_path / "market", stream_url=SERVER, stream_prefix=prefix) as server:
        server.ask("PUT", "/v1/accounts", lines(BASE, 20, 0.15), "application/x-ndjson")
        publish(f"{prefix}.bars", b"not a bar", bar_batch(FIRST, 0.85), bar_batch(FIRST, 0.85))
        until(lambda: marked(store, close) == 3)
        assert said(store, close) == sorted(f"acc-{i}" for i in range(20))
        assert store.query(lambda c: c.execute(select(func.count()).select_from(bars)).scalar_one()) == 3
        kept = store.query(lambda c: c.execute(select(events.c.body).order_by(events.c.seq)).scalars().all())
        assert heard(prefix, "a", len(kept)) == list(kept)
        waiting = with_broker(lambda client, js: js.stream_info(f"{prefix}-BARS")).state.messages
        assert waiting == 0  # what cannot be read does not come again for ever
    store.close()


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_two_processes_share_a_round_and_one_is_killed(database: str, tmp_path: Path, prefix: str) -> None:
    """One process is frozen with work in its hands, then killed; the other does all of it, once."""
    n, shards = 800, 16
    store = prepare(database, BASE, tmp_path / "market", shards)
    more = {"stream_url": SERVER, "stream_prefix": prefix, "stream_ack_seconds": 3}
    stamps = [WHOLE.start + (FIRST + i + 1) * WHOLE.step for i in range(3)]
    with replica(database, tmp_path / "market", **more) as one, replica(database, tmp_path / "market", **more) as two:
        one.ask("PUT", "/v1/accounts", lines(BASE, n, 0.3), "application/x-ndjson")
        publish(f"{prefix}.bars", bar_batch(FIRST))
        until(lambda: marked(store, stamps[0]) == shards)
        shares = [float(_metric(server, "margincast_round_accounts_total")) for server in (one, two)]
        assert min(shares) > 0  # both had a share
        two.signal(signal.SIGSTOP)
        one.ask("POST", "/v1/market/bars", bar_batch(FIRST + 1, 0.9))
        until(lambda: marked(store, stamps[1]) >= 1)
        held = with_broker(lambda client, js: js.consumer_info(f"{prefix}-ROUNDS", "rounds")).num_ack_pending
        two.kill()
        until(lambda: marked(store, stamps[1]) == shards, 60.0)
        one.ask("POST", "/v1/market/bars", bar_batch(FIRST + 2))
        until(lambda: marked(store, stamps[2]) == shards, 60.0)
    assert held >= 1
    for stamp in stamps:
        assert said(store, stamp) == sorted(f"acc-{i}" for i in range(n))
    seqs = list(store.query(lambda c: c.execute(select(events.c.seq).order_by(events.c.seq)).scalars().all()))
    assert seqs == list(range(1, len(seqs) + 1))
    assert [event["id"] for event in heard(prefix, "a", len(seqs))] == seqs
    store.close()


def _metric(server: Any, name: str) -> str:
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as answer:
        return next(line.split()[1] for line in answer.read().decode().splitlines() if line.startswith(f"{name} "))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_broker_goes_and_comes_back(database: str, tmp_path: Path) -> None:
    """While it is gone the process does its rounds alone; afterwards bars and events flow again, none missing."""
    program = shutil.which("nats-server")
    if program is None:
        pytest.skip("no nats-server program to stop and start")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    url = f"nats://127.0.0.1:{port}"
    command = [program, "-a", "127.0.0.1", "-p", port, "-js", "-sd", str(tmp_path / "js")]

    def broker() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    store = prepare(database, BASE, tmp_path / "market", 3)
    stamps = [WHOLE.start + (FIRST + i + 1) * WHOLE.step for i in range(3)]
    running = broker()
    try:
        with replica(database, tmp_path / "market", stream_url=url, stream_ack_seconds=3) as server:
            server.ask("PUT", "/v1/accounts", lines(BASE, 20, 0.15), "application/x-ndjson")
            until(lambda: _try(lambda: publish("margincast.bars", bar_batch(FIRST), url=url)))
            until(lambda: marked(store, stamps[0]) == 3)
            running.kill()
            running.wait(10)
            assert server.ask("POST", "/v1/market/bars", bar_batch(FIRST + 1, 0.85))["accepted"] == 3
            until(lambda: marked(store, stamps[1]) == 3)
            running = broker()
            until(lambda: _try(lambda: publish("margincast.bars", bar_batch(FIRST + 2), url=url)))
            until(lambda: marked(store, stamps[2]) == 3)
            wanted = select(events.c.seq).order_by(events.c.seq)
            seqs = list(store.query(lambda c: c.execute(wanted).scalars().all()))

            async def read(client: Any, js: Any) -> list[int]:
                taken = await js.subscribe("margincast.events.a", ordered_consumer=True)
                return [json.loads((await taken.next_msg(20)).data)["id"] for _ in seqs]

            assert with_broker(read, url) == seqs
        for stamp in stamps:
            assert said(store, stamp) == sorted(f"acc-{i}" for i in range(20))
    finally:
        running.kill()
        running.wait(10)
    store.close()


def _try(work: Callable[[], None]) -> bool:
    try:
        work()
    except Exception:
        return False
    return True
