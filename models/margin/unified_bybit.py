"""Bybit Unified Trading Account: initial and maintenance rates, what is borrowed automatically, and its interest.

Both rates divide by ``margin balance - haircut loss + order loss``. The margin balance counts each asset's equity at
its collateral value ratio (a debt in full); in portfolio margin mode it includes the value of options. Haircut loss is
what spot orders would cost in collateral value, a positive number; order loss is the profit (a loss is negative) that
open orders would have at once at the mark price.

References
----------
Bybit help centre, "Trading Terms and Formulas in Unified Trading Account" (2024-08-30, 2025-09-02, 2026-03-13);
"Borrowing, Interest and Repayment (Unified Trading Account)" (2025-01-08, 2025-10-22).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from models.errors import InputError
from models.margin._parameters import parameter
from models.margin.bands import BYBIT_UTA_INITIAL, BYBIT_UTA_MAINTENANCE
from models.margin.tiers import TierSchedule
from models.margin.unified import margin_ratio
from models.typing import FloatArray, IntArray

__all__ = [
    "BybitAccount",
    "BybitMargin",
    "Mode",
    "borrowed_amount",
    "bybit_margin",
    "collateral_schedule",
    "hourly_interest",
    "initial_rate",
    "maintenance_schedule",
]

Mode = Literal["cross", "portfolio"]


@dataclass(frozen=True, slots=True, eq=False)
class BybitAccount:
    """Balances of unified accounts; n assets in the last axis, any number of accounts before it.

    Parameters
    ----------
    wallet_balance, unrealised_pnl : ndarray, shape (..., n)
        Units of the asset; unrealised profit of perpetuals and dated futures settled in it.
    spot_borrow : ndarray, shape (..., n)
        Units borrowed on spot margin that the wallet balance contains, >= 0.
    option_value : ndarray, shape (..., n)
        Mark value of options, units, signed; counts in portfolio mode only.
    index_price : ndarray, shape (..., n)
        Dollars for one unit, >= 0.
    collateral_ratio : ndarray, shape (..., n)
        In [0, 1].
    initial, maintenance : ndarray, shape (...)
        Total initial and maintenance margin of positions, orders and borrowed assets, dollars, >= 0.
    haircut_loss : ndarray, shape (...)
        Dollars, >= 0.
    order_loss : ndarray, shape (...)
        Dollars, <= 0.
    mode : {"cross", "portfolio"}
        Margin mode.
    """

    wallet_balance: FloatArray
    unrealised_pnl: FloatArray
    spot_borrow: FloatArray
    option_value: FloatArray
    index_price: FloatArray
    collateral_ratio: FloatArray
    initial: FloatArray | float
    maintenance: FloatArray | float
    haircut_loss: FloatArray | float = 0.0
    order_loss: FloatArray | float = 0.0
    mode: Mode = "cross"

    def __post_init__(self) -> None:
        """Check the ranges once."""
        if self.mode not in ("cross", "portfolio"):
            raise InputError("mode", self.mode, "'cross' or 'portfolio'")
        for name in ("spot_borrow", "index_price", "initial", "maintenance", "haircut_loss"):
            if np.any(np.asarray(getattr(self, name)) < 0):
                raise InputError(name, np.asarray(getattr(self, name)).tolist(), "numbers >= 0")
        if np.any(np.asarray(self.order_loss) > 0):
            raise InputError("order_loss", np.asarray(self.order_loss).tolist(), "numbers <= 0: a loss is negative")
        ratio = np.asarray(self.collateral_ratio)
        if not np.all((ratio >= 0) & (ratio <= 1)):
            raise InputError("collateral_ratio", ratio.tolist(), "ratios in [0, 1]")


@dataclass(frozen=True, slots=True, eq=False)
class BybitMargin:
    """Where unified accounts stand; arrays of the shape of the accounts.

    Parameters
    ----------
    equity : ndarray
        Total equity before collateral ratios, dollars.
    margin_balance : ndarray
        After collateral ratios, dollars.
    base : ndarray
        What both rates divide by, dollars.
    initial_rate, maintenance_rate : ndarray
        Fractions; infinite where the base is used up, 0 where nothing is required of a base >= 0.
    no_new_orders, liquidated : ndarray of int
        Bands of the two rates (`BYBIT_UTA_INITIAL`, `BYBIT_UTA_MAINTENANCE`): 1 from a rate of 1 on.
    """

    equity: FloatArray
    margin_balance: FloatArray
    base: FloatArray
    initial_rate: FloatArray
    maintenance_rate: FloatArray
    no_new_orders: IntArray
    liquidated: IntArray


def bybit_margin(account: BybitAccount) -> BybitMargin:
    """Give equity, margin balance and the two account rates.

    Parameters
    ----------
    account : BybitAccount
        The balances.

    Returns
    -------
    BybitMargin
        One value for each account.

    Examples
    --------
    >>> a = BybitAccount(np.array([1_000.0, 0.1]), np.array([-500.0, 0.0]), np.zeros(2), np.zeros(2),
    ...     np.array([1.0, 50_000.0]), np.array([1.0, 0.95]), initial=2_000.0, maintenance=1_050.0)
    >>> found = bybit_margin(a)
    >>> float(found.equity), float(found.margin_balance), float(found.maintenance_rate)
    (5500.0, 5250.0, 0.2)
    """
    a = account
    linear = a.wallet_balance + a.unrealised_pnl - a.spot_borrow
    counted = linear + a.option_value if a.mode == "portfolio" else linear
    equity = np.sum((linear + a.option_value) * a.index_price, axis=-1)
    balance = np.sum(np.minimum(counted * a.collateral_ratio, counted) * a.index_price, axis=-1)
    base = balance - a.haircut_loss + a.order_loss
    initial, maintenance = _rate(a.initial, base), _rate(a.maintenance, base)
    return BybitMargin(
        equity,
        balance,
        np.asarray(base, np.float64),
        initial,
        maintenance,
        BYBIT_UTA_INITIAL.state(initial),
        BYBIT_UTA_MAINTENANCE.state(maintenance),
    )


def borrowed_amount(
    equity: ArrayLike,
    frozen: ArrayLike = 0.0,
    *,
    buy_option_initial: ArrayLike = 0.0,
    positive_option_value: ArrayLike = 0.0,
    mode: Mode = "cross",
) -> FloatArray:
    """Give what the account has borrowed of an asset, by itself, because its equity does not suffice.

    Parameters
    ----------
    equity : array_like
        Wallet balance plus unrealised profit plus option value, units of the asset.
    frozen : array_like
        Units held by orders, >= 0.
    buy_option_initial, positive_option_value : array_like
        Initial margin of option purchases and value of long options; they count in cross mode only.
    mode : {"cross", "portfolio"}
        Margin mode.

    Returns
    -------
    ndarray
        Units: ``|min(0, equity - buy_option_initial - positive_option_value - frozen)|``.

    Raises
    ------
    InputError
        If the mode is unknown.

    References
    ----------
    Bybit help centre, "Borrowing, Interest and Repayment": 50 USDT with a loss of 100 USDT has borrowed 50.

    Examples
    --------
    >>> float(borrowed_amount(50.0 - 100.0))
    50.0
    """
    if mode not in ("cross", "portfolio"):
        raise InputError("mode", mode, "'cross' or 'portfolio'")
    left = np.asarray(equity, np.float64) - np.asarray(frozen, np.float64)
    if mode == "cross":
        left = left - np.asarray(buy_option_initial, np.float64) - np.asarray(positive_option_value, np.float64)
    return np.abs(np.minimum(left, 0.0))


def hourly_interest(
    borrowed: ArrayLike,
    hourly_rate: ArrayLike,
    *,
    unrealised: ArrayLike = 0.0,
    interest_free: ArrayLike = 0.0,
    limit: ArrayLike = np.inf,
) -> FloatArray:
    """Give the interest of one hour on what is borrowed, charged five minutes after the hour.

    Parameters
    ----------
    borrowed : array_like
        Units, >= 0.
    hourly_rate : array_like
        Floating rate of the hour, a fraction.
    unrealised : array_like
        Part of it that comes from unrealised losses of derivatives, units.
    interest_free : array_like
        Free amount for that part (USDT and USDC), units.
    limit : array_like
        Largest borrowing, shared by main and sub-accounts; above it interest is multiplied by the cube of
        ``borrowed / limit``.

    Returns
    -------
    ndarray
        Units of the asset, >= 0.

    Raises
    ------
    InputError
        If an amount is negative or a limit is not positive.

    Examples
    --------
    >>> round(float(hourly_interest(1_500.0, 1e-5, unrealised=500.0, interest_free=10_000.0)), 9)
    0.01
    >>> round(float(hourly_interest(2_000.0, 1e-5, limit=1_000.0)), 9)
    0.16
    """
    owed, loss, free = (np.asarray(v, np.float64) for v in (borrowed, unrealised, interest_free))
    if np.any(owed < 0) or np.any(loss < 0) or np.any(free < 0):
        raise InputError("borrowed", owed.tolist(), "amounts >= 0, also unrealised and interest_free")
    if not np.all(np.asarray(limit) > 0):
        raise InputError("limit", np.asarray(limit).tolist(), "limits > 0")
    charged = owed - np.minimum(np.minimum(loss, free), owed)
    penalty = np.maximum(owed / np.asarray(limit, np.float64), 1.0) ** 3
    return np.asarray(charged * np.asarray(hourly_rate, np.float64) * penalty, np.float64)


def maintenance_schedule(parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Give the maintenance of a borrowed asset as a schedule of its value.

    Parameters
    ----------
    parameters : mapping
        ``borrow_maintenance_rate``, in [0, 1].
    quantity : float
        Units, < 0 where borrowed; what is held requires nothing.

    Returns
    -------
    TierSchedule
        Of ``|quantity| * price``.

    Raises
    ------
    InputError
        If the rate is missing or out of range.

    Examples
    --------
    >>> float(maintenance_schedule({"borrow_maintenance_rate": 0.04}, -1.0)(1_000.0))
    40.0
    """
    rate = parameter(parameters, "borrow_maintenance_rate")
    return TierSchedule.from_rates([0.0], [rate if quantity < 0 else 0.0])


