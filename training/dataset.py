"""The training set: (account, level) pairs at four horizons."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from models.errors import InputError
from models.typing import HORIZONS, BoolArray, Float32Array, FloatArray, IntArray

__all__ = ["PER_HORIZON", "PER_PAIR", "Dataset", "batches", "concatenate", "fingerprint", "join_fingerprints"]

PER_HORIZON = ("prior", "y", "usable")
PER_PAIR = ("as_of", "level", "factor", "kind", "legs", "minutes", "amount", "size_base", "size_scale")


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
        for name in (*PER_HORIZON, *PER_PAIR):
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
        name: np.concatenate([getattr(p, name) for p in pieces]) for name in ("x", *PER_HORIZON, *PER_PAIR)
    }
    values["extra"] = {name: np.concatenate([p.extra[name] for p in pieces]) for name in first.extra}
    names = {name for p in pieces for name in p.counts}
    values["counts"] = {name: sum(p.counts.get(name, 0) for p in pieces) for name in sorted(names)}
    joined = join_fingerprints(p.fingerprint for p in pieces)
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


def join_fingerprints(prints: Iterable[str]) -> str:
    """Fingerprint of a whole from those of its pieces.

    Parameters
    ----------
    prints : iterable of str
        In the order of the pieces; at least one.

    Returns
    -------
    str
        That of the piece where there is one alone, else the SHA-256 of all.

    Examples
    --------
    >>> join_fingerprints(["ab"])
    'ab'
    """
    found = list(prints)
    return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()


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
