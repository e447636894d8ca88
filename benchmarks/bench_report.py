"""The evaluation report of 5 million forecasts: seconds, and peak memory.

A market is simulated, a quick model trained and judged on some thousand accounts; their rows, forecasts and outcomes
are then repeated, moved within their day and shaken a little, until there are as many forecasts as asked (two levels
and four horizons for each account). A process of its own loads them and makes everything that
``margincast evaluate --report`` makes of forecasts: scores and intervals against every baseline, parts, amounts and
times, the page, the document and the CSV files. Loading is not timed; its memory is counted, the features of all rows
being most of it.

Run ``python -m benchmarks.bench_report [--forecasts N]``; with ``--gate`` it fails where 60 seconds or 4 GB are passed.
The load of the machine is printed, since it is seldom alone.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from features.sources import simulate_market
from models.typing import DAY_NS, HOUR_NS
from training.build import BuildSettings
from training.dataset import Dataset
from training.pipeline import TrainSettings, evaluate, train
from training.report import write_report
from training.scoring import Evaluation, EvaluationSet, judge

ASSETS = ("BTC", "ETH", "SOL", "XRP", "LTC")
SETTINGS = TrainSettings(every_minutes=420, per_instant=30, warmup_days=120, build=BuildSettings(paths=512))


def main() -> None:
    """Make the forecasts, and report on them in another process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forecasts", type=int, default=5_000_000)
    parser.add_argument("--gate", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child is not None:
        _report(chosen.child)
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        rows = _prepare(root, chosen.forecasts)
        command = [sys.executable, "-m", "benchmarks.bench_report", "--child", str(root)]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    seen = json.loads(said.strip().splitlines()[-1])
    print(
        f"{rows:,} forecasts reported in {seen['wall']:.1f} s, {seen['processor']:.1f} processor seconds, "
        f"{seen['peak'] / 1e9:.2f} GB at most ({seen['loaded'] / 1e9:.2f} GB once loaded); "
        f"{seen['page'] / 1e6:.2f} MB of HTML; load {os.getloadavg()[0]:.1f}"
    )
    if chosen.gate and (seen["wall"] > 60 or seen["peak"] > 4e9):
        raise SystemExit("the gate is missed")


def _prepare(root: Path, forecasts: int) -> int:
    """Evaluate a quick model, repeat what was seen, and write it to files."""
    panel = simulate_market(ASSETS, days=700, seed=1)
    cut = panel.end - 300 * DAY_NS
    trained = train(panel, None, cut, SETTINGS)
    small = evaluate(panel, trained.predictor, cut, None, trained.baselines, SETTINGS)
    times = -(-forecasts // (len(small.p) * 4))
    dataset, p, others = _repeated(small, times, np.random.default_rng(0))
    for name in ("x", "y", "prior", "usable", "as_of"):
        np.save(root / f"{name}.npy", getattr(dataset, name))
    held = {f.name: getattr(dataset, f.name) for f in fields(dataset) if not (root / f"{f.name}.npy").exists()}
    rest = (held, p, others, small.population, small.schedule, trained.predictor, panel, small.metrics["about"])
    with (root / "rest.pickle").open("wb") as file:
        pickle.dump(rest, file, 5)
    return 4 * len(p)


def _repeated(small: Evaluation, times: int, rng: np.random.Generator) -> tuple[Dataset, Any, dict[str, Any]]:
    """The same accounts so many times, up to 12 hours away, with features and forecasts a little off."""
    first = small.dataset
    order = np.argsort(np.tile(first.as_of // DAY_NS, times), kind="stable")
    place = np.tile(np.arange(len(first)), times)[order]
    values: dict[str, Any] = {
        f.name: getattr(first, f.name)[place]
        for f in fields(first)
        if isinstance(getattr(first, f.name), np.ndarray) and f.name != "x"
    }
    away = rng.integers(0, 12, len(place) // 2 + 1).repeat(2)[: len(place)]
    values["as_of"] = values["as_of"] // DAY_NS * DAY_NS + away * HOUR_NS
    values["extra"] = {name: column[place] for name, column in first.extra.items()}
    wide = first.x.reshape(len(first), -1)
    x = np.empty((len(place), wide.shape[1]), np.float32)
    for a in range(0, len(place), 50_000):
        part = wide[place[a : a + 50_000]]
        x[a : a + 50_000] = part * (1.0 + 0.001 * rng.standard_normal(part.shape, np.float32))
    values["x"] = x.reshape(-1, first.x.shape[1])

    def shaken(q: Any) -> Any:
        logit = np.log(q / (1.0 - q))[place] + 0.05 * rng.standard_normal((len(place), 1))
        return 1.0 / (1.0 + np.exp(-logit))

    p = shaken(np.clip(small.p, 1e-9, 1 - 1e-9))
    others = {name: shaken(np.clip(q, 1e-9, 1 - 1e-9)) for name, q in small.baselines.items()}
    return replace(first, **values), p, others


def _report(root: Path) -> None:
    """Load, and time the report; say what it took as a line of JSON."""
    loaded = {name: np.load(root / f"{name}.npy") for name in ("x", "y", "prior", "usable", "as_of")}
    with (root / "rest.pickle").open("rb") as file:
        held, p, others, people, schedule, predictor, panel, about = pickle.load(file)
    dataset = Dataset(**held, **loaded)
    del held, loaded
    before = _peak()
    wall, processor = time.perf_counter(), time.process_time()
    told = {name: about[name] for name in ("from", "until", "ruleset")}
    found = judge(panel, predictor, EvaluationSet(dataset, people, schedule), p, others, told)
    page = write_report(found, panel, predictor, root / "report")
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    size = page.stat().st_size
    print(json.dumps({"wall": wall, "processor": processor, "peak": _peak(), "loaded": before, "page": size}))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


if __name__ == "__main__":
    main()
