"""Linear margin of one unit: equity, maintenance, initial, gap, and the prices at which the gap closes.

Equity is ``cash + sum q (P - entry) + sum ratio_schedule(quantity P)``; maintenance is
``sum tier(|q| P)``. Tiers are convex and collateral schedules concave, so
``gap(P) = equity - k * maintenance`` is concave in every price: the set of safe prices of a
one-asset unit is an interval.

Valid when positions are linear and settled in the account currency.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from models.book import BookArrays
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
    "unit_maintenance",
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
    return equity


@njit(cache=True)
def unit_maintenance(b: BookArrays, u: int, price: FloatArray) -> float:
    """Maintenance requirement of unit `u`, account currency."""
    total = 0.0
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        notional = abs(b.leg_quantity[i]) * price[b.leg_asset[i]]
        total += tier_value(b.tier_start, b.tier_floor, b.tier_rate, b.tier_offset, b.leg_tier[i], notional)
    return total


@njit(cache=True)
def unit_initial(b: BookArrays, u: int, call_factor: float, price: FloatArray) -> float:
    """Initial requirement of unit `u`: notional over leverage, never below the call requirement."""
    total = 0.0
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        total += abs(b.leg_quantity[i]) * price[b.leg_asset[i]] * b.leg_initial_rate[i]
    return max(total, call_factor * unit_maintenance(b, u, price))


@njit(cache=True)
def unit_gap(b: BookArrays, u: int, k: float, price: FloatArray) -> float:
    """Equity minus `k` times maintenance; below 0 the level is breached."""
    return unit_equity(b, u, price) - k * unit_maintenance(b, u, price)


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
    level = b.unit_cash[u]
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        q = b.leg_quantity[i]
        own = b.leg_asset[i] == asset
        p = at if own else price[b.leg_asset[i]]
        row = _piece(b.tier_start, b.tier_floor, b.leg_tier[i], abs(q) * p, left and own)
        weight = q - k * abs(q) * b.tier_rate[row]
        level += k * b.tier_offset[row] - q * b.leg_entry[i]
        if own:
            slope += weight
        else:
            level += weight * p
    for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
        a = b.coll_asset[j]
        own = a == asset
        p = at if own else (price[a] if a >= 0 else 1.0)
        row = _piece(b.sched_start, b.sched_floor, b.coll_schedule[j], b.coll_quantity[j] * p, left and own)
        weight = b.coll_quantity[j] * b.sched_rate[row]
        level -= b.sched_offset[row]
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
