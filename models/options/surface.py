"""Volatility surfaces as a market input: quoted where there are quotes, modelled on an index where there are none.

Both kinds answer ``vol(log_moneyness, years)`` and say in ``modelled`` whether the answer is a market's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from models.errors import InputError
from models.options.smile import Smile, VolSurface
from models.options.ssvi import SurfaceParameters, pack_surface, surface_vol
from models.typing import FloatArray

__all__ = [
    "PREMIUM",
    "ModelledSurface",
    "Smile",
    "Surface",
    "SurfaceParameters",
    "VolSurface",
    "implied_vol",
    "modelled_index",
]

PREMIUM: Final = 1.15
"""Implied over realised volatility of 30 days; see `modelled_index`."""
_HIGHEST: Final = 10.0
_DEFAULT: Final = SurfaceParameters()


def implied_vol(
    index_level: ArrayLike, log_moneyness: ArrayLike, years: ArrayLike, parameters: SurfaceParameters = _DEFAULT
) -> FloatArray:
    """Give the volatilities of a surface that is hung on an index.

    Parameters
    ----------
    index_level : array_like
        Implied-volatility index such as DVOL, a fraction (0.55, not 55), in (0, 10].
    log_moneyness : array_like
        Logarithm of strike over forward.
    years : array_like
        To expiry, years of 365 days; below one hour the smile of one hour.
    parameters : SurfaceParameters
        The shape.

    Returns
    -------
    ndarray
        Volatility a year, > 0, in the broadcast shape.

    Raises
    ------
    InputError
        If an index level lies outside of (0, 10], or another argument is not finite.

    Notes
    -----
    Modelled, no market's: margins that rest on it are as good as the shape. The shape is free of static arbitrage for
    every level, strike and time. `models.options.ssvi.surface_vol` is the same for compiled callers.

    Examples
    --------
    >>> implied_vol(0.55, [-0.3, 0.0, 0.3], 30 / 365).round(4).tolist()
    [0.6152, 0.517, 0.5907]
    """
    level = np.asarray(index_level, np.float64)
    if not np.all((level > 0) & (level <= _HIGHEST)):
        raise InputError("index_level", level.tolist(), "fractions in (0, 10], for example 0.55 for 55 points")
    rest = [np.asarray(a, np.float64) for a in (log_moneyness, years)]
    for name, value in zip(("log_moneyness", "years"), rest, strict=True):
        if not np.all(np.isfinite(value)):
            raise InputError(name, value.tolist(), "finite numbers")
    arrays = np.broadcast_arrays(level, *rest)
    out = np.empty(arrays[0].size)
    _fill(*(np.ascontiguousarray(a).ravel() for a in arrays), pack_surface(parameters), out)
    return out.reshape(arrays[0].shape)


@njit(cache=True, nogil=True)
def _fill(level: FloatArray, moneyness: FloatArray, years: FloatArray, row: FloatArray, out: FloatArray) -> None:
    for i in range(len(out)):
        out[i] = surface_vol(level[i], moneyness[i], years[i], row)


@dataclass(frozen=True, slots=True)
class ModelledSurface:
    """A surface hung on an index.

    Parameters
    ----------
    index_level : float
        A fraction, in (0, 10].
    parameters : SurfaceParameters
        The shape.
    index_modelled : bool
        Whether the level is itself modelled (`modelled_index`), where no index is published.

    Raises
    ------
    InputError
        If the level lies outside of its range.

    Examples
    --------
    >>> surface = ModelledSurface(0.55)
    >>> surface.modelled, float(surface.vol(0.0, 30 / 365).round(3))
    (True, 0.517)
    """

    index_level: float
    parameters: SurfaceParameters = field(default_factory=SurfaceParameters)
    index_modelled: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.index_level <= _HIGHEST:
            raise InputError("index_level", self.index_level, "a fraction in (0, 10], for example 0.55 for 55 points")

    @property
    def modelled(self) -> bool:
        """True: no market quoted these volatilities."""
        return True

    def vol(self, log_moneyness: ArrayLike, years: ArrayLike) -> FloatArray:
        """Volatility a year at a log-moneyness (strike over forward) and a time in years of 365 days."""
        return implied_vol(self.index_level, log_moneyness, years, self.parameters)


Surface: TypeAlias = VolSurface | ModelledSurface
"""Quoted or modelled."""


def modelled_index(realised_vol_30d: ArrayLike, premium: float = PREMIUM) -> FloatArray:
    """Guess the level of an implied-volatility index where none is published.

    Parameters
    ----------
    realised_vol_30d : array_like
        Realised volatility a year over the last 30 days, a fraction > 0. NaN stays NaN.
    premium : float
        Implied over realised volatility, in [0.8, 2].

    Returns
    -------
    ndarray
        Index level, a fraction, at most 10.

    Raises
    ------
    InputError
        If a volatility is not above 0, or the premium lies outside of its range.

    Notes
    -----
    Modelled: say so to whoever reads a margin that rests on it. The ratio of a single day varies widely: 0.69 to 2.13
    for BTC between 2022-11 and 2025-06, half of the days between 1.04 and 1.30, median 1.15 (DVOL closes over 30 days
    of hourly Binance spot returns).

    References
    ----------
    Almeida, Grith, Miftachov and Wang (2024), "Risk premia in the bitcoin market", arXiv:2410.15195: implied variance
    0.72 against realised 0.58 over 2017-07 to 2022-12, which is a ratio of volatilities of 1.11.
    GlobalDeFi (2020), "How expensive are bitcoin options?": 1.1 to 1.2 in calm markets.

    Examples
    --------
    >>> float(modelled_index(0.48).round(3))
    0.552
    """
    realised = np.asarray(realised_vol_30d, np.float64)
    if np.any(realised <= 0):
        raise InputError("realised_vol_30d", realised.tolist(), "fractions > 0, for example 0.48")
    if not 0.8 <= premium <= 2.0:
        raise InputError("premium", premium, "a ratio in [0.8, 2]")
    return np.minimum(realised * premium, _HIGHEST)
