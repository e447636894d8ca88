"""Training speed: 2 million rows, all features, 300 trees, on two cores; and its peak memory.

The rows are synthetic: market columns are drawn once for each instant of 28 accounts, the others once for each account,
and the outcome follows the prior's logit and some columns. Every method learns from the same arrays in a process of its
own, so that its peak memory is its own; the arrays themselves are part of it. ``margincast`` is the product's own
settings with 300 trees; ``margincast, 31 leaves`` takes every row and every feature for each tree, as its peers do.
Constraints are those of the product: six columns are monotone.

Run ``python -m benchmarks.bench_train [--rows N] [--trees N] [--rounds N]``; with ``--gate`` it fails where the
product takes 90 seconds or 4 GB. The load of the machine is printed, and the processor seconds of all threads, of
loading the arrays too, since the machine is not alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from features.build import FEATURE_NAMES, MONOTONE
from features.market import MARKET_FEATURES
from models.typing import HORIZONS, Float32Array, FloatArray
from training.fit import FitParameters, Rows, fit_booster

THREADS = 2
MOST_SECONDS, MOST_MEGABYTES = 90.0, 4096.0
PER_INSTANT = 28
Learner = Callable[[Float32Array, FloatArray, FloatArray, int], Any]


def main() -> None:
    """Draw the rows, run every method in a process of its own, print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=1, help="repetitions of each method")
    parser.add_argument("--gate", action="store_true", help="fail where the product is too slow or too large")
    parser.add_argument("--only", nargs="*", help="some methods")
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "FOLDER"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        _learn(chosen.one[0], Path(chosen.one[1]), chosen.trees)
        return
    names = [name for name in METHODS if not chosen.only or name in chosen.only]
    with tempfile.TemporaryDirectory() as folder:
        draw(chosen.rows, Path(folder))
        print(f"{chosen.rows:,} rows x {len(FEATURE_NAMES)} features x {chosen.trees} trees, {THREADS} threads")
        print(f"{'method':<32} {'seconds':>8} {'processor':>10} {'peak MB':>8} {'load before':>12}")
        seen = {name: _median([_run(name, folder, chosen.trees) for _ in range(chosen.rounds)]) for name in names}
    if chosen.gate:
        seconds, memory = seen["margincast"]
        if seconds >= MOST_SECONDS or memory >= MOST_MEGABYTES:
            raise SystemExit(f"margincast took {seconds:.0f} s and {memory:.0f} MB, over {MOST_SECONDS:.0f} s or 4 GB")


