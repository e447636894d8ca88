"""Liquidation prices of several legs on one price: hedge mode, or a future held against a perpetual.

Long and short legs of one symbol are margined separately (each on its own notional) but move with
the same price. The gap is then concave and piecewise linear in that price, so the safe prices form
an interval ``[lower, upper]``: a hedged book can be liquidated by a rise and by a fall.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.errors import InputError
from models.margin.tiers import TierSchedule
from models.typing import FloatArray

__all__ = ["Leg", "SafePrices", "safe_prices"]


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg: signed quantity (base units), entry price and maintenance tiers."""

    quantity: float
    entry_price: float
    tiers: TierSchedule


@dataclass(frozen=True, slots=True)
class SafePrices:
    """Prices at which the legs are not liquidated.

    Parameters
    ----------
    lower : float
        A fall below it liquidates; 0 where no fall does.
    upper : float
        A rise above it liquidates; inf where no rise does.
    empty : bool
        True where every positive price liquidates; `lower` and `upper` are then NaN.
    """

    lower: float
    upper: float
    empty: bool


def safe_prices(
    legs: Sequence[Leg],
    wallet: float,
    *,
    other_maintenance: float = 0.0,
    other_pnl: float = 0.0,
    factor: float = 1.0,
) -> SafePrices:
    """Give the prices between which legs on one price are not liquidated.

    Parameters
    ----------
    legs : sequence of Leg
        At least one; they share the price.
    wallet : float
        Balance that backs them, settlement currency.
    other_maintenance, other_pnl : float
        Maintenance and unrealised PnL of positions on other prices, held at their mark.
    factor : float
        1 for liquidation; ``1 / call_ratio`` for the margin call.

    Returns
    -------
    SafePrices
        The interval, exact in the tiers that hold its ends.

    Raises
    ------
    InputError
        If there is no leg, or a value is not finite.

    Examples
    --------
    >>> flat = TierSchedule.from_rates([0], [0.01])
    >>> found = safe_prices([Leg(2.0, 100.0, flat), Leg(-1.0, 100.0, flat)], 50.0)
    >>> round(found.lower, 4), found.upper
    (51.5464, inf)
    """
    quantity = np.array([leg.quantity for leg in legs], np.float64)
    entry = np.array([leg.entry_price for leg in legs], np.float64)
    if not len(legs) or not np.all(np.isfinite(quantity)) or not np.all(np.isfinite(entry)) or not np.all(quantity):
        raise InputError("legs", [(leg.quantity, leg.entry_price) for leg in legs], "finite legs that are not zero")
    level = wallet + other_pnl - factor * other_maintenance - float(quantity @ entry)
    if not np.isfinite(level):
        raise InputError("wallet", wallet, "a finite balance")
    bounds = np.unique(np.concatenate([leg.tiers.floor / abs(leg.quantity) for leg in legs]))
    slope, start = _pieces(legs, quantity, level, bounds, factor)
    return _interval(bounds, slope, start)


def _pieces(
    legs: Sequence[Leg], quantity: FloatArray, level: float, bounds: FloatArray, factor: float
) -> tuple[FloatArray, FloatArray]:
    """Slope of the gap right of each bound, and its value there."""
    slope = np.full(len(bounds), quantity.sum())
    value = level + quantity.sum() * bounds
    for leg in legs:
        size = abs(leg.quantity)
        k = np.searchsorted(leg.tiers.floor / size, bounds, side="right") - 1
        slope -= factor * leg.tiers.rate[k] * size
        value -= factor * (leg.tiers.rate[k] * size * bounds - leg.tiers.offset[k])
    return slope, value


def _interval(bounds: FloatArray, slope: FloatArray, value: FloatArray) -> SafePrices:
    """Zero crossings of a concave function given by its pieces."""
    last = value[-1] if slope[-1] == 0 else np.copysign(np.inf, slope[-1])
    end = np.append(value[1:], last)
    rises = np.flatnonzero((value < 0) & (end >= 0))
    falls = np.flatnonzero((value >= 0) & (end < 0))
    if not (value[0] > 0 or end[-1] >= 0 or np.any(value[1:] >= 0)):
        return SafePrices(float("nan"), float("nan"), True)
    lower = float(bounds[rises[0]] - value[rises[0]] / slope[rises[0]]) if rises.size else 0.0
    upper = float(bounds[falls[-1]] - value[falls[-1]] / slope[falls[-1]]) if falls.size else float("inf")
    return SafePrices(lower, max(lower, upper), False)
