"""What only the whole of a file of accounts shows, chunk after chunk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from features.sources.account_chunks import AccountChunk
from features.sources.account_lines import FIRST_LINES, SHAPE
from models.errors import Failure, InputError
from models.typing import BoolArray, IntArray, ObjectArray

__all__ = ["Intake"]


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
        return replace(piece.where(~again), failures=tuple(sorted(failures, key=lambda f: f.row)))

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
