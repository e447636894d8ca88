"""Point-in-time join: what was known of an asset at an instant, by arithmetic on the bar grid.

A bar is known at its close, so the last row known at an instant is one floor division, where a search over stamps
would take a logarithm and a sort.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from models.errors import InputError
from models.market import MarketPanel
from models.typing import MINUTE_NS, FloatArray, Int32Array, IntArray

__all__ = ["join_asof", "known_rows", "market_states"]


def known_rows(panel: MarketPanel, as_of: IntArray, max_age_minutes: float | None = None) -> IntArray:
    """Row of the last bar closed at each instant.

    Parameters
    ----------
    panel : MarketPanel
        The grid.
    as_of : ndarray of int64, shape (n,)
        Instants, nanoseconds since the epoch, UTC.
    max_age_minutes : float, optional
        Instants further than this after the close of the panel's last bar get -1; without it they get the last bar.

    Returns
    -------
    ndarray of int64, shape (n,)
        Rows of the panel; -1 where no bar is closed yet, or the last one is too old.

    Examples
    --------
    >>> one = np.ones((1, 3))
    >>> panel = MarketPanel(("BTC",), 60, 0, one, one, one, one, one, one * 0, ("mark",))
    >>> hour = 60 * MINUTE_NS
    >>> known_rows(panel, np.array([0, hour - 1, hour, 3 * hour, 9 * hour])).tolist()
    [-1, -1, 0, 2, 2]
    >>> known_rows(panel, np.array([4 * hour, 9 * hour]), max_age_minutes=60).tolist()
    [2, -1]
    """
    row = panel.row_closed(as_of)
    if max_age_minutes is not None:
        row = np.where(np.asarray(as_of) - panel.end > max_age_minutes * MINUTE_NS, -1, row)
    return np.clip(row, -1, panel.n_bars - 1)


def join_asof(
    values: FloatArray,
    panel: MarketPanel,
    as_of: IntArray,
    asset: IntArray | Int32Array,
    max_age_minutes: float | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Figures of one asset at one instant, for many of both.

    Parameters
    ----------
    values : ndarray of float64, shape (A, T, F)
        Figures known at the close of each bar, such as `features.market.market_features`.
    panel : MarketPanel
        The grid they are on.
    as_of : ndarray of int64, shape (n,)
        Instants, nanoseconds since the epoch, UTC; in any order.
    asset : ndarray of int, shape (n,)
        Asset of each, an index from 0 to A - 1.
    max_age_minutes : float, optional
        As for `known_rows`.
    out : ndarray of float64, shape (n, F), optional
        C-contiguous array to fill, for repeated calls.

    Returns
    -------
    ndarray of float64, shape (n, F)
        NaN where nothing was known yet.

    Raises
    ------
    InputError
        If shapes do not agree or an asset index is out of range.

    Examples
    --------
    >>> one = np.ones((1, 3))
    >>> panel = MarketPanel(("BTC",), 60, 0, one, one, one, one, one, one * 0, ("mark",))
    >>> join_asof(np.arange(3.0).reshape(1, 3, 1), panel, np.array([0, panel.end]), np.array([0, 0])).tolist()
    [[nan], [2.0]]
    """
    n_assets, n_bars, width = values.shape
    if (n_assets, n_bars) != panel.close.shape:
        raise InputError("values", values.shape, f"shape {(*panel.close.shape, width)}: assets, bars, figures")
    stamps, index = np.ascontiguousarray(as_of, np.int64), np.ascontiguousarray(asset, np.int64)
    if stamps.shape != index.shape or stamps.ndim != 1:
        raise InputError("asset", index.shape, f"one asset for each of the {stamps.shape} instants")
    if len(index) and (index.min() < 0 or index.max() >= n_assets):
        raise InputError("asset", (int(index.min()), int(index.max())), f"indices from 0 to {n_assets - 1}")
    if out is None:
        out = np.empty((len(stamps), width))
    elif out.shape != (len(stamps), width) or out.dtype != np.float64 or not out.flags.c_contiguous:
        raise InputError("out", f"{out.dtype}{out.shape}", f"C-contiguous float64 of shape {(len(stamps), width)}")
    limit = np.iinfo(np.int64).max if max_age_minutes is None else panel.end + int(max_age_minutes * MINUTE_NS)
    _join(np.ascontiguousarray(values), panel.start, panel.step, limit, stamps, index, out)
    return out


def market_states(values: FloatArray, rows: IntArray) -> FloatArray:
    """Market states at some rows, as the design matrix takes them.

    Parameters
    ----------
    values : ndarray, shape (A, T, F)
        Figures at the close of each bar.
    rows : ndarray of int64, shape (R,)
        Rows of the panel; -1 gives NaN.

    Returns
    -------
    ndarray, shape (R, A, F)
        C-contiguous copy.

    Examples
    --------
    >>> market_states(np.arange(6.0).reshape(2, 3, 1), np.array([-1, 2]))[:, :, 0].tolist()
    [[nan, nan], [2.0, 5.0]]
    """
    rows = np.asarray(rows, np.int64)
    if len(rows) and (rows.min() < -1 or rows.max() >= values.shape[1]):
        raise InputError("rows", (int(rows.min()), int(rows.max())), f"from -1 to {values.shape[1] - 1}")
    out = np.ascontiguousarray(values[:, rows].transpose(1, 0, 2))
    out[rows < 0] = np.nan
    return out


@njit(cache=True, nogil=True)
def _join(
    values: FloatArray, start: int, step: int, limit: int, as_of: IntArray, asset: IntArray, out: FloatArray
) -> None:
    last, width = values.shape[1] - 1, values.shape[2]
    for i in range(len(as_of)):
        row = min((as_of[i] - start) // step - 1, last)
        if row < 0 or as_of[i] > limit:
            out[i] = np.nan
            continue
        known, target = values[asset[i], row], out[i]
        for k in range(width):
            target[k] = known[k]
