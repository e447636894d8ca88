"""Columns that all assets share: the state of the whole market, and the calendar."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from features.columns import ASSET_COLUMNS
from models.typing import FloatArray

__all__ = ["CALENDAR_COLUMNS", "CROSS_COLUMNS", "fill_calendar", "fill_cross", "market_return"]

CROSS_COLUMNS: Final[tuple[str, ...]] = (
    *("market_rv_24h", "market_rv_24h_max", "market_vol_ratio_24h_168h", "market_ret_24h", "market_dispersion_24h"),
    *("market_corr_168h", "market_funding_24h", "market_shock_share_24h"),
)
"""Means over the assets of the panel that have the figure; ``_max`` the largest, dispersion the standard deviation of
``ret_24h``, correlation the mean ``corr_168h`` to the equal-weight market, shock share that of assets with a shock."""

CALENDAR_COLUMNS: Final[tuple[str, ...]] = ("hour_sin", "hour_cos", "week_sin", "week_cos", "weekend")
"""Place of the bar's close in the UTC day and week (week from Monday)."""

_RV, _RATIO, _RET, _FUNDING, _SHOCK, _CORR = (
    ASSET_COLUMNS.index(name)
    for name in ("rv_24h", "vol_ratio_24h_168h", "ret_24h", "funding_24h", "hours_since_shock", "corr_168h")
)
_SHARED: Final = len(ASSET_COLUMNS)
_CALENDAR: Final = len(ASSET_COLUMNS) + len(CROSS_COLUMNS)
_DAY: Final = 1440
_WEEK: Final = 7 * _DAY
_MONDAY: Final = 3 * _DAY  # the epoch was a Thursday


@njit(cache=True, nogil=True, error_model="numpy")
def market_return(returns: FloatArray) -> float:
    """Equal-weight mean of the returns that are not NaN; NaN if there is none."""
    mean: float = _mean(returns)
    return mean


@njit(cache=True, nogil=True, error_model="numpy")
def fill_cross(block: FloatArray) -> None:
    """Fill `CROSS_COLUMNS` of all assets at one bar, `block` (A, F)."""
    s = _SHARED
    first = block[0]
    first[s] = _mean(block[:, _RV])
    first[s + 1] = _largest(block[:, _RV])
    first[s + 2] = _mean(block[:, _RATIO])
    first[s + 3] = _mean(block[:, _RET])
    first[s + 4] = _deviation(block[:, _RET], first[s + 3])
    first[s + 5] = _mean(block[:, _CORR])
    first[s + 6] = _mean(block[:, _FUNDING])
    recent = 0
    for a in range(block.shape[0]):
        recent += block[a, _SHOCK] < 24.0
    first[s + 7] = recent / block.shape[0]
    for a in range(1, block.shape[0]):
        for k in range(s, s + 8):
            block[a, k] = first[k]


@njit(cache=True, nogil=True, error_model="numpy")
def fill_calendar(close_minute: int, block: FloatArray) -> None:
    """Fill `CALENDAR_COLUMNS` of all assets; `close_minute` counts minutes since the epoch."""
    day = 2.0 * math.pi * (close_minute % _DAY) / _DAY
    place = (close_minute + _MONDAY) % _WEEK
    week = 2.0 * math.pi * place / _WEEK
    row = block[0, _CALENDAR:]
    row[0], row[1] = math.sin(day), math.cos(day)
    row[2], row[3] = math.sin(week), math.cos(week)
    row[4] = 1.0 if place >= 5 * _DAY else 0.0
    for a in range(1, block.shape[0]):
        for k in range(5):
            block[a, _CALENDAR + k] = row[k]


@njit(cache=True, nogil=True, error_model="numpy")
def _mean(x: FloatArray) -> float:
    total, count = 0.0, 0
    for value in x:
        if value == value:
            total += value
            count += 1
    return total / count if count else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def _largest(x: FloatArray) -> float:
    best = np.nan
    for value in x:
        if value == value and not best >= value:
            best = value
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def _deviation(x: FloatArray, mean: float) -> float:
    total, count = 0.0, 0
    for value in x:
        if value == value:
            total += (value - mean) ** 2
            count += 1
    return math.sqrt(total / count) if count else np.nan
