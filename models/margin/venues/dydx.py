"""dYdX v4: margin fractions in parts per million, with an initial fraction that rises with open interest.

All amounts are integers: base quantums, quote quantums (1e-6 USDC) and ppm (1e-6)::

    notional = quantums * price * 10^(exponent + resolution + 6)        towards zero
    IMF = base + floor((1e6 - base) * (OI - lower) / (upper - lower))  base below, 1e6 above the caps
    IMR = ceil(notional * IMF);  MMR = ceil(ceil(notional * base) * maintenance fraction)

`dydx_account` adds positions up and says when a subaccount is liquidated.

References
----------
dYdX v4 chain, x/perpetuals at 84d4664b (read 2026-11); dYdX docs, "Margin".
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Final, NamedTuple

from models.errors import InputError
from models.margin.tiers import TierSchedule
from models.margin.venues._exact import ceil_div, line, truncated_div

__all__ = [
    "PPM",
    "LiquidityTier",
    "collateral_schedule",
    "effective_imf_ppm",
    "initial_margin",
    "initial_rate",
    "maintenance_margin",
    "maintenance_margin_ppm",
    "maintenance_schedule",
    "net_notional",
]

PPM: Final = 1_000_000


class LiquidityTier(NamedTuple):
    """Margin parameters of a market: ppm, and caps of open interest in quote quantums (both 0: no rise)."""

    initial_margin_ppm: int
    maintenance_fraction_ppm: int = PPM
    lower_cap: int = 0
    upper_cap: int = 0


def effective_imf_ppm(tier: LiquidityTier, open_interest: int = 0) -> int:
    """Give the initial margin fraction at an open interest.

    Parameters
    ----------
    tier : LiquidityTier
        Parameters of the market.
    open_interest : int
        Notional of the open interest, quote quantums, >= 0.

    Returns
    -------
    int
        Ppm, rounded down.

    Raises
    ------
    InputError
        If a fraction lies outside [0, 1e6] ppm or the caps are reversed.

    Examples
    --------
    >>> effective_imf_ppm(LiquidityTier(200_000, lower_cap=1_000_000, upper_cap=2_000_000), 1_234_567)
    387653
    """
    base, _, lower, upper = _checked(tier)
    if upper == 0 or open_interest <= lower:
        return base
    if open_interest >= upper:
        return PPM
    return base + (PPM - base) * (open_interest - lower) // (upper - lower)


def initial_margin(tier: LiquidityTier, notional: int, open_interest: int = 0, custom_imf_ppm: int = 0) -> int:
    """Give the initial margin requirement of a notional.

    Parameters
    ----------
    tier : LiquidityTier
        Parameters of the market.
    notional : int
        Quote quantums, the sign is ignored.
    open_interest : int
        Notional of the open interest, quote quantums.
    custom_imf_ppm : int
        Fraction that the trader's own leverage limit stands for; the larger one holds.

    Returns
    -------
    int
        Quote quantums, rounded up.

    Examples
    --------
    >>> initial_margin(LiquidityTier(100_000), 1)
    1
    """
    fraction = max(effective_imf_ppm(tier, open_interest), custom_imf_ppm)
    return ceil_div(abs(notional) * fraction, PPM)


def maintenance_margin(tier: LiquidityTier, notional: int) -> int:
    """Give the maintenance margin requirement of a notional; open interest does not enter.

    Parameters
    ----------
    tier : LiquidityTier
        Parameters of the market.
    notional : int
        Quote quantums, the sign is ignored.

    Returns
    -------
    int
        Quote quantums, rounded up twice.

    Examples
    --------
    >>> maintenance_margin(LiquidityTier(200_000, 500_000), 441_000_000)
    44100000
    """
    base, fraction, _, _ = _checked(tier)
    return ceil_div(ceil_div(abs(notional) * base, PPM) * fraction, PPM)


def maintenance_margin_ppm(tier: LiquidityTier) -> int:
    """Give the maintenance margin fraction as the venue prints it.

    Parameters
    ----------
    tier : LiquidityTier
        Parameters of the market.

    Returns
    -------
    int
        Ppm, rounded down.

    Examples
    --------
    >>> maintenance_margin_ppm(LiquidityTier(637_239, 289_284))
    184343
    """
    base, fraction, _, _ = _checked(tier)
    return base * fraction // PPM


def net_notional(quantums: int, price: int, exponent: int = 0, resolution: int = -6) -> int:
    """Give the value of a position.

    Parameters
    ----------
    quantums : int
        Base quantums, signed.
    price : int
        Price as the oracle stores it.
    exponent : int
        Its exponent: the price is ``price * 10^exponent``.
    resolution : int
        Base units in one quantum: ``10^resolution``.

    Returns
    -------
    int
        Quote quantums, rounded towards zero.

    Examples
    --------
    >>> net_notional(-1_000_000_000_000, 123_456_789_123, -5, -16)
    -123456789
    """
    power = exponent + resolution + 6
    return quantums * price * 10**power if power >= 0 else truncated_div(quantums * price, 10**-power)


def maintenance_schedule(parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Give maintenance as a function of notional; the same for every size, exact up to two quote quantums.

    Parameters
    ----------
    parameters : mapping
        ``initial_margin_ppm`` and ``maintenance_fraction_ppm``.
    quantity : float
        Base units; not used.

    Returns
    -------
    TierSchedule
        One slice.

    Examples
    --------
    >>> rule = {"initial_margin_ppm": 20_000, "maintenance_fraction_ppm": 600_000}
    >>> float(maintenance_schedule(rule, 1.0)(50_000.0))
    600.0
    """
    tier = _tier(parameters)
    return line([(0.0, tier.initial_margin_ppm * tier.maintenance_fraction_ppm / PPM**2, 0.0)])


