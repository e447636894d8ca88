"""Tenants: who keeps accounts here; none of them sees, or can tell of, another."""

from __future__ import annotations

import re

from sqlalchemy import Connection, insert, select, update

from models.errors import InputError
from serving.ledger.chain import genesis
from serving.store.tables import AnyRow, shards, tenants

__all__ = ["create_tenant", "disable_tenant", "list_tenants"]

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def create_tenant(connection: Connection, tenant: str, name: str, n_shards: int, now_ns: int) -> None:
    """Make a tenant.

    Parameters
    ----------
    connection : Connection
        In a transaction that writes.
    tenant : str
        Its id: small letters, digits and dashes.
    name : str
        Its name in words.
    n_shards : int
        Into how many parts its accounts are split for re-scoring, in [1, 64]; cannot be changed later.
    now_ns : int
        The present.

    Raises
    ------
    InputError
        If a value is not as described, or there is such a tenant.
    """
    if not _NAME.fullmatch(tenant):
        raise InputError("tenant", tenant, "1 to 63 small letters, digits and dashes")
    if not 0 < len(name) <= 200:
        raise InputError("name", name, "1 to 200 characters")
    if not 1 <= n_shards <= 64:
        raise InputError("shards", n_shards, "a number in [1, 64]")
    if connection.execute(select(tenants.c.id).where(tenants.c.id == tenant)).one_or_none() is not None:
        raise InputError("tenant", tenant, "another name, this one is taken")
    row = {"id": tenant, "name": name, "shards": n_shards, "event_seq": 0, "settings": {}, "created_ns": now_ns}
    connection.execute(insert(tenants), row)
    rows = [{"tenant_id": tenant, "shard": s, "ledger_hash": genesis(tenant, s)} for s in range(n_shards)]
    connection.execute(insert(shards), rows)


def list_tenants(connection: Connection) -> list[AnyRow]:
    """List the tenants, oldest first.

    Parameters
    ----------
    connection : Connection
        In a transaction.

    Returns
    -------
    list of Row
        Of `serving.store.tables.tenants`.
    """
    return list(connection.execute(select(tenants).order_by(tenants.c.created_ns, tenants.c.id)))


def disable_tenant(connection: Connection, tenant: str, now_ns: int | None) -> bool:
    """Close a tenant's doors, or open them again; what it has stays.

    Parameters
    ----------
    connection : Connection
        In a transaction that writes.
    tenant : str
        The tenant.
    now_ns : int or None
        Since when its keys are refused; None: no longer.

    Returns
    -------
    bool
        Whether there is such a tenant.
    """
    changed = connection.execute(update(tenants).where(tenants.c.id == tenant).values(disabled_ns=now_ns))
    return changed.rowcount > 0
