"""Compressed rows: which items belong to which rows, as a rising pointer."""

from __future__ import annotations

import numpy as np

from models.typing import Int32Array, IntArray

__all__ = ["gather", "pointer"]


def gather(start: Int32Array, rows: IntArray) -> tuple[IntArray, Int32Array]:
    """Items of some rows, and the pointer of the result."""
    counts = (start[rows + 1] - start[rows]).astype(np.int64)
    out = np.zeros(len(rows) + 1, np.int32)
    out[1:] = np.cumsum(counts)
    items = np.arange(out[-1], dtype=np.int64) + np.repeat(start[rows] - out[:-1], counts)
    return items, out


def pointer(row: IntArray, n: int) -> Int32Array:
    """Pointer of items that are sorted by row."""
    out = np.zeros(n + 1, np.int32)
    out[1:] = np.cumsum(np.bincount(row, minlength=n))
    return out
