"""``margincast keys``: who may ask the server."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from margincast.cli.console import emit_json, note, show_rows
from margincast.cli.db import Database
from margincast.cli.options import AsJson

__all__ = ["keys"]

keys = typer.Typer(no_args_is_help=True, help="Keys of the server: make one, list them, end one.")


@keys.command(epilog="Example: margincast keys create --tenant desk --role operate --name 'risk engine' --days 90")
def create(
    role: Annotated[str, typer.Option("--role", help="read, predict, operate or admin.", show_default=False)],
    name: Annotated[str, typer.Option("--name", help="What it is for.", show_default=False)],
    tenant: Annotated[str | None, typer.Option("--tenant", help="Whose data it may touch [the whole service].")] = None,
    days: Annotated[float | None, typer.Option("--days", help="Days until it ends [never].")] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, this once: the database keeps only its hash."""
    from margincast.cli.databases import BY_HAND, opened
    from models.errors import InputError
    from models.typing import DAY_NS
    from serving.security import Role
    from serving.security.audit import note as record
    from serving.security.keys import create_key
    from serving.security.principal import Principal

    may = Role.of(role)
    if days is not None and not 0 < days <= 36_500:
        raise InputError("days", days, "a number in (0, 36500]")
    store, now = opened(database), time.time_ns()

    def work(connection: Any) -> Any:
        made = create_key(connection, tenant, may, name, now, None if days is None else now + int(days * DAY_NS))
        detail = {"role": may.label, "name": name}
        record(connection, Principal(BY_HAND, tenant, may), "key.create", made.key_id, detail, now)
        return made

    made = store.run(work)
    if as_json:
        emit_json({"key_id": made.key_id, "key": made.text})
    else:
        typer.echo(made.text)
        note("Keep it: it is not shown again. Send it as 'Authorization: Bearer KEY'.")


@keys.command("list", epilog="Example: margincast keys list --tenant desk")
def list_(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only its keys.")] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """List the keys, without their secrets."""
    from margincast.cli.databases import day, opened
    from serving.security.keys import list_keys

    store = opened(database)
    found = store.query(lambda connection: list_keys(connection, tenant, any_tenant=tenant is None))
    rows = [
        {
            "key_id": row.id,
            "tenant": row.tenant_id or "",
            "role": row.role,
            "name": row.name,
            "created": day(row.created_ns),
            "expires": day(row.expires_ns),
            "revoked": day(row.revoked_ns),
        }
        for row in found
    ]
    show_rows("keys", rows, as_json)


@keys.command(epilog="Example: margincast keys revoke 0f3a9c1be27d4c55")
def revoke(
    key_id: Annotated[str, typer.Argument(help="The part of the key between the two underscores.", show_default=False)],
    database: Database = None,
) -> None:
    """End a key for good; running servers refuse it within seconds."""
    from margincast.cli.databases import BY_HAND, opened
    from models.errors import InputError
    from serving.security import Principal, Role
    from serving.security.audit import note as record
    from serving.security.keys import revoke_key

    store, now = opened(database), time.time_ns()

    def work(connection: Any) -> bool:
        found = revoke_key(connection, key_id, None, now, any_tenant=True)
        if found:
            record(connection, Principal(BY_HAND, None, Role.ADMIN), "key.revoke", key_id, None, now)
        return found

    if not store.run(work):
        raise InputError("key_id", key_id, "one of 'margincast keys list'")
    note(f"{key_id}: ended")
