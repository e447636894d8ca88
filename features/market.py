"""Market features at the close of every bar, for history, for one snapshot and bar by bar.

There is one kernel, `advance`: it takes a run of bars into a state and writes their columns. History is one run,
a stream is many runs of one bar, a snapshot is a run over the last `warmup_bars`. Because the sums of `features.window`
depend only on the bars inside the window, all three give the same numbers.

Notes
-----
Cross-asset columns are taken over the assets of the panel: train and predict on the same universe.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from features.columns import ASSET_COLUMNS, CROSS, MARKET, RETURN, fill_columns, fill_series
from features.cross import CALENDAR_COLUMNS, CROSS_COLUMNS, fill_calendar, fill_cross, market_return
from features.window import (
    EXTREME_HOURS,
    N_SERIES,
    WARMUP_HOURS,
    WINDOW_HOURS,
    MarketState,
    check_bar_minutes,
    new_state,
    roll_max,
    roll_sums,
    warmup_bars,
)
from models.errors import InputError
from models.market import MarketPanel
from models.typing import FloatArray

__all__ = ["MARKET_FEATURES", "WARMUP_HOURS", "advance", "market_features", "market_row", "warmup_bars"]

MARKET_FEATURES: Final[tuple[str, ...]] = (*ASSET_COLUMNS, *CROSS_COLUMNS, *CALENDAR_COLUMNS)
"""Names of the columns, in order."""

_FIELDS: Final = ("open", "high", "low", "close", "volume", "funding_rate")
_CHUNK: Final = 64
_N_SUMS: Final = len(WINDOW_HOURS)
_N_EXTREMES: Final = len(EXTREME_HOURS)


def market_features(panel: MarketPanel, out: FloatArray | None = None) -> FloatArray:
    """Columns of every asset at the close of every bar, from that bar and earlier ones only.

    Parameters
    ----------
    panel : MarketPanel
        A assets, T bars of a length that divides an hour.
    out : ndarray of float64, shape (A, T, F), optional
        C-contiguous array to fill, for repeated calls (fresh memory costs more than the figures).

    Returns
    -------
    ndarray of float64, shape (A, T, F)
        In the order of `MARKET_FEATURES`; NaN where fewer than half of a window's bars are there, so a column is NaN
        until half of its window has passed, and settled after `warmup_bars`.

    Raises
    ------
    InputError
        If the bar does not divide an hour, or `out` has another shape.

    Examples
    --------
    >>> price = np.full((1, 48), 100.0)
    >>> flat = MarketPanel(("BTC",), 60, 0, price, price * 1.01, price * 0.99, price, price, price * 0, ("simulated",))
    >>> columns = market_features(flat)
    >>> columns.shape == (1, 48, len(MARKET_FEATURES))
    True
    >>> round(float(columns[0, -1, MARKET_FEATURES.index("rv_24h")]), 6)
    0.012012
    """
    check_bar_minutes(panel.bar_minutes)
    shape = (len(panel.assets), panel.n_bars, len(MARKET_FEATURES))
    if out is None:
        out = np.empty(shape)
    elif out.shape != shape or out.dtype != np.float64 or not out.flags.c_contiguous:
        raise InputError("out", f"{out.dtype}{out.shape}", f"C-contiguous float64 of shape {shape}")
    fields = [np.ascontiguousarray(getattr(panel, name)) for name in _FIELDS]
    advance(new_state(shape[0], panel.bar_minutes), panel.bar_minutes, panel.start // panel.step, *fields, out)
    return out


def market_row(panel: MarketPanel, row: int | None = None) -> FloatArray:
    """Columns at the close of one bar, from the `warmup_bars` before it: the snapshot path.

    Parameters
    ----------
    panel : MarketPanel
        History; more than `warmup_bars` of it changes nothing.
    row : int, optional
        The bar, the last one if not given; as `MarketPanel.row_closed` returns it.

    Returns
    -------
    ndarray of float64, shape (A, F)
        The same numbers as ``market_features(panel)[:, row]``.

    Raises
    ------
    InputError
        If `row` is not a bar of the panel.

    Examples
    --------
    >>> price = np.full((2, 48), 100.0)
    >>> flat = MarketPanel(("BTC", "ETH"), 60, 0, price, price, price, price, price, price * 0, ("perp", "perp"))
    >>> market_row(flat, 30).shape == (2, len(MARKET_FEATURES))
    True
    """
    row = panel.n_bars - 1 if row is None else int(row)
    if not 0 <= row < panel.n_bars:
        raise InputError("row", row, f"a closed bar of the panel, 0 to {panel.n_bars - 1}")
    tail = panel.slice(row + 1 - warmup_bars(panel.bar_minutes), row + 1)
    return np.ascontiguousarray(market_features(tail)[:, -1])


@njit(cache=True, nogil=True, error_model="numpy")
def advance(
    state: MarketState,
    bar_minutes: int,
    first: int,
    open_: FloatArray,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    volume: FloatArray,
    funding: FloatArray,
    out: FloatArray,
) -> None:
    """Take bars (A, T) into the state and write their columns to `out` (A, T, F).

    `first` counts bars since the epoch up to column 0; it anchors the blocks of the windows.
    """
    n_assets, n_bars = close.shape
    bar = np.empty(6)
    value = np.empty((n_assets, _CHUNK, N_SERIES))
    extreme = np.empty((n_assets, _CHUNK, 2))
    logs = np.empty((n_assets, _CHUNK))
    returns = np.empty((_CHUNK, n_assets))
    for begin in range(0, n_bars, _CHUNK):
        size = min(_CHUNK, n_bars - begin)
        for a in range(n_assets):
            for i in range(size):
                t = begin + i
                bar[0], bar[1], bar[2], bar[3] = open_[a, t], high[a, t], low[a, t], close[a, t]
                bar[4], bar[5] = volume[a, t], funding[a, t]
                logs[a, i] = fill_series(bar, state.carry[a], value[a, i], extreme[a, i])
                returns[i, a] = value[a, i, RETURN] if value[a, i, 0] > 0.0 else np.nan
        _market_series(size, returns, value)
        for a in range(n_assets):
            _advance_asset(
                state, a, bar_minutes, first + begin, value[a, :size], extreme[a], logs[a], out[a, begin : begin + size]
            )
        for i in range(size):
            block = out[:, begin + i]
            fill_cross(block)
            fill_calendar((first + begin + i + 1) * bar_minutes, block)


@njit(cache=True, nogil=True, error_model="numpy")
def _market_series(size: int, returns: FloatArray, value: FloatArray) -> None:
    for i in range(size):
        market = market_return(returns[i])
        for a in range(returns.shape[1]):
            r = returns[i, a]
            if r == r:
                value[a, i, CROSS] = r * market
                value[a, i, MARKET] = market * market


@njit(cache=True, nogil=True, error_model="numpy")
def _advance_asset(
    state: MarketState,
    a: int,
    bar_minutes: int,
    first: int,
    value: FloatArray,
    extreme: FloatArray,
    logs: FloatArray,
    out: FloatArray,
) -> None:
    size = value.shape[0]
    total = np.empty((_N_SUMS, N_SERIES, size))
    highest = np.empty((_N_EXTREMES, 2, size))
    for w in range(_N_SUMS):
        n, base = state.length[w], state.offset[w]
        roll_sums(n, first, size, state.slots[a, base : base + n], state.running[a, w], value, total[w])
    for w in range(_N_EXTREMES):
        n, base = state.high_length[w], state.high_offset[w]
        slots = state.high_slots[a, base : base + n]
        roll_max(n, first, size, slots, state.high_running[a, w], extreme, highest[w])
    fill_columns(state.length, 60 // bar_minutes, value, total, highest, logs[:size], state.carry[a], out)
