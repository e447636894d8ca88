"""What was said to an account last, or up to an instant; and who is most at risk by what was said last."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, or_, select

from serving.ledger.page import Page, unpack
from serving.store.tables import AnyRow, ledger_pages, shards

__all__ = ["Reader", "Statement"]

_AT_ONCE = 64
_MOST_BYTES = 80 * 2**20
_ORDERS = 4
_HEAD = ("tenant_id", "shard", "page", "first_seq", "close_ns", "said_ns", "model_version", "kind", "account_id")
Rank = tuple[float, str]
Heads = list[tuple[int, int, bytes]]


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """What was said to one account.

    Parameters
    ----------
    page : int
        On which page of its shard.
    seq : int
        Number of the row in the ledger of the shard.
    said_ns, close_ns : int
        When it was said, and the close of the newest bar that it knew.
    model_version : str
        The model.
    row : numpy.void
        Of `serving.ledger.page.ROW`.
    """

    page: int
    seq: int
    said_ns: int
    close_ns: int
    model_version: str
    row: Any


@dataclass(frozen=True, slots=True, eq=False)
class _Order:
    """Accounts of a tenant by what was said last: highest P(call) first, then by name."""

    ranks: list[Rank]
    said: dict[str, Statement]


class Reader:
    """Reads the ledger, and keeps the pages that were read last: they never change.

    Parameters
    ----------
    most_bytes : int
        How much memory the kept pages may take; the newest one is always kept.

    Notes
    -----
    Safe to use from several threads.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._pages: OrderedDict[tuple[str, int, int, bytes], Page] = OrderedDict()
        self._bytes = 0
        self._orders: OrderedDict[tuple[str, int], tuple[Heads, _Order]] = OrderedDict()
        self._lock = threading.Lock()

    def past(
        self,
        connection: Connection,
        tenant: str,
        shard: int,
        account_id: str,
        until_ns: int | None = None,
        before: int | None = None,
    ) -> Iterator[Statement]:
        """Go back through what was said to an account.

        Parameters
        ----------
        connection : Connection
            In a transaction that sees one state.
        tenant : str
            Whose account.
        shard : int
            Its shard.
        account_id : str
            The account.
        until_ns : int, optional
            Only what was said up to this instant.
        before : int, optional
            Only pages below this number.

        Yields
        ------
        Statement
            Newest first.
        """
        p = ledger_pages.c
        own = [p.tenant_id == tenant, p.shard == shard, or_(p.account_id == account_id, p.account_id.is_(None))]
        if until_ns is not None:
            own.append(p.said_ns <= until_ns)
        wanted = select(*(p[name] for name in _HEAD), p.last_hash).where(*own).order_by(p.page.desc()).limit(_AT_ONCE)
        while True:
            heads = connection.execute(wanted if before is None else wanted.where(p.page < before)).all()
            for head in heads:
                page = self._page(connection, head)
                row = page.find(account_id)
                if row is not None:
                    yield _said(head, page, row)
            if len(heads) < _AT_ONCE:
                return
            before = heads[-1].page

    def ranked(
        self, connection: Connection, tenant: str, horizon: int, after: Rank | None = None
    ) -> Iterator[tuple[Rank, Statement]]:
        """List accounts by P(call) as it was said last, highest first.

        Parameters
        ----------
        connection : Connection
            In a transaction that sees one state.
        tenant : str
            Whose accounts.
        horizon : int
            Position in `models.typing.HORIZONS`.
        after : tuple of (float, str), optional
            Only what comes after this rank.

        Yields
        ------
        tuple of (Rank, Statement)
            The rank holds the negative of P(call), and the name. Accounts that were taken out since are still among
            them; those that had no price are not.
        """
        order = self._order(connection, tenant, horizon)
        start = 0 if after is None else bisect_right(order.ranks, after)
        for rank in order.ranks[start:]:
            yield rank, order.said[rank[1]]

    def _order(self, connection: Connection, tenant: str, horizon: int) -> _Order:
        s = shards.c
        heads = connection.execute(select(s.shard, s.ledger_page, s.ledger_hash).where(s.tenant_id == tenant)).all()
        key, now = (tenant, horizon), sorted((row.shard, row.ledger_page, bytes(row.ledger_hash)) for row in heads)
        with self._lock:
            then, kept = self._orders.get(key, (None, None))
            if kept is not None and then == now:
                self._orders.move_to_end(key)
                return kept
        said: dict[str, Statement] = {}
        for row in heads:
            self._latest(connection, tenant, row.shard, said)
        ranks = sorted((-p, name) for name, one in said.items() if np.isfinite(p := float(one.row["p_call"][horizon])))
        found = _Order(ranks, said)
        with self._lock:
            self._orders[key] = (now, found)
            self._orders.move_to_end(key)
            while len(self._orders) > _ORDERS:
                self._orders.popitem(last=False)
        return found

    def _latest(self, connection: Connection, tenant: str, shard: int, said: dict[str, Statement]) -> None:
        """What was said last in a shard: its last round, and what was said to single accounts since."""
        p = ledger_pages.c
        own = (p.tenant_id == tenant) & (p.shard == shard)
        last = select(p.page).where(own, p.kind == "round").order_by(p.page.desc()).limit(1)
        first = connection.execute(last).scalar_one_or_none() or 0
        columns = (*(p[name] for name in _HEAD), p.last_hash)
        for head in connection.execute(select(*columns).where(own, p.page >= first).order_by(p.page)).all():
            page = self._page(connection, head)
            for row, name in enumerate(page.account_ids()):
                said[name] = _said(head, page, row)

    def _page(self, connection: Connection, head: AnyRow) -> Page:
        key = (head.tenant_id, head.shard, head.page, bytes(head.last_hash))
        with self._lock:
            if key in self._pages:
                self._pages.move_to_end(key)
                return self._pages[key]
        p = ledger_pages.c
        own = (p.tenant_id == head.tenant_id) & (p.shard == head.shard) & (p.page == head.page)
        found = unpack(bytes(connection.execute(select(p.body).where(own)).scalar_one()))
        with self._lock:
            self._bytes += 0 if key in self._pages else found.weight
            self._pages[key] = found
            while self._bytes > self._most_bytes and len(self._pages) > 1:
                self._bytes -= self._pages.popitem(last=False)[1].weight
        return found


def _said(head: AnyRow, page: Page, row: int) -> Statement:
    return Statement(head.page, head.first_seq + row, head.said_ns, head.close_ns, head.model_version, page.rows[row])
