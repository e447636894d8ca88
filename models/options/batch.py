"""Black-76 prices by the million: a loop without a branch, which the compiler turns into vector instructions.

The time value of an option is ``F * n(d1) * (m(-d2) - m(-d1))`` with Mills' ratio ``m(x) = (1 - N(x)) / n(x)``,
because ``F * n(d1) = K * n(d2)``. So a price takes one logarithm, one exponential and two rational functions. They
are our own, because a call of the mathematics library inside the loop would keep it scalar.

References
----------
Black (1976), "The pricing of commodity contracts", Journal of Financial Economics 3, 167-179.
Cody and Waite (1980), "Software Manual for the Elementary Functions": how the arguments are reduced.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from models.typing import BoolArray, FloatArray

__all__ = ["black76_by_log", "black76_fast", "black76_many", "delta_fast", "log_ratio"]

_OPTIONS: Final[dict[str, Any]] = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
_inlined = njit(**_OPTIONS, _nrt=False, forceinline=True)
"""Products and sums may be fused. Nothing else is loosened: rounding works by adding a large number."""

_LOG2E: Final = 1.4426950408889634
_LN2_HIGH: Final = 0.693147180369123816490
_LN2_LOW: Final = 1.90821492927058770002e-10
_ROUND: Final = 6755399441055744.0
"""1.5 * 2**52: a sum with it is rounded to an integer, which stands in the lowest bits."""
_ROUND_BITS: Final = 0x4338000000000000
_ROOT_2PI_INVERSE: Final = 0.3989422804014327
_FAR: Final = 37.6
"""Deviations beyond which the density is no normal number of double precision."""


@_inlined
def _exp(x: float) -> float:
    """Exponential function for -707 <= x <= 0, to two units in the last place."""
    shifted = x * _LOG2E + _ROUND
    whole = shifted - _ROUND
    r = (x - whole * _LN2_HIGH) - whole * _LN2_LOW
    p = 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * (r * r) + r + 1.0
    power = (np.float64(shifted).view(np.int64) - np.int64(_ROUND_BITS) + np.int64(1023)) << np.int64(52)
    return p * np.int64(power).view(np.float64)


@_inlined
def log_ratio(a: float, b: float) -> float:
    """Logarithm of a / b, positive normal numbers: ``k * ln 2 + 2 * artanh((a - c) / (a + c))`` with c = b * 2**k."""
    gap = np.float64(a).view(np.int64) - np.float64(b).view(np.int64) + (np.int64(2049) << np.int64(51))
    biased = np.int64(np.uint64(gap) >> np.uint64(52))
    whole = np.int64(biased + np.int64(_ROUND_BITS - 1024)).view(np.float64) - _ROUND
    c = b * np.int64((biased - np.int64(1)) << np.int64(52)).view(np.float64)
    s = (a - c) / (a + c)
    z = s * s
    p = 1.0 / 21.0
    p = p * z + 1.0 / 19.0
    p = p * z + 1.0 / 17.0
    p = p * z + 1.0 / 15.0
    p = p * z + 1.0 / 13.0
    p = p * z + 1.0 / 11.0
    p = p * z + 1.0 / 9.0
    p = p * z + 1.0 / 7.0
    p = p * z + 1.0 / 5.0
    p = p * z + 1.0 / 3.0
    s += s
    return whole * _LN2_HIGH + (s + (s * (z * p) + whole * _LN2_LOW))


@_inlined
def _mills_above(x: float) -> float:
    """Numerator of Mills' ratio on [0, 40]; with `_mills_below` a minimax fit, relative error 3e-15."""
    p = 0.000020355925079634029753
    p = p * x + 0.00046579156623013953007
    p = p * x + 0.0051991885033708121795
    p = p * x + 0.036348231764853850943
    p = p * x + 0.17271231920652393361
    p = p * x + 0.56985181228428470483
    p = p * x + 1.2788181627345053293
    p = p * x + 1.802691782387418236
    return p * x + 1.2533141373155033378


