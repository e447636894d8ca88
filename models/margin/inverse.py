"""Coin-margined (inverse) perpetuals and dated futures.

A contract is worth one quote unit (say one dollar), profit is paid in the coin: ``Q (1/EP - 1/P)``, with Q signed.
Read in ``x = 1/P``, that is a linear position of ``-Q`` units entered at ``1/EP``, and its notional ``|Q| x`` is what
coin tiers are set on: every solver of linear positions holds for inverse ones in x, with exact re-tiering.

Times the price, coin arithmetic becomes dollars that are piecewise linear in the price itself::

    equity_usd      = coin * P + Q (P/EP - 1)
    maintenance_usd = max over tiers k of (rate_k |Q| - cum_k P)

so an inverse position is a linear leg of ``Q/EP`` units entered at EP whose maintenance is a schedule of the price.

References
----------
Binance FAQ ceccfcfb4e3a45e3b48b0b1bb1a8ae46, "How to Calculate Liquidation Price of COIN-M Futures Contracts"
(2021-02-05): ``LP = Q (MMR + s) / (WB - TMM + UPNL + cum + s Q / EP)`` with Q in contracts times their size, the tier
taken at the liquidation price; Bybit help centre, "Maintenance Margin (Inverse Contract)" (tiers slice by slice).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from models.errors import InputError
from models.margin.liquidation import LiquidationPrice, LiquidationPrices, Root, Variant, liquidation_prices
from models.margin.requirement import inverse_pnl, notional_value
from models.margin.tiers import TierSchedule, TierTables
from models.typing import FloatArray

__all__ = [
    "coin_initial",
    "coin_maintenance",
    "dollar_equity",
    "inverse_liquidation_price",
    "inverse_liquidation_prices",
    "linear_equivalent",
    "maintenance_schedule",
    "settlement_cash",
    "slice_sum",
]


def coin_maintenance(contracts: ArrayLike, price: ArrayLike, tiers: TierSchedule) -> FloatArray:
    """Give the maintenance of an inverse position in coin: ``rate_k Q/P - cum_k``.

    Parameters
    ----------
    contracts : array_like
        Contracts times their size, quote units; the sign is ignored.
    price : array_like
        Mark price, quote units for one coin, > 0.
    tiers : TierSchedule
        Maintenance tiers on the notional in coin.

    Returns
    -------
    ndarray
        Coin.

    References
    ----------
    Binance FAQ be2c7d9d95b04a7e8044ed02dd7dfe5c, COIN-M tiers of BTCUSD (2020-06-11).

    Examples
    --------
    >>> tiers = TierSchedule.from_rates([0, 5, 10], [0.004, 0.005, 0.01])
    >>> round(float(coin_maintenance(-600_000, 50_000.0, tiers)), 6)  # 12 coin: 0.01 * 12 - 0.055
    0.065
    """
    return tiers(notional_value(contracts, price, inverse=True))


def slice_sum(notional: ArrayLike, tiers: TierSchedule) -> FloatArray:
    """Give the same requirement summed slice by slice: each part of the notional at the rate of its tier.

    Parameters
    ----------
    notional : array_like
        Coin, >= 0.
    tiers : TierSchedule
        Tiers on the notional in coin.

    Returns
    -------
    ndarray
        Coin.

    References
    ----------
    Bybit help centre, "Maintenance Margin (Inverse Contract)": 25 XYZ over tiers of 10 at 1 %, 10 at 2 %, 5 at 3 %.

    Examples
    --------
    >>> round(float(slice_sum(25.0, TierSchedule.from_rates([0, 10, 20, 30], [0.01, 0.02, 0.03, 0.04]))), 9)
    0.45
    """
    value = np.asarray(notional, np.float64)[..., None]
    width = np.diff(tiers.floor, append=np.inf)
    return np.asarray(np.clip(value - tiers.floor, 0.0, width) @ tiers.rate, np.float64)


def coin_initial(contracts: ArrayLike, price: ArrayLike, leverage: ArrayLike, fee_rate: float = 0.0) -> FloatArray:
    """Give the initial margin of an inverse position in coin: notional over leverage, plus the fee to close.

    Parameters
    ----------
    contracts : array_like
        Quote units; the sign is ignored.
    price : array_like
        Entry price (isolated) or mark price (cross), > 0.
    leverage : array_like
        >= 1.
    fee_rate : float
        Taker fee reserved for closing, a fraction of the notional.

    Returns
    -------
    ndarray
        Coin. In dollars it is ``|Q| / leverage`` at every price.

    Raises
    ------
    InputError
        If a leverage lies below 1.

    Examples
    --------
    >>> float(coin_initial(60_000, 50_000.0, 10))
    0.12
    """
    divisor = np.asarray(leverage, np.float64)
    if not np.all(divisor >= 1):
        raise InputError("leverage", np.asarray(leverage).tolist(), "numbers >= 1")
    return notional_value(contracts, price, inverse=True) * (1.0 / divisor + fee_rate)


def dollar_equity(wallet: ArrayLike, contracts: ArrayLike, entry_price: ArrayLike, price: ArrayLike) -> FloatArray:
    """Give coin equity times the price: ``coin * P + Q (P/EP - 1)``, which is linear in the price.

    Parameters
    ----------
    wallet : array_like
        Coin.
    contracts : array_like
        Quote units, > 0 long, < 0 short.
    entry_price, price : array_like
        Quote units for one coin, > 0.

    Returns
    -------
    ndarray
        Quote units.

    Examples
    --------
    >>> float(dollar_equity(1.0, 10_000, 40_000.0, 20_000.0))  # 1 coin - 0.25 coin, at 20,000
    15000.0
    """
    at, size = np.asarray(price, np.float64), np.asarray(contracts, np.float64)
    return np.asarray(wallet, np.float64) * at + size * (at / np.asarray(entry_price, np.float64) - 1.0)


def linear_equivalent(contracts: float, entry_price: float) -> tuple[float, float]:
    """Give the linear position whose dollar profit is that of an inverse one times the price.

    Parameters
    ----------
    contracts : float
        Quote units, signed.
    entry_price : float
        Quote units for one coin, > 0.

    Returns
    -------
    tuple of float
        Quantity in coin and entry price: ``(Q / EP) (P - EP) = P * Q (1/EP - 1/P)``.

    Raises
    ------
    InputError
        If the entry price is not a positive number.

    Examples
    --------
    >>> linear_equivalent(-10_000, 40_000.0)
    (-0.25, 40000.0)
    """
    if not (np.isfinite(entry_price) and entry_price > 0):
        raise InputError("entry_price", entry_price, "a finite price > 0")
    return contracts / entry_price, entry_price


def maintenance_schedule(tiers: TierSchedule, contracts_value: float, units: float = 1.0) -> TierSchedule:
    """Give the dollar maintenance of an inverse position as a schedule of the price.

    Parameters
    ----------
    tiers : TierSchedule
        Maintenance tiers on the notional in coin.
    contracts_value : float
        Contracts times their size, quote units; the sign is ignored.
    units : float
        The argument of the schedule is ``units * price``; 1 makes it the price itself, ``|Q| / EP`` the notional of the
        `linear_equivalent`. > 0.

    Returns
    -------
    TierSchedule
        ``value(P) = max over k of (rate_k Q - cum_k P)``: rows rise with the price, so the highest tier comes first.
        It is convex, and falls with the price, so `rate` holds ``-cum_k`` and `offset` ``-rate_k Q``.

    Raises
    ------
    InputError
        If the value is not finite, or `units` is not a positive number.

    Notes
    -----
    Valid for prices >= 0. At price 0 it gives the limit, the highest rate times Q.

    Examples
    --------
    >>> coin = TierSchedule.from_rates([0, 5, 10], [0.004, 0.005, 0.01])
    >>> usd = maintenance_schedule(coin, 600_000)
    >>> usd.floor.tolist(), float(usd(50_000.0)), round(0.065 * 50_000, 6)
    ([0.0, 60000.0, 120000.0], 3250.0, 3250.0)
    """
    if not np.isfinite(contracts_value):
        raise InputError("contracts_value", contracts_value, "a finite amount in quote units")
    if not (np.isfinite(units) and units > 0):
        raise InputError("units", units, "a finite number > 0")
    size = abs(float(contracts_value))
    if size == 0.0:
        nothing = np.zeros(1)
        return TierSchedule(nothing, nothing, nothing, tiers.max_leverage[:1])
    bounds = size / tiers.floor[:0:-1]
    return TierSchedule(
        np.concatenate([[0.0], bounds]) * units,
        0.0 - tiers.offset[::-1] / units,
        0.0 - tiers.rate[::-1] * size,
        tiers.max_leverage[::-1].copy(),
    )


def inverse_liquidation_price(
    contracts: float,
    entry_price: float,
    wallet: float,
    tiers: TierSchedule | tuple[float, float],
    *,
    other_maintenance: float = 0.0,
    other_pnl: float = 0.0,
    fee_rate: float = 0.0,
    factor: float = 1.0,
    variant: Variant = "binance",
) -> LiquidationPrice:
    """Give the price at which an inverse position is liquidated, in the tier that holds there.

    Parameters
    ----------
    contracts : float
        Contracts times their size, quote units, > 0 long, < 0 short.
    entry_price : float
        Quote units for one coin, > 0.
    wallet : float
        Isolated margin or cross wallet balance, coin.
    tiers : TierSchedule or tuple of float
        Tiers on the notional in coin, or the ``(rate, cum)`` of a known tier, cum in coin.
    other_maintenance, other_pnl : float
        Of the other positions on the same coin, held at their mark, coin; 0 where isolated.
    fee_rate : float
        Fraction of the notional charged when liquidated.
    factor : float
        1 for liquidation; ``1 / call_ratio`` for the price of the margin call.
    variant : str
        ``"bybit"`` takes maintenance at entry (its isolated page before 2026-05-27), all others at the solution.

    Returns
    -------
    LiquidationPrice
        The price, or why there is none. A long always has one unless it is liquidated at every price: its
        collateral falls with it. A short whose coin covers its contracts has none (`Root.NEVER`).

    Raises
    ------
    InputError
        As `models.margin.liquidation.liquidation_price`.

    Examples
    --------
    >>> found = inverse_liquidation_price(100_000, 40_000.0, 0.25, (0.004, 0.0))
    >>> round(found.price, 2), round(100_000 * 1.004 / (0.25 + 100_000 / 40_000), 2)
    (36509.09, 36509.09)
    >>> inverse_liquidation_price(-100_000, 40_000.0, 2.5, (0.004, 0.0)).root
    <Root.NEVER: 1>
    """
    schedule = tiers if isinstance(tiers, TierSchedule) else _known_tier(*tiers)
    many = inverse_liquidation_prices(
        [contracts],
        [entry_price],
        [wallet],
        [schedule],
        other_maintenance=other_maintenance,
        other_pnl=other_pnl,
        fee_rate=fee_rate,
        factor=factor,
        variant=variant,
    )
    root, k = Root(int(many.root[0])), int(many.tier[0])
    if root is not Root.FOUND:
        return LiquidationPrice(None, root, float("nan"), float("nan"))
    return LiquidationPrice(float(many.price[0]), root, float(schedule.rate[k]), float(schedule.offset[k]))


def inverse_liquidation_prices(
    contracts: ArrayLike,
    entry_price: ArrayLike,
    wallet: ArrayLike,
    tiers: Sequence[TierSchedule] | TierTables,
    tier_index: ArrayLike | None = None,
    *,
    other_maintenance: ArrayLike = 0.0,
    other_pnl: ArrayLike = 0.0,
    fee_rate: ArrayLike = 0.0,
    factor: ArrayLike = 1.0,
    variant: Variant = "binance",
) -> LiquidationPrices:
    """Give the liquidation prices of many inverse positions; see `inverse_liquidation_price` for the parameters.

    Parameters
    ----------
    contracts, entry_price, wallet : array_like, shape (n,)
        One row for each position.
    tiers : sequence of TierSchedule or TierTables
        Schedules on coin notional, indexed by `tier_index`.
    tier_index : array_like of int, shape (n,), optional
        Schedule of each position; row i uses schedule i where it is not given.
    other_maintenance, other_pnl, fee_rate, factor : array_like, broadcast to (n,)
        As in `inverse_liquidation_price`.
    variant : str
        The same for all rows.

    Returns
    -------
    LiquidationPrices
        Prices (NaN where there is none), reasons and tiers.

    Raises
    ------
    InputError
        As `models.margin.liquidation.liquidation_prices`.

    Examples
    --------
    >>> btc = TierSchedule.from_rates([0, 5], [0.004, 0.005])
    >>> out = inverse_liquidation_prices([1e5, -1e5], [4e4, 4e4], [0.25, 0.25], [btc], [0, 0])
    >>> out.price.round(2).tolist()
    [36509.09, 44266.67]
    """
    with np.errstate(divide="ignore"):
        inverted = 1.0 / np.asarray(entry_price, np.float64)
    found = liquidation_prices(
        -np.asarray(contracts, np.float64),
        inverted,
        wallet,
        tiers,
        tier_index,
        other_maintenance=other_maintenance,
        other_pnl=other_pnl,
        fee_rate=fee_rate,
        factor=factor,
        variant=variant,
    )
    return LiquidationPrices(1.0 / found.price, found.root, found.tier)


def settlement_cash(
    contracts: ArrayLike, entry_price: ArrayLike, settlement_price: ArrayLike, fee_rate: float = 0.0
) -> FloatArray:
    """Give the coin that a dated inverse future pays at expiry; nothing is required of it afterwards.

    Parameters
    ----------
    contracts : array_like
        Quote units, > 0 long, < 0 short.
    entry_price : array_like
        > 0.
    settlement_price : array_like
        The venue's average of the index before expiry (the last hour on Binance COIN-M, half an hour on Bybit), > 0.
    fee_rate : float
        Settlement fee, a fraction of the notional at the settlement price.

    Returns
    -------
    ndarray
        Coin, > 0 received.

    References
    ----------
    Binance FAQ, "Delivery and settlement of COIN-M futures" (average of the index over the last hour before 08:00 UTC).

    Examples
    --------
    >>> float(settlement_cash(100_000, 40_000.0, 50_000.0))
    0.5
    """
    paid = inverse_pnl(contracts, entry_price, settlement_price)
    return paid - fee_rate * notional_value(contracts, settlement_price, inverse=True)


def _known_tier(rate: float, cum: float) -> TierSchedule:
    if not 0 <= rate <= 1:
        raise InputError("tiers", (rate, cum), "a rate in [0, 1] and its maintenance amount in coin")
    return TierSchedule(np.zeros(1), np.array([rate]), np.array([cum]), np.full(1, np.nan))
