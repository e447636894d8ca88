"""Standard margin of options: each short position on its own, long ones for nothing, as Deribit's S:SM and X:SM.

In units of the underlying, with OTM how far the strike lies out of the money and S the price of the underlying:

- short call: initial ``max(0.15 - OTM/S, 0.1) + mark``, maintenance ``0.075 + mark``;
- short put: maintenance ``max(0.075, 0.075 * mark) + mark``, initial as for a call but never below maintenance;
- long options: nothing, and no credit against a short one;
- perpetuals and futures of size Q: initial ``Q * (2% + 0.005% * Q)``, maintenance ``Q * (1% + 0.005% * Q)``.

The margin balance to compare with is equity without the value of options: what was paid for a long option is gone from
it, what was received for a short one is in it, and the mark that the requirement adds takes that back.

References
----------
Deribit Support, "Margin types and usage" (article 25944811317149, read 2026-11): positions are margined one by one and
summed, and the sum is compared with the margin balance.
Deribit API, ``private/get_account_summary`` (read 2026-11): under standard margin ``margin_balance = equity -
options_value``, under portfolio margin it is the equity.
TSLab documentation, "Deribit margin requirements calculation" (read 2026-11): the formulas of short options.
Deribit, contract specifications of BTC futures (50x), restated in public code: 2% and 1%, both plus 0.005% a BTC.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from msgspec import Struct
from numba import njit
from numpy.typing import ArrayLike

from models.errors import InputError
from models.margin._kernel import inlined, kernel
from models.margin.blocks import BlockArrays
from models.options.black76 import price
from models.options.kernels import black76
from models.typing import FloatArray

__all__ = [
    "OptionMargin",
    "StandardParameters",
    "future_margin",
    "option_margin",
    "pack_parameters",
    "position_margin",
    "standard_margin",
]

INITIAL, FLOOR, MAINTENANCE, FUTURE_INITIAL, FUTURE_MAINTENANCE, FUTURE_SLOPE, COIN_SETTLED = range(7)
"""Layout of a packed row."""
_HOURS_A_YEAR: Final = 8760.0


class StandardParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rates of standard margin; the defaults are those of BTC and ETH options settled in coin.

    Parameters
    ----------
    initial : float
        Share of the underlying for a short option at the money, in [0, 1].
    floor : float
        The least share however far out of the money, between `maintenance` and `initial`.
    maintenance : float
        Share of the underlying for maintenance, in [0, 1].
    future_initial, future_maintenance : float
        Rates of an infinitely small future, in [0, 1], maintenance not above initial.
    future_slope : float
        What both rates gain for each base unit of the position, in [0, 0.01].
    coin_settled : bool
        Marks are paid in the underlying (an option's mark is its price over the forward); False: in quote currency.

    Raises
    ------
    InputError
        If a rate lies outside of its range.
    """

    initial: float = 0.15
    floor: float = 0.10
    maintenance: float = 0.075
    future_initial: float = 0.02
    future_maintenance: float = 0.01
    future_slope: float = 0.00005
    coin_settled: bool = True

    def __post_init__(self) -> None:
        bounds = {
            "initial": (0.0, 1.0),
            "maintenance": (0.0, 1.0),
            "floor": (self.maintenance, self.initial),
            "future_initial": (0.0, 1.0),
            "future_maintenance": (0.0, self.future_initial),
            "future_slope": (0.0, 0.01),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"parameters.{name}", value, f"a rate in [{low}, {high}]")


class OptionMargin(NamedTuple):
    """Requirement of positions; arrays of the broadcast shape."""

    initial: FloatArray
    maintenance: FloatArray


_DEFAULT: Final = StandardParameters()


def pack_parameters(parameters: StandardParameters) -> FloatArray:
    """Lay parameters out for `standard_margin`.

    Parameters
    ----------
    parameters : StandardParameters
        The rates.

    Returns
    -------
    ndarray, shape (7,)
        In the order of the layout constants of this module.

    Examples
    --------
    >>> pack_parameters(StandardParameters()).tolist()
    [0.15, 0.1, 0.075, 0.02, 0.01, 5e-05, 1.0]
    """
    p = parameters
    rates = (p.initial, p.floor, p.maintenance, p.future_initial, p.future_maintenance, p.future_slope)
    return np.array([*rates, float(p.coin_settled)])


