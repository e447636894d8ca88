"""Loans against collateral, as Aave rules them: health factor and limits.

Collateral counts at its liquidation threshold, debt in full, both at the oracle price: the oracle is the mark::

    health factor = sum(collateral * threshold) / debt          below 1 the loan may be liquidated
    may borrow    = sum(collateral * LTV) - debt                 LTV <= threshold

For the fast engine a loan is a unit whose equity is collateral at its thresholds and whose maintenance is the debt.

References
----------
Aave v3 technical paper (2022-01), "Risk parameters" and "eMode"; Aave docs, "Health factor and liquidations".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from models.errors import InputError
from models.margin.tiers import TierSchedule

__all__ = [
    "NO_DEBT",
    "Reserve",
    "available_borrow",
    "average_threshold",
    "collateral_schedule",
    "debt_schedule",
    "health_factor_of_totals",
    "in_emode",
    "liquidation_price",
    "withdrawable",
]

NO_DEBT: Final = -1.0
"""Health factor that the venue prints where nothing is owed."""


class Reserve(NamedTuple):
    """Risk parameters of an asset, fractions; the category is that of its e-mode (0: none)."""

    ltv: float
    liquidation_threshold: float
    liquidation_bonus: float
    category: int = 0


def health_factor_of_totals(collateral: float, debt: float, threshold_bps: float) -> float:
    """Give the health factor from the totals that the venue prints.

    Parameters
    ----------
    collateral, debt : float
        Totals at oracle prices, the same currency, >= 0.
    threshold_bps : float
        Average liquidation threshold weighted by value, basis points in [0, 10000].

    Returns
    -------
    float
        The factor; `NO_DEBT` (-1) where nothing is owed.

    Raises
    ------
    InputError
        If an amount is negative or the threshold out of range.

    Examples
    --------
    >>> health_factor_of_totals(40_000.0, 20_000.0, 6_000), health_factor_of_totals(1.0, 0.0, 5_000)
    (1.2, -1.0)
    """
    if not (collateral >= 0 and debt >= 0):
        raise InputError("debt", (collateral, debt), "amounts >= 0")
    if not 0 <= threshold_bps <= 10_000:
        raise InputError("threshold_bps", threshold_bps, "basis points in [0, 10000]")
    return collateral * threshold_bps / 10_000 / debt if debt > 0 else NO_DEBT


def average_threshold(values: Sequence[float], thresholds: Sequence[float]) -> float:
    """Give the liquidation threshold of several assets together.

    Parameters
    ----------
    values : sequence of float
        Market value of each asset, >= 0.
    thresholds : sequence of float
        Liquidation threshold of each, in [0, 1].

    Returns
    -------
    float
        Mean weighted by value; 0 where there is no collateral.

    Examples
    --------
    >>> round(average_threshold([3_000.0, 1_000.0], [0.8, 0.6]), 12)
    0.75
    """
    held = np.asarray(values, np.float64)
    total = float(held.sum())
    return float(held @ np.asarray(thresholds, np.float64)) / total if total > 0 else 0.0


def in_emode(reserve: Reserve, emode: Reserve) -> Reserve:
    """Give the parameters of an asset for a user of an efficiency mode.

    Parameters
    ----------
    reserve : Reserve
        Parameters of the asset.
    emode : Reserve
        Parameters of the category that the user chose; category 0 for none.

    Returns
    -------
    Reserve
        Those of the category where the asset belongs to it, else its own.

    Examples
    --------
    >>> in_emode(Reserve(0.685, 0.795, 0.07, 1), Reserve(0.9, 0.93, 0.01, 1)).liquidation_threshold
    0.93
    """
    return emode if emode.category != 0 and emode.category == reserve.category else reserve


def available_borrow(values: Sequence[float], ltvs: Sequence[float], debt: float) -> float:
    """Give how much more may be borrowed.

    Parameters
    ----------
    values : sequence of float
        Market value of each collateral.
    ltvs : sequence of float
        Loan to value of each, in [0, 1].
    debt : float
        What is owed already, the same currency.

    Returns
    -------
    float
        Amount, 0 where the limit is passed.

    Examples
    --------
    >>> available_borrow([10_000.0], [0.8], 6_000.0), available_borrow([10_000.0], [0.5], 6_000.0)
    (2000.0, 0.0)
    """
    limit = float(np.asarray(values, np.float64) @ np.asarray(ltvs, np.float64))
    return max(limit - debt, 0.0)


def withdrawable(
    values: Sequence[float], thresholds: Sequence[float], debt: float, asset: int, least_health: float = 1.0
) -> float:
    """Give how much of one collateral may be taken out while the health factor keeps a level.

    Parameters
    ----------
    values : sequence of float
        Market value of each collateral.
    thresholds : sequence of float
        Liquidation threshold of each, in [0, 1].
    debt : float
        What is owed, the same currency.
    asset : int
        Position of the asset in `values`.
    least_health : float
        Health factor to keep, >= 1; the venue asks for 1.

    Returns
    -------
    float
        Value, between 0 and what is held of it.

    Raises
    ------
    InputError
        If the health factor to keep is below 1.

    Examples
    --------
    >>> withdrawable([10_000.0], [0.8], 6_000.0, 0)
    2500.0
    """
    if not least_health >= 1:
        raise InputError("least_health", least_health, "a factor >= 1")
    held, rate = np.asarray(values, np.float64), np.asarray(thresholds, np.float64)
    if debt == 0 or rate[asset] == 0:
        return float(held[asset])
    room = (float(held @ rate) - least_health * debt) / float(rate[asset])
    return float(min(max(room, 0.0), held[asset]))


def liquidation_price(quantity: float, threshold: float, debt: float) -> float:
    """Give the price of the only volatile collateral at which the health factor is 1.

    Parameters
    ----------
    quantity : float
        Units of collateral, > 0.
    threshold : float
        Its liquidation threshold, in (0, 1].
    debt : float
        What is owed, currency of the price; less what stable collateral covers at its threshold.

    Returns
    -------
    float
        Price, 0 where nothing is left to cover.

    Raises
    ------
    InputError
        If there is no collateral or it does not count.

    Examples
    --------
    >>> liquidation_price(2.0, 0.8, 3_200.0)
    2000.0
    """
    if not (quantity > 0 and 0 < threshold <= 1):
        raise InputError("quantity", (quantity, threshold), "a quantity > 0 and a threshold in (0, 1]")
    return max(debt, 0.0) / (quantity * threshold)


def debt_schedule() -> TierSchedule:
    """Give what a debt requires as a function of its value: itself.

    Returns
    -------
    TierSchedule
        The identity; with `collateral_schedule` equity below maintenance is a health factor below 1, and a call
        ratio of 0.8 is a health factor of 1.25.

    Examples
    --------
    >>> float(debt_schedule()(6_000.0))
    6000.0
    """
    return TierSchedule.from_rates([0.0], [1.0])


def collateral_schedule(liquidation_threshold: float) -> TierSchedule:
    """Give what a collateral counts for as a function of its market value.

    Parameters
    ----------
    liquidation_threshold : float
        Fraction in [0, 1].

    Returns
    -------
    TierSchedule
        One slice.

    Raises
    ------
    InputError
        If the threshold is out of range.

    Examples
    --------
    >>> float(collateral_schedule(0.8)(10_000.0))
    8000.0
    """
    return TierSchedule.from_rates([0.0], [float(liquidation_threshold)])
