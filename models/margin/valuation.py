"""Sheets of a book: its blocks of options and scenario margin, tabulated around the market of now."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from models._csr import pointer
from models.book import Book
from models.errors import InputError
from models.margin.block_models import block_margin
from models.margin.blocks import HOURS_A_YEAR, BlockArrays, own_blocks
from models.margin.dynamic.block import with_rates
from models.margin.sheets import NODES, SLICES, node_move, set_slices
from models.options.surface import implied_vol, modelled_index
from models.typing import BoolArray, FloatArray, Int32Array, IntArray

__all__ = ["Volatility", "implied_level", "valued", "with_volatilities"]

_VOL_LIMITS = (0.25, 4.0)
_PAST = 1e-6
"""Hours that a slice at an expiry lies beyond it, so that rounding does not decide whether it has passed."""
_LEVEL_LIMITS = (0.05, 3.0)


@dataclass(frozen=True, slots=True)
class Volatility:
    """Implied volatility as a market input.

    Parameters
    ----------
    level : ndarray, shape (A,) or (R, A)
        30-day implied volatility of each asset, a fraction a year (an index such as DVOL, or modelled).
    response : float
        How implied volatility answers to the price in tables over the price: it is multiplied by
        ``exp(-response * log(P / now))``. 0 (sticky strike) where nothing better is known; > 0 where a fall lifts it.
    margin_rate : ndarray, shape (A,) or (R, A), or None
        Rate of dynamic margin; needed by accounts under such a ruleset only.
    """

    level: FloatArray
    response: float = 0.0
    margin_rate: FloatArray | None = None


def implied_level(index: FloatArray | None, realised: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Implied level of each asset: the index where one is known, else modelled from realised volatility.

    Parameters
    ----------
    index : ndarray, shape (..., A), or None
        Index levels, NaN where none is known.
    realised : ndarray, shape (..., A)
        Realised volatility of the last 30 days, a fraction a year (`models.volatility.month.month_volatility`).

    Returns
    -------
    tuple of ndarray, shape (..., A)
        Levels within 0.05 and 3, and which of them are modelled.

    Examples
    --------
    >>> level, modelled = implied_level(np.array([0.6, np.nan]), np.array([0.5, 0.8]))
    >>> level.round(3).tolist(), modelled.tolist()
    ([0.6, 0.92], [False, True])
    """
    guess = np.clip(modelled_index(realised), *_LEVEL_LIMITS)
    if index is None:
        return guess, np.ones(guess.shape, np.bool_)
    known = np.isfinite(index)
    return np.where(known, index, guess), ~known


def with_volatilities(b: BlockArrays, price: FloatArray, level: FloatArray) -> BlockArrays:
    """Fill the volatilities that positions do not state, from the surface.

    Parameters
    ----------
    b : BlockArrays
        k blocks.
    price, level : ndarray, shape (k,)
        Price and 30-day implied volatility of the underlying of each block.

    Returns
    -------
    BlockArrays
        Without NaN among ``option_vol`` where price and level are known.
    """
    missing = np.isnan(b.option_vol)
    if not missing.any():
        return b
    block = np.repeat(np.arange(len(b.block_unit)), np.diff(b.block_option))
    forward = price[block] * b.expiry_carry[b.option_expiry]
    years = b.expiry_years[b.option_expiry]
    known = missing & np.isfinite(forward) & (level[block] > 0.0)
    moneyness = np.log(b.option_strike[known] / forward[known])
    vol = b.option_vol.copy()
    vol[known] = implied_vol(np.minimum(level[block][known], 10.0), moneyness, years[known])
    return b._replace(option_vol=vol)


