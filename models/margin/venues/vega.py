"""Vega: four margin levels of a position, risk factors from the expected shortfall of a lognormal.

With position ``v`` (base units, signed), mark price ``P`` and the orders of one side::

    side = P (linear |v| + quadratic v^2) + |v| RF P + orders        position on that side, else 0
    orders = RF P * volume (continuous) or RF * sum(volume * price) (auction)
    maintenance = ceil(max(long side, short side) + max(0, funding per unit * v))
    search, initial, release = floor(scale * maintenance)

A side whose position and orders leave nothing on it counts for 0. Prices are integers in the settlement asset's
smallest unit, so the levels are integers too; the arithmetic is exact.

References
----------
Vega protocol specifications 0018-RSKM "Quant risk models", 0019-MCAL "Margin calculator" and 0053-PERP "Perpetual
futures", with the scenarios of core at a50750c (2024).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil, exp, floor, sqrt
from typing import Final, NamedTuple

from msgspec import Struct
from scipy.special import ndtr, ndtri

from models.errors import InputError
from models.margin.tiers import TierSchedule
from models.margin.venues._exact import check_range, exact, line

__all__ = [
    "Levels",
    "VegaMarket",
    "collateral_schedule",
    "funding_payment",
    "initial_rate",
    "levels",
    "maintenance_margin",
    "maintenance_schedule",
    "risk_factors",
]

SECONDS_A_YEAR: Final = 31_536_000
_SCALE: Final = 100_000


class VegaMarket(Struct, frozen=True, kw_only=True):
    """Margin parameters of a Vega market.

    Parameters
    ----------
    risk_factor_long, risk_factor_short : float
        Share of the notional at risk on each side, in [0, 100].
    linear_slippage, quadratic_slippage : float
        Slippage allowed for, a fraction of the mark for one unit and for one unit squared, in [0, 1e6].
    search, initial, release : float
        Scaling factors of the three upper levels, 1 <= search <= initial <= release <= 100.
    position_factor : int
        Integer position units in one base unit, in [1, 1e18].
    """

    risk_factor_long: float = 0.0
    risk_factor_short: float = 0.0
    linear_slippage: float = 0.0
    quadratic_slippage: float = 0.0
    search: float = 1.1
    initial: float = 1.2
    release: float = 1.4
    position_factor: int = 1

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        for field in ("risk_factor_long", "risk_factor_short"):
            check_range(field, getattr(self, field), 0.0, 100.0)
        for field in ("linear_slippage", "quadratic_slippage"):
            check_range(field, getattr(self, field), 0.0, 1e6)
        check_range("search", self.search, 1.0, 100.0)
        check_range("initial", self.initial, self.search, 100.0)
        check_range("release", self.release, self.initial, 100.0)
        check_range("position_factor", self.position_factor, 1, 10**18)


class Levels(NamedTuple):
    """The four levels, smallest unit of the settlement asset."""

    maintenance: int
    search: int
    initial: int
    release: int


def maintenance_margin(
    market: VegaMarket,
    mark: float,
    size: int,
    *,
    buy: int = 0,
    sell: int = 0,
    buy_value: float | None = None,
    sell_value: float | None = None,
    funding_per_unit: float | Fraction = 0.0,
    auction: bool = False,
) -> int:
    """Give the maintenance margin of a position and its open orders (cross margin).

    Parameters
    ----------
    market : VegaMarket
        Parameters of the market.
    mark : float
        Mark price, smallest unit of the settlement asset, >= 0.
    size : int
        Position in integer position units, > 0 long.
    buy, sell : int
        Volume of the open buy and sell orders, integer position units, >= 0.
    buy_value, sell_value : float, optional
        Sum of volume times price of the orders, integer position units; needed in an auction with orders.
    funding_per_unit : float or Fraction
        What one unit of a long owes at the next funding, times the margin funding factor.
    auction : bool
        Whether the market is in an auction: orders then count at their own prices.

    Returns
    -------
    int
        Maintenance margin, rounded up.

    Raises
    ------
    InputError
        If a volume is negative, the price is, or the value of orders is missing in an auction.

    Examples
    --------
    >>> market = VegaMarket(risk_factor_long=0.25, risk_factor_short=0.2, linear_slippage=0.1, quadratic_slippage=0.1)
    >>> maintenance_margin(market, 100, 1)
    45
    """
    if min(buy, sell) < 0 or not mark >= 0:
        raise InputError("orders", (mark, buy, sell), "a price and order volumes >= 0")
    price, units = exact(mark), Fraction(1, market.position_factor)
    at_own = (buy_value, sell_value) if auction else (None, None)
    if auction and ((buy and buy_value is None) or (sell and sell_value is None)):
        raise InputError("buy_value", (buy_value, sell_value), "the value of the orders, which an auction counts")
    long_side = _side(market, exact(market.risk_factor_long), price, size, buy, at_own[0])
    short_side = _side(market, exact(market.risk_factor_short), price, -size, sell, at_own[1])
    owed = max(exact(funding_per_unit) * size * units, Fraction(0))
    return ceil(max(long_side, short_side) + owed)


def levels(market: VegaMarket, maintenance: int) -> Levels:
    """Give the four levels that follow from the maintenance margin.

    Parameters
    ----------
    market : VegaMarket
        Scaling factors; used to five decimals, as the venue does.
    maintenance : int
        Maintenance margin, >= 0.

    Returns
    -------
    Levels
        Maintenance, search (the margin call), initial and release, rounded down.

    Examples
    --------
    >>> levels(VegaMarket(), 45)
    Levels(maintenance=45, search=49, initial=54, release=63)
    """
    scales = (floor(exact(s) * _SCALE) for s in (market.search, market.initial, market.release))
    return Levels(maintenance, *(s * maintenance // _SCALE for s in scales))


def risk_factors(
    risk_aversion: float, tau_years: float, sigma: float, mu: float = 0.0, *, as_tabulated: bool = False
) -> tuple[float, float]:
    """Give the risk factors of the lognormal model: the expected shortfall of a unit over the horizon.

    ``short = e^(mu tau) Phi(sigma sqrt(tau) + z) / lambda - 1`` and
    ``long = 1 - e^(mu tau) Phi(z - sigma sqrt(tau)) / lambda`` with ``z = Phi^-1(lambda)``.

    Parameters
    ----------
    risk_aversion : float
        Tail probability lambda of the shortfall, in (0, 1).
    tau_years : float
        Horizon in years, > 0.
    sigma : float
        Volatility a year, a fraction, > 0.
    mu : float
        Drift a year.
    as_tabulated : bool
        Give the long factor of the tables in the venue's own scenarios, which carry a factor
        ``1 - (sigma^2 tau / 2)^2`` on the shortfall: a difference below 3e-6 for volatilities up to 2.

    Returns
    -------
    tuple of float
        ``(long, short)``, fractions of the notional.

    Raises
    ------
    InputError
        If a parameter lies outside of its range.

    Examples
    --------
    >>> [round(x, 6) for x in risk_factors(1e-6, 0.001, 1.0)]
    [0.145264, 0.168824]
    """
    if not (0 < risk_aversion < 1 and tau_years > 0 and sigma > 0):
        raise InputError("risk_aversion", (risk_aversion, tau_years, sigma), "in (0, 1), with tau and sigma > 0")
    z, deviation, drift = float(ndtri(risk_aversion)), sigma * sqrt(tau_years), exp(mu * tau_years)
    table = 1.0 - 0.25 * deviation**4 if as_tabulated else 1.0
    long = 1.0 - drift * table * float(ndtr(z - deviation)) / risk_aversion
    return long, drift * float(ndtr(z + deviation)) / risk_aversion - 1.0


def funding_payment(
    internal: float, external: float, interest_rate: float, years: float | Fraction, clamp: tuple[float, float]
) -> tuple[Fraction, Fraction]:
    """Give what a long of one unit pays at the end of a funding period, and the rate it stands for.

    ``payment = f - s + min(upper s, max(lower s, (1 + years * rate) s - f))``

    Parameters
    ----------
    internal, external : float
        Time-weighted average price of the market and of the index (f and s), > 0.
    interest_rate : float
        Interest a year.
    years : float or Fraction
        Length of the period (365 days a year).
    clamp : tuple of float
        Lower and upper bound of the interest term, fractions of the index.

    Returns
    -------
    tuple of Fraction
        Payment for one unit (> 0: longs pay) and payment over index.

    Raises
    ------
    InputError
        If a price is not positive or the bounds are reversed.

    Examples
    --------
    >>> payment, rate = funding_payment(1700.0, 1600.0, 0.05, 0.002, (-0.05, 0.9))
    >>> float(payment), float(rate)
    (20.0, 0.0125)
    """
    if not (internal > 0 and external > 0 and clamp[0] <= clamp[1]):
        raise InputError("clamp", (internal, external, *clamp), "prices > 0 and a lower bound below the upper one")
    f, s = exact(internal), exact(external)
    term = (1 + exact(years) * exact(interest_rate)) * s - f
    payment = f - s + min(exact(clamp[1]) * s, max(exact(clamp[0]) * s, term))
    return payment, payment / s


def maintenance_schedule(parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Give maintenance as a function of notional for a position of this size; exact before rounding.

    Parameters
    ----------
    parameters : mapping
        ``risk_factor_long``, ``risk_factor_short`` (or ``risk_aversion``, ``tau_years``, ``sigma``, ``mu``),
        ``linear_slippage``, ``quadratic_slippage`` and ``funding_per_unit`` (settlement asset, default 0).
    quantity : float
        Base units, signed: the two sides have risk factors of their own.

    Returns
    -------
    TierSchedule
        One slice; funding that is due enters as a constant.

    Examples
    --------
    >>> rule = {"risk_factor_long": 0.25, "risk_factor_short": 0.2, "linear_slippage": 0.1, "quadratic_slippage": 0.1}
    >>> [round(float(maintenance_schedule(rule, q)(100.0)), 9) for q in (1.0, -1.0)]
    [45.0, 40.0]
    """
    due = max(parameters.get("funding_per_unit", 0.0) * quantity, 0.0)
    return line([(0.0, _rate(parameters, quantity), due)])


