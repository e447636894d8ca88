"""Registered accounts scored again after a bar: how long from the bar's arrival to the last commit; and a restart.

A server is started on a simulated market with a model trained on it, ``--accounts`` accounts of a sampled population
are registered over HTTP, then bars come in one after the other. What is timed runs from sending the bar until every
shard is marked as scored on it in the database: features, margin, prior, trees at four horizons, the ledger's page,
alerts, commit. The processor time of the server is beside it: on a machine with other work it says more than the clock.
Then the server is killed and started again: until it is ready, and until all accounts are scored on the next bar.

Run ``python -m benchmarks.bench_rounds [--postgres URL] [--model FOLDER]``; SQLite is always measured, PostgreSQL where
a URL is given (a schema of its own is made and dropped).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

from benchmarks.bench_api import ASSETS, _bundle, _free_port
from features.sources import simulate_market, write_panel
from features.sources.accounts import write_account_columns
from models.market import MarketPanel
from serving.accounts.schemas import instant
from serving.security.tenants import create_tenant
from serving.store import Store, open_store, upgrade
from serving.store.engine import database_url, make_engine
from training.population import sample_population

NEW = 12
KEY = "bench-rounds"


def main() -> None:
    """Measure on SQLite, and on PostgreSQL where there is one."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        whole = simulate_market(ASSETS, days=400, seed=1)
        base = whole.slice(0, whole.n_bars - NEW)
        write_panel(base, root / "market")
        bundle = Path(options.model) if options.model else _bundle(root)
        accounts = _accounts(base, options.accounts, root / "accounts.jsonl")
        for name, url in _databases(root, options.postgres):
            with url as address:
                _measure(name, address, root, bundle, accounts, whole, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--bars", type=int, default=5, help="bars that are timed, after one that is not")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--model", help="folder of a bundle; by default one is trained on the simulated market")
    parser.add_argument("--postgres", default=os.environ.get("MARGINCAST_TEST_POSTGRES", ""), help="URL of a server")
    return parser.parse_args()


def _accounts(panel: MarketPanel, n: int, path: Path) -> bytes:
    people = sample_population(panel, "binance-usdm", np.array([panel.end]), n, seed=3)
    write_account_columns(path, people.accounts, people.positions, people.collateral)
    return path.read_bytes()


def _databases(root: Path, postgres: str) -> Iterator[tuple[str, Any]]:
    yield "SQLite", _sqlite(root)
    if postgres:
        yield "PostgreSQL", _postgres(postgres)


@contextmanager
def _sqlite(root: Path) -> Iterator[str]:
    yield f"sqlite:///{root / 'margincast.db'}"


@contextmanager
def _postgres(server: str) -> Iterator[str]:
    name = f"margincast_bench_{uuid.uuid4().hex[:8]}"
    engine = make_engine(database_url(server), 1)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    try:
        url = database_url(server).update_query_dict({"options": f"-csearch_path={name}"})
        yield url.render_as_string(hide_password=False)
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
        engine.dispose()


def _measure(
    name: str, address: str, root: Path, bundle: Path, accounts: bytes, whole: MarketPanel, options: argparse.Namespace
) -> None:
    engine = make_engine(database_url(address))
    upgrade(engine)
    engine.dispose()
    store = open_store(address)
    with store.begin() as connection:
        create_tenant(connection, "desk", "the desk", options.shards, time.time_ns())
    first = whole.n_bars - NEW
    with _server(address, root, bundle) as server:
        start = time.perf_counter()
        put = _ask(server, "PUT", "/v1/accounts", accounts, "application/x-ndjson")
        print(f"{name}: {put['created']:,} accounts registered and scored in {time.perf_counter() - start:.1f} s")
        took = [_bar(server, store, whole, first + i) for i in range(options.bars + 1)]
        wall, cpu = (" ".join(f"{t[k]:.2f}" for t in took) for k in (0, 1))
        middle = [statistics.median(t[k] for t in took[1:]) for k in (0, 1)]
        print(f"{name}: from a bar to the last commit, seconds: {wall}; median without the first {middle[0]:.2f}")
        print(f"{name}: processor seconds of the server: {cpu}; median without the first {middle[1]:.2f}", flush=True)
    start = time.perf_counter()
    with _server(address, root, bundle) as server:
        ready = time.perf_counter() - start
        scored, _ = _bar(server, store, whole, first + options.bars + 1)
        print(f"{name}: restarted and ready in {ready:.1f} s, all accounts scored on the next bar {scored:.1f} s later")
    store.close()


def _bar(port: int, store: Store, whole: MarketPanel, column: int) -> tuple[float, float]:
    """Seconds from sending the bar of every asset until every shard is marked as scored on it; and of the processor."""
    close = whole.start + (column + 1) * whole.step
    bars = [_json(whole, a, column) for a in range(len(whole.assets))]
    start, cpu = time.perf_counter(), _cpu(port)
    _ask(port, "POST", "/v1/market/bars", json.dumps({"bars": bars}).encode())
    wanted = text("SELECT count(*) FROM shards WHERE scored_close_ns IS NULL OR scored_close_ns < :close")
    while store.query(lambda c: c.execute(wanted, {"close": close}).scalar_one()):
        time.sleep(0.02)
        if time.perf_counter() - start > 300:
            raise SystemExit("not scored within 300 s")
    return time.perf_counter() - start, _cpu(port) - cpu


def _cpu(port: int) -> float:
    """Processor seconds that the server has used, as its metrics say."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("process_cpu_seconds_total"))


def _json(panel: MarketPanel, row: int, column: int) -> dict[str, Any]:
    names = ("open", "high", "low", "close", "volume", "funding_rate")
    stamp = instant(panel.start + column * panel.step).isoformat()
    return {"asset": panel.assets[row], "timestamp": stamp} | {
        name: float(getattr(panel, name)[row, column]) for name in names
    }


@contextmanager
def _server(address: str, root: Path, bundle: Path) -> Iterator[int]:
    port = _free_port()
    environ = os.environ | {
        "MARGINCAST_DATABASE": address,
        "MARGINCAST_MARKET": str(root / "market"),
        "MARGINCAST_MODEL": str(bundle),
        "MARGINCAST_API_KEY": KEY,
        "MARGINCAST_PORT": str(port),
        "MARGINCAST_REFRESH_SECONDS": "0",
        "MARGINCAST_TIMEOUT_SECONDS": "300",
        "MARGINCAST_LOG_REQUESTS": "false",
    }
    code = "from serving.main import serve; from serving.settings import settings_from_env as s; serve(s(), 'error')"
    process = subprocess.Popen([sys.executable, "-c", code], env=environ, start_new_session=True)
    try:
        _wait(port, process)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def _wait(port: int, process: subprocess.Popen[bytes], seconds: float = 180.0) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end and process.poll() is None:
        try:
            _ask(port, "GET", "/readyz")
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the server did not become ready")


def _ask(port: int, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": kind, "Margincast-Tenant": "desk"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers, method=method)
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.loads(answer.read())


if __name__ == "__main__":
    main()
