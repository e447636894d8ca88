"""Binance Portfolio Margin: one equity over the margin, USD-M and COIN-M wallets, and its ratio to maintenance.

Per asset the balance of all wallets is ``x = margin asset - loan + futures asset + unrealised PnL`` and counts for
``min(x * rate, x) * index``: a haircut on what is held, none on what is owed. Maintenance adds that of the positions
(``rate * notional - cum``, coin contracts in coin at the index) and of margin loans at a rate set by the leverage
chosen for them. ``uniMMR = adjusted equity / maintenance``; its bands are in `models.margin.bands`.

Position tiers are those of the futures venues (rulesets ``binance-usdm``; coin tiers through `models.margin.inverse`).
Interest on negative balances is `models.margin.collateral.negative_balance_interest` over the threshold that
`models.margin.negative_balance` gives; they are allowed while uniMMR lies above 1.05.

References
----------
Binance FAQ 4868b2f1aa6c4d08af973328462bb0bd, "What Is the Unified Account Maintenance Margin Ratio (uniMMR)"
(2023-05-04, updated 2025-02-06); 5e33af8e6ac04d57a1d0a3398e0a0752, "Maintenance Margin Ratio Calculation"
(2022-04-18); 446ce2c3357a449599c82436078b0e3b, largest withdrawal and loan (2022-04-18);
174861644e7049aaa64845f1db2e4376, "Portfolio Margin Trading Rules" (initial margin of loans).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from models.errors import InputError
from models.margin._parameters import parameter
from models.margin.bands import BINANCE_PM, StateBands
from models.margin.tiers import TierSchedule
from models.typing import FloatArray, IntArray

__all__ = [
    "LOAN_RATES",
    "BinancePortfolio",
    "UnifiedMargin",
    "binance_margin",
    "binance_max_loan",
    "binance_max_withdraw",
    "collateral_schedule",
    "initial_rate",
    "maintenance_schedule",
    "margin_ratio",
]

LOAN_RATES: Final[Mapping[int, float]] = MappingProxyType({3: 0.10, 5: 0.08, 10: 0.05})
"""Maintenance rate of a margin loan by the leverage of the margin account (FAQ 5e33af8e6ac04d57a1d0a3398e0a0752)."""
_WITHDRAW_FACTOR: Final = 1.2


@dataclass(frozen=True, slots=True, eq=False)
class BinancePortfolio:
    """Balances of portfolio margin accounts; n assets in the last axis, any number of accounts before it.

    Parameters
    ----------
    margin_asset, margin_loan : ndarray, shape (..., n)
        Cross margin wallet: what is there (with what was borrowed), and what is owed with its interest, units.
    futures_asset, futures_pnl : ndarray, shape (..., n)
        Wallet balance and unrealised profit of USD-M and COIN-M together, units of the asset.
    futures_maintenance : ndarray, shape (..., n)
        Maintenance of the positions settled in the asset, units, >= 0.
    index_price : ndarray, shape (..., n)
        Dollars for one unit, >= 0.
    collateral_rate : ndarray, shape (..., n)
        In [0, 1].
    open_loss : ndarray, shape (..., n)
        Value lost if all open margin orders filled, units, >= 0.
    loan_leverage : int
        Leverage of the margin account: 3, 5 or 10.
    """

    margin_asset: FloatArray
    margin_loan: FloatArray
    futures_asset: FloatArray
    futures_pnl: FloatArray
    futures_maintenance: FloatArray
    index_price: FloatArray
    collateral_rate: FloatArray
    open_loss: FloatArray
    loan_leverage: int = 3

    def __post_init__(self) -> None:
        """Check the ranges once."""
        _loan_rate(self.loan_leverage)
        for name in ("margin_loan", "futures_maintenance", "index_price", "open_loss"):
            if np.any(np.asarray(getattr(self, name)) < 0):
                raise InputError(name, np.asarray(getattr(self, name)).tolist(), "numbers >= 0")
        rate = np.asarray(self.collateral_rate)
        if not np.all((rate >= 0) & (rate <= 1)):
            raise InputError("collateral_rate", rate.tolist(), "rates in [0, 1]")


@dataclass(frozen=True, slots=True, eq=False)
class UnifiedMargin:
    """Where unified accounts stand; arrays of the shape of the accounts, dollars.

    Parameters
    ----------
    equity : ndarray
        Counted value of all assets.
    adjusted_equity : ndarray
        Equity less what open orders may lose.
    maintenance : ndarray
        Requirement.
    ratio : ndarray
        The venue's ratio; infinite where nothing is required.
    state : ndarray of int
        Band of the ratio.
    bands : StateBands
        What the states are.
    """

    equity: FloatArray
    adjusted_equity: FloatArray
    maintenance: FloatArray
    ratio: FloatArray
    state: IntArray
    bands: StateBands

    def state_names(self) -> list[str]:
        """State of each account in words."""
        return self.bands.names(self.ratio)


def margin_ratio(equity: ArrayLike, maintenance: ArrayLike) -> FloatArray:
    """Give equity over maintenance; infinite, with the sign of equity, where nothing is required.

    Parameters
    ----------
    equity, maintenance : array_like
        Same currency.

    Returns
    -------
    ndarray
        The ratio; plus infinity where both are 0.

    Examples
    --------
    >>> margin_ratio([3.0, 1.0, -1.0, 0.0], [2.0, 0.0, 0.0, 0.0]).tolist()
    [1.5, inf, -inf, inf]
    """
    have, need = np.asarray(equity, np.float64), np.asarray(maintenance, np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(
            need > 0, have / need, np.where(np.isnan(have + need), np.nan, np.where(have < 0, -np.inf, np.inf))
        )


def binance_margin(portfolio: BinancePortfolio, bands: StateBands = BINANCE_PM) -> UnifiedMargin:
    """Give equity, maintenance, uniMMR and state of Binance portfolio margin accounts.

    Parameters
    ----------
    portfolio : BinancePortfolio
        The balances.
    bands : StateBands
        Bands in force: `BINANCE_PM`, or `BINANCE_PM_2022` for the first programme.

    Returns
    -------
    UnifiedMargin
        One value for each account.

    Examples
    --------
    One BTC held and 20,000 USDT owed on 3x, with a position that requires 500 USDT:

    >>> zero = np.zeros(2)
    >>> p = BinancePortfolio(np.array([0.0, 1.0]), np.array([20_000.0, 0.0]), zero, zero, np.array([500.0, 0.0]),
    ...     np.array([1.0, 40_000.0]), np.array([1.0, 0.95]), zero, loan_leverage=3)
    >>> found = binance_margin(p)
    >>> float(found.equity), float(found.maintenance), float(found.ratio), found.state_names()
    (18000.0, 2500.0, 7.2, ['normal'])
    """
    p = portfolio
    held = p.margin_asset - p.margin_loan + p.futures_asset + p.futures_pnl
    equity = np.sum(np.minimum(held * p.collateral_rate, held) * p.index_price, axis=-1)
    adjusted = equity - np.sum(p.open_loss * p.index_price, axis=-1)
    required = p.futures_maintenance + p.margin_loan * _loan_rate(p.loan_leverage)
    maintenance = np.sum(required * p.index_price, axis=-1)
    ratio = margin_ratio(adjusted, maintenance)
    return UnifiedMargin(equity, adjusted, maintenance, ratio, bands.state(ratio), bands)


def binance_max_withdraw(equity: ArrayLike, maintenance: ArrayLike) -> FloatArray:
    """Give the largest withdrawal: ``max(equity - 1.2 maintenance, 0)``.

    Parameters
    ----------
    equity, maintenance : array_like
        Dollars.

    Returns
    -------
    ndarray
        Dollars. A single asset is limited by its wallet balance as well; one with collateral rate 0 by that alone.

    Examples
    --------
    >>> binance_max_withdraw([5_000.0, 1_000.0], 1_000.0).tolist()
    [3800.0, 0.0]
    """
    left = np.asarray(equity, np.float64) - _WITHDRAW_FACTOR * np.asarray(maintenance, np.float64)
    return np.maximum(left, 0.0)


def binance_max_loan(
    max_withdraw: ArrayLike,
    loans: ArrayLike,
    leverage: int,
    index_price: ArrayLike,
    room: ArrayLike = np.inf,
) -> FloatArray:
    """Give how much more of an asset may be borrowed.

    Parameters
    ----------
    max_withdraw : array_like
        Of `binance_max_withdraw`, dollars.
    loans : array_like
        Value of all margin loans, dollars.
    leverage : int
        3, 5 or 10.
    index_price : array_like
        Of the asset, > 0.
    room : array_like
        Borrowing limit of the asset less what is borrowed of it, units.

    Returns
    -------
    ndarray
        Units: ``min((leverage - 1) max(withdraw - loans / (leverage - 1), 0) / index, room)``.

    Raises
    ------
    InputError
        If the leverage is not one of 3, 5 and 10.

    Examples
    --------
    >>> float(binance_max_loan(10_000.0, 5_000.0, 5, 2.0))
    17500.0
    """
    _loan_rate(leverage)
    times = leverage - 1
    free = np.maximum(np.asarray(max_withdraw, np.float64) - np.asarray(loans, np.float64) / times, 0.0)
    return np.maximum(np.minimum(times * free / np.asarray(index_price, np.float64), room), 0.0)


def maintenance_schedule(parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Give the maintenance of an asset's loan as a schedule of its value.

    Parameters
    ----------
    parameters : mapping
        ``leverage``: 3, 5 or 10.
    quantity : float
        Units, < 0 where borrowed; what is held requires nothing.

    Returns
    -------
    TierSchedule
        Of ``|quantity| * price``.

    Raises
    ------
    InputError
        If the leverage is missing or not one of the table.

    Examples
    --------
    >>> float(maintenance_schedule({"leverage": 5}, -2.0)(1_000.0))
    80.0
    """
    rate = _loan_rate(parameter(parameters, "leverage")) if quantity < 0 else 0.0
    return TierSchedule.from_rates([0.0], [rate])


