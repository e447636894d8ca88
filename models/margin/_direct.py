"""Replay by the rule itself, bar by bar: units with options or scenario margin, or with a contract that expires.

At an expiry the payoff at the open of the first bar from then on becomes cash (coin where the contract is settled in
coin), and what it required is free.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from models._csr import pointer
from models.book import Book, BookArrays, no_sheets
from models.errors import InputError
from models.instrument import parse_symbol
from models.margin._extremes import Extremes
from models.margin._kernel import kernel
from models.margin._scan import ADVERSE, CLOSE, SYNCHRONOUS
from models.margin._units import Outcome, Plan
from models.margin.block_models import block_margin
from models.margin.blocks import NO_BLOCKS, BlockArrays, own_blocks
from models.margin.linear import unit_equity, unit_initial, unit_maintenance
from models.market import MarketPanel
from models.typing import BoolArray, FloatArray, Int32Array, IntArray

__all__ = ["DirectPlan", "replay_direct", "walk_direct"]

_HOUR_NS = 3_600_000_000_000


class DirectPlan(NamedTuple):
    """What replay by the rule needs beyond `Plan`. The kernels write to the book's and blocks' columns: own copies."""

    many: BoolArray  # (u,) the unit depends on several prices
    unit_block: Int32Array  # (u+1,) unit -> its blocks
    leg_coin: BoolArray  # (l,) settled in coin
    as_of: IntArray  # (n,) nanoseconds
    start: int  # open of the first bar, nanoseconds
    step: int  # length of a bar, nanoseconds
    vol: FloatArray  # (A, T) implied level in each bar; NaN where it is not known: it stays as it was


def walk_direct(
    book: Book,
    window: MarketPanel,
    tables: Extremes,
    plan: Plan,
    units: IntArray,
    many: BoolArray,
    out: Outcome,
    n_threads: int,
) -> None:
    """Walk units by the rule along a window of bars, on copies of what the walk settles."""
    a = book.arrays
    own = a._replace(
        leg_quantity=a.leg_quantity.copy(),
        leg_entry=a.leg_entry.copy(),
        leg_size=a.leg_size.copy(),
        unit_cash=a.unit_cash.copy(),
        **no_sheets(book.n_units),
    )
    blocks = NO_BLOCKS if book.blocks is None else own_blocks(book.blocks)
    if np.isnan(blocks.option_vol).any():
        raise InputError("book", "options without a volatility", "a book of models.margin.valuation.valued")
    coin = {s: "/" in s and not parse_symbol(s).linear for s in set(book.leg_symbol.tolist())}
    direct = DirectPlan(
        many,
        pointer(blocks.block_unit.astype(np.int64), book.n_units),
        np.array([coin[s] for s in book.leg_symbol.tolist()], np.bool_),
        book.as_of,
        window.start,
        window.step,
        _implied(window, book.assets),
    )

    def part(some: IntArray) -> None:
        replay_direct(own, blocks, tables, plan, direct, some, np.full(len(book.assets), np.nan), out)

    if n_threads == 1 or len(units) < 2 * n_threads:
        part(units)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(part, np.array_split(units, 4 * n_threads)))


def _implied(window: MarketPanel, assets: tuple[str, ...]) -> FloatArray:
    out = np.full((len(assets), max(window.n_bars, 1)), np.nan)
    if window.implied is not None:
        for row, asset in enumerate(assets):
            if asset in window.assets:
                out[row] = window.implied[window.column(asset)]
    return out


@kernel
def replay_direct(
    b: BookArrays,
    k: BlockArrays,
    t: Extremes,
    plan: Plan,
    d: DirectPlan,
    units: IntArray,
    price: FloatArray,
    out: Outcome,
) -> None:
    """Walk the given units."""
    for u in units:
        n = plan.account[u]
        first = max(plan.first[n], 0)
        stop = min(plan.first[n] + plan.bars, t.close.shape[1])
        out.gap[u] = plan.first[n] < 0
        if stop <= first:
            continue
        _walk(b, k, t, plan, d, u, n, first, stop, price, out)


@kernel
def _walk(
    b: BookArrays,
    k: BlockArrays,
    t: Extremes,
    plan: Plan,
    d: DirectPlan,
    u: int,
    n: int,
    first: int,
    stop: int,
    price: FloatArray,
    out: Outcome,
) -> None:
    levels = plan.factor.shape[1]
    mode = plan.mode if d.many[u] else SYNCHRONOUS
    call, offset = plan.factor[n, 0], b.unit_offset[u]
    worst = np.inf
    walking = True
    for bar in range(first, stop):
        if not _known(b, k, t, d, u, bar):
            out.gap[u] |= walking
            continue
        opened = d.start + bar * d.step
        _settle(b, k, t, d, u, bar, opened)
        for point in range(4):
            if _skipped(mode, point):
                continue
            hours = (opened + (d.step if point == 3 else 0) - d.as_of[n]) / _HOUR_NS
            _prices(b, k, t, d, u, bar, point, price)
            if mode == ADVERSE and point == 1:
                _worst_corner(b, k, t, d, u, bar, hours, call, first, price)
            equity, need, more = _unit(b, k, d, u, bar, first, hours, price)
            equity -= _paid(b, t, u, bar, first)
            if walking:
                worst = min(worst, equity - offset - call * need)
            if out.bar[u, 0] < 0 and equity < offset + call * need:
                out.stage[u] = point
                out.amount[u] = _call_amount(b, u, n, call, equity, need, more, price)
            _note(plan.factor[n], equity - offset, need, bar - plan.first[n], out.bar[u])
            walking = out.bar[u, 1] < 0
        if not walking and levels == 2:
            break
    out.worst[u] = np.nan if worst == np.inf else worst


@kernel
def _call_amount(
    b: BookArrays, u: int, n: int, call: float, equity: float, need: float, more: float, price: FloatArray
) -> float:
    """Initial requirement of a unit, its blocks included, less its equity; account currency."""
    own = unit_initial(b, u, call, b.account_initial_factor[n], price) + more
    initial = max(own, b.unit_offset[u] + max(call, b.account_initial_factor[n]) * need)
    a = b.account_numeraire[n]
    return (initial - equity) / (price[a] if a >= 0 else 1.0)


@kernel
def _note(factor: FloatArray, equity: float, need: float, bar: int, found: Int32Array) -> None:
    """Write the bar to the levels that are breached for the first time."""
    for c in range(len(factor)):
        if found[c] < 0 and equity < factor[c] * need:
            found[c] = bar


@kernel
def _skipped(mode: int, point: int) -> bool:
    """Whether a mode does not look at a point of a bar."""
    return (mode == CLOSE and point != 3) or (mode == ADVERSE and point == 2)


@kernel
def _known(b: BookArrays, k: BlockArrays, t: Extremes, d: DirectPlan, u: int, bar: int) -> bool:
    """Whether every asset of the unit has this bar."""
    missing = 0
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        missing += not np.isfinite(t.close[b.leg_asset[i], bar])
    for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
        missing += b.coll_asset[j] >= 0 and not np.isfinite(t.close[b.coll_asset[j], bar])
    for i in range(d.unit_block[u], d.unit_block[u + 1]):
        missing += not np.isfinite(t.close[k.block_asset[i], bar])
    return missing == 0


@kernel
def _price_of(t: Extremes, a: int, bar: int, point: int) -> float:
    if point == 0:
        return t.open[a, bar]
    if point == 1:
        return t.low[a, bar]
    return t.high[a, bar] if point == 2 else t.close[a, bar]


@kernel
def _prices(
    b: BookArrays, k: BlockArrays, t: Extremes, d: DirectPlan, u: int, bar: int, point: int, price: FloatArray
) -> None:
    """Prices of the unit's assets at one point of a bar."""
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        price[b.leg_asset[i]] = _price_of(t, b.leg_asset[i], bar, point)
    for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
        if b.coll_asset[j] >= 0:
            price[b.coll_asset[j]] = _price_of(t, b.coll_asset[j], bar, point)
    for i in range(d.unit_block[u], d.unit_block[u + 1]):
        price[k.block_asset[i]] = _price_of(t, k.block_asset[i], bar, point)


