"""The gap of a unit as a sum of one straight line for each asset it depends on.

The gap is a sum over assets of concave piecewise-linear functions of one price. Around a price
every piece is a line; a line holds between two prices, and outside of them it lies above the gap
(tangent), so blocks of bars that leave that range are priced by the rule itself.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from models._by_pointer import by_pointer
from models.book import BookArrays
from models.margin._extremes import BLOCK, Extremes
from models.margin._kernel import fast, inlined, kernel
from models.margin.linear import tier_value
from models.typing import FloatArray, Int32Array, IntArray

__all__ = [
    "Fit",
    "Work",
    "at_level",
    "block_bounds",
    "collect_slots",
    "fit_lines",
    "new_work",
    "slot_values",
    "vertex_bound",
]

NET: Final = 0  # base units that funding is paid on, signed
EQUITY: Final = 1  # slope of equity
MAINTENANCE: Final = 2  # slope of maintenance
FROM: Final = 3  # the lines hold from this price
TO: Final = 4  # to this one
SLOPE: Final = 5  # slope of the gap at the level asked for
AT: Final = 6  # price the lines are fitted at
PAID: Final = 7  # cumulative funding before the first bar
LEFT: Final = 8  # value of the slot's part of the gap at a lower price
RIGHT: Final = 9  # and at a higher one
HOME: Final = 10  # keeps AT while the lines are fitted elsewhere
_N_LINES: Final = 11


@by_pointer
class Work(NamedTuple):
    """Memory that a walk reuses for every unit: K assets at most in a unit, B blocks in a window."""

    slot: IntArray  # (K,) the assets that the unit depends on
    lines: FloatArray  # (11, K) what is known of the gap as a function of their prices
    ends: FloatArray  # (2, K) two prices of each
    price: FloatArray  # (A,) a price for each asset of the book
    bound: FloatArray  # (B,) lower bound of the gap in a block
    outside: FloatArray  # (B,) > 0 where the lines do not hold: by how much prices of the block leave their range
    values: FloatArray  # (4, BLOCK) gap at the points of the bars of a block
    least: FloatArray  # (BLOCK,) smallest of them


def new_work(n_slots: int, n_assets: int, n_blocks: int) -> Work:
    """Memory for units of at most `n_slots` assets and windows of at most `n_blocks` blocks."""
    return Work(
        np.zeros(n_slots, np.int64),
        np.zeros((_N_LINES, n_slots)),
        np.zeros((2, n_slots)),
        np.zeros(n_assets),
        np.zeros(n_blocks),
        np.zeros(n_blocks),
        np.zeros((4, BLOCK)),
        np.zeros(BLOCK),
    )


@inlined
def collect_slots(b: BookArrays, u: int, w: Work) -> int:
    """Collect the distinct assets that unit `u` depends on, and their net quantities; the number of assets."""
    count = 0
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        s, count = _slot(b.leg_asset[i], w.slot, w.lines, count)
        w.lines[NET, s] += b.leg_funding[i]
    for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
        if b.coll_asset[j] >= 0:
            s, count = _slot(b.coll_asset[j], w.slot, w.lines, count)
    return count


@inlined
def _slot(asset: int, slot: IntArray, lines: FloatArray, count: int) -> tuple[int, int]:
    """Slot of an asset, new where it has none yet; and the number of slots then."""
    s = 0
    while s < count and slot[s] != asset:
        s += 1
    if s == count:
        slot[s] = asset
        lines[NET, s] = 0.0
        count += 1
    return s, count


@inlined
def _find(asset: int, slot: IntArray) -> int:
    s = 0
    while slot[s] != asset:
        s += 1
    return s


@inlined
def _piece(start: Int32Array, floor: FloatArray, i: int, value: float) -> int:
    """Row of schedule `i` that holds at a value."""
    k = start[i]
    stop = start[i + 1] - 1
    while k < stop and floor[k + 1] <= value:
        k += 1
    return k


@inlined
def _narrow(lines: FloatArray, s: int, start: Int32Array, floor: FloatArray, i: int, k: int, quantity: float) -> None:
    """Cut the range of slot `s` to the prices at which piece `k` of schedule `i` holds."""
    if quantity > 0.0:
        if k > start[i]:
            lines[FROM, s] = max(lines[FROM, s], floor[k] / quantity)
        if k < start[i + 1] - 1:
            lines[TO, s] = min(lines[TO, s], floor[k + 1] / quantity)


class Fit(NamedTuple):
    """What the lines of a unit do not say."""

    equity: float  # intercept of equity
    maintenance: float  # intercept of maintenance
    gross: float  # scale of all terms, for rounding


@inlined
def allowance(fit: Fit) -> float:
    """What rounding may add to a sum of lines, with room to spare."""
    return 1e-11 * fit.gross


@inlined
def fit_lines(b: BookArrays, u: int, w: Work, count: int) -> Fit:
    """Fit the lines of unit `u` at the prices ``w.lines[AT]``."""
    for s in range(count):
        w.lines[EQUITY, s] = w.lines[MAINTENANCE, s] = w.lines[FROM, s] = 0.0
        w.lines[TO, s] = np.inf
    equity = b.unit_cash[u] - b.unit_offset[u]
    maintenance = b.unit_floor[u]
    gross = abs(equity) + abs(maintenance)
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        q, size, tier = b.leg_quantity[i], b.leg_size[i], b.leg_tier[i]
        s = _find(b.leg_asset[i], w.slot)
        k = _piece(b.tier_start, b.tier_floor, tier, size * w.lines[AT, s])
        _narrow(w.lines, s, b.tier_start, b.tier_floor, tier, k, size)
        w.lines[EQUITY, s] += q
        equity -= q * b.leg_entry[i]
        gross += abs(q) * (b.leg_entry[i] + w.lines[AT, s] + abs(w.lines[PAID, s]))
        w.lines[MAINTENANCE, s] += size * b.tier_rate[k]
        maintenance -= b.tier_offset[k]
        gross += abs(size * b.tier_rate[k]) * w.lines[AT, s] + abs(b.tier_offset[k])
    for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
        q, schedule, a = b.coll_quantity[j], b.coll_schedule[j], b.coll_asset[j]
        if a < 0:
            equity += tier_value(b.sched_start, b.sched_floor, b.sched_rate, b.sched_offset, schedule, q)
            gross += abs(q)
            continue
        s = _find(a, w.slot)
        gross += abs(q) * w.lines[AT, s]
        if q < 0.0:
            w.lines[EQUITY, s] += q
            continue
        k = _piece(b.sched_start, b.sched_floor, schedule, q * w.lines[AT, s])
        _narrow(w.lines, s, b.sched_start, b.sched_floor, schedule, k, q)
        w.lines[EQUITY, s] += q * b.sched_rate[k]
        equity -= b.sched_offset[k]
    return Fit(equity, maintenance, gross)


@inlined
def at_level(fit: Fit, k: float, w: Work, count: int) -> float:
    """Set the slopes for requirement factor `k`; the intercept, net of the funding before."""
    const = fit.equity - k * fit.maintenance
    for s in range(count):
        w.lines[SLOPE, s] = w.lines[EQUITY, s] - k * w.lines[MAINTENANCE, s]
        const += w.lines[NET, s] * w.lines[PAID, s]
    return const


@fast
def block_bounds(t: Extremes, w: Work, count: int, const: float, first: int, stop: int) -> float:
    """Bound the gap over blocks ``first:stop`` from below, by the lines; by how much prices leave their range.

    A block in which an asset has no bar at all gets an infinite bound, unless the gap does not depend on it.
    """
    n = stop - first
    for j in range(n):
        w.bound[j] = const
        w.outside[j] = -np.inf
    for s in range(count):
        a, slope, net = w.slot[s], w.lines[SLOPE, s], w.lines[NET, s]
        low, high = t.block_low[a, first:stop], t.block_high[a, first:stop]
        side = low if slope > 0.0 else high
        if slope != 0.0:
            for j in range(n):
                w.bound[j] += slope * side[j]
        paid = t.block_funding_high[a, first:stop] if net > 0.0 else t.block_funding_low[a, first:stop]
        if net != 0.0:
            for j in range(n):
                w.bound[j] -= net * paid[j]
        start, end = w.lines[FROM, s], w.lines[TO, s]
        for j in range(n):
            w.outside[j] = max(w.outside[j], max(start - low[j], high[j] - end))
    most = -np.inf
    for j in range(n):
        most = max(most, w.outside[j])
    return most


@kernel
def slot_values(b: BookArrays, u: int, k: float, w: Work, count: int) -> float:
    """Value of each slot's part of the gap at prices ``w.ends[0]`` and ``w.ends[1]``; the part without price."""
    for s in range(count):
        w.lines[LEFT, s] = w.lines[RIGHT, s] = 0.0
    const = b.unit_cash[u] - b.unit_offset[u] - k * b.unit_floor[u]
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        q, size = b.leg_quantity[i], b.leg_size[i]
        s = _find(b.leg_asset[i], w.slot)
        for side in range(2):
            value = tier_value(
                b.tier_start, b.tier_floor, b.tier_rate, b.tier_offset, b.leg_tier[i], size * w.ends[side, s]
            )
            w.lines[LEFT + side, s] += q * (w.ends[side, s] - b.leg_entry[i]) - k * value
    for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
        q, schedule, a = b.coll_quantity[j], b.coll_schedule[j], b.coll_asset[j]
        if a < 0:
            const += tier_value(b.sched_start, b.sched_floor, b.sched_rate, b.sched_offset, schedule, q)
            continue
        s = _find(a, w.slot)
        for side in range(2):
            w.lines[LEFT + side, s] += tier_value(
                b.sched_start, b.sched_floor, b.sched_rate, b.sched_offset, schedule, q * w.ends[side, s]
            )
    return const


@kernel
def vertex_bound(
    b: BookArrays,
    u: int,
    k: float,
    t: Extremes,
    w: Work,
    count: int,
    j: int,
) -> float:
    """Smallest gap over the box of prices and funding of block `j`, by the rule itself."""
    for s in range(count):
        w.ends[0, s], w.ends[1, s] = t.block_low[w.slot[s], j], t.block_high[w.slot[s], j]
        if w.ends[0, s] > w.ends[1, s]:
            return np.inf
    total = slot_values(b, u, k, w, count)
    for s in range(count):
        net = w.lines[NET, s]
        paid = t.block_funding_high[w.slot[s], j] if net > 0.0 else t.block_funding_low[w.slot[s], j]
        total += min(w.lines[LEFT, s], w.lines[RIGHT, s]) - net * (paid - w.lines[PAID, s])
    return total
