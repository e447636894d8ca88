"""What goes over the wire about registered accounts."""

from __future__ import annotations

import hashlib
from datetime import datetime

from msgspec import UNSET, Raw, Struct, UnsetType

from models.account import Account
from models.errors import Failure
from serving.accounts.canonical import Entry
from serving.instants import instant
from serving.ledger.schemas import SaidPrediction
from serving.schemas import AccountPrediction
from serving.store.tables import AnyRow

__all__ = ["AccountHistory", "AccountPage", "AccountVersion", "BulkResult", "RegisteredAccount", "instant"]


class RegisteredAccount(Struct, frozen=True, kw_only=True):
    """An account that is kept: its state, the version of it (also the ETag), and the SHA-256 of its canonical JSON.

    The answer to a PUT that changed it brings what is predicted of it, other answers what was said of it last.
    """

    account: Account
    version: int
    digest: str
    updated: datetime
    prediction: AccountPrediction | UnsetType = UNSET
    said: SaidPrediction | UnsetType = UNSET


class AccountPage(Struct, frozen=True, kw_only=True):
    """Some of the accounts; ``next`` goes into ``after`` to read on, and is null on the last page."""

    accounts: list[RegisteredAccount]
    next: str | None


class AccountVersion(Struct, frozen=True, kw_only=True):
    """A state that an account had, since when, and whose key brought it; ``account`` is null where it was taken out."""

    version: int
    since: datetime
    key_id: str | None
    account: Account | None


class AccountHistory(Struct, frozen=True, kw_only=True):
    """States of an account, newest first; ``next`` goes into ``before`` to read on."""

    account_id: str
    versions: list[AccountVersion]
    next: int | None


class BulkResult(Struct, frozen=True, kw_only=True):
    """How many accounts were created, changed, or the same as before, and the others by reason."""

    created: int
    changed: int
    unchanged: int
    failures: list[Failure]


class StoredAccount(Struct, frozen=True, kw_only=True):
    """`RegisteredAccount` whose account is JSON already."""

    account: Raw
    version: int
    digest: str
    updated: datetime
    prediction: AccountPrediction | UnsetType = UNSET
    said: SaidPrediction | UnsetType = UNSET


class StoredVersion(Struct, frozen=True, kw_only=True):
    """`AccountVersion` whose account is JSON already."""

    version: int
    since: datetime
    key_id: str | None
    account: Raw


def stored(row: AnyRow, said: SaidPrediction | None = None) -> StoredAccount:
    """Give a row of `accounts`, and what was said of it, as it goes out."""
    body, digest = Raw(bytes(row.body)), bytes(row.digest).hex()
    updated = instant(row.updated_ns)
    return StoredAccount(account=body, version=row.version, digest=digest, updated=updated, said=said or UNSET)


def stored_then(row: AnyRow, said: SaidPrediction | None) -> StoredAccount:
    """Give a row of `account_versions`, and what had been said by then, as it goes out."""
    body, updated = bytes(row.body), instant(row.since_ns)
    digest = hashlib.sha256(body).hexdigest()
    return StoredAccount(account=Raw(body), version=row.version, digest=digest, updated=updated, said=said or UNSET)


def written(
    entry: Entry, version: int, now_ns: int, prediction: AccountPrediction | UnsetType = UNSET
) -> StoredAccount:
    """Give an account that was just written as it goes out."""
    body, digest, updated = Raw(entry.body), entry.digest.hex(), instant(now_ns)
    return StoredAccount(account=body, version=version, digest=digest, updated=updated, prediction=prediction)


def stored_version(row: AnyRow) -> StoredVersion:
    """Give a row of `account_versions` as it goes out."""
    body = b"null" if row.body is None else bytes(row.body)
    return StoredVersion(version=row.version, since=instant(row.since_ns), key_id=row.key_id, account=Raw(body))
