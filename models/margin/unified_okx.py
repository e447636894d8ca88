"""OKX multi-currency margin mode: equity of all currencies at their discount rates over maintenance.

A currency's equity is ``balance + unrealised PnL + option value - interest``. What is held counts at progressive
discount rates whose tiers are set in units of the currency, what is owed counts in full. The margin ratio divides by
maintenance (of positions and of what is borrowed) plus the fees of liquidating everything; at 100 % it is liquidated.

References
----------
OKX help, "IV. Multi-currency margin mode: cross margin trading" (2023-03-21, updated 2024-10-25); "Tiered maintenance
margin ratio rules" (2022-06-16, updated 2025-05-16).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from models.errors import InputError
from models.margin._parameters import parameter
from models.margin.bands import OKX_MULTI_CURRENCY
from models.margin.collateral import quantity_tiered_value
from models.margin.tiers import TierSchedule
from models.margin.unified import UnifiedMargin, margin_ratio

__all__ = ["collateral_schedule", "initial_rate", "maintenance_schedule", "okx_margin"]


def okx_margin(
    equity: ArrayLike,
    price: ArrayLike,
    discount: Sequence[TierSchedule | float],
    maintenance: ArrayLike,
    *,
    liquidation_fee: ArrayLike = 0.0,
    order_loss: ArrayLike = 0.0,
) -> UnifiedMargin:
    """Give adjusted equity, maintenance with liquidation fees, the margin ratio and the state.

    Parameters
    ----------
    equity : array_like, shape (..., n)
        Equity of each currency, units, negative where owed.
    price : array_like, shape (..., n)
        Dollars for one unit, >= 0.
    discount : sequence of TierSchedule or float, length n
        Discount rate of each currency: tiers on units, or one rate.
    maintenance : array_like, shape (...)
        Of all positions and of what is borrowed, dollars, >= 0.
    liquidation_fee : array_like, shape (...)
        Fees of closing all positions, dollars, >= 0.
    order_loss : array_like, shape (...)
        What open orders may lose, dollars, >= 0.

    Returns
    -------
    UnifiedMargin
        `maintenance` includes the fees: what equity is divided by.

    Raises
    ------
    InputError
        If there is not one discount for each currency, or a requirement is negative.

    Examples
    --------
    >>> btc = TierSchedule.from_rates([0, 20], [0.98, 0.975])
    >>> found = okx_margin([30.0, -200_000.0], [60_000.0, 1.0], [btc, 1.0], 500_000.0, liquidation_fee=1_000.0)
    >>> float(found.equity), round(float(found.ratio), 4), found.state_names()
    (1561000.0, 3.1158, ['normal'])
    """
    held, at = np.broadcast_arrays(np.asarray(equity, np.float64), np.asarray(price, np.float64))
    if held.ndim == 0 or held.shape[-1] != len(discount):
        raise InputError("discount", len(discount), f"one for each currency of equity, whose shape is {held.shape}")
    need, fee, loss = (np.asarray(v, np.float64) for v in (maintenance, liquidation_fee, order_loss))
    for name, value in (("maintenance", need), ("liquidation_fee", fee), ("order_loss", loss)):
        if np.any(value < 0):
            raise InputError(name, value.tolist(), "dollars >= 0")
    counted = [quantity_tiered_value(held[..., i], at[..., i], _schedule(d)) for i, d in enumerate(discount)]
    total = np.sum(counted, axis=0)
    adjusted = total - loss
    ratio = margin_ratio(adjusted, need + fee)
    return UnifiedMargin(total, adjusted, need + fee, ratio, OKX_MULTI_CURRENCY.state(ratio), OKX_MULTI_CURRENCY)


def maintenance_schedule(parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Give the maintenance of what is borrowed of a currency, with its liquidation fee, as a schedule of its value.

    Parameters
    ----------
    parameters : mapping
        ``borrow_maintenance_rate`` in [0, 1] and, optionally, ``taker_fee``.
    quantity : float
        Units, < 0 where borrowed; what is held requires nothing.

    Returns
    -------
    TierSchedule
        Of ``|quantity| * price``.

    Raises
    ------
    InputError
        If a rate is missing or out of range.

    Examples
    --------
    >>> float(maintenance_schedule({"borrow_maintenance_rate": 0.03, "taker_fee": 0.001}, -5.0)(1_000.0))
    31.0
    """
    rate = parameter(parameters, "borrow_maintenance_rate") + parameter(parameters, "taker_fee", 0.0)
    return TierSchedule.from_rates([0.0], [rate if quantity < 0 else 0.0])


def initial_rate(parameters: Mapping[str, float], quantity: float) -> float:
    """Give the initial margin of what is borrowed over its value.

    Parameters
    ----------
    parameters : mapping
        ``borrow_leverage``, >= 1.
    quantity : float
        Units, < 0 where borrowed.

    Returns
    -------
    float
        ``1 / leverage``; 0 for what is held.

    Raises
    ------
    InputError
        If the leverage is missing or lies below 1.

    Examples
    --------
    >>> initial_rate({"borrow_leverage": 10}, -1.0)
    0.1
    """
    leverage = parameter(parameters, "borrow_leverage")
    if not leverage >= 1:
        raise InputError("parameters.borrow_leverage", leverage, "a number >= 1")
    return 1.0 / leverage if quantity < 0 else 0.0


def collateral_schedule(parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Give what a currency counts for as a schedule of its value.

    Parameters
    ----------
    parameters : mapping
        ``discount_1``, ``discount_2``, ... in [0, 1], falling, and ``floor_2``, ``floor_3``, ...: units of the
        currency from which each holds, rising.
    quantity : float
        Units. Tiers are set on units, so the counted share does not depend on the price.

    Returns
    -------
    TierSchedule
        Of ``quantity * price``: one slope, the mean discount of that quantity; a value below 0 counts in full.

    Raises
    ------
    InputError
        If a parameter is missing, out of range or out of order, or the quantity is not a number.

    Examples
    --------
    >>> rule = {"discount_1": 0.98, "discount_2": 0.95, "floor_2": 20.0}
    >>> round(float(collateral_schedule(rule, 30.0)(30.0 * 60_000.0)), 6)
    1746000.0
    """
    if not np.isfinite(quantity):
        raise InputError("quantity", quantity, "a finite number")
    count = sum(name.startswith("discount_") for name in parameters)
    rates = [parameter(parameters, f"discount_{k}") for k in range(1, max(count, 1) + 1)]
    floors = [0.0, *(parameter(parameters, f"floor_{k}") for k in range(2, count + 1))]
    tiers = TierSchedule.from_rates(floors, rates)
    mean = float(tiers(quantity)) / quantity if quantity > 0 else rates[0]
    return TierSchedule.from_rates([0.0], [min(max(mean, 0.0), 1.0)])


def _schedule(discount: TierSchedule | float) -> TierSchedule:
    return discount if isinstance(discount, TierSchedule) else TierSchedule.from_rates([0.0], [float(discount)])
