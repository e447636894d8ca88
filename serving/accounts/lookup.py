"""Reads of accounts: one, a page of them, their history, what changed since."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from serving.store.lists import in_groups
from serving.store.tables import AnyRow, account_versions, accounts

__all__ = ["changed_since", "find", "find_all", "find_at", "history", "listing"]


def find(connection: Connection, tenant: str, account_id: str) -> AnyRow | None:
    """Find the present state of an account.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    tenant : str
        Whose account.
    account_id : str
        The account.

    Returns
    -------
    Row or None
        Of `serving.store.tables.accounts`; None where there is none.
    """
    own = (accounts.c.tenant_id == tenant) & (accounts.c.account_id == account_id)
    return connection.execute(select(accounts).where(own, ~accounts.c.deleted)).one_or_none()


def find_all(connection: Connection, tenant: str, account_ids: Sequence[str]) -> dict[str, AnyRow]:
    """Find the present states of some accounts.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    tenant : str
        Whose accounts.
    account_ids : sequence of str
        Names.

    Returns
    -------
    dict
        Rows of `serving.store.tables.accounts` by name; without those that are not there.
    """
    c = accounts.c
    there = select(accounts).where(c.tenant_id == tenant, ~c.deleted)
    wanted = (there.where(c.account_id.in_(some)) for some in in_groups(account_ids))
    return {row.account_id: row for one in wanted for row in connection.execute(one)}


def find_at(connection: Connection, tenant: str, account_id: str, at_ns: int) -> AnyRow | None:
    """Find the state of an account that was known at an instant.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    tenant : str
        Whose account.
    account_id : str
        The account.
    at_ns : int
        The instant.

    Returns
    -------
    Row or None
        Of `serving.store.tables.account_versions`; its body is None where the account had been taken out.
    """
    table = account_versions
    own = (table.c.tenant_id == tenant) & (table.c.account_id == account_id) & (table.c.since_ns <= at_ns)
    return connection.execute(select(table).where(own).order_by(table.c.version.desc()).limit(1)).one_or_none()


def history(connection: Connection, tenant: str, account_id: str, limit: int, before: int | None) -> Sequence[AnyRow]:
    """List the states of an account, newest first.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    tenant : str
        Whose account.
    account_id : str
        The account.
    limit : int
        Most states.
    before : int or None
        Only versions below it.

    Returns
    -------
    sequence of Row
        Of `serving.store.tables.account_versions`.
    """
    table = account_versions
    wanted = select(table).where(table.c.tenant_id == tenant, table.c.account_id == account_id)
    if before is not None:
        wanted = wanted.where(table.c.version < before)
    return connection.execute(wanted.order_by(table.c.version.desc()).limit(limit)).all()


def listing(connection: Connection, tenant: str, limit: int, after: str) -> Sequence[AnyRow]:
    """List the accounts of a tenant by name.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    tenant : str
        Whose accounts.
    limit : int
        Most accounts.
    after : str
        Only names after it, in the order of their bytes.

    Returns
    -------
    sequence of Row
        Of `serving.store.tables.accounts`.
    """
    name = accounts.c.account_id
    wanted = select(accounts).where(accounts.c.tenant_id == tenant, ~accounts.c.deleted, name > after)
    return connection.execute(wanted.order_by(name).limit(limit)).all()


def changed_since(connection: Connection, tenant: str, shard: int, after: int) -> Sequence[AnyRow]:
    """List what changed in a shard, so that who holds its accounts in memory reads no more than that.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    tenant : str
        Whose accounts.
    shard : int
        The shard.
    after : int
        ``shards.accounts_version`` of what is held already; 0: nothing.

    Returns
    -------
    sequence of Row
        account_id, version, body, digest, changed, deleted; accounts taken out are among them where `after` > 0.
    """
    c = accounts.c
    columns = (c.account_id, c.version, c.body, c.digest, c.changed, c.deleted)
    wanted = select(*columns).where(c.tenant_id == tenant, c.shard == shard, c.changed > after)
    if after == 0:
        wanted = wanted.where(~c.deleted)
    return connection.execute(wanted.order_by(c.changed, c.account_id)).all()
