"""Hour-of-week seasonality of variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.typing import HOUR_NS, FloatArray, IntArray
from models.volatility.realised import trailing_mean

__all__ = ["HOURS_PER_WEEK", "HourOfWeek", "hour_of_week"]

HOURS_PER_WEEK = 168


def hour_of_week(time: IntArray | int) -> IntArray:
    """Hour of the week, 0 = Monday 00:00 UTC.

    Parameters
    ----------
    time : ndarray of int64 or int
        Nanoseconds since the epoch.

    Returns
    -------
    ndarray of int64
        0 to 167.

    Examples
    --------
    >>> int(hour_of_week(0))  # 1970-01-01 was a Thursday
    72
    """
    return (np.asarray(time, np.int64) // HOUR_NS + 72) % HOURS_PER_WEEK


@dataclass(frozen=True, slots=True, eq=False)
class HourOfWeek:
    """Multiplicative factors of hourly variance.

    Parameters
    ----------
    factor : ndarray, shape (168,)
        Mean 1; factor of the hour that starts at that hour of the week.
    """

    factor: FloatArray

    @classmethod
    def flat(cls) -> HourOfWeek:
        """No seasonality."""
        return cls(np.ones(HOURS_PER_WEEK))

    @classmethod
    def fit(cls, variance: FloatArray, start: int) -> HourOfWeek:
        """Estimate the factors from hourly variance.

        Parameters
        ----------
        variance : ndarray, shape (A, T)
            Hourly variance; NaN where missing.
        start : int
            Open of column 0, nanoseconds.

        Returns
        -------
        HourOfWeek
            Mean of variance over its own centred week, per hour of week; ratios above 10 are cut there so
            that one crash does not become a season, and neighbours are averaged with weights 1/4, 1/2, 1/4.
        """
        week = trailing_mean(variance, HOURS_PER_WEEK)
        base = np.full_like(week, np.nan)
        half = HOURS_PER_WEEK // 2
        base[:, :-half] = week[:, half:]
        ratio = np.minimum(variance / base, 10.0)
        hours = np.broadcast_to(hour_of_week(start + np.arange(variance.shape[1]) * HOUR_NS), ratio.shape)
        there = np.isfinite(ratio)
        count = np.bincount(hours[there], minlength=HOURS_PER_WEEK)
        total = np.bincount(hours[there], ratio[there], minlength=HOURS_PER_WEEK)
        mean = np.where(count >= 8, total / np.maximum(count, 1), 1.0)
        smooth = 0.5 * mean + 0.25 * (np.roll(mean, 1) + np.roll(mean, -1))
        return cls(smooth / smooth.mean())

    def ahead(self, hours: IntArray) -> FloatArray:
        """Sum of the factors over the first `hours[k]` hours from each hour of the week.

        Parameters
        ----------
        hours : ndarray of int
            Horizons in hours.

        Returns
        -------
        ndarray, shape (168, len(hours))
            Row w: sum over hours w, w+1, ... of the week.
        """
        longest = int(np.max(hours))
        index = (np.arange(HOURS_PER_WEEK)[:, None] + np.arange(longest)) % HOURS_PER_WEEK
        return np.cumsum(self.factor[index], axis=1)[:, np.asarray(hours) - 1]
