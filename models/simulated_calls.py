"""What the prior's paths say of the size and the time of a call: the first breach of an account on every path."""

from __future__ import annotations

import numpy as np
from numba import njit

from models._curved_kernels import count_curved, is_curved, new_curves, tabulate_unit
from models._path_kernels import NEVER, TILE, Paths, Scratch, count_breaches
from models.book import Book, BookArrays, require_sheets
from models.margin.linear import unit_equity, unit_gap, unit_initial, unit_is_live
from models.prior import PriorState
from models.typing import FloatArray, IntArray

__all__ = ["call_quantiles", "simulate_calls"]


def simulate_calls(book: Book, price: FloatArray, state: PriorState) -> tuple[FloatArray, FloatArray]:
    """Walk accounts along the scenario paths of an instant to their first margin call.

    Parameters
    ----------
    book : Book
        n accounts, on the assets of `state`.
    price : ndarray, shape (A,)
        Prices now.
    state : PriorState
        From `models.prior.PriorModel`.

    Returns
    -------
    minutes, amount : ndarray of float, shape (n, S)
        Close of the hour of the first call on each of S paths, and initial requirement less equity of the units then
        called, at the hour's lows, highs or closes, whichever breaches first, in account currency; NaN where there is
        no call.

    Raises
    ------
    InputError
        If the book has options without sheets.
    """
    require_sheets(book)
    size = state.scenarios.low.shape[0]
    minutes, amount = np.full((2, len(book), size), np.nan)
    _simulate(book.arrays, np.ascontiguousarray(price, np.float64), state.scenarios, minutes, amount)
    return minutes, amount


@njit(cache=True, nogil=True)
def _simulate(
    b: BookArrays, price: FloatArray, paths: Paths, minutes: FloatArray, amount: FloatArray
) -> None:  # pragma: no cover - compiled
    size = paths.low.shape[0]
    work = Scratch(
        np.empty(len(price), np.int64),
        np.empty(len(price)),
        np.empty(TILE, np.float32),
        np.empty(len(paths.blocks) - 1, np.float32),
        np.empty((3, paths.low.shape[2]), np.float32),
        price.copy(),
    )
    first, before = np.empty(size, np.int32), np.zeros(size, np.int32)
    curves = new_curves(len(price))
    trial = price.copy()
    for n in range(len(minutes)):
        k = b.account_call_factor[n]
        first[:] = NEVER
        for u in range(b.account_unit[n], b.account_unit[n + 1]):
            if is_curved(b, u):
                m, gap = tabulate_unit(b, u, k, price, curves)
                count_curved(m, gap, paths, 0, size, curves, before, first, NEVER)
            elif unit_is_live(b, u):
                for base in range(0, size, TILE):
                    stop = min(base + TILE, size)
                    count_breaches(b, u, k, price, paths, base, stop - base, before[base:stop], first[base:stop], work)
        for s in range(size):
            if first[s] < NEVER:
                found = _amount(b, n, k, price, paths, s, first[s], trial)
                if found == found:
                    minutes[n, s] = 60.0 * (first[s] + 1)
                    amount[n, s] = found


@njit(cache=True, nogil=True)
def _amount(
    b: BookArrays, n: int, k: float, price: FloatArray, paths: Paths, s: int, hour: int, trial: FloatArray
) -> float:  # pragma: no cover - compiled
    """Amount at the first point of an hour at which a unit is called; NaN where the exact gap says that none is."""
    for point in range(3):
        for a in range(len(price)):
            ratio = paths.low[s, a, hour] if point == 0 else paths.high[s, a, hour]
            if point == 2:
                ratio = paths.close[s, a, hour]
            trial[a] = price[a] * ratio
        total, called = 0.0, False
        for u in range(b.account_unit[n], b.account_unit[n + 1]):
            if unit_gap(b, u, k, trial) < 0.0:
                called = True
                total += unit_initial(b, u, k, b.account_initial_factor[n], trial) - unit_equity(b, u, trial)
        if called:
            a = b.account_numeraire[n]
            return total / trial[a] if a >= 0 else total
    return np.nan


def call_quantiles(
    minutes: FloatArray, amount: FloatArray, within: IntArray, level: tuple[float, ...], least: int = 5
) -> FloatArray:
    """Quantiles of the simulated call amounts, given a call within each horizon.

    Parameters
    ----------
    minutes, amount : ndarray of float, shape (n, S)
        From :func:`simulate_calls`.
    within : ndarray of int, shape (H,)
        Horizons in minutes.
    level : tuple of float, length Q
        Levels.
    least : int
        Fewest paths with a call; below, the paths with a call at any time are taken.

    Returns
    -------
    ndarray of float, shape (n, H, Q)
        Account currency; NaN where no path has a call.
    """
    out = np.full((len(minutes), len(within), len(level)), np.nan)
    for i in range(len(minutes)):
        for k, horizon in enumerate(within):
            seen = amount[i, minutes[i] <= horizon]
            if len(seen) < least:
                seen = amount[i, np.isfinite(amount[i])]
            if len(seen):
                out[i, k] = np.quantile(seen, level)
    return out
