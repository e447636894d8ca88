"""Training sets on disk: one parquet file, or a folder of parts that are encoded where they are built."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np

from models.errors import InputError
from models.typing import HORIZONS
from training.dataset import PER_HORIZON, PER_PAIR, Dataset, concatenate, join_fingerprints

__all__ = ["Part", "encode_part", "read_dataset", "write_dataset", "write_parts"]

_PIECES: Final = "at least one piece (is any account inside the market's period?)"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a training set as a parquet file of one row group.

    Parameters
    ----------
    content : bytes
        The file.
    rows : int
        One for each pair and horizon.
    fingerprint : str
        Of the piece.
    counts : dict of str to int
        What was left out, by reason.
    """

    content: bytes
    rows: int
    fingerprint: str
    counts: dict[str, int]


@dataclass(slots=True)
class _Tally:
    """What the pieces of a dataset add up to."""

    rows: int
    prints: list[str]
    counts: dict[str, int]

    def add(self, rows: int, fingerprint: str, counts: dict[str, int]) -> None:
        self.rows += rows
        self.prints.append(fingerprint)
        self.counts = {k: self.counts.get(k, 0) + counts.get(k, 0) for k in sorted({*self.counts, *counts})}


def encode_part(piece: Dataset) -> Part:
    """Encode a piece, wherever it was built.

    Parameters
    ----------
    piece : Dataset
        Rows.

    Returns
    -------
    Part
        A fifth of its size in memory, or less.
    """
    import pyarrow.parquet as pq

    buffer = BytesIO()
    table = _to_table(piece)
    pq.write_table(table, buffer, compression="zstd")
    return Part(buffer.getvalue(), table.num_rows, piece.fingerprint, piece.counts)


def write_parts(parts: Iterable[Part], folder: str | Path) -> int:
    """Write parts to a folder, a file each, whole or not at all.

    Parameters
    ----------
    parts : iterable of Part
        Of one build, in order; only one is held at a time.
    folder : str or Path
        The folder; one that holds a training set is replaced.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    InputError
        If something else stands there, or there is no part.
    """
    from features.sources.parts import PartsWriter

    tally = _Tally(0, [], {})
    with PartsWriter(folder) as written:
        for part in parts:
            written.write(part.content, part.rows)
            tally.add(part.rows, part.fingerprint, part.counts)
        if not tally.prints:
            raise InputError("pieces", 0, _PIECES)
        written.about = {"fingerprint": join_fingerprints(tally.prints), "counts": tally.counts}
    return tally.rows


def write_dataset(pieces: Iterable[Dataset], path: str | Path) -> int:
    """Write pieces to one parquet file, a row group each: one row for each pair and horizon.

    Parameters
    ----------
    pieces : iterable of Dataset
        Pieces of one build, in order; only one is held at a time.
    path : str or Path
        The file; replaced if it is there, and untouched until all is written.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    InputError
        If there is no piece.
    """
    import pyarrow.parquet as pq

    from features.sources.tables import atomic_path

    tally, writer = _Tally(0, [], {}), None
    with atomic_path(path) as part:
        try:
            for piece in pieces:
                table = _to_table(piece)
                if writer is None:
                    writer = pq.ParquetWriter(part, table.schema, compression="zstd")
                writer.write_table(table)
                tally.add(table.num_rows, piece.fingerprint, piece.counts)
            if writer is None:
                raise InputError("pieces", 0, _PIECES)
            joined, counts = join_fingerprints(tally.prints), json.dumps(tally.counts)
            writer.add_key_value_metadata({"margincast.fingerprint": joined, "margincast.counts": counts})
        finally:
            if writer is not None:
                writer.close()
    return tally.rows


