"""What the extended volatility forecast looks at, at the close of every hour."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.market import MarketPanel
from models.typing import FloatArray
from models.volatility.realised import trailing_mean

__all__ = ["MEANS", "N_REGRESSORS", "WINDOWS", "regressors"]

WINDOWS: Final = (1, 6, 24, 168, 720)
MEANS: Final = len(WINDOWS)
"""The first columns are logs of mean variance; without them there is no forecast."""
_MOVES: Final = (1, 24, 168)
_STEADY: Final = (24, 168)
_FUNDING: Final = (24, 168)
_WEEK: Final = 168
_FLOOR: Final = 1e-12
_LEAST_FUNDING: Final = 1e-10
_PER_8H: Final = 8e4  # a rate an hour in basis points per eight hours
N_REGRESSORS: Final = MEANS + len(_MOVES) + len(_STEADY) + len(_FUNDING)


def regressors(panel: MarketPanel, plain: FloatArray) -> FloatArray:
    """Columns at the close of every hour, from that hour and earlier ones only.

    Parameters
    ----------
    panel : MarketPanel
        A assets, T hourly bars.
    plain : ndarray, shape (A, T)
        Hourly variance without its season; NaN where the bar is missing.

    Returns
    -------
    ndarray, shape (A, T, 12)
        Log mean variance over 1, 6, 24, 168, 720 hours; size of the move over 1, 24, 168 hours in deviations of the
        last week, at most 5; log of (mean deviation squared over mean variance) over 24 and 168 hours, which is 0
        where every hour was alike and falls with spikes; mean funding over 24 and 168 hours, basis points per eight
        hours within 30. NaN where a figure is not known; funding is not known where none was charged in the window.

    Examples
    --------
    >>> price = np.full((1, 800), 100.0)
    >>> flat = MarketPanel(("BTC",), 60, 0, price, price, price, price, price, 0 * price, ("mark",))
    >>> regressors(flat, np.full((1, 800), 1e-4))[0, -1, :7].round(2).tolist()
    [-9.21, -9.21, -9.21, -9.21, -9.21, 0.0, 0.0]
    """
    columns = _variances(plain)
    deviation = np.sqrt(trailing_mean(plain, _WEEK))
    with np.errstate(invalid="ignore", divide="ignore"):
        price = np.log(panel.close)
        columns += [_move(price, hours) / (deviation * np.sqrt(hours)) for hours in _MOVES]
    columns[MEANS:] = [np.minimum(column, 5.0) for column in columns[MEANS:]]
    root = np.sqrt(plain)
    columns += [2.0 * _log(trailing_mean(root, hours)) - _log(trailing_mean(plain, hours)) for hours in _STEADY]
    columns += [_funding(panel.funding_rate, hours) for hours in _FUNDING]
    return np.stack(columns, axis=2)


def _variances(plain: FloatArray) -> list[FloatArray]:
    """Logs of the means; a short one that is missing is the next longer one."""
    out = [_log(trailing_mean(plain, hours)) for hours in WINDOWS]
    for k in range(MEANS - 2, -1, -1):
        out[k] = np.where(np.isfinite(out[k]), out[k], out[k + 1])
    return out


def _move(price: FloatArray, hours: int) -> FloatArray:
    out = np.full_like(price, np.nan)
    out[:, hours:] = np.abs(price[:, hours:] - price[:, :-hours])
    return out


def _funding(rate: FloatArray, hours: int) -> FloatArray:
    """Mean rate of the window; NaN where none was charged in it."""
    mean = trailing_mean(rate, hours)
    charged = trailing_mean(np.abs(rate), hours) > _LEAST_FUNDING
    return np.where(charged, np.clip(mean * _PER_8H, -30.0, 30.0), np.nan)


def _log(values: FloatArray) -> FloatArray:
    return np.asarray(np.log(np.maximum(values, _FLOOR)))
