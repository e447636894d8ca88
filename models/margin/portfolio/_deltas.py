"""Contingencies of the kernel that depend on deltas and vegas."""

from __future__ import annotations

import math
from typing import Any, Final

from numba import njit

from models.margin._kernel import inlined, kernel
from models.margin._room import room
from models.margin.blocks import BlockArrays
from models.margin.portfolio._lanes import padded
from models.margin.portfolio._row import (
    DELTA_SHOCK,
    HEAD,
    MINIMUM,
    N_POINTS,
    N_TIERS,
    ROLL_ANNUALISED,
    ROLL_LEAST,
    VEGA_HEDGED,
    forward_of,
    run_end,
    time_left,
)
from models.margin.portfolio.packing import POINT_SIZE
from models.options.batch import delta_fast
from models.typing import FloatArray

__all__ = ["delta_needs"]

_LEAST: Final = 1e-12
_ROWS: Final = 7
_OPTIONS: Final[dict[str, Any]] = {"cache": True, "nogil": True, "_nrt": False, "error_model": "numpy"}
_vectorised = njit(**_OPTIONS)


@_vectorised
def _option_deltas(work: FloatArray) -> None:
    """Forward delta of each option position and its density at d1 times quantity: the last two rows of `work`."""
    forward, deviation, strike, quantity, call, delta, density = (
        work[0],
        work[1],
        work[2],
        work[3],
        work[4],
        work[5],
        work[6],
    )
    for j in range(work.shape[1]):
        share, height = delta_fast(forward[j], strike[j], deviation[j], call[j] > 0.0)
        delta[j] = quantity[j] * share
        density[j] = quantity[j] * height


@kernel
def _price_options(b: BlockArrays, i: int, spot: float, vol: float, hours: float, work: FloatArray) -> None:
    """Fill `work` for the options of block `i`; of expired ones it says nothing."""
    start, last = b.block_option[i], b.block_option[i + 1]
    at = start
    for e in range(b.block_expiry[i], b.block_expiry[i + 1]):
        first, at = at, run_end(b, at, last, e)
        left = time_left(b, e, hours)
        forward, root = (forward_of(b, e, spot, left), math.sqrt(left)) if left > 0.0 else (spot, 0.0)
        for o in range(first, at):
            j, deviation = o - start, b.option_vol[o] * vol * root
            work[0, j], work[1, j] = forward, _LEAST if deviation < _LEAST else deviation
            work[2, j], work[3, j] = b.option_strike[o], b.option_quantity[o]
            work[4, j] = 1.0 if b.option_call[o] else 0.0
    for j in range(last - start, work.shape[1]):
        for r in range(_ROWS):
            work[r, j] = 1.0
    _option_deltas(work)


@kernel
def delta_needs(b: BlockArrays, i: int, spot: float, vol: float, hours: float) -> tuple[float, float]:
    """Roll shock, delta shock and vega charge in one sum, and the minimum."""
    p, at, last = b.block_parameter[i], b.block_option[i], b.block_option[i + 1]
    perpetual, base, start = b.block_perpetual[i], b.block_spot[i], b.block_option[i]
    work = room(_ROWS, padded(last - start))
    _price_options(b, i, spot, vol, hours, work)
    roll = abs(perpetual) * b.parameter[p + ROLL_LEAST]
    net, gross, bought, other = perpetual + base, abs(perpetual) + abs(base), 0.0, perpetual
    linear, short, up, down = abs(perpetual) * spot, 0.0, 0.0, 0.0
    for e in range(b.block_expiry[i], b.block_expiry[i + 1]):
        begin, at = at, run_end(b, at, last, e)
        left = time_left(b, e, hours)
        if left <= 0.0:
            continue
        forward, root = forward_of(b, e, spot, left), math.sqrt(left)
        delta, vega = b.expiry_future[e], 0.0
        gross, other, linear = gross + abs(delta), other + delta, linear + abs(delta) * forward
        for j in range(begin, at):
            quantity = b.option_quantity[j]
            d = work[5, j - start]
            delta, gross, vega = delta + d, gross + abs(d), vega + work[6, j - start]
            bought += d if quantity > 0.0 else 0.0
            other += 0.0 if quantity > 0.0 else d
            short += max(-quantity, 0.0)
        net += delta
        roll += abs(delta) * max(b.parameter[p + ROLL_LEAST], b.parameter[p + ROLL_ANNUALISED] * left)
        vega *= forward * root * math.exp(-b.expiry_rate[e] * left)
        up, down = up + max(vega, 0.0), down + max(-vega, 0.0)
    added = roll * spot + _delta_shock(b, p, spot, bought, other) + b.parameter[p + VEGA_HEDGED] * min(up, down)
    return added, _minimum(b, p, spot, net, gross, linear, short)


@inlined
def _delta_shock(b: BlockArrays, p: int, spot: float, bought: float, other: float) -> float:
    both = bought + other
    size = min(max(both, other), 0.0) if other < 0.0 else max(min(both, other), 0.0)
    over = max(abs(size) - b.parameter[p + DELTA_SHOCK] / spot, 0.0)
    share = min(b.parameter[p + DELTA_SHOCK + 2], b.parameter[p + DELTA_SHOCK + 1] * over)
    return abs(size) * spot * share


@inlined
def _minimum(b: BlockArrays, p: int, spot: float, net: float, gross: float, linear: float, short: float) -> float:
    m = p + MINIMUM
    raw = (b.parameter[m] * abs(net) + b.parameter[m + 1] * 0.5 * (gross - abs(net))) * spot
    raw += b.parameter[m + 2] * linear + b.parameter[m + 3] * short * spot
    tiers, at = int(b.parameter[p + N_TIERS]), p + HEAD + POINT_SIZE * int(b.parameter[p + N_POINTS])
    if tiers == 0:
        return raw
    total, floor = 0.0, 0.0
    for k in range(tiers):
        top = raw if k + 1 == tiers else min(raw, b.parameter[at + 2 * k])
        total += max(top - floor, 0.0) * b.parameter[at + 2 * k + 1]
        floor = max(top, floor)
    return total
