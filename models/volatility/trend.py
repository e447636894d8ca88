"""The recent trend of each price: what the law of its next extremes depends on beside volatility."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.market import MarketPanel
from models.typing import FloatArray
from models.volatility.realised import trailing_mean

__all__ = ["TREND_HOURS", "recent_trend"]

TREND_HOURS: Final = 48
_WEEK: Final = 168
_FLOOR: Final = 1e-10


def recent_trend(panel: MarketPanel) -> FloatArray:
    """Return of the last two days in deviations of the last week, at the close of every hour.

    Parameters
    ----------
    panel : MarketPanel
        A assets, T hourly bars.

    Returns
    -------
    ndarray, shape (A, T)
        Positive after a rise; NaN where a close is missing or there is under half a week of history.

    Examples
    --------
    >>> price = np.exp(0.01 * np.arange(200.0))[None]
    >>> rising = MarketPanel(("BTC",), 60, 0, price, price, price, price, price, 0 * price, ("mark",))
    >>> round(float(recent_trend(rising)[0, -1]), 3)
    6.928
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        price = np.log(panel.close)
    hourly, whole = np.full_like(price, np.nan), np.full_like(price, np.nan)
    hourly[:, 1:] = price[:, 1:] - price[:, :-1]
    whole[:, TREND_HOURS:] = price[:, TREND_HOURS:] - price[:, :-TREND_HOURS]
    variance = np.maximum(trailing_mean(hourly**2, _WEEK), _FLOOR)
    return np.asarray(whole / np.sqrt(variance * TREND_HOURS))
