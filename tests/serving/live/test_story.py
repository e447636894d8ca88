"""The whole way on a running server: a crash comes in, its alert arrives as an event and at a webhook."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.serving.live.replicas import KEY, Replica, lines, prepare, replica, until
from tests.serving.live.test_service import BASE, NEW, WHOLE, bar_json
from tests.serving.live.webhooks.test_webhooks import sink

FIRST = WHOLE.n_bars - NEW


class Reader(threading.Thread):
    """Reads events until the server ends the stream or it is told to leave."""

    def __init__(self, server: Replica, last: int | None) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        headers = {"Authorization": f"Bearer {KEY}", "Margincast-Tenant": "a"}
        headers |= {} if last is None else {"Last-Event-ID": str(last)}
        self._connection.request("GET", "/v1/events", headers=headers)
        self.answer = self._connection.getresponse()
        self.frames: list[dict[str, str]] = []
        self.ended = False
        self.start()

    def run(self) -> None:
        frame: dict[str, str] = {}
        while line := self.answer.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                frame[name] = value
            elif "id" in frame:
                self.frames.append(frame)
                frame = {}
        self.answer.close()
        self._connection.close()
        self.ended = True

    @property
    def ids(self) -> list[int]:
        return [int(frame["id"]) for frame in self.frames]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_crash_arrives_as_an_event_and_at_a_webhook(database: str, tmp_path: Path) -> None:
    store = prepare(database, BASE, tmp_path / "market", 2)
    with sink() as target, replica(database, tmp_path / "market", webhook_private=True, timeout_seconds=2) as server:
        server.ask("POST", "/v1/webhooks", {"url": target.url})
        server.ask("PUT", "/v1/accounts", lines(BASE, 3, 0.15), "application/x-ndjson")
        reader = Reader(server, None)
        assert reader.answer.status == 200
        assert reader.answer.headers["content-type"].startswith("text/event-stream")
        time.sleep(3)  # longer than requests may take: a stream is none
        assert not reader.ended
        before = time.monotonic()
        server.ask("POST", "/v1/market/bars", {"bars": [bar_json(asset, FIRST, 0.85) for asset in WHOLE.assets]})
        until(lambda: len(reader.frames) >= 3)
        assert time.monotonic() - before < 20
        assert {frame["event"] for frame in reader.frames} == {"alert"}
        bodies = [json.loads(frame["data"]) for frame in reader.frames]
        assert {body["account_id"] for body in bodies} == {"acc-0", "acc-1", "acc-2"}
        assert {body["severity"] for body in bodies if body["alert"] == "level"} == {"emergency"}
        until(lambda: len(target.got) >= len(reader.frames))
        sent = [json.loads(body)["data"]["id"] for _, body in target.got]
        assert set(reader.ids) <= set(sent)
        resumed = Reader(server, reader.ids[0])
        until(lambda: len(resumed.frames) >= len(reader.frames) - 1)
        assert resumed.ids == reader.ids[1:]
        server.signal(signal.SIGTERM)
        until(lambda: reader.ended and resumed.ended, 20.0)
        assert server.process.wait(20) == 0
    store.close()
