"""On which scenario paths accounts breach a level: what the prior counts, path by path."""

from __future__ import annotations

import numpy as np
from numba import njit

from models._curved_kernels import count_curved, is_curved, new_curves, tabulate_unit
from models._path_kernels import NEVER, TILE, Paths, Scratch, count_breaches
from models.book import BookArrays
from models.margin.linear import unit_is_live
from models.typing import FloatArray, Int32Array

__all__ = ["first_curved", "first_straight"]


@njit(cache=True, nogil=True)
def first_straight(b: BookArrays, price: FloatArray, factor: FloatArray, paths: Paths, out: Int32Array) -> None:
    """Write the first hour of a breach to ``out`` (n, L, S), for accounts without sheets; levels in falling order."""
    size = paths.low.shape[0]
    first, before = np.empty(TILE, np.int32), np.empty(TILE, np.int32)
    work = Scratch(
        np.empty(len(price), np.int64),
        np.empty(len(price)),
        np.empty(TILE, np.float32),
        np.empty(len(paths.blocks) - 1, np.float32),
        np.empty((3, paths.low.shape[2]), np.float32),
        price.copy(),
    )
    for base in range(0, size, TILE):
        n_paths = min(TILE, size - base)
        for n in range(len(factor)):
            if b.unit_sheet[b.account_unit[n + 1]] > b.unit_sheet[b.account_unit[n]]:
                continue
            before[:] = 0
            for level in range(factor.shape[1]):
                first[:] = NEVER
                for u in range(b.account_unit[n], b.account_unit[n + 1]):
                    if unit_is_live(b, u):
                        count_breaches(b, u, factor[n, level], price, paths, base, n_paths, before, first, work)
                before[:] = first
                out[n, level, base : base + n_paths] = first[:n_paths]


@njit(cache=True, nogil=True)
def first_curved(b: BookArrays, price: FloatArray, factor: FloatArray, paths: Paths, out: Int32Array) -> None:
    """The same for accounts with sheets; those without are left as they are."""
    size = paths.low.shape[0]
    curves = new_curves(len(price))
    first, before = np.empty(size, np.int32), np.empty(size, np.int32)
    for n in range(len(factor)):
        if b.unit_sheet[b.account_unit[n + 1]] == b.unit_sheet[b.account_unit[n]]:
            continue
        before[:] = 0
        for level in range(factor.shape[1]):
            first[:] = NEVER
            for u in range(b.account_unit[n], b.account_unit[n + 1]):
                if is_curved(b, u) or unit_is_live(b, u):
                    m, gap = tabulate_unit(b, u, factor[n, level], price, curves)
                    count_curved(m, gap, paths, 0, size, curves, before, first, NEVER)
            before[:] = first
            out[n, level] = first
