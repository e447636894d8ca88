"""The training set: (account, level) pairs at four horizons, in memory or in parquet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import InputError
from models.typing import HORIZONS, BoolArray, Float32Array, FloatArray, IntArray

__all__ = ["Dataset", "batches", "concatenate", "fingerprint", "read_dataset", "write_dataset"]

_PER_HORIZON = ("prior", "y", "usable")
_PER_PAIR = ("as_of", "level", "factor", "kind", "legs", "minutes", "amount", "size_base", "size_scale")


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Features, prior and outcomes of n (account, level) pairs at four horizons, in order of time.

    Parameters
    ----------
    feature_names : tuple of str, length K
        Columns of ``x``.
    x : ndarray of float32, shape (n * 4, K)
        Design matrix, pair-major, then horizon.
    prior : ndarray of float, shape (n, 4)
        Prior probability.
    y, usable : ndarray of bool, shape (n, 4)
        Outcome, and whether it is known.
    as_of : ndarray of int64, shape (n,)
        Instant, nanoseconds UTC.
    level : ndarray of int8, shape (n,)
        0 call, 1 liquidation.
    factor : ndarray of float, shape (n,)
        Level as a multiple of maintenance.
    kind : ndarray of int16, shape (n,)
        Index into ``kinds``.
    legs : ndarray of int16, shape (n,)
        Number of positions.
    minutes : ndarray of float, shape (n,)
        Minutes to the event; NaN where none was seen.
    amount : ndarray of float, shape (n,)
        Call amount seen (call level only), account currency; NaN elsewhere.
    size_base, size_scale : ndarray of float, shape (n,)
        What `models.predictor.size.size_inputs` gives.
    kinds : tuple of str
        Names of the account types.
    extra : dict of str to ndarray
        Columns for the baselines, shape (n,) or (n, 4).
    counts : dict of str to int
        What was left out, by reason.
    fingerprint : str
        SHA-256 of the inputs.
    """

    feature_names: tuple[str, ...]
    x: Float32Array
    prior: FloatArray
    y: BoolArray
    usable: BoolArray
    as_of: IntArray
    level: Any
    factor: FloatArray
    kind: Any
    legs: Any
    minutes: FloatArray
    amount: FloatArray
    size_base: FloatArray
    size_scale: FloatArray
    kinds: tuple[str, ...]
    extra: dict[str, FloatArray] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    fingerprint: str = ""

    def __len__(self) -> int:
        return len(self.as_of)

    def __post_init__(self) -> None:
        if self.x.shape != (len(self) * len(HORIZONS), len(self.feature_names)):
            raise InputError("x", self.x.shape, f"shape ({len(self) * len(HORIZONS)}, {len(self.feature_names)})")

    def bare(self) -> Dataset:
        """Leave out features and extra columns, which are nearly all of its memory.

        Returns
        -------
        Dataset
            The same pairs, with an ``x`` of no columns.
        """
        return replace(self, feature_names=(), x=np.empty((len(self.x), 0), np.float32), extra={})

    def take(self, mask: BoolArray) -> Dataset:
        """Choose pairs.

        Parameters
        ----------
        mask : ndarray of bool, shape (n,)
            Which pairs.

        Returns
        -------
        Dataset
            The chosen pairs, in their order.
        """
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in (*_PER_HORIZON, *_PER_PAIR):
            values[name] = values[name][mask]
        values["x"] = self.x[np.repeat(mask, len(HORIZONS))]
        values["extra"] = {name: column[mask] for name, column in self.extra.items()}
        return Dataset(**values)


def concatenate(pieces: Sequence[Dataset]) -> Dataset:
    """Join pieces of one build.

    Parameters
    ----------
    pieces : sequence of Dataset
        At least one; the columns must agree.

    Returns
    -------
    Dataset
        All pairs; counts are added, fingerprints hashed together.

    Raises
    ------
    InputError
        If there is no piece or the columns differ.
    """
    if not pieces:
        raise InputError("pieces", 0, "at least one piece (is any account inside the market's period?)")
    first = pieces[0]
    if any(p.feature_names != first.feature_names or p.kinds != first.kinds for p in pieces):
        raise InputError("pieces", "different columns", "pieces of one build")
    values: dict[str, Any] = {
        name: np.concatenate([getattr(p, name) for p in pieces]) for name in ("x", *_PER_HORIZON, *_PER_PAIR)
    }
    values["extra"] = {name: np.concatenate([p.extra[name] for p in pieces]) for name in first.extra}
    names = {name for p in pieces for name in p.counts}
    values["counts"] = {name: sum(p.counts.get(name, 0) for p in pieces) for name in sorted(names)}
    joined = first.fingerprint if len(pieces) == 1 else _digest(p.fingerprint for p in pieces)
    return Dataset(feature_names=first.feature_names, kinds=first.kinds, fingerprint=joined, **values)


