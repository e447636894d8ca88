"""``margincast tenants``: who keeps accounts on the server."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from margincast.cli.console import note, show_rows
from margincast.cli.db import Database
from margincast.cli.options import AsJson

__all__ = ["tenants"]

tenants = typer.Typer(no_args_is_help=True, help="Tenants of the server: none sees the accounts of another.")


@tenants.command(epilog="Example: margincast tenants create desk --name 'The desk'")
def create(
    tenant: Annotated[str, typer.Argument(help="Small letters, digits and dashes.", show_default=False)],
    name: Annotated[str | None, typer.Option("--name", help="Its name in words [the id].")] = None,
    shards: Annotated[int, typer.Option("--shards", help="Parts its accounts are split into for re-scoring.")] = 4,
    database: Database = None,
) -> None:
    """Make a tenant."""
    from margincast.cli.databases import BY_HAND, opened
    from serving.security import Principal, Role
    from serving.security.audit import note as record
    from serving.security.tenants import create_tenant

    store, now = opened(database), time.time_ns()

    def work(connection: Any) -> None:
        create_tenant(connection, tenant, name or tenant, shards, now)
        record(connection, Principal(BY_HAND, tenant, Role.ADMIN), "tenant.create", tenant, {"shards": shards}, now)

    store.run(work)
    note(f"{tenant}: made; now give it a key: margincast keys create --tenant {tenant} --role operate --name NAME")


@tenants.command("list", epilog="Example: margincast tenants list --json")
def list_(database: Database = None, as_json: AsJson = False) -> None:
    """List the tenants."""
    from margincast.cli.databases import day, opened
    from serving.security.tenants import list_tenants

    rows = [
        {
            "tenant": row.id,
            "name": row.name,
            "shards": row.shards,
            "created": day(row.created_ns),
            "disabled": day(row.disabled_ns),
        }
        for row in opened(database).query(list_tenants)
    ]
    show_rows("tenants", rows, as_json)
