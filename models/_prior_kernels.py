"""Kernels of the prior: what a table answers, and breach counts over scenario paths, pruned by bounds of the gap.

A unit that hangs on one price is looked up in the table of running extremes. Accounts with several such units, or with
one that hangs on several prices, are counted over the scenario paths, and the count is shrunk towards the one-factor
equivalent with the weight of two paths. Factors are (n, L): a path that does not breach a level cannot breach one with
a smaller factor, so the levels after the first look at few paths. The three kernels are called one by one: only those
that a book needs are compiled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from models._curved_kernels import count_curved, is_curved, new_curves, tabulate_unit
from models._path_kernels import NEVER, TILE, Paths, Scratch, asset_part, count_breaches, unit_assets
from models.book import BookArrays
from models.first_passage import lookup
from models.margin._kernel import kernel
from models.margin.linear import barriers, unit_factor, unit_gap, unit_is_live
from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["count_curved_accounts", "count_straight", "look_up"]

_OWN_PATHS = 2.0  # weight of the one-factor equivalent, in paths
_HORIZON_STEPS = np.array([1, 4, 24, 72], np.int32)


@njit(cache=True, nogil=True)
def count_straight(
    b: BookArrays, price: FloatArray, factor: FloatArray, paths: Paths, joint: BoolArray, out: FloatArray
) -> None:
    """Count the rows of `joint`, of accounts without sheets, over the scenario paths, and add the shares to `out`."""
    size = paths.low.shape[0]
    first, before = np.empty(TILE, np.int32), np.empty(TILE, np.int32)
    counts = np.empty(4, np.int64)
    work = Scratch(
        np.empty(len(price), np.int64),
        np.empty(len(price)),
        np.empty(TILE, np.float32),
        np.empty(len(paths.blocks) - 1, np.float32),
        np.empty((3, paths.low.shape[2]), np.float32),
        price.copy(),
    )
    for base in range(0, size, TILE):  # a tile of paths stays in the cache while all accounts walk through it
        n_paths = min(TILE, size - base)
        for n in range(len(factor)):
            before[:] = 0
            for level in range(factor.shape[1]):
                if not joint[n, level]:
                    continue
                k = factor[n, level]
                if level > 0 and k > factor[n, level - 1]:
                    before[:] = 0
                first[:] = NEVER
                for u in range(b.account_unit[n], b.account_unit[n + 1]):
                    if unit_is_live(b, u):
                        count_breaches(b, u, k, price, paths, base, n_paths, before, first, work)
                before[:] = first
                _tally(first[:n_paths], counts)
                for h in range(4):
                    out[n, level, h] += counts[h] / (size + _OWN_PATHS)


@njit(cache=True, nogil=True)
def count_curved_accounts(
    b: BookArrays, price: FloatArray, factor: FloatArray, paths: Paths, joint: BoolArray, out: FloatArray
) -> None:
    """Count the accounts with sheets over all paths, so that each unit is tabulated once; take them out of `joint`."""
    size = paths.low.shape[0]
    curves = new_curves(len(price))
    first, before = np.empty(size, np.int32), np.empty(size, np.int32)
    counts = np.empty(4, np.int64)
    for n in range(len(factor)):
        if not _has_sheets(b, n):
            continue
        before[:] = 0
        for level in range(factor.shape[1]):
            if not joint[n, level]:
                continue
            joint[n, level] = False
            k = factor[n, level]
            if level > 0 and k > factor[n, level - 1]:
                before[:] = 0
            first[:] = NEVER
            for u in range(b.account_unit[n], b.account_unit[n + 1]):
                if is_curved(b, u) or unit_is_live(b, u):
                    m, gap = tabulate_unit(b, u, k, price, curves)
                    count_curved(m, gap, paths, 0, size, curves, before, first, NEVER)
            before[:] = first
            _tally(first, counts)
            for h in range(4):
                out[n, level, h] += counts[h] / (size + _OWN_PATHS)


@kernel
def _has_sheets(b: BookArrays, n: int) -> bool:
    """Whether account `n` has a unit with sheets."""
    return b.unit_sheet[b.account_unit[n + 1]] > b.unit_sheet[b.account_unit[n]]


@njit(cache=True, nogil=True)
def look_up(
    b: BookArrays,
    price: FloatArray,
    factor: FloatArray,
    deviation: FloatArray,
    correlation: FloatArray,
    survival: FloatArray,
    size: int,
    out: FloatArray,
) -> BoolArray:
    """Fill what needs no paths; say which rows (n, L) are to be counted on `size`, with the weight of two put there."""
    weight = _OWN_PATHS / (size + _OWN_PATHS)
    kinds = unit_factor(b)
    joint = np.zeros(factor.shape, np.bool_)
    single = np.empty(4)
    for n in range(len(factor)):
        for level in range(factor.shape[1]):
            k = factor[n, level]
            live, last, breached = _live_units(b, n, k, price)
            if breached or live == 0:
                out[n, level] = 1.0 if breached else 0.0
            elif live == 1 and kinds[last] >= 0 and not is_curved(b, last):
                _single(b, last, k, int(kinds[last]), price, deviation, survival, out[n, level])
            else:
                joint[n, level] = True
                single[:] = 0.0
                for u in range(b.account_unit[n], b.account_unit[n + 1]):
                    if unit_is_live(b, u):
                        _equivalent(b, u, k, price, deviation, correlation, survival, single)
                out[n, level] = weight * single
    return joint


@kernel
def _live_units(b: BookArrays, n: int, k: float, price: FloatArray) -> tuple[int, int, bool]:
    """Units of account `n` that hold positions: their number, the last of them, and whether any unit is in breach."""
    live, breached = 0, False
    last: Any = np.int32(-1)  # of the type of u, so that what takes it is compiled once
    for u in range(b.account_unit[n], b.account_unit[n + 1]):
        if unit_is_live(b, u):
            live += 1
            last = u
        if unit_gap(b, u, k, price) < 0.0:
            breached = True
    return live, last, breached


@kernel
def _tally(first: IntArray, counts: IntArray) -> None:
    """Number of paths that breach before each horizon."""
    counts[:] = 0
    for step in first:
        if step < NEVER:
            for h in range(4):
                if step < _HORIZON_STEPS[h]:
                    counts[h] += 1


@njit(cache=True)
def _single(
    b: BookArrays,
    u: int,
    k: float,
    asset: int,
    price: FloatArray,
    deviation: FloatArray,
    survival: FloatArray,
    out: FloatArray,
) -> None:
    lower, upper = barriers(b, u, k, asset, price)
    now = price[asset]
    for h in range(4):
        if not (lower <= now <= upper):
            out[h] = 1.0
            continue
        p = 0.0
        if lower > 0.0:
            p += lookup(survival[asset, 1, h], np.log(now / lower) / deviation[asset, h])
        if upper < np.inf:
            p += lookup(survival[asset, 0, h], np.log(upper / now) / deviation[asset, h])
        out[h] = min(p, 1.0)


@njit(cache=True)
def _equivalent(
    b: BookArrays,
    u: int,
    k: float,
    price: FloatArray,
    deviation: FloatArray,
    correlation: FloatArray,
    survival: FloatArray,
    single: FloatArray,
) -> None:
    """Add the one-factor equivalent of a unit: its gap over the deviation of the gap, in the table."""
    used = np.empty(price.shape[0], np.int64)
    m = unit_assets(b, u, used)
    gap = unit_gap(b, u, k, price)
    slope = np.empty(m)
    for i in range(m):
        p = price[used[i]]
        slope[i] = (asset_part(b, u, k, used[i], p * 1.001) - asset_part(b, u, k, used[i], p * 0.999)) / 0.002
    for h in range(4):
        variance = 0.0
        for i in range(m):
            for j in range(m):
                variance += (
                    slope[i] * deviation[used[i], h] * slope[j] * deviation[used[j], h] * correlation[used[i], used[j]]
                )
        z = gap / np.sqrt(variance) if variance > 0.0 else np.inf
        p = 0.5 * (lookup(survival[used[0], 0, h], z) + lookup(survival[used[0], 1, h], z))
        single[h] = min(1.0, single[h] + p)
