"""Accounts under the rules of other dates, at the prices of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from margincast.cli import books
from margincast.cli.moments import priced
from models.book import Book
from models.errors import Failure, InputError
from models.instrument import parse_symbol

if TYPE_CHECKING:
    from features.sources.account_chunks import AccountChunk
    from margincast.cli.books import Chunk
    from margincast.cli.markets import MarketWindow
    from models.typing import FloatArray

__all__ = ["UnderRules", "read_under_rules"]


@dataclass(frozen=True, slots=True, eq=False)
class UnderRules:
    """Some accounts of a file, the prices at their instants, and a book under the rules of each date.

    Parameters
    ----------
    chunk : Chunk
        The accounts that all rules accept, under the rules of their own instants, and all failures by line.
    prices, ages : ndarray, shape (n, A)
        As `margincast.cli.moments.priced` gives them.
    books : tuple of Book
        The same n accounts under the rules of each date, in order.
    """

    chunk: Chunk
    prices: FloatArray
    ages: FloatArray
    books: tuple[Book, ...]


def read_under_rules(path: Path, window: MarketWindow, at: int | None, dates: Sequence[int]) -> Iterator[UnderRules]:
    """Read accounts with their prices, and put them under the rules of one date or more.

    Parameters
    ----------
    path : Path
        JSON Lines, or a folder of parquet twins.
    window : MarketWindow
        Where their market is.
    at : int or None
        Instant of the prices, nanoseconds; each account's own where None.
    dates : sequence of int
        Instants of the rules, nanoseconds; they may lie in the future.

    Yields
    ------
    UnderRules
        In the order of the file.

    Raises
    ------
    InputError
        If the file as a whole is not a file of accounts.
    """
    readers = (books.read_chunks(path, books.CHUNK, date) for date in dates)
    for chunk, *parts in zip(books.read_books(path, window, at), *readers, strict=True):
        yield _under(chunk, parts)


def _under(chunk: Chunk, parts: Sequence[AccountChunk]) -> UnderRules:
    refused = _options(parts[0])
    found = []
    for part in parts:
        book, failures = Book.from_columns(*part.columns, chunk.panel.assets)
        refused = {f.row: f for f in part.at_lines(failures)} | refused
        found.append((book, np.delete(part.line, [f.row for f in failures]) if failures else part.line))
    known = {f.row for f in chunk.failures}
    chunk = _without(chunk, {line: f for line, f in refused.items() if line not in known})
    good, prices, ages = priced(chunk)
    books = tuple(book.take(np.searchsorted(line, good.line)) for book, line in found)
    return UnderRules(good, prices, ages, books)


def _without(chunk: Chunk, refused: dict[int, Failure]) -> Chunk:
    """Leave out the accounts that some rules refuse."""
    kept = np.flatnonzero(~np.isin(chunk.line, list(refused))) if refused else np.arange(len(chunk.line))
    failures = sorted([*chunk.failures, *refused.values()], key=lambda failure: failure.row)
    return books.Chunk(chunk.book.take(kept), chunk.line[kept], failures, chunk.panel)


def _options(part: AccountChunk) -> dict[int, Failure]:
    """Refuse accounts that hold options, whose value moves with the date, by line."""
    symbols: Any = part.positions["symbol"]
    options = {s for s in set(symbols.tolist()) if _is_option(s)}
    expected = "no option with --as-of: its value moves with the date, so that a change of rules cannot be told apart"
    out: dict[int, Failure] = {}
    for i in np.flatnonzero(np.isin(symbols.astype(str), list(options))).tolist() if options else ():
        row = int(part.positions["row"][i])
        line, error = int(part.line[row]), InputError("positions.symbol", symbols[i], expected)
        out.setdefault(line, Failure.from_error(error, line, str(part.accounts["account_id"][row])))
    return out


def _is_option(symbol: Any) -> bool:
    try:
        return parse_symbol(symbol).kind == "option"
    except InputError:
        return False
