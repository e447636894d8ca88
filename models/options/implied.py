"""Implied volatility: the volatility at which Black-76 gives a price.

Newton steps in the logarithm of the time value (of what is missing to its upper bound where it is large), kept inside
a bracket. In these coordinates the price is nearly straight in the volatility, so that prices of 1e-200 converge as
those at the money do.

References
----------
Jaeckel (2015), "Let's be rational", Wilmott 75, 40-53: why to iterate on the logarithm below the point of inflection
of the price, and on the gap to the bound above it.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from models.errors import InputError
from models.options.batch import black76_fast
from models.typing import FloatArray

__all__ = ["implied_volatility"]

_OPTIONS: Final[dict[str, Any]] = {"cache": True, "nogil": True, "error_model": "numpy"}
_MOST_STEPS: Final = 100
_CLOSE: Final = 1e-9
"""Relative Newton step after which nothing is left to gain, since errors shrink with their square."""
_LARGEST: Final = 75.0
"""Total deviation beyond which a price equals its bound in double precision."""
_ROOT_2PI: Final = math.sqrt(2.0 * math.pi)


def implied_volatility(
    price: ArrayLike, forward: ArrayLike, strike: ArrayLike, years: ArrayLike, is_call: ArrayLike, rate: ArrayLike = 0.0
) -> FloatArray:
    """Give the volatility that a price implies.

    Parameters
    ----------
    price : array_like
        Discounted price of one unit, quote currency.
    forward, strike : array_like
        Quote currency, > 0.
    years : array_like
        To expiry, years of 365 days.
    is_call : array_like of bool
        False for puts.
    rate : array_like
        Continuously compounded discount rate a year.

    Returns
    -------
    ndarray
        Volatility a year, in the broadcast shape. 0 where the price is the intrinsic value. NaN where no volatility
        exists: a price below the intrinsic value, at or above its bound (the forward for a call, the strike for a put,
        discounted), not a number, or no time left.

    Raises
    ------
    InputError
        If a forward or a strike is not a finite number > 0.

    Notes
    -----
    The price of an option in the money says little about volatility where its time value drowns in the rounding of the
    intrinsic value: quote the option out of the money.

    Examples
    --------
    >>> implied_volatility([886.5635, 20_000.0, 9_999.0], 60_000.0, [70_000.0, 50_000.0, 50_000.0],
    ...                    30 / 365, True).round(4).tolist()
    [0.55, 2.3475, nan]
    """
    for name, value in (("forward", forward), ("strike", strike)):
        array = np.asarray(value, np.float64)
        if not np.all(np.isfinite(array) & (array > 0)):
            raise InputError(name, array.tolist(), "finite numbers > 0")
    args = [np.asarray(a, np.float64) for a in (price, forward, strike, years, rate)]
    p, f, k, t, r, call = np.broadcast_arrays(*args, np.asarray(is_call, np.bool_))
    shape, left = p.shape, np.maximum(t, 0.0)
    out = np.empty(p.size)
    undiscounted = (p * np.exp(r * left)).ravel()
    _solve_many(undiscounted, *(np.ascontiguousarray(a).ravel() for a in (f, k, call)), out)
    alive = left > 0
    vol: FloatArray = np.where(alive, out.reshape(shape) / np.sqrt(np.where(alive, left, 1.0)), np.nan)
    return vol


@njit(**_OPTIONS)
def _solve_many(price: FloatArray, forward: FloatArray, strike: FloatArray, is_call: Any, out: FloatArray) -> None:
    for i in range(len(out)):
        intrinsic = max(forward[i] - strike[i], 0.0) if is_call[i] else max(strike[i] - forward[i], 0.0)
        out[i] = _deviation(price[i] - intrinsic, forward[i], strike[i])


@njit(**_OPTIONS)
def _deviation(value: float, forward: float, strike: float) -> float:
    """Total deviation of the option out of the money whose price is `value`."""
    is_call = strike >= forward
    bound = forward if is_call else strike
    if not 0.0 <= value < bound:
        return math.nan
    if value == 0.0:
        return 0.0
    bend = math.sqrt(2.0 * abs(math.log(forward / strike)))
    s = max(bend, _ROOT_2PI * 1e-9)
    below = value < black76_fast(forward, strike, s, is_call)
    if not below:
        s = max(s, min(_ROOT_2PI * value / forward, 8.0))
    low, high = 0.0, math.inf
    for _ in range(_MOST_STEPS):
        p = black76_fast(forward, strike, s, is_call)
        low, high = (low, s) if p > value else (s, high)
        step = _newton(p, value, forward, strike, bound, s, below)
        if abs(step) <= _CLOSE * s:
            return s + step
        new = s + step
        if not low < new < high:
            new = 0.5 * (low + high) if high < math.inf else 2.0 * s
        if new > _LARGEST:
            return math.nan
        s = new
    return s


@njit(**_OPTIONS)
def _newton(p: float, value: float, forward: float, strike: float, bound: float, s: float, below: bool) -> float:
    d1 = math.log(forward / strike) / s + 0.5 * s
    slope = forward * math.exp(-0.5 * d1 * d1) / _ROOT_2PI
    if below:
        return math.log(value / p) * p / slope
    return math.log((bound - p) / (bound - value)) * (bound - p) / slope
