"""Black-76: prices and greeks of European options on a forward, vectorised.

References
----------
Black (1976), "The pricing of commodity contracts", Journal of Financial Economics 3, 167-179.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from models.errors import InputError
from models.options.batch import black76_many
from models.typing import BoolArray, FloatArray

__all__ = ["Greeks", "greeks", "price"]

_ROOT_2PI = np.sqrt(2.0 * np.pi)


class Greeks(NamedTuple):
    """Sensitivities of one option, quote currency; arrays of the broadcast shape."""

    delta: FloatArray  # of the discounted price to the forward
    forward_delta: FloatArray  # of the undiscounted price: what venues publish, and the hedge in futures
    gamma: FloatArray  # of delta to the forward
    vega: FloatArray  # to the volatility, for 1.00 a year (100 points)
    theta: FloatArray  # to the passing of time, for one year, forward and volatility held


def price(
    forward: ArrayLike, strike: ArrayLike, vol: ArrayLike, years: ArrayLike, is_call: ArrayLike, rate: ArrayLike = 0.0
) -> FloatArray:
    """Price options.

    Parameters
    ----------
    forward, strike : array_like
        Quote currency, > 0.
    vol : array_like
        Volatility a year, > 0.
    years : array_like
        To expiry, years of 365 days; at 0 and below the option has expired and its price is the intrinsic value.
    is_call : array_like of bool
        False for puts.
    rate : array_like
        Continuously compounded discount rate a year.

    Returns
    -------
    ndarray
        Discounted prices of one unit, quote currency, in the broadcast shape.

    Raises
    ------
    InputError
        Names the argument and the element that is not finite, or not above 0.

    Notes
    -----
    Errors are below 1e-14 of the greater of forward and strike. `models.options.batch.black76_many` is the loop alone.

    Examples
    --------
    >>> price(60_000.0, [50_000.0, 70_000.0], 0.55, 30 / 365, [False, True]).round(2).tolist()
    [528.52, 886.56]
    """
    f, k, v, t, call, r = _checked(forward, strike, vol, years, is_call, rate)
    out = np.empty(f.size)
    black76_many(f, k, v * np.sqrt(t), call, out)
    shape = np.broadcast_shapes(*(np.shape(a) for a in (forward, strike, vol, years, is_call, rate)))
    return (out * np.exp(-r * t)).reshape(shape)


def greeks(
    forward: ArrayLike, strike: ArrayLike, vol: ArrayLike, years: ArrayLike, is_call: ArrayLike, rate: ArrayLike = 0.0
) -> Greeks:
    """Give the sensitivities of options.

    Parameters
    ----------
    forward, strike : array_like
        Quote currency, > 0.
    vol : array_like
        Volatility a year, > 0.
    years : array_like
        To expiry, years of 365 days; at 0 and below the option has expired: delta is 0, 1 or -1 and the rest is 0.
    is_call : array_like of bool
        False for puts.
    rate : array_like
        Continuously compounded discount rate a year.

    Returns
    -------
    Greeks
        In the broadcast shape.

    Raises
    ------
    InputError
        Names the argument and the element that is not finite, or not above 0.

    Examples
    --------
    >>> g = greeks(60_000.0, 60_000.0, 0.55, 30 / 365, True)
    >>> round(float(g.delta), 4), round(float(g.vega) / 100, 2), round(float(g.theta) / 365, 2)
    (0.5314, 68.41, -62.71)
    """
    f, k, v, t, call, r = _checked(forward, strike, vol, years, is_call, rate)
    alive = t > 0
    root = np.sqrt(np.where(alive, t, 1.0))
    sign = np.where(call, 1.0, -1.0)
    d1 = np.log(f / k) / (v * root) + 0.5 * v * root
    density = np.exp(-0.5 * d1 * d1) / _ROOT_2PI
    discount = np.exp(-r * t)
    hedge = np.where(alive, sign * ndtr(sign * d1), sign * (sign * (f - k) > 0))
    vega = np.where(alive, discount * f * density * root, 0.0)
    gamma = np.where(alive, discount * density / (f * v * root), 0.0)
    value = discount * sign * (f * ndtr(sign * d1) - k * ndtr(sign * (d1 - v * root)))
    theta = np.where(alive, r * value - 0.5 * vega * v / root**2, 0.0)
    shape = np.broadcast_shapes(*(np.shape(a) for a in (forward, strike, vol, years, is_call, rate)))
    return Greeks(*(a.reshape(shape) for a in (discount * hedge, hedge, gamma, vega, theta)))


def _checked(
    forward: ArrayLike, strike: ArrayLike, vol: ArrayLike, years: ArrayLike, is_call: ArrayLike, rate: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, BoolArray, FloatArray]:
    """Flat contiguous arrays of equal length; no time left is 0 years."""
    named = {"forward": forward, "strike": strike, "vol": vol, "years": years, "rate": rate}
    for name, value in named.items():
        _check(name, np.asarray(value, np.float64), positive=name in ("forward", "strike", "vol"))
    try:
        arrays = np.broadcast_arrays(
            *(np.asarray(a, np.float64) for a in named.values()), np.asarray(is_call, np.bool_)
        )
    except ValueError:
        shapes = [np.shape(a) for a in (*named.values(), is_call)]
        raise InputError("shapes", shapes, "arguments that broadcast together") from None
    f, k, v, t, r, call = (np.ascontiguousarray(a).ravel() for a in arrays)
    return f, k, v, np.maximum(t, 0.0), call, r


def _check(name: str, value: FloatArray, *, positive: bool) -> None:
    wrong = ~np.isfinite(value) | (positive & ~(value > 0))
    if not np.any(wrong):
        return
    at = np.argwhere(wrong)[0]
    where = f"{name}[{', '.join(str(i) for i in at)}]" if value.ndim else name
    raise InputError(where, float(value[tuple(at)]), "a finite number > 0" if positive else "a finite number")
