"""A population: accounts in the columns of the parquet twins, and the type of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.errors import InputError
from models.typing import IntArray, ObjectArray
from training.population.kinds import TYPES

__all__ = ["Columns", "Population", "join_populations", "objects"]

Columns = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Population:
    """Sampled accounts in the columns of the parquet twins.

    Parameters
    ----------
    accounts, positions, collateral : dict of str to ndarray
        Columns for `Book.from_columns`; positions and collateral carry ``row``, the index of their account, in rising
        order.
    kind : ndarray of int64, shape (n,)
        Index into `TYPES`.

    Raises
    ------
    InputError
        If the rows of positions or collateral are not in the order of their accounts.
    """

    accounts: Columns
    positions: Columns
    collateral: Columns
    kind: IntArray

    def __post_init__(self) -> None:
        for name, table in (("positions", self.positions), ("collateral", self.collateral)):
            if (np.diff(table["row"]) < 0).any():
                raise InputError(f"{name}.row", "not in order", f"{name} in the order of their accounts")

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def regime(self) -> ObjectArray:
        """Margin regime of each account (`Kind.regime` of its type), shape (n,)."""
        return np.asarray(objects([k.regime for k in TYPES])[self.kind], object)

    def chunks(self, rows: int) -> Iterator[tuple[IntArray, Population]]:
        """Cut into consecutive pieces of at least ``rows`` accounts, never inside an instant.

        Parameters
        ----------
        rows : int
            Fewest accounts in a piece, but for the last one.

        Yields
        ------
        (ndarray of int64, Population)
            The positions of the accounts of a piece, and the piece: views of this one's columns, but for ``row``.
        """
        as_of = self.accounts["as_of"]
        first = 0
        for stop in np.append(np.flatnonzero(as_of[1:] != as_of[:-1]) + 1, len(self)).tolist():
            if stop > first and (stop - first >= rows or stop == len(self)):
                yield np.arange(first, stop), self.between(first, stop)
                first = stop

    def between(self, first: int, stop: int) -> Population:
        """Choose consecutive accounts.

        Parameters
        ----------
        first, stop : int
            Position of the first, and of the one behind the last.

        Returns
        -------
        Population
            The chosen accounts with their positions and collateral, as views but for ``row``.
        """
        tables = []
        for table in (self.positions, self.collateral):  # both are in the order of their accounts
            a, b = np.searchsorted(table["row"], (first, stop)).tolist()
            tables.append({name: v[a:b] - first if name == "row" else v[a:b] for name, v in table.items()})
        accounts = {name: column[first:stop] for name, column in self.accounts.items()}
        return Population(accounts, tables[0], tables[1], self.kind[first:stop])

    def take(self, rows: IntArray) -> Population:
        """Choose accounts by position, in rising order.

        Parameters
        ----------
        rows : ndarray of int64
            Positions, strictly rising.

        Returns
        -------
        Population
            The chosen accounts with their positions and collateral.
        """
        new = np.full(len(self), -1, np.int64)
        new[rows] = np.arange(len(rows))
        return Population(
            {name: column[rows] for name, column in self.accounts.items()},
            _cut(self.positions, new),
            _cut(self.collateral, new),
            self.kind[rows],
        )


def join_populations(parts: Sequence[Population], order: IntArray) -> Population:
    """Put populations together in a chosen order of accounts.

    Parameters
    ----------
    parts : sequence of Population
        At least one. Columns that only some have are filled: ``csa`` with None, ``implied_volatility`` with NaN.
    order : ndarray of int64, shape (n,)
        Place of each account in the result, in the order of the parts; a permutation.

    Returns
    -------
    Population
        All accounts.
    """
    start = np.cumsum([0, *(len(p) for p in parts)])
    accounts = _stacked([_with(p.accounts, "csa", None, object) for p in parts])
    source = np.argsort(order)
    tables = []
    for name, column in (("positions", "implied_volatility"), ("collateral", "")):
        pieces = []
        for part, first in zip(parts, start, strict=False):
            table: Columns = getattr(part, name)
            filled = _with(table, column, np.nan, np.float64) if column else table
            pieces.append({**filled, "row": order[filled["row"] + first]})
        table = _stacked(pieces)
        rows = np.argsort(table["row"], kind="stable")
        tables.append({key: values[rows] for key, values in table.items()})
    return Population(
        {name: values[source] for name, values in accounts.items()},
        tables[0],
        tables[1],
        np.concatenate([p.kind for p in parts])[source],
    )


def _with(table: Columns, name: str, value: Any, dtype: Any) -> Columns:
    size = len(next(iter(table.values())))
    return table if name in table else {**table, name: np.full(size, value, dtype)}


def _stacked(tables: Sequence[Columns]) -> Columns:
    return {name: np.concatenate([t[name] for t in tables]) for name in tables[0]}


def _cut(columns: Columns, new: IntArray) -> Columns:
    row = new[columns["row"]]
    keep = row >= 0
    return {name: (row if name == "row" else column)[keep] for name, column in columns.items()}


def objects(values: Sequence[Any]) -> ObjectArray:
    """An object array of the values as they are."""
    out = np.empty(len(values), object)
    out[:] = values
    return out
