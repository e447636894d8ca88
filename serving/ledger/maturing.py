"""Maturing: what was said is replayed on what came, by the same replay that labels the training."""

from __future__ import annotations

from collections.abc import Sequence
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
from serving.store.tables import AnyRow, ledger_outcomes, ledger_pages

__all__ = ["Matured", "due", "mature"]

_MOST_PAGES = 256
_MOST_STATES = 200_000


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
    store: Store, panel: MarketPanel, now_ns: int, tenant: str | None = None, most_pages: int = _MOST_PAGES
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
    Replicas that mature the same page at once write the same.
    """
    total, last = Matured(), ("", -1)
    cache: dict[tuple[str, int], Account] = {}
    for row, minutes in store.query(lambda connection: due(connection, panel, tenant, most_pages)):
        if (row.tenant_id, row.shard) != last or len(cache) > _MOST_STATES:
            last, cache = (row.tenant_id, row.shard), {}
        total += _mature_page(store, panel, row, minutes, cache, now_ns)
    return total


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
        tenant_id, shard, page; and how many minutes of market after it are known, a horizon. Pages from before the
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
    wanted = select(p.c.tenant_id, p.c.shard, p.c.page, p.c.close_ns, began.label("began")).select_from(joined)
    wanted = wanted.where(p.c.close_ns >= panel.start, or_(*further))
    if tenant is not None:
        wanted = wanted.where(p.c.tenant_id == tenant)
    rows = connection.execute(wanted.order_by(p.c.close_ns, p.c.tenant_id, p.c.shard, p.c.page).limit(most)).all()
    ordered = sorted(rows, key=lambda row: (row.tenant_id, row.shard, row.page))
    return [(row, _passed(panel.end - row.began)) for row in ordered]


def _passed(nanoseconds: int) -> int:
    return max(h for h in HORIZONS if h * MINUTE_NS <= nanoseconds)


def _mature_page(
    store: Store, panel: MarketPanel, row: AnyRow, minutes: int, cache: dict[tuple[str, int], Account], now_ns: int
) -> Matured:
    tenant, shard, number = row.tenant_id, row.shard, row.page

    def read(connection: Connection) -> tuple[Page, dict[tuple[str, int], Account], dict[str, int]]:
        own = (ledger_pages.c.tenant_id == tenant) & (ledger_pages.c.shard == shard) & (ledger_pages.c.page == number)
        page = unpack(bytes(connection.execute(select(ledger_pages.c.body).where(own)).scalar_one()))
        keys = _keys(page)
        return page, states(connection, tenant, shard, keys, cache), acted_at(connection, tenant, shard, keys)

    page, found, acted = store.query(read)
    outcomes = _replayed(page, found, acted, panel, row.close_ns, minutes)
    lost = len(page) - len(found)
    values = {
        "tenant_id": tenant,
        "shard": shard,
        "page": number,
        "close_ns": row.close_ns,
        "known_minutes": minutes,
        "body": pack_outcomes(outcomes),
        "summary": msgspec.to_builtins(summary(page.rows, outcomes)),
        "complete": minutes == HORIZONS[-1],
        "matured_ns": now_ns,
    }
    store.run(lambda connection: _keep(connection, values), idempotent=True)
    return Matured(1, len(page), lost)


def _keys(page: Page) -> list[tuple[str, int]]:
    return list(zip(page.account_ids(), page.rows["version"].tolist(), strict=True))


def _replayed(
    page: Page,
    found: dict[tuple[str, int], Account],
    acted: dict[str, int],
    panel: MarketPanel,
    close_ns: int,
    minutes: int,
) -> NDArray[Any]:
    """Outcomes of the rows; those whose state is lost, or that the market does not know, are marked as gaps."""
    out = np.zeros(len(page), OUTCOME)
    out["minutes_to_call"] = out["minutes_to_liquidation"] = np.nan
    out["acted_minutes"], out["gap"] = np.inf, True
    keys = _keys(page)
    rows = [i for i, key in enumerate(keys) if key in found]
    accounts = [found[keys[i]] for i in rows]
    if not accounts:
        return out
    book, good = _book(accounts, panel, close_ns)
    seen = replay(book, panel, minutes)
    at = np.asarray(rows, np.int64)[good]
    began = panel.start + panel.row_after(book.as_of) * panel.step
    _fill(out, at, seen, np.clip((panel.end - began) / MINUTE_NS, 0, minutes))
    until = np.array([acted.get(keys[i][0], -1) for i in at.tolist()], np.float64)
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


def _keep(connection: Connection, values: dict[str, Any]) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(ledger_outcomes).values(values)
    own = ("tenant_id", "shard", "page")
    changed = {name: statement.excluded[name] for name in values if name not in own}
    newer = ledger_outcomes.c.known_minutes <= statement.excluded.known_minutes
    connection.execute(statement.on_conflict_do_update(index_elements=list(own), set_=changed, where=newer))
