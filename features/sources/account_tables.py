"""Accounts in columns: the parquet twins, and the way between them and account values."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.sources.tables import write_table
from models.account import Account, Collateral, Position
from models.errors import Failure, InputError
from models.typing import BoolArray, IntArray, ObjectArray

__all__ = ["Columns", "accounts_of", "columns_of", "read_twins", "write_twins"]

Columns = dict[str, Any]
Tables = tuple[Columns, Columns, Columns]

_NEEDED: Final = {
    "accounts": ("account_id", "as_of", "ruleset", "currency"),
    "positions": ("account_id", "as_of", "symbol", "quantity", "entry_price"),
    "collateral": ("account_id", "as_of", "asset", "quantity"),
}
_EXTRA: Final = {"accounts": (), "positions": ("margin_mode", "isolated_margin", "leverage"), "collateral": ()}
_NUMBERS: Final = ("quantity", "entry_price", "isolated_margin", "leverage")


def columns_of(accounts: Sequence[Account]) -> Tables:
    """Columns of accounts, for `Book.from_columns`.

    Parameters
    ----------
    accounts : sequence of Account
        Times must carry a zone.

    Returns
    -------
    tuple of three dict
        Accounts, positions, collateral; the latter two carry ``row``, the position of their account.
    """
    positions = list(chain.from_iterable([a.positions for a in accounts]))
    held = list(chain.from_iterable([a.collateral for a in accounts]))
    n = np.arange(len(accounts))
    return (
        {
            "account_id": objects([a.account_id for a in accounts]),
            "as_of": _times(accounts),
            "ruleset": objects([a.ruleset for a in accounts]),
            "currency": objects([a.currency for a in accounts]),
        },
        {
            "row": np.repeat(n, [len(a.positions) for a in accounts]),
            "symbol": objects([p.symbol for p in positions]),
            "quantity": np.array([p.quantity for p in positions], np.float64),
            "entry_price": np.array([p.entry_price for p in positions], np.float64),
            "margin_mode": objects([p.margin_mode for p in positions]),
            "isolated_margin": np.array([p.isolated_margin for p in positions], np.float64),
            "leverage": np.array([p.leverage for p in positions], np.float64),
        },
        {
            "row": np.repeat(n, [len(a.collateral) for a in accounts]),
            "asset": objects([c.asset for c in held]),
            "quantity": np.array([c.quantity for c in held], np.float64),
        },
    )


def _times(accounts: Sequence[Account]) -> IntArray:
    """Nanoseconds; equal neighbours, as in a snapshot of many accounts, are converted once."""
    out, last, ns = np.empty(len(accounts), np.int64), None, 0
    for i, account in enumerate(accounts):
        if account.as_of != last:
            last = account.as_of
            ns = (int(last.replace(microsecond=0).timestamp()) * 1_000_000 + last.microsecond) * 1000
        out[i] = ns
    return out


def objects(values: Sequence[Any]) -> ObjectArray:
    """An object array of the values as they are."""
    out = np.empty(len(values), object)
    out[:] = values
    return out


def accounts_of(accounts: Columns, positions: Columns, collateral: Columns) -> list[Account]:
    """Account values of columns that carry ``row``; the reverse of `columns_of`.

    Parameters
    ----------
    accounts, positions, collateral : dict
        Columns as `columns_of` returns them.

    Returns
    -------
    list of Account
        In the order of the columns.
    """
    from datetime import UTC, datetime, timedelta

    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    n = len(accounts["account_id"])
    legs: list[list[Position]] = [[] for _ in range(n)]
    held: list[list[Collateral]] = [[] for _ in range(n)]
    for row, values in _records(positions, ("symbol", "quantity", "entry_price", *_EXTRA["positions"])):
        legs[row].append(Position(**{k: v for k, v in values.items() if v is not None}))
    for row, values in _records(collateral, ("asset", "quantity")):
        held[row].append(Collateral(**values))
    return [
        Account(
            account_id=accounts["account_id"][i],
            as_of=epoch + timedelta(microseconds=int(accounts["as_of"][i]) // 1000),
            ruleset=accounts["ruleset"][i],
            currency=accounts["currency"][i],
            collateral=tuple(held[i]),
            positions=tuple(legs[i]),
        )
        for i in range(n)
    ]


def _records(columns: Columns, names: Sequence[str]) -> list[tuple[int, Columns]]:
    held = [name for name in names if name in columns]
    lists = [_plain(name, columns[name]) for name in held]
    rows = np.asarray(columns["row"]).tolist()
    return [(row, dict(zip(held, values, strict=True))) for row, *values in zip(rows, *lists, strict=True)]


def _plain(name: str, values: Any) -> list[Any]:
    plain: list[Any] = np.asarray(values).tolist()
    return [None if v != v else v for v in plain] if name in ("isolated_margin", "leverage") else plain


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
        columns["as_of"] = np.asarray(columns["as_of"], np.int64).view("datetime64[ns]").astype("datetime64[us]")
        texts = [key for key in columns if key not in (*_NUMBERS, "as_of")]
        columns |= {key: pa.array(list(columns[key]), pa.string()) for key in texts}
        write_table(folder / f"{name}.parquet", columns)


def read_twins(folder: Path) -> tuple[Tables, list[Failure]]:
    """Read the three parquet files of a folder and join them.

    Parameters
    ----------
    folder : Path
        Holds ``accounts.parquet``, ``positions.parquet`` and ``collateral.parquet``.

    Returns
    -------
    tuple of (tables, list of Failure)
        Columns with ``row``, positions and collateral in the order of their accounts; a failure for each position or
        balance that belongs to no account.

    Raises
    ------
    InputError
        If a file or a column is missing or of the wrong type.
    """
    accounts, positions, collateral = (_read(folder, name) for name in _NEEDED)
    failures: list[Failure] = []
    ids, times = _Codes(accounts["account_id"]), np.unique(accounts["as_of"])
    key = ids.of(accounts["account_id"]) * (len(times) + 1) + np.searchsorted(times, accounts["as_of"])
    order = np.argsort(key, kind="stable")
    for name, table in (("positions", positions), ("collateral", collateral)):
        row = _rows(table, ids, times, key[order], order)
        failures += _orphans(name, table, row < 0)
        kept = np.flatnonzero(row >= 0)
        kept = kept[np.argsort(row[kept], kind="stable")]
        for column in table:
            table[column] = table[column][kept]
        table["row"] = row[kept]
    return (accounts, positions, collateral), failures


class _Codes:
    """Whole numbers for names."""

    def __init__(self, names: ObjectArray) -> None:
        self._names = pd.Index(pd.unique(names))

    def of(self, names: ObjectArray) -> IntArray:
        """The number of each name, -1 for one that is not known."""
        return np.asarray(self._names.get_indexer(names), np.int64)


def _rows(table: Columns, ids: _Codes, times: IntArray, keys: IntArray, order: IntArray) -> IntArray:
    """Row of the account of each line, -1 where there is none."""
    code = ids.of(table["account_id"])
    at = np.searchsorted(times, table["as_of"])
    known = (code >= 0) & (times[np.minimum(at, len(times) - 1)] == table["as_of"]) if len(times) else code > code
    wanted = code * (len(times) + 1) + at
    found = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    known &= keys[found] == wanted if len(keys) else False
    return np.where(known, order[found] if len(order) else -1, -1)


def _orphans(name: str, table: Columns, lost: BoolArray) -> list[Failure]:
    out = []
    for i in np.flatnonzero(lost):
        held = str(table["account_id"][i])
        message = f"{name} row {i + 1}: expected an account_id and as_of that accounts.parquet has, was {held!r}"
        out.append(Failure(int(i) + 1, held, "invalid_input", f"{name}.account_id", message))
    return out


def _read(folder: Path, name: str) -> Columns:
    file = folder / f"{name}.parquet"
    wanted = (*_NEEDED[name], *_EXTRA[name])
    try:
        schema = pq.read_schema(file)
        lost = [column for column in _NEEDED[name] if column not in schema.names]
        unknown = [column for column in schema.names if column not in wanted]
        if lost or unknown:
            raise InputError(f"{file}: columns", schema.names, f"{', '.join(wanted)} and no other")
        table = pq.read_table(file, partitioning=None)
    except FileNotFoundError:
        raise InputError("path", str(file), "a file that exists, next to its two twins") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError("path", str(file), f"a readable parquet file ({error})") from None
    return {column: _column(file, column, table[column]) for column in table.column_names}


def _column(file: Path, name: str, column: pa.ChunkedArray) -> Any:
    if name == "as_of":
        if not pa.types.is_timestamp(column.type) or column.type.tz is None or column.null_count:
            raise InputError(f"{file}: as_of", str(column.type), "a timestamp with a time zone in every row")
        return np.array(column.cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy())
    if name in _NUMBERS:
        try:
            return np.array(column.cast(pa.float64()).to_numpy())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise InputError(f"{file}: {name}", str(column.type), "numbers") from None
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_dictionary)
    if not any(is_kind(column.type) for is_kind in kinds):
        raise InputError(f"{file}: {name}", str(column.type), "text")
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0]) + 1
        raise InputError(f"{file}: {name} row {row}", None, "text")
    return np.asarray(column.cast(pa.string()).to_pandas(), object)
