"""Maturing: what was said is replayed on what came, by the same replay that labels the training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, and_, case, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from features.valued import valued_at
from models.account import Account
from models.book import Book, account_columns
from models.margin.replay import Replay, replay
from models.market import MarketPanel
from models.typing import HORIZONS, MINUTE_NS, FloatArray
from serving.ledger.calibration import summary
from serving.ledger.inputs import acted_at, states
from serving.ledger.outcomes import OUTCOME, pack_outcomes
from serving.ledger.page import Page, unpack
from serving.store import Store
from serving.store.lists import in_groups
from serving.store.tables import AnyRow, ledger_outcomes, ledger_pages

__all__ = ["Matured", "due", "mature"]

_MOST_PAGES = 256
_MOST_ROWS = 50_000
_MOST_STATES = 200_000
_Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Matured:
    """What was done.

    Parameters
    ----------
    pages, rows : int
        How many were replayed.
    lost : int
        Rows among them whose account's state is no longer there.
    """

    pages: int = 0
    rows: int = 0
    lost: int = 0

    def __add__(self, other: Matured) -> Matured:
        return Matured(self.pages + other.pages, self.rows + other.rows, self.lost + other.lost)


def mature(
    store: Store,
    panel: MarketPanel,
    now_ns: int,
    tenant: str | None = None,
    most_pages: int = _MOST_PAGES,
    stopping: Callable[[], bool] = lambda: False,
) -> Matured:
    """Replay the pages of which a further horizon has passed.

    Parameters
    ----------
    store : Store
        The store.
    panel : MarketPanel
        The market since they were said.
    now_ns : int
        The present, noted as the time of maturing.
    tenant : str, optional
        Only of this tenant.
    most_pages : int
        Most pages in this call.
    stopping : callable
        Whether to leave the rest for another time; asked now and then.

    Returns
    -------
    Matured
        What was done; where it has `most_pages` pages there may be more.

    Raises
    ------
    StoreError
        If the database cannot carry it; pages that were done stay done.

    Notes
    -----
    Replicas that mature the same page at once write the same. Pages of a shard that were said on the same bar, a round
    and the accounts told after it, are replayed together.
    """
    total, last = Matured(), ("", -1)
    cache: dict[tuple[str, int], Account] = {}
    for rows, minutes in _together(store.query(lambda connection: due(connection, panel, tenant, most_pages))):
        if stopping():
            break
        here = (rows[0].tenant_id, rows[0].shard)
        if here != last or len(cache) > _MOST_STATES:
            last, cache = here, {}
        total += _mature_pages(store, panel, rows, minutes, cache, now_ns)
    return total


def _together(pages: Iterable[tuple[AnyRow, int]]) -> list[tuple[list[AnyRow], int]]:
    """Pages of one shard and bar with as many minutes, not too many rows at once; those of one shard stay together."""
    groups: dict[tuple[Any, ...], list[AnyRow]] = {}
    sizes: dict[tuple[Any, ...], int] = defaultdict(int)
    parts: dict[tuple[Any, ...], int] = defaultdict(int)
    for row, minutes in pages:
        kind = (row.tenant_id, row.shard, row.close_ns, minutes)
        if sizes[kind] and sizes[kind] + row.n > _MOST_ROWS:
            parts[kind], sizes[kind] = parts[kind] + 1, 0
        sizes[kind] += row.n
        groups.setdefault((*kind, parts[kind]), []).append(row)
    return [(groups[kind], kind[3]) for kind in sorted(groups)]


def due(
    connection: Connection, panel: MarketPanel, tenant: str | None = None, most: int = _MOST_PAGES
) -> list[tuple[AnyRow, int]]:
    """List the pages of which a further horizon has passed, those of one shard together.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    panel : MarketPanel
        The market.
    tenant : str, optional
        Only of this tenant.
    most : int
        Most pages; those said first come first.

    Returns
    -------
    list of (Row, int)
        tenant_id, shard, page, n; and how many minutes of market after it are known, a horizon. Pages from before the
        panel begins are not among them.
    """
    p, o = ledger_pages, ledger_outcomes
    joined = p.outerjoin(o, and_(p.c.tenant_id == o.c.tenant_id, p.c.shard == o.c.shard, p.c.page == o.c.page))
    before = [0, *HORIZONS[:-1]]
    began = p.c.close_ns + case((p.c.kind == "account", panel.step), else_=0)  # told within a bar, walked from the next
    further = [
        and_(began <= panel.end - h * MINUTE_NS, o.c.known_minutes == b if b else o.c.page.is_(None))
        for h, b in zip(HORIZONS, before, strict=True)
    ]
    wanted = select(p.c.tenant_id, p.c.shard, p.c.page, p.c.n, p.c.close_ns, began.label("began")).select_from(joined)
    wanted = wanted.where(p.c.close_ns >= panel.start, or_(*further))
    if tenant is not None:
        wanted = wanted.where(p.c.tenant_id == tenant)
    rows = connection.execute(wanted.order_by(p.c.close_ns, p.c.tenant_id, p.c.shard, p.c.page).limit(most)).all()
    ordered = sorted(rows, key=lambda row: (row.tenant_id, row.shard, row.page))
    return [(row, _passed(panel.end - row.began)) for row in ordered]


def _passed(nanoseconds: int) -> int:
    return max(h for h in HORIZONS if h * MINUTE_NS <= nanoseconds)


def _mature_pages(
    store: Store,
    panel: MarketPanel,
    rows: Sequence[AnyRow],
    minutes: int,
    cache: dict[tuple[str, int], Account],
    now_ns: int,
) -> Matured:
    """Replay the pages of one shard that were said on one bar, in one go."""
    tenant, shard, close_ns = rows[0].tenant_id, rows[0].shard, rows[0].close_ns
    numbers = [row.page for row in rows]

    def read(connection: Connection) -> tuple[list[Page], dict[_Key, Account], dict[_Key, int]]:
        pages = _pages(connection, tenant, shard, numbers)
        keys = list(dict.fromkeys(key for page in pages for key in _keys(page)))
        return pages, states(connection, tenant, shard, keys, cache), acted_at(connection, tenant, shard, keys)

    pages, found, acted = store.query(read)
    keys = [_keys(page) for page in pages]
    outcomes = _replayed([key for some in keys for key in some], found, acted, panel, close_ns, minutes)
    ends = np.cumsum([len(page) for page in pages])
    values = [
        {
            "tenant_id": tenant,
            "shard": shard,
            "page": number,
            "close_ns": close_ns,
            "known_minutes": minutes,
            "body": pack_outcomes(part),
            "summary": msgspec.to_builtins(summary(page.rows, part)),
            "complete": minutes == HORIZONS[-1],
            "matured_ns": now_ns,
        }
        for number, page, part in zip(numbers, pages, np.split(outcomes, ends[:-1]), strict=True)
    ]
    store.run(lambda connection: _keep(connection, values), idempotent=True)
    lost = sum(key not in found for some in keys for key in some)
    return Matured(len(pages), len(outcomes), lost)


def _pages(connection: Connection, tenant: str, shard: int, numbers: Sequence[int]) -> list[Page]:
    """Pages of a shard by their numbers."""
    c, found = ledger_pages.c, {}
    for some in in_groups(numbers):
        wanted = select(c.page, c.body).where(c.tenant_id == tenant, c.shard == shard, c.page.in_(some))
        found.update({row.page: unpack(bytes(row.body)) for row in connection.execute(wanted)})
    return [found[number] for number in numbers]


def _keys(page: Page) -> list[_Key]:
    return list(zip(page.account_ids(), page.rows["version"].tolist(), strict=True))


def _replayed(
    keys: Sequence[_Key],
    found: dict[_Key, Account],
    acted: dict[_Key, int],
    panel: MarketPanel,
    close_ns: int,
    minutes: int,
) -> NDArray[Any]:
    """Outcomes of the rows; those whose state is lost, or that the market does not know, are marked as gaps."""
    out = np.zeros(len(keys), OUTCOME)
    out["minutes_to_call"] = out["minutes_to_liquidation"] = np.nan
    out["acted_minutes"], out["gap"] = np.inf, True
    rows = [i for i, key in enumerate(keys) if key in found]
    accounts = [found[keys[i]] for i in rows]
    if not accounts:
        return out
    book, good = _book(accounts, panel, close_ns)
    seen = replay(book, panel, minutes)
    at = np.asarray(rows, np.int64)[good]
    began = panel.start + panel.row_after(book.as_of) * panel.step
    _fill(out, at, seen, np.clip((panel.end - began) / MINUTE_NS, 0, minutes))
    until = np.array([acted.get(keys[i], -1) for i in at.tolist()], np.float64)
    out["acted_minutes"][at] = np.where(until < 0, np.inf, np.maximum((until - began) / MINUTE_NS, 0.0))
    return out


def _book(accounts: Sequence[Account], panel: MarketPanel, close_ns: int) -> tuple[Book, NDArray[np.int64]]:
    """The accounts as they were scored: at the close, or later where they were told later; and which of them."""
    head, positions, collateral = account_columns(accounts)
    told = {**head, "as_of": np.maximum(head["as_of"], close_ns)}
    book, failures = Book.from_columns(told, positions, collateral, panel.assets)
    wrong = {failure.row for failure in failures}
    good = np.array([i for i in range(len(accounts)) if i not in wrong], np.int64)
    return valued_at(book, panel, close_ns), good


def _fill(out: NDArray[Any], at: NDArray[np.int64], seen: Replay, minutes: FloatArray) -> None:
    out["minutes_to_call"][at] = seen.minutes_to_call
    out["minutes_to_liquidation"][at] = seen.minutes_to_liquidation
    out["seen_minutes"][at], out["gap"][at] = minutes, seen.gap


def _keep(connection: Connection, values: Sequence[dict[str, Any]]) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(ledger_outcomes)
    own = ("tenant_id", "shard", "page")
    changed = {name: statement.excluded[name] for name in values[0] if name not in own}
    newer = ledger_outcomes.c.known_minutes <= statement.excluded.known_minutes
    kept = statement.on_conflict_do_update(index_elements=list(own), set_=changed, where=newer)
    connection.execute(kept, list(values))
