"""Vega: what happens at the levels (calls, releases, close-outs, admission of orders), and isolated margin.

Below the search level the margin account asks the general account for ``initial - balance``, at least for
``maintenance - balance``; above the release level it gives back what exceeds the initial level; below maintenance
after the search the position is closed out. In isolated mode the margin of a position is set by its entry and a
factor that the trader chooses, and each open order that would enlarge the position has margin of its own.

References
----------
Vega protocol specifications 0012-POSR "Position resolution" and 0019-MCAL "Margin calculator", isolated margin, with
the scenarios of core at a50750c (2024). The specification releases strictly above the release level.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor
from typing import Literal, NamedTuple

from models.errors import InputError
from models.margin.venues._exact import exact
from models.margin.venues.vega import Levels

__all__ = [
    "Transfer",
    "close_out",
    "isolated_order_margin",
    "isolated_transfer",
    "least_general_balance",
    "margin_transfer",
    "order_is_admitted",
]

Orders = Sequence[tuple[int, float]]
"""Volume (integer position units) and price of each order or trade."""


class Transfer(NamedTuple):
    """What moves between the accounts of a party, smallest unit of the asset."""

    route: Literal["general->margin", "margin->general"] | None
    amount: int
    minimum: int


def margin_transfer(levels: Levels, balance: int, *, auction: bool = False) -> Transfer:
    """Give the transfer that settles a margin balance against its levels.

    Parameters
    ----------
    levels : Levels
        Levels of the position.
    balance : int
        Balance of the margin account, >= 0.
    auction : bool
        Whether the market stays in an auction: nothing is released then.

    Returns
    -------
    Transfer
        A call (general to margin, with the least that must arrive), a release, or nothing.

    Examples
    --------
    >>> margin_transfer(Levels(45, 49, 54, 63), 10)
    Transfer(route='general->margin', amount=44, minimum=35)
    """
    if balance < levels.search:
        return Transfer("general->margin", levels.initial - balance, max(levels.maintenance - balance, 0))
    if balance > levels.release and not auction:
        excess = balance - levels.initial
        return Transfer("margin->general", excess, excess)
    return Transfer(None, 0, 0)


def close_out(levels: Levels, balance: int, general: int = 0) -> tuple[int, bool]:
    """Give the margin balance after the search for collateral, and whether the position is closed out.

    Parameters
    ----------
    levels : Levels
        Levels of the position.
    balance : int
        Balance of the margin account after the mark to market, negative where losses exceeded it.
    general : int
        Balance of the general account, >= 0.

    Returns
    -------
    tuple of (int, bool)
        Balance (0 after a close-out) and whether there was one: a balance equal to maintenance is kept.

    Examples
    --------
    >>> close_out(Levels(20, 22, 24, 28), 20), close_out(Levels(20, 22, 24, 28), 19)
    ((20, False), (0, True))
    """
    found = min(levels.initial - balance, general) if balance < levels.search else 0
    after = balance + found
    return (0, True) if after < levels.maintenance else (after, False)


def order_is_admitted(levels: Levels, balance: int, general: int) -> bool:
    """Say whether an order is accepted: the accounts must hold the initial level of the position with it.

    Parameters
    ----------
    levels : Levels
        Levels of the position and all orders, the new one included.
    balance, general : int
        Balances of the margin and of the general account.

    Returns
    -------
    bool
        Whether margin and general account together reach the initial level.

    Examples
    --------
    >>> order_is_admitted(Levels(280, 308, 336, 392), 0, 336), order_is_admitted(Levels(280, 308, 336, 392), 0, 335)
    (True, False)
    """
    return balance + general >= levels.initial


def least_general_balance(levels: Levels, balance: int = 0) -> int:
    """Give the least general balance with which an order is accepted.

    Parameters
    ----------
    levels : Levels
        Levels of the position and all orders, the new one included.
    balance : int
        Balance of the margin account.

    Returns
    -------
    int
        Smallest unit of the asset, >= 0.

    Examples
    --------
    >>> least_general_balance(Levels(280, 308, 336, 392), 36)
    300
    """
    return max(levels.initial - balance, 0)


def isolated_order_margin(
    position: int,
    buy_orders: Orders,
    sell_orders: Orders,
    margin_factor: float,
    position_factor: int = 1,
    auction_price: float | None = None,
) -> int:
    """Give the order margin of isolated mode: the dearer side, without the volume that reduces the position.

    Parameters
    ----------
    position : int
        Position in integer position units, > 0 long.
    buy_orders, sell_orders : sequence of (int, float)
        Volume and limit price of each order; the best price trades first.
    margin_factor : float
        Margin over notional that the trader chose, in (0, 1].
    position_factor : int
        Integer position units in one base unit.
    auction_price : float, optional
        The larger of mark and indicative price, given in an auction: an order counts at least at it.

    Returns
    -------
    int
        Smallest unit of the asset, rounded down.

    Raises
    ------
    InputError
        If the margin factor or the position factor is out of range.

    Examples
    --------
    >>> isolated_order_margin(-4, [(10, 50), (20, 40), (30, 20)], [], 0.5, 10)
    85
    """
    factor = _isolated_factor(margin_factor, position_factor)
    floor_price = exact(auction_price) if auction_price is not None else Fraction(0)
    buys = _open_notional(sorted(buy_orders, key=lambda o: -o[1]), max(-position, 0), floor_price)
    sells = _open_notional(sorted(sell_orders, key=lambda o: o[1]), max(position, 0), floor_price)
    return floor(max(buys, sells) * factor)


def isolated_transfer(
    before: int,
    after: int,
    trades: Orders,
    balance: int,
    margin_factor: float,
    position_factor: int = 1,
    mark: float | None = None,
) -> Transfer:
    """Give the transfer of isolated mode when trades change a position.

    A larger position takes ``factor * traded notional``. A smaller one gives back the share that was closed of
    ``balance + (vwap - mark) * |before|``: the venue uses this sign for longs and for shorts alike. A position
    that switches sides gives back its whole balance and takes margin for what was traded beyond zero.

    Parameters
    ----------
    before, after : int
        Position before and after the trades, integer position units.
    trades : sequence of (int, float)
        Volume and price of each trade, in their order.
    balance : int
        Balance of the margin account.
    margin_factor : float
        Margin over notional that the trader chose, in (0, 1].
    position_factor : int
        Integer position units in one base unit.
    mark : float, optional
        Mark price; needed where the position gets smaller.

    Returns
    -------
    Transfer
        A top-up, a release or nothing, rounded down.

    Raises
    ------
    InputError
        If the trades do not add up, or the mark is missing.

    Examples
    --------
    >>> isolated_transfer(0, 15, [(5, 12), (10, 10)], 1000, 0.5, 10).amount
    8
    >>> isolated_transfer(20, 5, [(5, 12), (10, 10)], 40, 0.5, 10, 12)
    Transfer(route='margin->general', amount=27, minimum=27)
    """
    factor = _isolated_factor(margin_factor, position_factor)
    traded = sum(volume for volume, _ in trades)
    if traded != abs(after - before) or traded == 0:
        raise InputError("trades", traded, f"volumes that add up to the change of position, {abs(after - before)}")
    if after * before < 0:
        needed = floor(_open_notional(trades, abs(before), Fraction(0)) * factor)
        return _moved(needed - balance)
    if abs(after) > abs(before):
        return _moved(floor(_open_notional(trades, 0, Fraction(0)) * factor))
    if mark is None:
        raise InputError("mark", mark, "the mark price, for a position that gets smaller")
    vwap = floor(_open_notional(trades, 0, Fraction(0)) / traded)
    worth = floor((vwap - exact(mark)) * abs(before) / position_factor + balance)
    return _moved(-(max(worth, 0) * traded // abs(before)))


def _moved(needed: int) -> Transfer:
    if needed == 0:
        return Transfer(None, 0, 0)
    return Transfer("general->margin" if needed > 0 else "margin->general", abs(needed), abs(needed))


def _open_notional(orders: Orders, covered: int, least_price: Fraction) -> Fraction:
    """Volume times price of what remains when the first `covered` units are left out."""
    total = Fraction(0)
    for volume, price in orders:
        free = min(covered, volume)
        covered -= free
        total += (volume - free) * max(exact(price), least_price)
    return total


def _isolated_factor(margin_factor: float, position_factor: int) -> Fraction:
    if not 0 < margin_factor <= 1:
        raise InputError("margin_factor", margin_factor, "a fraction in (0, 1]")
    if position_factor < 1:
        raise InputError("position_factor", position_factor, "at least one unit")
    return exact(margin_factor) / position_factor
