"""Blocks on the walk of replay: by their rule, or by a grid where that is known to be good enough.

A grid is made for the bars to come at one level of implied volatility, a day of them at most, and for the prices of
these bars. It may err by `PLANNED` of what the block required when it was made; where the requirement has fallen so
far that the bound is more than `ALLOWED` of it, the rule is asked. So is it by the walk wherever a call would depend
on the error.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from models.book import Book
from models.margin._direct_plan import DirectPlan, Walked
from models.margin._extremes import Extremes
from models.margin._kernel import kernel
from models.margin.block_models import SCENARIO, block_margin, set_quantities
from models.margin.blocks import NO_BLOCKS
from models.margin.portfolio._grid import GridRoom, grid_margin, grid_room, make_grid
from models.margin.portfolio._lanes import lane_count

__all__ = ["ALLOWED", "PLANNED", "block_by_grid", "block_by_rule", "forget_grids", "forget_looks", "room_for"]

PLANNED: Final = 6e-4
ALLOWED: Final = 1e-3
_DAY_HOURS: Final = 24.0
_HOUR_NS: Final = 3_600_000_000_000
_POINTS: Final = 3
"""Looks at a bar."""
_UNTIL, _NEED, _VALUE, _HOURS, _PRICE, _MOVE, _LAST = range(7)
"""Columns of `GridRoom.block`: the bar to which a grid holds, its errors, and the last look with its three results."""


def room_for(book: Book) -> GridRoom:
    """Room for the grids of any unit of a book.

    Parameters
    ----------
    book : Book
        The accounts.

    Returns
    -------
    GridRoom
        Room, not filled.
    """
    b = NO_BLOCKS if book.blocks is None else book.blocks
    scenario = b.block_model == SCENARIO
    if not scenario.any():
        return grid_room(1, 1, 1)
    units = b.block_unit.astype(np.int64)
    expiries = np.bincount(units, np.diff(b.block_expiry)).max()
    lanes = max(lane_count(b, int(p)) for p in np.unique(b.block_parameter[:-1][scenario]))
    return grid_room(int(expiries), lanes, int(np.bincount(units).max()))


@kernel
def forget_grids(g: GridRoom) -> None:
    """Begin with another unit."""
    for r in range(len(g.block)):
        g.block[r, _UNTIL] = -1.0
    for e in range(g.sums.shape[0]):
        for k in range(g.sums.shape[1]):
            g.sums[e, k] = np.nan
    forget_looks(g)


@kernel
def forget_looks(g: GridRoom) -> None:
    """Look again even at the price and instant of the last look."""
    for r in range(len(g.block)):
        g.block[r, _HOURS] = np.nan


@kernel
def _move(d: DirectPlan, i: int, a: int, bar: int) -> float:
    """Multiple of the implied volatilities of a block in a bar, or its margin rate."""
    ratio = d.level[d.block_level[i], a, bar] / d.block_base[i]
    return ratio if np.isfinite(ratio) else 1.0


@kernel
def block_by_rule(
    w: Walked, d: DirectPlan, i: int, bar: int, hours: float, price: float
) -> tuple[float, float, float, float, float]:
    """Value, maintenance and initial requirement of a block; twice 0, as nothing is interpolated."""
    value, need, more = block_margin(w.blocks, i, price, _move(d, i, w.blocks.block_asset[i], bar), hours)
    return value, need, more, 0.0, 0.0


@kernel
def block_by_grid(
    w: Walked,
    t: Extremes,
    d: DirectPlan,
    g: GridRoom,
    u: int,
    i: int,
    n: int,
    bar: int,
    stop: int,
    hours: float,
    price: float,
) -> tuple[float, float, float, float, float]:
    """Value, maintenance and initial requirement of a block, and how wrong the maintenance and the value can be."""
    k = w.blocks
    if k.block_model[i] != SCENARIO:
        return block_by_rule(w, d, i, bar, hours, price)
    own = g.block[i - d.unit_block[u]]
    if own[_UNTIL] <= bar:
        _new_grid(w, t, d, g, u, i, n, bar, stop, hours, price)
    if own[_NEED] < 0.0:
        return block_by_rule(w, d, i, bar, hours, price)
    move = _move(d, i, k.block_asset[i], bar)
    if own[_HOURS] != hours or own[_PRICE] != price or own[_MOVE] != move:
        place = k.block_expiry[i] - k.block_expiry[d.unit_block[u]]
        set_quantities(k, i, price)
        value, need, more = grid_margin(k, i, g, place, price, move, hours)
        own[_HOURS], own[_PRICE], own[_MOVE] = hours, price, move
        own[_LAST], own[_LAST + 1], own[_LAST + 2] = value, need, more
    value, need, more = own[_LAST], own[_LAST + 1], own[_LAST + 2]
    if own[_NEED] + own[_VALUE] > ALLOWED * need:
        return block_by_rule(w, d, i, bar, hours, price)
    return value, need, more, own[_NEED], own[_VALUE]


@kernel
def _new_grid(
    w: Walked,
    t: Extremes,
    d: DirectPlan,
    g: GridRoom,
    u: int,
    i: int,
    n: int,
    bar: int,
    stop: int,
    hours: float,
    price: float,
) -> None:
    """Make the grid of a block for this bar and those after it."""
    k, own, a = w.blocks, g.block[i - d.unit_block[u]], w.blocks.block_asset[i]
    move = _move(d, i, a, bar)
    end, low, high = bar, np.inf, 0.0
    most = max(1, int(_DAY_HOURS * _HOUR_NS / d.step))
    while end < stop and end - bar < most and _move(d, i, a, end) == move:
        for point in (t.open[a, end], t.low[a, end], t.high[a, end], t.close[a, end]):
            low, high = (point if point < low else low), (point if point > high else high)
        end += 1
    own[_UNTIL], own[_NEED], own[_VALUE] = end, -1.0, 0.0
    if not 0.0 < low <= high:
        return
    _, need, _ = block_margin(k, i, price, move, hours)
    place = k.block_expiry[i] - k.block_expiry[d.unit_block[u]]
    last = (d.start + end * d.step - d.as_of[n]) / _HOUR_NS
    need_error, value_error = make_grid(
        k, i, g, place, low, high, move, hours, last, _POINTS * (end - bar), PLANNED * need
    )
    own[_NEED], own[_VALUE] = need_error, value_error