def initial_rate(parameters: Mapping[str, float], quantity: float) -> float:
    """Give the initial margin of an asset's loan over its value: ``1 / (leverage - 1)``.

    Parameters
    ----------
    parameters : mapping
        ``leverage``: 3, 5 or 10.
    quantity : float
        Units, < 0 where borrowed.

    Returns
    -------
    float
        0 for what is held.

    Raises
    ------
    InputError
        If the leverage is missing or not one of the table.

    Examples
    --------
    >>> initial_rate({"leverage": 5}, -2.0)
    0.25
    """
    leverage = parameter(parameters, "leverage")
    _loan_rate(leverage)
    return 1.0 / (leverage - 1.0) if quantity < 0 else 0.0


def collateral_schedule(parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Give what an asset's net balance counts for as a schedule of its value.

    Parameters
    ----------
    parameters : mapping
        ``collateral_rate`` in [0, 1].
    quantity : float
        Units; the schedule is the same for all, a value below 0 counts in full.

    Returns
    -------
    TierSchedule
        Of ``quantity * price``.

    Raises
    ------
    InputError
        If the rate is missing or out of range, or the quantity is not a number.

    Examples
    --------
    >>> counted = collateral_schedule({"collateral_rate": 0.95}, 1.0)
    >>> float(counted(1_000.0)), float(counted(-1_000.0))
    (950.0, -1000.0)
    """
    if not np.isfinite(quantity):
        raise InputError("quantity", quantity, "a finite number")
    return TierSchedule.from_rates([0.0], [parameter(parameters, "collateral_rate")])


def _loan_rate(leverage: float) -> float:
    if leverage not in LOAN_RATES:
        raise InputError("leverage", leverage, "one of 3, 5 and 10")
    return LOAN_RATES[int(leverage)]
