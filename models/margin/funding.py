"""Funding of linear perpetuals: what a position pays at each stamp, and over a holding window.

At a stamp a position receives ``-quantity * mark * rate``: longs pay a positive rate, shorts
receive it. A position held over a window is charged at every stamp ``t`` with
``open <= t <= close``; Binance also charges positions opened within the first seconds after a
stamp, which is the parameter `grace_seconds`.

References
----------
Binance FAQ, "Introduction to Binance Futures Funding Rates" (a deviation of about 15 seconds at the
funding stamp).
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from numpy.typing import ArrayLike

from models.errors import InputError
from models.typing import BoolArray, FloatArray

__all__ = ["charged_stamps", "funding_cash_flow", "funding_over_window"]

GRACE_SECONDS = 15.0
"""Binance: a position opened less than this after a stamp is still charged at it."""


def funding_cash_flow(quantity: ArrayLike, mark_price: ArrayLike, funding_rate: ArrayLike) -> FloatArray:
    """Give the cash that positions receive at a funding stamp (negative: they pay).

    Parameters
    ----------
    quantity : array_like
        Base units, > 0 long, < 0 short.
    mark_price : array_like
        Mark price at the stamp, quote units.
    funding_rate : array_like
        Rate of the stamp, a fraction of notional.

    Returns
    -------
    ndarray
        Settlement currency, broadcast over the inputs.

    Examples
    --------
    >>> round(float(funding_cash_flow(-30.0, 2.77, -0.000008)), 7)
    -0.0006648
    """
    return -np.asarray(quantity, np.float64) * np.asarray(mark_price, np.float64) * np.asarray(funding_rate, np.float64)


def charged_stamps(
    stamps: ArrayLike, opened: datetime, closed: datetime, grace_seconds: float = GRACE_SECONDS
) -> BoolArray:
    """Say at which stamps a position that was held from `opened` to `closed` is charged.

    Parameters
    ----------
    stamps : array_like of int64
        Funding stamps, nanoseconds since the epoch.
    opened, closed : datetime
        Holding window, timezone-aware, both ends included.
    grace_seconds : float
        A stamp less than this before `opened` still counts; 0 for the plain rule.

    Returns
    -------
    ndarray of bool
        One for each stamp.

    Raises
    ------
    InputError
        If the window ends before it starts, a time has no zone, or the grace is negative.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> day = datetime(2021, 9, 1, tzinfo=timezone.utc)
    >>> eight = np.array([0, 8]) * 3_600_000_000_000 + 1_630_454_400_000_000_000
    >>> charged_stamps(eight, day.replace(second=14), day.replace(hour=8)).tolist()
    [True, True]
    >>> charged_stamps(eight, day.replace(second=15), day.replace(hour=8)).tolist()
    [False, True]
    """
    start, end = _nanoseconds("opened", opened), _nanoseconds("closed", closed)
    if end < start:
        raise InputError("closed", closed.isoformat(), f"a time at or after opened ({opened.isoformat()})")
    if not 0 <= grace_seconds < 3600:
        raise InputError("grace_seconds", grace_seconds, "seconds in [0, 3600)")
    t = np.asarray(stamps, np.int64)
    late = start - t
    return (t <= end) & ((late <= 0) | (late < grace_seconds * 1e9))


def funding_over_window(
    quantity: float,
    opened: datetime,
    closed: datetime,
    stamps: ArrayLike,
    funding_rate: ArrayLike,
    mark_price: ArrayLike,
    grace_seconds: float = GRACE_SECONDS,
) -> float:
    """Give the cash that a position received over its holding window (negative: it paid).

    Parameters
    ----------
    quantity : float
        Base units, > 0 long, < 0 short.
    opened, closed : datetime
        Holding window, see `charged_stamps`.
    stamps : array_like of int64, shape (k,)
        Funding stamps, nanoseconds since the epoch.
    funding_rate, mark_price : array_like, shape (k,)
        Rate and mark price at each stamp.
    grace_seconds : float
        See `charged_stamps`.

    Returns
    -------
    float
        Settlement currency. NaN where a rate or mark of a charged stamp is missing.

    Raises
    ------
    InputError
        See `charged_stamps`.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> stamp = [1_630_454_400_000_000_000]
    >>> funding_over_window(-30.0, datetime(2021, 9, 1, tzinfo=timezone.utc),
    ...                     datetime(2021, 9, 1, 1, tzinfo=timezone.utc), stamp, [0.0001], [2.0])
    0.006
    """
    charged = charged_stamps(stamps, opened, closed, grace_seconds)
    rate, mark = np.asarray(funding_rate, np.float64), np.asarray(mark_price, np.float64)
    if rate.shape != charged.shape or mark.shape != charged.shape:
        raise InputError("funding_rate", rate.shape, f"one rate and one mark for each of {charged.size} stamps")
    return float(funding_cash_flow(quantity, mark[charged], rate[charged]).sum())


def _nanoseconds(field: str, instant: datetime) -> int:
    """Nanoseconds since the epoch, exactly (no float on the way)."""
    if instant.tzinfo is None:
        raise InputError(field, instant.isoformat(), "a time with a zone, for example 2025-03-01T12:00:00Z")
    delta = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1_000
