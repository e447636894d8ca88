"""A year of retraining on a real market: what the gate decided, and what it was worth.

``python -m benchmarks.nightly --market DATA`` runs ``training.retrain.retrain`` at every step of a year, as a scheduler
would (each step sees only bars closed by then), and scores the accounts of the days after with three models: the first
champion (never retrained), the newest challenger (always promoted), and the champion of the gate.

A step that has ended is kept under ``--work/steps`` and not done again, so a run that was killed is taken up by the
same command; other options need another folder. ``--steps N`` ends after the first N. Progress goes to stderr, the
tables, in markdown, to stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from features.sources import load_panel
from features.sources.times import iso
from models.market import MarketPanel
from models.predictor import MarginCallPredictor
from models.typing import DAY_NS, HORIZONS, FloatArray, IntArray
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
_LISTED = 60
"""Nights beyond which only those that changed something are listed."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What one step left: a line of the table, and the losses of the days after.

    Parameters
    ----------
    about : dict
        night, outcome, gain, failed, first (folder of the first champion), seconds.
    loss : ndarray, shape (3, m)
        Of each model of `NAMES`.
    when : ndarray of int64, shape (m,)
        Instants.
    """

    about: dict[str, Any]
    loss: FloatArray
    when: IntArray

    def line(self) -> str:
        """Its line of the table."""
        a = self.about
        gain = "-" if a["gain"] is None else "{:+.2%} [{:+.2%}, {:+.2%}]".format(*a["gain"])
        return f"| {a['night']} | {a['outcome']} | {gain} | {', '.join(a['failed']) or '-'} | {a['seconds']:.0f} |"

    def keep(self, path: Path) -> None:
        """Write it, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, about=json.dumps(self.about), loss=self.loss, when=self.when)
        part.replace(path)

    @classmethod
    def kept(cls, path: Path) -> Step:
        """Read what `keep` wrote."""
        with np.load(path) as found:
            return cls(json.loads(str(found["about"])), found["loss"], found["when"])


def steps(
    panel: MarketPanel, first: int, last: int, every: int, work: Path, settings: RetrainSettings
) -> Iterator[Step]:
    """Run every step that has not ended yet, the bars up to it alone being known."""
    never: str | None = None
    for now in range(first, last, every * DAY_NS):
        path = work / "steps" / f"{iso(now)[:10]}.npz"
        if path.is_file():
            done = Step.kept(path)
        else:
            done = _step(panel, now, min(now + every * DAY_NS, last), work, settings, never)
            done.keep(path)
        never = done.about["first"]
        yield done


def _step(panel: MarketPanel, now: int, stop: int, work: Path, settings: RetrainSettings, never: str | None) -> Step:
    began = time.perf_counter()
    registry = Registry(work / "mlruns")
    done = retrain(panel.between(panel.start, now), registry, work, settings, force=True)
    if done.decision is None:
        raise SystemExit(f"{iso(now)}: {done.outcome}")
    champion = registry.fetch("champion")
    first = never or str(champion)
    models = [MarginCallPredictor.load(folder) for folder in (first, done.folder / "challenger", champion)]
    rows = after(panel, models, now, stop, work, settings)
    use = rows[0].usable & (rows[0].level == 0)[:, None]
    loss = [
        losses(model.predict(data.x, data.prior)[use], data.y[use].astype(np.float64))
        for model, data in zip(models, rows, strict=True)
    ]
    seen = done.summary["evidence"]["skill"]
    about = {
        "night": iso(now)[:10],
        "outcome": done.outcome,
        "gain": None if seen is None else (seen["value"], seen["low"], seen["high"]),
        "failed": [check.name for check in done.decision.checks if not check.passed],
        "first": first,
        "seconds": time.perf_counter() - began,
    }
    return Step(about, np.array(loss), np.repeat(rows[0].as_of[:, None], len(HORIZONS), axis=1)[use])


