"""From accounts in columns to predictions in columns, each at the market of its instant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from features.answer import Forecast, copy_rows, empty_forecast
from features.moment import Moment
from features.sources.account_chunks import AccountChunk
from models.book import Book
from models.errors import Failure, MargincastError
from models.typing import BoolArray, IntArray, ObjectArray
from serving.engine import Engine
from serving.unpriced import unpriced

__all__ = ["Scored", "score"]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What was said about n accounts.

    Parameters
    ----------
    account_id : ndarray of object, shape (n,)
        Names.
    as_of, market_as_of : ndarray of int64, shape (n,)
        Instant of the account, and of the market that it was answered on, nanoseconds.
    seen : Forecast
        Of the n accounts.
    """

    account_id: ObjectArray
    as_of: IntArray
    market_as_of: IntArray
    seen: Forecast

    def __len__(self) -> int:
        return len(self.account_id)


def score(engine: Engine, chunks: Iterable[AccountChunk]) -> tuple[list[Scored], list[Failure]]:
    """Predict for accounts.

    Parameters
    ----------
    engine : Engine
        The model on the market.
    chunks : iterable of AccountChunk
        The accounts.

    Returns
    -------
    tuple of (list of Scored, list of Failure)
        A piece for each chunk with the good accounts in order; and the others, ``row`` is that of the table, from 1.
    """
    done: list[Scored] = []
    bad: list[Failure] = []
    for chunk in chunks:
        bad += chunk.failures
        book, refused = Book.from_columns(*chunk.columns, engine.panel.assets)
        bad += chunk.at_lines(refused)
        line = np.delete(chunk.line, [f.row for f in refused]) if refused else chunk.line
        done.append(_piece(engine, book, line, bad))
    return done, sorted(bad, key=lambda failure: failure.row)


def _piece(engine: Engine, book: Book, line: IntArray, bad: list[Failure]) -> Scored:
    """Score a book, group by group of accounts that share a bar."""
    n, newest = len(book), engine.newest
    market = np.full(n, newest.as_of, np.int64)
    if n and bool((book.as_of >= newest.as_of).all()) and _allowed(engine, int(book.as_of.max())):
        seen = newest.outlook(book)
        if engine.observer is not None:
            engine.observer(newest, book, seen)
    else:
        seen, market = _by_instant(engine, book, line, bad)
    known = (market > 0) & (seen.state >= 0)
    if known.all():
        return Scored(book.account_id, book.as_of, market, seen)
    moments: dict[int, Moment] = {}
    for i in np.flatnonzero((market > 0) & (seen.state < 0)).tolist():
        moment = moments.setdefault(int(market[i]), engine.moment_at(int(book.as_of[i])))
        bad.append(unpriced(book, i, int(line[i]), moment))
    return _kept(book, market, seen, known)


def _allowed(engine: Engine, as_of: int) -> bool:
    try:
        engine.moment_at(as_of)
    except MargincastError:
        return False
    return True


def _by_instant(engine: Engine, book: Book, line: IntArray, bad: list[Failure]) -> tuple[Forecast, IntArray]:
    """Forecast, and the market of each account; 0 where there is none."""
    out, market = empty_forecast(len(book), False), np.zeros(len(book), np.int64)
    times, group = np.unique(book.as_of, return_inverse=True)
    rows: dict[int, list[IntArray]] = {}
    moments: dict[int, Moment] = {}
    for i, as_of in enumerate(times.tolist()):
        mine = np.flatnonzero(group == i)
        try:
            moment = engine.moment_at(as_of)
        except MargincastError as error:
            bad += [Failure.from_error(error, int(line[j]), str(book.account_id[j])) for j in mine.tolist()]
            continue
        moments[moment.as_of] = moment
        rows.setdefault(moment.as_of, []).append(mine)
    for instant, parts in rows.items():
        mine = np.sort(np.concatenate(parts))
        market[mine] = instant
        copy_rows(moments[instant].outlook(book.take(mine)), mine, out)
    return out, market


def _kept(book: Book, market: IntArray, seen: Forecast, known: BoolArray) -> Scored:
    rows = np.flatnonzero(known)
    part = empty_forecast(len(rows), False)
    for name in part.__slots__:
        values = getattr(seen, name)
        if isinstance(values, np.ndarray):
            getattr(part, name)[...] = values[rows]
    return Scored(book.account_id[rows], book.as_of[rows], market[rows], part)
