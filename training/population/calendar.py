"""Expiries and strikes as venues list them."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.typing import DAY_NS, HOUR_NS, FloatArray, IntArray, ObjectArray

__all__ = ["expiry_code", "friday_after", "month_end_after", "strike_grid", "strike_step"]

_EIGHT: Final = 8 * HOUR_NS
_FRIDAY: Final = 1
"""1970-01-02 was a Friday."""


def friday_after(instant: IntArray) -> IntArray:
    """Give the first weekly expiry after an instant.

    Parameters
    ----------
    instant : ndarray of int64
        Nanoseconds UTC.

    Returns
    -------
    ndarray of int64
        08:00 UTC of a Friday, later than the instant.

    Examples
    --------
    >>> when = np.array(["2025-03-01T12:00", "2025-03-07T08:00"], "datetime64[ns]").astype(np.int64)
    >>> expiry_code(friday_after(when)).tolist()
    ['250307', '250314']
    """
    day = (np.asarray(instant, np.int64) - _EIGHT) // DAY_NS + 1
    return np.asarray((day + (_FRIDAY - day) % 7) * DAY_NS + _EIGHT)


def month_end_after(instant: IntArray) -> IntArray:
    """Give the first monthly expiry after an instant.

    Parameters
    ----------
    instant : ndarray of int64
        Nanoseconds UTC.

    Returns
    -------
    ndarray of int64
        08:00 UTC of the last Friday of a month, later than the instant.

    Examples
    --------
    >>> when = np.array(["2025-03-01T12:00", "2025-03-28T08:00"], "datetime64[ns]").astype(np.int64)
    >>> expiry_code(month_end_after(when)).tolist()
    ['250328', '250425']
    """
    instant = np.asarray(instant, np.int64)
    month = instant.astype("datetime64[ns]").astype("datetime64[M]")
    this = _last_friday(month)
    return np.where(this > instant, this, _last_friday(month + 1))


def _last_friday(month: object) -> IntArray:
    last = (np.asarray(month) + 1).astype("datetime64[D]").astype(np.int64) - 1
    return np.asarray((last - (last - _FRIDAY) % 7) * DAY_NS + _EIGHT)


def expiry_code(expiry: IntArray) -> ObjectArray:
    """Write the day of expiries as symbols do.

    Parameters
    ----------
    expiry : ndarray of int64
        Nanoseconds UTC.

    Returns
    -------
    ndarray of object
        YYMMDD.
    """
    text = np.datetime_as_string(np.asarray(expiry, np.int64).astype("datetime64[ns]"), unit="D")
    return np.array([t[2:4] + t[5:7] + t[8:10] for t in text.ravel().tolist()], object).reshape(text.shape)


def strike_step(price: FloatArray, years: FloatArray) -> FloatArray:
    """Give the distance of neighbouring strikes.

    Parameters
    ----------
    price : ndarray
        Price of the underlying, > 0.
    years : ndarray
        Time to expiry, years.

    Returns
    -------
    ndarray
        The largest of 1, 2 and 5 times a power of ten within 1% of the price; 2% of it beyond
        two weeks, 4% beyond two months.

    Examples
    --------
    >>> strike_step(np.array([84_000.0, 84_000.0, 2200.0]), np.array([0.02, 0.5, 0.1])).tolist()
    [500.0, 2000.0, 20.0]
    """
    share = np.where(years <= 15 / 365, 0.01, np.where(years <= 62 / 365, 0.02, 0.04))
    wanted = np.asarray(price * share)
    power = 10.0 ** np.floor(np.log10(wanted))
    lead = wanted / power
    return np.asarray(power * np.where(lead >= 5.0, 5.0, np.where(lead >= 2.0, 2.0, 1.0)))


def strike_grid(strike: FloatArray, step: FloatArray) -> FloatArray:
    """Give the nearest listed strike, at least one step."""
    return np.asarray(np.round(np.maximum(np.rint(strike / step), 1.0) * step, 8))
