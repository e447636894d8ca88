"""Bars into the store and out of it: append only, one writer at a time, a revision beside what it replaces."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, and_, func, insert, select

from serving.live.bars import Incoming
from serving.live.market import StoredBar
from serving.store import Store
from serving.store.lists import in_groups
from serving.store.tables import bars

__all__ = ["bars_after", "bars_now", "store_bars"]

Known = Callable[[str, int], tuple[float, ...] | None]
"""The bar of an asset at an open stamp that the files have; None where they have none."""
_NAMES = ("open", "high", "low", "close", "volume", "funding_rate")


def store_bars(
    store: Store, connection: Connection, incoming: Sequence[Incoming], known: Known, source: str, now_ns: int
) -> tuple[list[str], int]:
    """Store the bars that are new or different.

    Parameters
    ----------
    store : Store
        The store.
    connection : Connection
        In a transaction that writes; it holds the lock of bars from here on.
    incoming : sequence of Incoming
        Bars that were checked; of one asset and stamp the last one counts.
    known : callable
        Looks a bar up in the files of the market.
    source : str
        Where they came from.
    now_ns : int
        The present.

    Returns
    -------
    tuple of (list of str, int)
        For each bar ``"accepted"``, ``"revised"`` or ``"duplicate"``, and the newest number in the store.
    """
    store.lock_bars(connection)
    present = _present(connection, incoming)
    outcomes, rows = [], []
    for bar in incoming:
        key = (bar.asset, bar.open_ns)
        revision, values = present.get(key, (-1, None))
        values = known(*key) if values is None else values
        if values is not None and _same(values, bar.values):
            outcomes.append("duplicate")
            continue
        outcomes.append("accepted" if values is None else "revised")
        present[key] = (revision + 1, bar.values)
        rows.append(_row(bar, revision + 1, source, now_ns))
    if rows:
        connection.execute(insert(bars), rows)
    return outcomes, int(connection.execute(select(func.coalesce(func.max(bars.c.seq), 0))).scalar_one())


def bars_after(connection: Connection, seq: int) -> list[StoredBar]:
    """Read bars that came after a number, in their order.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    seq : int
        The number.

    Returns
    -------
    list of StoredBar
        All of them, revisions too.
    """
    return [_stored(row) for row in connection.execute(select(bars).where(bars.c.seq > seq).order_by(bars.c.seq))]


def bars_now(connection: Connection, from_ns: int) -> list[StoredBar]:
    """Read the newest revision of every bar.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    from_ns : int
        Only bars that open at or after it, nanoseconds.

    Returns
    -------
    list of StoredBar
        In the order of their numbers.
    """
    c = bars.c
    newest = (
        select(c.asset, c.open_ns, func.max(c.revision).label("revision"))
        .where(c.open_ns >= from_ns)
        .group_by(c.asset, c.open_ns)
        .subquery()
    )
    n = newest.c
    same = and_(c.asset == n.asset, c.open_ns == n.open_ns, c.revision == n.revision)
    return [_stored(row) for row in connection.execute(select(bars).join(newest, same).order_by(c.seq))]


def _present(connection: Connection, incoming: Sequence[Incoming]) -> dict[tuple[str, int], tuple[int, Any]]:
    """Revision and values of the bars that are stored at the stamps that came."""
    c = bars.c
    stamps = sorted({bar.open_ns for bar in incoming})
    found: dict[tuple[str, int], tuple[int, Any]] = {}
    for some in in_groups(stamps):
        wanted = select(bars).where(c.open_ns.in_(some)).order_by(c.revision)
        for row in connection.execute(wanted):
            found[row.asset, row.open_ns] = (row.revision, _stored(row).values)
    return found


def _stored(row: Any) -> StoredBar:
    volume = math.nan if row.volume is None else row.volume
    values = (row.open, row.high, row.low, row.close, volume, row.funding_rate or 0.0)
    return StoredBar(row.seq, row.asset, row.open_ns, values, row.received_ns)


def _row(bar: Incoming, revision: int, source: str, now_ns: int) -> dict[str, Any]:
    values = {name: None if math.isnan(v) else v for name, v in zip(_NAMES, bar.values, strict=True)}
    named = {"asset": bar.asset, "open_ns": bar.open_ns, "revision": revision}
    return values | named | {"source": source, "received_ns": now_ns}


def _same(a: Sequence[float], b: Sequence[float]) -> bool:
    return all(x == y or (math.isnan(x) and math.isnan(y)) for x, y in zip(a, b, strict=True))
