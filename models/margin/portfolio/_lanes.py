"""Options of one expiry under every scenario at once, compiled.

A *lane* is one of the ways in which a ruleset looks at an expiry: each of its scenarios, then the mark, then the two
basis moves where it has them. All lanes of an option are priced in one loop without a branch, which the compiler turns
into vector instructions however few options the expiry has. Tables of sums have a row for each expiry of a block
(shape (expiries + 2, lanes + `STATES`)): its lanes, then what the requirement needs to know of the expiry; the last
two rows are room for totals.

Loops over lanes or options run to the next multiple of `_VECTOR`, over values that count for nothing: what a loop has
left over after its last whole vector would be computed number by number.
"""

from __future__ import annotations

import math
from typing import Any, Final

from numba import njit

from models.margin._kernel import inlined, kernel
from models.margin._room import room
from models.margin.blocks import BlockArrays
from models.margin.portfolio._row import (
    BASIS_DOWN,
    BASIS_UP,
    DISCOUNT,
    HAS_BASIS,
    HAS_DISCOUNT,
    HEAD,
    N_POINTS,
    SKEW,
    VOL,
    VOL_ABSOLUTE,
    WINDOW,
    forward_of,
    run_end,
    time_left,
)
from models.margin.portfolio.packing import POINT_SIZE
from models.options.batch import black76_by_log, log_ratio
from models.typing import FloatArray

__all__ = [
    "DEBT",
    "FORWARD",
    "GAIN",
    "KEPT",
    "MOVING",
    "STATES",
    "WORK_ROWS",
    "YEARS",
    "bend_between",
    "lane_count",
    "lane_sums",
    "padded",
    "set_lanes",
    "set_state",
    "skew_sums",
    "smooth_in_time",
    "sums_by_rule",
]

STATES: Final = 6
"""Columns behind the lanes."""
YEARS, FORWARD, MOVING, KEPT, GAIN, DEBT = range(STATES)
"""Years left, forward, share of the forward that still moves, discount factor, what a unit of value counts for."""
WORK_ROWS: Final = 6
"""Rows of room that `lane_sums` needs: forward, three of the deviation, the sums, and logs of the forwards."""
_SET_ROWS: Final = 4
LINEAR: Final = 3.0
_VECTOR: Final = 8
_SKEW_ROWS: Final = 9
_UP: Final = 1.0
_YEAR_DAYS: Final = 365.0
_ROUNDING: Final = 1e-9
_LEAST: Final = 1e-12
_ROOM: Final = 4.0
"""Multiple of the hours that a scenario lets pass which must be left for its lane to be smooth."""
_YEAR_HOURS: Final = 8760.0
_OPTIONS: Final[dict[str, Any]] = {"cache": True, "nogil": True, "_nrt": False, "error_model": "numpy"}
_summed = njit(**_OPTIONS, fastmath={"contract", "reassoc"})
"""Sums may be taken in any order; the prices are compiled on their own and keep theirs."""


@inlined
def lane_count(b: BlockArrays, p: int) -> int:
    """Lanes of the ruleset at place `p`."""
    return int(b.parameter[p + N_POINTS]) + (3 if b.parameter[p + HAS_BASIS] > 0.0 else 1)


@inlined
def padded(count: int) -> int:
    """Numbers to compute where `count` are wanted."""
    return (count + _VECTOR - 1) // _VECTOR * _VECTOR


@inlined
def _vol_scale(b: BlockArrays, p: int, years: float) -> float:
    """Multiple of the volatility shock at this time to expiry."""
    v = p + VOL
    days = max(years * _YEAR_DAYS, b.parameter[v + 6])
    power = b.parameter[v + 2] if days <= b.parameter[v + 4] else b.parameter[v + 3]
    return 1.0 if power == 0.0 else (b.parameter[v + 5] / days) ** power


@kernel
def bend_between(b: BlockArrays, p: int, early: float, late: float) -> float:
    """Years left, between two times, at which lanes bend sharply: at the floor or the split of the volatility shock.

    The first such time; that of `late` where there is none.
    """
    out = late
    for days in (b.parameter[p + VOL + 4], b.parameter[p + VOL + 6]):
        if late * (1.0 + _ROUNDING) < days / _YEAR_DAYS < early * (1.0 - _ROUNDING):
            out = max(out, days / _YEAR_DAYS)
    return out


