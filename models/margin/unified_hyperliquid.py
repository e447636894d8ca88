"""Hyperliquid portfolio margin: spot collateral lends to perpetuals up to a loan-to-value ratio.

For the borrowed token (USDC), all values in it::

    requirement       = 20 + sum over dexes of cross maintenance + borrowed * oracle
    liquidation value = balance + sum over collateral of min(borrow cap, min(held, supply cap) * oracle * threshold)
    threshold         = 0.5 + 0.5 * LTV
    ratio             = requirement / liquidation value           liquidatable above 0.95

and what may be borrowed for orders is ``held * oracle * LTV`` under the same caps. Perpetual profit is in the balance.

References
----------
Hyperliquid docs, "Trading: Portfolio margin" (caps and LTV of the alpha of 2026: HYPE and BTC 0.5) and "Support: FAQ:
Portfolio margin" (10,000 HYPE at 40 dollars lend 200,000 USDC); interest ``0.05 + 4.75 max(0, utilisation - 0.8)`` a
year, compounded continuously.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from models.errors import InputError
from models.margin._parameters import parameter
from models.margin.bands import HYPERLIQUID_PM
from models.margin.tiers import TierSchedule
from models.typing import FloatArray, IntArray

__all__ = [
    "LIQUIDATION_RATIO",
    "LTV",
    "MIN_BORROW_OFFSET",
    "HyperliquidMargin",
    "HyperliquidPortfolio",
    "borrow_interest",
    "borrow_oracle_price",
    "collateral_schedule",
    "hyperliquid_margin",
    "liquidation_threshold",
    "maintenance_schedule",
]

MIN_BORROW_OFFSET: Final = 20.0
"""USDC that is always part of the requirement."""
LIQUIDATION_RATIO: Final = 0.95
LTV: Final[Mapping[str, float]] = {"HYPE": 0.5, "BTC": 0.5}
"""Loan-to-value ratios of the FAQ. A client library of October 2026 has 0.65 for HYPE."""


@dataclass(frozen=True, slots=True, eq=False)
class HyperliquidPortfolio:
    """Balances of portfolio margin accounts; n collateral tokens in the last axis.

    Parameters
    ----------
    balance : ndarray, shape (...)
        Of the borrowed token, with perpetual profit, units; what was borrowed is in `borrowed`.
    borrowed : ndarray, shape (...)
        Of it, units, >= 0.
    held : ndarray, shape (..., n)
        Collateral tokens, units, >= 0.
    oracle : ndarray, shape (..., n)
        Borrow oracle price of each collateral, >= 0.
    ltv : ndarray, shape (..., n)
        In [0, 1].
    maintenance : ndarray, shape (...)
        Cross maintenance of all dexes, >= 0.
    borrow_cap : float or ndarray
        Of the borrowed token, units.
    supply_cap : float or ndarray, shape (..., n)
        Of each collateral, units.
    """

    balance: FloatArray
    borrowed: FloatArray
    held: FloatArray
    oracle: FloatArray
    ltv: FloatArray
    maintenance: FloatArray
    borrow_cap: FloatArray | float = np.inf
    supply_cap: FloatArray | float = np.inf

    def __post_init__(self) -> None:
        """Check the ranges once."""
        for name in ("borrowed", "held", "oracle", "maintenance", "borrow_cap", "supply_cap"):
            if np.any(np.asarray(getattr(self, name)) < 0):
                raise InputError(name, np.asarray(getattr(self, name)).tolist(), "numbers >= 0")
        _check_ltv(self.ltv)


@dataclass(frozen=True, slots=True, eq=False)
class HyperliquidMargin:
    """Where portfolio margin accounts stand; arrays of the shape of the accounts, borrowed token.

    Parameters
    ----------
    requirement : ndarray
        Portfolio maintenance requirement.
    liquidation_value : ndarray
        What it is compared to.
    ratio : ndarray
        Requirement over value; infinite where the value is not positive.
    borrowable : ndarray
        What the collateral may lend in all, ``sum held * oracle * LTV`` under the caps.
    state : ndarray of int
        Band of `HYPERLIQUID_PM`: 1 where liquidatable.
    """

    requirement: FloatArray
    liquidation_value: FloatArray
    ratio: FloatArray
    borrowable: FloatArray
    state: IntArray


def liquidation_threshold(ltv: ArrayLike) -> FloatArray:
    """Give the share of collateral that counts at liquidation: ``0.5 + 0.5 LTV``.

    Parameters
    ----------
    ltv : array_like
        In [0, 1].

    Returns
    -------
    ndarray
        Fraction.

    Raises
    ------
    InputError
        If a ratio lies outside [0, 1].

    Examples
    --------
    >>> float(liquidation_threshold(0.5))
    0.75
    """
    _check_ltv(ltv)
    return 0.5 + 0.5 * np.asarray(ltv, np.float64)


def borrow_oracle_price(spot: ArrayLike, perp_mark: ArrayLike, perp_oracle: ArrayLike, usdc: ArrayLike) -> FloatArray:
    """Give the price at which collateral is valued in USDC: the median of three.

    Parameters
    ----------
    spot : array_like
        Spot price in USDC.
    perp_mark, perp_oracle : array_like
        Mark and oracle price of the perpetual, in USDT.
    usdc : array_like
        Oracle price of USDC in USDT, > 0; USDT prices are divided by it.

    Returns
    -------
    ndarray
        USDC for one unit.

    Examples
    --------
    >>> float(borrow_oracle_price(40.0, 41.0, 39.0, 1.0))
    40.0
    """
    rate = 1.0 / np.asarray(usdc, np.float64)
    three = np.broadcast_arrays(spot, np.asarray(perp_mark) * rate, np.asarray(perp_oracle) * rate)
    return np.asarray(np.median(np.stack(three), axis=0), np.float64)


def hyperliquid_margin(portfolio: HyperliquidPortfolio) -> HyperliquidMargin:
    """Give requirement, liquidation value, portfolio margin ratio and what may be borrowed.

    Parameters
    ----------
    portfolio : HyperliquidPortfolio
        The balances.

    Returns
    -------
    HyperliquidMargin
        One value for each account.

    Examples
    --------
    The FAQ's 10,000 HYPE at 40 dollars, with 100,000 USDC borrowed:

    >>> p = HyperliquidPortfolio(np.array(0.0), np.array(1e5), np.array([1e4]), np.array([40.0]), np.array([0.5]),
    ...     np.array(0.0))
    >>> found = hyperliquid_margin(p)
    >>> float(found.borrowable), float(found.liquidation_value), round(float(found.ratio), 4), int(found.state)
    (200000.0, 300000.0, 0.3334, 0)
    """
    p = portfolio
    supplied = np.minimum(p.held, p.supply_cap) * p.oracle
    cap = np.asarray(p.borrow_cap, np.float64)[..., None]
    counted = np.sum(np.minimum(cap, supplied * liquidation_threshold(p.ltv)), axis=-1)
    lent = np.sum(np.minimum(cap, supplied * p.ltv), axis=-1)
    requirement = MIN_BORROW_OFFSET + p.maintenance + p.borrowed
    value = p.balance + counted
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where(value > 0, requirement / value, np.where(np.isnan(value), np.nan, np.inf))
    borrowable = np.asarray(np.minimum(lent, p.borrow_cap), np.float64)
    return HyperliquidMargin(requirement, value, ratio, borrowable, HYPERLIQUID_PM.state(ratio))


def borrow_interest(borrowed: ArrayLike, utilisation: ArrayLike, hours: ArrayLike = 1.0) -> FloatArray:
    """Give the interest on what is borrowed, compounded continuously at ``0.05 + 4.75 max(0, u - 0.8)`` a year.

    Parameters
    ----------
    borrowed : array_like
        Units of a stable coin, >= 0.
    utilisation : array_like
        Borrowed over supplied, in [0, 1].
    hours : array_like
        Time that passes, >= 0.

    Returns
    -------
    ndarray
        Units.

    Raises
    ------
    InputError
        If a utilisation lies outside [0, 1].

    Examples
    --------
    >>> round(float(borrow_interest(100_000.0, 0.5)), 4)
    0.5708
    """
    used = np.asarray(utilisation, np.float64)
    if not np.all((used >= 0) & (used <= 1)):
        raise InputError("utilisation", used.tolist(), "fractions in [0, 1]")
    rate = 0.05 + 4.75 * np.maximum(used - 0.8, 0.0)
    return np.asarray(borrowed, np.float64) * np.expm1(rate * np.asarray(hours, np.float64) / 8760.0)


def collateral_schedule(parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Give what a collateral token counts for at liquidation as a schedule of its value.

    Parameters
    ----------
    parameters : mapping
        ``ltv`` in [0, 1]; optionally ``borrow_cap`` (borrowed token) and ``supply_cap`` (units).
    quantity : float
        Units held, >= 0.

    Returns
    -------
    TierSchedule
        Of ``quantity * price``: slope ``threshold * min(1, supply_cap / quantity)`` up to the borrow cap, flat beyond.

    Raises
    ------
    InputError
        If the ratio is missing or out of range, or the quantity is negative.

    Examples
    --------
    >>> counted = collateral_schedule({"ltv": 0.5, "borrow_cap": 1_000.0, "supply_cap": 200.0}, 400.0)
    >>> float(counted(400.0)), float(counted(40_000.0))
    (150.0, 1000.0)
    """
    if not quantity >= 0:
        raise InputError("quantity", quantity, "a number >= 0: collateral is held, not owed")
    threshold = float(liquidation_threshold(parameter(parameters, "ltv")))
    supply, cap = parameter(parameters, "supply_cap", np.inf), parameter(parameters, "borrow_cap", np.inf)
    slope = threshold * (min(1.0, supply / quantity) if quantity > 0 else 1.0)
    if slope == 0.0 or not np.isfinite(cap / slope):
        return TierSchedule.from_rates([0.0], [slope])
    if cap == 0.0:
        return TierSchedule.from_rates([0.0], [0.0])
    return TierSchedule.from_rates([0.0, cap / slope], [slope, 0.0])


