"""Tables to disk, whole or not at all: written beside the target, then renamed over it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from models.errors import InputError

__all__ = ["TABLE_SUFFIXES", "TableWriter", "atomic_path", "write_table"]

TABLE_SUFFIXES: Final = (".parquet", ".csv", ".jsonl")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A path to write to, that becomes `path` only if the block ends well.

    Parameters
    ----------
    path : str or Path
        The file to make or to replace. Its folder is made where it is missing.

    Yields
    ------
    Path
        A name in the same folder; renamed at the end, removed after an error.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder) / "a.txt") as part:
    ...         _ = part.write_text("whole")
    ...     (Path(folder) / "a.txt").read_text()
    'whole'
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{uuid4().hex}.part")
    try:
        yield part
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


class TableWriter:
    """Writes a table in pieces, as parquet, CSV or JSON Lines by the suffix of the path.

    Parameters
    ----------
    path : str or Path
        ``.parquet``, ``.csv`` or ``.jsonl``. Nothing stands there until the block of ``with`` ends well.

    Raises
    ------
    InputError
        If the suffix is another one.

    Notes
    -----
    All pieces must have the columns of the first. Memory is that of one piece.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with TableWriter(Path(folder) / "p.csv") as table:
    ...         table.write({"account_id": ["a"], "p_call": np.array([0.25])})
    ...         table.write({"account_id": ["b"], "p_call": np.array([0.5])})
    ...     print((Path(folder) / "p.csv").read_text())
    "account_id","p_call"
    "a",0.25
    "b",0.5
    <BLANKLINE>
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.rows = 0
        self._sink: Any = None
        self._schema: pa.Schema | None = None
        if self.path.suffix not in TABLE_SUFFIXES:
            raise InputError("path", str(path), f"a name that ends in {', '.join(TABLE_SUFFIXES)}")

    def __enter__(self) -> TableWriter:
        self._atomic = atomic_path(self.path)
        self._part = self._atomic.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._sink is None and error[0] is None:
            self._part.touch()
        if self._sink is not None:
            self._sink.close()
        self._atomic.__exit__(*error)

    def write(self, columns: Mapping[str, Any]) -> None:
        """Append rows.

        Parameters
        ----------
        columns : mapping of str to array_like
            Columns of equal length; every call with the same names.
        """
        piece = pa.table({name: as_arrow(values) for name, values in columns.items()})
        if self._schema is None:
            self._schema = piece.schema
            self._sink = self._open(piece.schema)
        self._append(piece.select(self._schema.names).cast(self._schema))
        self.rows += len(piece)

    def _open(self, schema: pa.Schema) -> Any:
        if self.path.suffix == ".parquet":
            return pq.ParquetWriter(self._part, schema, compression="zstd")
        if self.path.suffix == ".csv":
            return pa_csv.CSVWriter(self._part, schema)
        return self._part.open("wb")

    def _append(self, piece: pa.Table) -> None:
        if self.path.suffix != ".jsonl":
            self._sink.write_table(piece)
            return
        encoder = msgspec.json.Encoder()
        for batch in piece.to_batches(max_chunksize=65_536):
            self._sink.write(encoder.encode_lines(batch.to_pylist()))


def as_arrow(values: Any) -> pa.Array:
    """Arrow array of a column; datetime64 arrays are UTC stamps."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        array = pa.array(values)
        return array.cast(pa.timestamp(array.type.unit, "UTC"))
    return pa.array(values)


def write_table(path: str | Path, columns: Mapping[str, Any]) -> None:
    """Write one table, whole or not at all.

    Parameters
    ----------
    path : str or Path
        ``.parquet``, ``.csv`` or ``.jsonl``.
    columns : mapping of str to array_like
        Columns of equal length. ``datetime64`` arrays are taken as UTC.

    Raises
    ------
    InputError
        If the suffix is another one.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_table(Path(folder) / "p.jsonl", {"account_id": ["a"], "p_call": [0.25]})
    ...     (Path(folder) / "p.jsonl").read_text()
    '{"account_id":"a","p_call":0.25}\\n'
    """
    with TableWriter(path) as table:
        table.write(columns)
