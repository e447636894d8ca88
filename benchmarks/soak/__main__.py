"""The server under a steady load: requests, bars and a reader of events, while memory, files and threads are watched.

A server with a database, a model and some thousand registered accounts is started as a process of its own. It is asked
at a fixed rate: predictions of one account, reads, states that change, explanations, plans; bars come in, each of them
a round over all accounts; one reader stays on the stream of events and misses none. What the process holds is sampled,
and the growth of its memory after a while is a slope with an interval.

The exit code is 1 where memory grows faster than ``--bound``, where more files or threads are open at the end, or where
any request failed. ``--leak MB`` has the server keep so much an hour on purpose, to see that it is found.

Run ``python -m benchmarks.soak [--minutes 15] [--accounts 3000] [--rate 40] [--postgres URL] [--model FOLDER]
[--leak MB]``. It needs ``/proc``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench_api import ASSETS, _bundle, _free_port
from benchmarks.bench_rounds import KEY, _accounts, _ask, _json, _postgres, _sqlite, _wait
from benchmarks.soak.load import Load, Tally
from benchmarks.soak.trend import Sample, growth, sample, trend
from features.sources import simulate_market, write_panel
from models.market import MarketPanel
from serving.instants import instant
from serving.security.tenants import create_tenant
from serving.store import open_store, upgrade
from serving.store.engine import database_url, make_engine

DAYS, HISTORY_DAYS = 400, 119
MOST_MORE = {"files": 5, "threads": 2}
_SERVE = "from benchmarks.soak.__main__ import serve_leaking as s; s({leak!r})"


def main() -> None:
    """Run the load, watch the server, say what came of it."""
    options = _options()
    warm = min(options.warm_seconds, 60 * options.minutes / 3)
    bars = int(60 * options.minutes / options.bar_seconds) + 2
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        whole = simulate_market(ASSETS, days=DAYS + bars // 24 + 1, seed=1)
        base = whole.slice(0, whole.n_bars - bars)
        write_panel(base, root / "market")
        bundle = Path(options.model) if options.model else _bundle(root)
        given = _accounts(base, options.accounts, root / "accounts.jsonl")
        database = _postgres(options.postgres) if options.postgres else _sqlite(root)
        with database as address:
            _prepare(address, options.shards)
            with _server(address, root, bundle, options.leak) as (port, pid):
                _ask(port, "PUT", "/v1/accounts", given, "application/x-ndjson")
                accounts = [json.loads(line) for line in given.splitlines()]
                load = Load(f"http://127.0.0.1:{port}", KEY, accounts, _bars(whole, base.n_bars))
                with _watched(pid, options.every) as samples:
                    tally = asyncio.run(load.run(options.rate, 60 * options.minutes, options.bar_seconds))
    if options.out:
        rows = [f"{one.seconds:.1f},{one.megabytes:.2f},{one.files},{one.threads}\n" for one in samples]
        options.out.write_text("seconds,megabytes,files,threads\n" + "".join(rows))
    failures = report(tally, samples, warm, options.bound)
    for line in failures:
        print(f"FAILED: {line}")
    sys.exit(1 if failures else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--accounts", type=int, default=3000)
    parser.add_argument("--rate", type=float, default=40.0, help="requests a second")
    parser.add_argument("--bar-seconds", type=float, default=5.0, help="pause between two bars")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two samples")
    parser.add_argument("--warm-seconds", type=float, default=180.0, help="left out; at most a third of the run")
    parser.add_argument("--bound", type=float, default=60.0, help="most growth of memory, MB an hour")
    parser.add_argument("--leak", type=float, default=0.0, help="MB an hour that the server keeps on purpose")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--model", help="folder of a bundle; by default one is trained on the simulated market")
    parser.add_argument("--out", type=Path, help="file for the samples, CSV")
    parser.add_argument("--postgres", default="", help="URL of a server; SQLite where it is left out")
    return parser.parse_args()


def report(tally: Tally, samples: list[Sample], warm: float, bound: float) -> list[str]:
    """Print what was asked and held.

    Parameters
    ----------
    tally : Tally
        What was asked.
    samples : list of Sample
        What the server held.
    warm : float
        Seconds left out of the trend.
    bound : float
        Most growth of memory, MB an hour.

    Returns
    -------
    list of str
        What failed.
    """
    print(f"{'request':12}{'answers':>10}{'p50 ms':>10}{'p99 ms':>10}")
    every = [t for times in tally.seconds.values() for t in times]
    for kind, times in [*sorted(tally.seconds.items()), ("all", every)]:
        p50, p99 = np.quantile(times, (0.5, 0.99)) * 1e3
        print(f"{kind:12}{len(times):>10,}{p50:>10.1f}{p99:>10.1f}")
    print(f"{sum(tally.errors.values())} errors; {tally.events:,} events, {tally.gaps} missed")
    found = trend(samples, warm)
    held = [one.megabytes for one in samples]
    print(f"resident memory {held[0]:.0f} MB at the start, {held[-1]:.0f} at the end, {max(held):.0f} at most")
    verdict = found.verdict(bound)
    print(
        f"growth after {warm:.0f} s: {found.slope:+.1f} MB/hour, 95% interval {found.low:+.1f} to {found.high:+.1f}, "
        f"bound {bound:g}: {verdict}"
    )
    failures = tally.failed()
    if verdict == "grows":
        failures.append(f"memory grows by {found.slope:.1f} MB an hour, the bound is {bound:g}")
    for name, most in MOST_MORE.items():
        more = growth(samples, warm, name)
        print(f"{name}: {getattr(samples[-1], name)} at the end, {more:+g} from the first third to the last")
        if more > most:
            failures.append(f"{more:g} more {name}, at most {most} may be")
    return failures


def serve_leaking(megabytes_an_hour: float) -> None:
    """Run the server; where it shall leak, keep so much more each tenth of a second."""
    from serving.main import serve
    from serving.settings import settings_from_env

    kept: list[bytes] = []

    def leak() -> None:
        while True:
            kept.append(os.urandom(int(megabytes_an_hour * 2**20 / 36_000)))
            time.sleep(0.1)

    if megabytes_an_hour > 0:
        threading.Thread(target=leak, daemon=True).start()
    serve(settings_from_env(), "error")


def _prepare(address: str, shards: int) -> None:
    engine = make_engine(database_url(address))
    upgrade(engine)
    engine.dispose()
    store = open_store(address)
    with store.begin() as connection:
        create_tenant(connection, "desk", "the desk", shards, time.time_ns())
    store.close()


def _bars(whole: MarketPanel, first: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for column in range(first, whole.n_bars):
        close = instant(whole.start + (column + 1) * whole.step)
        yield f"{close:%Y-%m-%dT%H:%M:%SZ}", [_json(whole, row, column) for row in range(len(whole.assets))]


@contextmanager
def _server(address: str, root: Path, bundle: Path, leak: float) -> Iterator[tuple[int, int]]:
    port = _free_port()
    environ = os.environ | {
        "MARGINCAST_DATABASE": address,
        "MARGINCAST_MARKET": str(root / "market"),
        "MARGINCAST_MODEL": str(bundle),
        "MARGINCAST_HISTORY_DAYS": str(HISTORY_DAYS),
        "MARGINCAST_API_KEY": KEY,
        "MARGINCAST_PORT": str(port),
        "MARGINCAST_LEDGER_CACHE_MB": "10",  # full within minutes, as bars come so much faster than in life
        "MARGINCAST_MATURE_SECONDS": "60",
        "MARGINCAST_SILENCE_MINUTES": "0",
        "MARGINCAST_TIMEOUT_SECONDS": "60",
        "MARGINCAST_LOG_REQUESTS": "false",
    }
    process = subprocess.Popen([sys.executable, "-c", _SERVE.format(leak=leak)], env=environ, start_new_session=True)
    try:
        _wait(port, process)
        yield port, process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


@contextmanager
def _watched(pid: int, every: float) -> Iterator[list[Sample]]:
    """Sample a process in a thread until the block ends."""
    samples, done = [sample(pid)], threading.Event()

    def watch() -> None:
        while not done.wait(every):
            try:
                samples.append(sample(pid))
            except FileNotFoundError:
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


if __name__ == "__main__":
    main()
