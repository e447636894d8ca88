"""``margincast dataset`` and ``margincast train``: from a market and accounts to a registered model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from margincast.cli.app import app
from margincast.cli.console import emit_json, note
from margincast.cli.options import (
    AsJson,
    Assets,
    Bar,
    Every,
    Market,
    Own,
    PerInstant,
    Registry,
    Ruleset,
    Seed,
    Start,
    Venue,
)
from margincast.cli.workers import Processes, Scheduler, open_workers

if TYPE_CHECKING:
    from training.pipeline import Training, TrainSettings
    from training.workers import Workers

__all__ = ["dataset", "train", "train_settings"]

Until = Annotated[
    str | None, typer.Option("--to", "--until", help="End of the training data (UTC); the market's end where left out.")
]
Warmup = Annotated[
    int, typer.Option("--warmup-days", help="Days before the first instant, for the prior and the features.", min=61)
]


@app.command(epilog="Example: margincast dataset --market ./market --to 2024-07-01 --out dataset.parquet")
def dataset(
    market: Market, out: Annotated[
        Path, typer.Option("--out", help="Training set: a .parquet file, or a folder of parts.", show_default=False)
    ],
    accounts: Own = None, start: Start = None, until: Until = None, ruleset: Ruleset = "binance-usdm",
    every: Every = 300, per_instant: PerInstant = 28, warmup_days: Warmup = 180, seed: Seed = 7,
    baselines: Annotated[bool, typer.Option("--baselines", help="Also the columns of the physics baselines.")] = False,
    assets: Assets = None, bar: Bar = "1h", venue: Venue = "binance", workers: Processes = None,
    scheduler: Scheduler = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Market and accounts (given, or a sampled population) to a training set: features, prior, labels by replay.

    A name that ends in .parquet is one file; a name without a suffix is a folder with a parquet file for each piece,
    which workers encode themselves, so that this process has little to do but write.
    """
    from dataclasses import replace

    from features.sources.parts import is_folder
    from margincast.cli.inputs import instant, open_market
    from margincast.cli.populations import own_population
    from margincast.cli.stages import stages
    from models.prior import PriorModel
    from models.typing import DAY_NS
    from training.accounts import draw_accounts
    from training.build import PriorSchedule, build_dataset, build_parts
    from training.dataset_files import write_dataset, write_parts
    from training.settings import instants_between, stage
    from training.splits import PURGE_NS

    as_parts = is_folder(out, (".parquet",))
    panel = open_market(market, assets, bar, venue, instant("--from", start), instant("--to", until))
    settings = train_settings(ruleset, every, per_instant, seed, warmup_days)
    build = replace(settings.build, baselines=baselines)
    first = panel.start + warmup_days * DAY_NS
    with open_workers(workers, scheduler) as crew, stages() as report:
        if accounts is not None:
            people = own_population(accounts)
        else:
            instants = instants_between(panel, first, panel.end - PURGE_NS, every)
            people = draw_accounts(panel, ruleset, instants, per_instant, seed)
        own = PriorModel.fit(panel, paths=build.paths) if settings.one_prior else None
        schedule = PriorSchedule(panel, first, build, fixed=own, in_sample=own is not None)
        told = stage(report, "dataset")
        if as_parts:
            rows = write_parts(build_parts(panel, people, schedule, build, told, workers=crew), out)
        else:
            rows = write_dataset(build_dataset(panel, people, schedule, build, told, workers=crew), out)
    summary = {"out": str(out), "accounts": len(people), "rows": rows}
    if as_json:
        emit_json(summary)
    else:
        note(f"{rows:,} rows of {len(people):,} accounts written to {out}")


