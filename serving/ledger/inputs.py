"""What a page was said of: the states of its accounts, and when their owners did something else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, select

from models.account import Account
from serving.accounts import decode_body
from serving.store.lists import MOST, in_groups
from serving.store.tables import AnyRow, account_versions, accounts

__all__ = ["acted_at", "states"]

Key = tuple[str, int]


def states(
    connection: Connection, tenant: str, shard: int, wanted: Sequence[Key], known: dict[Key, Account]
) -> dict[Key, Account]:
    """Read states of accounts.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    tenant : str
        Whose accounts.
    shard : int
        Their shard.
    wanted : sequence of (str, int)
        Names and versions.
    known : dict
        States read before; those that were read now are added.

    Returns
    -------
    dict
        The states wanted, where they still are.
    """
    missing = {key for key in wanted if key not in known}
    if len(missing) > MOST:  # most are the present ones
        c = accounts.c
        present = select(c.account_id, c.version, c.body).where(c.tenant_id == tenant, c.shard == shard)
        for row in connection.execute(present):
            if (row.account_id, row.version) in missing:
                known[row.account_id, row.version] = decode_body(bytes(row.body))
                missing.remove((row.account_id, row.version))
    p = account_versions.c
    for names in in_groups(sorted({name for name, _ in missing})):
        past = select(p.account_id, p.version, p.body).where(p.tenant_id == tenant, p.account_id.in_(names))
        for row in connection.execute(past.where(p.body.is_not(None))):
            if (row.account_id, row.version) in missing:
                known[row.account_id, row.version] = decode_body(bytes(row.body))
    return {key: known[key] for key in wanted if key in known}


def acted_at(connection: Connection, tenant: str, shard: int, said: Sequence[Key]) -> dict[Key, int]:
    """Say when the owner of an account did something after a state was told: changed it, or took it out.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    tenant : str
        Whose accounts.
    shard : int
        Their shard.
    said : sequence of (str, int)
        Names and versions.

    Returns
    -------
    dict
        Nanoseconds by name and version, for those whose owner did. Where the same positions and balances were told
        again with a later time, nothing was done. The time is that of the new state, where there is one, else when it
        was told.
    """
    c = accounts.c
    newest = select(c.account_id, c.version).where(c.tenant_id == tenant, c.shard == shard)
    versions = {row.account_id: row.version for row in connection.execute(newest)}
    left = {(name, version) for name, version in said if versions.get(name, version) > version}
    p, past = account_versions.c, defaultdict[str, list[AnyRow]](list)
    for names in in_groups(sorted({name for name, _ in left})):
        told = select(p.account_id, p.version, p.as_of_ns, p.content, p.since_ns).where(
            p.tenant_id == tenant, p.account_id.in_(names)
        )
        for row in connection.execute(told.order_by(p.account_id, p.version)):
            past[row.account_id].append(row)
    found = {}
    for name, version in left:
        content = next((row.content for row in past[name] if row.version == version), None)
        others = (row for row in past[name] if row.version > version and row.content != content)
        first = next(others, None)
        if first is not None:
            found[name, version] = first.since_ns if first.as_of_ns is None else first.as_of_ns
    return found
