"""Contingencies of the kernel that depend on deltas and vegas."""

from __future__ import annotations

import math
from typing import Final

from models.margin._kernel import inlined, kernel
from models.margin.blocks import BlockArrays
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
    time_left,
)
from models.margin.portfolio.packing import POINT_SIZE
from models.options.kernels import normal_cdf

__all__ = ["delta_needs"]

_ROOT_2PI_INVERSE: Final = 0.3989422804014327
_LEAST: Final = 1e-12


@kernel
def _option_delta(b: BlockArrays, j: int, forward: float, deviation: float) -> tuple[float, float]:
    """Forward delta of one option position, and its density at d1 times quantity."""
    deviation = max(deviation, _LEAST)
    d1 = math.log(forward / b.option_strike[j]) / deviation + 0.5 * deviation
    share = normal_cdf(d1) if b.option_call[j] else -normal_cdf(-d1)
    return b.option_quantity[j] * share, b.option_quantity[j] * _ROOT_2PI_INVERSE * math.exp(-0.5 * d1 * d1)


@kernel
def delta_needs(b: BlockArrays, i: int, spot: float, vol: float, hours: float) -> tuple[float, float]:
    """Roll shock, delta shock and vega charge in one sum, and the minimum."""
    p, first, last = b.block_parameter[i], b.block_option[i], b.block_option[i + 1]
    perpetual, base = b.block_perpetual[i], b.block_spot[i]
    roll = abs(perpetual) * b.parameter[p + ROLL_LEAST]
    net, gross, bought, other = perpetual + base, abs(perpetual) + abs(base), 0.0, perpetual
    linear, short, up, down = abs(perpetual) * spot, 0.0, 0.0, 0.0
    for e in range(b.block_expiry[i], b.block_expiry[i + 1]):
        left = time_left(b, e, hours)
        if left <= 0.0:
            continue
        forward, root = forward_of(b, e, spot, left), math.sqrt(left)
        delta, vega = b.expiry_future[e], 0.0
        gross, other, linear = gross + abs(delta), other + delta, linear + abs(delta) * forward
        for j in range(first, last):
            if b.option_expiry[j] != e:
                continue
            d, v = _option_delta(b, j, forward, b.option_vol[j] * vol * root)
            delta, gross, vega = delta + d, gross + abs(d), vega + v
            bought += d if b.option_quantity[j] > 0.0 else 0.0
            other += 0.0 if b.option_quantity[j] > 0.0 else d
            short += max(-b.option_quantity[j], 0.0)
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
