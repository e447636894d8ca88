"""Train and evaluate from end to end: what the commands call."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from features.build import FEATURE_NAMES, MONOTONE
from features.market import market_features
from models.errors import InputError, ModelError
from models.market import MarketPanel
from models.predictor.calibration import Calibration, choose_calibration
from models.predictor.predictor import MarginCallPredictor
from models.predictor.size import SizeModel
from models.prior import PriorModel
from models.typing import DAY_NS, BoolArray
from training.accounts import draw_accounts
from training.baselines import Baselines, fit_baselines
from training.build import MarketColumns, PriorSchedule, build_dataset
from training.dataset import Dataset, concatenate
from training.evaluate.report import write_metrics
from training.fit import FitParameters, Fitted, fit_booster, rows_of
from training.novelty import fit_novelty
from training.population import Population
from training.scoring import Evaluation, evaluate
from training.settings import Stage, TrainSettings, instants_between, say, stage
from training.sizes import fit_amounts, fit_times
from training.splits import PURGE_NS, Split, split, to_ns, windows_before
from training.workers import Grow, Workers

__all__ = [
    "BASELINES_FILE",
    "Evaluation",
    "Stage",
    "TrainSettings",
    "Training",
    "TrainingSet",
    "evaluate",
    "instants_between",
    "load_baselines",
    "save_training",
    "train",
    "train_dataset",
    "training_set",
]

BASELINES_FILE = "baselines.json"
WEEK_NS = 7 * DAY_NS


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
class TrainingSet:
    """A training set and what it was built with.

    Parameters
    ----------
    dataset : Dataset
        Pairs in order of time.
    prior : PriorModel
        The prior, fitted on all of the training period.
    first, finish : int
        The training period, nanoseconds UTC.
    """

    dataset: Dataset
    prior: PriorModel
    first: int
    finish: int


def train(
    panel: MarketPanel,
    start: int | str | None = None,
    train_end: int | str | None = None,
    settings: TrainSettings | None = None,
    population: Population | None = None,
    progress: Stage | None = None,
    market_columns: MarketColumns = market_features,
    workers: Workers | None = None,
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
    workers : Workers, optional
        Who builds the rows and grows the trees; this process by default.

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
    found = training_set(panel, start, train_end, chosen, population, progress, market_columns, workers)
    return train_dataset(found.dataset, found.prior, found.first, found.finish, chosen, progress, workers)


def training_set(
    panel: MarketPanel,
    start: int | str | None = None,
    train_end: int | str | None = None,
    settings: TrainSettings | None = None,
    population: Population | None = None,
    progress: Stage | None = None,
    market_columns: MarketColumns = market_features,
    workers: Workers | None = None,
) -> TrainingSet:
    """Sample accounts, fit the prior and build the training set; nothing after ``train_end`` is read.

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
    workers : Workers, optional
        Who builds the rows; this process by default.

    Returns
    -------
    TrainingSet
        What :func:`train_dataset` takes.

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
        say(progress, "population", 0, 1)
        instants = instants_between(known, first, finish - PURGE_NS, chosen.every_minutes)
        accounts = draw_accounts(known, chosen.ruleset, instants, chosen.per_instant, chosen.seed)
        say(progress, "population", 1, 1)
    prior = PriorModel.fit(known, finish, paths=chosen.build.paths)
    own = prior if chosen.one_prior else None
    schedule = PriorSchedule(known, first, chosen.build, fixed=own, in_sample=own is not None)
    told = stage(progress, "dataset")
    pieces = build_dataset(known, accounts, schedule, chosen.build, told, market_columns, workers)
    return TrainingSet(concatenate(list(pieces)), prior, first, finish)


