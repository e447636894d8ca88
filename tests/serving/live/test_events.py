"""Server-Sent Events: resume, heartbeats, walls between tenants; alerts and their settings over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert

from serving.live.events import EventHub
from serving.live.telling import emit
from serving.store import Store
from serving.store.tables import webhooks
from tests.serving.desks import Desk, desk_of
from tests.serving.live.test_service import BASE, NEW, WHOLE, files, live, register, send, step

__all__ = ["files", "live"]


@pytest.fixture
def desk(store: Store, database: str) -> Iterator[Desk]:
    with desk_of(store, database, live_seconds=0) as found:
        yield found


def say(desk: Desk, n: int, tenant: str = "a") -> None:
    store = desk.runtime.database
    with store.begin() as connection:
        emit(store, connection, tenant, [("alert", {"message": f"m{i}"}) for i in range(n)], desk.clock.now)


async def read(desk: Desk, tenant: str, seq: int | None, frames: int, nudge: Any = None) -> list[str]:
    """Read so many frames, then leave."""
    hub = EventHub(desk.runtime.database, desk.runtime.io, pause=0.02, heartbeat=0.05)
    stop = False
    looking = asyncio.create_task(hub.loop(lambda: stop))

    async def alive() -> bool:
        return True

    found: list[str] = []
    stream = hub.stream(tenant, seq, alive)
    async for part in stream:
        found.append(part.decode())
        if len(found) == 1 and nudge is not None:
            await asyncio.to_thread(nudge)
        if len([f for f in found if f.startswith("id")]) >= frames:
            break
    await stream.aclose()
    assert hub.streams == 0
    stop = True
    await looking
    return found


def ids(frames: list[str]) -> list[int]:
    return [int(f.splitlines()[0][4:]) for f in frames if f.startswith("id")]


def test_a_reader_that_comes_back_misses_nothing(desk: Desk) -> None:
    say(desk, 700)
    say(desk, 3, "b")
    first = asyncio.run(read(desk, "a", 0, 600))
    rest = asyncio.run(read(desk, "a", ids(first)[-1], 100))
    assert ids(first) + ids(rest) == list(range(1, 701))
    assert json.loads(rest[1].splitlines()[2][6:])["id"] == ids(rest)[0]
    assert ids(asyncio.run(read(desk, "b", 0, 3))) == [1, 2, 3]  # another tenant counts on its own


def test_without_a_number_a_reader_gets_only_what_is_new(desk: Desk) -> None:
    say(desk, 5)
    frames = asyncio.run(read(desk, "a", None, 2, nudge=lambda: say(desk, 2)))
    assert ids(frames) == [6, 7]


def test_a_stream_with_nothing_to_say_shows_that_it_lives(desk: Desk) -> None:
    def later() -> None:
        import time

        time.sleep(0.3)
        say(desk, 1)

    frames = asyncio.run(read(desk, "a", None, 1, nudge=lambda: __import__("threading").Thread(target=later).start()))
    assert ": still here\n\n" in frames


def test_who_may_read_and_what_is_refused(desk: Desk) -> None:
    assert desk.ask("GET", "/v1/events", who="").status_code == 401
    assert desk.ask("GET", "/v1/events", who="service.read").status_code == 400  # names no tenant
    for headers, query in (({"Last-Event-ID": "x"}, ""), ({}, "?after=-1")):
        assert desk.ask("GET", f"/v1/events{query}", who="a.read", headers=headers).status_code == 422


def test_alerts_are_listed_filtered_paged_and_acknowledged(live: Desk) -> None:
    register(live, "risky", 1.0, 3000.0)
    register(live, "other", 1.0, 3000.0, "b.operate")
    send(live, WHOLE.n_bars - NEW, scale=0.9)
    step(live)
    whole = live.ask("GET", "/v1/alerts", who="a.read").json()["alerts"]
    assert {a["account_id"] for a in whole} == {"risky"}
    assert {a["kind"] for a in whole} >= {"p_call", "level", "last_safe"}
    found, cursor = [], ""
    while cursor is not None:
        page = live.ask("GET", f"/v1/alerts?limit=2{f'&before={cursor}' if cursor else ''}", who="a.read").json()
        found += page["alerts"]
        cursor = page["next"]
    assert found == whole
    emergencies = live.ask("GET", "/v1/alerts?severity=emergency&open=true&account_id=risky", who="a.read").json()
    assert {a["kind"] for a in emergencies["alerts"]} == {"level"}
    assert live.ask("GET", "/v1/alerts?kind=drift", who="a.read").json()["alerts"] == []
    one = emergencies["alerts"][0]
    path = f"/v1/alerts/{one['id']}/acknowledge"
    assert live.ask("POST", path, who="b.admin").status_code == 404
    assert live.ask("POST", path, who="a.read").status_code == 403
    seen = live.ask("POST", path, who="a.operate").json()
    assert seen["acknowledged"] is not None
    live.clock.now += 10**9
    assert live.ask("POST", path, who="a.admin").json() == seen  # the first one stays


def test_a_desk_sets_when_it_is_alerted(live: Desk) -> None:
    assert live.ask("GET", "/v1/settings/alerts", who="a.read").json()["target"] == "0.01@1440"
    wanted = {"target": "0.5@60", "critical_probability": 0.9, "warn_minutes": 0, "budget_per_hour": 1}
    assert live.ask("PUT", "/v1/settings/alerts", wanted, "a.predict").status_code == 403
    assert live.ask("PUT", "/v1/settings/alerts", wanted, "a.operate").json()["warn_minutes"] == 0
    assert live.ask("GET", "/v1/settings/alerts", who="b.read").json()["target"] == "0.01@1440"
    for bad in ({"target": "1%"}, {"clear_ratio": 2}, {"nothing": 1}):
        assert live.ask("PUT", "/v1/settings/alerts", bad, "a.operate").status_code == 422
    for name, size in (("risky", 1.0), ("worse", 1.2)):
        register(live, name, size, 0.15 * size * float(BASE.close[0, -1]))
    assert live.ask("GET", "/v1/alerts", who="a.read").json()["alerts"] == []
    send(live, WHOLE.n_bars - NEW, scale=0.85)
    step(live)
    told = live.ask("GET", "/v1/alerts?over_budget=false", who="a.read").json()["alerts"]
    beyond = live.ask("GET", "/v1/alerts?over_budget=true", who="a.read").json()["alerts"]
    assert len(told) == 1
    assert told[0]["severity"] == "emergency"  # the worst is told
    assert len(beyond) >= 2
    frames = asyncio.run(read(live, "a", 0, 2))
    assert [f.splitlines()[1] for f in frames if f.startswith("id")] == ["event: alert", "event: digest"]


def test_an_event_reaches_every_webhook_that_wants_it(desk: Desk) -> None:
    store = desk.runtime.database
    row = {"tenant_id": "a", "url": "https://x.example", "secret": "whsec_", "created_ns": 0}
    with store.begin() as connection:
        for name, kinds, gone in (("all", [], None), ("digests", ["digest"], None), ("gone", [], 1)):
            connection.execute(insert(webhooks), row | {"id": name, "kinds": kinds, "disabled_ns": gone})
        connection.execute(insert(webhooks), row | {"id": "theirs", "tenant_id": "b", "kinds": [], "disabled_ns": None})
        emit(store, connection, "a", [("alert", {}), ("digest", {})], 5)
    sent = {
        name: [
            d["event"] for d in desk.ask("GET", f"/v1/webhooks/{name}/deliveries", who="a.read").json()["deliveries"]
        ]
        for name in ("all", "digests", "gone")
    }
    assert sent == {"all": [2, 1], "digests": [2], "gone": []}
    assert desk.ask("GET", "/v1/webhooks/theirs/deliveries", who="a.admin").status_code == 404
