"""``margincast dataset`` and ``margincast predict`` on worker processes: rows a second, processor seconds, memory.

A market is simulated, a quick model trained, and accounts are written. Then both commands run in turns: in one process,
on one worker, and on two (``--workers``). Processor seconds are those of the command and all that it started; the start
of the workers is part of every time. What two workers wrote must be what one process wrote, to the byte: folders of
parts. The load of the machine is printed, since it is seldom alone.

Run ``python -m benchmarks.bench_cluster [--accounts N --predicted N --rounds N]``; the gate of the project is 4 million
rows each (``--accounts 500000 --predicted 1000000``) with ``--gate``: both commands together on two workers
at least 1.6 times as fast as on one, at most 1.2 times the processor seconds of one process, by medians. The sums
of the quickest runs stand beside them: what else a shared machine does only adds, and most to what uses all its cores.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from features.sources import load_panel, simulate_market, write_panel
from features.sources.accounts import write_account_columns
from training.dataset import batches
from training.dataset_files import Part, read_dataset, write_dataset, write_parts
from training.pipeline import TrainSettings, save_training, train
from training.population import sample_population

ASSETS = ("BTC", "ETH", "SOL", "XRP", "LTC")
WAYS = {"one process": (), "1 worker": ("--workers", "1"), "2 workers": ("--workers", "2")}
DAYS, WARMUP, EVERY = 500, 180, 300
_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of prctl(2)."""


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
    _adopt_orphans()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        prepare = f"from benchmarks.bench_cluster import prepare; prepare({str(root)!r}, {chosen.predicted})"
        subprocess.run([sys.executable, "-c", prepare], check=True)  # the peak of a child's memory begins with ours
        each = -(-chosen.accounts * EVERY // ((DAYS - WARMUP - 3) * 1440))
        market = ("--market", str(root / "market"))
        built = ("dataset", *market, "--warmup-days", str(WARMUP), "--every", str(EVERY), "--per-instant", str(each))
        told = ("predict", str(root / "accounts.jsonl"), *market, "--model", str(root / "model"))
        _warm_up(root, built, told)
        commands = {"dataset": built, "predict": told}
        found = {name: _runs(command, root, chosen.rounds) for name, command in commands.items()}
        for name, runs in found.items():
            _report(name, runs)
        _writer(root / "dataset-0")
    seen = [runs[0] for runs in found.values()]
    met = _together("medians", [_of_each(statistics.median, costs) for costs in seen])
    if chosen.rounds > 1:
        _together("the quickest runs", [_of_each(min, costs) for costs in seen])
    if not met and chosen.gate:
        raise SystemExit("the gate is missed")


def prepare(folder: str, predicted: int) -> None:
    """Write market, model and accounts into a folder."""
    root = Path(folder)
    write_panel(simulate_market(ASSETS, days=DAYS, seed=1), root / "market")
    panel = load_panel(root / "market")
    settings = TrainSettings(every_minutes=660, per_instant=20, warmup_days=120, baselines=False)
    save_training(train(panel, settings=settings), root / "model")
    people = sample_population(panel, "binance-usdm", np.array([panel.end]), predicted, seed=3)
    write_account_columns(root / "accounts.jsonl", people.accounts, people.positions, people.collateral)


def _warm_up(root: Path, built: tuple[str, ...], told: tuple[str, ...]) -> None:
    """Both commands on little, so that no run that is timed compiles anything."""
    with (root / "accounts.jsonl").open() as lines:
        (root / "few.jsonl").write_text("".join(islice(lines, 50)))
    _run((*built, "--per-instant", "1", "--out", str(root / "warm")))
    _run((told[0], str(root / "few.jsonl"), *told[2:], "--out", str(root / "warm-calls")))


def _runs(command: tuple[str, ...], root: Path, rounds: int) -> tuple[dict[str, list[Cost]], int, int]:
    """Costs by way, rows and bytes on disk."""
    seen: dict[str, list[Cost]] = {way: [] for way in WAYS}
    outs = [root / f"{command[0]}-{i}" for i in range(len(WAYS))]
    for _ in range(rounds):
        for (way, options), out in zip(WAYS.items(), outs, strict=True):
            seen[way].append(_run((*command, "--out", str(out), *options)))
            print(f"{command[0]}, {way}: {seen[way][-1].wall:.0f} s", file=sys.stderr, flush=True)
    written = [_files(out) for out in outs]
    if any(files.keys() != written[0].keys() for files in written[1:]):
        raise SystemExit(f"{command[0]}: there are other files")
    for name, file in written[0].items():
        if any(files[name].read_bytes() != file.read_bytes() for files in written[1:]):
            raise SystemExit(f"{command[0]}: the files differ")
    tables = [file for file in written[0].values() if file.suffix == ".parquet"]
    rows = sum(pq.ParquetFile(table).metadata.num_rows for table in tables)
    return seen, rows, sum(table.stat().st_size for table in tables)


def _files(out: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(out.iterdir())}


def _writer(folder: Path) -> None:
    """Print how fast the one process that writes can write: a bound for any number of workers."""
    held = [Part(path.read_bytes(), pq.ParquetFile(path).metadata.num_rows, "", {}) for path in folder.glob("part-*")]
    start = time.process_time()
    rows = write_parts(held, folder.with_name("parts"))
    print(f"writing parts: {rows / (time.process_time() - start):,.0f} rows a processor second")
    pieces = list(batches(read_dataset(folder), 40_000))
    start = time.process_time()
    rows = write_dataset(pieces, folder.with_name("whole.parquet"))
    print(f"writing one file: {rows / (time.process_time() - start):,.0f} rows a processor second")


def _run(arguments: tuple[str, ...]) -> Cost:
    """Run a command; its usage and that of every process that it leaves, workers and what they are forked from."""
    start = time.perf_counter()
    command = [sys.executable, "-c", "from margincast.cli import main; main()", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=_environment())
    said = process.stderr.read().decode() if process.stderr else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"margincast {arguments[0]} failed: {said}")
    wall = time.perf_counter() - start
    used = [usage]
    with contextlib.suppress(ChildProcessError):
        while True:
            used.append(os.wait4(-1, 0)[2])
    return Cost(wall, sum(u.ru_utime + u.ru_stime for u in used), max(u.ru_maxrss for u in used) / 1024)


