"""``margincast dataset`` and ``margincast predict`` on worker processes: rows a second, processor seconds, memory.

A market is simulated, a quick model trained, and accounts are written. Then both commands run in turns: in one process,
on one worker, and on two (``--workers``). Processor seconds are those of the command and all of its workers; the start
of the workers is part of every time. What two workers wrote must be what one process wrote, to the byte. The load of
the machine is printed, since it is seldom alone.

Run ``python -m benchmarks.bench_cluster [--accounts N --predicted N --rounds N]``; the gate of the project is 4 million
rows (``--accounts 500000``) with ``--gate``: two workers at least 1.6 times as fast as one, and at most 1.2 times the
processor seconds of one process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from features.sources import load_panel, simulate_market, write_panel
from features.sources.accounts import write_account_columns
from training.dataset import batches, read_dataset, write_dataset
from training.pipeline import TrainSettings, save_training, train
from training.population import sample_population

ASSETS = ("BTC", "ETH", "SOL", "XRP", "LTC")
WAYS = {"one process": (), "1 worker": ("--workers", "1"), "2 workers": ("--workers", "2")}
DAYS, WARMUP, EVERY = 500, 180, 300


class Cost(NamedTuple):
    """What a run took: wall and processor seconds, and the most memory of one of its processes in MB."""

    wall: float
    processor: float
    memory: float


def main() -> None:
    """Prepare market, model and accounts; run the commands in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=100_000, help="accounts of the training set")
    parser.add_argument("--predicted", type=int, default=200_000, help="accounts to predict")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--gate", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_panel(simulate_market(ASSETS, days=DAYS, seed=1), root / "market")
        panel = load_panel(root / "market")
        settings = TrainSettings(every_minutes=660, per_instant=20, warmup_days=120, baselines=False)
        save_training(train(panel, settings=settings), root / "model")
        people = sample_population(panel, "binance-usdm", np.array([panel.end]), chosen.predicted, seed=3)
        write_account_columns(root / "accounts.jsonl", people.accounts, people.positions, people.collateral)
        each = -(-chosen.accounts * EVERY // ((DAYS - WARMUP - 3) * 1440))
        market = ("--market", str(root / "market"))
        built = ("dataset", *market, "--warmup-days", str(WARMUP), "--every", str(EVERY), "--per-instant", str(each))
        told = ("predict", str(root / "accounts.jsonl"), *market, "--model", str(root / "model"))
        good = [_report(name, _runs(command, root, chosen.rounds)) for name, command in
                (("dataset", built), ("predict", told))]  # fmt: skip
        _writer(root / "dataset-0.parquet")
    if chosen.gate and not all(good):
        raise SystemExit("the gate is missed")


def _runs(command: tuple[str, ...], root: Path, rounds: int) -> tuple[dict[str, list[Cost]], int, int]:
    """Costs by way, rows and bytes of the file; the training before has filled the cache of compiled code."""
    seen: dict[str, list[Cost]] = {way: [] for way in WAYS}
    files = {way: root / f"{command[0]}-{i}.parquet" for i, way in enumerate(WAYS)}
    for _ in range(rounds):
        for way, options in WAYS.items():
            seen[way].append(_run((*command, "--out", str(files[way]), *options)))
            print(f"{command[0]}, {way}: {seen[way][-1].wall:.0f} s", file=sys.stderr, flush=True)
    first = files["one process"]
    if any(file.read_bytes() != first.read_bytes() for file in files.values()):
        raise SystemExit(f"{command[0]}: the files differ")
    return seen, pq.ParquetFile(first).metadata.num_rows, first.stat().st_size


def _writer(path: Path) -> None:
    """Print how fast the one process that writes can write: a bound for any number of workers."""
    pieces = list(batches(read_dataset(path), 40_000))
    start = time.process_time()
    rows = write_dataset(pieces, path.with_suffix(".again"))
    print(f"writing a dataset: {rows / (time.process_time() - start):,.0f} rows a processor second")


def _run(arguments: tuple[str, ...]) -> Cost:
    start = time.perf_counter()
    command = [sys.executable, "-c", "from margincast.cli import main; main()", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read().decode() if process.stderr else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"margincast {arguments[0]} failed: {said}")
    wall = time.perf_counter() - start
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _report(name: str, found: tuple[dict[str, list[Cost]], int, int]) -> bool:
    """Print medians as a table; whether the gate is met."""
    seen, rows, size = found
    middle = {way: Cost(*(statistics.median(v) for v in zip(*costs, strict=True))) for way, costs in seen.items()}
    one, plain = middle["1 worker"].wall, middle["one process"]
    print(f"{name}: {rows:,} rows, {size / rows:.0f} bytes a row on disk; load {os.getloadavg()[0]:.1f}")
    print("| way | seconds | rows/s | over 1 worker | processor seconds | over one process | MB |")
    print("|---|---|---|---|---|---|---|")
    for way, cost in middle.items():
        print(
            f"| {way} | {cost.wall:.1f} | {rows / cost.wall:,.0f} | {one / cost.wall:.2f} | {cost.processor:.1f} | "
            f"{cost.processor / plain.processor:.2f} | {cost.memory:.0f} |"
        )
    two = middle["2 workers"]
    return one / two.wall >= 1.6 and two.processor <= 1.2 * plain.processor


if __name__ == "__main__":
    main()
