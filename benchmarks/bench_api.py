"""The API under load, against ``mlflow models serve`` of the bare booster, in turns on one machine.

Ours reads an account and answers margin, features, prior and four horizons; MLflow answers the four rows of the design
matrix that are handed to it. The model is one that ``margincast train`` made on the simulated market. Every round asks
one server, then the other, over the same number of connections. Then one-account requests come at a fixed rate, whether
or not those before are answered; their time counts from when they were due.

``--mlserver PYTHON`` adds MLServer's LightGBM runtime on the same booster, from an environment of its own
(``pip install mlserver mlserver-lightgbm``): its pins do not fit ours.

Run ``python -m benchmarks.bench_api [--no-mlflow] [--mlserver PYTHON] [--model FOLDER] [--connections 16] [--seconds 3]
[--rounds 5] [--rate 200]``.
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
import pyarrow as pa
import pyarrow.parquet as pq

from features.build import FEATURE_NAMES
from features.sources import simulate_market, write_accounts, write_panel
from models.market import MarketPanel
from models.typing import Float32Array
from serving.bulk.streams import MEDIA_TYPE
from serving.decode import decode_accounts

ASSETS = ("BTC", "ETH", "SOL", "XRP", "LTC")
LARGE = 1000
BULK = 20_000
PEERS = ("mlflow", "mlserver")


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
            bulk = _bulk(panel, ports["margincast"])
            paced = asyncio.run(_pace(targets[0], options.rate, 4 * options.seconds))
    _report(targets, options.connections)
    print(f"{BULK} accounts in one request: JSON {bulk[0]:.2f} s, Arrow {bulk[1]:.2f} s, {bulk[0] / bulk[1]:.1f}x")
    print(f"{targets[0].name}, at {options.rate:g} req/s: ", end="")
    print(", ".join(f"p{100 * q:g} {np.quantile(paced, q) * 1e3:.2f} ms" for q in (0.5, 0.9, 0.99, 0.999)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", help="folder of a bundle; by default one is trained on the simulated market")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second of the paced load")
    parser.add_argument("--no-mlflow", action="store_true")
    parser.add_argument("--mlserver", metavar="PYTHON", help="interpreter of an environment with mlserver-lightgbm")
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
    if options.mlserver:
        ports["mlserver"] = _free_port()
        commands.append(_mlserver(root / "mlserver", bundle, ports["mlserver"], options.mlserver))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environ = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet", "PATH": path}
    silent: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = [subprocess.Popen(c, env=environ, start_new_session=True, **silent) for c in commands]
    try:
        for name, port in ports.items():
            _wait(port, {"margincast": "/readyz", "mlserver": "/v2/health/ready"}.get(name, "/ping"))
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


def _mlserver(folder: Path, bundle: Path, port: int, python: str) -> list[str]:
    folder.mkdir()
    runtime = {"implementation": "mlserver_lightgbm.LightGBMModel", "parameters": {"uri": str(bundle / "booster.txt")}}
    (folder / "model-settings.json").write_text(json.dumps({"name": "booster", **runtime}))
    ports = {"http_port": port, "grpc_port": _free_port(), "metrics_port": _free_port()}
    server = {"host": "127.0.0.1", "parallel_workers": 0, "debug": False, **ports}
    (folder / "settings.json").write_text(json.dumps(server))
    return [python, "-m", "mlserver.cli.main", "start", str(folder)]


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
        Target(f"margincast, {LARGE} accounts, Arrow", ports["margincast"], _arrow(many)),
    ]
    for name, port in ports.items():
        if name != "margincast":
            for accounts in (1, LARGE):
                rows = rng.normal(size=(accounts if accounts > 1 else 4, len(FEATURE_NAMES))).astype(np.float32)
                found.append(Target(f"{name}, {len(rows)} rows", port, _rows(name, rows)))
    return found


def _bulk(panel: MarketPanel, port: int) -> tuple[float, float]:
    """Median seconds of one request for many accounts, as JSON and as Arrow, in turns."""
    many = {"accounts": [_account(panel, i) for i in range(BULK)]}
    pair = [Target(how, port, body) for how, body in (("", _request("/v1/predictions", many)), ("Arrow", _arrow(many)))]
    for _ in range(5):
        for target in pair:
            asyncio.run(_load(target, 1, 0.01))  # one request
    json_rate, arrow_rate = (statistics.median(target.rates[1:]) for target in pair)
    return 1.0 / json_rate, 1.0 / arrow_rate


def _rows(name: str, rows: Float32Array) -> bytes:
    """Rows of the design matrix, as the peer takes them."""
    if name == "mlserver":
        tensor = {"name": "x", "shape": list(rows.shape), "datatype": "FP32", "data": rows.ravel().tolist()}
        return _request("/v2/models/booster/infer", {"inputs": [tensor]})
    body = {"dataframe_split": {"columns": list(FEATURE_NAMES), "data": rows.tolist()}}
    return _request("/invocations", body)


def _arrow(many: dict[str, Any]) -> bytes:
    """The same accounts as three tables, as streams."""
    accounts = decode_accounts(json.dumps(many).encode(), BULK).accounts
    sink = pa.BufferOutputStream()
    with tempfile.TemporaryDirectory() as folder:
        write_accounts(folder, accounts)
        for name in ("accounts", "positions", "collateral"):
            table = pq.read_table(Path(folder) / f"{name}.parquet")
            with pa.ipc.new_stream(sink, table.schema) as stream:
                stream.write_table(table)
    return _post("/v1/predictions/bulk", bytes(sink.getvalue()), MEDIA_TYPE)


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
    return _post(path, json.dumps(body).encode(), "application/json")


def _post(path: str, content: bytes, kind: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
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
            try:
                await _ask(target, reader, writer)
            except asyncio.IncompleteReadError:
                raise RuntimeError(f"{target.name}: the server closed the connection") from None
            times.append(time.perf_counter() - begun)
    finally:
        writer.close()


async def _ask(target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request and the whole of its answer."""
    writer.write(target.payload)
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"{target.name}: {head.decode().splitlines()[0]}")
    if b"content-length:" in lower:
        size = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(size)
        return
    while (chunk := await reader.readuntil(b"\r\n")) != b"0\r\n":
        await reader.readexactly(int(chunk, 16) + 2)
    await reader.readuntil(b"\r\n")


