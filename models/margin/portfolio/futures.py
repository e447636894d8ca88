"""Futures under scenario margin at dederi: simulated profit and the contingency for moving a large position.

References
----------
Dederi, "Portfolio margin" (wiki.dederi.io/RiskControlRules/portfolio_margin, 2024).
"""

from __future__ import annotations

from collections.abc import Sequence

from models.errors import InputError

__all__ = ["basis_forward", "future_contingency", "future_profit"]


def basis_forward(index: float, annual_basis: float, days: float) -> float:
    """Give the forward price from an annualised basis, simple interest over 365 days.

    Parameters
    ----------
    index : float
        Index price, quote currency, > 0.
    annual_basis : float
        Basis a year, fraction.
    days : float
        To expiry, >= 0.

    Returns
    -------
    float
        Quote currency.

    Raises
    ------
    InputError
        If the index or the time is out of range.

    Examples
    --------
    >>> round(basis_forward(2243.3, 0.08, 20), 1)
    2253.1
    """
    if not index > 0.0:
        raise InputError("index", index, "a price above 0")
    if not days >= 0.0:
        raise InputError("days", days, "a number of days >= 0")
    return index * (1.0 + annual_basis * days / 365.0)


def future_profit(quantity: float, forward: float, moves: Sequence[float]) -> list[float]:
    """Give the profit of a future under price moves.

    Parameters
    ----------
    quantity : float
        Signed base units.
    forward : float
        Price of the future, quote currency.
    moves : sequence of float
        Fractions.

    Returns
    -------
    list of float
        Quote currency.

    Examples
    --------
    >>> future_profit(-2.0, 100.0, [-0.1, 0.1])
    [20.0, -20.0]
    """
    return [quantity * forward * move for move in moves]


def future_contingency(quantities: Sequence[float], index: float, factor: float) -> float:
    """Charge futures for the cost of trading them, long and short alike.

    Parameters
    ----------
    quantities : sequence of float
        Signed base units of each future.
    index : float
        Index price, quote currency.
    factor : float
        Share of the notional, in [0, 1].

    Returns
    -------
    float
        Quote currency, >= 0.

    Raises
    ------
    InputError
        If the factor is out of range.

    Examples
    --------
    >>> round(future_contingency([10.0], 2243.3, 0.006), 4)
    134.598
    """
    if not 0.0 <= factor <= 1.0:
        raise InputError("factor", factor, "a fraction in [0, 1]")
    return factor * index * sum(abs(q) for q in quantities)