@kernel
def smooth_in_time(b: BlockArrays, p: int, early: float, late: float) -> bool:
    """Whether no lane bends sharply between two times left.

    Lanes do as in `bend_between`, in the settlement window, and near an end of their own.
    """
    v, bends = p + VOL, 0
    for days in (b.parameter[v + 4], b.parameter[v + 6]):
        bends += late * _YEAR_DAYS * (1.0 + _ROUNDING) < days < early * _YEAR_DAYS * (1.0 - _ROUNDING)
    for k in range(int(b.parameter[p + N_POINTS])):
        bends += late * _YEAR_HOURS < _ROOM * b.parameter[p + HEAD + POINT_SIZE * k + 3]
    return bends == 0 and late > b.parameter[p + WINDOW]


@kernel
def set_lanes(
    b: BlockArrays, p: int, years: float, moving: float, vol: float, forwards: FloatArray, work: FloatArray
) -> None:
    """Write forward and deviation of every lane at each of some forwards to the first rows of `work`.

    The deviation of an option is ``max(vol * work[1] + work[2], work[3])``. `work` has room for `padded` lanes.
    """
    points, lanes, width = int(b.parameter[p + N_POINTS]), lane_count(b, p), len(forwards)
    scale, absolute = _vol_scale(b, p, years), b.parameter[p + VOL_ABSOLUTE] > 0.0
    for k in range(lanes):
        move, share, add, least, left = 0.0, vol, 0.0, 0.0, years
        if k > points:
            move = b.parameter[p + (BASIS_UP if k == points + 1 else BASIS_DOWN)]
        if k < points:
            q = p + HEAD + POINT_SIZE * k
            move, kind = b.parameter[q], b.parameter[q + 1]
            left = max(years - b.parameter[q + 3] / _YEAR_HOURS, 0.0)
            if 0.0 < kind < LINEAR:
                size = scale * (b.parameter[p + VOL] if kind == _UP else -b.parameter[p + VOL + 1])
                share, add = (vol, size) if absolute else (vol * (1.0 + size), 0.0)
                least = b.parameter[p + VOL + 7] if kind == _UP else 0.0
        root = math.sqrt(left)
        work[0, k], work[1, k], work[2, k], work[3, k] = 1.0 + moving * move, share * root, add * root, least * root
    for a in range(width - 1, -1, -1):
        for r in range(_SET_ROWS):
            own, other, times = work[r, :lanes], work[r, a * lanes : (a + 1) * lanes], forwards[a] if r == 0 else 1.0
            for k in range(lanes):
                other[k] = times * own[k]
    for at in range(lanes * width, padded(lanes * width)):
        work[0, at], work[1, at], work[2, at], work[3, at] = 1.0, 1.0, 0.0, 0.0


@_summed
def lane_sums(b: BlockArrays, first: int, last: int, wanted: int, work: FloatArray) -> None:
    """Undiscounted value of a run of options in each of the lanes of `work`, written to row 4."""
    size = padded(wanted)
    forward, share, add, least, out, log_forward = work[0], work[1], work[2], work[3], work[4], work[5]
    for k in range(size):
        out[k] = 0.0
        log_forward[k] = log_ratio(forward[k], 1.0)
    for j in range(first, last):
        quantity, strike, vol, call = b.option_quantity[j], b.option_strike[j], b.option_vol[j], b.option_call[j]
        log_strike = log_ratio(strike, 1.0)
        for k in range(size):
            deviation = vol * share[k] + add[k]
            deviation = least[k] if deviation < least[k] else deviation
            out[k] += quantity * black76_by_log(forward[k], strike, log_forward[k] - log_strike, deviation, call)


@_summed
def _price_skewed(work: FloatArray) -> None:
    """Undiscounted value of one of each option, whose volatilities grow by a skew, written to the last row.

    They grow by ``min(|money| / wing, 1)`` of an amplitude, below the forward by the tilt times that.
    """
    forward, strike, vol, root, call = work[0], work[1], work[2], work[3], work[4]
    amplitude, wing, tilt, out = work[5], work[6], work[7], work[8]
    for j in range(work.shape[1]):
        money = log_ratio(strike[j], forward[j])
        reach = abs(money) / wing[j]
        move = amplitude[j] * (reach if reach < 1.0 else 1.0)
        v = vol[j] * (1.0 + move * (tilt[j] if money < 0.0 else 1.0))
        v = 0.0 if v < 0.0 else v
        out[j] = black76_by_log(forward[j], strike[j], -money, v * root[j], call[j] > 0.0)


@kernel
def _set_options(b: BlockArrays, i: int, vol: float, sums: FloatArray, work: FloatArray) -> None:
    """Write the live options of a block to the first rows of `work`, and to the others ones that change nothing."""
    lanes, at, last = lane_count(b, b.block_parameter[i]), b.block_option[i], b.block_option[i + 1]
    for j in range(work.shape[1]):
        for r in range(_SKEW_ROWS):
            work[r, j] = 1.0
    start = at
    for e in range(b.block_expiry[i], b.block_expiry[i + 1]):
        first, at, row = at, run_end(b, at, last, e), sums[e - b.block_expiry[i]]
        if row[lanes + YEARS] <= 0.0:
            continue
        root = math.sqrt(row[lanes + YEARS])
        for j in range(first, at):
            work[0, j - start], work[1, j - start] = row[lanes + FORWARD], b.option_strike[j]
            work[2, j - start], work[3, j - start] = b.option_vol[j] * vol, root
            work[4, j - start] = 1.0 if b.option_call[j] else 0.0


