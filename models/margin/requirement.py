"""Simple margin models: a rate on notional, with or without division by leverage.

``standard`` ignores leverage (margin = notional * rate), ``leveraged`` divides by it. The notional
of an inverse contract is paid in the base asset: contracts (quote units) over price.

References
----------
NautilusTrader documentation, "Margin models" (standard and leveraged), and its liquidation trigger
``equity <= trigger_ratio * maintenance``.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from models.errors import InputError
from models.typing import BoolArray, FloatArray

__all__ = ["inverse_pnl", "is_liquidated", "margin_requirement", "notional_value"]

Model = Literal["standard", "leveraged"]


def notional_value(
    quantity: ArrayLike, price: ArrayLike, *, inverse: bool = False, in_quote: bool = False
) -> FloatArray:
    """Give the notional of a position.

    Parameters
    ----------
    quantity : array_like
        Base units (linear) or contracts of one quote unit (inverse); the sign is ignored.
    price : array_like
        Quote units for one base unit, > 0.
    inverse : bool
        Whether the contract is settled in the base asset.
    in_quote : bool
        For an inverse contract, give the notional in quote units instead of base units.

    Returns
    -------
    ndarray
        Quote units (linear, or `in_quote`) or base units (inverse).

    Examples
    --------
    >>> float(notional_value(100_000, 0.8)), float(notional_value(100_000, 50_000.0, inverse=True))
    (80000.0, 2.0)
    """
    size, at = np.abs(np.asarray(quantity, np.float64)), np.asarray(price, np.float64)
    if not inverse:
        return size * at
    return size + 0.0 * at if in_quote else size / at


def margin_requirement(
    notional: ArrayLike, rate: ArrayLike, leverage: ArrayLike = 1.0, model: Model = "leveraged"
) -> FloatArray:
    """Give the margin that a notional requires.

    Parameters
    ----------
    notional : array_like
        Notional, any currency; the result is in the same.
    rate : array_like
        Initial or maintenance margin rate, a fraction.
    leverage : array_like
        Leverage of the account, >= 1; used by the leveraged model only.
    model : {"standard", "leveraged"}
        Whether the rate is divided by the leverage.

    Returns
    -------
    ndarray
        The requirement.

    Raises
    ------
    InputError
        If the model is unknown or a leverage lies below 1.

    Examples
    --------
    >>> float(margin_requirement(80_000.0, 0.03, 50, "standard")), float(margin_requirement(80_000.0, 0.03, 50))
    (2400.0, 48.0)
    """
    if model not in ("standard", "leveraged"):
        raise InputError("model", model, "'standard' or 'leveraged'")
    divisor = np.asarray(leverage, np.float64)
    if not np.all(divisor >= 1):
        raise InputError("leverage", np.asarray(leverage).tolist(), "numbers >= 1")
    margin = np.abs(np.asarray(notional, np.float64)) * np.asarray(rate, np.float64)
    return margin / divisor if model == "leveraged" else margin


def inverse_pnl(contracts: ArrayLike, entry_price: ArrayLike, mark_price: ArrayLike) -> FloatArray:
    """Give the profit of an inverse position in base units: ``contracts * (1/entry - 1/mark)``.

    Parameters
    ----------
    contracts : array_like
        Contracts of one quote unit, > 0 long, < 0 short.
    entry_price, mark_price : array_like
        Quote units for one base unit, > 0.

    Returns
    -------
    ndarray
        Base units.

    Examples
    --------
    >>> float(inverse_pnl(10_000, 40_000.0, 20_000.0))
    -0.25
    """
    size = np.asarray(contracts, np.float64)
    return size / np.asarray(entry_price, np.float64) - size / np.asarray(mark_price, np.float64)


def is_liquidated(equity: ArrayLike, maintenance: ArrayLike, trigger_ratio: ArrayLike = 1.0) -> BoolArray:
    """Say whether equity is at or below the trigger: ``equity <= trigger_ratio * maintenance``.

    Parameters
    ----------
    equity, maintenance : array_like
        Same currency.
    trigger_ratio : array_like
        Multiple of maintenance at which the venue liquidates.

    Returns
    -------
    ndarray of bool
        True where liquidated. Without maintenance (no position) never.

    Examples
    --------
    >>> bool(is_liquidated(0.005, 8.75e-05, 60)), bool(is_liquidated(1.0, 0.0))
    (True, False)
    """
    need = np.asarray(maintenance, np.float64)
    hit: BoolArray = (need > 0) & (np.asarray(equity, np.float64) <= np.asarray(trigger_ratio, np.float64) * need)
    return hit