def after(
    panel: MarketPanel, models: Sequence[MarginCallPredictor], now: int, stop: int, work: Path,
    settings: RetrainSettings,
) -> list[Dataset]:  # fmt: skip
    """Rows of the days after a step, as each of the three models sees them."""
    rows = {}
    for model in models:
        key = model.prior.fitted_until
        if key not in rows:
            chunks = Chunks(work / "after", panel, model.prior, settings.train)
            rows[key] = chunks.rows(now, stop, settings.train.seed + 2, False)
    return [rows[model.prior.fitted_until] for model in models]


def main() -> None:
    """Run the year and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--market", default=os.environ.get("MARGINCAST_DATA", "../shared") + "/data")
    parser.add_argument("--from", dest="first", default="2024-07-01")
    parser.add_argument("--to", dest="last", default="2025-06-24")
    parser.add_argument("--every-days", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("nightly"))
    parser.add_argument("--per-instant", type=int, default=16)
    parser.add_argument("--steps", type=int, help="end after so many")
    parser.add_argument("--json", type=Path)
    told = parser.parse_args()
    panel = load_panel(told.market, assets=ASSETS)
    train = TrainSettings("binance-usdm", 900, told.per_instant, 7, build=BuildSettings(paths=1024), baselines=False)
    settings = RetrainSettings(train=train, window_days=1095, gate=Gate())
    first, last = to_ns(told.first), min(to_ns(told.last), panel.end - PURGE_NS)
    _same_options(told)
    found: list[Step] = []
    for step in islice(steps(panel, first, last, told.every_days, told.work, settings), told.steps):
        found.append(step)
        print(step.line(), file=sys.stderr, flush=True)
    _close(found, told.json)


def _same_options(told: argparse.Namespace) -> None:
    """Refuse a folder whose steps were made with other options."""
    options = {name: str(value) for name, value in vars(told).items() if name not in ("work", "json", "steps")}
    path = told.work / "options.json"
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != options:
        raise SystemExit(f"--work {told.work}: expected the options of {path}; give another folder")
    told.work.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(options) + "\n", encoding="utf-8")


def _is_telling(step: Step) -> bool:
    """Whether something but the want of a gain came of it."""
    return step.about["outcome"] != "kept" or step.about["failed"] != ["gain"]


def _close(found: Sequence[Step], path: Path | None) -> None:
    whole, when = np.concatenate([step.loss for step in found], axis=1), np.concatenate([step.when for step in found])
    kept = [step.about["outcome"] for step in found]
    print("| night | outcome | skill over the champion [95%] | checks failed | seconds |")
    print("| --- | --- | --- | --- | ---: |")
    telling = [step for step in found if len(found) <= _LISTED or _is_telling(step)]
    print("\n".join(step.line() for step in telling))
    if len(telling) < len(found):
        print(f"\nNot listed: {len(found) - len(telling)} nights that were kept for want of a gain alone.")
    took = np.quantile([step.about["seconds"] for step in found], (0.5, 0.9, 1.0))
    print("\nA night took {:.0f} s (median), {:.0f} s (nine of ten), {:.0f} s (the longest).".format(*took))
    done = f"{kept.count('promoted')} promoted, {kept.count('kept')} kept"
    print(f"\n{len(found)} steps: {done}; {len(when):,} forecasts after them\n")
    print("| model | log loss | saved against never retraining [95%] |\n| --- | ---: | ---: |")
    for name, own in zip(NAMES, whole, strict=True):
        seen = skill(own, whole[0], when)
        print(f"| {name} | {own.mean():.5f} | {seen.value:+.2%} [{100 * seen.low:+.2f}, {100 * seen.high:+.2f}] |")
    seen = skill(whole[2], whole[1], when)
    print(f"\ngate against always promoting: {seen.value:+.2%} [{100 * seen.low:+.2f}, {100 * seen.high:+.2f}]")
    if path is not None:
        losses_of = {name: float(own.mean()) for name, own in zip(NAMES, whole, strict=True)}
        told = {"steps": [step.about for step in found], "log_loss": losses_of}
        path.write_text(json.dumps(told) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
