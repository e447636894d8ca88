"""Score a model on a period after its training, beside every baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from features.market import market_features
from features.moment import moment_at
from models.book import Book
from models.errors import InputError
from models.margin.rulesets.loader import ruleset_model
from models.market import MarketPanel
from models.predictor.predictor import MarginCallPredictor
from models.prior import PriorModel
from models.typing import FloatArray
from training.accounts import draw_accounts
from training.baselines import Baselines
from training.build import MarketColumns, PriorSchedule, build_dataset
from training.dataset import Dataset, concatenate
from training.evaluate.monotone import MonotoneReport, check_monotone
from training.evaluate.novelty import novelty_metrics
from training.evaluate.report import evaluate_predictions, plain
from training.evaluate.sizes import size_metrics, time_metrics
from training.population import Population
from training.settings import Stage, TrainSettings, instants_between, say, stage
from training.splits import to_ns
from training.workers import Workers

__all__ = ["Evaluation", "EvaluationSet", "evaluate", "evaluation_set", "judge", "monotone_report"]


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
    baselines : dict of str to ndarray of float, shape (n, 4)
        Those of the baselines.
    population : Population
        The accounts.
    schedule : PriorSchedule
        The prior of each instant.
    """

    metrics: dict[str, Any]
    dataset: Dataset
    p: FloatArray
    baselines: dict[str, FloatArray]
    population: Population
    schedule: PriorSchedule


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationSet:
    """Rows to score forecasts on.

    Parameters
    ----------
    dataset : Dataset
        The rows.
    population : Population
        The accounts they are of.
    schedule : PriorSchedule
        The prior of each instant.
    """

    dataset: Dataset
    population: Population
    schedule: PriorSchedule


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
    workers: Workers | None = None,
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
    workers : Workers, optional
        Who builds the rows; this process by default.

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
    seen = evaluation_set(panel, predictor.prior, begin, finish, chosen, population, progress, market_columns, workers)
    others = _baselines(seen.dataset, baselines)
    p = predictor.predict(seen.dataset.x, seen.dataset.prior)
    say(progress, "bootstrap", 0, 1)
    found = judge(panel, predictor, seen, p, others, {"from": begin, "until": finish, "ruleset": chosen.ruleset})
    say(progress, "bootstrap", 1, 1)
    return found


def judge(
    panel: MarketPanel,
    predictor: MarginCallPredictor,
    seen: EvaluationSet,
    p: FloatArray,
    baselines: Mapping[str, FloatArray],
    about: Mapping[str, Any],
) -> Evaluation:
    """Score forecasts that are already made.

    Parameters
    ----------
    panel : MarketPanel
        The market.
    predictor : MarginCallPredictor
        The model that made them.
    seen : EvaluationSet
        The rows.
    p : ndarray of float, shape (n, 4)
        The forecasts.
    baselines : mapping of str to ndarray of float, shape (n, 4)
        Those of the baselines.
    about : mapping
        ``from``, ``until`` (nanoseconds UTC) and ``ruleset``.

    Returns
    -------
    Evaluation
        Metrics, rows and predictions.
    """
    dataset = seen.dataset
    whole = {"model": predictor.version, **about, "accounts": len(p) // 2}
    metrics = evaluate_predictions(dataset, p, baselines, whole, panel)
    metrics["call_amount"] = size_metrics(dataset, predictor)
    metrics["time_to_call"] = time_metrics(dataset, predictor, p)
    metrics["novelty"] = novelty_metrics(dataset, predictor, p)
    metrics["monotone"] = monotone_report(panel, predictor, seen.population, seen.schedule).as_dict()
    return Evaluation(plain(metrics), dataset, p, dict(baselines), seen.population, seen.schedule)


def evaluation_set(
    panel: MarketPanel,
    prior: PriorModel,
    begin: int,
    finish: int,
    settings: TrainSettings,
    population: Population | None = None,
    progress: Stage | None = None,
    market_columns: MarketColumns = market_features,
    workers: Workers | None = None,
) -> EvaluationSet:
    """Build the rows that forecasts are scored on, with the columns of every baseline.

    Parameters
    ----------
    panel : MarketPanel
        Bars, with history before ``begin``.
    prior : PriorModel
        The prior throughout; fitted on nothing after ``begin``.
    begin, finish : int
        The period, nanoseconds UTC.
    settings : TrainSettings
        Ruleset, sampling and build settings.
    population : Population, optional
        The accounts; sampled by default, with another seed than in training.
    progress : callable, optional
        Called with (stage, done, in all).
    market_columns : callable, optional
        Market features of a panel; for tests that plant a leak.
    workers : Workers, optional
        Who builds the rows; this process by default.

    Returns
    -------
    EvaluationSet
        Rows, accounts and the prior of each instant.

    Raises
    ------
    InputError
        If the period begins before the end of the prior's data.
    """
    if begin < prior.fitted_until:
        raise InputError("start", begin, f"an instant after the model's training data, {prior.fitted_until}")
    accounts = population
    if accounts is None:
        instants = instants_between(panel, begin, finish, settings.every_minutes)
        accounts = draw_accounts(panel, settings.ruleset, instants, settings.per_instant, settings.seed + 1)
    build = replace(settings.build, baselines=True)
    schedule = PriorSchedule(panel, begin, build, fixed=prior)
    pieces = build_dataset(panel, accounts, schedule, build, stage(progress, "dataset"), market_columns, workers)
    return EvaluationSet(concatenate(list(pieces)), accounts, schedule)


def monotone_report(
    panel: MarketPanel,
    predictor: MarginCallPredictor,
    population: Population,
    schedule: PriorSchedule,
    instants: int = 48,
) -> MonotoneReport:
    """Check that P rises with horizon and leverage, on the linear accounts of a few instants.

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
        linear = [ruleset_model(name) == "linear" for name in population.accounts["ruleset"][rows].tolist()]
        here = population.take(rows[np.array(linear, bool)])
        if not len(here):
            continue
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


def _baselines(dataset: Dataset, fitted: Baselines | None) -> Mapping[str, FloatArray]:
    return fitted.predict(dataset) if fitted is not None else _physics(dataset)


def _physics(dataset: Dataset) -> dict[str, FloatArray]:
    found = {"B2": "reflection_30d", "B3": "reflection_ewma", "B4": "prior_ewma", "B5": "prior_har"}
    return {**{name: dataset.extra[key] for name, key in found.items() if key in dataset.extra}, "P": dataset.prior}
