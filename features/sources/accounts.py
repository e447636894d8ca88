"""Accounts from and to disk: JSON Lines or parquet twins, in chunks of columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np

from features.sources.account_chunks import AccountChunk, UnreadChunk
from features.sources.account_intake import Intake
from features.sources.account_lines import decode_account, decode_agreement, line_chunks
from features.sources.account_tables import Columns, accounts_of, columns_of, objects
from features.sources.account_twins import Twins, read_twins, write_twins
from features.sources.tables import atomic_path
from models.account import Account, validate_account
from models.errors import Failure, InputError, MargincastError
from models.margin.csa.terms import CsaTerms

__all__ = [
    "chunks_of_twins",
    "decode_account",
    "read_account_chunks",
    "read_accounts",
    "read_unread_chunks",
    "write_account_columns",
    "write_accounts",
]


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
    return replace(read.where(good), failures=tuple(sorted((*piece.failures, *bad), key=lambda f: f.row)))


def _rows_between(table: Columns, first: int, stop: int) -> Columns:
    a, b = np.searchsorted(table["row"], [first, stop])
    return {name: values[a:b] - first if name == "row" else values[a:b] for name, values in table.items()}


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
