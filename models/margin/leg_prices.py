"""The liquidation (or call) price of every leg of a book: the other legs and the collateral held at their mark.

This is what a venue shows next to a position of a cross wallet. It answers "if this price alone
moves": where collateral or another leg moves with the same asset, `models.margin.linear.barriers`
and `models.margin.hedge` give the interval with all of them moving.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from models.book import Book
from models.errors import InputError
from models.margin.liquidation import LiquidationPrices, liquidation_prices
from models.margin.tiers import TierTables
from models.typing import FloatArray, Int32Array, IntArray

__all__ = ["leg_liquidation_prices"]


def leg_liquidation_prices(
    book: Book, prices: FloatArray, level: Literal["liquidation", "call"] = "liquidation"
) -> LiquidationPrices:
    """Give the price at which each leg, moving alone, brings its margin unit to a level.

    Parameters
    ----------
    book : Book
        n accounts with l legs.
    prices : ndarray, shape (A,) or (n, A)
        Mark prices, for all accounts or one row for each.
    level : {"liquidation", "call"}
        Maintenance, or the call requirement (maintenance / call ratio).

    Returns
    -------
    LiquidationPrices
        Arrays of shape (l,), in the order of the legs; undefined where a mark of the unit is NaN.

    Raises
    ------
    InputError
        If the level is unknown or the shape of `prices` fits neither.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> from models.account import Account, Collateral, Position
    >>> account = Account(account_id="a", as_of=datetime(2025, 3, 1, tzinfo=timezone.utc), ruleset="binance-usdm",
    ...                   currency="USDT", collateral=(Collateral(asset="USDT", quantity=5_000.0),),
    ...                   positions=(Position(symbol="BTC/USDT:USDT", quantity=0.5, entry_price=85_000.0),))
    >>> book, _ = Book.from_accounts([account], ["BTC"])
    >>> leg_liquidation_prices(book, np.array([84_000.0])).price.round(2).tolist()
    [75301.2]
    """
    if level not in ("liquidation", "call"):
        raise InputError("level", level, "'liquidation' or 'call'")
    b, table = book.arrays, _table(book, prices)
    unit, owner = book.unit_of_leg(), book.unit_account()
    factor = (b.account_call_factor if level == "call" else np.ones(len(book)))[owner][unit]
    mark = table[owner[unit] if len(table) > 1 else np.zeros_like(unit), b.leg_asset]
    pnl = b.leg_quantity * (mark - b.leg_entry)
    tiers = TierTables(b.tier_start, b.tier_floor, b.tier_rate, b.tier_offset, np.full_like(b.tier_rate, np.nan))
    need = _evaluate(tiers, b.leg_tier, b.leg_size * mark)
    other_pnl, other_need = _others(unit, pnl, book.n_units), _others(unit, need, book.n_units)
    wallet = (b.unit_cash + _collateral(book, table))[unit]
    return liquidation_prices(
        b.leg_quantity,
        b.leg_entry,
        wallet,
        tiers,
        b.leg_tier,
        other_maintenance=other_need,
        other_pnl=other_pnl,
        factor=factor,
    )


def _table(book: Book, prices: FloatArray) -> FloatArray:
    table = np.atleast_2d(np.asarray(prices, np.float64))
    if table.ndim != 2 or table.shape[1] != len(book.assets) or len(table) not in (1, len(book)):
        raise InputError(
            "prices", np.shape(prices), f"shape ({len(book.assets)},) or ({len(book)}, {len(book.assets)})"
        )
    return table


def _collateral(book: Book, table: FloatArray) -> FloatArray:
    """Counted value of the collateral of each unit, shape (u,)."""
    b, unit = book.arrays, book.unit_of_collateral()
    row = book.unit_account()[unit] if len(table) > 1 else np.zeros_like(unit)
    at_par = b.coll_asset < 0
    price = np.where(at_par, 1.0, table[row, np.where(at_par, 0, b.coll_asset)] if table.size else 1.0)
    ratios = TierTables(b.sched_start, b.sched_floor, b.sched_rate, b.sched_offset, b.sched_rate)
    counted = _evaluate(ratios, b.coll_schedule, b.coll_quantity * price)
    return np.bincount(unit, counted, book.n_units).astype(np.float64)


def _others(unit: IntArray, value: FloatArray, n_units: int) -> FloatArray:
    """Sum over the unit without the leg itself."""
    return np.bincount(unit, value, n_units)[unit].astype(np.float64) - value


def _evaluate(t: TierTables, schedule: Int32Array, value: FloatArray) -> FloatArray:
    """Value of the schedule of each row at `value` (>= 0 or NaN)."""
    start, stop = t.start[schedule], t.start[schedule + 1]
    row = start.astype(np.int64)
    for j in range(1, int((stop - start).max(initial=0))):
        at = np.minimum(start + j, stop - 1)
        row += (start + j < stop) & (t.floor[at] <= value)
    return t.rate[row] * value - t.offset[row]
