"""``margincast predict`` from an accounts file to a predictions file: accounts a second, and memory.

The sampled population (60% on one price, the rest on several, some with coin collateral) is written as JSON Lines in
two sizes. Each size is predicted by the command in a process of its own; the rate leaves the start-up out by
difference, and the memory of both sizes is printed side by side.

Run ``python -m benchmarks.bench_predict [--market FOLDER --model FOLDER]``; without them a market is simulated and a
quick model trained. Time goes mostly to accounts on several prices, and grows with how many of their paths come near a
call: a simulated market in a wild hour is harder than a quiet real one.
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

import numpy as np

from features.sources import load_panel, simulate_market, write_panel
from features.sources.accounts import write_account_columns
from models.market import MarketPanel
from models.predictor import MarginCallPredictor
from training.pipeline import TrainSettings, save_training, train
from training.population import sample_population

ASSETS = ("BTC", "ETH", "SOL", "XRP", "LTC")


def main() -> None:
    """Prepare a market, a model and two account files; time the command on both in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--market", type=Path, help="market folder; simulated if absent")
    parser.add_argument("--model", type=Path, help="model folder trained on that market; a quick one if absent")
    parser.add_argument("--accounts", type=int, nargs=2, default=(20_000, 100_000))
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if chosen.market is None:
            write_panel(simulate_market(ASSETS, days=500, seed=1), root / "market")
        market = chosen.market or root / "market"
        assets = None if chosen.model is None else MarginCallPredictor.load(chosen.model).prior.pool.assets
        panel = load_panel(market, assets=assets)
        model = chosen.model or _model(panel, root / "model")
        files = {n: _accounts(panel, n, root / f"{n}.jsonl") for n in chosen.accounts}
        seen: dict[int, list[tuple[float, float]]] = {n: [] for n in files}
        for _ in range(chosen.rounds + 1):
            for n, path in files.items():
                seen[n].append(_run(path, market, model, root / f"{n}.parquet"))
    _report(seen)


def _model(panel: MarketPanel, folder: Path) -> Path:
    settings = TrainSettings(every_minutes=660, per_instant=20, warmup_days=120, baselines=False)
    return save_training(train(panel, settings=settings), folder)


def _accounts(panel: MarketPanel, n: int, path: Path) -> Path:
    people = sample_population(panel, "binance-usdm", np.array([panel.end]), n, seed=3)
    write_account_columns(path, people.accounts, people.positions, people.collateral)
    return path


def _run(accounts: Path, market: Path, model: Path, out: Path) -> tuple[float, float]:
    """Wall seconds, and peak memory in MB."""
    command = [sys.executable, "-c", "from margincast.cli import main; main()", "predict", str(accounts)]
    command += ["--market", str(market), "--model", str(model), "--out", str(out)]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read().decode() if process.stderr else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"margincast predict failed: {said}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def _report(seen: dict[int, list[tuple[float, float]]]) -> None:
    """Print medians; the first round warms caches and is left out."""
    small, large = sorted(seen)
    middle = {n: statistics.median(t for t, _ in runs[1:]) for n, runs in seen.items()}
    memory = {n: statistics.median(m for _, m in runs[1:]) for n, runs in seen.items()}
    for n in (small, large):
        rate = n / middle[n]
        print(f"{n:>9,} accounts {middle[n]:7.2f} s {rate:>10,.0f} accounts/s with start-up {memory[n]:6.0f} MB")
    rate = (large - small) / max(middle[large] - middle[small], 1e-9)
    print(f"{rate:,.0f} accounts/s at four horizons without start-up ({os.cpu_count()} cores)")


if __name__ == "__main__":
    main()
