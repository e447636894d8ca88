"""What the routes of accounts do, as blocking calls to be made in a thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from models.errors import Failure
from serving.accounts.canonical import Entry
from serving.accounts.changes import Change, Condition, change, delete
from serving.problems import ProblemError
from serving.security import Principal
from serving.security.audit import note
from serving.store import Store

__all__ = ["Score", "delete_account", "older", "put_accounts"]

Score = Callable[[Connection, str, Sequence[Change]], object]
"""Scores what was written of a tenant."""


def put_accounts(
    store: Store,
    principal: Principal,
    entries: Sequence[Entry],
    now_ns: int,
    condition: Condition | None = None,
    score: Score | None = None,
) -> list[Change]:
    """Write accounts and the note of it, all in one transaction.

    Parameters
    ----------
    store : Store
        The store.
    principal : Principal
        Who, with a tenant.
    entries : sequence of Entry
        Of distinct accounts.
    now_ns : int
        The present.
    condition : Condition, optional
        What must be true of each.
    score : callable, optional
        Scores what was written, in the same transaction.

    Returns
    -------
    list of Change
        One for each entry.

    Raises
    ------
    ProblemError
        412 where the condition does not hold.
    StoreError
        If the database cannot take it.
    """
    tenant = principal.tenant or ""

    def work(connection: Connection) -> list[Change]:
        found = change(store, connection, tenant, entries, now_ns, principal.key_id, condition)
        count = {kind: sum(one.was == kind for one in found) for kind in ("created", "changed")}
        if sum(count.values()):
            subject = entries[0].account_id if len(entries) == 1 else f"{sum(count.values())} accounts"
            note(connection, principal, "account.put", subject, count, now_ns)
        if score is not None:
            score(connection, tenant, found)
        return found

    return store.run(work, idempotent=condition is None)


def delete_account(
    store: Store, principal: Principal, account_id: str, now_ns: int, condition: Condition | None = None
) -> bool:
    """Take an account out, with a note of it.

    Parameters
    ----------
    store : Store
        The store.
    principal : Principal
        Who, with a tenant.
    account_id : str
        The account.
    now_ns : int
        The present.
    condition : Condition, optional
        What must be true of it.

    Returns
    -------
    bool
        Whether it was there.

    Raises
    ------
    ProblemError
        412 where the condition does not hold.
    StoreError
        If the database cannot take it.
    """
    tenant = principal.tenant or ""

    def work(connection: Connection) -> bool:
        version = delete(store, connection, tenant, account_id, now_ns, principal.key_id, condition)
        if version is not None:
            note(connection, principal, "account.delete", account_id, {"version": version}, now_ns)
        return version is not None

    return store.run(work)


def older(one: Change, row: int = -1) -> Failure:
    """Say that a state was refused as older than the one that is there.

    Parameters
    ----------
    one : Change
        The change that was not made.
    row : int
        Its position in the request.

    Returns
    -------
    Failure
        With the code ``older_state``.

    Raises
    ------
    ProblemError
        409 where it is the only account of the request (`row` is -1).
    """
    name = one.entry.account_id
    message = f"as_of: expected a state not older than version {one.version} of {name!r}; send the present state"
    if row < 0:
        raise ProblemError(409, "older_state", message, "as_of")
    return Failure(row, name, "older_state", f"accounts[{row}].as_of", message)
