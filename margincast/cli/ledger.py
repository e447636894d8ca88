"""``margincast ledger``: whether it still says what was said, and how true that was."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from margincast.cli.console import emit_json, note, show_rows
from margincast.cli.db import Database
from margincast.cli.options import AsJson, Bar, Market, Venue

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
    tenant: Tenant = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Compare what was said with what came, by horizon; --json has every week."""
    from time import time_ns

    import msgspec

    from margincast.cli.databases import opened
    from models.typing import DAY_NS
    from serving.ledger.report import calibration

    since = time_ns() - int(days * DAY_NS)
    found = opened(database).query(lambda connection: calibration(connection, tenant, since))
    if as_json:
        emit_json(msgspec.to_builtins(found))
        return
    show_rows("what was said, and what came", [msgspec.to_builtins(one) for one in found.horizons], False)
    note(f"{found.pages} pages since {found.since:%Y-%m-%d %H:%M}Z; {found.waiting} more wait for what comes")


@ledger.command(epilog="Example: margincast ledger head > anchors/2025-03-01.json")
def head(tenant: Tenant = None, database: Database = None) -> None:
    """Print where the ledger ends now, as an anchor: kept elsewhere, it proves that nothing was cut off."""
    from margincast.cli.databases import opened
    from serving.ledger.verify import heads

    found = opened(database).query(lambda connection: heads(connection, tenant))
    emit_json([{name: getattr(one, name) for name in one.__struct_fields__} for one in found])
