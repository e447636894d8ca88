"""Train and evaluate from end to end: what the commands call."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from features.build import FEATURE_NAMES, MONOTONE
from features.forecast import moment_at
from features.market import market_features
from models.book import Book
from models.errors import InputError, ModelError
from models.market import MarketPanel
from models.predictor.calibration import Calibration, choose_calibration
from models.predictor.predictor import MarginCallPredictor
from models.predictor.size import SizeModel
from models.prior import PriorModel
from models.typing import DAY_NS, BoolArray, FloatArray, IntArray
from training.baselines import Baselines, fit_baselines
from training.build import BuildSettings, MarketColumns, PriorSchedule, build_dataset
from training.dataset import Dataset, concatenate
from training.evaluate.monotone import MonotoneReport, check_monotone
from training.evaluate.report import evaluate_predictions, plain, write_metrics
from training.fit import FitParameters, Fitted, fit_booster, rows_of
from training.population import Population, sample_population
from training.splits import PURGE_NS, Split, split, to_ns, windows_before

__all__ = [
    "BASELINES_FILE",
    "Evaluation",
    "Stage",
    "TrainSettings",
    "Training",
    "evaluate",
    "instants_between",
    "load_baselines",
    "save_training",
    "train",
    "train_dataset",
]

Stage = Callable[[str, int, int], None]
BASELINES_FILE = "baselines.json"
WEEK_NS = 7 * DAY_NS


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a model is trained.

    Parameters
    ----------
    ruleset : str
        Ruleset of the sampled accounts.
    every_minutes : int
        Minutes between two instants; 420 (seven hours) passes through all hours of the week.
    per_instant : int
        Accounts sampled at an instant.
    seed : int
        Seed of the population and of the trees.
    warmup_days : int
        Days of history before the first instant, at least 61 (the prior is fitted on them).
    build : BuildSettings
        How the training set is built.
    fit : FitParameters
        Parameters of the trees.
    baselines : bool
        Whether the fitted baselines of the report are trained too.
    """

    ruleset: str = "binance-usdm"
    every_minutes: int = 420
    per_instant: int = 40
    seed: int = 7
    warmup_days: int = 180
    build: BuildSettings = field(default_factory=BuildSettings)
    fit: FitParameters = field(default_factory=FitParameters)
    baselines: bool = True

    def __post_init__(self) -> None:
        for name, least in (("every_minutes", 1), ("per_instant", 1), ("warmup_days", 61), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(name, getattr(self, name), f"at least {least}")


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """What a training gives.

    Parameters
    ----------
    predictor : MarginCallPredictor
        The model.
    baselines : Baselines or None
        The fitted baselines.
    parameters : dict
        Settings in one level, for the registry.
    summary : dict
        Rows, rounds, calibration and validation loss.
    fingerprint : str
        Of the training data.
    """

    predictor: MarginCallPredictor
    baselines: Baselines | None
    parameters: dict[str, Any]
    summary: dict[str, Any]
    fingerprint: str


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What an evaluation gives.

    Parameters
    ----------
    metrics : dict
        Content of ``metrics.json``.
    dataset : Dataset
        The rows that were scored.
    p : ndarray of float, shape (n, 4)
        The model's predictions.
    """

    metrics: dict[str, Any]
    dataset: Dataset
    p: FloatArray


def instants_between(panel: MarketPanel, start: int, end: int, every_minutes: int) -> IntArray:
    """Instants on the bar grid, from ``start`` to before ``end``.

    Parameters
    ----------
    panel : MarketPanel
        Bars.
    start, end : int
        Nanoseconds UTC.
    every_minutes : int
        Distance; rounded up to whole bars.

    Returns
    -------
    ndarray of int64
        Nanoseconds UTC, inside the panel.
    """
    bars = max(1, -(-every_minutes // panel.bar_minutes))
    first = max(int(panel.row_after(start)), 1)
    stop = min(int(panel.row_after(end)), panel.n_bars)
    return panel.start + np.arange(first, stop, bars, dtype=np.int64) * panel.step


def train(
    panel: MarketPanel,
    start: int | str | None = None,
    train_end: int | str | None = None,
    settings: TrainSettings | None = None,
    population: Population | None = None,
    progress: Stage | None = None,
    market_columns: MarketColumns = market_features,
) -> Training:
    """Sample accounts, build the training set, fit, calibrate; nothing after ``train_end`` is read.

    Parameters
    ----------
    panel : MarketPanel
        Bars.
    start, train_end : int or str, optional
        Nanoseconds or ISO 8601; the panel's ends by default.
    settings : TrainSettings, optional
        Settings.
    population : Population, optional
        The accounts to learn from; sampled by default.
    progress : callable, optional
        Called with (stage, done, in all).
    market_columns : callable, optional
        Market features of a panel; for tests that plant a leak.

    Returns
    -------
    Training
        The model and what is known of it.

    Raises
    ------
    InputError
        If the period is too short for the warm-up and the purged parts.
    """
    chosen = settings or TrainSettings()
    begin = panel.start if start is None else max(to_ns(start), panel.start)
    finish = panel.end if train_end is None else min(to_ns(train_end), panel.end)
    known = panel.between(begin, finish)
    first = known.start + chosen.warmup_days * DAY_NS
    if finish - first < 30 * DAY_NS:
        days = (finish - begin) / DAY_NS
        raise InputError(
            "train_end", f"{days:.0f} days after start", f"at least {chosen.warmup_days + 30} days of bars"
        )
    accounts = population
    if accounts is None:
        _say(progress, "population", 0, 1)
        instants = instants_between(known, first, finish - PURGE_NS, chosen.every_minutes)
        accounts = sample_population(known, chosen.ruleset, instants, chosen.per_instant, chosen.seed)
        _say(progress, "population", 1, 1)
    schedule = PriorSchedule(known, first, chosen.build)
    pieces = build_dataset(known, accounts, schedule, chosen.build, _stage(progress, "dataset"), market_columns)
    prior = PriorModel.fit(known, finish, paths=chosen.build.paths)
    return train_dataset(concatenate(list(pieces)), prior, first, finish, chosen, progress)


def train_dataset(
    dataset: Dataset,
    prior: PriorModel,
    first: int,
    finish: int,
    settings: TrainSettings | None = None,
    progress: Stage | None = None,
) -> Training:
    """Fit and calibrate on a training set that is already built.

    Parameters
    ----------
    dataset : Dataset
        Pairs in order of time.
    prior : PriorModel
        The prior that the model will carry, fitted on data before ``finish``.
    first, finish : int
        The training period, nanoseconds UTC.
    settings : TrainSettings, optional
        Settings.
    progress : callable, optional
        Called with (stage, done, in all).

    Returns
    -------
    Training
        The model and what is known of it.
    """
    chosen = settings or TrainSettings()
    parts = split(dataset.as_of, windows_before(first, finish, finish))
    fitted = _fit(dataset, parts, chosen.fit, progress)
    predictor = _predictor(fitted, prior, dataset, parts)
    baselines = None
    if chosen.baselines:
        report = _stage(progress, "baselines")
        baselines = fit_baselines(dataset, parts.fit, parts.valid, MONOTONE, chosen.fit, progress=report)
    summary = _summary(dataset, parts, fitted, predictor.calibration)
    about = {"trained_from": first, "trained_until": finish, "ruleset": chosen.ruleset, "summary": summary}
    predictor = replace(
        predictor, metadata={**about, "data_fingerprint": dataset.fingerprint, "assets": prior.pool.assets}
    )
    return Training(predictor, baselines, _parameters(chosen, first, finish), summary, dataset.fingerprint)


def evaluate(
    panel: MarketPanel,
    predictor: MarginCallPredictor,
    start: int | str,
    end: int | str | None = None,
    baselines: Baselines | None = None,
    settings: TrainSettings | None = None,
    population: Population | None = None,
    progress: Stage | None = None,
    market_columns: MarketColumns = market_features,
) -> Evaluation:
    """Score a model on a period after its training.

    Parameters
    ----------
    panel : MarketPanel
        Bars, with history before ``start``.
    predictor : MarginCallPredictor
        The model; its own prior is used throughout.
    start, end : int or str
        The period, nanoseconds or ISO 8601; to the end of the panel by default.
    baselines : Baselines, optional
        The fitted baselines; without them only those of physics are compared.
    settings : TrainSettings, optional
        Ruleset, sampling and build settings.
    population : Population, optional
        The accounts; sampled by default, with another seed than in training.
    progress : callable, optional
        Called with (stage, done, in all).
    market_columns : callable, optional
        Market features of a panel; for tests that plant a leak.

    Returns
    -------
    Evaluation
        Metrics, rows and predictions.

    Raises
    ------
    InputError
        If the period begins before the end of the model's training data.
    """
    chosen = settings or TrainSettings()
    begin, finish = to_ns(start), panel.end if end is None else min(to_ns(end), panel.end)
    if begin < predictor.prior.fitted_until:
        raise InputError("start", begin, f"an instant after the model's training data, {predictor.prior.fitted_until}")
    accounts = population
    if accounts is None:
        instants = instants_between(panel, begin, finish, chosen.every_minutes)
        accounts = sample_population(panel, chosen.ruleset, instants, chosen.per_instant, chosen.seed + 1)
    build = replace(chosen.build, baselines=True)
    schedule = PriorSchedule(panel, begin, build, fixed=predictor.prior)
    pieces = build_dataset(panel, accounts, schedule, build, _stage(progress, "dataset"), market_columns)
    dataset = concatenate(list(pieces))
    p = predictor.predict(dataset.x, dataset.prior)
    others = baselines.predict(dataset) if baselines is not None else _physics(dataset)
    _say(progress, "bootstrap", 0, 1)
    about = {
        "model": predictor.version,
        "from": begin,
        "until": finish,
        "ruleset": chosen.ruleset,
        "accounts": len(p) // 2,
    }
    metrics = evaluate_predictions(dataset, p, others, about)
    metrics["monotone"] = monotone_report(panel, predictor, accounts, schedule).as_dict()
    _say(progress, "bootstrap", 1, 1)
    return Evaluation(plain(metrics), dataset, p)


def monotone_report(
    panel: MarketPanel,
    predictor: MarginCallPredictor,
    population: Population,
    schedule: PriorSchedule,
    instants: int = 8,
) -> MonotoneReport:
    """Check that P rises with horizon and leverage, on the accounts of a few instants.

    Parameters
    ----------
    panel : MarketPanel
        Bars.
    predictor : MarginCallPredictor
        The model.
    population : Population
        Accounts.
    schedule : PriorSchedule
        The prior of each instant.
    instants : int
        Instants to check, spread over the period.

    Returns
    -------
    MonotoneReport
        Counts over all of them.
    """
    as_of = np.unique(population.accounts["as_of"])
    total = MonotoneReport(0, 0, 0, 0.0)
    for moment in as_of[np.unique(np.linspace(0, len(as_of) - 1, instants).astype(np.int64))]:
        rows = np.flatnonzero(population.accounts["as_of"] == moment)
        here = population.take(rows)
        book, _ = Book.from_columns(here.accounts, here.positions, here.collateral, panel.assets)
        now = moment_at(panel, int(moment), schedule.at(int(moment)), predictor)
        found = check_monotone(book, now.price, now.p_call)
        total = MonotoneReport(
            total.accounts + found.accounts,
            total.horizon_violations + found.horizon_violations,
            total.leverage_violations + found.leverage_violations,
            max(total.worst, found.worst),
        )
    return total


def save_training(training: Training, folder: str | Path, metrics: dict[str, Any] | None = None) -> Path:
    """Write the bundle, the baselines and the metrics to a folder.

    Parameters
    ----------
    training : Training
        What :func:`train` gave.
    folder : str or Path
        Created if it is not there.
    metrics : dict, optional
        Content of ``metrics.json``.

    Returns
    -------
    Path
        The folder.
    """
    target = training.predictor.save(folder)
    if training.baselines is not None:
        (target / BASELINES_FILE).write_text(json.dumps(training.baselines.as_dict()) + "\n", encoding="utf-8")
    if metrics is not None:
        write_metrics(metrics, target / "metrics.json")
    return target


def load_baselines(folder: str | Path) -> Baselines | None:
    """Read the fitted baselines beside a bundle.

    Parameters
    ----------
    folder : str or Path
        Folder of the bundle.

    Returns
    -------
    Baselines or None
        None if the model was stored without.

    Raises
    ------
    ModelError
        If the file is broken.
    """
    path = Path(folder) / BASELINES_FILE
    if not path.is_file():
        return None
    try:
        return Baselines(**json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{path}: expected the baselines that `margincast train` wrote, was broken ({error})"
        ) from None


def _fit(dataset: Dataset, parts: Split, parameters: FitParameters, progress: Stage | None) -> Fitted:
    """Find the number of trees on the validation window, then learn from both windows with as many."""
    report = _stage(progress, "trees")
    fit, valid = rows_of(dataset, parts.fit), rows_of(dataset, parts.valid)
    first = fit_booster(dataset.x, fit, valid, MONOTONE, parameters, progress=report)
    if first.rounds == 0:
        return first
    both = rows_of(dataset, parts.fit | parts.valid)
    rounds = max(1, round(first.rounds * len(both) / max(len(fit), 1)))
    again = fit_booster(dataset.x, both, both, MONOTONE, parameters, rounds=rounds)
    return replace(again, history=first.history)


def _predictor(fitted: Fitted, prior: PriorModel, dataset: Dataset, parts: Split) -> MarginCallPredictor:
    import lightgbm as lgb

    learned = dataset.take((parts.fit | parts.valid) & (dataset.level == 0))
    size = SizeModel.fit(learned.size_base, learned.size_scale, learned.amount, learned.y & learned.usable)
    raw = MarginCallPredictor(lgb.Booster(model_str=fitted.booster), prior, FEATURE_NAMES, size=size)
    held = dataset.take(parts.calibration)
    return replace(raw, calibration=_calibrate(raw, held))


def _calibrate(predictor: MarginCallPredictor, held: Dataset) -> Calibration:
    logits = predictor.raw_logit(held.x, held.prior)
    block = np.repeat(held.as_of[:, None] // WEEK_NS, logits.shape[1], axis=1)
    use: BoolArray = held.usable
    return choose_calibration(logits[use], held.y[use].astype(np.float64), block[use])


def _summary(dataset: Dataset, parts: Split, fitted: Fitted, calibration: Calibration) -> dict[str, Any]:
    return {
        "pairs": len(dataset),
        "instants": len(np.unique(dataset.as_of)),
        "fit": int(parts.fit.sum()),
        "valid": int(parts.valid.sum()),
        "calibration": int(parts.calibration.sum()),
        "rounds": fitted.rounds,
        "valid_loss_prior": float(fitted.history[0]),
        "valid_loss": float(fitted.history.min()),
        "calibration_map": calibration.as_dict(),
        **{f"left_out_{name}": count for name, count in dataset.counts.items()},
    }


def _parameters(settings: TrainSettings, first: int, finish: int) -> dict[str, Any]:
    flat = {k: v for k, v in asdict(settings).items() if not isinstance(v, dict)}
    flat |= {f"build.{k}": v for k, v in asdict(settings.build).items()}
    flat |= {f"fit.{k}": v for k, v in asdict(settings.fit).items()}
    return {**flat, "trained_from": first, "trained_until": finish}


def _physics(dataset: Dataset) -> dict[str, FloatArray]:
    found = {"B2": "reflection_30d", "B3": "reflection_ewma", "B4": "prior_ewma"}
    return {**{name: dataset.extra[key] for name, key in found.items() if key in dataset.extra}, "B5": dataset.prior}


def _stage(progress: Stage | None, name: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)


def _say(progress: Stage | None, name: str, done: int, total: int) -> None:
    if progress is not None:
        progress(name, done, total)