def initial_rate(parameters: Mapping[str, float], quantity: float) -> float:
    """Give the initial margin of a borrowed asset over its value: ``1 / leverage`` of spot margin.

    Parameters
    ----------
    parameters : mapping
        ``borrow_leverage``, >= 1.
    quantity : float
        Units, < 0 where borrowed.

    Returns
    -------
    float
        0 for what is held.

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
    """Give what an asset counts for in the margin balance as a schedule of its value.

    Parameters
    ----------
    parameters : mapping
        ``collateral_ratio`` in [0, 1].
    quantity : float
        Units; a value below 0 counts in full.

    Returns
    -------
    TierSchedule
        Of ``quantity * price``.

    Raises
    ------
    InputError
        If the ratio is missing or out of range, or the quantity is not a number.

    Examples
    --------
    >>> float(collateral_schedule({"collateral_ratio": 0.9}, 1.0)(100.0))
    90.0
    """
    if not np.isfinite(quantity):
        raise InputError("quantity", quantity, "a finite number")
    return TierSchedule.from_rates([0.0], [parameter(parameters, "collateral_ratio")])


def _rate(required: ArrayLike, base: ArrayLike) -> FloatArray:
    """Requirement over base: 0 where nothing is required, infinite where the base is used up."""
    cover = margin_ratio(base, required)
    with np.errstate(divide="ignore", over="ignore"):
        rate = np.where(cover > 0, 1.0 / np.where(cover > 0, cover, 1.0), np.inf)
    return np.where(np.isnan(cover), np.nan, rate)
