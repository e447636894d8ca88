"""Filtered historical simulation: past returns rescaled to today's volatility, and a tail measure of them.

A return is divided by the volatility that was forecast for it and multiplied by the one forecast now::

    r*_s = r_s * sigma_now / sigma_(s - 1)

The margin rate is a quantile (or the expected shortfall) of the loss that the rescaled returns would bring.

References
----------
Hull and White (1998), "Incorporating Volatility Updating into the Historical Simulation Method for Value at Risk",
Journal of Risk 1(1); Barone-Adesi, Giannopoulos and Vosper (1999), "VaR without correlations for portfolios of
derivative securities", Journal of Futures Markets 19; Gurrola-Perez and Murphy (2015), Bank of England Working
Paper 525, on filtered historical simulation in margin models.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from models.errors import InputError
from models.typing import FloatArray
from models.volatility.realised import trailing_mean

__all__ = [
    "LEAST_VOLATILITY",
    "Measure",
    "Side",
    "ewma_volatility",
    "fhs_rate",
    "har_volatility",
    "log_returns",
    "loss_rate",
    "scaled_return",
    "tail_measure",
]

Measure = Literal["var", "es"]
Side = Literal["long", "short", "both"]
LEAST_VOLATILITY = 1e-8
"""Volatility of a bar is never taken to be lower, so that a price that stands still can be divided by it."""
_WARM_UP = 20


def scaled_return(ret: ArrayLike, vol_then: ArrayLike, vol_now: ArrayLike) -> FloatArray:
    """Rescale returns to another volatility.

    Parameters
    ----------
    ret : array_like
        Returns.
    vol_then : array_like
        Volatility that was forecast for each, > 0.
    vol_now : array_like
        Volatility forecast now, same unit.

    Returns
    -------
    ndarray
        ``ret * vol_now / vol_then``.

    Raises
    ------
    InputError
        If a volatility is not positive.

    Examples
    --------
    A fall of 2 % when volatility was 10 % is one of 4 % now that it is 20 %:

    >>> float(scaled_return(-0.02, 0.1, 0.2))
    -0.04
    """
    then, now = np.asarray(vol_then, np.float64), np.asarray(vol_now, np.float64)
    if np.any(then <= 0) or np.any(now < 0):
        raise InputError("vol_then", then.tolist(), "volatilities > 0 (vol_now >= 0)")
    return np.asarray(ret, np.float64) * (now / then)


def log_returns(close: FloatArray, bars: int = 1) -> FloatArray:
    """Log returns over `bars` bars; column t is known at the close of bar t.

    Parameters
    ----------
    close : ndarray, shape (A, T)
        Prices; NaN where missing.
    bars : int
        Bars of a return; they overlap where it is above 1.

    Returns
    -------
    ndarray, shape (A, T)
        NaN in the first columns, and where either price is missing.

    Examples
    --------
    >>> log_returns(np.array([[1.0, np.e, np.e]])).tolist()
    [[nan, 1.0, 0.0]]
    """
    out = np.full_like(close, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        out[:, bars:] = np.log(close[:, bars:] / close[:, :-bars])
    return np.where(np.isfinite(out), out, np.nan)


def ewma_volatility(returns: FloatArray, decay: float) -> FloatArray:
    """Forecast the volatility of the next bar by exponential weights.

    Parameters
    ----------
    returns : ndarray, shape (A, T)
        One-bar log returns; NaN is skipped and leaves the forecast as it is.
    decay : float
        Weight of the past, in (0, 1); while fewer than ``1 / (1 - decay)`` returns are known, all weigh the same.

    Returns
    -------
    ndarray, shape (A, T)
        At column t from the returns up to t; NaN until 20 are known.

    Raises
    ------
    InputError
        If the decay is out of range.

    References
    ----------
    RiskMetrics Technical Document, 4th edition (1996), section 5.2.

    Examples
    --------
    >>> ewma_volatility(np.full((1, 30), 0.01), 0.94)[0, -1].round(6)
    np.float64(0.01)
    """
    if not 0 < decay < 1:
        raise InputError("decay", decay, "a number in (0, 1)")
    out = np.full_like(returns, np.nan)
    _ewma(np.ascontiguousarray(returns), decay, out)
    return out


@njit(cache=True, nogil=True)
def _ewma(returns: FloatArray, decay: float, out: FloatArray) -> None:
    for a in range(returns.shape[0]):
        level, seen = 0.0, 0
        for t in range(returns.shape[1]):
            r = returns[a, t]
            if np.isfinite(r):
                seen += 1
                level += max(1.0 - decay, 1.0 / seen) * (r * r - level)
            if seen >= _WARM_UP:
                out[a, t] = max(np.sqrt(level), LEAST_VOLATILITY)


def har_volatility(
    returns: FloatArray,
    windows: tuple[int, int, int] = (5, 22, 66),
    weights: tuple[float, float, float] = (0.5, 0.3, 0.2),
) -> FloatArray:
    """Forecast the volatility of the next bar as a fixed mixture of three trailing variances; nothing is fitted.

    Parameters
    ----------
    returns : ndarray, shape (A, T)
        One-bar log returns; NaN is skipped.
    windows : tuple of int
        Bars of the short, middle and long component, rising.
    weights : tuple of float
        Weights of the three variances, >= 0, with sum 1.

    Returns
    -------
    ndarray, shape (A, T)
        At column t from the returns up to t; NaN until half of the longest window is known.

    Raises
    ------
    InputError
        If windows do not rise or weights do not sum to 1.

    References
    ----------
    Corsi (2009), "A Simple Approximate Long-Memory Model of Realized Volatility", J. Financial Econometrics 7(2): the
    three horizons. Fitted coefficients come with `models.volatility.forecast.HarModel`, whose forecasts can be given
    to the margin model instead.

    Examples
    --------
    >>> har_volatility(np.full((1, 70), 0.01))[0, -1].round(6)
    np.float64(0.01)
    """
    if not 1 <= windows[0] < windows[1] < windows[2]:
        raise InputError("windows", windows, "three windows that rise from 1 or more")
    if min(weights) < 0 or abs(sum(weights) - 1.0) > 1e-9:
        raise InputError("weights", weights, "three weights >= 0 with sum 1")
    square = returns**2
    variance = sum(w * trailing_mean(square, n) for w, n in zip(weights, windows, strict=True))
    return np.asarray(np.maximum(np.sqrt(variance), LEAST_VOLATILITY), np.float64)


def tail_measure(losses: ArrayLike, confidence: float, measure: Measure = "var") -> float:
    """Give the quantile or the expected shortfall of losses.

    Parameters
    ----------
    losses : array_like, shape (n,)
        Finite, at least one; > 0 is a loss.
    confidence : float
        In (0, 1).
    measure : {"var", "es"}
        ``"var"``: the smallest loss that at least the share `confidence` of the losses does not exceed. ``"es"``:
        the mean of the worst ``1 - confidence`` of probability, the loss at its edge weighted by what is left.

    Returns
    -------
    float
        The measure; below 0 where even the tail is a gain.

    Raises
    ------
    InputError
        If there is no loss, or the confidence or the measure is out of range.

    References
    ----------
    Acerbi and Tasche (2002), "On the coherence of expected shortfall", Journal of Banking and Finance 26, eq. 3.3.

    Examples
    --------
    >>> tail_measure(range(1, 101), 0.97), tail_measure(range(1, 101), 0.97, "es")
    (97.0, 99.0)
    """
    values = np.sort(np.asarray(losses, np.float64))[::-1]
    if values.size == 0 or not np.all(np.isfinite(values)):
        raise InputError("losses", values.size, "at least one loss, all finite")
    if not 0 < confidence < 1:
        raise InputError("confidence", confidence, "a number in (0, 1)")
    if measure not in ("var", "es"):
        raise InputError("measure", measure, "'var' or 'es'")
    mass = values.size * (1.0 - confidence)
    whole = int(mass + 1e-9)
    if measure == "var" or mass <= 1e-9:
        return float(values[whole])
    return float((values[:whole].sum() + (mass - whole) * values[whole]) / mass)


def loss_rate(down: ArrayLike, up: ArrayLike, side: Side) -> FloatArray:
    """Turn log moves into the loss of a position over its value.

    Parameters
    ----------
    down, up : array_like
        Size of a fall and of a rise of the log price.
    side : {"long", "short", "both"}
        Whose loss; ``"both"`` is the larger.

    Returns
    -------
    ndarray
        ``1 - exp(-down)`` for a long, ``exp(up) - 1`` for a short; never below 0.

    Raises
    ------
    InputError
        If the side is unknown.

    Examples
    --------
    >>> float(loss_rate(np.log(2), np.log(2), "long")), float(loss_rate(np.log(2), np.log(2), "both"))
    (0.5, 1.0)
    """
    if side not in ("long", "short", "both"):
        raise InputError("side", side, "'long', 'short' or 'both'")
    long, short = -np.expm1(-np.asarray(down, np.float64)), np.expm1(np.asarray(up, np.float64))
    found = {"long": long, "short": short, "both": np.maximum(long, short)}[side]
    return np.asarray(np.maximum(found, 0.0), np.float64)


def fhs_rate(
    returns: FloatArray,
    volatility: FloatArray,
    vol_now: float,
    confidence: float,
    measure: Measure = "var",
    side: Side = "both",
) -> float:
    """Give the margin rate of one asset at one instant.

    Parameters
    ----------
    returns : ndarray, shape (n,)
        Log returns of the look-back; NaN is left out.
    volatility : ndarray, shape (n,)
        Volatility that was forecast for each before it began; all ones for plain historical simulation.
    vol_now : float
        Volatility forecast now; 1 for plain historical simulation.
    confidence : float
        In (0, 1).
    measure : {"var", "es"}
        Tail measure.
    side : {"long", "short", "both"}
        Whose loss.

    Returns
    -------
    float
        Fraction of the position's value.

    Raises
    ------
    InputError
        If no return has a volatility.

    Examples
    --------
    >>> fhs_rate(np.log([0.99, 1.02, 0.98]), np.ones(3), 1.0, 0.97, side="long")
    0.02...
    """
    moves = scaled_return(returns, volatility, vol_now)
    known = moves[np.isfinite(moves)]
    down, up = (tail_measure(sign * known, confidence, measure) for sign in (-1.0, 1.0))
    return float(loss_rate(down, up, side))