@kernel
def _worst_corner(
    b: BookArrays,
    k: BlockArrays,
    t: Extremes,
    d: DirectPlan,
    u: int,
    bar: int,
    hours: float,
    call: float,
    first: int,
    price: FloatArray,
) -> None:
    """From all-low, move each asset to its high where that lowers the gap, which is a sum over assets."""
    equity, need, _ = _unit(b, k, d, u, bar, first, hours, price)
    least = equity - call * need
    for a in range(len(price)):
        if price[a] != t.low[a, bar]:
            continue
        price[a] = t.high[a, bar]
        equity, need, _ = _unit(b, k, d, u, bar, first, hours, price)
        if equity - call * need < least:
            least = equity - call * need
        else:
            price[a] = t.low[a, bar]


@kernel
def _unit(
    b: BookArrays, k: BlockArrays, d: DirectPlan, u: int, bar: int, first: int, hours: float, price: FloatArray
) -> tuple[float, float, float]:
    """Equity before funding, maintenance, and the initial requirement of the blocks."""
    equity, need, more = unit_equity(b, u, price), unit_maintenance(b, u, price), 0.0
    for i in range(d.unit_block[u], d.unit_block[u + 1]):
        a = k.block_asset[i]
        ratio = d.vol[a, bar] / d.vol[a, first]
        vol = ratio if np.isfinite(ratio) else 1.0
        value, block_need, block_more = block_margin(k, i, price[a], vol, hours)
        equity += value
        need += block_need
        more += block_more
    return equity, need, more


