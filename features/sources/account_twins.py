"""Accounts in parquet: three twin files in a folder, joined once, handed out in slices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.sources.account_tables import Columns, Tables, objects
from features.sources.tables import write_table
from models.errors import Failure, InputError
from models.margin.csa.terms import CsaTerms
from models.typing import IntArray

__all__ = ["Twins", "join_twins", "read_twins", "write_twins"]

_NEEDED: Final = {
    "accounts": ("account_id", "as_of", "ruleset", "currency"),
    "positions": ("account_id", "as_of", "symbol", "quantity", "entry_price"),
    "collateral": ("account_id", "as_of", "asset", "quantity"),
}
_EXTRA: Final = {
    "accounts": ("csa",),
    "positions": ("margin_mode", "isolated_margin", "leverage", "implied_volatility"),
    "collateral": (),
}
_NUMBERS: Final = ("quantity", "entry_price", "isolated_margin", "leverage", "implied_volatility")
_FEW: Final = ["ruleset", "currency", "symbol", "margin_mode", "asset"]
"""Texts that repeat: kept as codes."""
_AGREEMENT: Final = "csa"
"""Terms of a credit support annex: JSON, or null where an account has none."""


@dataclass(frozen=True, slots=True, eq=False)
class Twins:
    """The three files, joined; text stays in Arrow until a slice asks for it.

    Parameters
    ----------
    accounts, positions, collateral : pyarrow.Table
        Positions and collateral are in the order of their accounts.
    position_row, collateral_row : ndarray of int64
        Account of each of them.
    failures : tuple of Failure
        One for each position or balance that belongs to no account.
    """

    accounts: pa.Table
    positions: pa.Table
    collateral: pa.Table
    position_row: IntArray
    collateral_row: IntArray
    failures: tuple[Failure, ...]

    def __len__(self) -> int:
        return int(self.accounts.num_rows)

    def tables(self, first: int, stop: int) -> Tables:
        """Accounts ``first:stop`` as columns for `Book.from_columns`; ``csa`` is still the text of the file."""
        positions = _part(self.positions, self.position_row, first, stop)
        collateral = _part(self.collateral, self.collateral_row, first, stop)
        return _columns(self.accounts.slice(first, stop - first)), positions, collateral


def _part(table: pa.Table, row: IntArray, first: int, stop: int) -> Columns:
    a, b = np.searchsorted(row, [first, stop]).tolist()
    return {"row": row[a:b] - first, **_columns(table.slice(a, b - a))}


def _columns(table: pa.Table) -> Columns:
    return {name: _array(table[name]) for name in table.column_names}


def _array(column: pa.ChunkedArray) -> Any:
    """A writable array: text as objects, of which repeated texts are one."""
    if pa.types.is_dictionary(column.type):
        joined = column.unify_dictionaries().combine_chunks()
        parts = joined.chunks if isinstance(joined, pa.ChunkedArray) else [joined]
        held = [objects(part.dictionary.to_pylist())[part.indices.to_numpy(zero_copy_only=False)] for part in parts]
        return np.concatenate(held) if held else np.empty(0, object)
    if pa.types.is_string(column.type):
        return objects(column.to_pylist())
    return np.array(column.to_numpy())


def read_twins(folder: Path) -> Twins:
    """Read the three parquet files of a folder and join them.

    Parameters
    ----------
    folder : Path
        Holds ``accounts.parquet``, ``positions.parquet`` and ``collateral.parquet``.

    Returns
    -------
    Twins
        About a hundred bytes for each position.

    Raises
    ------
    InputError
        If a file or a column is missing or of the wrong type.
    """
    return _joined(*(_read(folder, name) for name in _NEEDED))


def join_twins(accounts: pa.Table, positions: pa.Table, collateral: pa.Table) -> Twins:
    """Join the three tables, as they stand in the files.

    Parameters
    ----------
    accounts, positions, collateral : pyarrow.Table
        Columns as in the files.

    Returns
    -------
    Twins
        The tables are checked.

    Raises
    ------
    InputError
        If a column is missing, in excess, or of the wrong type.
    """
    given = zip(_NEEDED, (accounts, positions, collateral), strict=True)
    return _joined(*(_table(name, name, table) for name, table in given))


def _joined(accounts: pa.Table, positions: pa.Table, collateral: pa.Table) -> Twins:
    keys = _Keys(accounts)
    failures: list[Failure] = []
    joined = []
    for name, table in (("positions", positions), ("collateral", collateral)):
        row = keys.rows(table)
        failures += _orphans(name, table, np.flatnonzero(row < 0))
        order = np.argsort(row, kind="stable")[np.count_nonzero(row < 0) :]
        table = table.drop_columns(["account_id", "as_of"])
        joined.append((table if np.array_equal(order, np.arange(len(row))) else table.take(order), row[order]))
    (positions, position_row), (collateral, collateral_row) = joined
    return Twins(accounts, positions, collateral, position_row, collateral_row, tuple(failures))


class _Keys:
    """Finds the account of an account_id and as_of; of several, the first."""

    def __init__(self, accounts: pa.Table) -> None:
        self._names = pc.unique(accounts["account_id"])
        self._times = np.unique(accounts["as_of"].to_numpy())
        key, _ = self._key(accounts)
        self._key_sorted, self._row = np.unique(key, return_index=True)

    def _key(self, table: pa.Table) -> tuple[IntArray, Any]:
        """One number for name and time, and whether both are known."""
        found = pc.index_in(table["account_id"], value_set=self._names)
        code = found.fill_null(-1).to_numpy().astype(np.int64)
        time = table["as_of"].to_numpy()
        at = np.searchsorted(self._times, time)
        known = code >= 0
        if len(self._times):
            known &= self._times[np.minimum(at, len(self._times) - 1)] == time
        return code * (len(self._times) + 1) + at, known

    def rows(self, table: pa.Table) -> IntArray:
        """Row of the account of each line, -1 where there is none."""
        key, known = self._key(table)
        if not len(self._row):
            return np.full(len(key), -1, np.int64)
        at = np.minimum(np.searchsorted(self._key_sorted, key), len(self._row) - 1)
        known &= self._key_sorted[at] == key
        return np.where(known, self._row[at], -1)


def _orphans(name: str, table: pa.Table, lost: IntArray) -> list[Failure]:
    out = []
    for i in lost.tolist():
        held = table["account_id"][i].as_py()
        message = f"{name} row {i + 1}: expected an account_id and as_of that accounts has, was {held!r}"
        out.append(Failure(i + 1, held, "invalid_input", f"{name}.account_id", message))
    return out


def _read(folder: Path, name: str) -> pa.Table:
    file = folder / f"{name}.parquet"
    try:
        schema = pq.read_schema(file)
        _only_known(str(file), name, schema.names)
        few = [column for column in _FEW if column in schema.names]
        table = pq.read_table(file, partitioning=None, read_dictionary=few)
    except FileNotFoundError:
        raise InputError("path", str(file), "a file that exists, next to its two twins") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError("path", str(file), f"a readable parquet file ({error})") from None
    return _table(str(file), name, table)


def _table(source: str, name: str, table: pa.Table) -> pa.Table:
    """A table with the types that are counted on; texts that repeat as codes."""
    _only_known(source, name, table.column_names)
    columns = {}
    for column in table.column_names:
        values = _checked(source, column, table[column])
        coded = column not in _FEW or pa.types.is_dictionary(values.type)
        columns[column] = values if coded else values.dictionary_encode()
    return pa.table(columns)


def _only_known(source: str, name: str, given: list[str]) -> None:
    wanted = (*_NEEDED[name], *_EXTRA[name])
    if set(given) - set(wanted) or set(_NEEDED[name]) - set(given) or len(set(given)) < len(given):
        raise InputError(f"{source}: columns", given, f"{', '.join(wanted)} and no other")


def _checked(source: str, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if name == "as_of":
        if not pa.types.is_timestamp(column.type) or column.type.tz is None or column.null_count:
            raise InputError(f"{source}: as_of", str(column.type), "a timestamp with a time zone in every row")
        return column.cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
    if name in _NUMBERS:
        try:
            return column.cast(pa.float64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise InputError(f"{source}: {name}", str(column.type), "numbers") from None
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if name == _AGREEMENT and pa.types.is_null(kind):
        return column.cast(pa.string())
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise InputError(f"{source}: {name}", str(column.type), "text")
    if column.null_count and name != _AGREEMENT:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0]) + 1
        raise InputError(f"{source}: {name} row {row}", None, "text")
    return column if pa.types.is_dictionary(column.type) and name in _FEW else column.cast(pa.string())


def write_twins(folder: Path, accounts: Columns, positions: Columns, collateral: Columns) -> None:
    """Write the three parquet files of a folder from columns.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    accounts, positions, collateral : dict
        As `columns_of` returns them, or with ``account_id`` and ``as_of`` in place of ``row``.
    """
    for name, table in (("accounts", accounts), ("positions", positions), ("collateral", collateral)):
        columns = dict(table)
        if "row" in columns:
            row = np.asarray(columns.pop("row"), np.int64)
            keys = {key: np.asarray(accounts[key])[row] for key in ("account_id", "as_of")}
            columns = keys | columns
        if _AGREEMENT in columns:
            columns[_AGREEMENT] = [_text(terms) for terms in columns[_AGREEMENT]]
        columns["as_of"] = np.asarray(columns["as_of"], np.int64).view("datetime64[ns]").astype("datetime64[us]")
        texts = [key for key in columns if key not in (*_NUMBERS, "as_of")]
        columns |= {key: pa.array(list(columns[key]), pa.string()) for key in texts}
        write_table(folder / f"{name}.parquet", columns)


@lru_cache(maxsize=1024)
def _text(terms: CsaTerms | None) -> str | None:
    return None if terms is None else msgspec.json.encode(terms).decode()
