"""Kernels of the prior: breach counts over scenario paths, pruned by per-block bounds of the gap."""

from __future__ import annotations

import numpy as np
from numba import njit

from models.book import BookArrays
from models.first_passage import lookup
from models.margin.linear import barriers, tier_value, unit_factor, unit_gap
from models.typing import Float32Array, FloatArray, IntArray

__all__ = ["probability_kernel"]

_NEVER = 1_000_000
_HORIZON_STEPS = np.array([1, 4, 24, 72], np.int32)


@njit(cache=True, nogil=True)
def probability_kernel(
    b: BookArrays,
    price: FloatArray,
    factor: FloatArray,
    deviation: FloatArray,
    correlation: FloatArray,
    survival: FloatArray,
    low: Float32Array,
    high: Float32Array,
    close: Float32Array,
    block_low: Float32Array,
    block_high: Float32Array,
    path_low: Float32Array,
    path_high: Float32Array,
    least: FloatArray,
    most: FloatArray,
    blocks: IntArray,
    out: FloatArray,
) -> None:
    """Fill ``out`` (n, 4) with the probability that some unit of each account breaches by each horizon.

    A unit that hangs on one price is looked up in the table of running extremes; accounts with several such
    units, or with a unit that hangs on several prices, are counted over the scenario paths, and the count is
    shrunk towards the one-factor equivalent with the weight of two paths.
    """
    kinds = unit_factor(b)
    paths = low.shape[0]
    first = np.empty(paths, np.int32)
    single = np.empty(4)
    counts = np.empty(4, np.int64)
    for n in range(len(factor)):
        k = factor[n]
        live, last, breached = _live_units(b, n, k, price)
        if breached or live == 0:
            out[n] = 1.0 if breached else 0.0
            continue
        if live == 1 and kinds[last] >= 0:
            _single(b, last, k, kinds[last], price, deviation, survival, out[n])
            continue
        first[:] = _NEVER
        single[:] = 0.0
        for u in range(b.account_unit[n], b.account_unit[n + 1]):
            if b.unit_leg[u + 1] > b.unit_leg[u]:
                _count(
                    b,
                    u,
                    k,
                    price,
                    low,
                    high,
                    close,
                    block_low,
                    block_high,
                    path_low,
                    path_high,
                    least,
                    most,
                    blocks,
                    first,
                )
                _equivalent(b, u, k, price, deviation, correlation, survival, single)
        _tally(first, counts)
        for h in range(4):
            out[n, h] = (counts[h] + 2.0 * single[h]) / (paths + 2.0)


@njit(cache=True)
def _live_units(b: BookArrays, n: int, k: float, price: FloatArray) -> tuple[int, int, bool]:
    """Units of account `n` that hold positions: their number, the last of them, and whether any unit is in breach."""
    live, last, breached = 0, -1, False
    for u in range(b.account_unit[n], b.account_unit[n + 1]):
        if b.unit_leg[u + 1] > b.unit_leg[u]:
            live += 1
            last = u
        if unit_gap(b, u, k, price) < 0.0:
            breached = True
    return live, last, breached


@njit(cache=True)
def _tally(first: IntArray, counts: IntArray) -> None:
    """Number of paths that breach before each horizon."""
    counts[:] = 0
    for step in first:
        if step < _NEVER:
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
            p += lookup(survival[1, h], np.log(now / lower) / deviation[asset, h])
        if upper < np.inf:
            p += lookup(survival[0, h], np.log(upper / now) / deviation[asset, h])
        out[h] = min(p, 1.0)


@njit(cache=True)
def _asset_part(b: BookArrays, u: int, k: float, asset: int, p: float) -> float:
    """What one asset adds to the gap when its price is `p`; the entry prices and the cash are left out."""
    part = 0.0
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        if b.leg_asset[i] == asset:
            value = b.leg_quantity[i] * p
            part += value - k * tier_value(
                b.tier_start, b.tier_floor, b.tier_rate, b.tier_offset, b.leg_tier[i], abs(value)
            )
    for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
        if b.coll_asset[j] == asset:
            part += tier_value(
                b.sched_start, b.sched_floor, b.sched_rate, b.sched_offset, b.coll_schedule[j], b.coll_quantity[j] * p
            )
    return part


@njit(cache=True)
def _unit_assets(b: BookArrays, u: int, used: IntArray) -> int:
    """Distinct assets of a unit, written to `used`; their number."""
    m = 0
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        m = _add(used, m, b.leg_asset[i])
    for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
        if b.coll_asset[j] >= 0:
            m = _add(used, m, b.coll_asset[j])
    return m


