"""Dynamic margin for the block kernels: a rate on what is held of one underlying, that moves with its volatility."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.errors import InputError
from models.margin._kernel import kernel
from models.margin.blocks import BLOCK_MODELS, BlockArrays
from models.margin.dynamic.rates import DynamicMargin
from models.market import MarketPanel, to_hourly
from models.typing import HOUR_NS, BoolArray, FloatArray

__all__ = [
    "DEFAULT",
    "HISTORY_HOURS",
    "RATE",
    "dynamic_assets",
    "dynamic_blocks",
    "dynamic_margin",
    "rate_at",
    "rate_table",
    "with_rates",
]

RATE: Final = 0
"""Place of the rate in a packed row; NaN until the market is known."""
INITIAL: Final = 1
"""Place of the initial requirement over maintenance."""
HISTORY_HOURS: Final = 8760
"""Hours before an instant that its rate rests on; with fewer, the rate rests on those there are (at least 350)."""
DEFAULT: Final = DynamicMargin(confidence=0.99, mpor=24, look_back=HISTORY_HOURS, least=0.04, decay=0.985, buffer=0.25)
"""On hourly bars: 99% over one day, a year of returns scaled by the volatility of the last days, a buffer of 25%."""
_MODEL: Final = BLOCK_MODELS.index("dynamic")


@kernel
def dynamic_margin(b: BlockArrays, i: int, spot: float, vol: float, hours: float) -> tuple[float, float, float]:
    """Value, maintenance and initial requirement of block `i`: rate times the net position at the price.

    `vol` multiplies the rate. Futures count until they expire.
    """
    first = b.block_parameter[i]
    net = b.block_perpetual[i] + b.block_spot[i]
    for e in range(b.block_expiry[i], b.block_expiry[i + 1]):
        if b.expiry_years[e] * 8760.0 > hours:
            net += b.expiry_future[e]
    need = abs(net) * spot * min(b.parameter[first + RATE] * vol, 1.0)
    return 0.0, need, need * b.parameter[first + INITIAL]


def dynamic_blocks(b: BlockArrays | None) -> BoolArray:
    """Which blocks are margined at a dynamic rate, shape (k,)."""
    return np.zeros(0, np.bool_) if b is None else np.asarray(b.block_model == _MODEL)


def dynamic_assets(b: BlockArrays | None, n_assets: int) -> BoolArray:
    """Which assets some block is margined on at a dynamic rate, shape (A,)."""
    used = np.zeros(n_assets, np.bool_)
    if b is not None:
        used[b.block_asset[dynamic_blocks(b)]] = True
    return used


def with_rates(b: BlockArrays, rate: FloatArray | None) -> BlockArrays:
    """Fill the rates that are not set.

    Parameters
    ----------
    b : BlockArrays
        k blocks.
    rate : ndarray, shape (k,), or None
        Margin rate of the underlying of each block at its instant.

    Returns
    -------
    BlockArrays
        With rates.

    Raises
    ------
    InputError
        If there are dynamic blocks and no rates.
    """
    rows = np.flatnonzero(dynamic_blocks(b))
    places = b.block_parameter[rows] + RATE
    missing = np.isnan(b.parameter[places])
    if not missing.any():
        return b
    if rate is None:
        raise InputError("volatility.margin_rate", None, "the margin rates of the market (models.margin.dynamic.block)")
    parameter = b.parameter.copy()
    parameter[places[missing]] = rate[rows[missing]]
    return b._replace(parameter=parameter)


def rate_table(panel: MarketPanel, used: BoolArray | None = None, rule: DynamicMargin = DEFAULT) -> FloatArray:
    """Give the margin rate that was known at the open of each bar.

    Parameters
    ----------
    panel : MarketPanel
        Bars of up to an hour.
    used : ndarray of bool, shape (A,), optional
        Assets to compute; NaN elsewhere.
    rule : DynamicMargin
        The rule, in hours.

    Returns
    -------
    ndarray, shape (A, T)
        Fractions of position value; NaN while too little is known.
    """
    hourly = to_hourly(panel)
    rows = np.arange(len(panel.assets)) if used is None else np.flatnonzero(used)
    out = np.full((len(panel.assets), panel.n_bars), np.nan)
    if not len(rows) or not hourly.n_bars:
        return out
    rates = rule.rate_history(np.ascontiguousarray(hourly.close[rows]))
    hour = hourly.row_closed(panel.times())
    known = (hour >= 0) & (hour < hourly.n_bars)
    out[np.ix_(rows, np.flatnonzero(known))] = rates[:, hour[known]]
    return out


def rate_at(panel: MarketPanel, as_of: int, used: BoolArray) -> FloatArray:
    """Give the margin rate that is known at an instant, from the year before it.

    Parameters
    ----------
    panel : MarketPanel
        Bars of up to an hour.
    as_of : int
        Nanoseconds since the epoch.
    used : ndarray of bool, shape (A,)
        Assets to compute; NaN elsewhere.

    Returns
    -------
    ndarray, shape (A,)
        Fractions of position value.
    """
    known = to_hourly(panel.between(as_of - (HISTORY_HOURS + 48) * HOUR_NS, as_of))
    out = np.full(len(panel.assets), np.nan)
    if known.n_bars:
        out[used] = DEFAULT.rate_history(np.ascontiguousarray(known.close[used]))[:, -1]
    return out