def maintenance_schedule(parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Give the maintenance of what is borrowed as a schedule of its value, such that equity below it is liquidatable.

    Parameters
    ----------
    parameters : mapping
        ``offset``, borrowed token, >= 0 (once an account; `MIN_BORROW_OFFSET` where left out).
    quantity : float
        Units of the borrowed token, < 0 where owed.

    Returns
    -------
    TierSchedule
        Of ``|quantity| * price``: ``(value + offset) / 0.95`` where owed, ``offset / 0.95`` else. Equity is then the
        liquidation value (the debt is no part of it), and cross maintenance is divided by 0.95 as well.

    Raises
    ------
    InputError
        If the offset is negative.

    Examples
    --------
    >>> round(float(maintenance_schedule({}, -75.0)(75.0)), 6)
    100.0
    """
    offset = parameter(parameters, "offset", MIN_BORROW_OFFSET)
    if not offset >= 0:
        raise InputError("parameters.offset", offset, "an amount >= 0")
    slope = 1.0 / LIQUIDATION_RATIO if quantity < 0 else 0.0
    none = np.full(1, np.nan)
    return TierSchedule(np.zeros(1), np.array([slope]), np.array([-offset / LIQUIDATION_RATIO]), none)


def _check_ltv(ltv: ArrayLike) -> None:
    ratio = np.asarray(ltv, np.float64)
    if not np.all((ratio >= 0) & (ratio <= 1)):
        raise InputError("ltv", ratio.tolist(), "ratios in [0, 1]")
