"""``margincast benchmark``: margincast, baselines and peers on a market with known truth and on a real one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from margincast.cli.app import app
from margincast.cli.console import emit_json, note, stdout
from margincast.cli.options import AsJson, Assets, Bar, Every, PerInstant, Ruleset, Seed, Start, Stop, Venue

if TYPE_CHECKING:
    from models.market import MarketPanel
    from training.benchmark.real import Period, RealSettings
    from training.benchmark.sheets import Sheet

__all__ = ["benchmark"]

Track = Literal["both", "simulated", "real"]
USUAL_ASSETS = "BTC,ETH,ADA,LTC,XRP"
USUAL_START, USUAL_CUT, USUAL_STOP = "2020-01-20", "2024-07-01", "2025-07-01"
MarketFolder = Annotated[
    Path | None,
    typer.Option(
        "--market", help="Market of the real track; the folder data in MARGINCAST_DATA where left out.",
        show_default=False,
    ),
]  # fmt: skip


@app.command(epilog="Example: margincast benchmark --market ./market --cut 2024-07-01 --out ./benchmark")
def benchmark(
    track: Annotated[
        Track, typer.Option("--track", help="Both tracks where there is a market, else simulated.")
    ] = "both",
    market: MarketFolder = None,
    cut: Annotated[
        str | None, typer.Option("--cut", help="Train before, test after (UTC); 2024-07-01 or the last fifth.")
    ] = None,
    start: Start = None, stop: Stop = None,
    walk_forward: Annotated[
        bool, typer.Option("--walk-forward", help="Every test year (July to June) from 2021 on, not the last one.")
    ] = False,
    leave_asset_out: Annotated[
        bool, typer.Option("--leave-asset-out", help="Train without each asset in turn, and judge on its holders.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="About a minute: small samples that prove nothing.")] = False,
    peers: Annotated[
        str | None, typer.Option("--peers", help="histgb, logistic, xgboost, catboost, or none; all by default.")
    ] = None,
    ruleset: Ruleset = "binance-usdm", every: Every = 300, per_instant: PerInstant = 28, seed: Seed = 7,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for benchmark.json and CSV files.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as markdown.")] = False,
    assets: Assets = None, bar: Bar = "1h", venue: Venue = "binance", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Compare margincast with baselines and peers: by known truth on a simulated market, by outcome on a real one."""
    from margincast.cli.inputs import names
    from margincast.cli.stages import stages
    from models.errors import InputError
    from training.benchmark.output import write_benchmark
    from training.benchmark.peers import peer_names
    from training.benchmark.simulated import FULL, QUICK, simulated_track

    if walk_forward and leave_asset_out:
        raise InputError("--leave-asset-out", True, "no --walk-forward beside it: one at a time")
    chosen = () if peers == "none" else peer_names(names(peers))
    folder = _folder(market, track)
    found: dict[str, Any] = {}
    with stages() as report:
        if track != "real":
            found["simulated"] = simulated_track(QUICK if quick else FULL, seed, chosen, report)
    if folder is not None and track != "simulated":
        panel = _panel(folder, assets, bar, venue)
        settings = _settings(ruleset, every, per_instant, seed, quick)
        with stages() as report:
            periods = _periods(panel, start, cut, stop, walk_forward)
            found["real"] = _real(panel, settings, periods, chosen, report, leave_asset_out)
    for line in dict.fromkeys(line for part in found.values() for line in part["notes"]):
        note(f"note: {line}")
    if out is not None:
        write_benchmark(found, out)
        note(f"written to {out}")
    if as_json:
        emit_json(found)
    else:
        _show(found, markdown)


def _folder(market: Path | None, track: Track) -> Path | None:
    """Folder of the real market; None, with a line, where there is none and it was not asked for."""
    from models.errors import InputError

    if track == "simulated":
        return None
    given = os.environ.get("MARGINCAST_DATA")
    folder = market or (None if given is None else Path(given) / "data")
    if folder is None and track == "real":
        raise InputError("--market", "nothing", "a market folder, or the setting MARGINCAST_DATA")
    if folder is not None and not folder.is_dir():
        raise InputError("--market", str(folder), "a folder with {mark,perp,spot}/<venue>/<SYMBOL>-<bar>.parquet")
    if folder is None:
        note("note: no real market: --market or the setting MARGINCAST_DATA names one")
    return folder


