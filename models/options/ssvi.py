"""A volatility surface from one number: the shape that crypto smiles usually have, hung on an index.

Total variance at log-moneyness k is ``w = theta / 2 * (1 + rho * x + sqrt((x + rho)**2 + 1 - rho**2))`` with
``x = eta * k / sqrt(theta * (1 + theta))``: at the money ``w = theta``, and k counts in deviations. With
``eta * (1 + |rho|) <= 2`` no butterfly and no calendar spread has a negative price, whatever theta does, as long as it
rises with time. Here theta is the integral of a variance that returns from the index to its usual level.

References
----------
Gatheral and Jacquier (2014), "Arbitrage-free SVI volatility surfaces", Quantitative Finance 14(1), 59-71: surface SVI,
corollary 4.1 and the choice of x in remark 4.4 with exponent 1/2.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from msgspec import Struct
from numba import njit

from models.errors import InputError
from models.typing import FloatArray

__all__ = ["ANCHOR_YEARS", "SHORTEST_YEARS", "SurfaceParameters", "pack_surface", "surface_vol"]

ANCHOR_YEARS: Final = 30.0 / 365.0
"""Time to which the index looks ahead."""
SHORTEST_YEARS: Final = 1.0 / 8760.0
"""A smile is the same within the last hour, since its skew goes to infinity with the last minute."""
SKEW, CURVATURE, LONG_VOL, REVERSION, ATM_RATIO = range(5)
"""Layout of a packed row."""

_OPTIONS: Final[dict[str, Any]] = {"cache": True, "nogil": True, "_nrt": False, "forceinline": True}
_RANGE: Final = {
    "skew": (-0.7, 0.7),
    "curvature": (0.01, 1.9),
    "long_vol": (0.05, 3.0),
    "reversion": (0.1, 6.0),
    "atm_ratio": (0.7, 1.1),
}


class SurfaceParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shape of a modelled surface; the defaults are those of bitcoin.

    Parameters
    ----------
    skew : float
        rho, correlation of price and volatility, in [-0.7, 0.7]. The volatility at the money rises by about
        ``rho * eta / 2`` of itself for each deviation of the strike.
    curvature : float
        eta, in [0.01, 1.9] and such that ``eta * (1 + |rho|) <= 2``. At 0.7 a 25-delta butterfly is about 2.6% and a
        10-delta one about 9% of the volatility at the money.
    long_vol : float
        Volatility to which forward variance returns, a year, in [0.05, 3]; held within half and twice the index.
    reversion : float
        Speed of that return, a year, in [0.1, 6].
    atm_ratio : float
        Volatility at the money of 30 days over the index, in [0.7, 1.1]. An index of the VIX kind is the fair variance
        of the whole smile and lies above the money: with the default shape by 1/0.94.

    Raises
    ------
    InputError
        If a parameter lies outside of its range, or the smile would admit arbitrage.

    Notes
    -----
    Sources of the defaults. `long_vol`: mean of Deribit's DVOL for BTC over its daily closes 2022-11-06 to 2025-06-30,
    0.539. `skew`: the sign of bitcoin's skew changes ("often positively skewed", Deribit on launching DVOL in 2021;
    towards puts in Block Scholes' weekly reports of 2022), so that it is close to zero on average. `curvature` and
    `reversion` are conventions of this library, within what published smiles show; they are no venue's.
    """

    skew: float = -0.05
    curvature: float = 0.7
    long_vol: float = 0.54
    reversion: float = 3.0
    atm_ratio: float = 0.94

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGE.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"surface.{name}", value, f"a number in [{low}, {high}]")
        if self.curvature * (1.0 + abs(self.skew)) > 2.0:
            raise InputError("surface.curvature", self.curvature, f"at most {2.0 / (1.0 + abs(self.skew)):.4g} here")


def pack_surface(parameters: SurfaceParameters) -> FloatArray:
    """Lay parameters out for `surface_vol`.

    Parameters
    ----------
    parameters : SurfaceParameters
        The shape.

    Returns
    -------
    ndarray, shape (5,)
        In the order SKEW, CURVATURE, LONG_VOL, REVERSION, ATM_RATIO.

    Examples
    --------
    >>> pack_surface(SurfaceParameters(skew=-0.1)).tolist()
    [-0.1, 0.7, 0.54, 3.0, 0.94]
    """
    p = parameters
    return np.array([p.skew, p.curvature, p.long_vol, p.reversion, p.atm_ratio])


@njit(**_OPTIONS)
def _decayed(speed: float, years: float) -> float:
    """Integral of ``exp(-speed * t)`` over the years."""
    return -math.expm1(-speed * years) / speed


@njit(**_OPTIONS)
def _atm_variance(index: float, years: float, row: FloatArray) -> float:
    """Total variance at the money; rises with the years."""
    level = index * row[ATM_RATIO]
    now = level * level
    far = min(max(row[LONG_VOL], 0.5 * level), 2.0 * level) ** 2
    speed = row[REVERSION]
    start = (now - far) * ANCHOR_YEARS / _decayed(speed, ANCHOR_YEARS)
    return far * years + start * _decayed(speed, years)


@njit(**_OPTIONS)
def surface_vol(index: float, log_moneyness: float, years: float, row: FloatArray) -> float:
    """Volatility a year of the modelled surface, > 0; `row` is that of `pack_surface`.

    `log_moneyness` is the logarithm of strike over forward, `index` a fraction > 0.
    """
    t = max(years, SHORTEST_YEARS)
    theta = _atm_variance(index, t, row)
    rho = row[SKEW]
    x = row[CURVATURE] * log_moneyness / math.sqrt(theta * (1.0 + theta))
    w = 0.5 * theta * (1.0 + rho * x + math.sqrt((x + rho) * (x + rho) + 1.0 - rho * rho))
    return math.sqrt(w / t)
