"""Replay by the rule itself, bar by bar: units with options or scenario margin, or with a contract that expires.

At an expiry the payoff at the open of the first bar from then on becomes cash (coin where the contract is settled in
coin), and what it required is free. Implied volatilities and dynamic margin rates move as their level in the market
does.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from models.book import Book
from models.margin._direct_plan import DirectPlan, Walked, build_plan, own_copies, unknown_units
from models.margin._extremes import Extremes
from models.margin._gridded import block_by_grid, block_by_rule, forget_grids, forget_looks, room_for
from models.margin._kernel import kernel
from models.margin._scan import ADVERSE, CLOSE, SYNCHRONOUS
from models.margin._settlement import past_expiry, settle
from models.margin._units import Outcome, Plan
from models.margin.linear import unit_equity, unit_initial, unit_maintenance
from models.margin.portfolio._grid import GridRoom
from models.market import MarketPanel
from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["replay_direct", "walk_direct"]

_HOUR_NS = 3_600_000_000_000


def walk_direct(
    book: Book,
    panel: MarketPanel,
    window: MarketPanel,
    tables: Extremes,
    plan: Plan,
    units: IntArray,
    many: BoolArray,
    out: Outcome,
    n_threads: int,
    revalue: bool = False,
) -> None:
    """Walk units by the rule along a window of a panel, on copies of what the walk settles.

    A unit with an option without a volatility is not walked: it has a gap.
    """
    unknown = unknown_units(book)
    out.gap[units[unknown[units]]] = True
    units = units[~unknown[units]]
    own, direct = own_copies(book), build_plan(book, panel, window, many, not revalue)

    def part(some: IntArray) -> None:
        replay_direct(own, tables, plan, direct, room_for(book), some, np.full(len(book.assets), np.nan), out)

    if n_threads == 1 or len(units) < 2 * n_threads:
        part(units)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(part, np.array_split(units, 4 * n_threads)))


@kernel
def replay_direct(
    w: Walked, t: Extremes, plan: Plan, d: DirectPlan, g: GridRoom, units: IntArray, price: FloatArray, out: Outcome
) -> None:
    """Walk the given units."""
    for u in units:
        n = plan.account[u]
        first = max(plan.first[n], 0)
        stop = min(plan.first[n] + plan.bars, t.close.shape[1])
        out.gap[u] = plan.first[n] < 0
        if stop <= first:
            continue
        forget_grids(g)
        _walk(w, t, plan, d, g, u, n, first, stop, price, out)


@kernel
def _walk(
    w: Walked,
    t: Extremes,
    plan: Plan,
    d: DirectPlan,
    g: GridRoom,
    u: int,
    n: int,
    first: int,
    stop: int,
    price: FloatArray,
    out: Outcome,
) -> None:
    levels = plan.factor.shape[1]
    mode = plan.mode if d.many[u] else SYNCHRONOUS
    out.worst[u] = np.inf
    walking = True
    for bar in range(first, stop):
        if not _known(w, t, d, u, bar):
            out.gap[u] |= walking
            continue
        opened = d.start + bar * d.step
        if settle(w, t, d, u, n, bar, opened):
            forget_looks(g)
        paid = _paid(w, t, u, bar, first)
        for point in range(4):
            if _skipped(mode, point):
                continue
            hours = past_expiry(w, d, u, (opened + (d.step if point == 3 else 0) - d.as_of[n]) / _HOUR_NS)
            if mode == ADVERSE and point == 1:
                for c in range(levels):
                    _prices(w, t, d, u, n, bar, point, price)
                    _worst_corner(w, t, d, g, u, n, bar, stop, hours, plan.factor[n, c], price)
                    _look(w, t, plan, d, g, u, n, bar, stop, point, c, c + 1, hours, paid, walking, price, out)
            else:
                _prices(w, t, d, u, n, bar, point, price)
                _look(w, t, plan, d, g, u, n, bar, stop, point, 0, levels, hours, paid, walking, price, out)
            walking = out.bar[u, 1] < 0
        if not walking and levels == 2:
            break
    if out.worst[u] == np.inf:
        out.worst[u] = np.nan


@kernel
def _look(
    w: Walked,
    t: Extremes,
    plan: Plan,
    d: DirectPlan,
    g: GridRoom,
    u: int,
    n: int,
    bar: int,
    end: int,
    point: int,
    start: int,
    stop: int,
    hours: float,
    paid: float,
    walking: bool,
    price: FloatArray,
    out: Outcome,
) -> None:
    """Note what levels ``start:stop`` do at the prices of a point; the first is the call."""
    b = w.book
    equity, need, more, wrong, off = _unit(w, t, d, g, u, n, bar, end, hours, price, True)
    if off > 0.0 and _may_cross(plan, u, n, start, stop, equity - paid - b.unit_offset[u] - off, need, wrong, out):
        equity, need, more, wrong, off = _unit(w, t, d, g, u, n, bar, end, hours, price, False)
    equity -= paid
    spare = equity - b.unit_offset[u]
    if start == 0:
        call = plan.factor[n, 0]
        if walking:
            out.worst[u] = min(out.worst[u], spare - call * need)
        if out.bar[u, 0] < 0 and spare < call * need:
            out.stage[u] = point
            out.amount[u] = _call_amount(w, u, n, call, equity, need, more, price)
    for c in range(start, stop):
        if out.bar[u, c] < 0 and spare < plan.factor[n, c] * need:
            out.bar[u, c] = bar - plan.first[n]


@kernel
def _may_cross(
    plan: Plan, u: int, n: int, start: int, stop: int, spare: float, need: float, wrong: float, out: Outcome
) -> bool:
    """Whether a level not yet reached can have been, with a maintenance that may be too small by `wrong`."""
    near = 0
    for c in range(start, stop):
        near += out.bar[u, c] < 0 and spare < plan.factor[n, c] * (need + wrong)
    return near > 0


@kernel
def _call_amount(
    w: Walked, u: int, n: int, call: float, equity: float, need: float, more: float, price: FloatArray
) -> float:
    """Initial requirement of a unit, its blocks included, less its equity; account currency."""
    b = w.book
    own = unit_initial(b, u, call, b.account_initial_factor[n], price) + more
    initial = max(own, b.unit_offset[u] + max(call, b.account_initial_factor[n]) * need)
    a = b.account_numeraire[n]
    return (initial - equity) / (price[a] if a >= 0 else 1.0)


@kernel
def _skipped(mode: int, point: int) -> bool:
    """Whether a mode does not look at a point of a bar."""
    return (mode == CLOSE and point != 3) or (mode == ADVERSE and point == 2)


@kernel
def _known(w: Walked, t: Extremes, d: DirectPlan, u: int, bar: int) -> bool:
    """Whether every asset of the unit has this bar."""
    b, missing = w.book, 0
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        missing += not np.isfinite(t.close[b.leg_asset[i], bar])
    for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
        missing += b.coll_asset[j] >= 0 and not np.isfinite(t.close[b.coll_asset[j], bar])
    for i in range(d.unit_block[u], d.unit_block[u + 1]):
        missing += not np.isfinite(t.close[w.blocks.block_asset[i], bar])
    return missing == 0


@kernel
def _price_of(t: Extremes, a: int, bar: int, point: int) -> float:
    if point == 0:
        return t.open[a, bar]
    if point == 1:
        return t.low[a, bar]
    return t.high[a, bar] if point == 2 else t.close[a, bar]


@kernel
def _prices(w: Walked, t: Extremes, d: DirectPlan, u: int, n: int, bar: int, point: int, price: FloatArray) -> None:
    """Prices of the unit's assets at one point of a bar, and that of the asset in which its account reports."""
    b = w.book
    price[:] = np.nan
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        price[b.leg_asset[i]] = _price_of(t, b.leg_asset[i], bar, point)
    for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
        if b.coll_asset[j] >= 0:
            price[b.coll_asset[j]] = _price_of(t, b.coll_asset[j], bar, point)
    for i in range(d.unit_block[u], d.unit_block[u + 1]):
        price[w.blocks.block_asset[i]] = _price_of(t, w.blocks.block_asset[i], bar, point)
    if b.account_numeraire[n] >= 0:
        price[b.account_numeraire[n]] = _price_of(t, b.account_numeraire[n], bar, point)


