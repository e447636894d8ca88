"""Liquidation prices: where equity meets the maintenance requirement, re-tiered at the solution.

With the other positions of the margin unit held at their mark, the gap of one leg is, with
``s`` its side and ``Q`` its size::

    gap(P) = wallet + other_pnl - k * other_maintenance + s Q (P - entry) - (k f(Q P) + fee Q P)

``f`` is continuous, convex and piecewise linear, so the gap is concave and piecewise linear in P:
the tier that holds the root is found from the signs of the gap at the tier bounds and the root is
exact in that tier; nothing is iterated. In the tier that holds it::

    P = (wallet - k * other_maintenance + other_pnl + k * cum - s Q entry) / (Q (k * mmr + fee) - s Q)

References
----------
Binance FAQ b3c689c1f50a44cabb3a84e663b81d93, "How to Calculate Liquidation Price of USDⓈ-M Futures
Contracts"; Bybit help centre, "Liquidation Price (USDT Contract)"; Gate and OKX, isolated margin
(maintenance rate + taker fee); Hyperliquid docs, "Liquidations".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from models.errors import InputError
from models.margin.tiers import TierSchedule, TierTables, flatten_schedules
from models.typing import BoolArray, FloatArray, Int32Array, IntArray

__all__ = ["LiquidationPrice", "LiquidationPrices", "Root", "Variant", "liquidation_price", "liquidation_prices"]

Variant = Literal["binance", "bybit", "gate", "generic", "hyperliquid", "okx"]
"""Whose formula. All but ``bybit`` value maintenance at the liquidation price; ``bybit`` (isolated) at entry.
``gate`` and ``okx`` add the taker fee to the maintenance rate: pass it as `fee_rate`."""
_VARIANTS = ("binance", "bybit", "gate", "generic", "hyperliquid", "okx")


class Root(IntEnum):
    """Why there is, or is not, a liquidation price."""

    FOUND = 0
    """There is one, it is a positive price."""
    NEVER = 1
    """No positive price liquidates the position: its margin covers the whole fall."""
    ALWAYS = 2
    """Equity is below the requirement at every positive price."""
    UNDEFINED = 3
    """The inputs are not finite or the quantity is zero."""


@dataclass(frozen=True, slots=True)
class LiquidationPrice:
    """A liquidation price, or the reason why there is none.

    Parameters
    ----------
    price : float or None
        Quote units; None where there is no root.
    root : Root
        Whether it was found, and if not, why.
    rate, offset : float
        Maintenance rate and amount ("cum") of the tier that holds the root (NaN where there is none).
    """

    price: float | None
    root: Root
    rate: float
    offset: float


@dataclass(frozen=True, slots=True)
class LiquidationPrices:
    """Liquidation prices of many positions.

    Parameters
    ----------
    price : ndarray, shape (n,)
        NaN where there is no root.
    root : ndarray of int64, shape (n,)
        Values of `Root`.
    tier : ndarray of int64, shape (n,)
        Tier that holds the root, counted from 0; -1 where there is none.
    """

    price: FloatArray
    root: IntArray
    tier: IntArray


def liquidation_price(
    quantity: float,
    entry_price: float,
    wallet: float,
    tiers: TierSchedule | tuple[float, float],
    *,
    other_maintenance: float = 0.0,
    other_pnl: float = 0.0,
    fee_rate: float = 0.0,
    factor: float = 1.0,
    variant: Variant = "generic",
) -> LiquidationPrice:
    """Give the price at which one position is liquidated.

    Parameters
    ----------
    quantity : float
        Base units, > 0 long, < 0 short.
    entry_price : float
        Average entry price, quote units, > 0.
    wallet : float
        Isolated margin, or the balance of the cross wallet, settlement currency.
    tiers : TierSchedule or tuple of float
        Maintenance schedule, or the ``(rate, cum)`` of a known tier.
    other_maintenance, other_pnl : float
        Maintenance and unrealised PnL of the other positions of a cross wallet, held at their mark.
    fee_rate : float
        Fraction of notional charged when liquidated, added to the maintenance rate.
    factor : float
        1 for liquidation; ``1 / call_ratio`` gives the price of the margin call.
    variant : str
        Whose formula, see `Variant`.

    Returns
    -------
    LiquidationPrice
        The price, or why there is none.

    Raises
    ------
    InputError
        If the variant is unknown, or a fee or a factor is out of range.

    Examples
    --------
    The worked example of the Binance FAQ, isolated:

    >>> found = liquidation_price(109.488, 32_481.98, 1_535_443.01, (0.025, 16_300.0))
    >>> round(found.price, 2)
    18778.73
    >>> liquidation_price(1.0, 100.0, 100.0, (0.01, 0.0)).root
    <Root.NEVER: 1>
    """
    schedule = _one_tier(*tiers) if isinstance(tiers, tuple) else tiers
    many = liquidation_prices(
        [quantity],
        [entry_price],
        [wallet],
        [schedule],
        other_maintenance=[other_maintenance],
        other_pnl=[other_pnl],
        fee_rate=[fee_rate],
        factor=[factor],
        variant=variant,
    )
    root, k = Root(int(many.root[0])), int(many.tier[0])
    if root is not Root.FOUND:
        return LiquidationPrice(None, root, float("nan"), float("nan"))
    return LiquidationPrice(float(many.price[0]), root, float(schedule.rate[k]), float(schedule.offset[k]))


def liquidation_prices(
    quantity: ArrayLike,
    entry_price: ArrayLike,
    wallet: ArrayLike,
    tiers: Sequence[TierSchedule] | TierTables,
    tier_index: ArrayLike | None = None,
    *,
    other_maintenance: ArrayLike = 0.0,
    other_pnl: ArrayLike = 0.0,
    fee_rate: ArrayLike = 0.0,
    factor: ArrayLike = 1.0,
    variant: Variant = "generic",
) -> LiquidationPrices:
    """Give the liquidation prices of many positions; see `liquidation_price` for the parameters.

    Parameters
    ----------
    quantity, entry_price, wallet : array_like, shape (n,)
        One row for each position.
    tiers : sequence of TierSchedule or TierTables
        Schedules, indexed by `tier_index`.
    tier_index : array_like of int, shape (n,), optional
        Schedule of each position; row i uses schedule i where it is not given.
    other_maintenance, other_pnl, fee_rate, factor : array_like, broadcast to (n,)
        As in `liquidation_price`.
    variant : str
        Whose formula, the same for all rows.

    Returns
    -------
    LiquidationPrices
        Prices (NaN where there is none), reasons and tiers.

    Raises
    ------
    InputError
        If the variant is unknown, shapes disagree, or a fee or a factor is out of range.

    Examples
    --------
    >>> btc = TierSchedule.from_rates([0, 50_000], [0.004, 0.005])
    >>> out = liquidation_prices([1.0, -1.0], [50_000.0, 50_000.0], [5_000.0, 5_000.0], [btc], [0, 0])
    >>> out.price.round(2).tolist()
    [45180.72, 54776.12]
    """
    if variant not in _VARIANTS:
        raise InputError("variant", variant, "one of " + ", ".join(_VARIANTS))
    case = _Case.build(quantity, entry_price, wallet, other_maintenance, other_pnl, fee_rate, factor)
    tables = tiers if isinstance(tiers, TierTables) else flatten_schedules(list(tiers))
    rows = np.arange(case.side.size) if tier_index is None else np.asarray(tier_index, np.int64)
    known = len(tables.start) - 1
    if rows.shape != case.side.shape or np.any(rows < 0) or np.any(rows >= known):
        raise InputError("tier_index", rows.tolist(), f"{case.side.size} indices below {known}")
    start, stop = tables.start[rows], tables.start[rows + 1]
    return _at_entry(case, tables, start, stop) if variant == "bybit" else _at_root(case, tables, start, stop)


@dataclass(frozen=True, slots=True)
class _Case:
    """Broadcast inputs; ``margin`` is what backs the position before its own PnL and maintenance.

    Rows that are not usable hold harmless numbers, so that no warning is raised for them.
    """

    side: FloatArray
    size: FloatArray
    entry: FloatArray
    margin: FloatArray
    fee: FloatArray
    factor: FloatArray
    usable: BoolArray

    @classmethod
    def build(
        cls,
        quantity: ArrayLike,
        entry: ArrayLike,
        wallet: ArrayLike,
        other_maintenance: ArrayLike,
        other_pnl: ArrayLike,
        fee: ArrayLike,
        factor: ArrayLike,
    ) -> _Case:
        try:
            q, e, w, om, op, fr, k = np.broadcast_arrays(
                *(
                    np.atleast_1d(np.asarray(x, np.float64))
                    for x in (quantity, entry, wallet, other_maintenance, other_pnl, fee, factor)
                )
            )
        except ValueError:
            raise InputError("quantity", np.shape(quantity), "inputs whose shapes broadcast to one") from None
        if np.any(fr < 0) or np.any(fr >= 1):
            raise InputError("fee_rate", fr.tolist(), "a fraction in [0, 1)")
        if np.any(k <= 0):
            raise InputError("factor", k.tolist(), "a factor > 0, 1 for liquidation")
        with np.errstate(invalid="ignore"):
            margin = w + op - k * om
        usable = np.isfinite(q) & np.isfinite(e) & np.isfinite(margin) & (q != 0) & (e > 0)
        side, size = np.where(usable, np.sign(q), 1.0), np.where(usable, np.abs(q), 1.0)
        return cls(side, size, np.where(usable, e, 1.0), np.where(usable, margin, 0.0), fr, k, usable)


def _at_root(case: _Case, t: TierTables, start: Int32Array, stop: Int32Array) -> LiquidationPrices:
    """Maintenance valued at the liquidation price itself."""
    s, size = case.side, case.size
    level = case.margin - s * size * case.entry
    tier = np.zeros(s.shape, np.int64)
    open_ = case.usable
    for j in range(1, int((stop - start).max(initial=0))):
        row = np.minimum(start + j, stop - 1)
        value = t.floor[row]
        gap = level + s * value - case.factor * (t.rate[row] * value - t.offset[row]) - case.fee * value
        open_ = open_ & (start + j < stop) & (s * gap <= 0)
        tier += open_
    row = start + tier
    slope = size * (case.factor * t.rate[row] + case.fee) - s * size
    with np.errstate(divide="ignore", invalid="ignore"):
        price = (level + case.factor * t.offset[row]) / slope
    none = np.where(s > 0, Root.NEVER, Root.ALWAYS)
    starts = s * (level + case.factor * t.offset[start]) < 0
    flat = np.where(s > 0, slope >= 0, slope <= 0)
    root = np.where(starts, np.where(flat, Root.ALWAYS, Root.FOUND), none)
    return _answer(case, price, root, tier)


def _at_entry(case: _Case, t: TierTables, start: Int32Array, stop: Int32Array) -> LiquidationPrices:
    """Maintenance valued at the entry price (Bybit, isolated): ``P = entry -+ (margin - MM) / Q``."""
    value = case.size * case.entry
    tier = np.zeros(value.shape, np.int64)
    for j in range(1, int((stop - start).max(initial=0))):
        tier += (start + j < stop) & (t.floor[np.minimum(start + j, stop - 1)] <= value)
    row = start + tier
    maintenance = case.factor * (t.rate[row] * value - t.offset[row]) + case.fee * value
    with np.errstate(divide="ignore", invalid="ignore"):
        price = case.entry - case.side * (case.margin - maintenance) / case.size
    none = np.where(case.side > 0, Root.NEVER, Root.ALWAYS)
    return _answer(case, price, np.where(price > 0, Root.FOUND, none), tier)


def _answer(case: _Case, price: FloatArray, root: IntArray, tier: IntArray) -> LiquidationPrices:
    root = np.where(case.usable, root, Root.UNDEFINED).astype(np.int64)
    found = root == Root.FOUND
    return LiquidationPrices(np.where(found, price, np.nan), root, np.where(found, tier, -1))


def _one_tier(rate: float, offset: float) -> TierSchedule:
    if not 0 <= rate <= 1:
        raise InputError("tiers", (rate, offset), "a rate in [0, 1] and its maintenance amount")
    return TierSchedule(np.zeros(1), np.array([rate]), np.array([offset]), np.full(1, np.nan))
