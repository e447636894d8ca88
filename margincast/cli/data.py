"""``margincast data``: bring market data in, and say how healthy it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from margincast.cli.console import emit_json, note, progress, show_rows, stdout
from margincast.cli.options import AsJson, Assets, Bar, Seed, Start, Stop, Venue

__all__ = ["data"]

data = typer.Typer(no_args_is_help=True, help="Bring bars and funding in, and check them.")

Root = Annotated[Path, typer.Argument(metavar="ROOT", help="Folder of market data.", show_default=False)]
Target = Annotated[
    Path, typer.Option("--out", help="Folder to write to, in the layout of the README.", show_default=False)
]


@data.command(epilog="Example: margincast data check ./market --json")
def check(
    root: Root,
    venue: Annotated[str | None, typer.Option("--venue", help="One venue only.")] = None,
    as_json: AsJson = False,
) -> None:
    """Report gaps, duplicates, off-grid stamps and bad ticks of every bar file; exit code 1 where rows are wrong."""
    from features.sources import check_directory
    from features.sources.check import COLUMNS

    with progress() as bars:
        task = bars.add_task("checking", total=None)
        report = check_directory(
            root, venue=venue, progress=lambda i, n, name: bars.update(task, completed=i, total=n, description=name)
        )
    if as_json:
        emit_json(report.to_dict())
    else:
        show_rows(f"Bars in {root}", [dict(zip(COLUMNS, row, strict=True)) for row in report.rows()], as_json=False)
        totals = report.totals()
        stdout().print(", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in totals.items()))
    if report.faults:
        raise typer.Exit(1)


@data.command(epilog="Example: margincast data simulate --out ./market --days 1095 --seed 7")
def simulate(
    out: Target,
    assets: Assets = "BTC,ETH,SOL,XRP,LTC",
    days: Annotated[int, typer.Option("--days", help="Length of the market.", min=1)] = 1095,
    bar: Bar = "1h",
    seed: Seed = 0,
) -> None:
    """Write a simulated market (stochastic volatility, jumps, a daily cycle); the folder is marked as simulated."""
    from features.sources import simulate_market, write_panel
    from features.sources.times import bar_minutes, iso
    from margincast.cli.inputs import names

    panel = simulate_market(names(assets) or (), days=days, seed=seed, bar_minutes=bar_minutes(bar))
    write_panel(panel, out)
    note(f"simulated market of {len(panel.assets)} assets, {iso(panel.start)} to {iso(panel.end)}, written to {out}")


@data.command(
    epilog="Examples: margincast data fetch --zips ./downloads --out ./market | "
    "margincast data fetch --exchange binanceusdm --symbols BTC/USDT:USDT --from 2024-01-01 --out ./market"
)
def fetch(
    out: Target,
    zips: Annotated[
        Path | None, typer.Option("--zips", help="Folder of Binance public-data zips that were downloaded.")
    ] = None,
    exchange: Annotated[str | None, typer.Option("--exchange", help="ccxt name; needs the extra 'exchange'.")] = None,
    symbols: Annotated[str | None, typer.Option("--symbols", help="ccxt unified symbols, separated by commas.")] = None,
    kind: Annotated[str, typer.Option("--kind", help="mark, perp or spot.")] = "mark",
    bar: Bar = "1h",
    start: Start = None,
    stop: Stop = None,
    venue: Venue = "binance",
    as_json: AsJson = False,
) -> None:
    """Bring bars and funding into the layout, from an exchange or from Binance public-data zips."""
    from margincast.cli.inputs import names
    from models.errors import InputError

    if (zips is None) == (exchange is None):
        raise InputError(
            "--zips", None if zips is None else str(zips), "exactly one of --zips FOLDER and --exchange NAME"
        )
    with progress() as bars:
        task = bars.add_task("fetching", total=None)

        def step(done: int, total: int, name: str) -> None:
            bars.update(task, completed=done, total=total, description=name)

        if zips is not None:
            from features.sources.collect import collect_zips

            rows = collect_zips(zips, out, venue=venue, progress=step)
        else:
            from features.sources.exchange import fetch_exchange

            rows = fetch_exchange(
                str(exchange),
                names(symbols) or (),
                out,
                kind=kind,
                bar=bar,
                start=start,
                end=stop,
                venue=venue,
                progress=step,
            )
    show_rows(f"Written to {out}", rows, as_json)
