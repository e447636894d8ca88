"""What can be wrong with bars: one function for each fault, nothing repaired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from features.sources.bars import FIELDS, Bars
from features.sources.times import iso
from models.typing import BoolArray, FloatArray, IntArray

__all__ = [
    "BadTick",
    "Stretch",
    "bad_ticks",
    "find_gaps",
    "inconsistent_rows",
    "price_faults",
    "stale_tail",
    "zero_volume",
]

TICK_SIZE: Final = 0.10
"""Least isolated log return of a bad tick."""
TICK_RATIO: Final = 20.0
"""Least ratio of a bad tick to the median range of the bars around it."""
TICK_CERTAIN: Final = 0.50
"""Isolated log return that is reported whatever the bars around it do."""
TICK_WINDOW: Final = 12
"""Bars on each side that tell what is usual."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A run of bars that are missing, or that carry no volume.

    Parameters
    ----------
    start, end : int
        From the open of the first to the close of the last of them, nanoseconds since the epoch.
    bars : int
        How many.
    """

    start: int
    end: int
    bars: int

    def to_dict(self) -> dict[str, object]:
        """Plain values, times as ISO text."""
        return {"from": iso(self.start), "to": iso(self.end), "bars": self.bars}


@dataclass(frozen=True, slots=True)
class BadTick:
    """A print far from both its neighbours.

    Parameters
    ----------
    time : int
        Open of the bar, nanoseconds since the epoch.
    field : {"open", "high", "low", "close"}
        The price that is off.
    price, before, after : float
        The price, the close of the bar before and the open of the bar after.
    ratio : float
        Its log distance to the nearer of the two, in median ranges of the bars around it.
    """

    time: int
    field: str
    price: float
    before: float
    after: float
    ratio: float

    def to_dict(self) -> dict[str, object]:
        """Plain values, times as ISO text."""
        return {
            "time": iso(self.time),
            "field": self.field,
            "price": self.price,
            "before": self.before,
            "after": self.after,
            "ratio": round(self.ratio, 1),
        }


def find_gaps(time: IntArray, step: int) -> tuple[Stretch, ...]:
    """Missing bars between the first and the last.

    Parameters
    ----------
    time : ndarray of int64, shape (n,)
        Open stamps in rising order, nanoseconds.
    step : int
        Length of a bar, nanoseconds.

    Returns
    -------
    tuple of Stretch
        One for each hole.

    Examples
    --------
    >>> find_gaps(np.array([0, 1, 4]), 1)[0].bars
    2
    """
    wide = np.flatnonzero(np.diff(time) > step)
    return tuple(
        Stretch(int(time[i]) + step, int(time[i + 1]), int(-(-(time[i + 1] - time[i]) // step)) - 1)
        for i in wide
        if time[i + 1] - time[i] >= 2 * step
    )


def price_faults(bars: Bars) -> tuple[int, int]:
    """Rows with a price that is not a finite number, and rows with one that is not positive."""
    price = np.stack([getattr(bars, name) for name in FIELDS])
    lost = ~np.isfinite(price).all(axis=0)
    low = ~lost & (price <= 0).any(axis=0)
    return int(lost.sum()), int(low.sum())


def inconsistent_rows(bars: Bars) -> IntArray:
    """Rows whose high or low does not contain open and close."""
    top, bottom = np.fmax(bars.open, bars.close), np.fmin(bars.open, bars.close)
    slack = 1e-9 * np.abs(top)
    return np.flatnonzero((bars.high < top - slack) | (bars.low > bottom + slack) | (bars.high < bars.low - slack))


def bad_ticks(bars: Bars) -> tuple[BadTick, ...]:
    """Prints that stand alone: far from the close before and from the open after, on the same side.

    Parameters
    ----------
    bars : Bars
        Any bars; only rows of positive prices whose two neighbours are there are looked at.

    Returns
    -------
    tuple of BadTick
        In order of time. A wick of a real crash is not one: the bars around it are wide as well.

    Notes
    -----
    Reported where the log distance to the nearer neighbour is above 0.1 and above 20 times the median range of the
    24 bars around it, or above 0.5 outright. On real hourly data this finds ETH perpetual's 323 of 2020-03-13 (mark
    195) and ADA's of 2020-02-28, and none in the mark prices of the same days.
    """
    fine = bars.tidy()
    price = np.stack([getattr(fine, name) for name in FIELDS])
    fine = fine.take((price > 0).all(axis=0) & np.isfinite(price).all(axis=0))
    if len(fine) < 3:
        return ()
    near = np.diff(fine.time) == fine.step
    both = near[:-1] & near[1:]
    before, after = np.log(fine.close[:-2]), np.log(fine.open[2:])
    width = np.log(np.fmax(fine.high, fine.low) / np.fmin(fine.high, fine.low))
    found = [tick for name in FIELDS for tick in _isolated(fine, name, before, after, both, width)]
    return tuple(sorted(found, key=lambda tick: (tick.time, tick.field)))


def _isolated(
    bars: Bars, name: str, before: FloatArray, after: FloatArray, both: BoolArray, width: FloatArray
) -> list[BadTick]:
    value = np.log(getattr(bars, name)[1:-1])
    left, right = value - before, value - after
    size = np.where(both & (left * right > 0), np.minimum(np.abs(left), np.abs(right)), 0.0)
    out = []
    for i in np.flatnonzero(size > TICK_SIZE) + 1:
        around = np.append(width[max(0, i - TICK_WINDOW) : i], width[i + 1 : i + 1 + TICK_WINDOW])
        ratio = float(size[i - 1] / max(float(np.median(around)), 1e-6))
        if ratio > TICK_RATIO or size[i - 1] > TICK_CERTAIN:
            price = float(getattr(bars, name)[i])
            out.append(
                BadTick(int(bars.time[i]), name, price, float(bars.close[i - 1]), float(bars.open[i + 1]), ratio)
            )
    return out


def zero_volume(bars: Bars, least: int) -> tuple[Stretch, ...]:
    """Runs of at least `least` rows without volume; none where the source has no volume."""
    if bars.volume is None or not len(bars):
        return ()
    return tuple(
        Stretch(int(bars.time[a]), int(bars.time[b - 1]) + bars.step, b - a)
        for a, b in _runs(bars.volume <= 0)
        if b - a >= least
    )


def stale_tail(bars: Bars) -> int:
    """How many rows at the end repeat one price, open to close; 0 where the last bar moves."""
    if len(bars) < 2:
        return 0
    still = (bars.high == bars.low) & (bars.close == bars.close[-1])
    moving = np.flatnonzero(~still)
    count = len(bars) - 1 - int(moving[-1]) if len(moving) else len(bars)
    return count if count >= 2 else 0


def _runs(mask: BoolArray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(np.int8), [0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
