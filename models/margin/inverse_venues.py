"""Liquidation prices of inverse contracts in the forms that single venues print.

Each is the general rule of `models.margin.inverse` with its own idea of what backs the position and where
maintenance is valued; the older forms of Bybit and BitMEX value it at entry.

References
----------
Bybit help centre, "Liquidation Price Calculation under Isolated Mode (Unified Trading Account)": pages of 2024-09-10
(maintenance at entry) and of 2026-05-27 (at the liquidation price); Bybit help centre 360039261334, "How to calculate
Liquidation Price (Inverse Contract)" (classic cross); BitMEX, "Liquidation" and "Exchange guide", and their
step-by-step account by J. Dummett, "How To BitMEX: Calculate Liquidation Price on XBTUSD" (2020-02-24).
"""

from __future__ import annotations

from typing import Final, Literal

from models.errors import InputError
from models.margin.inverse import inverse_liquidation_price
from models.margin.liquidation import LiquidationPrice
from models.margin.tiers import TierSchedule

__all__ = ["BYBIT_CLASSIC_TAKER", "bitmex_isolated", "bybit_classic_cross", "bybit_isolated"]

BYBIT_CLASSIC_TAKER: Final = 0.00075
"""Taker fee of Bybit's and BitMEX's inverse contracts in the published examples (2019 to 2020)."""


def bybit_isolated(
    contracts: float,
    entry_price: float,
    leverage: float,
    tiers: TierSchedule | tuple[float, float],
    *,
    extra_margin: float = 0.0,
    taker_fee: float = 0.00055,
    page: Literal["2024", "2026"] = "2026",
) -> LiquidationPrice:
    """Give the liquidation price of an isolated inverse position on Bybit.

    Parameters
    ----------
    contracts : float
        Quote units, > 0 long, < 0 short.
    entry_price : float
        Quote units for one coin.
    leverage : float
        >= 1; sets the initial margin ``Q / EP / leverage``.
    tiers : TierSchedule or tuple of float
        Tiers on the notional in coin, or the ``(rate, deduction)`` of a known tier.
    extra_margin : float
        Margin added to the position, coin, >= 0.
    taker_fee : float
        Fee of the page of 2026, by which extra margin is divided: ``extra / (1 + s fee)``.
    page : {"2024", "2026"}
        ``"2024"``: ``Q / (PV + s (IM + extra - MM))``, maintenance at entry. ``"2026"``:
        ``Q (1 + s MMR) / (PV + s (PV / leverage + extra / (1 + s fee) + deduction))``, the tier of the solution.

    Returns
    -------
    LiquidationPrice
        The price, or why there is none.

    Raises
    ------
    InputError
        If the leverage, the fee or the page is out of range.

    Notes
    -----
    The older page subtracts ``extra / Q`` from the price, coin over dollars; here extra margin joins the initial
    margin, which is what its words say.

    Examples
    --------
    >>> round(bybit_isolated(-60_000, 50_000.0, 10, (0.005, 0.0), page="2024").price, 2)
    55248.62
    >>> round(bybit_isolated(-60_000, 50_000.0, 10, (0.005, 0.0)).price, 2)
    55277.78
    """
    if not leverage >= 1:
        raise InputError("leverage", leverage, "a number >= 1")
    if not 0 <= taker_fee < 1:
        raise InputError("taker_fee", taker_fee, "a fraction in [0, 1)")
    if page not in ("2024", "2026"):
        raise InputError("page", page, "'2024' or '2026'")
    initial = abs(contracts) / entry_price / leverage
    if page == "2024":
        return inverse_liquidation_price(contracts, entry_price, initial + extra_margin, tiers, variant="bybit")
    side = 1.0 if contracts > 0 else -1.0
    margin = initial + extra_margin / (1.0 + side * taker_fee)
    return inverse_liquidation_price(contracts, entry_price, margin, tiers)


def bybit_classic_cross(
    contracts: float,
    entry_price: float,
    balance: float,
    maintenance_rate: float,
    *,
    order_margin: float = 0.0,
    taker_fee: float = BYBIT_CLASSIC_TAKER,
) -> float:
    """Give the liquidation price of a cross inverse position in Bybit's classic account (before unified accounts).

    Parameters
    ----------
    contracts : float
        Quote units, > 0 long, < 0 short.
    entry_price : float
        Quote units for one coin, > 0.
    balance : float
        Account balance, coin.
    maintenance_rate : float
        Rate of the risk limit, on the notional at entry.
    order_margin : float
        Coin held by orders.
    taker_fee : float
        Fee to close at the bankruptcy price.

    Returns
    -------
    float
        ``Q / (Q/EP + s (free - rate Q/EP - fee Q/BP))``, BP the bankruptcy price ``(1 + s fee) Q / (Q/EP + s free)``;
        NaN where no positive price liquidates.

    Raises
    ------
    InputError
        If there is no position or no price.

    Examples
    --------
    >>> round(bybit_classic_cross(10_000, 8_000.0, 0.5, 0.005), 2)  # printed as 5739.50: the next tick of 0.50
    5739.08
    """
    _check_position(contracts, entry_price)
    side, size = (1.0 if contracts > 0 else -1.0), abs(contracts)
    value, free = size / entry_price, balance - order_margin
    bankrupt = (1.0 + side * taker_fee) / _positive(value + side * free)
    return size / _positive(value + side * (free - maintenance_rate * value - taker_fee / bankrupt))


def bitmex_isolated(
    contracts: float,
    entry_price: float,
    margin: float,
    maintenance_rate: float = 0.005,
    *,
    taker_fee: float = BYBIT_CLASSIC_TAKER,
    funding_rate: float = 0.0,
) -> float:
    """Give the liquidation price of an isolated inverse position on BitMEX.

    Parameters
    ----------
    contracts : float
        Quote units, > 0 long, < 0 short.
    entry_price : float
        Quote units for one coin, > 0.
    margin : float
        Margin assigned to the position, coin (initial margin = entry value / leverage).
    maintenance_rate : float
        Of the entry value (XBTUSD: 0.5 %).
    taker_fee : float
        Fee to close, on the value at the bankruptcy price.
    funding_rate : float
        Next funding rate; reserved on the bankruptcy value by the side that pays it.

    Returns
    -------
    float
        ``Q / (Q/EP + s (margin - MM))`` with ``MM = rate Q/EP + (fee + max(s funding, 0)) (Q/EP + s margin)``;
        NaN where no positive price liquidates.

    Raises
    ------
    InputError
        If there is no position or no price.

    Examples
    --------
    >>> round(bitmex_isolated(200_000, 10_000.0, 1.0, funding_rate=0.0001), 1)
    9577.6
    """
    _check_position(contracts, entry_price)
    side, size = (1.0 if contracts > 0 else -1.0), abs(contracts)
    value = size / entry_price
    bankrupt = value + side * margin
    maintenance = maintenance_rate * value + (taker_fee + max(side * funding_rate, 0.0)) * bankrupt
    return size / _positive(value + side * (margin - maintenance))


def _check_position(contracts: float, entry_price: float) -> None:
    if not abs(contracts) > 0:
        raise InputError("contracts", contracts, "a finite amount that is not zero")
    if not entry_price > 0:
        raise InputError("entry_price", entry_price, "a price > 0")


def _positive(value: float) -> float:
    """The value, NaN where it is not positive: the coin then covers every fall of the contract."""
    return value if value > 0 else float("nan")