@app.command(epilog="Example: margincast train --market ./market --to 2024-07-01 --out ./model")
def train(
    market: Market,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to export the model to as well.")] = None,
    accounts: Own = None, start: Start = None, until: Until = None, ruleset: Ruleset = "binance-usdm",
    every: Every = 300, per_instant: PerInstant = 28, warmup_days: Warmup = 180, seed: Seed = 7,
    rounds: Annotated[int | None, typer.Option("--rounds", help="Trees; 100 where left out.", min=1)] = None,
    evaluate: Annotated[bool, typer.Option(help="Score the model on what the market holds after --to.")] = True,
    registry: Registry = None,
    alias: Annotated[str, typer.Option("--alias", help="champion, challenger or none.")] = "champion",
    valid_days: Annotated[
        int | None, typer.Option("--valid-days", help="Days after --to from which on the prior answers.", min=1)
    ] = None,
    assets: Assets = None, bar: Bar = "1h", venue: Venue = "binance", workers: Processes = None,
    scheduler: Scheduler = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Fit on data before --to, calibrate, evaluate on what follows, log to MLflow and register."""
    from margincast.cli.evaluate import show_metrics
    from margincast.cli.inputs import instant, open_market, open_registry
    from margincast.cli.populations import own_population
    from margincast.cli.stages import stages
    from models.errors import InputError
    from training.pipeline import BASELINES_FILE, save_training
    from training.pipeline import train as fit
    from training.registry import ALIASES

    if alias not in (*ALIASES, "none"):
        raise InputError("--alias", alias, f"one of {', '.join(ALIASES)} or none")
    begin, finish = instant("--from", start), instant("--to", until)
    panel = open_market(market, assets, bar, venue)
    settings = train_settings(ruleset, every, per_instant, seed, warmup_days, rounds)
    people = None if accounts is None else own_population(accounts)
    with open_workers(workers, scheduler) as crew, stages() as report:
        trained = fit(panel, begin, finish, settings, people, report, workers=crew)
        metrics = _score(panel, trained, finish, settings, people, report, crew) if evaluate else None
    trained = trained if valid_days is None else _expiring(trained, valid_days)
    if out is not None:
        save_training(trained, out, metrics)
    home = open_registry(registry)
    files = {} if trained.baselines is None else {BASELINES_FILE: json.dumps(trained.baselines.as_dict()) + "\n"}
    name = None if alias == "none" else alias
    registered = home.log(trained.predictor, trained.parameters, metrics or {}, trained.fingerprint, name, files=files)
    summary = {"model": f"{registered.name}/{registered.version}", "alias": registered.alias, "run": registered.run_id}
    if as_json:
        emit_json({**summary, "training": trained.summary, "metrics": metrics})
        return
    note(f"trained on {trained.summary['fit']:,} account levels, {trained.summary['rounds']} trees")
    if metrics is not None:
        show_metrics(metrics)
    note(f"registered as {summary['model']} ({registered.alias or 'no alias'}) in {home.where}")


def _expiring(trained: Training, valid_days: int) -> Training:
    """The same, to be used for so many days after its training data."""
    from dataclasses import replace

    from models.typing import DAY_NS

    until = int(trained.predictor.metadata["trained_until"]) + valid_days * DAY_NS
    return replace(trained, predictor=trained.predictor.expiring(until))


def train_settings(
    ruleset: str, every: int, per_instant: int, seed: int, warmup_days: int = 180, rounds: int | None = None
) -> TrainSettings:
    """Gather the settings of a training.

    Parameters
    ----------
    ruleset : str
        Ruleset of the sampled accounts.
    every : int
        Minutes between two instants.
    per_instant : int
        Accounts of an instant.
    seed : int
        Seed of everything.
    warmup_days : int
        Days before the first instant.
    rounds : int, optional
        Most trees.

    Returns
    -------
    TrainSettings
        The settings.
    """
    from training.fit import FitParameters
    from training.pipeline import TrainSettings

    fit = FitParameters(seed=seed) if rounds is None else FitParameters(seed=seed, max_rounds=rounds)
    return TrainSettings(ruleset, every, per_instant, seed, warmup_days, fit=fit)


def _score(
    panel: Any, trained: Training, finish: int | None, settings: TrainSettings, people: Any, report: Any,
    crew: Workers | None,
) -> dict[str, Any] | None:  # fmt: skip
    """Metrics on what follows the training data; None where less than a week does."""
    from models.typing import DAY_NS
    from training.pipeline import evaluate

    if finish is None or panel.end - finish < 7 * DAY_NS:
        note("note: less than a week of market follows the training data, so nothing was evaluated; --to leaves some")
        return None
    later = None if people is None else people.take((people.accounts["as_of"] >= finish).nonzero()[0])
    seen = evaluate(panel, trained.predictor, finish, None, trained.baselines, settings, later, report, workers=crew)
    return seen.metrics