def train_dataset(
    dataset: Dataset,
    prior: PriorModel,
    first: int,
    finish: int,
    settings: TrainSettings | None = None,
    progress: Stage | None = None,
    workers: Workers | None = None,
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
    workers : Workers, optional
        Who grows the trees of the model; this process by default. All else is fitted here: calibration, amounts, times
        and baselines need little of the rows.

    Returns
    -------
    Training
        The model and what is known of it.
    """
    chosen = settings or TrainSettings()
    parts = split(dataset.as_of, windows_before(first, finish, finish))
    fitted = _fit(dataset, parts, chosen.fit, progress, None if workers is None else workers.grow)
    predictor = _predictor(fitted, prior, dataset, parts, chosen.fit)
    baselines = None
    if chosen.baselines:
        report = stage(progress, "baselines")
        baselines = fit_baselines(dataset, parts.fit, parts.valid, MONOTONE, chosen.fit, progress=report)
    summary = _summary(dataset, parts, fitted, predictor.calibration)
    about = {"trained_from": first, "trained_until": finish, "ruleset": chosen.ruleset, "summary": summary}
    predictor = replace(
        predictor, metadata={**about, "data_fingerprint": dataset.fingerprint, "assets": prior.pool.assets}
    )
    return Training(predictor, baselines, _parameters(chosen, first, finish), summary, dataset.fingerprint)


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


def _fit(
    dataset: Dataset, parts: Split, parameters: FitParameters, progress: Stage | None, grow: Grow | None
) -> Fitted:
    """Learn from both windows, with all trees or with as many as the validation window asks for."""
    report = stage(progress, "trees")
    if parameters.patience == 0:
        rows = rows_of(dataset, parts.fit | parts.valid)
        many = parameters.max_rounds
        return fit_booster(dataset.x, rows, rows, MONOTONE, parameters, progress=report, rounds=many, grow=grow)
    fit, valid = rows_of(dataset, parts.fit), rows_of(dataset, parts.valid)
    first = fit_booster(dataset.x, fit, valid, MONOTONE, parameters, progress=report, grow=grow)
    if first.rounds == 0:
        return first
    both = rows_of(dataset, parts.fit | parts.valid)
    rounds = max(1, round(first.rounds * len(both) / max(len(fit), 1)))
    again = fit_booster(dataset.x, both, both, MONOTONE, parameters, rounds=rounds)
    return replace(again, history=first.history)


def _predictor(
    fitted: Fitted, prior: PriorModel, dataset: Dataset, parts: Split, parameters: FitParameters
) -> MarginCallPredictor:
    import lightgbm as lgb

    learned = dataset.take((parts.fit | parts.valid) & (dataset.level == 0))
    size = SizeModel.fit(learned.size_base, learned.size_scale, learned.amount, learned.y & learned.usable)
    raw = MarginCallPredictor(
        lgb.Booster(model_str=fitted.booster), prior, FEATURE_NAMES, size=size, novelty=fit_novelty(learned)
    )
    held = dataset.take(parts.calibration)
    calibrated = replace(raw, calibration=_calibrate(raw, held))
    times = fit_times(held, calibrated.predict(held.x, held.prior))
    return replace(calibrated, amounts=fit_amounts(learned, held, parameters), times=times)


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
        **_held_losses(fitted),
        "calibration_map": calibration.as_dict(),
        **{f"left_out_{name}": count for name, count in dataset.counts.items()},
    }


def _held_losses(fitted: Fitted) -> dict[str, float]:
    """Loss on the validation window without trees and at the best round; nothing where the fit did not look at it."""
    if len(fitted.history) == 0:
        return {}
    return {"valid_loss_prior": float(fitted.history[0]), "valid_loss": float(fitted.history.min())}


def _parameters(settings: TrainSettings, first: int, finish: int) -> dict[str, Any]:
    flat = {k: v for k, v in asdict(settings).items() if not isinstance(v, dict)}
    flat |= {f"build.{k}": v for k, v in asdict(settings.build).items()}
    flat |= {f"fit.{k}": v for k, v in asdict(settings.fit).items()}
    return {**flat, "trained_from": first, "trained_until": finish}