def initial_rate(parameters: Mapping[str, float], quantity: float) -> float:
    """Give initial margin over notional.

    Parameters
    ----------
    parameters : mapping
        ``initial_margin_ppm``; ``lower_cap``, ``upper_cap`` and ``open_interest`` in quote quantums (default 0);
        ``custom_imf_ppm`` for a leverage that the trader chose.
    quantity : float
        Base units; not used.

    Returns
    -------
    float
        The rate.

    Examples
    --------
    >>> rule = {"initial_margin_ppm": 200_000, "lower_cap": 1e6, "upper_cap": 2e6, "open_interest": 1.5e6}
    >>> initial_rate(rule, 1.0)
    0.6
    """
    effective = effective_imf_ppm(_tier(parameters), int(parameters.get("open_interest", 0)))
    return max(effective, int(parameters.get("custom_imf_ppm", 0))) / PPM


def collateral_schedule(parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Give what collateral counts for: USDC at par, nothing else is collateral.

    Parameters
    ----------
    parameters : mapping
        Not used; the same call for every venue.
    quantity : float
        Not used.

    Returns
    -------
    TierSchedule
        The identity.

    Examples
    --------
    >>> float(collateral_schedule({}, 1.0)(100.0))
    100.0
    """
    return line([(0.0, 1.0, 0.0)])


def _tier(parameters: Mapping[str, float]) -> LiquidityTier:
    if "initial_margin_ppm" not in parameters:
        raise InputError("parameters", sorted(parameters), "also initial_margin_ppm")
    caps = ceil(parameters.get("lower_cap", 0)), ceil(parameters.get("upper_cap", 0))
    fractions = int(parameters["initial_margin_ppm"]), int(parameters.get("maintenance_fraction_ppm", PPM))
    return LiquidityTier(*_checked(LiquidityTier(*fractions, *caps)))


def _checked(tier: LiquidityTier) -> LiquidityTier:
    if not (0 <= tier.initial_margin_ppm <= PPM and 0 <= tier.maintenance_fraction_ppm <= PPM):
        raise InputError("initial_margin_ppm", tier[:2], "fractions in [0, 1000000] ppm")
    if not 0 <= tier.lower_cap <= tier.upper_cap:
        raise InputError("lower_cap", tier[2:], "0 <= lower cap <= upper cap")
    return tier