def option_margin(
    quantity: ArrayLike,
    strike: ArrayLike,
    is_call: ArrayLike,
    mark: ArrayLike,
    underlying: ArrayLike,
    parameters: StandardParameters = _DEFAULT,
) -> OptionMargin:
    """Give the requirement of option positions, as the venue states it.

    Parameters
    ----------
    quantity : array_like
        Units of the underlying, > 0 long, < 0 short.
    strike : array_like
        Quote currency, > 0.
    is_call : array_like of bool
        False for puts.
    mark : array_like
        Mark price of one unit, in units of the underlying, >= 0.
    underlying : array_like
        Price of the underlying (the forward of the expiry), quote currency, > 0.
    parameters : StandardParameters
        The rates.

    Returns
    -------
    OptionMargin
        Units of the underlying; multiply by the index for quote currency.

    Raises
    ------
    InputError
        If a strike, a mark or a price of the underlying is out of range.

    Examples
    --------
    A short call 10% out of the money, and a short put deep in it:

    >>> initial, maintenance = option_margin(-1.0, [66_000.0, 120_000.0], [True, False], [0.02, 1.0], 60_000.0)
    >>> initial.round(4).tolist(), maintenance.round(4).tolist()
    ([0.12, 1.15], [0.095, 1.075])
    """
    p = parameters
    q, m = np.asarray(quantity, np.float64), np.asarray(mark, np.float64)
    k, s = np.asarray(strike, np.float64), np.asarray(underlying, np.float64)
    for name, value in (("strike", k), ("underlying", s)):
        if not np.all(np.isfinite(value) & (value > 0)):
            raise InputError(name, value.tolist(), "finite prices > 0, quote currency")
    if not np.all(np.isfinite(m) & (m >= 0)):
        raise InputError("mark", m.tolist(), "finite prices >= 0, in units of the underlying")
    if not np.all(np.isfinite(q)):
        raise InputError("quantity", q.tolist(), "finite units of the underlying, < 0 for short")
    call, short = np.asarray(is_call, np.bool_), np.maximum(-q, 0.0)
    away = np.maximum(np.where(call, k - s, s - k), 0.0) / s
    maintenance = np.where(call, p.maintenance, np.maximum(p.maintenance, p.maintenance * m)) + m
    initial = np.maximum(p.initial - away, p.floor) + m
    return OptionMargin(short * np.where(call, initial, np.maximum(initial, maintenance)), short * maintenance)


def future_margin(quantity: ArrayLike, parameters: StandardParameters = _DEFAULT) -> OptionMargin:
    """Give the requirement of perpetual and future positions.

    Parameters
    ----------
    quantity : array_like
        Units of the underlying in one contract, signed.
    parameters : StandardParameters
        The rates.

    Returns
    -------
    OptionMargin
        Units of the underlying.

    Examples
    --------
    >>> future_margin([-100.0]).initial.tolist(), future_margin([-100.0]).maintenance.tolist()
    ([2.5], [1.5])
    """
    size = np.abs(np.asarray(quantity, np.float64))
    more = parameters.future_slope * size
    return OptionMargin(size * (parameters.future_initial + more), size * (parameters.future_maintenance + more))


def position_margin(
    quantity: ArrayLike,
    strike: ArrayLike,
    is_call: ArrayLike,
    vol: ArrayLike,
    years: ArrayLike,
    *,
    spot: ArrayLike,
    forward: ArrayLike,
    rate: ArrayLike = 0.0,
    parameters: StandardParameters = _DEFAULT,
) -> OptionMargin:
    """Give the requirement of option positions whose mark is not known but their volatility is.

    Parameters
    ----------
    quantity : array_like
        Units of the underlying, > 0 long, < 0 short.
    strike : array_like
        Quote currency, > 0.
    is_call : array_like of bool
        False for puts.
    vol : array_like
        Implied volatility a year, > 0.
    years : array_like
        To expiry, years of 365 days, > 0.
    spot, forward : array_like
        Index, and forward of the expiry, quote currency, > 0.
    rate : array_like
        Continuously compounded discount rate a year.
    parameters : StandardParameters
        The rates.

    Returns
    -------
    OptionMargin
        Quote currency.

    Raises
    ------
    InputError
        If an option has expired, or an argument is out of range.

    Examples
    --------
    >>> margin = position_margin(-1.0, 66_000.0, True, 0.55, 30 / 365, spot=60_000.0, forward=60_000.0)
    >>> float(margin.initial.round(2)), float(margin.maintenance.round(2))
    (7658.8, 6158.8)
    """
    left, index = np.asarray(years, np.float64), np.asarray(spot, np.float64)
    if not np.all(left > 0):
        raise InputError("years", left.tolist(), "years > 0 (an expired option is settled cash: take it off the book)")
    if not np.all(np.isfinite(index) & (index > 0)):
        raise InputError("spot", index.tolist(), "finite prices > 0, quote currency")
    premium = price(forward, strike, vol, years, is_call, rate)
    mark = premium / (np.asarray(forward, np.float64) if parameters.coin_settled else index)
    initial, maintenance = option_margin(quantity, strike, is_call, mark, forward, parameters)
    return OptionMargin(initial * index, maintenance * index)


