"""Servers in processes of their own, which can be killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select, text

from features.sources import write_panel
from models.market import MarketPanel
from serving.accounts.schemas import instant
from serving.ledger.page import unpack
from serving.security.tenants import create_tenant
from serving.store import Store, open_store, upgrade
from serving.store.engine import database_url, make_engine
from serving.store.tables import ledger_pages

KEY = "replica-key"
_CODE = "from serving.main import serve; from serving.settings import settings_from_env as s; serve(s(), 'warning')"


class Replica:
    """One server."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port, self.process = port, process

    def ask(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": kind, "Margincast-Tenant": "a"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def signal(self, number: int) -> None:
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.wait(20)


@contextmanager
def replica(database: str, market: Path, **settings: Any) -> Iterator[Replica]:
    """Start a server and wait until it is ready; it is killed at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    given = {
        "database": database,
        "market": market,
        "api_key": KEY,
        "port": port,
        "refresh_seconds": 0,
        "history_days": 60,
    }
    given |= {"live_seconds": 0.1, "grace_seconds": 2, "log_requests": False} | settings
    environ = os.environ | {f"MARGINCAST_{name.upper()}": str(value) for name, value in given.items()}
    process = subprocess.Popen([sys.executable, "-c", _CODE], env=environ, start_new_session=True)
    found = Replica(port, process)
    try:
        until(lambda: _ready(found), 120.0)
        yield found
    finally:
        if process.poll() is None:
            found.kill()


def _ready(one: Replica) -> bool:
    assert one.process.poll() is None, "the server ended"
    try:
        return bool(one.ask("GET", "/readyz")["status"] == "ready")
    except (urllib.error.URLError, OSError):
        return False


def until(done: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)


def prepare(database: str, base: MarketPanel, folder: Path, shards: int) -> Store:
    """Write the market, make the tables and a tenant."""
    write_panel(base, folder)
    engine = make_engine(database_url(database))
    upgrade(engine)
    engine.dispose()
    store = open_store(database)
    with store.begin() as connection:
        create_tenant(connection, "a", "a", shards, time.time_ns())
    return store


def lines(base: MarketPanel, n: int, cash: float) -> bytes:
    """Return accounts as JSON lines; `cash` is their collateral as a share of the position."""
    price, as_of = float(base.close[0, -1]), instant(base.end).isoformat()
    return b"\n".join(
        json.dumps(
            {
                "account_id": f"acc-{i}",
                "as_of": as_of,
                "ruleset": "generic-linear",
                "currency": "USDT",
                "collateral": [{"asset": "USDT", "quantity": cash * price}],
                "positions": [{"symbol": "BTC/USDT:USDT", "quantity": 1.0, "entry_price": price}],
            }
        ).encode()
        for i in range(n)
    )


def marked(store: Store, close_ns: int) -> int:
    """How many shards are scored on a close."""
    wanted = text("SELECT count(*) FROM shards WHERE scored_close_ns >= :close")
    return int(store.query(lambda c: c.execute(wanted, {"close": close_ns}).scalar_one()))


def said(store: Store, close_ns: int) -> list[str]:
    """Name every account that a round put into the ledger for a close, as often as it did."""
    wanted = select(ledger_pages.c.body).where(ledger_pages.c.kind == "round", ledger_pages.c.close_ns == close_ns)
    bodies = store.query(lambda c: c.execute(wanted).scalars().all())
    return sorted(name for body in bodies for name in unpack(bytes(body)).account_ids())