async def _pace(target: Target, rate: float, seconds: float) -> list[float]:
    """Times from when each request was due, in seconds; requests do not wait for each other."""
    free = [await asyncio.open_connection("127.0.0.1", target.port) for _ in range(8)]
    times: list[float] = []

    async def one(due: float) -> None:
        pair = free.pop() if free else await asyncio.open_connection("127.0.0.1", target.port)
        await _ask(target, *pair)
        times.append(time.perf_counter() - due)
        free.append(pair)

    start, asked = time.perf_counter(), []
    for i in range(int(rate * seconds)):
        due = start + i / rate
        await asyncio.sleep(max(due - time.perf_counter(), 0.0))
        asked.append(asyncio.create_task(one(due)))
    await asyncio.gather(*asked)
    for _, writer in free:
        writer.close()
    return times


def _report(targets: list[Target], connections: int) -> None:
    print(f"{connections} connections, median of {len(targets[0].rates)} rounds")
    print(f"{'':36}{'req/s':>10}{'p99 ms':>10}")
    median = {t.name: (statistics.median(t.rates), statistics.median(t.p99)) for t in targets}
    for name, (rate, slow) in median.items():
        print(f"{name:36}{rate:10.1f}{slow:10.2f}")
    for name, (rate, slow) in median.items():
        if name.startswith(PEERS):
            ours = f"margincast, {LARGE} accounts" if f"{LARGE} rows" in name else "margincast, 1 account"
            print(f"{ours} over {name}: {median[ours][0] / rate:.1f}x req/s, p99 1/{slow / median[ours][1]:.1f}")
    arrow, plain = (median[f"margincast, {LARGE} accounts{how}"][0] for how in (", Arrow", ""))
    print(f"{LARGE} accounts as Arrow over JSON: {arrow / plain:.1f}x")


if __name__ == "__main__":
    main()
