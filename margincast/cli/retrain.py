"""``margincast retrain`` and ``margincast rollback``: what a scheduler runs at night."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from margincast.cli.app import app
from margincast.cli.console import emit_json, note
from margincast.cli.options import AsJson, Assets, Bar, Every, Market, PerInstant, Registry, Ruleset, Seed, Start, Venue

if TYPE_CHECKING:
    from training.retrain import Retraining, RetrainSettings
    from training.settings import TrainSettings

__all__ = ["EXIT", "retrain", "rollback"]

EXIT: Final = {"promoted": 0, "kept": 10, "not due": 11, "no data": 12, "busy": 13}
"""Exit code of each outcome; 2 for bad input and 1 for a failure, as everywhere."""


@app.command(
    epilog="Example: margincast retrain --market ./market --work ./retrain --gate gate.toml --export ./champion\n\n"
    "Exit codes: 0 promoted, 10 kept (the gate refused), 11 not due (no trigger), 12 no data, 13 busy, 2 bad input, "
    "1 failed."
)
def retrain(
    market: Market,
    work: Annotated[Path, typer.Option("--work", help="Folder of rows and runs, kept.")] = Path("retrain"),
    gate: Annotated[
        Path | None, typer.Option("--gate", help="TOML file with [gate] and [triggers]; the defaults where left out.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Train although no trigger is pulled.")] = False,
    export: Annotated[
        Path | None, typer.Option("--export", help="Folder that always holds the champion's bundle, for the server.")
    ] = None,
    start: Start = None,
    until: Annotated[
        str | None, typer.Option("--to", "--until", help="Pretend it is then (UTC); the newest bar where left out.")
    ] = None,
    ruleset: Ruleset = "binance-usdm", every: Every = 300, per_instant: PerInstant = 28, seed: Seed = 7,
    judged_days: Annotated[int, typer.Option("--judged-days", help="Newest matured days.", min=21)] = 90,
    window_days: Annotated[int, typer.Option("--window-days", help="Days to train on.", min=60)] = 1460,
    warmup_days: Annotated[int, typer.Option("--warmup-days", help="Days of bars before those.", min=61)] = 180,
    registry: Registry = None, assets: Assets = None, bar: Bar = "1h", venue: Venue = "binance",
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Train a challenger, judge it beside the champion on the newest matured days, promote it or not."""
    from margincast.cli.inputs import instant, open_market, open_registry
    from margincast.cli.stages import stages
    from margincast.cli.train import train_settings
    from models.errors import BusyError
    from training.retrain import only_one
    from training.retrain import retrain as run

    panel = open_market(market, assets, bar, venue, instant("--from", start), instant("--to", until))
    settings = _settings(gate, train_settings(ruleset, every, per_instant, seed, warmup_days), judged_days, window_days)
    try:
        with only_one(work), stages() as report:
            done = run(panel, open_registry(registry), work, settings, force, export, report)
    except BusyError as busy:
        note(str(busy))
        raise typer.Exit(EXIT["busy"]) from None
    if as_json:
        emit_json(done.summary)
    else:
        _tell(done)
    raise typer.Exit(EXIT[done.outcome])


@app.command(epilog="Example: margincast rollback --registry mlruns --export ./champion")
def rollback(
    registry: Registry = None,
    export: Annotated[
        Path | None, typer.Option("--export", help="Folder that always holds the champion's bundle, for the server.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the model that the champion replaced the champion again."""
    from features.sources.folders import replace_folder
    from margincast.cli.inputs import open_registry

    home = open_registry(registry)
    before, now = home.rollback()
    if export is not None:
        replace_folder(home.fetch(now), export)
    if as_json:
        emit_json({"champion_before": before, "champion": now})
    else:
        note(f"{home.name}/{now} is the champion again, in place of {home.name}/{before}")


def _settings(gate: Path | None, train: TrainSettings, judged_days: int, window_days: int) -> RetrainSettings:
    from training.retrain import Gate, RetrainSettings, Triggers, load_gate
    from training.retrain.triggers import load_triggers

    return RetrainSettings(
        train=train,
        judged_days=judged_days,
        window_days=window_days,
        gate=Gate() if gate is None else load_gate(gate),
        triggers=Triggers() if gate is None else load_triggers(gate),
    )


def _tell(done: Retraining) -> None:
    """Say what was decided, and why."""
    pulled: list[Any] = [reason for reason in done.reasons if reason.pulled]
    for reason in pulled or done.reasons:
        note(f"{'due' if reason.pulled else 'not due'}: {reason.words}")
    if done.outcome == "no data":
        note("no data: the market does not reach back far enough for a training and a period to judge it on")
        return
    if done.decision is None or done.registered is None:
        return
    for check in done.decision.checks:
        note(f"{'passed' if check.passed else 'FAILED'}: {check.words}")
    name = f"{done.registered.name}/{done.registered.version}"
    note(f"{name} is the champion" if done.outcome == "promoted" else f"{name} was refused; the champion stays")
