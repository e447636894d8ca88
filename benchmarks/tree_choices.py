"""What choices about the trees bring over the prior alone, on walk-forward years.

Everything is fitted before a July and judged on calls of the year after it; a cell is the skill over the model's own
prior. Three groups: how many seeds are averaged, how the logits are calibrated on the last ninth of the training, and
hyper-parameters. These are searched with Optuna on the first years and judged on the last, which the search has not
seen.

Run ``python -m benchmarks.tree_choices --market $MARGINCAST_DATA/data [--every MINUTES] [--trials N] [--threads T]``;
it needs the extra ``tune`` (Optuna, venn-abers).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.build import MONOTONE
from features.sources import load_panel
from models.market import MarketPanel
from models.predictor.calibration import choose_calibration, fit_calibration
from models.predictor.logistic import sigmoid
from models.typing import FloatArray, IntArray
from training.dataset import Dataset
from training.evaluate.bootstrap import WEEK_NS, skill
from training.fit import FitParameters, fit_booster, rows_of
from training.pipeline import training_set
from training.scoring import evaluation_set
from training.settings import TrainSettings
from training.splits import Split, split, to_ns, windows_before

if TYPE_CHECKING:
    import optuna

ASSETS = ("BTC", "ETH", "ADA", "LTC", "XRP")
YEARS = (2021, 2022, 2023)
START = "2020-01-20"
SEEDS = 5
_LEAST = 1e-6
Calibrate = Callable[[FloatArray, FloatArray, IntArray], Callable[[FloatArray], FloatArray]]
"""Logits, outcomes and weeks of the held window to a map from logits to probabilities."""


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One year: what is learned from, the window held for calibration, and calls of the year after.

    Parameters
    ----------
    name : str
        The year, July to June.
    known : Dataset
        The training period.
    parts : Split
        Its parts.
    test : Dataset
        Calls of the year.
    """

    name: str
    known: Dataset
    parts: Split
    test: Dataset