def _adopt_orphans() -> None:
    """Become the parent of processes whose own parent has ended, so that their processor seconds are counted."""
    if ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0):
        raise SystemExit("processor seconds of workers can be counted on Linux only")


def _environment() -> dict[str, str]:
    """That of this process, but with compiled modules kept, as any installation keeps them."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _of_each(figure: Callable[[Sequence[float]], float], seen: dict[str, list[Cost]]) -> dict[str, Cost]:
    """One figure of the runs of each way, for wall, processor and memory each."""
    return {way: Cost(*(figure(values) for values in zip(*costs, strict=True))) for way, costs in seen.items()}


def _together(name: str, found: list[dict[str, Cost]]) -> bool:
    """Print the sums of both commands; whether the gate is met."""
    one, two = (sum(costs[way].wall for costs in found) for way in ("1 worker", "2 workers"))
    plain, used = (sum(costs[way].processor for costs in found) for way in ("one process", "2 workers"))
    times, share = one / two, used / plain
    print(f"together, {name}: 2 workers {times:.2f} times as fast as 1, processor {share:.2f} of one process")
    return one / two >= 1.6 and used <= 1.2 * plain


def _report(name: str, found: tuple[dict[str, list[Cost]], int, int]) -> None:
    """Print medians as a table."""
    seen, rows, size = found
    middle = _of_each(statistics.median, seen)
    one, plain = middle["1 worker"].wall, middle["one process"]
    print(f"{name}: {rows:,} rows, {size / rows:.0f} bytes a row on disk; load {os.getloadavg()[0]:.1f}")
    print("| way | seconds | rows/s | over 1 worker | processor seconds | over one process | MB |")
    print("|---|---|---|---|---|---|---|")
    for way, cost in middle.items():
        print(
            f"| {way} | {cost.wall:.1f} | {rows / cost.wall:,.0f} | {one / cost.wall:.2f} | {cost.processor:.1f} | "
            f"{cost.processor / plain.processor:.2f} | {cost.memory:.0f} |"
        )


if __name__ == "__main__":
    main()
