"""From a file of accounts to books, chunk by chunk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from models.errors import Failure, InputError, MargincastError

if TYPE_CHECKING:
    from features.sources.account_chunks import AccountChunk
    from margincast.cli.markets import MarketWindow
    from models.book import Book
    from models.market import MarketPanel
    from models.typing import BoolArray, IntArray

__all__ = ["CHUNK", "Chunk", "book_of", "placed", "read_all", "read_books", "read_chunks"]

CHUNK: Final = 10_000
"""Accounts that are worked on together."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Some accounts of a file.

    Parameters
    ----------
    book : Book
        The good ones.
    line : ndarray of int64, shape (n,)
        Line of each in its file.
    failures : list of Failure
        The bad ones, by line.
    panel : MarketPanel
        The market that the book refers to.
    """

    book: Book
    line: IntArray
    failures: list[Failure]
    panel: MarketPanel

    def between(self, first: int | None, last: int | None) -> Chunk:
        """Keep the accounts from `first` to `last` (nanoseconds, both included); None is open."""
        as_of = self.book.as_of
        kept = (as_of >= (as_of if first is None else first)) & (as_of <= (as_of if last is None else last))
        rows = kept.nonzero()[0]
        return self if len(rows) == len(as_of) else replace(self, book=self.book.take(rows), line=self.line[rows])

    def refuse(self, bad: BoolArray, error: Callable[[int], MargincastError]) -> Chunk:
        """Turn some of the good accounts into failures.

        Parameters
        ----------
        bad : ndarray of bool, shape (n,)
            Which.
        error : callable
            The reason for the account at a position of the book.

        Returns
        -------
        Chunk
            The others, and more failures.
        """
        if not bad.any():
            return self
        ids = self.book.account_id
        more = [Failure.from_error(error(i), int(self.line[i]), str(ids[i])) for i in bad.nonzero()[0].tolist()]
        good = (~bad).nonzero()[0]
        whole = sorted([*self.failures, *more], key=lambda failure: failure.row)
        return replace(self, book=self.book.take(good), line=self.line[good], failures=whole)


def read_books(path: Path, window: MarketWindow, at: int | None = None) -> Iterator[Chunk]:
    """Read accounts as books, chunk by chunk; accounts of the future are failures.

    Parameters
    ----------
    path : Path
        JSON Lines, or a folder of parquet twins.
    window : MarketWindow
        Where their market is.
    at : int or None
        Instant that replaces the accounts' own, nanoseconds.

    Yields
    ------
    Chunk
        In the order of the file.

    Raises
    ------
    InputError
        If the file as a whole is not a file of accounts.
    """
    now = time.time_ns()
    for part in read_chunks(path, CHUNK, at):
        yield book_of(part, window.panel_for(part), now)


def book_of(part: AccountChunk, panel: MarketPanel, now: int) -> Chunk:
    """Make a book of accounts in columns; those that are no account, or of the future, are failures.

    Parameters
    ----------
    part : AccountChunk
        Accounts of a file.
    panel : MarketPanel
        Their market.
    now : int
        What is not yet the future, nanoseconds.

    Returns
    -------
    Chunk
        The good ones as a book, the others by line.
    """
    import numpy as np

    from models.book import Book

    book, failures = Book.from_columns(*part.columns, panel.assets)
    line = np.delete(part.line, [f.row for f in failures]) if failures else part.line
    bad = sorted([*part.failures, *part.at_lines(failures)], key=lambda failure: failure.row)
    return _refuse_future(Chunk(book, line, bad, panel), now)


def read_chunks(path: Path, size: int, at: int | None = None) -> Iterator[AccountChunk]:
    """Read accounts in columns.

    Parameters
    ----------
    path : Path
        JSON Lines, or a folder of parquet twins.
    size : int
        Most accounts of a chunk.
    at : int or None
        Instant that replaces the accounts' own, nanoseconds.

    Yields
    ------
    AccountChunk
        In the order of the file.
    """
    from features.sources.accounts import read_account_chunks

    for part in read_account_chunks(path, size):
        yield placed(part, at)


def read_all(path: Path, most: int, at: int | None = None) -> AccountChunk:
    """Read the accounts of a file at once.

    Parameters
    ----------
    path : Path
        JSON Lines, or a folder of parquet twins.
    most : int
        Most good accounts; other lines do not count.
    at : int or None
        Instant that replaces the accounts' own, nanoseconds.

    Returns
    -------
    AccountChunk
        All of them, and the lines that are none.

    Raises
    ------
    InputError
        If there is no good account, or there are more.
    """
    from features.sources.account_chunks import AccountChunk

    held, count = [], 0
    for part in read_chunks(path, CHUNK, at):
        count += len(part)
        if count <= most:
            held.append(part)
    if not 1 <= count <= most:
        raise InputError("ACCOUNTS", count, f"from 1 to {most} good accounts")
    return AccountChunk.join(held)


def placed(part: AccountChunk, at: int | None) -> AccountChunk:
    """Place accounts at one instant.

    Parameters
    ----------
    part : AccountChunk
        Accounts.
    at : int or None
        Instant that replaces their own, nanoseconds; None leaves them where they are.

    Returns
    -------
    AccountChunk
        The same accounts.
    """
    import numpy as np

    return part if at is None else replace(part, accounts={**part.accounts, "as_of": np.full(len(part), at, np.int64)})


def _refuse_future(chunk: Chunk, now: int) -> Chunk:
    from features.sources.times import iso

    def reason(i: int) -> InputError:
        return InputError("as_of", iso(int(chunk.book.as_of[i])), f"a time that is not in the future (now {iso(now)})")

    return chunk.refuse(chunk.book.as_of > now, reason)
