"""The accounts of a shard in columns, kept between rounds: only what changed is read and decoded again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from models.account import Account
from models.book import Book, account_columns
from models.errors import Failure
from models.margin.rulesets import load_ruleset, ruleset_names
from models.typing import IntArray, ObjectArray
from serving.accounts import changed_since, decode_body
from serving.store.tables import shards

__all__ = ["Held", "ShardBook", "book_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Accounts that can be scored, row by row.

    Parameters
    ----------
    book : Book
        n accounts.
    version : ndarray of int64, shape (n,)
        Version of each account's state.
    digest : ndarray of uint8, shape (n, 32)
        SHA-256 of its canonical JSON.
    accounts_version : int
        ``shards.accounts_version`` that this is the state of.
    failures : list of Failure
        Accounts that cannot be scored at this instant.
    ruleset : sequence of str, length n
        Names of their rules.
    """

    book: Book
    version: IntArray
    digest: Any
    accounts_version: int
    failures: list[Failure]
    ruleset: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Kept:
    account: Account
    version: int
    digest: bytes


class ShardBook:
    """The accounts of one shard.

    Parameters
    ----------
    tenant : str
        Whose accounts.
    shard : int
        The shard.
    assets : tuple of str
        Assets of the market.

    Notes
    -----
    Not thread-safe: one round at a time.
    """

    def __init__(self, tenant: str, shard: int, assets: tuple[str, ...]) -> None:
        self.tenant, self.shard, self.assets = tenant, shard, assets
        self._kept: dict[str, _Kept] = {}
        self._version = 0
        self._columns: tuple[dict[str, Any], ...] | None = None
        self._held: Held | None = None
        self._made_at: tuple[Any, ...] = ()
        self._rows: IntArray = np.zeros(0, np.int64)

    def refresh(self, connection: Connection) -> int:
        """Read what changed.

        Parameters
        ----------
        connection : Connection
            In a transaction that sees one state.

        Returns
        -------
        int
            ``shards.accounts_version`` of what is held now.
        """
        own = (shards.c.tenant_id == self.tenant) & (shards.c.shard == self.shard)
        newest = int(connection.execute(select(shards.c.accounts_version).where(own)).scalar_one())
        if newest != self._version:
            for row in changed_since(connection, self.tenant, self.shard, self._version):
                if row.deleted:
                    self._kept.pop(row.account_id, None)
                else:
                    self._kept[row.account_id] = _Kept(decode_body(bytes(row.body)), row.version, bytes(row.digest))
            self._version, self._columns, self._held = newest, None, None
        return newest

    def at(self, close_ns: int) -> Held:
        """Give the accounts as they stand at the close of a bar, or later where they were told later.

        Parameters
        ----------
        close_ns : int
            The close, nanoseconds.

        Returns
        -------
        Held
            Under the rules of that instant.
        """
        kept = list(self._kept.values())
        if self._columns is None:
            self._columns = account_columns([one.account for one in kept])
        columns = self._columns
        told = columns[0]["as_of"]
        as_of = np.maximum(told, close_ns)
        rules = _rules(columns[0]["ruleset"], close_ns, int(as_of.max(initial=close_ns)))
        held = self._held
        if held is not None and rules == self._made_at and _timeless(held.book, as_of):
            return replace(held, book=replace(held.book, as_of=as_of[self._rows]))
        book, failures = Book.from_columns({**columns[0], "as_of": as_of}, columns[1], columns[2], self.assets)
        wrong = {f.row for f in failures}
        self._rows = np.array([i for i in range(len(kept)) if i not in wrong], np.int64)
        version = np.array([one.version for one in kept], np.int64)[self._rows]
        digest = np.frombuffer(b"".join(one.digest for one in kept), np.uint8).reshape(-1, 32)[self._rows]
        names = columns[0]["ruleset"][self._rows].tolist()
        self._held, self._made_at = Held(book, version, digest, self._version, failures, names), rules
        return self._held

    @property
    def accounts(self) -> list[Account]:
        """What is held."""
        return [one.account for one in self._kept.values()]

    @property
    def rulesets(self) -> set[str]:
        """Names of their rules."""
        return set() if self._columns is None else set(self._columns[0]["ruleset"].tolist())

    @property
    def made(self) -> Held | None:
        """What `at` built last; the same object until accounts or their rules change."""
        return self._held


def book_of(accounts: Sequence[Account], assets: tuple[str, ...], close_ns: int) -> tuple[Book, list[Failure]]:
    """Build the book of accounts as they stand at the close of a bar, or later where they were told later.

    Parameters
    ----------
    accounts : sequence of Account
        The accounts.
    assets : tuple of str
        Assets of the market.
    close_ns : int
        The close, nanoseconds.

    Returns
    -------
    tuple of (Book, list of Failure)
        As `Book.from_accounts`.
    """
    head, positions, collateral = account_columns(accounts)
    return Book.from_columns({**head, "as_of": np.maximum(head["as_of"], close_ns)}, positions, collateral, assets)


def _rules(names: ObjectArray, *instants: int) -> tuple[Any, ...]:
    """The rules in force, the same objects between two changes."""
    times = [datetime.fromtimestamp(ns / 1e9, UTC) for ns in instants]
    known = sorted(set(names.tolist()).intersection(ruleset_names()))
    return tuple(load_ruleset(name, at) for name in known for at in times)


def _timeless(book: Book, as_of: IntArray) -> bool:
    """Whether nothing in the book runs off with time: no option, no scenario block, no expiry that has passed."""
    return book.blocks is None and bool((book.arrays.leg_expiry > as_of.max(initial=0)).all())
