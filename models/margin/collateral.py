"""What collateral counts for: progressive ratios, flat haircuts, debts, and interest on debts.

Ratios are marginal: each slice of the holding counts at its own ratio, and what lies beyond the
last slice of a capped table counts for nothing. A haircut is never applied to what is owed: a
negative balance counts in full.

References
----------
Binance FAQ 4bec9126c021472285b20874f9380dfb (tiered collateral ratios); Binance portfolio margin
(``E = min(x * rate, x) * index``; interest on negative balances); Aave docs, "Liquidations".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from models.errors import InputError
from models.margin.tiers import TierSchedule
from models.typing import FloatArray

__all__ = [
    "capped_schedule",
    "collateral_value",
    "health_factor",
    "negative_balance_interest",
    "quantity_tiered_value",
]


def capped_schedule(caps: Sequence[float | None], ratios: Sequence[float], beyond: float = 0.0) -> TierSchedule:
    """Build a collateral ratio schedule from the way venues print it: upper bounds and ratios.

    Parameters
    ----------
    caps : sequence of float or None
        Upper bound of each slice, rising; None (last only) for no bound.
    ratios : sequence of float
        Ratio of each slice, in [0, 1], falling.
    beyond : float
        Ratio above the last bound.

    Returns
    -------
    TierSchedule
        Counted amount as a function of the amount held.

    Raises
    ------
    InputError
        If bounds and ratios disagree or do not rise and fall as described.

    Examples
    --------
    >>> btc = capped_schedule([100e6, 120e6, 150e6, 180e6, 200e6], [1.0, 0.975, 0.95, 0.9, 0.85])
    >>> float(btc(6_000 * 20_000.0))
    119500000.0
    """
    if len(caps) != len(ratios) or not caps or any(c is None for c in caps[:-1]):
        raise InputError("caps", list(caps), f"{len(ratios)} upper bounds, None only as the last one")
    floor = [0.0, *(float(c) for c in caps if c is not None)]
    rate = [*ratios, beyond][: len(floor)]
    return TierSchedule.from_rates(floor, rate)


def collateral_value(quantity: ArrayLike, price: ArrayLike, ratio: TierSchedule | float) -> FloatArray:
    """Give what holdings of one asset count for, with tiers on their market value.

    Parameters
    ----------
    quantity : array_like
        Units of the asset; negative where it is owed.
    price : array_like
        Price in account currency, >= 0.
    ratio : TierSchedule or float
        Progressive ratio schedule on the market value, or one flat ratio (1 - haircut) in [0, 1].

    Returns
    -------
    ndarray
        Account currency. A debt counts in full.

    Raises
    ------
    InputError
        If a flat ratio lies outside [0, 1].

    Examples
    --------
    >>> float(collateral_value(0.5, 35_000.0, 0.96))
    16800.0
    >>> float(collateral_value(-0.5, 35_000.0, 0.96))
    -17500.0
    """
    value = np.asarray(quantity, np.float64) * np.asarray(price, np.float64)
    return _schedule(ratio)(value)


def quantity_tiered_value(quantity: ArrayLike, price: ArrayLike, ratio: TierSchedule) -> FloatArray:
    """Give what holdings count for where the venue sets the tiers in units of the asset.

    Parameters
    ----------
    quantity : array_like
        Units of the asset; negative where it is owed.
    price : array_like
        Price in account currency, >= 0.
    ratio : TierSchedule
        Progressive ratio schedule on the quantity.

    Returns
    -------
    ndarray
        Account currency. A debt counts in full.

    Examples
    --------
    >>> float(quantity_tiered_value(60_000.0, 1.0, capped_schedule([50_000, None], [0.8, 0.0])))
    40000.0
    """
    return ratio(np.asarray(quantity, np.float64)) * np.asarray(price, np.float64)


def negative_balance_interest(
    balance: ArrayLike, threshold: ArrayLike, daily_rate: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Give the part of a balance that is charged, and a day's interest on it.

    Parameters
    ----------
    balance : array_like
        Wallet balance, negative where it is owed.
    threshold : array_like
        Free debt, >= 0.
    daily_rate : array_like
        Interest for one day, a fraction.

    Returns
    -------
    tuple of ndarray
        Chargeable balance ``min(balance + threshold, 0)`` (<= 0) and interest (>= 0).

    Examples
    --------
    >>> charged, interest = negative_balance_interest(-10_050.0, 10_000.0, 0.001)
    >>> float(charged), float(interest)
    (-50.0, 0.05)
    """
    charged = np.minimum(np.asarray(balance, np.float64) + np.asarray(threshold, np.float64), 0.0)
    return charged, np.abs(charged) * np.asarray(daily_rate, np.float64)


def health_factor(collateral: ArrayLike, liquidation_threshold: ArrayLike, debt: float) -> float:
    """Give collateral at its liquidation thresholds over debt; below 1 a loan may be liquidated.

    Parameters
    ----------
    collateral : array_like
        Market value of each collateral, currency of the debt.
    liquidation_threshold : array_like
        Fraction of each that counts, in [0, 1].
    debt : float
        What is owed, >= 0.

    Returns
    -------
    float
        The factor; inf where nothing is owed.

    Raises
    ------
    InputError
        If the debt is negative or not a number.

    Examples
    --------
    >>> round(health_factor(10_000.0, 0.8, 6_000.0), 3)
    1.333
    """
    if not debt >= 0:
        raise InputError("debt", debt, "an amount >= 0")
    counted = float(np.sum(np.asarray(collateral, np.float64) * np.asarray(liquidation_threshold, np.float64)))
    return counted / debt if debt > 0 else float("inf")


def _schedule(ratio: TierSchedule | float) -> TierSchedule:
    return ratio if isinstance(ratio, TierSchedule) else TierSchedule.from_rates([0.0], [float(ratio)])
