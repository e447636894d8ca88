"""Kernels of the prior: breach counts over scenario paths, pruned by per-block bounds of the gap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from models.book import BookArrays
from models.first_passage import lookup
from models.margin._kernel import fast, inlined, kernel
from models.margin.linear import barriers, tier_value, unit_factor, unit_gap
from models.typing import BoolArray, Float32Array, FloatArray, Int32Array, IntArray

__all__ = ["Paths", "probability_kernel"]

_NEVER = 1_000_000
_TILE = 512
_OWN_PATHS = 2.0  # weight of the one-factor equivalent, in paths
_HORIZON_STEPS = np.array([1, 4, 24, 72], np.int32)


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


@njit(cache=True, nogil=True)
def probability_kernel(
    b: BookArrays,
    price: FloatArray,
    factor: FloatArray,
    deviation: FloatArray,
    correlation: FloatArray,
    survival: FloatArray,
    paths: Paths,
    out: FloatArray,
) -> None:
    """Fill ``out`` (n, L, 4) with the probability that some unit of each account breaches each level by each horizon.

    A unit that hangs on one price is looked up in the table of running extremes; accounts with several such
    units, or with a unit that hangs on several prices, are counted over the scenario paths, and the count is
    shrunk towards the one-factor equivalent with the weight of two paths. ``factor`` is (n, L): a path that does not
    breach a level cannot breach one with a smaller factor, so the levels after the first look at few paths.
    """
    size = paths.low.shape[0]
    weight = _OWN_PATHS / (size + _OWN_PATHS)
    joint = _looked_up(b, price, factor, deviation, correlation, survival, weight, out)
    first, before = np.empty(_TILE, np.int32), np.empty(_TILE, np.int32)
    counts = np.empty(4, np.int64)
    work = Scratch(
        np.empty(len(price), np.int64),
        np.empty(len(price)),
        np.empty(_TILE, np.float32),
        np.empty(len(paths.blocks) - 1, np.float32),
        np.empty((3, paths.low.shape[2]), np.float32),
        price.copy(),
    )
    for base in range(0, size, _TILE):  # a tile of paths stays in the cache while all accounts walk through it
        n_paths = min(_TILE, size - base)
        for n in range(len(factor)):
            before[:] = 0
            for level in range(factor.shape[1]):
                if not joint[n, level]:
                    continue
                k = factor[n, level]
                if level > 0 and k > factor[n, level - 1]:
                    before[:] = 0
                first[:] = _NEVER
                for u in range(b.account_unit[n], b.account_unit[n + 1]):
                    if b.unit_leg[u + 1] > b.unit_leg[u]:
                        _count(b, u, k, price, paths, base, n_paths, before, first, work)
                before[:] = first
                _tally(first[:n_paths], counts)
                for h in range(4):
                    out[n, level, h] += counts[h] / (size + _OWN_PATHS)


@njit(cache=True, nogil=True)
def _looked_up(
    b: BookArrays,
    price: FloatArray,
    factor: FloatArray,
    deviation: FloatArray,
    correlation: FloatArray,
    survival: FloatArray,
    weight: float,
    out: FloatArray,
) -> BoolArray:
    """Fill what needs no paths; say which rows (n, L) are to be counted, and put the weight of two paths there."""
    kinds = unit_factor(b)
    joint = np.zeros(factor.shape, np.bool_)
    single = np.empty(4)
    for n in range(len(factor)):
        for level in range(factor.shape[1]):
            k = factor[n, level]
            live, last, breached = _live_units(b, n, k, price)
            if breached or live == 0:
                out[n, level] = 1.0 if breached else 0.0
            elif live == 1 and kinds[last] >= 0:
                _single(b, last, k, kinds[last], price, deviation, survival, out[n, level])
            else:
                joint[n, level] = True
                single[:] = 0.0
                for u in range(b.account_unit[n], b.account_unit[n + 1]):
                    if b.unit_leg[u + 1] > b.unit_leg[u]:
                        _equivalent(b, u, k, price, deviation, correlation, survival, single)
                out[n, level] = weight * single
    return joint


@kernel
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


@kernel
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


@kernel
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


@kernel
def _unit_assets(b: BookArrays, u: int, used: IntArray) -> int:
    """Distinct assets of a unit, written to `used`; their number."""
    m = 0
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        m = _note(used, m, b.leg_asset[i])
    for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
        if b.coll_asset[j] >= 0:
            m = _note(used, m, b.coll_asset[j])
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


class Scratch(NamedTuple):
    """Work space of one account, so that the hot kernels allocate nothing."""

    used: IntArray  # (A,) assets of the unit
    weight: FloatArray  # (A,) slopes of the plane
    bound: Float32Array  # (512,) least of the plane on each path of a tile
    inside: Float32Array  # (B,) and in each block of one path
    values: Float32Array  # (3, 72) the plane at lows, highs and closes
    trial: FloatArray  # (A,) prices at one point


@kernel
def _count(
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
        if bound[s] >= 0.0 or before[s] == _NEVER:
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
