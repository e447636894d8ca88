"""Margin of one unit: equity, maintenance, initial, gap, and the prices at which the gap closes.

Equity is ``cash + sum q (P - entry) + sum ratio_schedule(quantity P)``; maintenance is
``floor + sum tier(size P)`` and the requirement at factor k is ``offset + k * maintenance``. Tiers are convex and
collateral schedules concave, so ``gap(P) = equity - requirement`` is concave in every price: the set of safe prices
of a one-asset unit is an interval. Coin-margined contracts, loans and credit support annexes have this form in
dollars (`models.margin.folding`); options and scenario margin do not, and enter as sheets (`models.margin.sheets`).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from models.book import BookArrays
from models.margin.sheets import MIDDLE, node_move, sheet_value
from models.typing import FloatArray, Int32Array

__all__ = [
    "MANY",
    "NONE",
    "barriers",
    "tier_value",
    "unit_equity",
    "unit_factor",
    "unit_gap",
    "unit_initial",
    "unit_is_live",
    "unit_maintenance",
    "unit_requirement",
]

NONE = -1
"""`unit_factor`: the unit depends on no price."""
MANY = -2
"""`unit_factor`: the unit depends on several prices."""


@njit(cache=True, inline="always")
def tier_value(
    start: Int32Array, floor: FloatArray, rate: FloatArray, offset: FloatArray, i: int, value: float
) -> float:
    """Schedule `i` at a value >= 0; a value below 0 passes unchanged."""
    if value < 0.0:
        return value
    k = start[i]
    stop = start[i + 1] - 1
    while k < stop and floor[k + 1] <= value:
        k += 1
    return rate[k] * value - offset[k]


@njit(cache=True)
def unit_equity(b: BookArrays, u: int, price: FloatArray) -> float:
    """Equity of unit `u` after haircuts, account currency; `price` is (A,)."""
    equity = b.unit_cash[u]
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        equity += b.leg_quantity[i] * (price[b.leg_asset[i]] - b.leg_entry[i])
    for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
        a = b.coll_asset[j]
        value = b.coll_quantity[j] * (price[a] if a >= 0 else 1.0)
        equity += tier_value(b.sched_start, b.sched_floor, b.sched_rate, b.sched_offset, b.coll_schedule[j], value)
    for h in range(b.unit_sheet[u], b.unit_sheet[u + 1]):
        equity += sheet_value(b.sheet_now[h], b.sheet_equity[h, 0], price[b.sheet_asset[h]])
    return equity


@njit(cache=True)
def unit_maintenance(b: BookArrays, u: int, price: FloatArray) -> float:
    """Maintenance requirement of unit `u`, account currency."""
    total = b.unit_floor[u]
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        notional = b.leg_size[i] * price[b.leg_asset[i]]
        total += tier_value(b.tier_start, b.tier_floor, b.tier_rate, b.tier_offset, b.leg_tier[i], notional)
    for h in range(b.unit_sheet[u], b.unit_sheet[u + 1]):
        total += sheet_value(b.sheet_now[h], b.sheet_maintenance[h, 0], price[b.sheet_asset[h]])
    return total


@njit(cache=True)
def unit_initial(b: BookArrays, u: int, call_factor: float, initial_factor: float, price: FloatArray) -> float:
    """Initial requirement of unit `u`: notional over leverage, never below the call requirement."""
    total = b.unit_initial[u]
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        total += b.leg_initial[i] + b.leg_size[i] * price[b.leg_asset[i]] * b.leg_initial_rate[i]
    for h in range(b.unit_sheet[u], b.unit_sheet[u + 1]):
        total += sheet_value(b.sheet_now[h], b.sheet_initial[h], price[b.sheet_asset[h]])
    return max(total, unit_requirement(b, u, max(call_factor, initial_factor), price))


@njit(cache=True)
def unit_requirement(b: BookArrays, u: int, k: float, price: FloatArray) -> float:
    """Requirement of unit `u` at factor `k`: its credit line or independent amount, and `k` times maintenance."""
    return b.unit_offset[u] + k * unit_maintenance(b, u, price)


@njit(cache=True)
def unit_gap(b: BookArrays, u: int, k: float, price: FloatArray) -> float:
    """Equity minus the requirement at factor `k`; below 0 the level is breached."""
    return unit_equity(b, u, price) - unit_requirement(b, u, k, price)


@njit(cache=True, inline="always")
def unit_is_live(b: BookArrays, u: int) -> bool:
    """Whether unit `u` holds anything that a requirement stands on."""
    return (
        b.unit_leg[u + 1] > b.unit_leg[u]
        or b.unit_sheet[u + 1] > b.unit_sheet[u]
        or b.unit_floor[u] != 0.0
        or b.unit_offset[u] != 0.0
    )


@njit(cache=True)
def unit_factor(b: BookArrays) -> Int32Array:
    """For each unit the one asset it depends on, `NONE` or `MANY`; shape (u,)."""
    n = len(b.unit_cash)
    out = np.full(n, NONE, np.int32)
    for u in range(n):
        for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
            out[u] = _merge(out[u], b.leg_asset[i])
        for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
            if b.coll_asset[j] >= 0:
                out[u] = _merge(out[u], b.coll_asset[j])
        for h in range(b.unit_sheet[u], b.unit_sheet[u + 1]):
            out[u] = _merge(out[u], b.sheet_asset[h])
    return out


@njit(cache=True, inline="always")
def _merge(held: int, asset: int) -> int:
    if held == NONE:
        return asset
    return asset if held == asset else MANY


@njit(cache=True)
def _piece(start: Int32Array, floor: FloatArray, i: int, value: float, left: bool) -> int:
    """Row of schedule `i` that holds just right (or, with `left`, just left) of a value."""
    k = start[i]
    stop = start[i + 1] - 1
    while k < stop and (floor[k + 1] < value or (not left and floor[k + 1] == value)):
        k += 1
    return k


@njit(cache=True)
def _line(b: BookArrays, u: int, k: float, asset: int, price: FloatArray, at: float, left: bool) -> tuple[float, float]:
    """Slope and intercept of the gap as a function of the price of `asset`, around `at`."""
    slope = 0.0
    level = b.unit_cash[u] - b.unit_offset[u] - k * b.unit_floor[u]
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        q, size = b.leg_quantity[i], b.leg_size[i]
        own = b.leg_asset[i] == asset
        p = at if own else price[b.leg_asset[i]]
        row = _piece(b.tier_start, b.tier_floor, b.leg_tier[i], size * p, left and own)
        weight = q - k * size * b.tier_rate[row]
        level += k * b.tier_offset[row] - q * b.leg_entry[i]
        if own:
            slope += weight
        else:
            level += weight * p
    for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
        a = b.coll_asset[j]
        own = a == asset
        p = at if own else (price[a] if a >= 0 else 1.0)
        owed = b.coll_quantity[j] < 0.0
        row = _piece(b.sched_start, b.sched_floor, b.coll_schedule[j], b.coll_quantity[j] * p, left and own)
        weight = b.coll_quantity[j] * (1.0 if owed else b.sched_rate[row])
        level -= 0.0 if owed else b.sched_offset[row]
        if own:
            slope += weight
        else:
            level += weight * p
    return slope, level


@njit(cache=True)
def barriers(b: BookArrays, u: int, k: float, asset: int, price: FloatArray) -> tuple[float, float]:
    """Prices of one asset between which the gap of a unit is not negative, the others held.

    Parameters
    ----------
    b : BookArrays
        The book.
    u : int
        Unit.
    k : float
        Requirement factor: ``call_factor`` for a call, 1 for liquidation.
    asset : int
        The asset that moves.
    price : ndarray, shape (A,)
        Prices of the others.

    Returns
    -------
    tuple of float
        ``(lower, upper)``; 0 or infinity where that side never breaches; ``(inf, 0)`` where no price is safe.

    Notes
    -----
    Newton's method on a concave piecewise-linear function started outside its root approaches it from
    outside, each step on another piece: it ends at the exact root after at most as many steps as pieces.
    """
    if b.unit_sheet[u + 1] > b.unit_sheet[u]:
        return _walk_out(b, u, k, asset, price.copy())
    return _close_in(b, u, k, asset, price)


@njit(cache=True)
def _close_in(b: BookArrays, u: int, k: float, asset: int, price: FloatArray) -> tuple[float, float]:
    """Barriers of a unit whose gap is concave."""
    lower = 0.0
    slope, level = _line(b, u, k, asset, price, 0.0, False)
    if level < 0.0:
        for _ in range(64):
            if slope <= 0.0:
                return np.inf, 0.0
            nxt = -level / slope
            if nxt <= lower:
                break
            lower = nxt
            slope, level = _line(b, u, k, asset, price, lower, False)
    upper = np.inf
    slope, level = _line(b, u, k, asset, price, 1e300, True)
    if slope < 0.0:
        upper = -level / slope
        for _ in range(64):
            slope, level = _line(b, u, k, asset, price, upper, True)
            if slope >= 0.0:
                break
            nxt = -level / slope
            if nxt >= upper:
                break
            upper = nxt
        if upper < lower:
            return np.inf, 0.0
    return lower, upper


@njit(cache=True)
def _walk_out(b: BookArrays, u: int, k: float, asset: int, trial: FloatArray) -> tuple[float, float]:
    """Barriers of a unit with sheets: the ends of the safe interval that holds the price of now."""
    now = trial[asset]
    if not unit_gap(b, u, k, trial) >= 0.0:
        return np.inf, 0.0
    lower, upper = 0.0, np.inf
    for side in (-1, 1):  # in a loop, so that it is compiled once
        root = _first_root(b, u, k, asset, now, side, trial)
        if root > 0.0 and side < 0:
            lower = root
        elif root > 0.0:
            upper = root
    return lower, upper


@njit(cache=True)
def _first_root(b: BookArrays, u: int, k: float, asset: int, now: float, side: int, trial: FloatArray) -> float:
    """First price in one direction at which the gap is negative, -1 where none is within a sheet's reach."""
    inside = 0.0
    for i in range(1, 2 * MIDDLE + 1):
        outside = side * node_move(MIDDLE + i) if i <= MIDDLE else side * node_move(2 * MIDDLE) * i / MIDDLE
        trial[asset] = now * np.exp(outside)
        if unit_gap(b, u, k, trial) < 0.0:
            for _ in range(26):
                middle = 0.5 * (inside + outside)
                trial[asset] = now * np.exp(middle)
                if unit_gap(b, u, k, trial) < 0.0:
                    outside = middle
                else:
                    inside = middle
            trial[asset] = now
            return now * np.exp(outside)
        inside = outside
    trial[asset] = now
    return -1.0
