"""The accounts to learn from, given in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.sources.accounts import read_account_chunks
from margincast.cli.console import note
from models.errors import InputError
from models.typing import IntArray

if TYPE_CHECKING:
    from training.population import Population

__all__ = ["own_population"]


def own_population(path: Path) -> Population:
    """Read accounts as a population, in order of time.

    Parameters
    ----------
    path : Path
        JSON Lines, or a folder of parquet twins. One account may be there at many instants.

    Returns
    -------
    Population
        All of them; those with several positions count as type "multi" in reports, the others as "core".

    Raises
    ------
    InputError
        If there is no account in the file.
    """
    from training.population import TYPES, Population

    chunks, failures, size = [], 0, 0
    for chunk in read_account_chunks(path):
        tables = [dict(table) for table in chunk.columns]
        for table in tables[1:]:
            table["row"] = table["row"] + size
        chunks.append(tables)
        size += len(chunk)
        failures += len(chunk.failures)
    if failures:
        note(f"note: {failures} lines of {path} are no accounts and were left out; `margincast margin` lists them")
    if not size:
        raise InputError("accounts", str(path), "a file with at least one account")
    accounts, positions, collateral = (_join([tables[k] for tables in chunks]) for k in range(3))
    order = np.argsort(accounts["as_of"], kind="stable")
    place = np.empty(size, np.int64)
    place[order] = np.arange(size)
    accounts = {name: column[order] for name, column in accounts.items()}
    positions, collateral = _moved(positions, place), _moved(collateral, place)
    names = [kind.name for kind in TYPES]
    several = np.bincount(positions["row"], minlength=size) > 1
    return Population(accounts, positions, collateral, np.where(several, names.index("multi"), names.index("core")))


def _join(tables: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _moved(table: dict[str, Any], place: IntArray) -> dict[str, Any]:
    row = place[table["row"]]
    order = np.argsort(row, kind="stable")
    return {**{name: column[order] for name, column in table.items()}, "row": row[order]}
