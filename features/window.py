"""Rolling sums and maxima that depend on nothing but the bars inside the window.

A prefix sum ``c[t] - c[t - n]`` carries the rounding of every bar since the first, so history, a tail of it and a
stream that started yesterday disagree. Here the time axis is cut into blocks of ``n`` bars, anchored at the epoch and
not at the first bar of the data. A window of ``n`` bars covers the end of one block and the beginning of the next:

    window(t) = suffix of the block before, from t - n + 1  +  prefix of this block, up to t

Both parts are sums (or maxima) of bars of the window only, always added in the same order. So there is no
cancellation, no drift, one addition per bar, and the same bits come out wherever the data began. The block before is
kept in the slots that the current block has not yet overwritten, so memory is one value for each bar of a window.

References
----------
M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels",
Pattern Recognition Letters 13(7), 1992; J. Gil and M. Werman, IEEE TPAMI 15(5), 1993 (the same blocks, for extremes).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit

from models.errors import InputError
from models.typing import FloatArray, IntArray

__all__ = [
    "EXTREME_HOURS",
    "N_SERIES",
    "SHOCK_HOURS",
    "WARMUP_HOURS",
    "WINDOW_HOURS",
    "MarketState",
    "check_bar_minutes",
    "new_state",
    "roll_max",
    "roll_sums",
    "warmup_bars",
]

WINDOW_HOURS: Final = (1, 4, 8, 24, 72, 168, 720)
"""Windows of the rolling sums; a column names its own."""
EXTREME_HOURS: Final = (168, 720)
"""Windows of the rolling highest high and lowest low."""
SHOCK_HOURS: Final = 720
"""The clock since the last shock stops here."""
WARMUP_HOURS: Final = 720 + 168 + 2
"""History after which no earlier bar changes a column: a shock 720 h ago was measured against the 168 h before it."""
N_SERIES: Final = 13
"""Rolled series per asset; `features.columns` says which."""


class MarketState(NamedTuple):
    """All that the next bar needs of the bars before, for A assets; its size does not grow.

    Parameters
    ----------
    length, offset : ndarray of int64, shape (W,)
        Bars of each window of sums, and where its slots begin.
    slots : ndarray, shape (A, S, N_SERIES)
        Per window: raw values of the current block, then suffix sums of the block before.
    running : ndarray, shape (A, W, N_SERIES)
        Prefix sums of the current blocks.
    high_length, high_offset, high_slots, high_running
        The same for the maxima of ``(log high, -log low)``.
    carry : ndarray, shape (A, 4)
        Log close and absolute return of the bar before (NaN if it was missing), the squared shock threshold known
        before this bar, and bars since the last shock.
    """

    length: IntArray
    offset: IntArray
    slots: FloatArray
    running: FloatArray
    high_length: IntArray
    high_offset: IntArray
    high_slots: FloatArray
    high_running: FloatArray
    carry: FloatArray


def check_bar_minutes(bar_minutes: int) -> int:
    """Bars per hour, if market features are defined for this bar.

    Parameters
    ----------
    bar_minutes : int
        Length of a bar.

    Returns
    -------
    int
        Bars per hour.

    Raises
    ------
    InputError
        If an hour is not a whole number of bars.

    Examples
    --------
    >>> check_bar_minutes(15)
    4
    """
    if bar_minutes < 1 or 60 % bar_minutes:
        raise InputError("bar_minutes", bar_minutes, "a divisor of 60; resample the bars first")
    return 60 // bar_minutes


def warmup_bars(bar_minutes: int) -> int:
    """Bars of history after which every column is what it would be with all of history.

    Parameters
    ----------
    bar_minutes : int
        Length of a bar, a divisor of 60.

    Returns
    -------
    int
        `WARMUP_HOURS` in bars.

    Examples
    --------
    >>> warmup_bars(60)
    890
    """
    return WARMUP_HOURS * check_bar_minutes(bar_minutes)


def new_state(n_assets: int, bar_minutes: int) -> MarketState:
    """State before the first bar: as if all earlier bars were missing.

    Parameters
    ----------
    n_assets : int
        Number of assets A.
    bar_minutes : int
        Length of a bar, a divisor of 60.

    Returns
    -------
    MarketState
        Fresh arrays.

    Examples
    --------
    >>> new_state(2, 60).running.shape
    (2, 7, 13)
    """
    per_hour = check_bar_minutes(bar_minutes)
    length = np.array(WINDOW_HOURS, np.int64) * per_hour
    high_length = np.array(EXTREME_HOURS, np.int64) * per_hour
    carry = np.full((n_assets, 4), np.nan)
    carry[:, 3] = SHOCK_HOURS * per_hour
    return MarketState(
        length,
        np.cumsum(length) - length,
        np.zeros((n_assets, int(length.sum()), N_SERIES)),
        np.zeros((n_assets, len(length), N_SERIES)),
        high_length,
        np.cumsum(high_length) - high_length,
        np.full((n_assets, int(high_length.sum()), 2), -np.inf),
        np.full((n_assets, len(high_length), 2), -np.inf),
        carry,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def roll_sums(
    n: int, first: int, size: int, slots: FloatArray, running: FloatArray, value: FloatArray, total: FloatArray
) -> None:
    """Write the sums over the last `n` bars to `total` (N_SERIES, size), at each bar of `value` (size, N_SERIES).

    `first` counts bars since the epoch.
    """
    place = first % n
    for i in range(size):
        if place == 0:
            running[:] = 0.0
        for k in range(N_SERIES):
            running[k] += value[i, k]
            slots[place, k] = value[i, k]
        place += 1
        if place < n:
            for k in range(N_SERIES):
                total[k, i] = slots[place, k] + running[k]
            continue
        for k in range(N_SERIES):
            total[k, i] = running[k]
        _close_block(n, slots)
        place = 0


@njit(cache=True, nogil=True, error_model="numpy")
def _close_block(n: int, slots: FloatArray) -> None:
    """Turn the values of a full block into suffix sums, in place."""
    for j in range(n - 2, -1, -1):
        for k in range(N_SERIES):
            slots[j, k] += slots[j + 1, k]


@njit(cache=True, nogil=True, error_model="numpy")
def roll_max(
    n: int, first: int, size: int, slots: FloatArray, running: FloatArray, value: FloatArray, total: FloatArray
) -> None:
    """Write the maxima over the last `n` bars to `total` (2, size); as `roll_sums` with max for plus."""
    place = first % n
    for i in range(size):
        if place == 0:
            running[:] = -np.inf
        for k in range(2):
            running[k] = max(running[k], value[i, k])
            slots[place, k] = value[i, k]
        place += 1
        if place < n:
            for k in range(2):
                total[k, i] = max(slots[place, k], running[k])
            continue
        for k in range(2):
            total[k, i] = running[k]
        for j in range(n - 2, -1, -1):
            for k in range(2):
                slots[j, k] = max(slots[j, k], slots[j + 1, k])
        place = 0
