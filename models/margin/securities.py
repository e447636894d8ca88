"""US securities margin (Regulation T, FINRA 4210, Cboe 10.3): parameters, positions, stock and margin calls.

Option requirements are in `securities_options`, named strategies with stock in `securities_strategies`, the cheapest
pairing of an arbitrary book in `securities_pairing`, expiry and assignment in `securities_settlement`.

Two bases are used. The *gross* requirement is the exchange's: what must be there before option proceeds are applied.
The requirement *against equity* is what equity must hold at least, where equity is cash + stock + long options - short
options at market: ``gross - market value of the short options (and of stock sold short)``.

References
----------
Federal Reserve Regulation T, 12 CFR 220.12 (50% of a purchase or short sale); FINRA Rule 4210(c) (25% long; short:
the greater of $5 a share or 30%, below $5 the greater of $2.50 a share or 100%) and 4210(f)(2); Cboe Rule 10.3 and
"Strategy-based Margin" (read 2026-09).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Final, Literal

from msgspec import Struct

from models.errors import InputError

__all__ = [
    "REG_T",
    "OptionPosition",
    "SecuritiesParameters",
    "Underlying",
    "call_amount",
    "call_price",
    "stock_requirement",
]

Level = Literal["initial", "maintenance"]
_UNIT: Final = (0.0, 1.0)
_RANGES: Final[dict[str, tuple[float, float]]] = {
    "short_rate": _UNIT,
    "broad_rate": _UNIT,
    "floor_rate": _UNIT,
    "long_term_days": (0, 3650),
    "long_term_rate": _UNIT,
    "stock_initial": _UNIT,
    "stock_long": _UNIT,
    "stock_short": _UNIT,
    "short_per_share": (0.0, 1000.0),
    "penny_price": (0.0, 1000.0),
    "penny_per_share": (0.0, 1000.0),
    "penny_short": (0.0, 10.0),
    "hedge_rate": _UNIT,
    "collar_rate": _UNIT,
    "box_rate": _UNIT,
    "minimum_equity": (0.0, 1e9),
}


class SecuritiesParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of US securities margin; the defaults are the exchange minimum, a house sets its own.

    Parameters
    ----------
    short_rate, broad_rate, floor_rate : float
        Uncovered short options over the underlying: equity and narrow index, broad index, and the floor (over the
        underlying for calls, over the strike for puts). Multiplied by the leverage of a leveraged fund, at most 1.
    long_term_days : int
        Listed options with more days than this to expiry (nine months) may be carried at `long_term_rate`.
    long_term_rate : float
        Requirement of such an option over its market value.
    stock_initial, stock_long, stock_short : float
        Initial requirement of stock, maintenance of long and of short stock, over market value.
    short_per_share, penny_price, penny_per_share, penny_short : float
        Least maintenance of short stock a share; the price below which the `penny` pair (a share, over value) holds.
    hedge_rate, collar_rate, box_rate : float
        Maintenance of hedged stock over the strike (protective, conversion), of a collar over the call strike, and of
        a long box of European options over the difference of strikes.
    minimum_equity : float
        Least equity of a margin account, dollars.

    Raises
    ------
    InputError
        If a value lies outside its range.

    Examples
    --------
    >>> SecuritiesParameters(stock_long=0.35).stock_long
    0.35
    """

    short_rate: float = 0.20
    broad_rate: float = 0.15
    floor_rate: float = 0.10
    long_term_days: int = 274
    long_term_rate: float = 0.75
    stock_initial: float = 0.50
    stock_long: float = 0.25
    stock_short: float = 0.30
    short_per_share: float = 5.0
    penny_price: float = 5.0
    penny_per_share: float = 2.5
    penny_short: float = 1.0
    hedge_rate: float = 0.10
    collar_rate: float = 0.25
    box_rate: float = 0.50
    minimum_equity: float = 2000.0

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        for field, (low, high) in _RANGES.items():
            value = getattr(self, field)
            if not low <= value <= high:
                raise InputError(field, value, f"a number in [{low}, {high}]")


REG_T: Final = SecuritiesParameters()
"""The exchange minimum."""


