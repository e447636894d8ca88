"""The calibration of what was said, for a desk to read and for Prometheus to scrape."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, func, select

from models.typing import DAY_NS
from serving.ledger.calibration import Score, Sums, add, score
from serving.ledger.intervals import block_of, with_intervals
from serving.store.tables import ledger_outcomes, ledger_pages

__all__ = ["Calibration", "WeekScores", "calibration", "week_rows"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONDAY = 4  # 1970-01-05
_WEEK_NS = 7 * DAY_NS
_WEEKLY = (
    "horizon_minutes", "n", "expected", "called", "ratio", "log_loss", "prior_log_loss", "skill", "ece", "censored",
)  # fmt: skip


class WeekScores(Struct, frozen=True, kw_only=True):
    """One week, from Monday 00:00 UTC, by the close of the bar that the predictions knew."""

    week: str
    horizons: list[Score]


class Calibration(Struct, frozen=True, kw_only=True):
    """How true what was said has been: over all of the time asked for, and by week.

    ``pages`` counts what was said together and has been replayed at least for the shortest horizon, ``waiting`` what
    has not. Accounts in a call already, without positions or without a price are left out.
    """

    since: datetime
    pages: int
    waiting: int
    horizons: list[Score]
    weeks: list[WeekScores]


def calibration(connection: Connection, tenant: str | None, since_ns: int) -> Calibration:
    """Judge what was said since an instant.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    tenant : str or None
        To whom; None: to everybody.
    since_ns : int
        Close of the first bar that counts.

    Returns
    -------
    Calibration
        With None where there is nothing to judge.
    """
    weeks: dict[int, list[Sums]] = {}
    blocks: dict[int, list[Sums]] = {}
    pages = 0
    for close_ns, part in _summaries(connection, tenant, since_ns):
        for kept, name in ((weeks, (close_ns - _MONDAY * DAY_NS) // _WEEK_NS), (blocks, block_of(close_ns))):
            kept[name] = add([kept[name], part]) if name in kept else part
        pages += 1
    said = select(func.count()).select_from(ledger_pages).where(ledger_pages.c.close_ns >= since_ns)
    if tenant is not None:
        said = said.where(ledger_pages.c.tenant_id == tenant)
    return Calibration(
        since=_EPOCH + timedelta(microseconds=since_ns // 1000),
        pages=pages,
        waiting=int(connection.execute(said).scalar_one()) - pages,
        horizons=with_intervals(blocks),
        weeks=[WeekScores(week=_named(week), horizons=score(sums)) for week, sums in sorted(weeks.items())],
    )


def week_rows(found: Calibration, horizon_minutes: int | None = None) -> list[dict[str, str | int | float | None]]:
    """Give what was said and what came, week by week, as plain rows.

    Parameters
    ----------
    found : Calibration
        From `calibration`.
    horizon_minutes : int, optional
        Only this horizon.

    Returns
    -------
    list of dict
        By week, then horizon: ``week``, ``horizon_minutes``, ``n`` predictions whose outcome is known, calls that were
        ``expected`` and those that were ``called``, their ``ratio``, ``log_loss``, ``prior_log_loss``, ``skill``,
        ``ece``, and how many were ``censored``; None where there is nothing to judge.

    Examples
    --------
    >>> week_rows(Calibration(since=_EPOCH, pages=0, waiting=0, horizons=[], weeks=[]))
    []
    """
    return [
        {"week": one.week, **{name: getattr(row, name) for name in _WEEKLY}}
        for one in found.weeks
        for row in one.horizons
        if horizon_minutes in (None, row.horizon_minutes)
    ]


def _summaries(connection: Connection, tenant: str | None, since_ns: int) -> Iterator[tuple[int, list[Sums]]]:
    o = ledger_outcomes.c
    wanted = select(o.close_ns, o.summary).where(o.close_ns >= since_ns)
    if tenant is not None:
        wanted = wanted.where(o.tenant_id == tenant)
    for row in connection.execute(wanted):
        yield row.close_ns, msgspec.convert(row.summary, list[Sums])


def _named(week: int) -> str:
    year, number, _ = (_EPOCH + timedelta(days=_MONDAY + 7 * week)).isocalendar()
    return f"{year}-W{number:02d}"
