"""Which drawn accounts are above their call level, after some owners added or withdrew collateral.

A sheet of a block is exact at the price of now, so an account is judged by one valuation of its blocks there: what
`models.margin.valuation.valued` and `margin_levels` say, without the rest of the table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numba import njit

from models.book import Book
from models.margin.block_models import block_margin
from models.margin.blocks import BlockArrays, moved_in_time, own_blocks
from models.margin.levels import margin_levels
from models.margin.valuation import with_volatilities
from models.typing import HOUR_NS, BoolArray, FloatArray, IntArray
from training.population.columns import Population
from training.population.draft import Draft
from training.population.history import History
from training.population.linear import REDRAWN_SHARE

__all__ = ["Redraw", "Standing", "assess", "draw_changes", "survivors"]

DISTANCE: Final = (0.005, 0.5)
CALLS: Final = 4.0
"""Exposure of an account with options, in call requirements."""
LEAST_EQUITY: Final = 0.02
"""Equity of an account with options at the opening is at least this part of its gross size."""


@dataclass(frozen=True, slots=True)
class Redraw:
    """Owners who have acted since the opening: which, and the distance they left, relative to exposure; (n,) each."""

    chosen: BoolArray
    distance: FloatArray


@dataclass(slots=True)
class Standing:
    """Where accounts stand, dollars, shape (m,): distance to the call, and the call requirement; NaN where refused."""

    gap: FloatArray
    call: FloatArray


def draw_changes(n: int, rng: np.random.Generator) -> Redraw:
    """Draw who has added or withdrawn collateral."""
    low, high = np.log(DISTANCE)
    return Redraw(rng.uniform(size=n) < REDRAWN_SHARE, np.exp(rng.uniform(low, high, n)))


def survivors(draft: Draft, wanted: BoolArray, redraw: Redraw, history: History) -> tuple[IntArray, Population]:
    """Give the accounts that are above their call level.

    Parameters
    ----------
    draft : Draft
        n accounts; the collateral of those that are redrawn, or found from their requirement, is changed in place.
    wanted : ndarray of bool, shape (n,)
        Accounts to look at.
    redraw : Redraw
        Owners who have acted.
    history : History
        Prices and volatility.

    Returns
    -------
    tuple of (ndarray of int64, Population)
        The rows that are above, and their columns.
    """
    rows = np.flatnonzero(draft.valid & wanted)
    if not len(rows):
        return rows, draft.population(rows)
    seen = assess(draft, rows, history)
    moved = rows[_redrawn(draft, rows, seen, redraw)]
    above = seen.gap > 0.0
    if len(moved):
        above |= np.isin(rows, moved)
        inexact = moved[~draft.funded[moved]]
        if len(inexact):
            again = assess(draft, inexact, history)
            above[np.searchsorted(rows, inexact)] = again.gap > 0.0
    kept = rows[above]
    return kept, draft.population(kept)


def _redrawn(draft: Draft, rows: IntArray, seen: Standing, redraw: Redraw) -> BoolArray:
    """Move the collateral of accounts whose owner acted to where the distance is the one drawn; which were moved."""
    exposure = np.where(np.isnan(draft.exposure[rows]), CALLS * seen.call, draft.exposure[rows])
    isolated = np.isfinite(draft.isolated_margin[rows])
    lever = np.maximum(draft.lever[rows], 0)
    held = np.where(isolated, draft.isolated_margin[rows], draft.held_quantity[rows, lever])
    with np.errstate(invalid="ignore"):
        new = held + (redraw.distance[rows] * exposure - seen.gap) / draft.slope[rows]
        moved = redraw.chosen[rows] & (draft.lever[rows] >= 0) & np.isfinite(new) & (exposure > 0.0)
        moved &= np.where(held < 0.0, new < 0.0, new > 0.0)
    draft.isolated_margin[rows[moved & isolated]] = new[moved & isolated]
    cross = moved & ~isolated
    draft.held_quantity[rows[cross], lever[cross]] = new[cross]
    return np.asarray(moved)


def assess(draft: Draft, rows: IntArray, history: History) -> Standing:
    """Judge accounts as of their instants, and find the collateral of those that have none yet.

    Parameters
    ----------
    draft : Draft
        The accounts.
    rows : ndarray of int64, shape (m,)
        Which.
    history : History
        Prices and volatility.

    Returns
    -------
    Standing
        Arrays of shape (m,).
    """
    drawn = draft.population(rows)
    book, failures = Book.from_columns(drawn.accounts, drawn.positions, drawn.collateral, draft.assets)
    good = np.delete(np.arange(len(rows)), [f.row for f in failures]) if failures else np.arange(len(rows))
    out = Standing(np.full(len(rows), np.nan), np.full(len(rows), np.nan))
    if not len(book):
        return out
    price = history.prices(book.as_of)
    levels = margin_levels(replace(book, blocks=None), price)  # the blocks are added below
    numeraire = book.arrays.account_numeraire
    unit = np.where(numeraire >= 0, price[np.arange(len(book)), np.maximum(numeraire, 0)], 1.0)
    gap, call = levels.gap_call * unit, levels.call * unit
    if book.blocks is not None:
        account = book.unit_account()[book.blocks.block_unit]
        level = history.level_now(book.as_of[account], book.blocks.block_asset.astype(np.int64))
        value, maintenance, _ = _block_sums(book.blocks, account, price, level)
        need = book.arrays.account_call_factor * maintenance
        call += need
        gap += value - need + _fund(draft, rows[good], book, history)
    out.gap[good], out.call[good] = gap, call
    return out


def _fund(draft: Draft, rows: IntArray, book: Book, history: History) -> FloatArray:
    """Find the collateral that gave each account its margin use at the opening; what it adds to the distance now."""
    assert book.blocks is not None
    then = draft.then[rows]
    account = book.unit_account()[book.blocks.block_unit]
    hours = (book.as_of - history.closed_at(then)) / HOUR_NS
    earlier = moved_in_time(book.blocks, -hours[account])
    level = history.level(then[account], book.blocks.block_asset.astype(np.int64))
    value, maintenance, initial = _block_sums(earlier, account, history.close[then], level)
    need = np.maximum(initial, book.arrays.account_call_factor * maintenance)
    with np.errstate(invalid="ignore"):
        equity = np.maximum(need / draft.margin_use[rows], 1.15 * np.maximum(value, 0.0))
        equity = np.maximum(equity, LEAST_EQUITY * _gross(draft, rows, history))
        balance = equity - value
    coin = draft.slope[rows] != 1.0
    asset = draft.legs.asset[rows, 0]
    units = balance / np.where(coin, history.price(then, asset), 1.0)
    before = draft.held_quantity[rows, 0]
    found = np.where(np.isfinite(units) & ~draft.funded[rows], np.maximum(units, before), before)
    draft.held_quantity[rows, 0] = found
    draft.funded[rows] = True
    return np.asarray((found - before) * draft.slope[rows])


def _gross(draft: Draft, rows: IntArray, history: History) -> FloatArray:
    """Dollars of all positions at the opening, each leg's quantity at the price then."""
    legs, then = draft.legs, draft.then[rows]
    price = history.price(then[:, None], legs.asset[rows])
    dollars = legs.coin[rows] & np.isnan(legs.strike[rows])
    return np.asarray((np.abs(legs.quantity[rows]) * np.where(dollars, 1.0, price)).sum(axis=1))


def _block_sums(
    blocks: BlockArrays, account: IntArray, price: FloatArray, level: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Value, maintenance and initial requirement of the blocks of each account, dollars; prices of shape (n, A)."""
    spot = np.ascontiguousarray(price[account, blocks.block_asset])
    filled = with_volatilities(blocks, spot, level)
    out = np.empty((3, len(spot)))
    _at_spot(own_blocks(filled), spot, out)
    value, maintenance, initial = (np.bincount(account, row, len(price)).astype(np.float64) for row in out)
    return value, maintenance, initial


@njit(cache=True, nogil=True)
def _at_spot(b: BlockArrays, spot: FloatArray, out: FloatArray) -> None:
    for i in range(len(spot)):
        out[0, i], out[1, i], out[2, i] = block_margin(b, i, spot[i], 1.0, 0.0)
