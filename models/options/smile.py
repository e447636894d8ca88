"""A quoted volatility surface: smiles of several expiries, interpolated.

Within an expiry volatility is interpolated over log-moneyness by monotone cubics, which never leave the range of the
two quotes beside them, and stays flat beyond the outermost quotes. Between expiries total variance is linear in time
at equal log-moneyness; before the first expiry and after the last the volatility is theirs.

References
----------
Fritsch and Carlson (1980), "Monotone piecewise cubic interpolation", SIAM J. Numerical Analysis 17(2), 238-246.
Gatheral (2006), "The Volatility Surface", chapter 3: total variance that rises with time has no calendar arbitrage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtri

from models.errors import InputError
from models.typing import FloatArray

__all__ = ["Smile", "VolSurface"]


@dataclass(frozen=True, slots=True, eq=False)
class Smile:
    """Quotes of one expiry.

    Parameters
    ----------
    years : float
        To expiry, years of 365 days, > 0.
    log_moneyness : ndarray, shape (m,)
        Logarithm of strike over forward, strictly rising, at least one.
    quote : ndarray, shape (m,)
        Implied volatility a year, > 0.

    Raises
    ------
    InputError
        If quotes are missing, not finite, not above 0 or not in order.
    """

    years: float
    log_moneyness: FloatArray
    quote: FloatArray

    def __post_init__(self) -> None:
        if not 0 < self.years < np.inf:
            raise InputError("years", self.years, "a finite number > 0 (an expired smile has no volatility)")
        k, v = self.log_moneyness, self.quote
        if k.ndim != 1 or len(k) == 0 or k.shape != v.shape:
            raise InputError("quote", v.tolist(), f"one volatility for each of the {k.size} strikes, at least one")
        if not np.all(np.isfinite(v) & (v > 0)):
            raise InputError("quote", v.tolist(), "finite volatilities > 0, fractions a year")
        if not np.all(np.isfinite(k)) or not np.all(np.diff(k) > 0):
            raise InputError("log_moneyness", k.tolist(), "strikes in strictly rising order")

    @classmethod
    def from_strikes(cls, years: float, forward: float, strike: ArrayLike, vol: ArrayLike) -> Smile:
        """Build a smile from quotes by strike.

        Parameters
        ----------
        years : float
            To expiry, years of 365 days.
        forward : float
            Forward of that expiry, > 0.
        strike : array_like
            Strikes, > 0, in any order.
        vol : array_like
            Implied volatility a year of each.

        Returns
        -------
        Smile
            The quotes in order of strike.

        Raises
        ------
        InputError
            If a strike or the forward is not above 0, or the quotes are wrong.

        Examples
        --------
        >>> Smile.from_strikes(0.1, 100.0, [110, 100], [0.6, 0.5]).vol([0.0]).tolist()
        [0.5]
        """
        k, v = np.atleast_1d(np.asarray(strike, np.float64)), np.atleast_1d(np.asarray(vol, np.float64))
        if not 0 < forward < np.inf:
            raise InputError("forward", forward, "a finite number > 0")
        if not np.all(k > 0):
            raise InputError("strike", k.tolist(), "strikes > 0")
        return cls._sorted(years, np.log(k / forward), v)

    @classmethod
    def from_deltas(cls, years: float, delta: ArrayLike, vol: ArrayLike) -> Smile:
        """Build a smile from quotes by delta.

        Parameters
        ----------
        years : float
            To expiry, years of 365 days.
        delta : array_like
            Forward deltas, unadjusted for the premium: in (0, 1) of calls, in (-1, 0) of puts, in any order.
        vol : array_like
            Implied volatility a year of each.

        Returns
        -------
        Smile
            The quotes in order of strike.

        Raises
        ------
        InputError
            If a delta is none, or the quotes are wrong.

        Examples
        --------
        >>> Smile.from_deltas(30 / 365, [-0.25, 0.5, 0.25], [0.58, 0.55, 0.57]).log_moneyness.round(4).tolist()
        [-0.0983, 0.0124, 0.1236]
        """
        d, v = np.atleast_1d(np.asarray(delta, np.float64)), np.atleast_1d(np.asarray(vol, np.float64))
        if not np.all((np.abs(d) < 1) & (d != 0)):
            raise InputError("delta", d.tolist(), "deltas in (0, 1) for calls and in (-1, 0) for puts")
        if d.shape != v.shape or not years > 0:
            return cls(years, d, v)
        call = np.where(d > 0, d, 1.0 + d)
        deviation = v * np.sqrt(years)
        return cls._sorted(years, 0.5 * deviation**2 - deviation * ndtri(call), v)

    @classmethod
    def _sorted(cls, years: float, log_moneyness: FloatArray, quote: FloatArray) -> Smile:
        if log_moneyness.shape != quote.shape:
            return cls(years, log_moneyness, quote)
        order = np.argsort(log_moneyness, kind="stable")
        return cls(years, log_moneyness[order], quote[order])

    def vol(self, log_moneyness: ArrayLike) -> FloatArray:
        """Volatility a year at any log-moneyness, within the range of the quotes."""
        k = np.clip(np.asarray(log_moneyness, np.float64), self.log_moneyness[0], self.log_moneyness[-1])
        if len(self.quote) == 1:
            return np.full(k.shape, self.quote[0])
        found: FloatArray = PchipInterpolator(self.log_moneyness, self.quote)(k)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class VolSurface:
    """Quoted smiles of one underlying.

    Parameters
    ----------
    smiles : sequence of Smile
        At least one, in any order of their expiries, no expiry twice.

    Raises
    ------
    InputError
        If there is none, or an expiry twice.

    Examples
    --------
    >>> surface = VolSurface([Smile.from_strikes(0.1, 100.0, [100.0], [0.6]),
    ...                       Smile.from_strikes(0.2, 100.0, [100.0], [0.5])])
    >>> surface.modelled, surface.vol(0.0, [0.05, 0.1, 0.15, 0.2, 1.0]).round(4).tolist()
    (False, [0.6, 0.6, 0.5354, 0.5, 0.5])
    """

    smiles: Sequence[Smile]

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.smiles, key=lambda s: s.years))
        if not ordered:
            raise InputError("smiles", [], "at least one smile; without quotes use ModelledSurface")
        years = [s.years for s in ordered]
        if len(set(years)) < len(years):
            raise InputError("smiles", years, "each expiry once")
        object.__setattr__(self, "smiles", ordered)

    @property
    def modelled(self) -> bool:
        """False: a market quoted these volatilities."""
        return False

    def vol(self, log_moneyness: ArrayLike, years: ArrayLike) -> FloatArray:
        """Volatility a year at a log-moneyness (strike over forward) and a time in years of 365 days.

        Parameters
        ----------
        log_moneyness, years : array_like
            Broadcast together.

        Returns
        -------
        ndarray
            Volatility a year, > 0.
        """
        k, t = np.broadcast_arrays(np.asarray(log_moneyness, np.float64), np.asarray(years, np.float64))
        knots = np.array([s.years for s in self.smiles])
        vols = np.stack([s.vol(k) for s in self.smiles])
        at = np.clip(t, knots[0], knots[-1])
        after = np.clip(np.searchsorted(knots, at), 1, max(len(knots) - 1, 1))
        if len(knots) == 1:
            return vols[0]
        low, high = knots[after - 1], knots[after]
        share = (at - low) / (high - low)
        total = vols**2 * knots.reshape(-1, *([1] * k.ndim))
        before, behind = (np.take_along_axis(total, i[None], 0)[0] for i in (after - 1, after))
        found: FloatArray = np.sqrt(((1.0 - share) * before + share * behind) / at)
        return found
