"""A year of retraining on a real market: what the gate decided, and what it was worth.

``python -m benchmarks.nightly --market DATA`` runs ``training.retrain.retrain`` at every step of a year, as a scheduler
would (each step sees only bars closed by then), and scores the accounts of the days after with three models: the first
champion (never retrained), the newest challenger (always promoted), and the champion of the gate.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from features.sources import load_panel
from features.sources.times import iso
from models.market import MarketPanel
from models.predictor import MarginCallPredictor
from models.typing import DAY_NS, HORIZONS, FloatArray
from training.build import BuildSettings
from training.dataset import Dataset
from training.evaluate.bootstrap import skill
from training.evaluate.metrics import losses
from training.registry import Registry
from training.retrain import Gate, RetrainSettings, retrain
from training.retrain.chunks import Chunks
from training.settings import TrainSettings
from training.splits import PURGE_NS, to_ns

ASSETS = ("BTC", "ETH", "ADA", "LTC", "XRP")
NAMES = ("never retrained", "always promoted", "gate")


@dataclass(frozen=True, slots=True)
class Night:
    """What one step left."""

    when: str
    outcome: str
    failed: tuple[str, ...]
    gain: tuple[float, float, float] | None
    models: tuple[MarginCallPredictor, ...]


def nights(
    panel: MarketPanel, first: int, last: int, every: int, work: Path, settings: RetrainSettings
) -> Iterator[Night]:
    """Run every step, the bars up to it alone being known."""
    registry = Registry(work / "mlruns")
    never: MarginCallPredictor | None = None
    for now in range(first, last, every * DAY_NS):
        known = panel.between(panel.start, now)
        done = retrain(known, registry, work, settings, force=True)
        if done.decision is None:
            raise SystemExit(f"{iso(now)}: {done.outcome}")
        newest = MarginCallPredictor.load(done.folder / "challenger")
        champion = registry.load("champion")
        never = never or champion
        seen = done.summary["evidence"]["skill"]
        gain = None if seen is None else (seen["value"], seen["low"], seen["high"])
        failed = tuple(check.name for check in done.decision.checks if not check.passed)
        yield Night(iso(now)[:10], done.outcome, failed, gain, (never, newest, champion))


def after(
    panel: MarketPanel, night: Night, now: int, stop: int, work: Path, settings: RetrainSettings
) -> list[Dataset]:
    """Rows of the days after a step, as each of the three models sees them."""
    rows = {}
    for model in night.models:
        key = model.prior.fitted_until
        if key not in rows:
            chunks = Chunks(work / "after", panel, model.prior, settings.train)
            rows[key] = chunks.rows(now, stop, settings.train.seed + 2, False)
    return [rows[model.prior.fitted_until] for model in night.models]


def main() -> None:
    """Run the year and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--market", default=os.environ.get("MARGINCAST_DATA", "../shared") + "/data")
    parser.add_argument("--from", dest="first", default="2024-07-01")
    parser.add_argument("--to", dest="last", default="2025-06-24")
    parser.add_argument("--every-days", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("nightly"))
    parser.add_argument("--per-instant", type=int, default=16)
    parser.add_argument("--json", type=Path)
    told = parser.parse_args()
    panel = load_panel(told.market, assets=ASSETS)
    train = TrainSettings("binance-usdm", 900, told.per_instant, 7, build=BuildSettings(paths=1024), baselines=False)
    settings = RetrainSettings(train=train, window_days=1095, gate=Gate())
    first, last = to_ns(told.first), min(to_ns(told.last), panel.end - PURGE_NS)
    loss: list[list[FloatArray]] = [[] for _ in NAMES]
    when: list[Any] = []
    table = []
    for i, night in enumerate(nights(panel, first, last, told.every_days, told.work, settings)):
        now = first + i * told.every_days * DAY_NS
        rows = after(panel, night, now, min(now + told.every_days * DAY_NS, last), told.work, settings)
        use = rows[0].usable & (rows[0].level == 0)[:, None]
        for k, (model, data) in enumerate(zip(night.models, rows, strict=True)):
            loss[k].append(losses(model.predict(data.x, data.prior)[use], data.y[use].astype(np.float64)))
        when.append(np.repeat(rows[0].as_of[:, None], len(HORIZONS), axis=1)[use])
        gain = "-" if night.gain is None else "{:+.2%} [{:+.2%}, {:+.2%}]".format(*night.gain)
        table.append({"night": night.when, "outcome": night.outcome, "gain": gain, "failed": night.failed})
        print(f"| {night.when} | {night.outcome} | {gain} | {', '.join(night.failed) or '-'} |", flush=True)
    _close(loss, np.concatenate(when), table, told.json)


def _close(loss: list[list[FloatArray]], when: Any, table: list[dict[str, Any]], path: Path | None) -> None:
    whole = [np.concatenate(parts) for parts in loss]
    kept = [row["outcome"] for row in table]
    done = f"{kept.count('promoted')} promoted, {kept.count('kept')} kept"
    print(f"\n{len(table)} steps: {done}; {len(when):,} forecasts after them\n")
    print("| model | log loss | saved against never retraining [95%] |\n| --- | ---: | ---: |")
    for name, own in zip(NAMES, whole, strict=True):
        seen = skill(own, whole[0], when)
        print(f"| {name} | {own.mean():.5f} | {seen.value:+.2%} [{100 * seen.low:+.2f}, {100 * seen.high:+.2f}] |")
    seen = skill(whole[2], whole[1], when)
    print(f"\ngate against always promoting: {seen.value:+.2%} [{100 * seen.low:+.2f}, {100 * seen.high:+.2f}]")
    if path is not None:
        losses_of = {name: float(own.mean()) for name, own in zip(NAMES, whole, strict=True)}
        path.write_text(json.dumps({"steps": table, "log_loss": losses_of}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
