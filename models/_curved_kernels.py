"""Breaches over scenario paths of units whose gap is not concave: options and scenario margin.

The gap is a sum over assets of functions of one price and the hours ahead. Each is tabulated at the nodes of the
sheets; paths are walked by look-ups, and hours inside a box of prices in which no combination breaches are passed over.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from models._path_kernels import Paths, unit_assets
from models.book import BookArrays
from models.margin._kernel import kernel
from models.margin.linear import tier_value, unit_gap
from models.margin.sheets import MIDDLE, NODES, SLICES, node_move, set_slices, sheet_at
from models.typing import FloatArray, Int32Array, IntArray

__all__ = ["Curves", "count_curved", "is_curved", "new_curves", "tabulate_unit"]


class Curves(NamedTuple):
    """What each asset of a unit adds to its gap, beyond its part now."""

    tables: FloatArray  # (A, slices, nodes)
    hours: FloatArray  # (A, slices) hours ahead of the slices
    least: FloatArray  # (A, MIDDLE + 1) least value within so many nodes of the middle
    used: IntArray  # (A,) the assets


@kernel
def is_curved(b: BookArrays, u: int) -> bool:
    """Whether a unit has sheets."""
    return b.unit_sheet[u + 1] > b.unit_sheet[u]


@njit(cache=True, nogil=True)
def new_curves(n_assets: int) -> Curves:
    """Work space for units of at most so many assets."""
    return Curves(
        np.empty((n_assets, SLICES, NODES)),
        np.empty((n_assets, SLICES)),
        np.empty((n_assets, MIDDLE + 1)),
        np.empty(n_assets, np.int64),
    )


@kernel
def asset_at(b: BookArrays, u: int, k: float, asset: int, p: float, hours: float) -> float:
    """What one asset adds to the gap at a price and some hours ahead; entry prices and cash are left out."""
    part = 0.0
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        if b.leg_asset[i] == asset:
            at = b.leg_size[i] * p
            need = tier_value(b.tier_start, b.tier_floor, b.tier_rate, b.tier_offset, b.leg_tier[i], at)
            part += b.leg_quantity[i] * p - k * need
    for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
        if b.coll_asset[j] == asset:
            value = b.coll_quantity[j] * p
            part += tier_value(b.sched_start, b.sched_floor, b.sched_rate, b.sched_offset, b.coll_schedule[j], value)
    for h in range(b.unit_sheet[u], b.unit_sheet[u + 1]):
        if b.sheet_asset[h] == asset:
            part += sheet_at(b.sheet_now[h], b.sheet_hours[h], b.sheet_equity[h], p, hours)
            part -= k * sheet_at(b.sheet_now[h], b.sheet_hours[h], b.sheet_maintenance[h], p, hours)
    return part


@kernel
def _set_hours(b: BookArrays, u: int, asset: int, out: FloatArray) -> None:
    """Hours of the slices of an asset: those of its sheet."""
    found = False
    for h in range(b.unit_sheet[u], b.unit_sheet[u + 1]):
        if b.sheet_asset[h] == asset:
            for t in range(SLICES):
                out[t] = b.sheet_hours[h, t]
            found = True
    if not found:
        set_slices(b.unit_cash[:0], out)


@kernel
def tabulate_unit(b: BookArrays, u: int, k: float, price: FloatArray, c: Curves) -> tuple[int, float]:
    """Tabulate what each asset adds to the gap beyond its part now; the number of assets, and the gap now."""
    m = unit_assets(b, u, c.used)
    for i in range(m):
        a = c.used[i]
        _set_hours(b, u, a, c.hours[i])
        here = asset_at(b, u, k, a, price[a], 0.0)
        for j in range(NODES):
            p = price[a] * np.exp(node_move(j))
            for t in range(SLICES):
                c.tables[i, t, j] = asset_at(b, u, k, a, p, c.hours[i, t]) - here
        worst = np.inf
        for d in range(MIDDLE + 1):
            for t in range(SLICES):
                worst = min(worst, min(c.tables[i, t, MIDDLE - d], c.tables[i, t, MIDDLE + d]))
            c.least[i, d] = worst
    return m, unit_gap(b, u, k, price)


@kernel
def count_curved(
    m: int,
    gap: float,
    paths: Paths,
    base: int,
    n_paths: int,
    c: Curves,
    before: Int32Array,
    first: Int32Array,
    never: int,
) -> None:
    """Lower ``first`` of the paths from ``base`` on to the first hour at which the tabulated unit breaches."""
    high, used = _safe_ratio(m, gap, c.least), c.used
    low = 1.0 / high
    for s in range(n_paths):
        if before[s] == never or _inside(m, used, paths.path_low[:, base + s], paths.path_high[:, base + s], low, high):
            continue
        for j in range(len(paths.blocks) - 1):
            if paths.blocks[j] >= first[s]:
                break
            if paths.blocks[j + 1] <= before[s]:
                continue
            if _inside(m, used, paths.block_low[base + s, :, j], paths.block_high[base + s, :, j], low, high):
                continue
            hour = _first_hour(m, gap, paths, base + s, j, c)
            if hour >= 0:
                first[s] = min(first[s], hour)
                break


@kernel
def _safe_ratio(m: int, gap: float, least: FloatArray) -> float:
    """The largest price ratio, of a node, within which no combination of the assets breaches at any hour."""
    radius = -1
    while radius < MIDDLE:
        total = gap
        for i in range(m):
            total += least[i, radius + 1]
        if total < 0.0:
            break
        radius += 1
    return np.exp(node_move(MIDDLE + radius)) if radius > 0 else 1.0


@kernel
def _inside(m: int, used: IntArray, lows: FloatArray, highs: FloatArray, low: float, high: float) -> bool:
    """Whether the prices of all assets stay within the box in which nothing breaches."""
    count = 0
    for i in range(m):
        count += lows[used[i]] >= low and highs[used[i]] <= high
    return count == m


@kernel
def _first_hour(m: int, gap: float, paths: Paths, s: int, block: int, c: Curves) -> int:
    """First hour of a block at which all-low, all-high or all-close breaches; -1 where none does."""
    for t in range(paths.blocks[block], paths.blocks[block + 1]):
        at_low, at_high, at_close = gap, gap, gap
        for i in range(m):
            a = c.used[i]
            at_low += sheet_at(1.0, c.hours[i], c.tables[i], paths.low[s, a, t], t + 1.0)
            at_high += sheet_at(1.0, c.hours[i], c.tables[i], paths.high[s, a, t], t + 1.0)
            at_close += sheet_at(1.0, c.hours[i], c.tables[i], paths.close[s, a, t], t + 1.0)
        if at_low < 0.0 or at_high < 0.0 or at_close < 0.0:
            return t
    return -1