def valued(
    book: Book,
    price: FloatArray,
    volatility: Volatility | FloatArray,
    row: IntArray | None = None,
    n_threads: int = 2,
) -> Book:
    """Give a book the sheets of its blocks.

    Parameters
    ----------
    book : Book
        n accounts over A assets.
    price : ndarray, shape (A,) or (R, A)
        Prices now, for all accounts or for R market states.
    volatility : Volatility or ndarray
        Implied volatility, of the shape of `price`.
    row : ndarray of int64, shape (n,), optional
        Market state of each account.
    n_threads : int
        Threads to tabulate with.

    Returns
    -------
    Book
        The same accounts; itself where it has no blocks, or has its sheets. An account whose underlying has no price
        has NaN sheets.

    Raises
    ------
    InputError
        If shapes do not agree.
    """
    if book.blocks is None or len(book.arrays.sheet_asset):
        return book
    market = volatility if isinstance(volatility, Volatility) else Volatility(np.asarray(volatility, np.float64))
    prices, levels = np.atleast_2d(price), np.atleast_2d(market.level)
    if prices.shape != levels.shape or prices.shape[1] != len(book.assets):
        raise InputError("volatility", levels.shape, f"the shape of the prices, {prices.shape}")
    b = book.blocks
    state = np.zeros(len(book), np.int64) if row is None else np.asarray(row, np.int64)
    of_block = state[book.unit_account()[b.block_unit]]
    now = np.ascontiguousarray(prices[of_block, b.block_asset], np.float64)
    b = with_volatilities(b, now, levels[of_block, b.block_asset])
    rates = None if market.margin_rate is None else np.atleast_2d(market.margin_rate)[of_block, b.block_asset]
    b = with_rates(b, rates)
    k = len(b.block_unit)
    equity, maintenance = np.empty((k, SLICES, NODES)), np.empty((k, SLICES, NODES))
    initial, hours = np.empty((k, NODES)), np.empty((k, SLICES))
    own = own_blocks(b)

    def part(blocks: IntArray) -> None:
        _tabulate(own, blocks, now, market.response, hours, equity, maintenance, initial)

    if n_threads > 1 and k > 8:
        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(part, np.array_split(np.arange(k), 4 * n_threads)))
    else:
        part(np.arange(k))
    gross = _gross(b, now)
    arrays = book.arrays._replace(
        unit_sheet=pointer(b.block_unit.astype(np.int64), book.n_units),
        sheet_asset=b.block_asset,
        sheet_gross=np.ascontiguousarray(gross),
        sheet_now=now,
        sheet_hours=hours,
        sheet_equity=equity,
        sheet_maintenance=maintenance,
        sheet_initial=initial,
    )
    return replace(book, arrays=arrays, blocks=b)


def _gross(b: BlockArrays, now: FloatArray) -> FloatArray:
    """Base units of all positions of each block, those of coin-margined contracts at the price."""
    perpetual, future = b.block_perpetual, b.expiry_future
    if len(b.block_linear):
        of_expiry = np.repeat(np.arange(len(now)), np.diff(b.block_expiry))
        perpetual = b.block_linear + b.block_inverse / now
        future = b.expiry_linear + b.expiry_inverse / now[of_expiry]
    return np.abs(perpetual) + _sum(np.abs(b.option_quantity), b.block_option) + _sum(np.abs(future), b.block_expiry)


def _sum(values: FloatArray, start: Int32Array) -> FloatArray:
    total = np.concatenate([[0.0], np.cumsum(values)])
    edges = np.asarray(start, np.int64)
    return np.asarray(total[edges[1:]] - total[edges[:-1]])


@njit(cache=True, nogil=True)
def _tabulate(
    b: BlockArrays,
    blocks: IntArray,
    now: FloatArray,
    response: float,
    hours: FloatArray,
    equity: FloatArray,
    maintenance: FloatArray,
    initial: FloatArray,
) -> None:
    for i in blocks:
        set_slices(b.expiry_years[b.block_expiry[i] : b.block_expiry[i + 1]] * HOURS_A_YEAR, hours[i])
        for j in range(NODES):
            move = node_move(j)
            vol = min(max(np.exp(-response * move), _VOL_LIMITS[0]), _VOL_LIMITS[1])
            for t in range(SLICES):
                if not now[i] > 0.0:
                    equity[i, t, j] = maintenance[i, t, j] = initial[i, j] = np.nan
                    continue
                value, need, more = block_margin(
                    b, i, now[i] * np.exp(move), vol, hours[i, t] + (_PAST if t > 0 else 0.0)
                )
                equity[i, t, j] = value
                maintenance[i, t, j] = need
                if t == 0:
                    initial[i, j] = more