def _panel(folder: Path, assets: str | None, bar: str, venue: str) -> MarketPanel:
    """Open the market: the assets asked for, or the usual ones as far as they are there."""
    from features.sources import KINDS, list_bar_files
    from features.sources.bars import base_of
    from margincast.cli.inputs import open_market

    if assets is None:
        there = {base_of(file.symbol) for file in list_bar_files(folder, KINDS, venue)}
        usual = [name for name in USUAL_ASSETS.split(",") if name in there]
        assets = ",".join(usual) or None
    return open_market(folder, assets, bar, venue)


def _settings(ruleset: str, every: int, per_instant: int, seed: int, quick: bool) -> RealSettings:
    from margincast.cli.train import train_settings
    from training.benchmark.real import RealSettings

    if quick:
        return RealSettings(train_settings(ruleset, max(every, 1500), min(per_instant, 10), seed, 75), 2460, 12, 40)
    return RealSettings(train_settings(ruleset, every, per_instant, seed))


def _periods(panel: MarketPanel, start: str | None, cut: str | None, stop: str | None, walk: bool) -> list[Period]:
    """Training and test periods, inside what the market holds."""
    from margincast.cli.inputs import instant
    from models.errors import InputError
    from models.typing import DAY_NS
    from training.benchmark.real import Period, years
    from training.splits import to_ns

    first = instant("--from", start) or max(panel.start, to_ns(USUAL_START))
    first = first if first < panel.end - 365 * DAY_NS else panel.start
    last = min(instant("--to", stop) or max(to_ns(USUAL_STOP), first), panel.end)
    last = last if last > first else panel.end
    if walk:
        found = [p for p in years(2021, 2100, first, last) if p.cut - first >= 365 * DAY_NS]
        if not found:
            raise InputError("--walk-forward", "no test year", "a market with a year of bars before some July")
        return found
    usual = to_ns(USUAL_CUT)
    middle = usual if first + 300 * DAY_NS < usual < last - 30 * DAY_NS else last - (last - first) // 5
    return [Period(first, instant("--cut", cut) or middle, last)]


def _real(
    panel: MarketPanel, settings: RealSettings, periods: list[Period], peers: Any, report: Any, leave_out: bool
) -> dict[str, Any]:
    from training.benchmark.real import real_track, walk_forward_track
    from training.benchmark.transfer import leave_asset_out_track

    if leave_out:
        return leave_asset_out_track(panel, periods[-1], settings, peers, report)
    if len(periods) > 1:
        return walk_forward_track(panel, periods, settings, peers, report)
    return real_track(panel, periods[0], settings, peers, report)


def _show(found: dict[str, Any], markdown: bool) -> None:
    """Print the tables of every track."""
    from training.benchmark.sheets import (
        attainable_sheets,
        comparison_sheets,
        transfer_sheets,
        walk_forward_sheets,
    )

    if "simulated" in found:
        part = found["simulated"]
        _print("Simulated market, known truth", attainable_sheets(part["attainable"]), markdown)
        _print("Simulated market, outcomes", comparison_sheets(part), markdown)
    if "real" in found:
        part = found["real"]
        first = walk_forward_sheets(part) if "periods" in part else []
        first += transfer_sheets(part) if "assets" in part else []
        _print(f"Real market, {', '.join(part['about']['test'])}", [*first, *comparison_sheets(part)], markdown)


def _print(heading: str, sheets: list[Sheet], markdown: bool) -> None:
    from training.evaluate.table import markdown_of, table_of

    if markdown:
        typer.echo(f"## {heading}\n")
        for sheet in sheets:
            typer.echo(f"{sheet.title}:\n\n{markdown_of(sheet.columns, sheet.rows)}")
        return
    console = stdout()
    console.rule(heading)
    for sheet in sheets:
        console.print(table_of(sheet.columns, sheet.rows, sheet.title))