def fingerprint(*parts: Any) -> str:
    """Hash arrays and plain values into one fingerprint.

    Parameters
    ----------
    *parts : ndarray or JSON value
        What the data depend on; arrays by type, shape and bytes.

    Returns
    -------
    str
        SHA-256, hexadecimal.

    Examples
    --------
    >>> fingerprint(np.arange(3), "a") == fingerprint(np.arange(3), "b")
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype != object:
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            value = part.tolist() if isinstance(part, np.ndarray) else part
            digest.update(json.dumps(value, default=str, sort_keys=True).encode())
    return digest.hexdigest()


def write_dataset(pieces: Iterable[Dataset], path: str | Path) -> int:
    """Write pieces to one parquet file, a row group each: one row for each pair and horizon.

    Parameters
    ----------
    pieces : iterable of Dataset
        Pieces of one build, in order; only one is held at a time.
    path : str or Path
        The file; replaced if it is there.

    Returns
    -------
    int
        Rows written.
    """
    import pyarrow.parquet as pq

    rows, writer = 0, None
    prints: list[str] = []
    counts: dict[str, int] = {}
    try:
        for piece in pieces:
            table = _to_table(piece)
            if writer is None:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                writer = pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
            rows += table.num_rows
            prints.append(piece.fingerprint)
            counts = {k: counts.get(k, 0) + piece.counts.get(k, 0) for k in sorted({*counts, *piece.counts})}
        if writer is not None:
            joined = prints[0] if len(prints) == 1 else _digest(prints)
            writer.add_key_value_metadata({"margincast.fingerprint": joined, "margincast.counts": json.dumps(counts)})
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise InputError("pieces", 0, "at least one piece (is any account inside the market's period?)")
    return rows


def read_dataset(path: str | Path) -> Dataset:
    """Read what :func:`write_dataset` wrote.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Dataset
        The same values.

    Raises
    ------
    InputError
        If the file was not written by :func:`write_dataset`.
    """
    import pyarrow.parquet as pq

    source = pq.ParquetFile(path)
    meta = {k.decode(): v.decode() for k, v in (source.schema_arrow.metadata or {}).items()}
    meta |= {k.decode(): v.decode() for k, v in (source.metadata.metadata or {}).items() if k.startswith(b"margincast")}
    if "margincast.features" not in meta:
        raise InputError("dataset", str(path), "a file written by `margincast dataset`")
    names = tuple(json.loads(meta["margincast.features"]))
    kinds = tuple(json.loads(meta["margincast.kinds"]))
    pieces = [_from_table(source.read_row_group(i), names, kinds) for i in range(source.num_row_groups)]
    whole = concatenate(pieces)
    counts = json.loads(meta.get("margincast.counts", "{}"))
    values: dict[str, Any] = {f.name: getattr(whole, f.name) for f in fields(whole)}
    return Dataset(**{**values, "counts": counts, "fingerprint": meta.get("margincast.fingerprint", "")})


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
    columns |= {name: np.repeat(getattr(piece, name), width) for name in _PER_PAIR if name != "as_of"}
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
        **{name: column[name].reshape(-1, width) for name in _PER_HORIZON},
        **{name: column[name][::width] for name in _PER_PAIR if name != "as_of"},
    )


def _digest(prints: Iterable[str]) -> str:
    return hashlib.sha256("".join(prints).encode()).hexdigest()


def batches(dataset: Dataset, pairs: int = 20_000) -> Iterator[Dataset]:
    """Cut a dataset into consecutive pieces.

    Parameters
    ----------
    dataset : Dataset
        What to cut.
    pairs : int
        Pairs in a piece.

    Yields
    ------
    Dataset
        The pieces, in order; the first one carries the counts.
    """
    place = np.arange(len(dataset))
    for first in range(0, len(dataset), pairs):
        piece = dataset.take((place >= first) & (place < first + pairs))
        yield piece if first == 0 else replace(piece, counts={})
