"""Writes of accounts: one or many in one transaction, each state kept for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from models.errors import InputError
from serving.accounts.canonical import Entry, shard_of
from serving.problems import ProblemError
from serving.store import Store
from serving.store.lists import MOST, in_groups
from serving.store.tables import account_versions, accounts, shards, tenants

__all__ = ["Change", "Condition", "change", "delete", "shards_of"]


@dataclass(frozen=True, slots=True)
class Condition:
    """What must be true of the account that is there, from the headers ``If-Match`` and ``If-None-Match``.

    Parameters
    ----------
    versions : frozenset of int or None
        One of these must be its version; None: any.
    exists : bool or None
        Whether it must, or must not, be there.
    """

    versions: frozenset[int] | None = None
    exists: bool | None = None

    def check(self, account_id: str, version: int | None) -> None:
        """Refuse a write whose condition does not hold.

        Parameters
        ----------
        account_id : str
            The account.
        version : int or None
            The version that is there; None where there is none.

        Raises
        ------
        ProblemError
            412 with what was found.

        Examples
        --------
        >>> Condition(frozenset({2})).check("desk-7", 3)
        Traceback (most recent call last):
        ...
        serving.problems.ProblemError: desk-7: expected version 2, was 3; read it again, then write
        """
        found = "none" if version is None else str(version)
        if self.versions is not None and version not in self.versions:
            wanted = " or ".join(map(str, sorted(self.versions)))
            raise ProblemError(
                412, "other_version", f"{account_id}: expected version {wanted}, was {found}; read it again, then write"
            )
        if self.exists is not None and self.exists is (version is None):
            wanted = "an account" if self.exists else "none"
            raise ProblemError(412, "other_version", f"{account_id}: expected {wanted} of this name, was {found}")


@dataclass(frozen=True, slots=True)
class Change:
    """What a write did to one account.

    Parameters
    ----------
    entry : Entry
        What was written.
    shard : int
        Its shard.
    version : int
        Its version now.
    was : str
        ``"created"``, ``"changed"``, ``"unchanged"``, or ``"older"`` where the state was refused as older than the one
        that is there.
    updated_ns : int
        Since when the version that is there now is.
    """

    entry: Entry
    shard: int
    version: int
    was: str
    updated_ns: int


def shards_of(connection: Connection, tenant: str) -> int:
    """Look up how many shards a tenant has.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    tenant : str
        The tenant.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    InputError
        If there is no such tenant.
    """
    found = connection.execute(select(tenants.c.shards).where(tenants.c.id == tenant)).scalar_one_or_none()
    if found is None:
        raise InputError("tenant", tenant, "one of 'margincast tenants list'")
    return int(found)


def change(
    store: Store,
    connection: Connection,
    tenant: str,
    entries: Sequence[Entry],
    now_ns: int,
    key_id: str,
    condition: Condition | None = None,
) -> list[Change]:
    """Write states of accounts; what is unchanged gets no new version.

    Parameters
    ----------
    store : Store
        The store.
    connection : Connection
        In a transaction that writes.
    tenant : str
        Whose accounts.
    entries : sequence of Entry
        Of distinct accounts.
    now_ns : int
        The present.
    key_id : str
        Who writes.
    condition : Condition, optional
        What must be true of each.

    Returns
    -------
    list of Change
        One for each entry, in their order. The shards that hold them stay locked until the transaction ends.

    Raises
    ------
    ProblemError
        412 where the condition does not hold.
    """
    n_shards = shards_of(connection, tenant)
    homes = [shard_of(entry.account_id, n_shards) for entry in entries]
    raised = {s: store.lock_shard(connection, tenant, s)["accounts_version"] + 1 for s in sorted(set(homes))}
    present = _present(connection, tenant, entries, sorted(raised))
    found = [
        _judge(entry, shard, present.get(entry.account_id), condition or Condition(), now_ns)
        for entry, shard in zip(entries, homes, strict=True)
    ]
    written = [one for one in found if one.was in ("created", "changed")]
    _write(connection, tenant, written, raised, key_id)
    return found


def delete(
    store: Store,
    connection: Connection,
    tenant: str,
    account_id: str,
    now_ns: int,
    key_id: str,
    condition: Condition | None = None,
) -> int | None:
    """Take an account out; its history stays.

    Parameters
    ----------
    store : Store
        The store.
    connection : Connection
        In a transaction that writes.
    tenant : str
        Whose account.
    account_id : str
        The account.
    now_ns : int
        The present.
    key_id : str
        Who does it.
    condition : Condition, optional
        What must be true of it.

    Returns
    -------
    int or None
        The version that says it is gone; None where there was none.

    Raises
    ------
    ProblemError
        412 where the condition does not hold.
    """
    shard = shard_of(account_id, shards_of(connection, tenant))
    raised = store.lock_shard(connection, tenant, shard)["accounts_version"] + 1
    own = (accounts.c.tenant_id == tenant) & (accounts.c.account_id == account_id)
    row = connection.execute(
        select(accounts.c.version, accounts.c.updated_ns).where(own, ~accounts.c.deleted)
    ).one_or_none()
    (condition or Condition()).check(account_id, None if row is None else row.version)
    if row is None:
        return None
    version, since = int(row.version) + 1, _since(row, now_ns)
    values = {"version": version, "deleted": True, "changed": raised, "updated_ns": since}
    connection.execute(update(accounts).where(own).values(values))
    _raise_shards(connection, tenant, {shard: raised})
    past = {"tenant_id": tenant, "account_id": account_id, "version": version}
    connection.execute(insert(account_versions), past | {"body": None, "since_ns": since, "key_id": key_id})
    return version


def _present(connection: Connection, tenant: str, entries: Sequence[Entry], homes: Sequence[int]) -> dict[str, Any]:
    c = accounts.c
    columns = (c.account_id, c.version, c.digest, c.as_of_ns, c.deleted, c.updated_ns)
    wanted = select(*columns).where(accounts.c.tenant_id == tenant)
    if len(entries) <= MOST:  # by name; beyond it, all of their shards
        wanted = wanted.where(c.account_id.in_(next(in_groups(entry.account_id for entry in entries), [])))
    else:
        wanted = wanted.where(accounts.c.shard.in_(homes))
    return {row.account_id: row for row in connection.execute(wanted)}


def _judge(entry: Entry, shard: int, row: Any, condition: Condition, now_ns: int) -> Change:
    gone = row is None or row.deleted
    condition.check(entry.account_id, None if gone else int(row.version))
    if gone:
        version, since = (1, now_ns) if row is None else (int(row.version) + 1, _since(row, now_ns))
        return Change(entry, shard, version, "created", since)
    if row.digest == entry.digest:
        return Change(entry, shard, int(row.version), "unchanged", row.updated_ns)
    if entry.as_of_ns < row.as_of_ns:
        return Change(entry, shard, int(row.version), "older", row.updated_ns)
    return Change(entry, shard, int(row.version) + 1, "changed", _since(row, now_ns))


def _since(row: Any, now_ns: int) -> int:
    """When a version begins: never before the one that it follows, whatever the clock says."""
    return max(now_ns, int(row.updated_ns))


def _write(connection: Connection, tenant: str, found: Sequence[Change], raised: dict[int, int], key_id: str) -> None:
    if not found:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(accounts)
    others = {c.name: statement.excluded[c.name] for c in accounts.c if not c.primary_key}
    upsert = statement.on_conflict_do_update(index_elements=["tenant_id", "account_id"], set_=others)
    connection.execute(upsert, [_row(tenant, one, raised[one.shard]) for one in found])
    connection.execute(insert(account_versions), [_past(tenant, one, key_id) for one in found])
    _raise_shards(connection, tenant, {one.shard: raised[one.shard] for one in found})


def _row(tenant: str, one: Change, changed: int) -> dict[str, Any]:
    entry = one.entry
    return {
        "tenant_id": tenant,
        "account_id": entry.account_id,
        "shard": one.shard,
        "version": one.version,
        "body": entry.body,
        "digest": entry.digest,
        "as_of_ns": entry.as_of_ns,
        "changed": changed,
        "updated_ns": one.updated_ns,
        "deleted": False,
    }


def _past(tenant: str, one: Change, key_id: str) -> dict[str, Any]:
    name = {"tenant_id": tenant, "account_id": one.entry.account_id, "version": one.version}
    entry = one.entry
    state = {"body": entry.body, "as_of_ns": entry.as_of_ns, "content": entry.content}
    return name | state | {"since_ns": one.updated_ns, "key_id": key_id}


def _raise_shards(connection: Connection, tenant: str, raised: dict[int, int]) -> None:
    for shard, version in raised.items():
        own = (shards.c.tenant_id == tenant) & (shards.c.shard == shard)
        connection.execute(update(shards).where(own).values(accounts_version=version))