@njit(cache=True, nogil=True, _nrt=False, error_model="numpy", fastmath={"reassoc", "nsz", "contract"})
def _run(
    b: BlockArrays, first: int, last: int, forward: float, deviation: float, scale: float, row: int
) -> tuple[float, float]:
    """Sums over options of one expiry, in units of the underlying; `scale` turns a price into a mark."""
    at, floor, keep = b.parameter[row + INITIAL], b.parameter[row + FLOOR], b.parameter[row + MAINTENANCE]
    maintenance, initial = 0.0, 0.0
    for j in range(first, last):
        strike, call = b.option_strike[j], b.option_call[j]
        mark = black76(forward, strike, b.option_vol[j] * deviation, call) * scale
        away = (strike - forward) / forward
        away = away if call else -away
        away = away if away > 0.0 else 0.0
        need = at - away
        need = (need if need > floor else floor) + mark
        least = 1.0 if call or mark < 1.0 else mark
        hold = keep * least + mark
        need = need if need > hold else hold
        short = -b.option_quantity[j]
        short = short if short > 0.0 else 0.0
        maintenance += short * hold
        initial += short * need
    return maintenance, initial


@inlined
def _settled(b: BlockArrays, first: int, last: int, spot: float) -> float:
    """Cash that expired options have paid."""
    cash = 0.0
    for j in range(first, last):
        gain = spot - b.option_strike[j] if b.option_call[j] else b.option_strike[j] - spot
        cash += b.option_quantity[j] * max(gain, 0.0)
    return cash


@kernel
def standard_margin(b: BlockArrays, i: int, spot: float, vol: float, hours: float) -> tuple[float, float, float]:
    """Value, maintenance and initial requirement of block i, quote currency.

    The underlying trades at `spot`, every implied volatility is multiplied by `vol`, and `hours` have passed. The value
    is what expired options have paid: under standard margin live ones count for nothing. The forward comes closer to
    spot as its expiry does.
    """
    row = b.block_parameter[i]
    coin = b.parameter[row + COIN_SETTLED] > 0.0
    rise = b.parameter[row + FUTURE_SLOPE]
    size = abs(b.block_perpetual[i])
    value = 0.0
    maintenance = spot * size * (b.parameter[row + FUTURE_MAINTENANCE] + rise * size)
    initial = spot * size * (b.parameter[row + FUTURE_INITIAL] + rise * size)
    for e in range(b.block_expiry[i], b.block_expiry[i + 1]):
        size = abs(b.expiry_future[e])
        left = b.expiry_years[e] - hours / _HOURS_A_YEAR
        if size > 0.0 and left > 0.0:
            unit = spot if coin else spot * b.expiry_carry[e] ** (left / b.expiry_years[e])
            maintenance += unit * size * (b.parameter[row + FUTURE_MAINTENANCE] + rise * size)
            initial += unit * size * (b.parameter[row + FUTURE_INITIAL] + rise * size)
    first, end = b.block_option[i], b.block_option[i + 1]
    while first < end:
        e, last = b.option_expiry[first], first + 1
        while last < end and b.option_expiry[last] == e:
            last += 1
        left = b.expiry_years[e] - hours / _HOURS_A_YEAR
        if left > 0.0:
            forward = spot * b.expiry_carry[e] ** (left / b.expiry_years[e])
            scale = math.exp(-b.expiry_rate[e] * left) / (forward if coin else spot)
            m, n = _run(b, first, last, forward, vol * math.sqrt(left), scale, row)
            maintenance += spot * m
            initial += spot * n
        else:
            value += _settled(b, first, last, spot)
        first = last
    return value, maintenance, initial