@kernel
def _worst_corner(
    w: Walked,
    t: Extremes,
    d: DirectPlan,
    g: GridRoom,
    u: int,
    n: int,
    bar: int,
    end: int,
    hours: float,
    factor: float,
    price: FloatArray,
) -> None:
    """From all-low, move each asset to its high where that lowers the gap, which is a sum over assets."""
    equity, need, _, _, _ = _unit(w, t, d, g, u, n, bar, end, hours, price, True)
    least = equity - factor * need
    for a in range(len(price)):
        if price[a] != t.low[a, bar]:
            continue
        price[a] = t.high[a, bar]
        equity, need, _, _, _ = _unit(w, t, d, g, u, n, bar, end, hours, price, True)
        if equity - factor * need < least:
            least = equity - factor * need
        else:
            price[a] = t.low[a, bar]


@kernel
def _unit(
    w: Walked,
    t: Extremes,
    d: DirectPlan,
    g: GridRoom,
    u: int,
    n: int,
    bar: int,
    end: int,
    hours: float,
    price: FloatArray,
    by_grid: bool,
) -> tuple[float, float, float, float, float]:
    """Equity before funding, maintenance, initial requirement of the blocks; errors of maintenance and of equity."""
    k = w.blocks
    equity, need, more, wrong, off = unit_equity(w.book, u, price), unit_maintenance(w.book, u, price), 0.0, 0.0, 0.0
    for i in range(d.unit_block[u], d.unit_block[u + 1]):
        spot = price[k.block_asset[i]]
        if by_grid and d.grids:
            value, own, initial, need_error, value_error = block_by_grid(w, t, d, g, u, i, n, bar, end, hours, spot)
        else:
            value, own, initial, need_error, value_error = block_by_rule(w, d, i, bar, hours, spot)
        equity += value + w.block_coin[i] * spot
        need, more, wrong, off = need + own, more + initial, wrong + need_error, off + value_error
    return equity, need, more, wrong, off


@kernel
def _paid(w: Walked, t: Extremes, u: int, bar: int, first: int) -> float:
    """Funding paid since the first bar, up to and with the stamp at the open of this one."""
    b, total = w.book, 0.0
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        a = b.leg_asset[i]
        total += b.leg_funding[i] * (t.funding[a, bar + 1] - t.funding[a, first])
    return total