def draw(n: int, folder: Path, seed: int = 0) -> None:
    """Write a design matrix, outcomes and the prior's logits.

    Parameters
    ----------
    n : int
        Rows, a multiple of the four horizons.
    folder : Path
        Where to write x.npy (n, K), y.npy and offset.npy (n,).
    seed : int
        Seed.
    """
    rng = np.random.default_rng(seed)
    accounts, width = -(-n // len(HORIZONS)), len(FEATURE_NAMES)
    market = rng.standard_normal((-(-accounts // PER_INSTANT), width), np.float32)
    own = np.array([name not in MARKET_FEATURES for name in FEATURE_NAMES])
    x = np.repeat(np.repeat(market, PER_INSTANT, axis=0)[:accounts], len(HORIZONS), axis=0)[:n]
    x[:, own] = np.repeat(rng.standard_normal((accounts, int(own.sum())), np.float32), len(HORIZONS), axis=0)[:n]
    x[:, FEATURE_NAMES.index("horizon")] = np.arange(n) % len(HORIZONS)
    x[rng.random(n) < 0.02, width // 2] = np.nan
    prior = x[:, FEATURE_NAMES.index("prior_logit")]
    prior[:] = -4.0 + 2.0 * prior + 0.7 * x[:, 0]
    offset = prior.astype(np.float64)
    signal = 0.1 * x[:, np.flatnonzero(own)[4:8]].sum(axis=1) + 0.1 * np.tanh(x[:, -4:]).sum(axis=1)
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-offset - signal))).astype(np.float64)
    for name, array in (("x", x), ("y", y), ("offset", offset)):
        np.save(folder / f"{name}.npy", array)


def _product(x: Float32Array, y: FloatArray, offset: FloatArray, trees: int) -> Any:
    return _margincast(x, y, offset, FitParameters(max_rounds=trees, num_threads=THREADS))


def _product_whole(x: Float32Array, y: FloatArray, offset: FloatArray, trees: int) -> Any:
    more: dict[str, Any] = {"num_leaves": 31, "feature_fraction": 1.0, "bagging_fraction": 1.0}
    return _margincast(x, y, offset, FitParameters(max_rounds=trees, num_threads=THREADS, **more))


def _product_quantized(x: Float32Array, y: FloatArray, offset: FloatArray, trees: int) -> Any:
    more: dict[str, Any] = {"num_leaves": 31, "feature_fraction": 1.0, "bagging_fraction": 1.0, "quantized": True}
    return _margincast(x, y, offset, FitParameters(max_rounds=trees, num_threads=THREADS, **more))


def _margincast(x: Float32Array, y: FloatArray, offset: FloatArray, parameters: FitParameters) -> Any:
    n = len(y)
    rows = Rows(np.arange(n), y, offset, np.arange(n) // 50_000)
    return fit_booster(x, rows, rows, MONOTONE, parameters, rounds=parameters.max_rounds)


def _lightgbm(x: Float32Array, y: FloatArray, offset: FloatArray, trees: int) -> Any:
    import lightgbm as lgb

    settings = {
        "objective": "binary",
        "num_leaves": 31,
        "learning_rate": 0.05,
        "min_data_in_leaf": 2000,
        "verbosity": -1,
        "num_threads": THREADS,
    }
    return lgb.train(settings, lgb.Dataset(x, y, init_score=offset), trees)


def _histgb(x: Float32Array, y: FloatArray, offset: FloatArray, trees: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    settings: dict[str, Any] = {"max_iter": trees, "max_leaf_nodes": 31, "learning_rate": 0.05, "early_stopping": False}
    return HistGradientBoostingClassifier(min_samples_leaf=2000, monotonic_cst=list(MONOTONE), **settings).fit(x, y)


def _xgboost(x: Float32Array, y: FloatArray, offset: FloatArray, trees: int) -> Any:
    import xgboost as xgb

    settings = {
        "objective": "binary:logistic",
        "max_leaves": 31,
        "max_depth": 0,
        "grow_policy": "lossguide",
        "eta": 0.05,
        "tree_method": "hist",
        "nthread": THREADS,
    }
    return xgb.train(settings, xgb.QuantileDMatrix(x, y, base_margin=offset), trees)


METHODS: dict[str, Learner] = {
    "margincast": _product,
    "margincast, 31 leaves": _product_whole,
    "margincast, 31 leaves, quantised": _product_quantized,
    "lightgbm, 31 leaves": _lightgbm,
    "histgb, 31 leaves": _histgb,
    "xgboost, 31 leaves": _xgboost,
}


def _learn(name: str, folder: Path, trees: int) -> None:
    """One method in this process; seconds on standard output."""
    x, y, offset = (np.load(folder / f"{part}.npy") for part in ("x", "y", "offset"))
    start = time.perf_counter()
    METHODS[name](x, y, offset, trees)
    print(json.dumps(time.perf_counter() - start))


def _run(name: str, folder: str, trees: int) -> tuple[float, float]:
    """Seconds and peak megabytes of a method in a process of its own; NaN where its package is not installed."""
    if name.startswith("xgboost") and find_spec("xgboost") is None:
        print(f"{name:<32} not installed")
        return float("nan"), float("nan")
    load = os.getloadavg()[0]
    threads = {name: str(THREADS) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    command = [sys.executable, "-m", "benchmarks.bench_train", "--trees", str(trees), "--one", name, folder]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | threads)
    said = process.stdout.read().decode() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{name} failed")
    seconds, memory = float(said.splitlines()[-1]), usage.ru_maxrss / 1024
    used = usage.ru_utime + usage.ru_stime
    print(f"{name:<32} {seconds:8.1f} {used:10.1f} {memory:8.0f} {load:12.1f}", flush=True)
    return seconds, memory


def _median(runs: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(t for t, _ in runs), statistics.median(m for _, m in runs)


if __name__ == "__main__":
    main()
