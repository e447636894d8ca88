"""Whether the ledger still says what was said: every page, every row, in their order, to the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, select

from models.errors import StoreError
from serving.ledger.chain import first_wrong, genesis, link
from serving.ledger.page import Page, Particulars, unpack
from serving.store.tables import AnyRow, ledger_pages, shards

__all__ = ["Anchor", "Fault", "Verified", "heads", "verify"]

_AT_ONCE = 4


class Anchor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the ledger of a shard ended once; kept elsewhere, it proves that nothing before was cut off or rewritten.

    Parameters
    ----------
    tenant : str
        The tenant.
    shard : int
        The shard.
    page : int
        Its last page, 0 where there was none.
    seq : int
        Number of its last row.
    hash : str
        Hash of its last row, hexadecimal.
    """

    tenant: str
    shard: int
    page: int
    seq: int
    hash: str


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with the ledger.

    Parameters
    ----------
    tenant : str
        The tenant.
    shard : int
        The shard.
    page : int
        The page.
    what : str
        What was expected and what was found.
    row : int or None
        Position of the row on the page, where one can be named.
    account_id : str or None
        The account of that row as it is written now.
    """

    tenant: str
    shard: int
    page: int
    what: str
    row: int | None = None
    account_id: str | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at.

    Parameters
    ----------
    shards, pages, rows : int
        How many.
    faults : list of Fault
        What is wrong; empty where all is right.
    """

    shards: int
    pages: int
    rows: int
    faults: list[Fault]


def heads(connection: Connection, tenant: str | None = None) -> list[Anchor]:
    """Say where the ledger ends now.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    tenant : str, optional
        Only of this tenant.

    Returns
    -------
    list of Anchor
        One for each shard.
    """
    wanted = select(shards).order_by(shards.c.tenant_id, shards.c.shard)
    if tenant is not None:
        wanted = wanted.where(shards.c.tenant_id == tenant)
    return [
        Anchor(row.tenant_id, row.shard, row.ledger_page, row.ledger_seq, bytes(row.ledger_hash).hex())
        for row in connection.execute(wanted)
    ]


def verify(connection: Connection, anchors: Iterable[Anchor] = (), tenant: str | None = None) -> Verified:
    """Compute every hash of the ledger anew.

    Parameters
    ----------
    connection : Connection
        In a transaction that sees one state.
    anchors : iterable of Anchor
        Where it ended once.
    tenant : str, optional
        Only of this tenant.

    Returns
    -------
    Verified
        With the first fault of each shard; what follows a fault cannot be judged.

    Notes
    -----
    Who can write to the database can rewrite the whole chain of a shard and its head: only an anchor that was kept
    elsewhere shows that.
    """
    known = {(a.tenant, a.shard, a.page): a for a in anchors if tenant in (None, a.tenant)}
    found = heads(connection, tenant)
    pages = rows = 0
    faults = _lost_shards(found, known)
    for head in found:
        mine = {page: a for (t, s, page), a in known.items() if (t, s) == (head.tenant, head.shard)}
        seen = _Walk(head.tenant, head.shard, mine)
        fault = seen.walk(connection, head)
        pages, rows = pages + seen.page, rows + seen.seq
        faults += [] if fault is None else [fault]
    return Verified(len(found), pages, rows, faults)


class _Walk:
    """One shard, from its first page to its last."""

    def __init__(self, tenant: str, shard: int, anchors: Mapping[int, Anchor]) -> None:
        self.tenant, self.shard, self.anchors = tenant, shard, anchors
        self.page, self.seq, self.hash = 0, 0, genesis(tenant, shard)

    def walk(self, connection: Connection, head: Anchor) -> Fault | None:
        for row in _pages(connection, self.tenant, self.shard):
            fault = self._step(row) or self._anchored()
            if fault is not None:
                return fault
        return self._ended(head)

    def _step(self, row: AnyRow) -> Fault | None:
        if row.page != self.page + 1 or row.first_seq != self.seq + 1:
            return self._fault(self.page + 1, f"expected page {self.page + 1}, it is missing: the next is {row.page}")
        if bytes(row.prev_hash) != self.hash:
            return self._fault(row.page, "expected the hash of the page before, the pages were exchanged or changed")
        try:
            page = unpack(bytes(row.body))
        except StoreError as error:
            return self._fault(row.page, str(error))
        if len(page) != row.n:
            return self._fault(row.page, f"expected {row.n} rows, were {len(page)}")
        last, checks = link(self.hash, _particulars(row).bytes(), page.names, page.ends, page.rows.tobytes())
        if last != bytes(row.last_hash) or checks != page.checks:
            return self._changed(row.page, page, checks)
        self.page, self.seq, self.hash = row.page, self.seq + row.n, last
        return None

    def _changed(self, number: int, page: Page, checks: bytes) -> Fault:
        at = first_wrong(checks, page.checks)
        if at is None:
            return self._fault(number, "expected another hash of its last row: it was changed")
        if at == 0:
            what = "expected another hash of its first row: it, or what the page says of itself, was changed"
        else:
            what = "expected another hash: the row was changed, moved, or one before it taken out"
        name = page.account_ids()[at] if at < len(page) else None
        return Fault(self.tenant, self.shard, number, what, at, name)

    def _anchored(self) -> Fault | None:
        anchor = self.anchors.get(self.page)
        if anchor is not None and (anchor.seq, anchor.hash) != (self.seq, self.hash.hex()):
            return self._fault(self.page, f"expected the hash of the anchor, {anchor.hash}: all of it was rewritten")
        return None

    def _ended(self, head: Anchor) -> Fault | None:
        if (head.page, head.seq, head.hash) != (self.page, self.seq, self.hash.hex()):
            return self._fault(self.page + 1, f"expected pages up to {head.page}, the last is {self.page}: cut off")
        last = max(self.anchors, default=0)
        if last > self.page:
            return self._fault(
                self.page + 1, f"expected pages up to {last} as in the anchor, the last is {self.page}: cut off"
            )
        return None

    def _fault(self, page: int, what: str) -> Fault:
        return Fault(self.tenant, self.shard, page, what)


def _pages(connection: Connection, tenant: str, shard: int) -> Iterator[AnyRow]:
    """Read the pages of a shard a few at a time: a long ledger does not fit into memory."""
    table, last = ledger_pages, None
    own = (table.c.tenant_id == tenant) & (table.c.shard == shard)
    wanted = select(table).where(own).order_by(table.c.page).limit(_AT_ONCE)
    while True:
        found = connection.execute(wanted if last is None else wanted.where(table.c.page > last)).all()
        yield from found
        if len(found) < _AT_ONCE:
            return
        last = found[-1].page


def _particulars(row: AnyRow) -> Particulars:
    named = {name: getattr(row, name) for name in Particulars.__struct_fields__ if name != "tenant"}
    return Particulars(tenant=row.tenant_id, **named)


def _lost_shards(found: list[Anchor], known: Mapping[tuple[str, int, int], Anchor]) -> list[Fault]:
    there = {(head.tenant, head.shard) for head in found}
    lost = {(tenant, shard) for tenant, shard, _ in known} - there
    return [Fault(t, s, 0, "expected the shard of the anchor, it is gone") for t, s in sorted(lost)]