@njit(cache=True, inline="always")
def _add(used: IntArray, m: int, asset: int) -> int:
    for i in range(m):
        if used[i] == asset:
            return m
    used[m] = asset
    return m + 1


@njit(cache=True)
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
    m = _unit_assets(b, u, used)
    level = unit_gap(b, u, k, price)
    straight = True
    for i in range(m):
        a = used[i]
        p = price[a]
        here = _asset_part(b, u, k, a, p)
        bottom = _asset_part(b, u, k, a, p * least[a])
        top = _asset_part(b, u, k, a, p * most[a])
        weight[i] = (top - bottom) / (most[a] - least[a])
        line = bottom + weight[i] * (1.0 - least[a])
        if abs(here - line) > 1e-9 * (abs(here) + abs(weight[i])):
            straight = False
        level += line - here - weight[i]
    return m, level, straight


@njit(cache=True)
def _count(
    b: BookArrays,
    u: int,
    k: float,
    price: FloatArray,
    low: Float32Array,
    high: Float32Array,
    close: Float32Array,
    block_low: Float32Array,
    block_high: Float32Array,
    path_low: Float32Array,
    path_high: Float32Array,
    least: FloatArray,
    most: FloatArray,
    blocks: IntArray,
    first: IntArray,
) -> None:
    """Lower ``first`` (S,) to the first step at which unit `u` breaches on each path, pruned by block."""
    used = np.empty(price.shape[0], np.int64)
    weight = np.empty(price.shape[0])
    m, level, straight = _chord(b, u, k, price, least, most, used, weight)
    paths = low.shape[0]
    trial = price.copy()
    for s in range(paths):
        bound = level
        for i in range(m):
            w, a = weight[i], used[i]
            bound += w * (path_low[s, a] if w > 0.0 else path_high[s, a])
        if bound >= 0.0:
            continue
        for j in range(len(blocks) - 1):
            if blocks[j] >= first[s]:
                break
            bound = level
            for i in range(m):
                w, a = weight[i], used[i]
                bound += w * (block_low[s, j, a] if w > 0.0 else block_high[s, j, a])
            if bound >= 0.0:
                continue
            step = _first_in_block(
                b,
                u,
                k,
                price,
                trial,
                straight,
                level,
                weight,
                used,
                m,
                low[s],
                high[s],
                close[s],
                blocks[j],
                blocks[j + 1],
            )
            if step >= 0:
                first[s] = min(first[s], step)
                break


@njit(cache=True)
def _first_in_block(
    b: BookArrays,
    u: int,
    k: float,
    price: FloatArray,
    trial: FloatArray,
    straight: bool,
    level: float,
    weight: FloatArray,
    used: IntArray,
    m: int,
    low: Float32Array,
    high: Float32Array,
    close: Float32Array,
    start: int,
    stop: int,
) -> int:
    """First step of a block at which all-low, all-high or all-close breaches; -1 where none does."""
    for t in range(start, stop):
        g_low, g_high, g_close = level, level, level
        for i in range(m):
            w, a = weight[i], used[i]
            g_low += w * low[t, a]
            g_high += w * high[t, a]
            g_close += w * close[t, a]
        if g_low >= 0.0 and g_high >= 0.0 and g_close >= 0.0:
            continue
        if straight:
            return t
        for path in (low, high, close):
            for i in range(m):
                trial[used[i]] = price[used[i]] * path[t, used[i]]
            if unit_gap(b, u, k, trial) < 0.0:
                return t
    return -1


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
    m = _unit_assets(b, u, used)
    gap = unit_gap(b, u, k, price)
    slope = np.empty(m)
    for i in range(m):
        p = price[used[i]]
        slope[i] = (_asset_part(b, u, k, used[i], p * 1.001) - _asset_part(b, u, k, used[i], p * 0.999)) / 0.002
    for h in range(4):
        variance = 0.0
        for i in range(m):
            for j in range(m):
                variance += (
                    slope[i] * deviation[used[i], h] * slope[j] * deviation[used[j], h] * correlation[used[i], used[j]]
                )
        z = gap / np.sqrt(variance) if variance > 0.0 else np.inf
        p = 0.5 * (lookup(survival[0, h], z) + lookup(survival[1, h], z))
        single[h] = min(1.0, single[h] + p)