@kernel
def _skew_lane(b: BlockArrays, i: int, k: int, sums: FloatArray, work: FloatArray) -> None:
    """Write the lane of scenario `k`, which moves the skew, of every live expiry."""
    p, at, last = b.block_parameter[i], b.block_option[i], b.block_option[i + 1]
    lanes, s, q = lane_count(b, p), p + SKEW, p + HEAD + POINT_SIZE * k
    tilt = b.parameter[q + 1] == LINEAR
    own = s if tilt and b.parameter[q] == 0.0 else s + 2
    start = at
    for e in range(b.block_expiry[i], b.block_expiry[i + 1]):
        first, at, years = at, run_end(b, at, last, e), sums[e - b.block_expiry[i], lanes + YEARS]
        root = math.sqrt(max(years, 0.0))
        wing = max(b.parameter[s + 4], b.parameter[s + 5] * (b.parameter[s + 6] + b.parameter[s + 7] * root) * root)
        for j in range(first - start, at - start):
            work[5, j] = b.parameter[own] + b.parameter[own + 1] * root
            work[6, j], work[7, j] = max(wing, _LEAST), -1.0 if tilt else 1.0
    _price_skewed(work)
    at = start
    for e in range(b.block_expiry[i], b.block_expiry[i + 1]):
        first, at, total = at, run_end(b, at, last, e), 0.0
        for j in range(first, at):
            total += b.option_quantity[j] * work[8, j - start]
        sums[e - b.block_expiry[i], k] = total


@kernel
def skew_sums(b: BlockArrays, i: int, vol: float, sums: FloatArray) -> None:
    """Write the lanes of block `i` that move the skew, where the states of its expiries are known."""
    p, known = b.block_parameter[i], False
    work = room(_SKEW_ROWS, padded(b.block_option[i + 1] - b.block_option[i]))
    for k in range(int(b.parameter[p + N_POINTS])):
        if b.parameter[p + HEAD + POINT_SIZE * k + 1] < LINEAR:
            continue
        if not known:
            _set_options(b, i, vol, sums, work)
            known = True
        _skew_lane(b, i, k, sums, work)


@inlined
def set_state(b: BlockArrays, p: int, e: int, spot: float, years: float, row: FloatArray) -> None:
    """Write what the requirement needs to know of a live expiry behind its lanes."""
    at, rate, window = lane_count(b, p), b.expiry_rate[e], b.parameter[p + WINDOW]
    row[at + YEARS] = years
    row[at + FORWARD] = forward_of(b, e, spot, years)
    row[at + MOVING] = years / window if years < window else 1.0
    row[at + KEPT] = math.exp(-rate * years) if rate != 0.0 else 1.0
    row[at + GAIN], row[at + DEBT] = 1.0, 1.0
    if b.parameter[p + HAS_DISCOUNT] != 0.0:
        d = p + DISCOUNT
        slope = rate * b.parameter[d + 1] + b.parameter[d + 2]
        debt = b.parameter[d + 3] * math.exp(years * (rate * b.parameter[d + 4] + b.parameter[d + 5]))
        row[at + GAIN] = b.parameter[d] * math.exp(-years * slope)
        row[at + DEBT] = min(debt, math.exp(rate * years))


@kernel
def sums_by_rule(
    b: BlockArrays, i: int, spot: float, vol: float, hours: float, work: FloatArray, sums: FloatArray
) -> None:
    """Fill the sums of every live expiry of block `i` by pricing all its options in all lanes."""
    p, at, last = b.block_parameter[i], b.block_option[i], b.block_option[i + 1]
    lanes = lane_count(b, p)
    for e in range(b.block_expiry[i], b.block_expiry[i + 1]):
        first, at = at, run_end(b, at, last, e)
        years, row = time_left(b, e, hours), sums[e - b.block_expiry[i]]
        row[lanes + YEARS] = years
        if years <= 0.0:
            continue
        set_state(b, p, e, spot, years, row)
        set_lanes(b, p, years, row[lanes + MOVING], vol, row[lanes + FORWARD : lanes + FORWARD + 1], work)
        lane_sums(b, first, at, lanes, work)
        for k in range(lanes):
            row[k] = work[4, k]
    skew_sums(b, i, vol, sums)
