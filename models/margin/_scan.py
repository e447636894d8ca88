"""The walk of one unit along the bars: first breach of a level, and the worst gap.

A block of bars is walked only where the lower bound of its gap says that it may hold a breach (or a
new worst gap). Inside a block the gap is summed from lines; what they find is confirmed by the rule.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from models.book import BookArrays
from models.margin._extremes import BLOCK, Extremes
from models.margin._kernel import fast, inlined, kernel
from models.margin._lines import (
    AT,
    HOME,
    LEFT,
    NET,
    PAID,
    RIGHT,
    SLOPE,
    TO,
    Fit,
    Work,
    allowance,
    at_level,
    block_bounds,
    fit_lines,
    slot_values,
    vertex_bound,
)
from models.margin.linear import unit_gap
from models.typing import FloatArray

__all__ = [
    "ADVERSE",
    "CLOSE",
    "SYNCHRONOUS",
    "bound_blocks",
    "bound_hot",
    "first_breach",
    "may_breach",
    "paid",
    "point_gap",
    "point_of",
    "rank_of",
    "worst_gap",
]

CLOSE: Final = 0
SYNCHRONOUS: Final = 1
ADVERSE: Final = 2

# points of a bar, in their order, for each mode
_OPEN, _LOW, _HIGH, _CLOSE, _VERTEX = 0, 1, 2, 3, 4


@inlined
def _n_points(mode: int) -> int:
    return 1 if mode == CLOSE else (4 if mode == SYNCHRONOUS else 3)


@inlined
def point_of(mode: int, stage: int) -> int:
    """Which point the `stage`-th of a bar is."""
    if mode == SYNCHRONOUS:
        return stage
    if mode == CLOSE or stage == 2:
        return _CLOSE
    return _OPEN if stage == 0 else _VERTEX


@inlined
def rank_of(mode: int, stage: int) -> int:
    """When in a bar the `stage`-th point of a mode is, on one scale for all modes: the corner stands with the low."""
    point = point_of(mode, stage)
    return _LOW if point == _VERTEX else point


@inlined
def paid(t: Extremes, w: Work, count: int, bar: int) -> float:
    """Funding paid since the start, up to and with the stamp at the open of a bar."""
    total = 0.0
    for s in range(count):
        total += w.lines[NET, s] * (t.funding[w.slot[s], bar + 1] - w.lines[PAID, s])
    return total


@kernel
def point_gap(
    b: BookArrays,
    u: int,
    k: float,
    t: Extremes,
    w: Work,
    count: int,
    bar: int,
    point: int,
) -> float:
    """Gap at one point of a bar by the rule itself; `price` is left at the prices of the point."""
    for s in range(count):
        a = w.slot[s]
        w.ends[0, s], w.ends[1, s] = t.low[a, bar], t.high[a, bar]
        w.price[a] = t.low[a, bar]
        if point == _OPEN:
            w.price[a] = t.open[a, bar]
        elif point == _HIGH:
            w.price[a] = t.high[a, bar]
        elif point == _CLOSE:
            w.price[a] = t.close[a, bar]
    if point == _VERTEX:
        slot_values(b, u, k, w, count)
        for s in range(count):
            w.price[w.slot[s]] = w.ends[0, s] if w.lines[LEFT, s] <= w.lines[RIGHT, s] else w.ends[1, s]
    return unit_gap(b, u, k, w.price) - paid(t, w, count, bar)


@inlined
def _values_by_lines(t: Extremes, w: Work, count: int, const: float, first: int, n: int, mode: int) -> None:
    """Gap at the points of `n` bars, summed from the lines; NaN where a bar is missing."""
    last = _n_points(mode) - 1
    _fill_cash(t, w, count, const, first, n, last)
    for s in range(count):
        a, slope = w.slot[s], w.lines[SLOPE, s]
        _add(w.values[last], slope, t.close[a, first : first + n])
        if mode == CLOSE:
            continue
        _add(w.values[0], slope, t.open[a, first : first + n])
        if mode == SYNCHRONOUS:
            _add(w.values[1], slope, t.low[a, first : first + n])
            _add(w.values[2], slope, t.high[a, first : first + n])
        else:
            for i in range(n):
                w.values[1, i] += min(slope * t.low[a, first + i], slope * t.high[a, first + i])


@inlined
def _fill_cash(t: Extremes, w: Work, count: int, const: float, first: int, n: int, last: int) -> None:
    for i in range(n):
        w.values[0, i] = const
    for s in range(count):
        if w.lines[NET, s] != 0.0:
            _add(w.values[0], -w.lines[NET, s], t.funding[w.slot[s], first + 1 : first + n + 1])
    for p in range(1, last + 1):
        for i in range(n):
            w.values[p, i] = w.values[0, i]


@inlined
def _add(values: FloatArray, slope: float, price: FloatArray) -> None:
    for i in range(len(price)):
        values[i] += slope * price[i]


@kernel
def _values_outside(
    b: BookArrays,
    u: int,
    k: float,
    t: Extremes,
    w: Work,
    count: int,
    first: int,
    n: int,
    mode: int,
) -> None:
    """Gap at the points of `n` bars where the unit's lines do not hold: by lines of their own, or by the rule."""
    for s in range(count):
        w.lines[HOME, s] = w.lines[AT, s]
        w.lines[AT, s] = t.block_low[w.slot[s], first // BLOCK]
    const = _refit(b, u, k, w, count)
    held = True
    for s in range(count):
        held &= t.block_high[w.slot[s], first // BLOCK] <= w.lines[TO, s]
    if held:
        _values_by_lines(t, w, count, const, first, n, mode)
    else:
        for i in range(n):
            for p in range(_n_points(mode)):
                w.values[p, i] = point_gap(b, u, k, t, w, count, first + i, point_of(mode, p))
    for s in range(count):
        w.lines[AT, s] = w.lines[HOME, s]
    _refit(b, u, k, w, count)


@kernel
def _refit(b: BookArrays, u: int, k: float, w: Work, count: int) -> float:
    return at_level(fit_lines(b, u, w, count), k, w, count)


@inlined
def bound_hot(
    b: BookArrays, u: int, k: float, t: Extremes, w: Work, count: int, fit: Fit, first: int, stop: int
) -> float:
    """Bound the blocks of bars ``first:stop`` for factor `k`; the intercept of the lines."""
    const = at_level(fit, k, w, count)
    j0, j1 = first // BLOCK, (stop - 1) // BLOCK + 1
    if block_bounds(t, w, count, const, j0, j1) > 0.0:
        for j in range(j1 - j0):
            if w.outside[j] > 0.0:
                w.bound[j] = vertex_bound(b, u, k, t, w, count, j0 + j)
    return const


@kernel
def bound_blocks(
    b: BookArrays, u: int, k: float, t: Extremes, w: Work, count: int, fit: Fit, first: int, stop: int
) -> float:
    """Do what `bound_hot` does, as a function of its own."""
    return bound_hot(b, u, k, t, w, count, fit, first, stop)


@inlined
def may_breach(w: Work, fit: Fit, first: int, stop: int) -> bool:
    """Whether any block of bars ``first:stop`` may hold a breach."""
    n = (stop - 1) // BLOCK + 1 - first // BLOCK
    return w.bound[_least_bound(w, n)] < allowance(fit)


@kernel
def first_breach(
    b: BookArrays,
    u: int,
    k: float,
    t: Extremes,
    w: Work,
    count: int,
    fit: Fit,
    const: float,
    first: int,
    stop: int,
    mode: int,
) -> tuple[int, int]:
    """First bar and stage at which the gap is negative; ``(-1, 0)`` where none is."""
    j0 = first // BLOCK
    limit = allowance(fit)
    for j in range((stop - 1) // BLOCK + 1 - j0):
        if w.bound[j] >= limit:
            continue
        start = max(first, (j0 + j) * BLOCK)
        n = min(stop, (j0 + j + 1) * BLOCK) - start
        if w.outside[j] > 0.0:
            _values_outside(b, u, k, t, w, count, start, n, mode)
        else:
            _values_by_lines(t, w, count, const, start, n, mode)
        for i in range(n):
            for p in range(_n_points(mode)):
                if not w.values[p, i] < limit:
                    continue
                if point_gap(b, u, k, t, w, count, start + i, point_of(mode, p)) < 0.0:
                    return start + i, p
    return -1, 0


@inlined
def worst_gap(
    b: BookArrays,
    u: int,
    k: float,
    t: Extremes,
    w: Work,
    count: int,
    const: float,
    first: int,
    stop: int,
    last_stage: int,
    mode: int,
) -> float:
    """Smallest gap over bars ``first:stop``, of the last bar only up to a stage; NaN where no bar is whole.

    Blocks are taken by rising bound, until the next bound is no better than what was found.
    """
    j0 = first // BLOCK
    n_blocks = (stop - 1) // BLOCK + 1 - j0
    worst = np.inf
    while True:
        j = _least_bound(w, n_blocks)
        if not w.bound[j] < worst:
            break
        start = max(first, (j0 + j) * BLOCK)
        n = min(stop, (j0 + j + 1) * BLOCK) - start
        if count <= 1 and n == BLOCK and start + n < stop and _is_attained(t, w, count, j0 + j, j):
            worst = w.bound[j]
            break
        w.bound[j] = np.inf
        if w.outside[j] > 0.0:
            _values_outside(b, u, k, t, w, count, start, n, mode)
        else:
            _values_by_lines(t, w, count, const, start, n, mode)
        if start + n == stop:
            for p in range(last_stage + 1, _n_points(mode)):
                w.values[p, n - 1] = np.inf
        worst = min(worst, _least_value(w, n, mode))
    return worst if worst < np.inf else np.nan


@inlined
def _is_attained(t: Extremes, w: Work, count: int, block: int, j: int) -> bool:
    """The bound of a whole block of a unit with one price is its smallest gap, unless funding moves inside."""
    if w.outside[j] > 0.0:
        return False
    for s in range(count):
        a = w.slot[s]
        if t.block_funding_low[a, block] != t.block_funding_high[a, block]:
            return False
    return True


@fast
def _least_bound(w: Work, n: int) -> int:
    """Block with the smallest bound."""
    least = np.inf
    for j in range(n):
        least = min(least, w.bound[j])
    for j in range(n):
        if w.bound[j] == least:
            return j
    return 0


@inlined
def _least_value(w: Work, n: int, mode: int) -> float:
    """Smallest of the values of `n` bars that are not NaN."""
    least = w.least
    for i in range(BLOCK):
        least[i] = np.inf
    for p in range(_n_points(mode)):
        for i in range(n):
            least[i] = w.values[p, i] if w.values[p, i] < least[i] else least[i]
    half = BLOCK // 2
    while half > 0:
        for i in range(half):
            least[i] = least[i] if least[i] < least[i + half] else least[i + half]
        half //= 2
    return least[0]
