"""Chunks of a file of accounts: in columns, or as lines that nobody has decoded yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from features.sources.account_lines import Block, decode_block
from features.sources.account_tables import Columns
from models.errors import Failure
from models.typing import BoolArray, IntArray

__all__ = ["AccountChunk", "UnreadChunk"]


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

    @classmethod
    def join(cls, pieces: Sequence[AccountChunk]) -> AccountChunk:
        """Give the accounts and failures of several chunks, at least one, as one chunk."""
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
        return cls(tables[0], tables[1], tables[2], np.concatenate([p.line for p in pieces]), failures)

    def read(self) -> AccountChunk:
        """Give itself: it has been read."""
        return self

    def at_lines(self, failures: Iterable[Failure]) -> list[Failure]:
        """Failures of `Book.from_columns` on this chunk, with lines of the file for rows of the chunk."""
        return [replace(f, row=int(self.line[f.row])) if 0 <= f.row < len(self.line) else f for f in failures]

    def where(self, good: BoolArray) -> AccountChunk:
        """Give some of the accounts, with all failures.

        Parameters
        ----------
        good : ndarray of bool, shape (n,)
            Which.

        Returns
        -------
        AccountChunk
            In the same order.
        """
        new = np.cumsum(good) - 1
        tables = []
        for table in (self.positions, self.collateral):
            kept = good[table["row"]]
            tables.append({name: new[v[kept]] if name == "row" else v[kept] for name, v in table.items()})
        accounts = {name: values[good] for name, values in self.accounts.items()}
        return AccountChunk(accounts, tables[0], tables[1], self.line[good], self.failures)


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
        return AccountChunk.join([AccountChunk(*tables, lines, tuple(failures)) for tables, lines, failures in found])