@dataclass(frozen=True, slots=True)
class OptionPosition:
    """Contracts of one listed option.

    `quantity` in contracts (> 0 long), `price` a unit at market in dollars, `days` to expiry, `multiplier` units of the
    underlying a contract.
    """

    is_call: bool
    strike: float
    quantity: float
    price: float
    days: float = 0
    multiplier: float = 100.0
    style: Literal["american", "european"] = "american"
    settlement: Literal["physical", "cash"] = "physical"

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        for field, low in (("strike", 1e-12), ("price", 0.0), ("days", 0), ("multiplier", 1e-12)):
            value = getattr(self, field)
            if not (isfinite(value) and value >= low):
                raise InputError(field, value, "a finite number > 0" if low == 1e-12 else "a finite number >= 0")
        if not isfinite(self.quantity):
            raise InputError("quantity", self.quantity, "a finite number of contracts")

    @property
    def units(self) -> float:
        """Units of the underlying, unsigned."""
        return abs(self.quantity) * self.multiplier

    @property
    def value(self) -> float:
        """Market value in dollars, < 0 where short."""
        return self.quantity * self.multiplier * self.price

    def payoff(self, price: float) -> float:
        """Give what one unit pays at a price of the underlying, the side left out."""
        return max(price - self.strike if self.is_call else self.strike - price, 0.0)


@dataclass(frozen=True, slots=True)
class Underlying:
    """What the options are on: price in dollars, kind, and the leverage of a leveraged fund or index."""

    price: float
    kind: Literal["equity", "narrow", "broad"] = "equity"
    leverage: float = 1.0

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        if not (isfinite(self.price) and self.price > 0):
            raise InputError("price", self.price, "a finite price > 0")
        if self.kind not in ("equity", "narrow", "broad"):
            raise InputError("kind", self.kind, "'equity', 'narrow' or 'broad'")
        if not 1.0 <= abs(self.leverage) <= 10.0:
            raise InputError("leverage", self.leverage, "a leverage of 1 to 10, negative for an inverse fund")


def stock_requirement(
    quantity: float, price: float, level: Level = "maintenance", parameters: SecuritiesParameters = REG_T
) -> float:
    """Give what equity must hold for stock.

    Parameters
    ----------
    quantity : float
        Shares, > 0 long, < 0 short.
    price : float
        Market price, dollars, >= 0.
    level : {"initial", "maintenance"}
        Regulation T initial, or exchange maintenance.
    parameters : SecuritiesParameters
        The rates.

    Returns
    -------
    float
        Dollars. For a short sale the proceeds (100% of market) come on top in the gross requirement.

    Raises
    ------
    InputError
        If the price is negative or not finite, or the level unknown.

    Examples
    --------
    >>> stock_requirement(100, 80.0), stock_requirement(100, 80.0, "initial")
    (2000.0, 4000.0)
    >>> stock_requirement(-100, 80.0), stock_requirement(-100, 10.0), stock_requirement(-100, 2.0)
    (2400.0, 500.0, 250.0)
    """
    if not (isfinite(price) and price >= 0):
        raise InputError("price", price, "a finite price >= 0")
    if level not in ("initial", "maintenance"):
        raise InputError("level", level, "'initial' or 'maintenance'")
    size, p = abs(quantity), parameters
    if quantity >= 0:
        return size * price * (p.stock_initial if level == "initial" else p.stock_long)
    if price < p.penny_price:
        least = max(p.penny_per_share, p.penny_short * price)
    else:
        least = max(p.short_per_share, p.stock_short * price)
    return size * (max(p.stock_initial * price, least) if level == "initial" else least)


def call_amount(requirement: float, equity: float) -> float:
    """Give what a margin call asks for: the requirement less equity, or nothing.

    Parameters
    ----------
    requirement : float
        What equity must hold, dollars.
    equity : float
        Equity of the account, dollars.

    Returns
    -------
    float
        Dollars, >= 0.

    Examples
    --------
    >>> call_amount(stock_requirement(1000, 20.0), 3000.0)
    2000.0
    """
    return max(requirement - equity, 0.0)


def call_price(debit: float, quantity: float, requirement: float) -> float:
    """Give the price at which stock bought on margin, or sold short, meets its maintenance.

    Parameters
    ----------
    debit : float
        What is owed to the broker, dollars; for a short position the credit balance (> 0).
    quantity : float
        Shares, > 0 long, < 0 short.
    requirement : float
        Maintenance over market value, in [0, 1).

    Returns
    -------
    float
        ``debit / (1 - requirement)`` a share for a long position (a call below it), ``credit / (1 + requirement)``
        for a short one (a call above it). The least amount a share for short stock is left out.

    Raises
    ------
    InputError
        If there are no shares or the requirement lies outside its range.

    Examples
    --------
    >>> call_price(7500.0, 100, 0.25), call_price(13_000.0, -100, 0.30)
    (100.0, 100.0)
    """
    if quantity == 0 or not isfinite(quantity):
        raise InputError("quantity", quantity, "a number of shares, not zero")
    if not 0 <= requirement < 1:
        raise InputError("requirement", requirement, "a fraction in [0, 1)")
    side = 1.0 if quantity > 0 else -1.0
    return debit / (1.0 - side * requirement) / abs(quantity)
