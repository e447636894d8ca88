"""Accounts from and to disk: JSON Lines or parquet twins, in chunks of columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from features.sources.account_lines import (
    FIRST_LINES,
    SHAPE,
    Block,
    decode_account,
    decode_agreement,
    decode_block,
    line_chunks,
)
from features.sources.account_tables import Columns, accounts_of, columns_of, objects
from features.sources.account_twins import Twins, read_twins, write_twins
from features.sources.tables import atomic_path
from models.account import Account, validate_account
from models.errors import Failure, InputError, MargincastError
from models.margin.csa.terms import CsaTerms
from models.typing import BoolArray, IntArray, ObjectArray

__all__ = [
    "AccountChunk",
    "Intake",
    "UnreadChunk",
    "chunks_of_twins",
    "decode_account",
    "read_account_chunks",
    "read_accounts",
    "read_unread_chunks",
    "write_account_columns",
    "write_accounts",
]


@dataclass(frozen=True, slots=True, eq=False)
class AccountChunk:
    """Some accounts of a file in columns, and what could not be read among them.

    Parameters
    ----------
    accounts, positions, collateral : dict of str to ndarray
        As `Book.from_columns` takes them; positions and collateral carry ``row``.
    line : ndarray of int64, shape (n,)
        Line of each account in its file, from 1 (row of ``accounts.parquet`` for the twins).
    failures : tuple of Failure
        Lines that are no account, or that repeat one; ``row`` is the line.
    """

    accounts: Columns
    positions: Columns
    collateral: Columns
    line: IntArray
    failures: tuple[Failure, ...] = ()

    def __len__(self) -> int:
        return len(self.line)

    @property
    def columns(self) -> tuple[Columns, Columns, Columns]:
        """The three tables, in the order of `Book.from_columns`."""
        return self.accounts, self.positions, self.collateral

    def read(self) -> AccountChunk:
        """Give itself: it has been read."""
        return self

    def at_lines(self, failures: Iterable[Failure]) -> list[Failure]:
        """Failures of `Book.from_columns` on this chunk, with lines of the file for rows of the chunk."""
        return [replace(f, row=int(self.line[f.row])) if 0 <= f.row < len(self.line) else f for f in failures]


@dataclass(frozen=True, slots=True, eq=False)
class UnreadChunk:
    """Some lines of a file that nobody has decoded yet.

    Parameters
    ----------
    blocks : tuple of (int, bytes or None)
        Whole lines with the number of the first; None for a line that is too long.
    """

    blocks: tuple[Block, ...]

    def read(self) -> AccountChunk:
        """Decode the lines into accounts and failures; repeated accounts are still among them."""
        found = [decode_block(*block) for block in self.blocks]
        return _join([AccountChunk(*tables, lines, tuple(failures)) for tables, lines, failures in found])


def read_account_chunks(path: str | Path, chunk: int = 50_000) -> Iterator[AccountChunk]:
    """Read accounts in chunks; one bad line never loses a good one.

    Parameters
    ----------
    path : str or Path
        A JSON Lines file, or a folder with the parquet twins.
    chunk : int
        Lines of a chunk, blank and bad ones included, at least 1; accounts for the twins.

    Yields
    ------
    AccountChunk
        Accounts in the order of the file. Of accounts with the same ``account_id`` and ``as_of`` the first is kept,
        the others are failures.

    Raises
    ------
    InputError
        If the file as a whole is not what it should be: binary, an endless line, a JSON array, a missing column, 1000
        bad lines or more before any good one.

    Notes
    -----
    Memory is that of one chunk for JSON Lines, plus 8 bytes an account to notice duplicates; the twins are held as
    compact columns. Values (signs, finiteness, symbols) are checked where they are used: `Book.from_columns` returns a
    failure for each account it refuses, `AccountChunk.at_lines` gives it its line.
    """
    intake = Intake(path)
    for piece in read_unread_chunks(path, chunk):
        found = intake.take(piece.read())
        if found is piece or len(found) or found.failures:  # lines may all be blank
            yield found


def read_unread_chunks(path: str | Path, chunk: int = 50_000) -> Iterator[UnreadChunk | AccountChunk]:
    """Cut a file as `read_account_chunks` does, but leave lines as they are: whoever works on them decodes them.

    Parameters
    ----------
    path : str or Path
        A JSON Lines file, or a folder with the parquet twins.
    chunk : int
        Lines of a chunk, at least 1; accounts for the twins.

    Yields
    ------
    UnreadChunk or AccountChunk
        Lines; columns for the twins. Each goes through `Intake`, in their order.

    Raises
    ------
    InputError
        As `read_account_chunks`.
    """
    if chunk < 1:
        raise InputError("chunk", chunk, "at least 1")
    source = Path(path)
    if source.is_dir():
        yield from _twin_chunks(read_twins(source), chunk)
    else:
        yield from map(UnreadChunk, line_chunks(source, chunk))


def _join(pieces: list[AccountChunk]) -> AccountChunk:
    if len(pieces) == 1:
        return pieces[0]
    shift = np.cumsum([0] + [len(piece) for piece in pieces[:-1]])
    tables = []
    for tables_of_one in zip(*(piece.columns for piece in pieces), strict=True):
        joined = {name: np.concatenate([table[name] for table in tables_of_one]) for name in tables_of_one[0]}
        if "row" in joined:
            joined["row"] += np.repeat(shift, [len(table["row"]) for table in tables_of_one])
        tables.append(joined)
    failures = tuple(failure for piece in pieces for failure in piece.failures)
    return AccountChunk(tables[0], tables[1], tables[2], np.concatenate([p.line for p in pieces]), failures)


def chunks_of_twins(twins: Twins, chunk: int = 50_000) -> Iterator[AccountChunk]:
    """Hand out joined tables in chunks, as `read_account_chunks` does for their files.

    Parameters
    ----------
    twins : Twins
        The tables.
    chunk : int
        Most accounts of a chunk, at least 1.

    Yields
    ------
    AccountChunk
        Accounts in order; lines count from 1.
    """
    intake = Intake("twins")
    for piece in _twin_chunks(twins, chunk):
        yield intake.take(piece)


def _twin_chunks(twins: Twins, chunk: int) -> Iterator[AccountChunk]:
    for first in range(0, max(len(twins), 1), chunk):
        stop = min(first + chunk, len(twins))
        failures = twins.failures if first == 0 else ()
        yield _with_agreements(AccountChunk(*twins.tables(first, stop), np.arange(first + 1, stop + 1), failures))


def _with_agreements(piece: AccountChunk) -> AccountChunk:
    """The terms of credit support annexes as values; accounts whose terms are wrong become failures."""
    if "csa" not in piece.accounts:
        return piece
    terms: dict[str | None, CsaTerms | InputError | None] = {None: None}
    for text in piece.accounts["csa"]:
        if text not in terms:
            try:
                terms[text] = decode_agreement(text)
            except InputError as error:
                terms[text] = error
    held = [terms[text] for text in piece.accounts["csa"]]
    names, lines = piece.accounts["account_id"], piece.line.tolist()
    bad = [Failure.from_error(e, lines[i], names[i]) for i, e in enumerate(held) if isinstance(e, InputError)]
    read = replace(piece, accounts=piece.accounts | {"csa": objects(held)})
    if not bad:
        return read
    good = np.array([not isinstance(found, InputError) for found in held])
    return replace(_keep(read, good), failures=tuple(sorted((*piece.failures, *bad), key=lambda f: f.row)))


def _rows_between(table: Columns, first: int, stop: int) -> Columns:
    a, b = np.searchsorted(table["row"], [first, stop])
    return {name: values[a:b] - first if name == "row" else values[a:b] for name, values in table.items()}


class Intake:
    """What only the whole of a file shows: accounts that come again, noticed from 8 bytes for each, and no good line.

    Parameters
    ----------
    path : str or Path
        The file, for the error.

    Examples
    --------
    >>> intake = Intake("accounts.jsonl")
    >>> noon, one = np.array([43_200_000_000_000]), np.array(["a"], object)
    >>> intake.admits(one, noon, 0), intake.admits(one, noon, 0)
    (True, False)
    """

    def __init__(self, path: str | Path) -> None:
        self._path, self._good, self._bad = str(path), False, 0
        self._hashes: list[IntArray] = []

    def take(self, piece: AccountChunk) -> AccountChunk:
        """Take the next chunk in.

        Parameters
        ----------
        piece : AccountChunk
            As it was read.

        Returns
        -------
        AccountChunk
            Without the accounts that were there before; they are failures.

        Raises
        ------
        InputError
            If there have been 1000 bad lines and no good one.
        """
        self._good = self._good or len(piece) > 0
        self._bad += len(piece.failures)
        if not self._good and self._bad >= FIRST_LINES:
            why = f"{SHAPE}; no good one in {self._bad} lines: {piece.failures[0].message}"
            raise InputError("path", self._path, why)
        keys = _keys(piece.accounts["account_id"], piece.accounts["as_of"])
        again = self._again(keys)
        self._add(keys[~again])
        if not again.any():
            return piece
        failures = piece.failures + tuple(_repeated(piece, int(i)) for i in np.flatnonzero(again))
        return replace(_keep(piece, ~again), failures=tuple(sorted(failures, key=lambda f: f.row)))

    def admits(self, names: ObjectArray, times: IntArray, bad: int) -> bool:
        """Take in a chunk that was read elsewhere, if `take` would leave it as it is; else nothing is taken in.

        Parameters
        ----------
        names : ndarray of object, shape (n,)
            ``account_id``.
        times : ndarray of int64, shape (n,)
            ``as_of``.
        bad : int
            Lines that are no account.

        Returns
        -------
        bool
            False where accounts come again or no line is good: the chunk must go through `take`.
        """
        keys = _keys(names, times)
        if (bad and not len(keys)) or self._again(keys).any():
            return False
        self._good = self._good or len(keys) > 0
        self._add(keys)
        return True

    def _again(self, keys: IntArray) -> BoolArray:
        again = np.zeros(len(keys), bool)
        again[np.setdiff1d(np.arange(len(keys)), np.unique(keys, return_index=True)[1])] = True
        for older in self._hashes:
            again |= _among(keys, older)
        return again

    def _add(self, keys: IntArray) -> None:
        self._hashes.append(np.sort(keys))
        self._merge()

    def _merge(self) -> None:
        """Few, long arrays: each at least twice the one after it."""
        while len(self._hashes) > 1 and len(self._hashes[-2]) < 2 * len(self._hashes[-1]):
            last = self._hashes.pop()
            self._hashes[-1] = np.sort(np.concatenate([self._hashes[-1], last]))


def _keys(names: ObjectArray, times: IntArray) -> IntArray:
    return np.fromiter(map(hash, zip(names, times.tolist(), strict=True)), np.int64, len(times))


def _among(keys: IntArray, known: IntArray) -> Any:
    if not len(known):
        return np.zeros(len(keys), bool)
    return known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys


def _repeated(piece: AccountChunk, row: int) -> Failure:
    name, line = str(piece.accounts["account_id"][row]), int(piece.line[row])
    message = f"account_id: expected one line for each account_id and as_of, was {name!r} again in line {line}"
    return Failure(line, name, "duplicate", "account_id", message)


def _keep(piece: AccountChunk, good: Any) -> AccountChunk:
    new = np.cumsum(good) - 1
    tables = []
    for table in (piece.positions, piece.collateral):
        kept = good[table["row"]]
        tables.append({name: new[v[kept]] if name == "row" else v[kept] for name, v in table.items()})
    accounts = {name: values[good] for name, values in piece.accounts.items()}
    return AccountChunk(accounts, tables[0], tables[1], piece.line[good], piece.failures)


def read_accounts(path: str | Path) -> tuple[list[Account], list[Failure]]:
    """Read a file of accounts as values, checked one by one; for files that fit in memory.

    Parameters
    ----------
    path : str or Path
        A JSON Lines file, or a folder with the parquet twins.

    Returns
    -------
    tuple of (list of Account, list of Failure)
        The good accounts in order, and the bad lines in order.

    Raises
    ------
    InputError
        As `read_account_chunks`.

    Examples
    --------
    >>> import tempfile
    >>> text = '{"account_id": "a", "as_of": "2025-03-01T12:00:00Z", "ruleset": "r", "currency": "USDT"}'
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "accounts.jsonl"
    ...     _ = path.write_text(text + "\\n" + text + "\\n")
    ...     accounts, failures = read_accounts(path)
    >>> len(accounts), failures[0].code, failures[0].row
    (1, 'duplicate', 2)
    """
    good: list[Account] = []
    bad: list[Failure] = []
    for piece in read_account_chunks(path):
        bad += piece.failures
        for account, line in zip(accounts_of(*piece.columns), piece.line.tolist(), strict=True):
            try:
                validate_account(account)
                good.append(account)
            except MargincastError as error:
                bad.append(Failure.from_error(error, line, account.account_id))
    return good, sorted(bad, key=lambda failure: failure.row)


def write_accounts(path: str | Path, accounts: Iterable[Account]) -> int:
    """Write accounts, whole or not at all.

    Parameters
    ----------
    path : str or Path
        ``.jsonl`` for JSON Lines; a name without suffix is a folder for the parquet twins.
    accounts : iterable of Account
        JSON Lines are written as they come, in flat memory.

    Returns
    -------
    int
        How many.

    Raises
    ------
    InputError
        If the suffix is another one.
    """
    target = Path(path)
    if not _is_lines(target):
        held = list(accounts)
        write_twins(target, *columns_of(held))
        return len(held)
    encoder, count, rest = msgspec.json.Encoder(), 0, iter(accounts)
    with atomic_path(target) as part, part.open("wb") as file:
        while some := list(islice(rest, 10_000)):
            file.write(encoder.encode_lines(some))
            count += len(some)
    return count


def write_account_columns(path: str | Path, accounts: Columns, positions: Columns, collateral: Columns) -> int:
    """Write accounts given in columns; see `write_accounts`.

    Parameters
    ----------
    path : str or Path
        ``.jsonl``, or a folder.
    accounts, positions, collateral : dict
        Columns with ``row`` in positions and collateral.

    Returns
    -------
    int
        How many.
    """
    if _is_lines(Path(path)):
        return write_accounts(path, accounts_of(accounts, positions, collateral))
    write_twins(Path(path), accounts, positions, collateral)
    return len(accounts["account_id"])


def _is_lines(path: Path) -> bool:
    if path.suffix in ("", ".parquet"):
        if path.suffix and not path.is_dir():
            raise InputError("path", str(path), "a name that ends in .jsonl, or a folder for the parquet twins")
        return False
    if path.suffix not in (".jsonl", ".ndjson"):
        raise InputError("path", str(path), "a name that ends in .jsonl, or a folder for the parquet twins")
    return True