@_inlined
def _mills_below(x: float) -> float:
    q = 0.000020355925078873313527
    q = q * x + 0.00046579156637035303067
    q = q * x + 0.0052195444169931645888
    q = q * x + 0.036814023884778167456
    q = q * x + 0.17787077801464028322
    q = q * x + 0.60526887149260366272
    q = q * x + 1.4413286130131206797
    q = q * x + 2.3045982726289226947
    q = q * x + 2.2362245018564053199
    return q * x + 1.0


@_inlined
def black76_fast(forward: float, strike: float, deviation: float, is_call: bool) -> float:
    """Undiscounted Black-76 price, to 1e-14 of the greater of forward and strike.

    Forward and strike are positive normal numbers whose ratio lies within 2**±1000; at a deviation or a forward of
    zero or less the price is the intrinsic value. NaN gives NaN.
    """
    return black76_by_log(forward, strike, log_ratio(forward, strike), deviation, is_call)


@_inlined
def black76_by_log(forward: float, strike: float, log_money: float, deviation: float, is_call: bool) -> float:
    """Give `black76_fast` where the logarithm of forward / strike is known.

    An error of the logarithm hardly moves the price, which has a zero derivative there for d1 and d2 that belong
    together.
    """
    d1 = log_money / deviation + 0.5 * deviation
    d2 = d1 - deviation
    x1, x2 = abs(d1), abs(d2)
    x1 = x1 if x1 < _FAR else _FAR
    x2 = x2 if x2 < _FAR else _FAR
    p1, q1, p2, q2 = _mills_above(x1), _mills_below(x1), _mills_above(x2), _mills_below(x2)
    p1 = p1 if d1 > 0.0 else -p1
    p2 = p2 if d2 > 0.0 else -p2
    tail = forward * (_ROOT_2PI_INVERSE * _exp(-0.5 * x1 * x1)) * ((p1 * q2 - p2 * q1) / (q1 * q2))
    f = forward if (d1 > 0.0) == is_call else 0.0
    k = strike if (d2 > 0.0) == is_call else 0.0
    price = (f - k if is_call else k - f) - tail
    price = price if price > 0.0 else 0.0
    price = d1 if d1 != d1 else price
    away = forward - strike if is_call else strike - forward
    intrinsic = away if away > 0.0 else 0.0
    return intrinsic if (deviation <= 0.0) | (forward <= 0.0) else price


@_inlined
def delta_fast(forward: float, strike: float, deviation: float, is_call: bool) -> tuple[float, float]:
    """Share of the forward that hedges one option, and the normal density at d1; deviation > 0. NaN gives NaN."""
    d1 = log_ratio(forward, strike) / deviation + 0.5 * deviation
    x = abs(d1)
    x = x if x < _FAR else _FAR
    density = _ROOT_2PI_INVERSE * _exp(-0.5 * x * x)
    tail = density * _mills_above(x) / _mills_below(x)
    above = 1.0 - tail if d1 > 0.0 else tail
    above = d1 if d1 != d1 else above
    return above if is_call else above - 1.0, density


@njit(**_OPTIONS)
def black76_many(
    forward: FloatArray, strike: FloatArray, deviation: FloatArray, is_call: BoolArray, out: FloatArray
) -> None:
    """Undiscounted Black-76 prices of many options, written to `out`.

    Parameters
    ----------
    forward, strike : ndarray, shape (n,)
        Quote currency, > 0.
    deviation : ndarray, shape (n,)
        Volatility times the root of the years to expiry, >= 0; at 0 the price is the intrinsic value.
    is_call : ndarray of bool, shape (n,)
        False for puts.
    out : ndarray, shape (n,)
        Prices of one unit, quote currency; may not overlap the other arrays. NaN where an argument is NaN.

    Notes
    -----
    All arrays are C-contiguous. It releases the global interpreter lock, so that threads may share the work, and it
    checks nothing: `models.options.black76.price` does.

    Examples
    --------
    >>> out = np.empty(2)
    >>> black76_many(np.full(2, 100.0), np.full(2, 100.0), np.full(2, 0.2), np.array([True, False]), out)
    >>> out.round(6).tolist()
    [7.965567, 7.965567]
    """
    for i in range(len(out)):
        out[i] = black76_fast(forward[i], strike[i], deviation[i], is_call[i])
