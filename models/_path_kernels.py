"""Scenario paths as arrays, and the kernel that finds when a unit breaches on each of them.

The gap of a unit is concave in every price and separable, so a plane through the ends of the box of all prices bounds
it from below: whole paths, then blocks of hours, are passed over by the least the plane can be inside their box.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from models._by_pointer import by_pointer
from models.book import BookArrays
from models.margin._kernel import fast, inlined, kernel
from models.margin.linear import tier_value, unit_gap
from models.margin.sheets import sheet_value
from models.typing import Float32Array, FloatArray, Int32Array, IntArray

__all__ = ["NEVER", "TILE", "Paths", "Scratch", "asset_part", "count_breaches", "unit_assets"]

NEVER = 1_000_000
"""First hour of a path on which there is no breach."""
TILE = 512
"""Paths that stay in the cache while all accounts walk through them."""


@by_pointer
class Paths(NamedTuple):
    """Scenario paths as the kernels take them: price ratios to now, float32, time last.

    Shapes: S paths, A assets, 72 hours, B blocks of hours.
    """

    low: Float32Array  # (S, A, 72)
    high: Float32Array  # (S, A, 72)
    close: Float32Array  # (S, A, 72)
    block_low: Float32Array  # (S, A, B) least ratio in each block
    block_high: Float32Array  # (S, A, B)
    path_low: Float32Array  # (A, S) least ratio of the whole path
    path_high: Float32Array  # (A, S)
    least: FloatArray  # (A,) of all paths
    most: FloatArray  # (A,)
    blocks: Int32Array  # (B + 1,) first hour of each block


class Scratch(NamedTuple):
    """Work space of one account, so that the hot kernels allocate nothing."""

    used: IntArray  # (A,) assets of the unit
    weight: FloatArray  # (A,) slopes of the plane
    bound: Float32Array  # (512,) least of the plane on each path of a tile
    inside: Float32Array  # (B,) and in each block of one path
    values: Float32Array  # (3, 72) the plane at lows, highs and closes
    trial: FloatArray  # (A,) prices at one point


@kernel
def asset_part(b: BookArrays, u: int, k: float, asset: int, p: float) -> float:
    """What one asset adds to the gap when its price is `p`; the entry prices and the cash are left out."""
    part = 0.0
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        if b.leg_asset[i] == asset:
            part += b.leg_quantity[i] * p - k * tier_value(
                b.tier_start, b.tier_floor, b.tier_rate, b.tier_offset, b.leg_tier[i], b.leg_size[i] * p
            )
    for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
        if b.coll_asset[j] == asset:
            part += tier_value(
                b.sched_start, b.sched_floor, b.sched_rate, b.sched_offset, b.coll_schedule[j], b.coll_quantity[j] * p
            )
    for h in range(b.unit_sheet[u], b.unit_sheet[u + 1]):
        if b.sheet_asset[h] == asset:
            part += sheet_value(b.sheet_now[h], b.sheet_equity[h, 0], p)
            part -= k * sheet_value(b.sheet_now[h], b.sheet_maintenance[h, 0], p)
    return part


@kernel
def unit_assets(b: BookArrays, u: int, used: IntArray) -> int:
    """Distinct assets of a unit, written to `used`; their number."""
    m = 0
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        m = _note(used, m, b.leg_asset[i])
    for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
        if b.coll_asset[j] >= 0:
            m = _note(used, m, b.coll_asset[j])
    for h in range(b.unit_sheet[u], b.unit_sheet[u + 1]):
        m = _note(used, m, b.sheet_asset[h])
    return m


@njit(cache=True, inline="always")
def _note(used: IntArray, m: int, asset: int) -> int:
    for i in range(m):
        if used[i] == asset:
            return m
    used[m] = asset
    return m + 1


@kernel
def _chord(
    b: BookArrays,
    u: int,
    k: float,
    price: FloatArray,
    least: FloatArray,
    most: FloatArray,
    used: IntArray,
    weight: FloatArray,
) -> tuple[int, float, bool]:
    """Bound the gap of a unit from below by a plane in the price ratios of its assets.

    The gap is concave in every price and separable, so over the box of all paths it lies above the chord through
    the ends; where no tier is crossed on the way the chord is the gap itself. Returns the number of assets, the
    level of the plane and whether it is exact; fills `used` and `weight`.
    """
    m = unit_assets(b, u, used)
    level = unit_gap(b, u, k, price)
    straight = True
    for i in range(m):
        a = used[i]
        p = price[a]
        here = asset_part(b, u, k, a, p)
        bottom = asset_part(b, u, k, a, p * least[a])
        top = asset_part(b, u, k, a, p * most[a])
        weight[i] = (top - bottom) / (most[a] - least[a])
        line = bottom + weight[i] * (1.0 - least[a])
        if abs(here - line) > 1e-9 * (abs(here) + abs(weight[i])):
            straight = False
        level += line - here - weight[i]
    return m, level, straight


@kernel
def count_breaches(
    b: BookArrays,
    u: int,
    k: float,
    price: FloatArray,
    paths: Paths,
    base: int,
    n_paths: int,
    before: Int32Array,
    first: Int32Array,
    w: Scratch,
) -> None:
    """Lower ``first`` of the paths from ``base`` on to the first hour at which unit `u` breaches on each.

    Never sooner than ``before``.

    Whole paths are passed over first, then blocks of hours, by the least the plane can be inside their box.
    """
    m, level, straight = _chord(b, u, k, price, paths.least, paths.most, w.used, w.weight)
    _path_bounds(m, level, paths, base, n_paths, w)
    blocks, bound = paths.blocks, w.bound
    for s in range(n_paths):
        if bound[s] >= 0.0 or before[s] == NEVER:
            continue
        _block_bounds(m, level, paths, base + s, w)
        for j in range(len(w.inside)):
            if blocks[j] >= first[s]:
                break
            if w.inside[j] >= 0.0 or blocks[j + 1] <= before[s]:
                continue
            hour = _first_in_block(b, u, k, price, straight, level, m, paths, base + s, j, w)
            if hour >= 0:
                first[s] = min(first[s], hour)
                break


@inlined
def _path_bounds(m: int, level: float, paths: Paths, base: int, n: int, w: Scratch) -> None:
    """Least value of the plane over the box of each whole path, shape (S,)."""
    for s in range(n):
        w.bound[s] = level
    for i in range(m):
        slope, a = np.float32(w.weight[i]), w.used[i]
        if slope > 0.0:
            _add(w.bound, slope, paths.path_low[a, base : base + n], n)
        else:
            _add(w.bound, slope, paths.path_high[a, base : base + n], n)


@inlined
def _block_bounds(m: int, level: float, paths: Paths, s: int, w: Scratch) -> None:
    """Least value of the plane over the box of each block of hours of one path."""
    n = len(w.inside)
    for j in range(n):
        w.inside[j] = level
    for i in range(m):
        slope, a = np.float32(w.weight[i]), w.used[i]
        if slope > 0.0:
            _add(w.inside, slope, paths.block_low[s, a], n)
        else:
            _add(w.inside, slope, paths.block_high[s, a], n)


@inlined
def _first_in_block(
    b: BookArrays,
    u: int,
    k: float,
    price: FloatArray,
    straight: bool,
    level: float,
    m: int,
    paths: Paths,
    s: int,
    block: int,
    w: Scratch,
) -> int:
    """First hour of a block at which all-low, all-high or all-close breaches; -1 where none does."""
    start, stop = paths.blocks[block], paths.blocks[block + 1]
    n = stop - start
    at_low, at_high, at_close = w.values[0], w.values[1], w.values[2]
    for t in range(n):
        at_low[t] = level
        at_high[t] = level
        at_close[t] = level
    for i in range(m):
        slope, a = np.float32(w.weight[i]), w.used[i]
        _add(at_low, slope, paths.low[s, a, start:stop], n)
        _add(at_high, slope, paths.high[s, a, start:stop], n)
        _add(at_close, slope, paths.close[s, a, start:stop], n)
    for t in range(n):
        if at_low[t] >= 0.0 and at_high[t] >= 0.0 and at_close[t] >= 0.0:
            continue
        if straight or _breaches(b, u, k, price, m, paths, s, start + t, w):
            return start + t
    return -1


@fast
def _add(out: Float32Array, slope: float, ratio: Float32Array, n: int) -> None:
    """Add ``slope * ratio`` to the first `n` values; loops from 0 over slices, which the compiler vectorises."""
    for t in range(n):
        out[t] += slope * ratio[t]


@kernel
def _breaches(
    b: BookArrays, u: int, k: float, price: FloatArray, m: int, paths: Paths, s: int, hour: int, w: Scratch
) -> bool:
    """Whether the exact gap is below 0 at the hour's lows, highs or closes."""
    for point in range(3):
        for i in range(m):
            a = w.used[i]
            ratio = paths.low[s, a, hour] if point == 0 else paths.high[s, a, hour]
            if point == 2:
                ratio = paths.close[s, a, hour]
            w.trial[a] = price[a] * ratio
        if unit_gap(b, u, k, w.trial) < 0.0:
            return True
    return False
