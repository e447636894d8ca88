"""``margincast ledger``: whether it still says what was said, and how true that was."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from margincast.cli.console import emit_json, note, show_rows
from margincast.cli.db import Database
from margincast.cli.options import AsJson, Bar, Market, Venue

if TYPE_CHECKING:
    from serving.ledger.calibration import Score
    from serving.ledger.report import Calibration

__all__ = ["ledger"]

ledger = typer.Typer(no_args_is_help=True, help="The ledger of what the server said: verify it, mature it, judge it.")
Tenant = Annotated[str | None, typer.Option("--tenant", help="Only of this tenant.")]


@ledger.command(epilog="Example: margincast ledger verify --anchor anchors/2025-03-01.json")
def verify(
    anchor: Annotated[
        list[Path] | None, typer.Option("--anchor", help="A file that 'margincast ledger head' wrote; may be repeated.")
    ] = None,
    tenant: Tenant = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Compute every hash anew: exit code 1 where a row or page was changed, moved, taken out or cut off."""
    from margincast.cli.databases import anchors_of, opened
    from serving.ledger.verify import verify as run

    anchors = [one for file in anchor or [] for one in anchors_of(file)]
    found = opened(database).query(lambda connection: run(connection, anchors, tenant))
    faults = [
        {"tenant": f.tenant, "shard": f.shard, "page": f.page, "row": f.row, "account": f.account_id, "what": f.what}
        for f in found.faults
    ]
    counts = {"shards": found.shards, "pages": found.pages, "rows": found.rows}
    if as_json:
        emit_json(counts | {"valid": not faults, "faults": faults})
    elif faults:
        show_rows("faults", faults, False)
    else:
        note(f"valid: {found.rows} rows on {found.pages} pages of {found.shards} shards")
    if faults:
        raise typer.Exit(1)


@ledger.command(epilog="Example: margincast ledger mature --market ./market")
def mature(
    market: Market, tenant: Tenant = None, bar: Bar = "1h", venue: Venue = "binance",
    database: Database = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Replay what was said on what came, by the replay that labels the training; a running server does it by itself."""
    from dataclasses import asdict
    from time import time_ns

    from features.sources import read_panel
    from margincast.cli.databases import opened
    from serving.ledger.maturing import Matured
    from serving.ledger.maturing import mature as run

    store, panel, total = opened(database), read_panel(market, None, bar, venue=venue).panel, Matured()
    while (done := run(store, panel, time_ns(), tenant)).pages:
        total += done
    if as_json:
        emit_json(asdict(total))
    else:
        note(f"{total.rows} predictions on {total.pages} pages replayed, {total.lost} of states that are gone")


@ledger.command(epilog="Example: margincast ledger report --days 90 --json")
def report(
    days: Annotated[float, typer.Option("--days", help="So many days back from now.", min=0.01)] = 28,
    horizon: Annotated[int, typer.Option("--horizon", help="Horizon of the table of weeks, minutes.")] = 1440,
    html: Annotated[
        Path | None, typer.Option("--html", help="Folder for a page, hindcast.html, with its tables as CSV.")
    ] = None,
    tenant: Tenant = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Compare what was said with what came: by horizon, with intervals, and week by week; --json has every horizon."""
    from time import time_ns

    import msgspec

    from margincast.cli.databases import opened
    from models.errors import InputError
    from models.typing import DAY_NS, HORIZONS
    from serving.ledger.report import calibration, week_rows

    if horizon not in HORIZONS:
        raise InputError("horizon", horizon, f"one of {', '.join(map(str, HORIZONS))}")
    since = time_ns() - int(days * DAY_NS)
    found = opened(database).query(lambda connection: calibration(connection, tenant, since))
    if html is not None:
        note(f"hindcast written to {_write_page(found, tenant, html)}")
    if as_json:
        emit_json(msgspec.to_builtins(found))
        return
    show_rows("what was said, and what came", [_judged(one) for one in found.horizons], False)
    if found.weeks:
        weeks = [_short(row) for row in week_rows(found, horizon)]
        show_rows(f"week by week, within {horizon} minutes", weeks, False)
    note(f"{found.pages} pages since {found.since:%Y-%m-%d %H:%M}Z; {found.waiting} more wait for what comes")


def _write_page(found: Calibration, tenant: str | None, folder: Path) -> Path:
    """Write the page of what was said and what came, and its tables."""
    import msgspec

    from serving.ledger.report import week_rows
    from training.report import build_hindcast, write_page, write_twins

    whose = "all tenants" if tenant is None else f"tenant {tenant}"
    about = f"Ledger of {whose} since {found.since:%Y-%m-%d}: {found.pages:,} pages judged, {found.waiting:,} waiting"
    page = build_hindcast(msgspec.to_builtins(found.horizons), week_rows(found), about)
    write_twins(page, folder / "data")
    return write_page(page, folder / "hindcast.html")


def _judged(one: Score) -> dict[str, Any]:
    """A row of the table: each figure with its interval."""
    return {
        "horizon": one.horizon_minutes,
        "n": one.n,
        "expected": one.expected,
        "called": one.called,
        "ratio": _with_ends(one.ratio, one.ratio_low, one.ratio_high),
        "log_loss": one.log_loss,
        "skill": _with_ends(one.skill, one.skill_low, one.skill_high),
        "ece": one.ece,
        "censored": one.censored,
        "blocks": one.blocks,
    }


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("week", "n", "expected", "called", "ratio", "log_loss", "skill", "censored")}


def _with_ends(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return ""
    if low is None and high is None:
        return f"{value:.3f}"
    return f"{value:.3f} ({'' if low is None else f'{low:.3f}'} to {'' if high is None else f'{high:.3f}'})"


@ledger.command(epilog="Example: margincast ledger head > anchors/2025-03-01.json")
def head(tenant: Tenant = None, database: Database = None) -> None:
    """Print where the ledger ends now, as an anchor: kept elsewhere, it proves that nothing was cut off."""
    from margincast.cli.databases import opened
    from serving.ledger.verify import heads

    found = opened(database).query(lambda connection: heads(connection, tenant))
    emit_json([{name: getattr(one, name) for name in one.__struct_fields__} for one in found])
