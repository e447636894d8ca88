"""What options leave when they expire: cash, or shares against cash.

Options in the money by at least one cent are exercised, and the short side assigned, without an instruction
(exercise by exception). Cash-settled options pay their intrinsic value; physically settled ones deliver the underlying
at the strike.

References
----------
OCC Rule 805 (exercise by exception at $0.01); Cboe index option specifications (cash settlement).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from models.errors import InputError
from models.margin.securities import OptionPosition

__all__ = ["Settlement", "settle"]


@dataclass(frozen=True, slots=True)
class Settlement:
    """Cash (dollars, > 0 received) and shares (> 0 received) that expired options leave, and what was exercised.

    `exercised` and `assigned` are positions in the list that was settled; the others expired worthless.
    """

    cash: float
    shares: float
    exercised: tuple[int, ...]
    assigned: tuple[int, ...]

    def value(self, price: float) -> float:
        """Give cash and shares together at a price of the underlying."""
        return self.cash + self.shares * price


def settle(options: Sequence[OptionPosition], price: float, threshold: float = 0.01) -> Settlement:
    """Expire options on one underlying.

    Parameters
    ----------
    options : sequence of OptionPosition
        The options that expire.
    price : float
        Settlement price of the underlying, dollars, >= 0.
    threshold : float
        Least amount in the money, a unit, at which an option is exercised, > 0.

    Returns
    -------
    Settlement
        Cash for cash-settled options, shares against their strike for physically settled ones.

    Raises
    ------
    InputError
        If the price is negative or not finite, or the threshold not positive.

    Examples
    --------
    >>> call = OptionPosition(True, 100.0, -2, 0.0)
    >>> left = settle([call], 108.0)
    >>> left.cash, left.shares, left.value(108.0)
    (20000.0, -200.0, -1600.0)
    """
    if not (isfinite(price) and price >= 0):
        raise InputError("price", price, "a finite price >= 0")
    if not threshold > 0:
        raise InputError("threshold", threshold, "an amount > 0")
    # a cent in the money must not be lost to rounding of price - strike
    live = [i for i, o in enumerate(options) if o.quantity and o.payoff(price) >= threshold * (1.0 - 1e-9)]
    cash = shares = 0.0
    for i in live:
        paid, received = _leaves(options[i], price)
        cash, shares = cash + paid, shares + received
    exercised = tuple(i for i in live if options[i].quantity > 0)
    return Settlement(cash, shares, exercised, tuple(i for i in live if options[i].quantity < 0))


def _leaves(option: OptionPosition, price: float) -> tuple[float, float]:
    units = option.quantity * option.multiplier
    if option.settlement == "cash":
        return units * option.payoff(price), 0.0
    delivered = units if option.is_call else -units
    return -delivered * option.strike, delivered