def fold(panel: MarketPanel, year: int, every: int) -> Fold:
    """Build one year."""
    cut, stop = to_ns(f"{year}-07-01"), to_ns(f"{year + 1}-07-01")
    settings = TrainSettings(every_minutes=every, baselines=False)
    found = training_set(panel, START, cut, settings)
    own = replace(settings, every_minutes=max(every // 60 - 3, 1) * 60, per_instant=20)
    test = evaluation_set(panel, found.prior, cut, stop, own).dataset
    parts = split(found.dataset.as_of, windows_before(found.first, cut, cut))
    return Fold(f"{year}/{year % 100 + 1}", found.dataset, parts, test.take(test.level == 0))


def logits(fold: Fold, parameters: FitParameters) -> tuple[FloatArray, FloatArray]:
    """Raw logits of the usable rows of the held window and of the test year."""
    import lightgbm as lgb

    rows = rows_of(fold.known, fold.parts.fit | fold.parts.valid)
    fitted = fit_booster(fold.known.x, rows, rows, MONOTONE, parameters, rounds=parameters.max_rounds)
    booster = lgb.Booster(model_str=fitted.booster)

    def score(dataset: Dataset) -> FloatArray:
        own = rows_of(dataset, np.ones(len(dataset), np.bool_))
        trees = booster.predict(dataset.x[own.index], raw_score=True, num_threads=parameters.num_threads)
        return np.asarray(own.offset + np.asarray(trees), np.float64)

    return score(fold.known.take(fold.parts.calibration)), score(fold.test)


def outcomes(dataset: Dataset) -> tuple[FloatArray, IntArray, FloatArray]:
    """Outcomes, instants and logits of the prior of the usable rows, in the order of :func:`logits`."""
    rows = rows_of(dataset, np.ones(len(dataset), np.bool_))
    return rows.y, np.asarray(dataset.as_of[rows.index // dataset.y.shape[1]], np.int64), rows.offset


def log_loss(p: FloatArray, y: FloatArray) -> FloatArray:
    """Log loss of each row, forecasts clipped as in the reports."""
    q = np.clip(p, _LEAST, 1.0 - _LEAST)
    return np.asarray(-np.where(y > 0, np.log(q), np.log1p(-q)), np.float64)


def cells(folds: list[Fold], found: list[FloatArray]) -> str:
    """Skill over the prior by year and over all, with the interval from drawing weeks."""
    out, mine, theirs, when = [], [], [], []
    for one, p in zip(folds, found, strict=True):
        y, as_of, prior = outcomes(one.test)
        mine.append(log_loss(p, y)), theirs.append(log_loss(sigmoid(prior), y)), when.append(as_of)
        out.append(f"{1.0 - mine[-1].sum() / theirs[-1].sum():+.2%}")
    s = skill(*(np.concatenate(part) for part in (mine, theirs, when)))  # type: ignore[arg-type]
    return " | ".join([*out, f"{s.value:+.2%} [{s.low:+.2%}, {s.high:+.2%}]"])


def _isotonic(z: FloatArray, y: FloatArray, week: IntArray) -> Callable[[FloatArray], FloatArray]:
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(out_of_bounds="clip").fit(z, y)
    return lambda new: np.asarray(model.predict(new), np.float64)


def _venn_abers(z: FloatArray, y: FloatArray, week: IntArray) -> Callable[[FloatArray], FloatArray]:
    from venn_abers import VennAbers

    def two(scores: FloatArray) -> FloatArray:
        p = sigmoid(scores)
        return np.column_stack([1.0 - p, p])

    model = VennAbers()
    model.fit(two(z), y)
    return lambda new: np.asarray(model.predict_proba(two(new))[0][:, 1], np.float64)


CALIBRATIONS: dict[str, Calibrate] = {
    "none": lambda z, y, week: sigmoid,
    "Platt": lambda z, y, week: fit_calibration(z, y, "platt"),
    "beta": lambda z, y, week: fit_calibration(z, y, "beta"),
    "chosen by blocks of weeks (margincast)": choose_calibration,
    "isotonic": _isotonic,
    "Venn-Abers": _venn_abers,
}


def calibrations(folds: list[Fold], raw: list[tuple[FloatArray, FloatArray]]) -> None:
    """Print what each calibration brings to the same trees."""
    head("calibration of the trees of margincast", folds)
    for name, calibrate in CALIBRATIONS.items():
        found = []
        for one, (held, test) in zip(folds, raw, strict=True):
            y, as_of, _ = outcomes(one.known.take(one.parts.calibration))
            found.append(calibrate(held, y, as_of // WEEK_NS)(test))
        print(f"| {name} | {cells(folds, found)} |", flush=True)


def seeds(folds: list[Fold], base: FitParameters, first: list[tuple[FloatArray, FloatArray]]) -> None:
    """Print what averaging the logits of several seeds brings."""
    head("seeds averaged", folds)
    own = [[test for _, test in first]]
    own += [[logits(one, replace(base, seed=base.seed + k))[1] for one in folds] for k in range(1, SEEDS)]
    single = [cells(folds, [sigmoid(z) for z in found]) for found in own]
    for k, line in enumerate(single):
        print(f"| seed {base.seed + k} alone | {line} |")
    mean = [np.mean([found[i] for found in own], axis=0) for i in range(len(folds))]
    print(f"| {SEEDS} seeds | {cells(folds, [sigmoid(z) for z in mean])} |", flush=True)


def suggested(trial: optuna.Trial, base: FitParameters) -> FitParameters:
    """Draw hyper-parameters."""
    return replace(
        base,
        num_leaves=trial.suggest_int("num_leaves", 3, 32, log=True),
        max_rounds=trial.suggest_int("max_rounds", 25, 300, log=True),
        learning_rate=trial.suggest_float("learning_rate", 0.02, 0.1, log=True),
        min_data_in_leaf=trial.suggest_int("min_data_in_leaf", 300, 8000, log=True),
        feature_fraction=trial.suggest_float("feature_fraction", 0.15, 1.0),
        bagging_fraction=trial.suggest_float("bagging_fraction", 0.3, 1.0),
        lambda_l2=trial.suggest_float("lambda_l2", 1.0, 500.0, log=True),
        shrink=trial.suggest_float("shrink", 0.05, 1.0, log=True),
    )


def search(folds: list[Fold], base: FitParameters, trials: int) -> None:
    """Search on all years but the last, and print best and default on every year."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    known = [outcomes(one.test) for one in folds[:-1]]

    def objective(trial: optuna.Trial) -> float:
        chosen = suggested(trial, base)
        losses = [
            log_loss(sigmoid(logits(one, chosen)[1]), y).sum() / log_loss(sigmoid(prior), y).sum()
            for one, (y, _, prior) in zip(folds[:-1], known, strict=True)
        ]
        return float(np.mean(losses))

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=base.seed))
    names = ("num_leaves", "max_rounds", "learning_rate", "min_data_in_leaf", "feature_fraction", "bagging_fraction")
    study.enqueue_trial({name: asdict(base)[name] for name in (*names, "lambda_l2", "shrink")})
    start = time.perf_counter()
    study.optimize(objective, n_trials=trials)
    spent = time.perf_counter() - start
    head(f"{trials} trials of Optuna on {' and '.join(one.name for one in folds[:-1])}, {spent:.0f} s", folds)
    best = suggested(optuna.trial.FixedTrial(study.best_params), base)
    for name, chosen in (("default", base), ("best", best), ("default, not shrunk", replace(base, shrink=1.0))):
        print(f"| {name} | {cells(folds, [sigmoid(logits(one, chosen)[1]) for one in folds])} |", flush=True)
    values = sorted(1.0 - t.value for t in study.trials if t.value is not None)
    print(f"\nbest: {_plain(study.best_params)}")
    print(f"mean skill on the searched years: best {values[-1]:+.3%}, median {values[len(values) // 2]:+.3%}")


def _plain(found: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v:.3g}" for k, v in found.items())


def head(what: str, folds: list[Fold]) -> None:
    """Print the head of a table."""
    print(f"\n| {what} | {' | '.join(one.name for one in folds)} | all [95%] |")
    print("| --- |" + " ---: |" * (len(folds) + 1), flush=True)


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--market", type=Path, default=Path(os.environ.get("MARGINCAST_DATA", ".")) / "data")
    for name, value in (("every", 600), ("trials", 40), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    panel = load_panel(options.market, ASSETS, "1h", to_ns(START), to_ns(f"{YEARS[-1] + 1}-07-04"))
    folds = [fold(panel, year, options.every) for year in YEARS]
    base = FitParameters(num_threads=options.threads)
    raw = [logits(one, base) for one in folds]
    rows = ", ".join(f"{len(one.known)} and {len(one.test)}" for one in folds)
    print(f"pairs to learn from, and calls to judge on: {rows}", flush=True)
    seeds(folds, base, raw)
    calibrations(folds, raw)
    search(folds, base, options.trials)


if __name__ == "__main__":
    main()
