"""The record of who changed what; written in the transaction of the change, so that neither is without the other."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select

from serving.security.principal import Principal
from serving.store.tables import AnyRow, audit

__all__ = ["list_notes", "note"]


def note(
    connection: Connection,
    principal: Principal,
    action: str,
    subject: str,
    detail: dict[str, Any] | None,
    now_ns: int,
) -> None:
    """Record one change.

    Parameters
    ----------
    connection : Connection
        In the transaction of the change.
    principal : Principal
        Who.
    action : str
        What, for example ``"key.create"``.
    subject : str
        To what.
    detail : dict or None
        More, as JSON; never a secret.
    now_ns : int
        When.
    """
    row = {"tenant_id": principal.tenant, "key_id": principal.key_id, "action": action, "subject": subject[:300]}
    connection.execute(insert(audit), row | {"detail": detail or {}, "at_ns": now_ns})


def list_notes(
    connection: Connection, tenant: str | None, limit: int, before: int | None, *, any_tenant: bool
) -> list[AnyRow]:
    """List what was done, newest first.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    tenant : str or None
        To whose data.
    limit : int
        Most entries.
    before : int or None
        Only those with a number below it.
    any_tenant : bool
        To everybody's.

    Returns
    -------
    list of Row
        Of `serving.store.tables.audit`.
    """
    wanted = select(audit).order_by(audit.c.seq.desc()).limit(limit)
    if not any_tenant:
        wanted = wanted.where(audit.c.tenant_id == tenant)
    if before is not None:
        wanted = wanted.where(audit.c.seq < before)
    return list(connection.execute(wanted))