def read_dataset(path: str | Path) -> Dataset:
    """Read what :func:`write_dataset` or :func:`write_parts` wrote.

    Parameters
    ----------
    path : str or Path
        The file or the folder.

    Returns
    -------
    Dataset
        The same values.

    Raises
    ------
    InputError
        If it was not written by one of them, or a part is missing.
    """
    root = Path(path)
    if root.is_dir():
        return _read_parts(root)
    pieces, meta = _read_file(root)
    counts = json.loads(meta.get("margincast.counts", "{}"))
    return _told(concatenate(pieces), counts, meta.get("margincast.fingerprint", ""))


def _read_parts(root: Path) -> Dataset:
    from features.sources.parts import read_contents

    files, said = read_contents(root)
    pieces = [piece for file in files for piece in _read_file(file)[0]]
    return _told(concatenate(pieces), said.get("counts", {}), said.get("fingerprint", ""))


def _read_file(path: Path) -> tuple[list[Dataset], dict[str, str]]:
    import pyarrow.parquet as pq

    source = pq.ParquetFile(path)
    meta = {k.decode(): v.decode() for k, v in (source.schema_arrow.metadata or {}).items()}
    meta |= {k.decode(): v.decode() for k, v in (source.metadata.metadata or {}).items() if k.startswith(b"margincast")}
    if "margincast.features" not in meta:
        raise InputError("dataset", str(path), "a file written by `margincast dataset`")
    names = tuple(json.loads(meta["margincast.features"]))
    kinds = tuple(json.loads(meta["margincast.kinds"]))
    return [_from_table(source.read_row_group(i), names, kinds) for i in range(source.num_row_groups)], meta


def _told(whole: Dataset, counts: dict[str, int], fingerprint: str) -> Dataset:
    values: dict[str, Any] = {f.name: getattr(whole, f.name) for f in fields(whole)}
    return Dataset(**{**values, "counts": counts, "fingerprint": fingerprint})


def _to_table(piece: Dataset) -> Any:
    import pyarrow as pa

    width = len(HORIZONS)
    columns: dict[str, Any] = {
        "as_of": pa.array(np.repeat(piece.as_of, width), pa.timestamp("ns", tz="UTC")),
        "horizon_minutes": np.tile(np.array(HORIZONS, np.int32), len(piece)),
        "prior": piece.prior.ravel(),
        "y": piece.y.ravel(),
        "usable": piece.usable.ravel(),
    }
    columns |= {name: np.repeat(getattr(piece, name), width) for name in PER_PAIR if name != "as_of"}
    for name, column in piece.extra.items():
        columns[f"extra.{name}"] = column.ravel() if column.ndim == 2 else np.repeat(column, width)
    columns |= {f"x.{name}": np.ascontiguousarray(piece.x[:, k]) for k, name in enumerate(piece.feature_names)}
    wide = [name for name, column in piece.extra.items() if column.ndim == 2]
    meta = {
        "margincast.features": json.dumps(list(piece.feature_names)),
        "margincast.kinds": json.dumps(list(piece.kinds)),
        "margincast.wide": json.dumps(wide),
    }
    return pa.table(columns).replace_schema_metadata(meta)


def _from_table(table: Any, names: tuple[str, ...], kinds: tuple[str, ...]) -> Dataset:
    width = len(HORIZONS)
    wide = json.loads(table.schema.metadata[b"margincast.wide"])
    column = {name: table.column(name).to_numpy() for name in table.column_names if name != "as_of"}
    as_of = table.column("as_of").cast("int64").to_numpy()[::width]
    extra = {}
    for name in column:
        if name.startswith("extra."):
            short = name.removeprefix("extra.")
            extra[short] = column[name].reshape(-1, width) if short in wide else column[name][::width]
    x = np.empty((table.num_rows, len(names)), np.float32)
    for k, name in enumerate(names):
        x[:, k] = column[f"x.{name}"]
    return Dataset(
        feature_names=names,
        x=x,
        kinds=kinds,
        as_of=np.asarray(as_of, np.int64),
        extra=extra,
        **{name: column[name].reshape(-1, width) for name in PER_HORIZON},
        **{name: column[name][::width] for name in PER_PAIR if name != "as_of"},
    )
