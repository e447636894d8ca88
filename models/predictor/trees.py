"""LightGBM trees as flat arrays and one small kernel: the same bits as the booster, without its cost of a call.

A node is 16 bytes (column and direction of NaN, threshold, two children), a tree stays in the first cache while a
block of rows walks through it, and the walks of a block go on side by side. Thresholds are rounded down to float32:
for float32 columns ``x <= threshold`` has the same truth.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from models.typing import Float32Array, FloatArray, Int32Array

if TYPE_CHECKING:
    import lightgbm

__all__ = ["FlatTrees", "flatten_trees"]

_BLOCK: Final = 8
_PROBES: Final = 512
_MANY: Final = 4096
_ZERO: Final = np.float32(1e-35)


@dataclass(frozen=True, slots=True, eq=False)
class FlatTrees:
    """The trees of a booster.

    Parameters
    ----------
    node : ndarray of int32, shape (N, 4)
        ``2 * column + (1 if NaN goes left)``, bits of the float32 threshold, left and right child; a leaf is its own
        child.
    value : ndarray of float64, shape (N,)
        Value of each leaf.
    root : ndarray of int32, shape (trees,)
        First node of each tree.
    n_columns : int
        Columns that the trees read.
    """

    node: Int32Array
    value: FloatArray
    root: Int32Array
    n_columns: int

    def __call__(self, x: Float32Array, threads: int = 1) -> FloatArray:
        """Sum of the leaves of all trees for each row.

        Parameters
        ----------
        x : ndarray of float32, shape (n, K)
            NaN allowed.
        threads : int
            Threads for many rows.

        Returns
        -------
        ndarray of float64, shape (n,)
            Raw scores, equal to the booster's to the bit.
        """
        x = np.ascontiguousarray(x, np.float32)
        out = np.zeros(len(x))
        threshold = self.node.view(np.float32)
        if threads <= 1 or len(x) < _MANY:
            _walk(self.node, threshold, self.value, self.root, x, out)
            return out
        cuts = np.linspace(0, len(x), threads + 1).astype(int)
        with ThreadPoolExecutor(threads) as pool:
            for a, b in pairwise(cuts):
                pool.submit(_walk, self.node, threshold, self.value, self.root, x[a:b], out[a:b])
        return out


@njit(cache=True, inline="always")
def _next(  # pragma: no cover - compiled
    node: Int32Array, threshold: Float32Array, x: Float32Array, row: int, i: int
) -> int:
    word = node[i, 0]
    v = x[row, word >> 1]
    left = (v <= threshold[i, 1]) | ((v != v) & ((word & 1) == 1))
    return node[i, 3 - left]


@njit(cache=True, nogil=True)
def _walk(  # pragma: no cover - compiled
    node: Int32Array,
    threshold: Float32Array,
    value: FloatArray,
    root: Int32Array,
    x: Float32Array,
    out: FloatArray,
) -> None:
    whole = len(x) - len(x) % _BLOCK
    for r in range(0, whole, _BLOCK):
        for first in root:
            a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = first
            while True:
                b0, b1 = _next(node, threshold, x, r, a0), _next(node, threshold, x, r + 1, a1)
                b2, b3 = _next(node, threshold, x, r + 2, a2), _next(node, threshold, x, r + 3, a3)
                b4, b5 = _next(node, threshold, x, r + 4, a4), _next(node, threshold, x, r + 5, a5)
                b6, b7 = _next(node, threshold, x, r + 6, a6), _next(node, threshold, x, r + 7, a7)
                if (
                    ((a0 == b0) & (a1 == b1) & (a2 == b2) & (a3 == b3))
                    & ((a4 == b4) & (a5 == b5) & (a6 == b6) & (a7 == b7))
                ):  # fmt: skip
                    break
                a0, a1, a2, a3, a4, a5, a6, a7 = b0, b1, b2, b3, b4, b5, b6, b7
            out[r] += value[a0]
            out[r + 1] += value[a1]
            out[r + 2] += value[a2]
            out[r + 3] += value[a3]
            out[r + 4] += value[a4]
            out[r + 5] += value[a5]
            out[r + 6] += value[a6]
            out[r + 7] += value[a7]
    for r in range(whole, len(x)):
        for first in root:
            a = first
            b = _next(node, threshold, x, r, a)
            while a != b:
                a, b = b, _next(node, threshold, x, r, b)
            out[r] += value[a]


def flatten_trees(booster: lightgbm.Booster) -> FlatTrees | None:
    """Flatten a booster, if that gives the same bits.

    Parameters
    ----------
    booster : lightgbm.Booster
        One output, numerical columns.

    Returns
    -------
    FlatTrees or None
        None where the booster has something that the kernel does not know (categories, linear leaves, zero as
        missing), or where a probe with NaN among it does not come out equal to the bit.
    """
    parts = [_tree(text) for text in booster.model_to_string().split("\nTree=")[1:]]
    if not parts or any(part is None for part in parts):
        return None
    nodes, values, roots = [], [], []
    first = 0
    for part in parts:
        assert part is not None
        node, value = part
        node[:, 2:] += first
        nodes.append(node)
        values.append(value)
        roots.append(first)
        first += len(node)
    flat = FlatTrees(
        np.ascontiguousarray(np.concatenate(nodes)),
        np.concatenate(values),
        np.array(roots, np.int32),
        booster.num_feature(),
    )
    return flat if _same(flat, booster) else None


def _tree(text: str) -> tuple[Int32Array, FloatArray] | None:
    """Nodes and leaf values of one tree; leaves stand after the splits."""
    field = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if field.get("num_cat", "0") != "0" or field.get("is_linear", "0") != "0":
        return None
    leaf = np.array(field["leaf_value"].split(), np.float64)
    splits = int(field["num_leaves"]) - 1
    node = np.zeros((splits + len(leaf), 4), np.int32)
    own = np.arange(splits, len(node))
    node[splits:, 2] = node[splits:, 3] = own
    if splits:
        kind = np.array(field["decision_type"].split(), np.int32)
        missing = (kind >> 2) & 3
        if np.any((kind & 1) != 0) or np.any(missing == 1):
            return None
        exact = np.array(field["threshold"].split(), np.float64)
        nan_left = np.where(missing == 2, (kind & 2) != 0, exact >= 0)
        node[:splits, 0] = 2 * np.array(field["split_feature"].split(), np.int32) + nan_left
        node[:splits, 1] = _round_down(exact).view(np.int32)
        for column, name in ((2, "left_child"), (3, "right_child")):
            child = np.array(field[name].split(), np.int32)
            node[:splits, column] = np.where(child >= 0, child, splits + ~child)
    value = np.concatenate([np.zeros(splits), leaf])
    return node, value


def _round_down(exact: FloatArray) -> Float32Array:
    """Float32 thresholds with the same truth; LightGBM reads what is within `_ZERO` of zero as zero."""
    with np.errstate(over="ignore"):
        near = exact.astype(np.float32)
    low = np.float32(-np.inf)
    near = np.where(near.astype(np.float64) > exact, np.nextafter(near, low), near)
    near = np.where((near >= 0) & (near < _ZERO), _ZERO, near)
    return np.where((near < 0) & (near >= -_ZERO), np.nextafter(-_ZERO, low), near).astype(np.float32)


def _same(flat: FlatTrees, booster: lightgbm.Booster) -> bool:
    """Compare with the booster on values around the thresholds, far values and NaN."""
    rng = np.random.default_rng(0)
    k = flat.n_columns
    x = np.ascontiguousarray(rng.normal(size=(_PROBES, k)) * 10.0 ** rng.integers(-3, 4, (_PROBES, k)), np.float32)
    split = np.flatnonzero(flat.node[:, 2] != flat.node[:, 3])
    if len(split):
        chosen = rng.choice(split, (_PROBES // 2, max(k, 1)))
        rows = np.repeat(np.arange(_PROBES // 2), k).reshape(-1, k)
        x[rows, flat.node[chosen, 0] >> 1] = flat.node.view(np.float32)[chosen, 1]
    x[rng.random(x.shape) < 0.1] = np.nan
    return bool(np.array_equal(flat(x), booster.predict(x, raw_score=True, num_threads=1)))
