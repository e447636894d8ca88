"""Tables over the bars of a panel that let a replay skip whole blocks of bars.

For each asset: the smallest and largest price of every block of `BLOCK` bars, the same of the
cumulative funding, and running counts of missing bars. The tables weigh a few percent of the bars;
cumulative funding adds one more column.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from models._by_pointer import by_pointer
from models.market import MarketPanel
from models.typing import BoolArray, FloatArray, Int32Array, IntArray

__all__ = ["BLOCK", "Extremes", "build_extremes"]

BLOCK = 32
"""Bars in a block."""


@by_pointer
class Extremes(NamedTuple):
    """Bars and block tables of A assets over T bars, C-contiguous.

    A bar is missing where any of its four prices is not finite; all four are NaN then.
    """

    open: FloatArray  # (A, T)
    high: FloatArray
    low: FloatArray
    close: FloatArray
    funding: FloatArray  # (A, T+1) sum of open * rate over the bars before
    missing: Int32Array  # (A, T+1) number of missing bars before
    block_low: FloatArray  # (A, B) smallest of the four prices; inf where all are missing
    block_high: FloatArray  # (A, B) largest; -inf where all are missing
    block_funding_low: FloatArray  # (A, B) smallest funding[t + 1] of the bars t of the block
    block_funding_high: FloatArray  # (A, B)


def build_extremes(panel: MarketPanel, assets: tuple[str, ...], used: BoolArray) -> Extremes:
    """Build the tables.

    Parameters
    ----------
    panel : MarketPanel
        T bars.
    assets : tuple of str, length A
        Assets of the rows of the tables; where the panel has no such asset, all bars are missing.
    used : ndarray of bool, shape (A,)
        Assets to build for; the rows of the others stay unset.

    Returns
    -------
    Extremes
        Prices are those of the panel (no copy where it has these assets, is contiguous and has no half bars).
    """
    prices = [_rows(panel, p, assets) for p in (panel.open, panel.high, panel.low, panel.close)]
    n_rows, n_bars = prices[0].shape
    missing = np.zeros((n_rows, n_bars + 1), np.int32)
    rows = np.flatnonzero(used).astype(np.int64)
    if _count_missing(*prices, rows, missing):
        prices = [_blank(p, missing, rows) for p in prices]
    funding = np.zeros((n_rows, n_bars + 1))
    blocks = np.empty((4, n_rows, -(-n_bars // BLOCK)))
    _fill(*prices, _rows(panel, panel.funding_rate, assets), rows, funding, blocks)
    open_, high, low, close = prices
    return Extremes(open_, high, low, close, funding, missing, blocks[0], blocks[1], blocks[2], blocks[3])


def _rows(panel: MarketPanel, values: FloatArray, assets: tuple[str, ...]) -> FloatArray:
    """Rows of the assets, NaN for those that the panel has not."""
    if panel.assets == assets:
        return np.ascontiguousarray(values)
    out = np.full((len(assets), panel.n_bars), np.nan)
    for row, asset in enumerate(assets):
        if asset in panel.assets:
            out[row] = values[panel.column(asset)]
    return out


def _blank(price: FloatArray, missing: Int32Array, rows: IntArray) -> FloatArray:
    """A copy with NaN at every missing bar of the rows."""
    out = price.copy()
    for r in rows:
        out[r, np.diff(missing[r]) > 0] = np.nan
    return out


@njit(cache=True, nogil=True)
def _count_missing(
    open_: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray, rows: IntArray, missing: Int32Array
) -> bool:
    """Count the missing bars; True where a bar has some, but not all four prices."""
    partial = False
    for r in rows:
        for t in range(open_.shape[1]):
            known = 0
            for price in (open_[r, t], high[r, t], low[r, t], close[r, t]):
                known += np.isfinite(price)
            partial |= 0 < known < 4 or np.isinf(open_[r, t] + high[r, t] + low[r, t] + close[r, t])
            missing[r, t + 1] = missing[r, t] + (known < 4)
    return partial


@njit(cache=True, nogil=True)
def _fill(
    open_: FloatArray,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    rate: FloatArray,
    rows: IntArray,
    funding: FloatArray,
    blocks: FloatArray,
) -> None:
    for r in rows:
        for j in range(blocks.shape[2]):
            least, most = np.inf, -np.inf
            paid_least, paid_most = np.inf, -np.inf
            for t in range(j * BLOCK, min((j + 1) * BLOCK, open_.shape[1])):
                paid = funding[r, t]
                if np.isfinite(open_[r, t]):
                    least = min(least, min(min(open_[r, t], close[r, t]), min(low[r, t], high[r, t])))
                    most = max(most, max(max(open_[r, t], close[r, t]), max(low[r, t], high[r, t])))
                    if np.isfinite(rate[r, t]):
                        paid += open_[r, t] * rate[r, t]
                funding[r, t + 1] = paid
                paid_least, paid_most = min(paid_least, paid), max(paid_most, paid)
            blocks[0, r, j], blocks[1, r, j] = least, most
            blocks[2, r, j], blocks[3, r, j] = paid_least, paid_most
