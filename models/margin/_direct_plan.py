"""What replay by the rule walks with: own copies of what it settles, and how volatility and margin rates move."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models._csr import pointer
from models.book import Book, BookArrays, no_sheets
from models.errors import InputError
from models.instrument import parse_symbol
from models.margin.blocks import NO_BLOCKS, BlockArrays, own_blocks
from models.margin.dynamic.block import HISTORY_HOURS, dynamic_assets, dynamic_blocks, rate_table
from models.market import MarketPanel
from models.typing import BoolArray, FloatArray, Int32Array, IntArray

__all__ = ["DirectPlan", "Walked", "build_plan", "own_copies", "unknown_units"]


class Walked(NamedTuple):
    """Columns that the walk writes to, or that stand in for those of the book."""

    book: BookArrays  # with a schedule of nothing behind the others, for what is settled
    blocks: BlockArrays
    nothing: int  # place of that schedule
    block_coin: FloatArray  # (k,) units of the underlying that settled options have paid


class DirectPlan(NamedTuple):
    """What replay by the rule needs beyond `Plan`."""

    many: BoolArray  # (u,) the unit depends on several prices
    unit_block: Int32Array  # (u+1,) unit -> its blocks
    leg_coin: BoolArray  # (l,) settled in coin
    as_of: IntArray  # (n,) nanoseconds
    start: int  # open of the first bar, nanoseconds
    step: int  # length of a bar, nanoseconds
    level: FloatArray  # (2, A, T) implied volatility and dynamic margin rate in each bar, the last that was known
    block_level: Int32Array  # (k,) which of the two moves the block
    grids: bool  # interpolate the options of scenario margin
    block_base: FloatArray  # (k,) its value at the instant of the account; NaN where it stays as it was


def own_copies(book: Book) -> Walked:
    """Copy what the walk settles.

    Parameters
    ----------
    book : Book
        The accounts.

    Returns
    -------
    Walked
        Own columns, without sheets.
    """
    a = book.arrays
    copied = ("leg_quantity", "leg_entry", "leg_size", "leg_tier", "leg_initial", "unit_cash")
    zero = np.zeros(1)
    arrays = a._replace(
        **{name: getattr(a, name).copy() for name in copied},
        tier_start=np.append(a.tier_start, a.tier_start[-1] + 1).astype(np.int32),
        tier_floor=np.append(a.tier_floor, zero),
        tier_rate=np.append(a.tier_rate, zero),
        tier_offset=np.append(a.tier_offset, zero),
        **no_sheets(book.n_units),
    )
    blocks = NO_BLOCKS if book.blocks is None else own_blocks(book.blocks)
    return Walked(arrays, blocks, len(a.tier_start) - 1, np.zeros(len(blocks.block_unit)))


def unknown_units(book: Book) -> BoolArray:
    """Units with an option that has no volatility, as its underlying had no price, shape (u,).

    Parameters
    ----------
    book : Book
        The accounts.

    Returns
    -------
    ndarray of bool
        True where a unit cannot be walked.

    Raises
    ------
    InputError
        If nothing gave the book its volatilities.
    """
    out = np.zeros(book.n_units, np.bool_)
    b = book.blocks
    if b is None:
        return out
    block = np.repeat(np.arange(len(b.block_unit)), np.diff(b.block_option))
    bad = np.isnan(b.option_vol)
    if bad.any() and not len(book.arrays.sheet_asset):
        raise InputError("book", "options without a volatility", "a book of models.margin.valuation.valued")
    out[b.block_unit[block[bad]]] = True
    return out


def build_plan(book: Book, panel: MarketPanel, window: MarketPanel, many: BoolArray, grids: bool = True) -> DirectPlan:
    """Lay out instants, settlement and levels.

    Parameters
    ----------
    book : Book
        n accounts.
    panel : MarketPanel
        All bars that are known.
    window : MarketPanel
        Those that are walked.
    many : ndarray of bool, shape (u,)
        Units that depend on several prices.
    grids : bool
        Whether options of scenario margin are interpolated.

    Returns
    -------
    DirectPlan
        The plan.
    """
    blocks = NO_BLOCKS if book.blocks is None else book.blocks
    coin = {s: "/" in s and not parse_symbol(s).linear for s in set(book.leg_symbol.tolist())}
    of_block = book.unit_account()[blocks.block_unit]
    table = dynamic_blocks(blocks).astype(np.int32)
    level, base = _levels(book, panel, window, blocks, book.as_of[of_block], table)
    return DirectPlan(
        many,
        pointer(blocks.block_unit.astype(np.int64), book.n_units),
        np.array([coin[s] for s in book.leg_symbol.tolist()], np.bool_),
        book.as_of,
        window.start,
        window.step,
        level,
        table,
        grids,
        base,
    )


def _levels(
    book: Book, panel: MarketPanel, window: MarketPanel, blocks: BlockArrays, as_of: IntArray, table: Int32Array
) -> tuple[FloatArray, FloatArray]:
    """Levels of the bars walked, and those at the instants of the blocks."""
    if not len(table):
        return np.full((2, len(book.assets), 1), np.nan), np.zeros(0)
    first = int((window.start - panel.start) // panel.step)
    back = (HISTORY_HOURS + 48) * 60 // panel.bar_minutes if table.any() else 1
    start = max(first - back, 0)
    known = panel.slice(start, first + window.n_bars)
    both = np.full((2, len(book.assets), max(known.n_bars, 1)), np.nan)
    used = dynamic_assets(blocks, len(book.assets))
    rows = [(r, known.column(a)) for r, a in enumerate(book.assets) if a in known.assets]
    wanted = np.zeros(len(known.assets), np.bool_)
    wanted[[column for row, column in rows if used[row]]] = True
    rates = rate_table(known, wanted) if wanted.any() else None
    for row, column in rows:
        if known.implied is not None:
            both[0, row] = _filled(known.implied[column])
        if rates is not None:
            both[1, row] = _filled(rates[column])
    at = np.clip((as_of - known.start) // known.step, 0, both.shape[2] - 1)
    base = both[table, blocks.block_asset, at]
    return np.ascontiguousarray(both[:, :, first - start :]), base


def _filled(level: FloatArray) -> FloatArray:
    """The last known level at each bar."""
    last = np.maximum.accumulate(np.where(np.isfinite(level), np.arange(len(level)), -1))
    return np.where(last >= 0, level[np.maximum(last, 0)], np.nan)