@kernel
def _paid(b: BookArrays, t: Extremes, u: int, bar: int, first: int) -> float:
    total = 0.0
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        a = b.leg_asset[i]
        total += b.leg_funding[i] * (t.funding[a, bar + 1] - t.funding[a, first])
    return total


@kernel
def _settle(b: BookArrays, k: BlockArrays, t: Extremes, d: DirectPlan, u: int, bar: int, opened: int) -> None:
    """Turn what has expired by the open of a bar into cash or coin."""
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        if b.leg_expiry[i] > opened or (b.leg_size[i] == 0.0 and b.leg_entry[i] == 0.0):
            continue
        price = t.open[b.leg_asset[i], bar]
        if d.leg_coin[i]:
            b.leg_quantity[i] *= 1.0 - b.leg_entry[i] / price
        else:
            b.unit_cash[u] += b.leg_quantity[i] * (price - b.leg_entry[i])
            b.leg_quantity[i] = 0.0
        b.leg_entry[i] = 0.0
        b.leg_size[i] = 0.0
    for i in range(d.unit_block[u], d.unit_block[u + 1]):
        _settle_block(b, k, t, d, u, i, bar, opened)


@kernel
def _settle_block(
    b: BookArrays, k: BlockArrays, t: Extremes, d: DirectPlan, u: int, i: int, bar: int, opened: int
) -> None:
    price = t.open[k.block_asset[i], bar]
    years = (opened - d.as_of[_account(b, u)]) / _HOUR_NS / 8760.0
    for e in range(k.block_expiry[i], k.block_expiry[i + 1]):
        if k.expiry_years[e] <= years + 1e-12:
            k.expiry_future[e] = 0.0
            if len(k.expiry_linear) > 0:
                k.expiry_linear[e] = 0.0
                k.expiry_inverse[e] = 0.0
    for o in range(k.block_option[i], k.block_option[i + 1]):
        if k.option_quantity[o] == 0.0 or k.expiry_years[k.option_expiry[o]] > years + 1e-12:
            continue
        inside = price - k.option_strike[o] if k.option_call[o] else k.option_strike[o] - price
        b.unit_cash[u] += k.option_quantity[o] * max(inside, 0.0)
        k.option_quantity[o] = 0.0


@kernel
def _account(b: BookArrays, u: int) -> int:
    """Account of a unit."""
    low, high = 0, len(b.account_unit) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if b.account_unit[middle] <= u:
            low = middle
        else:
            high = middle
    return low
