"""Grids of option values of one block over the price and the time, for replay.

A grid holds, for each expiry, what its options are worth in every lane of the ruleset (`_lanes`) at Chebyshev nodes of
the log forward and of the log time left, for one level of implied volatility. Between the nodes values are
interpolated; everything else of the rule is computed as always. An expiry too near, or bent too sharply for the nodes
there are, is priced option by option, and so are lanes that move the skew. With every grid comes a bound of the error
of the requirement and of the value (`_nodes`).
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit

from models._by_pointer import by_pointer
from models.margin._kernel import inlined, kernel
from models.margin.blocks import BlockArrays
from models.margin.portfolio._kernel import requirement
from models.margin.portfolio._lanes import (
    FORWARD,
    LINEAR,
    MOVING,
    STATES,
    WORK_ROWS,
    YEARS,
    bend_between,
    lane_count,
    lane_sums,
    padded,
    set_lanes,
    set_state,
    skew_sums,
    smooth_in_time,
)
from models.margin.portfolio._nodes import MOST_FORWARDS, MOST_TIMES, chebyshev_node, nodes_needed, set_weights
from models.margin.portfolio._row import (
    BASIS_ADD,
    BASIS_MULTIPLE,
    COIN,
    DISCOUNT,
    FACTOR_IM,
    FACTOR_MM,
    HAS_DISCOUNT,
    HEAD,
    N_POINTS,
    RATE_MOVE,
    forward_of,
    run_end,
    run_start,
    time_left,
)
from models.margin.portfolio.packing import POINT_SIZE
from models.typing import FloatArray

__all__ = ["BLOCK_COLUMNS", "GridRoom", "grid_margin", "grid_room", "make_grid"]

_FORWARDS, _TIMES, _FORWARD_MIDDLE, _FORWARD_HALF, _TIME_MIDDLE, _TIME_HALF, _SLICED, _BEND = range(8)
_FRAME: Final = 8
BLOCK_COLUMNS: Final = 9
_fused = njit(cache=True, nogil=True, _nrt=False, error_model="numpy", fastmath={"contract"})
_COST: Final = 0.7
"""A grid is made where it takes fewer pricings than this share of those it saves."""


@by_pointer
class GridRoom(NamedTuple):
    """Room for the grids of one margin unit; every thread has its own."""

    table: FloatArray  # (2 * expiries, times * forwards * lanes): before a bend of each expiry, then behind it
    slice: FloatArray  # (2 * expiries, forwards * lanes): the table at one instant
    frame: FloatArray  # (2 * expiries, _FRAME)
    sums: FloatArray  # (expiries + 2, lanes + STATES), as `_lanes` says
    work: FloatArray  # (2 * WORK_ROWS, forwards * lanes): lanes at one time, and at another
    weight: FloatArray  # (MOST_FORWARDS,)
    block: FloatArray  # (blocks, BLOCK_COLUMNS): what the walk keeps of each block


def grid_room(expiries: int, lanes: int, blocks: int) -> GridRoom:
    """Make room for grids.

    Parameters
    ----------
    expiries, lanes, blocks : int
        Most expiries of a margin unit, most lanes of a ruleset, most blocks of a unit.

    Returns
    -------
    GridRoom
        Room, not filled.
    """
    wide = padded(MOST_FORWARDS * lanes)
    return GridRoom(
        np.empty((2 * expiries, MOST_TIMES * wide)),
        np.empty((2 * expiries, wide)),
        np.zeros((2 * expiries, _FRAME)),
        np.empty((expiries + 2, lanes + STATES)),
        np.empty((2 * WORK_ROWS, wide)),
        np.empty(MOST_FORWARDS),
        np.zeros((blocks, BLOCK_COLUMNS)),
    )


@kernel
def make_grid(
    b: BlockArrays,
    i: int,
    g: GridRoom,
    place: int,
    low: float,
    high: float,
    vol: float,
    start: float,
    stop: float,
    looks: float,
    budget: float,
) -> tuple[float, float]:
    """Fill the grids of block `i` from place `place` on; the bounds of the error of its requirement and of its value.

    Parameters
    ----------
    b : BlockArrays
        Blocks.
    i, place : int
        Block, and the row of `g` of its first expiry.
    g : GridRoom
        Filled.
    low, high : float
        Prices that will be asked for.
    vol : float
        Multiple of every implied volatility.
    start, stop : float
        Hours that will be asked for.
    looks : float
        How often, at most: an expiry that would need more nodes than that is worth is not tabulated.
    budget : float
        Error that the requirement may have, quote currency.
    """
    p, at, behind = b.block_parameter[i], b.block_option[i + 1], len(g.frame) // 2
    need_error, value_error, begin = 0.0, 0.0, b.block_expiry[i]
    for back in range(b.block_expiry[i + 1] - begin):  # the nearest, which is the hardest, has what is left over
        e = b.block_expiry[i + 1] - 1 - back
        last, at = at, run_start(b, b.block_option[i], at, e)
        row = place + e - begin
        early, late = time_left(b, e, start), time_left(b, e, stop)
        g.frame[row, _FORWARDS], g.frame[row + behind, _FORWARDS], g.frame[row, _BEND] = 0.0, 0.0, 0.0
        if at == last or not (stop > start and late > 0.0):
            continue
        bend, wrong, off = bend_between(b, p, early, late), 0.0, 0.0
        g.frame[row, _BEND] = bend if bend > late else 0.0
        own_budget = (budget - need_error) / (e + 1 - begin)
        for piece in range(2):
            one, two = (early, bend) if piece == 0 else (bend, late)
            if one > two and smooth_in_time(b, p, one, two):
                share = looks * (one - two) / (early - late)
                own, own_off = _make_piece(
                    b, e, p, at, last, g, row + piece * behind, low, high, vol, one, two, share, own_budget
                )
                wrong, off = max(wrong, own), max(off, own_off)
        need_error, value_error = need_error + wrong, value_error + off
    return need_error, value_error


@kernel
def _make_piece(
    b: BlockArrays,
    e: int,
    p: int,
    first: int,
    last: int,
    g: GridRoom,
    row: int,
    low: float,
    high: float,
    vol: float,
    early: float,
    late: float,
    looks: float,
    budget: float,
) -> tuple[float, float]:
    """Fill the grid of one expiry between two times left, if it is worth it; its errors of requirement and value."""
    lanes = lane_count(b, p)
    least = min(forward_of(b, e, low, early), forward_of(b, e, low, late))
    most = max(forward_of(b, e, high, early), forward_of(b, e, high, late))
    half = 0.5 * math.log(most / least)
    g.weight[0] = most
    set_lanes(b, p, early, 1.0, vol, g.weight[:1], g.work[:WORK_ROWS])
    set_lanes(b, p, late, 1.0, vol, g.weight[:1], g.work[WORK_ROWS:])
    _set_lane_weights(b, p, e, early, g.slice[row, :lanes])
    n, m, wrong, off = nodes_needed(
        b,
        first,
        last,
        int(b.parameter[p + N_POINTS]),
        half,
        most,
        g.work[:WORK_ROWS],
        g.work[WORK_ROWS:],
        g.slice[row, :lanes],
        budget,
    )
    if n == 0 or n * m > _COST * looks:
        return 0.0, 0.0
    frame = g.frame[row]
    frame[_FORWARDS], frame[_TIMES], frame[_SLICED] = n, m, np.nan
    frame[_FORWARD_MIDDLE], frame[_FORWARD_HALF] = 0.5 * math.log(most * least), max(half, 1e-9)
    frame[_TIME_MIDDLE], frame[_TIME_HALF] = 0.5 * math.log(early * late), 0.5 * math.log(early / late)
    _tabulate(b, p, first, last, n, m, vol, frame, g.table[row], g.work, g.weight)
    return wrong, off


@kernel
def _set_lane_weights(b: BlockArrays, p: int, e: int, years: float, out: FloatArray) -> None:
    """Write what an error of the value of an expiry in each lane can count for in the requirement.

    A profit is the value in the scenario less the mark, so the weight of the mark comes on top of any other.
    """
    points, coin = int(b.parameter[p + N_POINTS]), b.parameter[p + COIN] > 0.0
    counted = math.exp(max(b.expiry_rate[e], 0.0) * years)
    if b.parameter[p + HAS_DISCOUNT] > 0.0:
        counted = max(counted, b.parameter[p + DISCOUNT])
    counted *= max(b.parameter[p + FACTOR_MM], b.parameter[p + FACTOR_IM])
    mark = 0.0
    for k in range(points):
        q = p + HEAD + POINT_SIZE * k
        price, share = b.parameter[q], b.parameter[q + 2] / (1.0 + b.parameter[q + 4] if coin else 1.0)
        skew = b.parameter[q + 1] >= LINEAR
        out[k] = 0.0 if skew else counted * share * max(1.0 + price, 1.0)
        mark = max(mark, counted * share * (1.0 + price if coin and not skew else 1.0))
    for k in range(points + 1, len(out)):
        out[k] = counted * (b.parameter[p + BASIS_ADD] + b.parameter[p + BASIS_MULTIPLE] * years)
        mark = max(mark, out[k])
    out[points] = mark + counted * b.parameter[p + RATE_MOVE] * years


@kernel
def _tabulate(
    b: BlockArrays,
    p: int,
    first: int,
    last: int,
    n: int,
    m: int,
    vol: float,
    frame: FloatArray,
    table: FloatArray,
    work: FloatArray,
    forwards: FloatArray,
) -> None:
    """Price the options of an expiry in every lane at every node."""
    size = n * lane_count(b, p)
    for a in range(n):
        forwards[a] = math.exp(frame[_FORWARD_MIDDLE] + frame[_FORWARD_HALF] * chebyshev_node(n, a))
    for t in range(m):
        years = math.exp(frame[_TIME_MIDDLE] + frame[_TIME_HALF] * chebyshev_node(m, t))
        set_lanes(b, p, years, 1.0, vol, forwards[:n], work)
        lane_sums(b, first, last, size, work)
        own = table[t * size : (t + 1) * size]
        for k in range(size):
            own[k] = work[4, k]


@_fused
def _combine(weights: FloatArray, n: int, rows: FloatArray, size: int, out: FloatArray) -> None:
    """Weighted sum of `n` rows that stand one behind the other."""
    share = weights[0]
    for k in range(size):
        out[k] = share * rows[k]
    for r in range(1, n):
        share, own = weights[r], rows[r * size : (r + 1) * size]
        for k in range(size):
            out[k] += share * own[k]


@inlined
def _interpolate(lanes: int, g: GridRoom, row: int, forward: float, years: float, out: FloatArray) -> None:
    """Write the lanes of an expiry at a forward and a time; the table at that time is kept for the next price."""
    frame, table, cut, w = g.frame[row], g.table[row], g.slice[row], g.weight
    n, m = int(frame[_FORWARDS]), int(frame[_TIMES])
    size = n * lanes
    if frame[_SLICED] != years:
        frame[_SLICED] = years
        set_weights(m, (math.log(years) - frame[_TIME_MIDDLE]) / frame[_TIME_HALF], w)
        _combine(w, m, table, size, cut)
    set_weights(n, (math.log(forward) - frame[_FORWARD_MIDDLE]) / frame[_FORWARD_HALF], w)
    _combine(w, n, cut, lanes, out)


@kernel
def grid_margin(
    b: BlockArrays, i: int, g: GridRoom, place: int, spot: float, vol: float, hours: float
) -> tuple[float, float, float]:
    """Value, maintenance and initial requirement of block `i` by its grid, as `scenario_margin` gives them.

    The price and the hours are among those the grid was made for.
    """
    p, at, last = b.block_parameter[i], b.block_option[i], b.block_option[i + 1]
    lanes, sums = lane_count(b, p), g.sums[place:]
    for e in range(b.block_expiry[i], b.block_expiry[i + 1]):
        first, at = at, run_end(b, at, last, e)
        local = e - b.block_expiry[i]
        years, row = time_left(b, e, hours), sums[local]
        if years <= 0.0:
            row[lanes + YEARS] = years
            continue
        if row[lanes + YEARS] == years:  # the price alone is another
            row[lanes + FORWARD] = forward_of(b, e, spot, years)
        else:
            set_state(b, p, e, spot, years, row[: lanes + STATES])
        piece = place + local + (len(g.frame) // 2 if years < g.frame[place + local, _BEND] else 0)
        if g.frame[piece, _FORWARDS] > 0.0:
            _interpolate(lanes, g, piece, row[lanes + FORWARD], years, row)
        else:
            set_lanes(b, p, years, row[lanes + MOVING], vol, row[lanes + FORWARD : lanes + FORWARD + 1], g.work)
            lane_sums(b, first, at, lanes, g.work)
            for k in range(lanes):
                row[k] = g.work[4, k]
    skew_sums(b, i, vol, sums)
    return requirement(b, i, spot, vol, hours, sums)
