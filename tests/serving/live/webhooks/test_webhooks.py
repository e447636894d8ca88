"""Webhooks: signatures, private targets, back-off, dead letters, a target that hangs."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import insert, select

from models.errors import InputError
from serving.live.telling import emit
from serving.live.webhooks import Deliverer, Targets, signed_headers
from serving.live.webhooks.deliver import Backoff
from serving.live.webhooks.targets import is_public
from serving.metrics import Metrics
from serving.store import Store
from serving.store.tables import deliveries, webhooks
from tests.serving.desks import NOW, Clock, Desk, desk_of

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


class Sink(ThreadingHTTPServer):
    """A target that keeps what it is sent and answers what it is told to."""

    daemon_threads = True

    def __init__(self, status: int = 200, hang: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.hang = status, hang
        self.got: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: Sink

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
        time.sleep(self.server.hang)
        if self.server.status in (301, 302):
            self.send_response(self.server.status)
            self.send_header("location", self.server.url)
        else:
            self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def sink(status: int = 200, hang: float = 0.0) -> Iterator[Sink]:
    server = Sink(status, hang)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def desk(store: Store, database: str) -> Iterator[Desk]:
    with desk_of(store, database, live_seconds=0, webhook_private=True) as found:
        yield found


def hook(store: Store, name: str, url: str, tenant: str = "a") -> None:
    row = {"id": name, "tenant_id": tenant, "url": url, "secret": SECRET, "kinds": [], "created_ns": 0}
    with store.begin() as connection:
        connection.execute(insert(webhooks), row)


def say(store: Store, n: int = 1, tenant: str = "a") -> None:
    with store.begin() as connection:
        emit(store, connection, tenant, [("alert", {"message": f"m{i}"}) for i in range(n)], NOW)


def states(store: Store, name: str) -> list[tuple[str, int]]:
    wanted = select(deliveries.c.status, deliveries.c.attempts).where(deliveries.c.webhook_id == name)
    return [tuple(row) for row in store.query(lambda c: c.execute(wanted.order_by(deliveries.c.id)).all())]


def deliver(store: Store, clock: Clock, steps: int = 1, private: bool = True, **more: Any) -> list[int]:
    """Make so many steps of a deliverer."""

    async def work() -> list[int]:
        targets = Targets(private, **({"lookup": more.pop("lookup")} if "lookup" in more else {}))
        one = Deliverer(store, targets, clock, Metrics(), asyncio.to_thread, **more)
        try:
            return [await one.step() for _ in range(steps)]
        finally:
            await one.close()

    return asyncio.run(work())


def test_what_arrives_is_signed_as_standard_webhooks_say(desk: Desk) -> None:
    store = desk.runtime.database
    with sink() as target:
        hook(store, "w", target.url)
        say(store)
        assert deliver(store, desk.clock, 2) == [1, 0]
        ((headers, body),) = target.got
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    stamp = headers["webhook-timestamp"]
    assert stamp == str(NOW // 10**9)
    content = f"{headers['webhook-id']}.{stamp}.".encode() + body
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-id"] == "a.1"
    assert headers["content-type"] == "application/json"
    sent = json.loads(body)
    assert (sent["type"], sent["data"]["message"]) == ("alert", "m0")
    assert states(store, "w") == [("delivered", 1)]


def test_failures_are_tried_again_later_and_later_then_dead(desk: Desk) -> None:
    store, clock = desk.runtime.database, Clock()
    with sink(503) as target:
        hook(store, "w", target.url)
        say(store)
        rules = Backoff(4, 10.0)
        waits = []
        for attempt in range(4):
            assert deliver(store, clock, backoff=rules) == [1]
            assert deliver(store, clock, backoff=rules) == [0]  # not before its time
            state, attempts = states(store, "w")[0]
            assert attempts == attempt + 1
            if state == "dead":
                break
            due = store.query(lambda c: c.execute(select(deliveries.c.next_ns)).scalar_one())
            waits.append((due - clock.now) / 1e9)
            clock.now = due
        assert state == "dead"
        assert attempt == 3
        assert all(10 * 2**i * 0.5 <= wait <= 10 * 2**i * 1.5 for i, wait in enumerate(waits))
        names = {headers["webhook-id"] for headers, _ in target.got}
        assert names == {"a.1"}  # the same name at every attempt
        target.status = 200
        assert desk.ask("POST", "/v1/webhooks/w/retry", who="a.operate").status_code == 202
        assert deliver(store, clock) == [1]
    assert states(store, "w") == [("delivered", 1)]


def test_a_target_that_says_gone_is_sent_nothing_more(desk: Desk) -> None:
    store = desk.runtime.database
    with sink(410) as target:
        hook(store, "w", target.url)
        say(store)
        deliver(store, desk.clock)
        say(store)
        assert deliver(store, desk.clock) == [0]
        assert len(target.got) == 1
    assert states(store, "w") == [("dead", 1)]


def test_a_redirect_is_not_followed(desk: Desk) -> None:
    store = desk.runtime.database
    with sink(302) as target:
        hook(store, "w", target.url)
        say(store)
        deliver(store, desk.clock)
        assert len(target.got) == 1
    assert states(store, "w") == [("pending", 1)]


def test_a_target_that_hangs_holds_up_no_other(desk: Desk) -> None:
    store = desk.runtime.database
    with sink(hang=30.0) as slow, sink() as quick:
        hook(store, "slow", slow.url)
        hook(store, "quick", quick.url)
        say(store, 200)
        start = time.monotonic()
        sent = deliver(store, desk.clock, 3, timeout_seconds=0.4)
        took = time.monotonic() - start
        assert sent[0] == 8  # four of each
        assert took < 3.0
        assert len(quick.got) == 12
    assert sum(state == "delivered" for state, _ in states(store, "quick")) == 12
    assert [s for s in states(store, "slow") if s[1]] == [("pending", 1)] * 12


def test_a_claim_ends_with_its_lease(desk: Desk) -> None:
    """A process that dies after it claimed: another one delivers when the lease is over, not before."""
    store, clock = desk.runtime.database, Clock()
    with sink() as target:
        hook(store, "w", target.url)
        say(store)
        dead = Deliverer(store, Targets(True), clock, Metrics(), asyncio.to_thread, timeout_seconds=10.0)
        assert len(store.run(lambda c: dead._claim(c, clock.now))) == 1
        assert deliver(store, clock) == [0]
        clock.now += 16 * 10**9
        assert deliver(store, clock) == [1]
        assert len(target.got) == 1


def test_a_name_that_changes_its_mind_reaches_nothing_private(desk: Desk) -> None:
    """The check at registration saw a public address; at delivery the name leads inside."""
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    with sink() as target:
        port = target.server_address[1]
        url = f"https://rebinding.example:{port}/hook"
        Targets(lookup=lambda host, port: next(answers)).check(url)
        store = desk.runtime.database
        hook(store, "w", url)
        say(store)
        deliver(store, desk.clock, private=False, lookup=lambda host, port: next(answers))
        assert target.got == []
    error = desk.ask("GET", "/v1/webhooks/w/deliveries", who="a.read").json()["deliveries"][0]["last_error"]
    assert "public address" in error


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:10.0.0.1",
        "64:ff9b::7f00:1", "2002:7f00:1::1", "192.0.2.1", "198.18.0.1", "240.0.0.1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(InputError, match="public address"):
        Targets(lookup=lambda host, port: ["93.184.216.34", address]).check("https://two.example/hook")


@pytest.mark.parametrize(
    "url",
    [
        "http://public.example/", "ftp://public.example/", "https://", "https://user:pass@public.example/", "nothing",
        "https://public.example/#part", "https://public.example:99999/", "https://public.example/\n", "file:///etc/passwd",
        "https://public.example/" + "a" * 2000,
    ],
)  # fmt: skip
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="url"):
        Targets(lookup=lambda host, port: ["93.184.216.34"]).check(url)


def test_a_name_that_cannot_be_resolved_is_refused() -> None:
    def nowhere(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "unknown")

    with pytest.raises(InputError, match="resolved"):
        Targets(lookup=nowhere).check("https://nowhere.example/")
    Targets(lookup=lambda host, port: ["2606:2800:220:1:248:1893:25c8:1946"]).check("https://good.example/hook?x=1")


def test_hooks_over_http(desk: Desk) -> None:
    with sink() as target:
        made = desk.ask("POST", "/v1/webhooks", {"url": target.url, "kinds": ["alert"]}, "a.operate")
        assert made.status_code == 201
        name, secret = made.json()["id"], made.json()["secret"]
        (listed,) = desk.ask("GET", "/v1/webhooks", who="a.read").json()["webhooks"]
        assert listed["id"] == name
        assert "secret" not in listed
        assert desk.ask("GET", "/v1/webhooks", who="b.read").json()["webhooks"] == []
        for method, path in (("DELETE", ""), ("POST", "/test"), ("POST", "/retry")):
            assert desk.ask(method, f"/v1/webhooks/{name}{path}", who="b.admin").status_code == 404
            assert desk.ask(method, f"/v1/webhooks/{name}{path}", who="a.predict").status_code == 403
        assert desk.ask("POST", f"/v1/webhooks/{name}/test", who="a.operate").status_code == 202
        store = desk.runtime.database
        assert deliver(store, desk.clock) == [1]
        headers, body = target.got[0]
        stamp = int(headers["webhook-timestamp"])
        assert (
            signed_headers(secret, headers["webhook-id"], stamp, body)["webhook-signature"]
            == headers["webhook-signature"]
        )
        assert json.loads(body)["type"] == "test"
    assert desk.ask("POST", "/v1/webhooks", {"url": "x", "kinds": []}, "a.operate").status_code == 422
    assert desk.ask("POST", "/v1/webhooks", {"url": target.url, "kinds": ["wat"]}, "a.operate").status_code == 422
    assert desk.ask("DELETE", f"/v1/webhooks/{name}", who="a.operate").status_code == 204
    assert desk.ask("GET", "/v1/webhooks", who="a.read").json()["webhooks"] == []


def test_private_targets_are_refused_unless_they_are_allowed(store: Store, database: str) -> None:
    with desk_of(store, database, live_seconds=0) as desk:
        answer = desk.ask("POST", "/v1/webhooks", {"url": "https://127.0.0.1/hook"}, "a.operate")
        assert answer.status_code == 422
        assert answer.json()["field"] == "url"
