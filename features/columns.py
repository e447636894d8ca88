"""The market columns of one asset: what is rolled, and what is made of the rolled sums.

Every figure is a function of sums and maxima over windows that end at the close of the bar (`features.window`).

Notes
-----
* A bar is *missing* if any of its four prices is NaN or not positive. It adds nothing to a sum and is not counted;
  a window with fewer than half of its bars gives NaN.
* The return of a bar is close to close; after a missing bar it is open to close, so no return spans a gap.
* Volatilities are per square root of an hour. ``ret_*`` are in units of ``rv_168h`` times the root of the window.
* Drawdown and run-up need the bar itself; they are NaN on a missing bar.
* Columns are not winsorised, but shares lie in [0, 1] and the log volume ratios in [-10, 10].

References
----------
Parkinson (1980), Journal of Business 53(1); Garman and Klass (1980), Journal of Business 53(1); Barndorff-Nielsen and
Shephard (2004), Journal of Financial Econometrics 2(1) (bipower); Barndorff-Nielsen, Kinnebrock and Shephard (2010)
(semivariance).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from features.window import SHOCK_HOURS
from models.typing import FloatArray, IntArray

__all__ = ["ASSET_COLUMNS", "fill_columns", "fill_series"]

ASSET_COLUMNS: Final[tuple[str, ...]] = (
    *("rv_1h", "rv_4h", "rv_24h", "rv_72h", "rv_168h", "rv_720h"),
    *("gk_24h", "gk_168h", "cc_24h", "cc_168h", "cc_720h"),
    *("vol_ratio_1h_24h", "vol_ratio_24h_168h", "vol_ratio_168h_720h"),
    *("down_share_24h", "down_share_168h", "jump_share_24h", "jump_share_168h", "vol_of_vol_168h"),
    *("ret_1h", "ret_4h", "ret_24h", "ret_168h"),
    *("drawdown_168h", "drawdown_720h", "runup_168h", "runup_720h"),
    *("volume_ratio_1h_168h", "volume_ratio_24h_720h"),
    *("funding_8h", "funding_24h", "funding_168h"),
    *("missing_24h", "hours_since_shock", "beta_168h", "corr_168h"),
)

# windows of features.window.WINDOW_HOURS, by position
H1, H4, H8, H24, H72, H168, H720 = range(7)
# rolled series
PRESENT, RETURN, SQUARE, DOWN, BIPOWER, RANGE, KLASS, RANGE2, VOLUME, VOLUMES, FUNDING, CROSS, MARKET = range(13)

_PARKINSON: Final = 1.0 / (4.0 * math.log(2.0))
_KLASS: Final = 2.0 * math.log(2.0) - 1.0
_BIPOWER: Final = math.pi / 2.0
_SHOCK2: Final = 9.0  # three standard deviations, squared


@njit(cache=True, nogil=True, error_model="numpy")
def fill_series(bar: FloatArray, carry: FloatArray, value: FloatArray, extreme: FloatArray) -> float:
    """Rolled series of one bar ``(open, high, low, close, volume, funding)``; returns the log close, NaN if missing.

    The two series that need the market's return (`CROSS`, `MARKET`) are left at zero for the caller.
    """
    value[:] = 0.0
    o, h, l, c = bar[0], bar[1], bar[2], bar[3]  # noqa: E741
    if not (o > 0.0 and h > 0.0 and l > 0.0 and c > 0.0 and h < np.inf):
        extreme[:] = -np.inf
        carry[0] = np.nan
        carry[1] = np.nan
        return np.nan
    close, high, low = math.log(c), math.log(h), math.log(l)
    body, span = close - math.log(o), high - low
    before, size_before = carry[0], carry[1]
    r = close - before if before == before else body
    value[PRESENT] = 1.0
    value[RETURN] = r
    value[SQUARE] = r * r
    value[DOWN] = r * r if r < 0.0 else 0.0
    value[BIPOWER] = abs(r) * size_before if size_before == size_before else 0.0
    value[RANGE] = span * span * _PARKINSON
    value[KLASS] = max(0.5 * span * span - _KLASS * body * body, 0.0)
    value[RANGE2] = value[RANGE] * value[RANGE]
    if bar[4] == bar[4]:
        value[VOLUME] = bar[4]
        value[VOLUMES] = 1.0
    if bar[5] == bar[5]:
        value[FUNDING] = bar[5]
    extreme[0] = high
    extreme[1] = -low
    carry[0] = close
    carry[1] = abs(r)
    return close


@njit(cache=True, nogil=True, error_model="numpy")
def fill_columns(
    length: IntArray,
    per_hour: int,
    value: FloatArray,
    total: FloatArray,
    extreme: FloatArray,
    close: float,
    carry: FloatArray,
    out: FloatArray,
) -> None:
    """Columns of `ASSET_COLUMNS` from the window sums `total` (W, N_SERIES) and maxima `extreme` (2, 2)."""
    weight = np.empty(7)  # bars per hour over bars counted: turns a sum into a mean per hour, NaN if too few
    for w in range(7):
        count = total[w, PRESENT]
        weight[w] = per_hour / count if 2.0 * count >= length[w] else np.nan
    _volatility(weight, total, out)
    _shape(weight, total, out)
    _direction(weight, total, extreme, close, out)
    _activity(weight, length, total, out)
    if value[SQUARE] > carry[2]:
        carry[3] = 0.0
    else:
        carry[3] = min(carry[3] + 1.0, float(SHOCK_HOURS * per_hour))
    carry[2] = _SHOCK2 * total[H168, SQUARE] * weight[H168] / per_hour
    out[33] = carry[3] / per_hour


@njit(cache=True, nogil=True, error_model="numpy")
def _volatility(weight: FloatArray, total: FloatArray, out: FloatArray) -> None:
    out[0] = math.sqrt(total[H1, RANGE] * weight[H1])
    out[1] = math.sqrt(total[H4, RANGE] * weight[H4])
    out[2] = math.sqrt(total[H24, RANGE] * weight[H24])
    out[3] = math.sqrt(total[H72, RANGE] * weight[H72])
    out[4] = math.sqrt(total[H168, RANGE] * weight[H168])
    out[5] = math.sqrt(total[H720, RANGE] * weight[H720])
    out[6] = math.sqrt(total[H24, KLASS] * weight[H24])
    out[7] = math.sqrt(total[H168, KLASS] * weight[H168])
    out[8] = math.sqrt(total[H24, SQUARE] * weight[H24])
    out[9] = math.sqrt(total[H168, SQUARE] * weight[H168])
    out[10] = math.sqrt(total[H720, SQUARE] * weight[H720])
    out[11] = _ratio(out[0], out[2])
    out[12] = _ratio(out[2], out[4])
    out[13] = _ratio(out[4], out[5])


@njit(cache=True, nogil=True, error_model="numpy")
def _shape(weight: FloatArray, total: FloatArray, out: FloatArray) -> None:
    """Semivariance and jump shares, volatility of volatility, beta and correlation to the market."""
    for i, w in enumerate((H24, H168)):
        square = total[w, SQUARE] if weight[w] > 0.0 else 0.0
        out[14 + i] = _ratio(total[w, DOWN], square)
        jump = 1.0 - _BIPOWER * _ratio(total[w, BIPOWER], square)
        out[16 + i] = 0.0 if jump < 0.0 else jump
    spread = total[H168, PRESENT] * _ratio(total[H168, RANGE2], total[H168, RANGE] * total[H168, RANGE]) - 1.0
    out[18] = math.sqrt(0.0 if spread < 0.0 else spread) + 0.0 * weight[H168]
    market = total[H168, MARKET] if weight[H168] > 0.0 else 0.0
    out[34] = _ratio(total[H168, CROSS], market)
    out[35] = _ratio(total[H168, CROSS], math.sqrt(market * total[H168, SQUARE]))


@njit(cache=True, nogil=True, error_model="numpy")
def _direction(weight: FloatArray, total: FloatArray, extreme: FloatArray, close: float, out: FloatArray) -> None:
    """Returns in sigmas, and log distance from the highest high and the lowest low."""
    unit = _ratio(1.0, out[4])
    out[19] = total[H1, RETURN] * unit + 0.0 * weight[H1]
    out[20] = total[H4, RETURN] * unit * 0.5 + 0.0 * weight[H4]
    out[21] = total[H24, RETURN] * unit * math.sqrt(1.0 / 24.0) + 0.0 * weight[H24]
    out[22] = total[H168, RETURN] * unit * math.sqrt(1.0 / 168.0)
    for i, w in enumerate((H168, H720)):
        known = close + 0.0 * weight[w]
        out[23 + i] = extreme[i, 0] - known
        out[25 + i] = known + extreme[i, 1]


@njit(cache=True, nogil=True, error_model="numpy")
def _activity(weight: FloatArray, length: IntArray, total: FloatArray, out: FloatArray) -> None:
    """Volume ratios, funding per eight hours, missing share."""
    out[27] = _log_ratio(_mean_volume(total, length, H1), _mean_volume(total, length, H168))
    out[28] = _log_ratio(_mean_volume(total, length, H24), _mean_volume(total, length, H720))
    out[29] = total[H8, FUNDING] + 0.0 * weight[H8]
    out[30] = total[H24, FUNDING] * (8.0 / 24.0) + 0.0 * weight[H24]
    out[31] = total[H168, FUNDING] * (8.0 / 168.0) + 0.0 * weight[H168]
    out[32] = 1.0 - total[H24, PRESENT] / length[H24]


@njit(cache=True, nogil=True, error_model="numpy")
def _mean_volume(total: FloatArray, length: IntArray, w: int) -> float:
    count = total[w, VOLUMES]
    return total[w, VOLUME] / count if 2.0 * count >= length[w] else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def _ratio(a: float, b: float) -> float:
    return a / b if b > 0.0 else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def _log_ratio(a: float, b: float) -> float:
    if not (b > 0.0 and a >= 0.0):
        return np.nan
    return min(max(math.log(a / b), -10.0), 10.0) if a > 0.0 else -10.0
