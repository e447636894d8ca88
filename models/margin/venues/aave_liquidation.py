"""Aave: how much of a loan a liquidator may repay, and what collateral that takes.

::

    may be repaid = close factor * debt                          50%, or all of it
    is seized     = repaid * (1 + bonus)                         of which the protocol takes a share of the bonus

References
----------
Aave v3 technical paper (2022-01), "Liquidations"; Aave v3.3 (2025-02): close factor of the whole debt, positions
below 2,000 USD repaid at once, nothing left between 0 and 1,000 USD.
"""

from __future__ import annotations

from math import inf
from typing import Final, Literal, NamedTuple

from models.errors import InputError
from models.margin.lending import NO_DEBT

__all__ = ["Liquidation", "close_factor", "liquidatable_debt", "liquidate"]


CLOSE_THRESHOLD: Final = 0.95
SMALL_POSITION: Final = 2_000.0
MINIMUM_LEFT: Final = 1_000.0
Version = Literal["v2", "v3", "v3.3"]


class Liquidation(NamedTuple):
    """What one liquidation moves: debt repaid, collateral taken by the liquidator and by the protocol."""

    repaid: float
    seized: float
    protocol: float


def close_factor(health: float, collateral: float = inf, debt: float = inf, version: Version = "v3") -> float:
    """Give the share of the debt that one liquidation may repay.

    Parameters
    ----------
    health : float
        Health factor.
    collateral, debt : float
        Value of the collateral and of the debt that the liquidation names, USD; used by v3.3.
    version : {"v2", "v3", "v3.3"}
        v2: always one half. v3: all of it at or below 0.95. v3.3: also where either is below 2,000 USD.

    Returns
    -------
    float
        0 for a healthy loan, 0.5 or 1.

    Raises
    ------
    InputError
        If the version is unknown.

    Examples
    --------
    >>> close_factor(0.97), close_factor(0.94), close_factor(0.97, 1_500.0, 5_000.0, "v3.3"), close_factor(1.0)
    (0.5, 1.0, 1.0, 0.0)
    """
    if version not in ("v2", "v3", "v3.3"):
        raise InputError("version", version, "'v2', 'v3' or 'v3.3'")
    if not health < 1 or health == NO_DEBT:
        return 0.0
    if version != "v2" and health <= CLOSE_THRESHOLD:
        return 1.0
    is_small = version == "v3.3" and min(collateral, debt) < SMALL_POSITION
    return 1.0 if is_small else 0.5


def liquidatable_debt(
    health: float, reserve_debt: float, total_debt: float, collateral: float, version: Version = "v3"
) -> float:
    """Give how much debt of one asset a liquidation may repay.

    Parameters
    ----------
    health : float
        Health factor.
    reserve_debt : float
        Debt in the asset that is repaid, USD.
    total_debt : float
        Debt in all assets, USD.
    collateral : float
        Value of the collateral that is seized, USD.
    version : {"v2", "v3", "v3.3"}
        Up to v3 the close factor applies to the debt in that asset, in v3.3 to the whole debt.

    Returns
    -------
    float
        USD, at most `reserve_debt`.

    Examples
    --------
    >>> liquidatable_debt(0.97, 8_000.0, 10_000.0, 9_000.0), liquidatable_debt(0.97, 8_000.0, 10_000.0, 9_000.0, "v3.3")
    (4000.0, 5000.0)
    """
    share = close_factor(health, collateral, reserve_debt, version)
    return min((total_debt if version == "v3.3" else reserve_debt) * share, reserve_debt)


def liquidate(
    cover: float, collateral: float, bonus: float, protocol_fee: float = 0.0, debt: float = inf, version: Version = "v3"
) -> Liquidation:
    """Give what a liquidation moves, all at oracle prices.

    Parameters
    ----------
    cover : float
        Debt that the liquidator repays, within `liquidatable_debt`.
    collateral : float
        Value of the collateral that is there.
    bonus : float
        Liquidation bonus, a fraction in [0, 1].
    protocol_fee : float
        Share of the bonus that the protocol takes, in [0, 1].
    debt : float
        Debt in the asset that is repaid; v3.3 refuses what would leave dust of it.
    version : {"v2", "v3", "v3.3"}
        v3.3: neither debt nor collateral may be left between 0 and 1,000 USD.

    Returns
    -------
    Liquidation
        Repaid, seized by the liquidator, and taken by the protocol; less is repaid where collateral runs out.

    Raises
    ------
    InputError
        If a fraction is out of range, or v3.3 would refuse the liquidation.

    Examples
    --------
    >>> liquidate(1_000.0, 5_000.0, 0.05, 0.1)
    Liquidation(repaid=1000.0, seized=1045.0, protocol=5.0)
    """
    if not (0 <= bonus <= 1 and 0 <= protocol_fee <= 1):
        raise InputError("bonus", (bonus, protocol_fee), "fractions in [0, 1]")
    taken = min(cover * (1.0 + bonus), collateral)
    repaid = taken / (1.0 + bonus)
    left = (debt - repaid, collateral - taken)
    if version == "v3.3" and all(x > 1e-9 for x in left) and min(left) < MINIMUM_LEFT:
        raise InputError("cover", cover, "a repayment that leaves no debt or collateral between 0 and 1,000 USD")
    fee = (taken - repaid) * protocol_fee
    return Liquidation(repaid, taken - fee, fee)