def initial_rate(parameters: Mapping[str, float], quantity: float) -> float:
    """Give initial margin over notional for a position of this size.

    Parameters
    ----------
    parameters : mapping
        As in `maintenance_schedule`, and ``initial``, the scaling factor (default 1.2).
    quantity : float
        Base units, signed.

    Returns
    -------
    float
        The rate, without what funding adds.

    Examples
    --------
    >>> round(initial_rate({"risk_factor_short": 0.2, "linear_slippage": 0.1}, -4.0), 12)
    0.36
    """
    return parameters.get("initial", 1.2) * _rate(parameters, quantity)


def collateral_schedule(parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Give what collateral counts for: a market takes its settlement asset only, at par.

    Parameters
    ----------
    parameters : mapping
        Not used; the same call for every venue.
    quantity : float
        Not used.

    Returns
    -------
    TierSchedule
        The identity.

    Examples
    --------
    >>> float(collateral_schedule({}, 5.0)(250.0))
    250.0
    """
    return line([(0.0, 1.0, 0.0)])


def _side(
    market: VegaMarket, factor: Fraction, price: Fraction, held: int, ordered: int, value: float | None
) -> Fraction:
    """Requirement of one side: `held` is the position seen from it, > 0 where it is on that side."""
    if held + ordered <= 0:
        return Fraction(0)
    units = Fraction(1, market.position_factor)
    volume = max(held, 0) * units
    slippage = exact(market.linear_slippage) * volume + exact(market.quadratic_slippage) * volume**2
    orders = ordered * units * price if value is None else exact(value) * units
    return price * slippage + factor * (volume * price + orders)


def _rate(parameters: Mapping[str, float], quantity: float) -> float:
    factor = parameters.get("risk_factor_long" if quantity > 0 else "risk_factor_short")
    if factor is None:
        aversion, tau, sigma = (parameters[k] for k in ("risk_aversion", "tau_years", "sigma"))
        factor = risk_factors(aversion, tau, sigma, parameters.get("mu", 0.0))[quantity <= 0]
    slippage = parameters.get("linear_slippage", 0.0) + parameters.get("quadratic_slippage", 0.0) * abs(quantity)
    return factor + slippage
