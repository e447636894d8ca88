"""Damping a margin rate, and measuring how much it still moves with the market.

The three choices of EMIR RTS 153/2013 Article 28, and limits of speed:

(a) a buffer of at least 25 % that may be used up while calculated margin rises,
(b) at least 25 % weight on stressed observations,
(c) never less than what volatility estimated over ten years would give.

References
----------
Commission Delegated Regulation (EU) No 153/2013 of 19 December 2012, Article 28(1); Murphy, Vasios and Vause (2014),
Bank of England Financial Stability Paper 29 (the two measures); Murphy, Vasios and Vause (2016), Bank of England
Staff Working Paper 597 (the tools, and speed limits).
"""

from __future__ import annotations

import numpy as np

from models.errors import InputError
from models.margin.dynamic._rolling import limit_speed
from models.typing import FloatArray
from models.volatility.realised import trailing_mean

__all__ = ["LEAST_SHARE", "bar_rise", "buffered", "peak_to_trough", "speed_limited", "stress_weighted"]

LEAST_SHARE = 0.25
"""Smallest buffer, and smallest weight of stressed observations, that Article 28 allows."""


def buffered(rate: FloatArray, buffer: float, window: int) -> FloatArray:
    """Add a buffer that is used up while the calculated rate rises over its own mean.

    Parameters
    ----------
    rate : ndarray, shape (A, T)
        Calculated rates.
    buffer : float
        At least 0.25.
    window : int
        Bars of the mean that says what is usual.

    Returns
    -------
    ndarray, shape (A, T)
        ``max(rate, min((1 + buffer) rate, (1 + buffer) mean))``: the whole buffer where the rate is at or below its
        trailing mean, nothing of it where the rate has risen by the buffer or more. Never below the calculated rate.

    Raises
    ------
    InputError
        If the buffer lies below 0.25 or the window below 1.

    Notes
    -----
    The regulation leaves open what a significant rise is; here it is one over the trailing mean, so that the buffer
    is given back gradually as the mean catches up.

    Examples
    --------
    >>> buffered(np.array([[0.1, 0.1, 0.12, 0.2]]), 0.25, 3).round(4).tolist()
    [[0.125, 0.125, 0.1333, 0.2]]
    """
    if not LEAST_SHARE <= buffer <= 1:
        raise InputError("buffer", buffer, "a share in [0.25, 1] (Article 28(1)(a))")
    if window < 1:
        raise InputError("window", window, "at least 1 bar")
    usual = trailing_mean(rate, window, least=0.0)
    return np.maximum(rate, (1.0 + buffer) * np.minimum(rate, usual))


def stress_weighted(rate: FloatArray, stressed: FloatArray, weight: float) -> FloatArray:
    """Mix a calculated rate with the one that stressed observations give.

    Parameters
    ----------
    rate, stressed : ndarray, shape (A, T)
        Rates; where no stressed one is known, the calculated one stands alone.
    weight : float
        Weight of the stressed rate, at least 0.25.

    Returns
    -------
    ndarray, shape (A, T)
        ``(1 - weight) rate + weight stressed``, where that is more than the rate; else the rate.

    Raises
    ------
    InputError
        If the weight is out of range.

    Notes
    -----
    Weights are put on margins, as in Bank of England Staff Working Paper 597, not on single observations. In the worst
    stress to date the calculated rate alone is higher, and stands.

    Examples
    --------
    >>> stress_weighted(np.array([[0.1, 0.5]]), np.array([[0.3, 0.3]]), 0.25).round(4).tolist()
    [[0.15, 0.5]]
    """
    if not LEAST_SHARE <= weight <= 1:
        raise InputError("weight", weight, "a share in [0.25, 1] (Article 28(1)(b))")
    return np.where(np.isfinite(stressed), np.maximum(rate, (1.0 - weight) * rate + weight * stressed), rate)


def speed_limited(rate: FloatArray, rise: float = np.inf, fall: float = 1.0) -> FloatArray:
    """Limit how fast a rate may change from bar to bar.

    Parameters
    ----------
    rate : ndarray, shape (A, T)
        Rates; NaN stays NaN.
    rise : float
        Largest relative rise in a bar, > 0.
    fall : float
        Largest relative fall in a bar, in (0, 1].

    Returns
    -------
    ndarray, shape (A, T)
        A limit of the rise gives up coverage while margin catches up; a limit of the fall does not.

    Raises
    ------
    InputError
        If a limit is out of range.

    Examples
    --------
    >>> speed_limited(np.array([[0.1, 0.2, 0.2, 0.05]]), rise=0.5, fall=0.1).round(4).tolist()
    [[0.1, 0.15, 0.2, 0.18]]
    """
    if not rise > 0:
        raise InputError("rise", rise, "a fraction > 0, infinite for no limit")
    if not 0 < fall <= 1:
        raise InputError("fall", fall, "a fraction in (0, 1], 1 for no limit")
    out = np.empty_like(rate)
    limit_speed(np.ascontiguousarray(rate), rise, fall, out)
    return out


def peak_to_trough(rate: FloatArray) -> FloatArray:
    """Give the ratio of the highest to the lowest rate of a period.

    Parameters
    ----------
    rate : ndarray, shape (A, T)
        Rates > 0; NaN is skipped.

    Returns
    -------
    ndarray, shape (A,)
        At least 1; NaN where no rate is known.

    Examples
    --------
    >>> peak_to_trough(np.array([[0.1, np.nan, 0.4, 0.2]])).tolist()
    [4.0]
    """
    known = np.isfinite(rate)
    high = np.where(known, rate, -np.inf).max(axis=1)
    low = np.where(known, rate, np.inf).min(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known.any(axis=1), high / low, np.nan)


def bar_rise(rate: FloatArray, bars: int) -> FloatArray:
    """Give the largest relative rise of a rate over `bars` bars: what may be called at such notice.

    Parameters
    ----------
    rate : ndarray, shape (A, T)
        Rates > 0; pairs with NaN are skipped.
    bars : int
        Bars between the two rates, for example 5 days.

    Returns
    -------
    ndarray, shape (A,)
        Fraction of the earlier rate; 0 where the rate never rises, NaN where no pair is known.

    Raises
    ------
    InputError
        If `bars` lies below 1.

    Examples
    --------
    >>> bar_rise(np.array([[0.1, 0.15, 0.12, 0.12]]), 1).round(4).tolist()
    [0.5]
    """
    if bars < 1:
        raise InputError("bars", bars, "at least 1")
    if rate.shape[1] <= bars:
        return np.full(rate.shape[0], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        change = rate[:, bars:] / rate[:, :-bars] - 1.0
    known = np.isfinite(change)
    return np.where(known.any(axis=1), np.maximum(np.where(known, change, -np.inf).max(axis=1), 0.0), np.nan)
