"""``margincast evaluate``: how good a model is, beside every baseline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from margincast.cli.app import app
from margincast.cli.console import emit_json, note, stdout
from margincast.cli.options import (
    AsJson,
    Assets,
    Bar,
    Every,
    Market,
    Model,
    Own,
    PerInstant,
    Registry,
    Ruleset,
    Seed,
    Start,
    Stop,
    Venue,
)

if TYPE_CHECKING:
    from models.market import MarketPanel
    from models.predictor import MarginCallPredictor
    from training.report import Replayed
    from training.scoring import Evaluation

__all__ = ["evaluate", "show_metrics"]


@app.command(
    epilog="Example: margincast evaluate --model ./model --market ./market --from 2024-07-01 --report ./report"
)
def evaluate(
    market: Market, model: Model = "models:/margincast@champion", start: Start = None, stop: Stop = None,
    accounts: Own = None, ruleset: Ruleset = "binance-usdm", every: Every = 420, per_instant: PerInstant = 40,
    seed: Seed = 7,
    out: Annotated[Path | None, typer.Option("--out", help="Where to write metrics.json.")] = None,
    report_to: Annotated[
        Path | None,
        typer.Option("--report", help="Folder for report.html and model.html (they open from disk) and their numbers."),
    ] = None,
    compare: Annotated[
        str | None, typer.Option("--compare", help="Another model, set beside it in the report, on the same accounts.")
    ] = None,
    about: Annotated[
        Path | None, typer.Option("--about", help="TOML file for model.html: owner, validator, approver, uses, ...")
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option("--replay", help="With --report: what `margincast replay --policy FILE --json` printed (a file)."),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as markdown.")] = False,
    registry: Registry = None, assets: Assets = None, bar: Bar = "1h", venue: Venue = "binance",
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Score a model on a period after its training data: by horizon, against every baseline, with intervals.

    Accounts are sampled with another seed than in training, or given. The period begins where the training data end,
    if --from is left out.
    """
    from margincast.cli.inputs import instant, open_market
    from margincast.cli.populations import own_population
    from margincast.cli.stages import stages
    from margincast.cli.train import train_settings
    from models.errors import InputError
    from models.predictor import MarginCallPredictor
    from training.evaluate.report import write_metrics
    from training.pipeline import evaluate as score
    from training.pipeline import load_baselines
    from training.report import load_replay

    first, last = instant("--from", start), instant("--to", stop)
    if compare is not None and report_to is None:
        raise InputError("--compare", compare, "--report DIR beside it")
    if replay is not None and report_to is None:
        raise InputError("--replay", str(replay), "--report DIR beside it")
    replayed = None if replay is None else load_replay(replay)
    folder = _folder("--model", model, registry)
    predictor = MarginCallPredictor.load(folder)
    panel = open_market(market, assets, bar, venue)
    people = None if accounts is None else own_population(accounts)
    settings = train_settings(ruleset, every, per_instant, seed)
    begin = predictor.prior.fitted_until if first is None else first
    with stages() as report:
        seen = score(panel, predictor, begin, last, load_baselines(folder), settings, people, report)
    if out is not None:
        write_metrics(seen.metrics, out)
        note(f"written to {out}")
    if report_to is not None:
        beside = None
        if compare is not None:
            other = MarginCallPredictor.load(_folder("--compare", compare, registry))
            with stages() as report:
                again = score(panel, other, begin, last, None, settings, seen.population, report)
            beside = (again, other)
        _write_report(seen, panel, predictor, report_to, registry, beside, about, replayed)
    if as_json:
        emit_json(seen.metrics)
    else:
        show_metrics(seen.metrics, markdown)


def _folder(option: str, model: str, registry: Path | None) -> str:
    """The folder of a model that an option names."""
    from margincast.cli.inputs import REGISTERED, model_folder, registered_folder
    from models.errors import InputError

    folder = str(registered_folder(model, registry)) if model.startswith(REGISTERED) else model_folder(model)
    if not folder:
        raise InputError(option, model, "a model folder or a registered model of --registry")
    return folder


def _write_report(
    seen: Evaluation, panel: MarketPanel, predictor: MarginCallPredictor, folder: Path, registry: Path | None,
    beside: tuple[Evaluation, MarginCallPredictor] | None, about: Path | None, replayed: Replayed | None,
) -> None:  # fmt: skip
    """Write the report, and attach it to the run of the model where that is known."""
    from margincast.cli.inputs import open_registry
    from training.report import write_report
    from training.report.document import load_ownership

    stated = None if about is None else load_ownership(about)
    page = write_report(seen, panel, predictor, folder, beside, stated, replayed)
    note(f"report written to {page}")
    run = predictor.metadata.get("run_id")
    home = open_registry(registry)
    if run and home.attach(str(run), folder, "report"):
        note(f"and attached to run {run} in {home.where}")


def show_metrics(metrics: dict[str, Any], markdown: bool = False) -> None:
    """Print scores by horizon, and every baseline beside the model.

    Parameters
    ----------
    metrics : dict
        Content of ``metrics.json``.
    markdown : bool
        Whether to print markdown.
    """
    from training.evaluate import size_table, table

    if markdown:
        typer.echo(table.markdown_horizons(metrics))
        typer.echo(table.markdown_baselines(metrics))
        if metrics.get("regimes"):
            typer.echo(table.markdown_regimes(metrics))
        typer.echo(size_table.markdown_sizes(metrics))
        return
    console = stdout()
    console.print(table.horizon_table(metrics, "How good the forecasts are, on accounts and months not trained on"))
    console.print(
        table.baseline_table(metrics, "Beside every baseline, all horizons together (log loss: lower is better)")
    )
    if metrics.get("regimes"):
        console.print(table.regime_table(metrics, "By margin regime (log loss, all horizons together)"))
    for sizes in size_table.size_tables(metrics):
        console.print(sizes)
    if metrics.get("calibration"):
        console.print(_calibration(metrics["calibration"]))
    found = metrics.get("monotone")
    if found:
        broken = found["horizon_violations"] + found["leverage_violations"]
        console.print(
            f"P non-decreasing in horizon and leverage: {found['accounts']:,} accounts checked, {broken} violations"
        )


def _calibration(parts: list[dict[str, Any]]) -> str:
    """Say in a line which parts of the accounts are badly calibrated."""
    from training.evaluate.segments import RANGE, SMALLEST

    judged = [part for part in parts if part["judged"]]
    outside = [f"{c['trait']} {c['part']} {c['ratio']:.2f}" for c in judged if c["flagged"]]
    names = f": {', '.join(outside)}" if outside else ""
    return (
        f"Predicted over observed outside {RANGE[0]:g} to {RANGE[1]:g} in {len(outside)} of {len(judged)} parts "
        f"with at least {SMALLEST} calls{names}"
    )
