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
    close: FloatArray,
    carry: FloatArray,
    out: FloatArray,
) -> None:
    """Columns of `ASSET_COLUMNS` for a run of bars, from window sums (W, N_SERIES, size) and maxima (2, 2, size).

    Every column is one short loop over the run, which the compiler turns into vector instructions; the columns are
    laid out by bar in `out` (size, F) at the end.
    """
    size = len(close)
    column = np.empty((len(ASSET_COLUMNS), size))
    weight = np.empty((7, size))  # bars per hour over bars counted: sum to mean per hour, NaN if too few
    for w in range(7):
        for i in range(size):
            count = total[w, PRESENT, i]
            weight[w, i] = per_hour / count if 2.0 * count >= length[w] else np.nan
    _volatility(weight, total, column)
    _shape(weight, total, column)
    _direction(weight, total, extreme, close, column)
    _activity(weight, length, total, column)
    _shock_clock(per_hour, value, total[H168, SQUARE], weight[H168], carry, column[33])
    for i in range(size):
        for j in range(len(ASSET_COLUMNS)):
            out[i, j] = column[j, i]


@njit(cache=True, nogil=True, error_model="numpy")
def _volatility(weight: FloatArray, total: FloatArray, column: FloatArray) -> None:
    for j, w in enumerate((H1, H4, H24, H72, H168, H720)):
        _root(total[w, RANGE], weight[w], column[j])
    for j, w in enumerate((H24, H168)):
        _root(total[w, KLASS], weight[w], column[6 + j])
    for j, w in enumerate((H24, H168, H720)):
        _root(total[w, SQUARE], weight[w], column[8 + j])
    _divide(column[0], column[2], column[11])
    _divide(column[2], column[4], column[12])
    _divide(column[4], column[5], column[13])


@njit(cache=True, nogil=True, error_model="numpy")
def _shape(weight: FloatArray, total: FloatArray, column: FloatArray) -> None:
    """Semivariance and jump shares, volatility of volatility, beta and correlation to the market."""
    size = weight.shape[1]
    for k, w in enumerate((H24, H168)):
        down, jump, square, bipower = column[14 + k], column[16 + k], total[w, SQUARE], total[w, BIPOWER]
        _divide(total[w, DOWN], square, down)
        _divide(bipower, square, jump)
        for i in range(size):
            down[i] += 0.0 * weight[w, i]
            share = 1.0 - _BIPOWER * jump[i] + 0.0 * weight[w, i]
            jump[i] = 0.0 if share < 0.0 else share
    count, level, spread, rough = total[H168, PRESENT], total[H168, RANGE], total[H168, RANGE2], column[18]
    cross, market, own, beta, corr = (
        total[H168, CROSS],
        total[H168, MARKET],
        total[H168, SQUARE],
        column[34],
        column[35],
    )
    for i in range(size):
        known = 0.0 * weight[H168, i]
        excess = count[i] * spread[i] / (level[i] * level[i]) - 1.0 if level[i] > 0.0 else np.nan
        rough[i] = math.sqrt(0.0 if excess < 0.0 else excess) + known
        beta[i] = cross[i] / market[i] + known if market[i] > 0.0 else np.nan
        both = market[i] * own[i]
        corr[i] = cross[i] / math.sqrt(both) + known if both > 0.0 else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def _direction(
    weight: FloatArray, total: FloatArray, extreme: FloatArray, close: FloatArray, column: FloatArray
) -> None:
    """Returns in sigmas, and log distance from the highest high and the lowest low."""
    size, sigma = len(close), column[4]
    for k, (w, hours) in enumerate(((H1, 1.0), (H4, 4.0), (H24, 24.0), (H168, 168.0))):
        moved, unit, known, target = total[w, RETURN], 1.0 / math.sqrt(hours), weight[w], column[19 + k]
        _divide(moved, sigma, target)
        for i in range(size):
            target[i] = target[i] * unit + 0.0 * known[i]
    for k, w in enumerate((H168, H720)):
        known, high, low = weight[w], extreme[k, 0], extreme[k, 1]
        for i in range(size):
            at = close[i] + 0.0 * known[i]
            column[23 + k, i] = high[i] - at
            column[25 + k, i] = at + low[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _activity(weight: FloatArray, length: IntArray, total: FloatArray, column: FloatArray) -> None:
    """Volume ratios, funding per eight hours, missing share."""
    size = weight.shape[1]
    for k, (short, long) in enumerate(((H1, H168), (H24, H720))):
        for i in range(size):
            recent = _mean_volume(total[short, VOLUME, i], total[short, VOLUMES, i], length[short])
            usual = _mean_volume(total[long, VOLUME, i], total[long, VOLUMES, i], length[long])
            column[27 + k, i] = _log_ratio(recent, usual)
    for k, (w, hours) in enumerate(((H8, 8.0), (H24, 24.0), (H168, 168.0))):
        for i in range(size):
            column[29 + k, i] = total[w, FUNDING, i] * (8.0 / hours) + 0.0 * weight[w, i]
    for i in range(size):
        column[32, i] = 1.0 - total[H24, PRESENT, i] / length[H24]


@njit(cache=True, nogil=True, error_model="numpy")
def _shock_clock(
    per_hour: int, value: FloatArray, square: FloatArray, weight: FloatArray, carry: FloatArray, target: FloatArray
) -> None:
    """Hours since a bar's return was beyond three standard deviations of the week before it."""
    threshold, since = carry[2], carry[3]
    for i in range(len(target)):
        since = 0.0 if value[i, SQUARE] > threshold else min(since + 1.0, float(SHOCK_HOURS * per_hour))
        threshold = _SHOCK2 * square[i] * weight[i] / per_hour
        target[i] = since / per_hour
    carry[2], carry[3] = threshold, since


@njit(cache=True, nogil=True, error_model="numpy")
def _root(total: FloatArray, weight: FloatArray, target: FloatArray) -> None:
    for i in range(len(target)):
        target[i] = math.sqrt(total[i] * weight[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _divide(a: FloatArray, b: FloatArray, target: FloatArray) -> None:
    for i in range(len(target)):
        target[i] = a[i] / b[i] if b[i] > 0.0 else np.nan


@njit(cache=True, inline="always")
def _mean_volume(total: float, count: float, length: int) -> float:
    return total / count if 2.0 * count >= length else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def _log_ratio(a: float, b: float) -> float:
    if not (b > 0.0 and a >= 0.0):
        return np.nan
    return min(max(math.log(a / b), -10.0), 10.0) if a > 0.0 else -10.0
