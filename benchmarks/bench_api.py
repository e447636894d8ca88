"""The API under load, against ``mlflow models serve`` of the bare booster, in turns on one machine.

Ours reads an account and answers margin, features, prior and four horizons; MLflow answers the four rows of the design
matrix that are handed to it. The model is one that ``margincast train`` made on the simulated market. Every round asks
one server, then the other, over the same number of connections.

Run ``python -m benchmarks.bench_api [--no-mlflow] [--model FOLDER] [--connections 16] [--seconds 3] [--rounds 5]``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np

from features.build import FEATURE_NAMES
from features.sources import simulate_market, write_panel
from models.market import MarketPanel

ASSETS = ("BTC", "ETH", "SOL", "XRP", "LTC")
LARGE = 1000


@dataclass
class Target:
    """One request to ask for, again and again, and what was measured."""

    name: str
    port: int
    payload: bytes
    rates: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)


def main() -> None:
    """Start the servers, load them in turns, print medians and ratios."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        panel = simulate_market(ASSETS, days=400, seed=1)
        write_panel(panel, root / "market")
        bundle = Path(options.model) if options.model else _bundle(root)
        with _servers(root, bundle, options) as ports:
            targets = _targets(panel, ports)
            for target in targets:
                asyncio.run(_load(target, options.connections, 1.0))
                target.rates.clear(), target.p99.clear()
            for _ in range(options.rounds):
                for target in targets:
                    asyncio.run(_load(target, options.connections, options.seconds))
    _report(targets, options.connections)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", help="folder of a bundle; by default one is trained on the simulated market")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-mlflow", action="store_true")
    return parser.parse_args()


def _bundle(root: Path) -> Path:
    """Train a model on the market of the servers, as a desk would."""
    command = [Path(sys.executable).with_name("margincast"), "train", "--no-evaluate", "--every", "600"]
    folders = ["--market", root / "market", "--out", root / "bundle", "--registry", root / "registry"]
    subprocess.run(
        [str(word) for word in (*command, *folders)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return root / "bundle"


@contextmanager
def _servers(root: Path, bundle: Path, options: argparse.Namespace) -> Iterator[dict[str, int]]:
    ports = {"margincast": _free_port()}
    code = (
        "from serving.main import serve; from serving.settings import Settings; "
        f"serve(Settings(market={str(root / 'market')!r}, model={str(bundle)!r}, port={ports['margincast']}), 'error')"
    )
    commands = [[sys.executable, "-c", code]]
    if not options.no_mlflow:
        for name, signed in (("mlflow, signature", True), ("mlflow, no signature", False)):
            ports[name] = _free_port()
            commands.append(_mlflow(root / name.replace(", ", "-").replace(" ", "-"), bundle, ports[name], signed))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environ = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet", "PATH": path}
    silent: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = [subprocess.Popen(c, env=environ, start_new_session=True, **silent) for c in commands]
    try:
        for name, port in ports.items():
            _wait(port, "/readyz" if name == "margincast" else "/ping")
        yield ports
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)


def _mlflow(folder: Path, bundle: Path, port: int, signed: bool) -> list[str]:
    import mlflow
    import pandas as pd

    booster = lgb.Booster(model_file=str(bundle / "booster.txt"))
    example = pd.DataFrame(np.zeros((4, len(FEATURE_NAMES)), np.float32), columns=list(FEATURE_NAMES))
    signature = mlflow.models.infer_signature(example, np.zeros(4)) if signed else None
    mlflow.lightgbm.save_model(booster, folder, signature=signature, pip_requirements=["lightgbm"])
    serve = ["models", "serve", "-m", str(folder), "-p", str(port), "--env-manager", "local"]
    return [sys.executable, "-m", "mlflow", *serve]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int, path: str, seconds: float = 180.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise TimeoutError(f"no server at port {port} after {seconds:g} s")


def _targets(panel: MarketPanel, ports: dict[str, int]) -> list[Target]:
    one, rng = _account(panel, 0), np.random.default_rng(1)
    many = {"accounts": [_account(panel, i) for i in range(LARGE)]}
    found = [
        Target("margincast, 1 account", ports["margincast"], _request("/v1/predictions", one)),
        Target(f"margincast, {LARGE} accounts", ports["margincast"], _request("/v1/predictions", many)),
    ]
    for name, port in ports.items():
        if name != "margincast":
            for accounts in (1, LARGE):
                rows = rng.normal(size=(accounts if accounts > 1 else 4, len(FEATURE_NAMES))).astype(np.float32)
                body = {"dataframe_split": {"columns": list(FEATURE_NAMES), "data": rows.tolist()}}
                label = f"{name}, {len(rows)} rows"
                found.append(Target(label, port, _request("/invocations", body)))
    return found


def _account(panel: MarketPanel, i: int) -> dict[str, Any]:
    asset = i % len(ASSETS)
    price = float(panel.close[asset, -1])
    leg = {"symbol": f"{ASSETS[asset]}/USDT:USDT", "quantity": 30_000 / price, "entry_price": price}
    return {
        "account_id": f"desk-{i}",
        "as_of": datetime.fromtimestamp(panel.end / 1e9, UTC).isoformat(),
        "ruleset": "generic-linear",
        "currency": "USDT",
        "collateral": [{"asset": "USDT", "quantity": 2_000 + 3 * i}],
        "positions": [leg],
    }


def _request(path: str, body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def _load(target: Target, connections: int, seconds: float) -> None:
    times: list[float] = []
    end = time.perf_counter() + seconds
    start = time.perf_counter()
    await asyncio.gather(*(_connection(target, end, times) for _ in range(connections)))
    target.rates.append(len(times) / (time.perf_counter() - start))
    target.p99.append(float(np.quantile(times, 0.99)) * 1e3)


async def _connection(target: Target, end: float, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    try:
        while True:
            begun = time.perf_counter()
            if begun >= end:
                return
            writer.write(target.payload)
            head = await reader.readuntil(b"\r\n\r\n")
            lower = head.lower()
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"{target.name}: {head.decode().splitlines()[0]}")
            if b"content-length:" in lower:
                size = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(size)
            else:
                while (chunk := await reader.readuntil(b"\r\n")) != b"0\r\n":
                    await reader.readexactly(int(chunk, 16) + 2)
                await reader.readuntil(b"\r\n")
            times.append(time.perf_counter() - begun)
    finally:
        writer.close()


def _report(targets: list[Target], connections: int) -> None:
    print(f"{connections} connections, median of {len(targets[0].rates)} rounds")
    print(f"{'':36}{'req/s':>10}{'p99 ms':>10}")
    median = {t.name: (statistics.median(t.rates), statistics.median(t.p99)) for t in targets}
    for name, (rate, slow) in median.items():
        print(f"{name:36}{rate:10.1f}{slow:10.2f}")
    for name, (rate, slow) in median.items():
        if name.startswith("mlflow"):
            ours = f"margincast, {LARGE} accounts" if f"{LARGE} rows" in name else "margincast, 1 account"
            print(f"{ours} over {name}: {median[ours][0] / rate:.1f}x req/s, p99 1/{slow / median[ours][1]:.1f}")


if __name__ == "__main__":
    main()
