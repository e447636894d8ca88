"""``margincast db``: the tables of the server's database."""

from __future__ import annotations

from typing import Annotated

import typer

from margincast.cli.console import emit_json, note
from margincast.cli.options import AsJson

__all__ = ["Database", "db"]

db = typer.Typer(no_args_is_help=True, help="The server's database: make its tables, check their version.")

Database = Annotated[
    str | None,
    typer.Option("--database", help="sqlite:///FILE or postgresql://USER@HOST/DATABASE; MARGINCAST_DATABASE."),
]


@db.command(epilog="Example: margincast db upgrade --database sqlite:///margincast.db")
def upgrade(database: Database = None, as_json: AsJson = False) -> None:
    """Bring the tables to the version of this program; what they hold stays."""
    from margincast.cli.databases import address
    from serving.store import upgrade as run
    from serving.store.engine import database_url, make_engine, shown
    from serving.store.faults import spoken

    url = database_url(address(database))
    with spoken():
        version = run(make_engine(url))
    if as_json:
        emit_json({"database": shown(url), "version": version})
    else:
        note(f"{shown(url)}: tables of version {version}")


@db.command(epilog="Example: margincast db check --database postgresql://desk@localhost/margincast")
def check(database: Database = None, as_json: AsJson = False) -> None:
    """Say whether the tables are those of this program: exit code 2 where they are not."""
    from margincast.cli.databases import address
    from serving.store import check_schema
    from serving.store.engine import database_url, make_engine, shown
    from serving.store.faults import spoken

    url = database_url(address(database))
    with spoken():
        version = check_schema(make_engine(url))
    if as_json:
        emit_json({"database": shown(url), "version": version})
    else:
        note(f"{shown(url)}: tables of version {version}, as expected")
