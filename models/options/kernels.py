"""Black-76 as compiled scalar functions, for the kernels of the margin models."""

from __future__ import annotations

import math
from typing import Final

from models.margin._kernel import inlined
from models.options.batch import black76_fast

__all__ = ["black76", "normal_cdf"]

_ROOT_HALF: Final = math.sqrt(0.5)


@inlined
def normal_cdf(x: float) -> float:
    """Standard normal distribution function."""
    return 0.5 * math.erfc(-x * _ROOT_HALF)


@inlined
def black76(forward: float, strike: float, deviation: float, is_call: bool) -> float:
    """Undiscounted Black-76 price of one unit, quote currency.

    `deviation` is the volatility times the root of the years to expiry, >= 0; at 0 the price is the intrinsic value.
    """
    return black76_fast(forward, strike, deviation, is_call)
