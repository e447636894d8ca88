"""Derive's standard margin (SRM): net initial and maintenance margin of a subaccount.

A net margin is what is left after the requirement: the account may open positions while its net initial margin is
>= 0 and is put to auction once its net maintenance margin is < 0. With spot ``S``, forward ``F``, mark ``V`` and
``out`` the amount by which an option is out of the money, one short option needs

=========  =================================================  ================================
           initial                                            maintenance
=========  =================================================  ================================
call       ``V + max(max_rate S - out, min_rate S)``          ``V + call_rate S``
put        the same, at least ``offset * maintenance``        ``V + max(put_rate S, mark_rate V)``
=========  =================================================  ================================

Long options need and count nothing by themselves. The options of one expiry count ``max(-sum of the short ones,
worst payoff over the strikes and zero - unpaired short calls * scale * F)``: a spread is margined at its worst loss.
Perpetuals need a rate of their notional, base collateral counts at a factor, and initial margin rises by a share of
spot for each short option, perpetual and unit of base whose oracle confidence is low, and for each short option and
perpetual while the stable coin trades below its threshold.

References
----------
Derive documentation, "Standard Margin" and "Standard Margin Parameters" (v2.2, read 2026-07-26); published test
cases of derivexyz/v2-core at 7736900d (numbers only).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

from models.errors import InputError
from models.margin._srm_kernel import pack_parameters, srm_margin
from models.margin.srm_parameters import BASE_COLLATERAL, MAINNET, MAINNET_SOURCE, PERPETUAL_V3, SrmParameters
from models.options.kernels import black76

__all__ = [
    "BASE_COLLATERAL",
    "MAINNET",
    "MAINNET_SOURCE",
    "PERPETUAL_V3",
    "SrmExpiry",
    "SrmMargin",
    "SrmMarket",
    "SrmOption",
    "SrmParameters",
    "pack_parameters",
    "srm_margin",
    "srm_net_margin",
]

_YEAR_SECONDS = 365 * 86_400


def _check(field: str, value: float, low: float, high: float, expected: str) -> None:
    if not low <= value <= high:
        raise InputError(field, value, expected)


@dataclass(frozen=True, slots=True)
class SrmOption:
    """One option position: strike (quote), kind, base units (> 0 long) and implied volatility a year."""

    strike: float
    is_call: bool
    quantity: float
    vol: float

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        _check("strike", self.strike, 1e-12, 1e15, "a price > 0")
        _check("quantity", self.quantity, -1e15, 1e15, "a finite number of base units")
        _check("vol", self.vol, 0.0, 100.0, "a volatility a year in [0, 100]")


@dataclass(frozen=True, slots=True)
class SrmExpiry:
    """Options (and a dated future) of one expiry.

    `seconds` to expiry (<= 0: settled at spot), `forward` price, least confidence of the forward and volatility feeds,
    options, and base units of a dated future; the profit of the future belongs to the cash of the account.
    """

    seconds: float
    forward: float
    options: tuple[SrmOption, ...] = ()
    confidence: float = 1.0
    future: float = 0.0

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        _check("forward", self.forward, 1e-12, 1e15, "a price > 0")
        _check("confidence", self.confidence, 0.0, 1.0, "a confidence in [0, 1]")


@dataclass(frozen=True, slots=True)
class SrmMarket:
    """What a subaccount holds on one underlying, and its oracles.

    Prices in quote currency, quantities in base units (> 0 long), `perpetual_pnl` unrealised and unsettled, quote
    currency. `base` < 0 is a debt: it counts in full.
    """

    parameters: SrmParameters
    spot: float
    spot_confidence: float = 1.0
    perpetual: float = 0.0
    perpetual_price: float = 0.0
    perpetual_confidence: float = 1.0
    perpetual_pnl: float = 0.0
    base: float = 0.0
    expiries: tuple[SrmExpiry, ...] = ()

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        _check("spot", self.spot, 1e-12, 1e15, "a price > 0")
        if self.perpetual:
            _check("perpetual_price", self.perpetual_price, 1e-12, 1e15, "a price > 0 where there is a perpetual")
        _check("spot_confidence", self.spot_confidence, 0.0, 1.0, "a confidence in [0, 1]")
        _check("perpetual_confidence", self.perpetual_confidence, 0.0, 1.0, "a confidence in [0, 1]")


@dataclass(frozen=True, slots=True)
class SrmMargin:
    """Net margins and mark-to-market of a subaccount, quote currency."""

    initial: float
    maintenance: float
    mark_to_market: float

    @property
    def liquidated(self) -> bool:
        """Whether the subaccount is put to auction."""
        return self.maintenance < 0.0


def srm_net_margin(markets: Sequence[SrmMarket], cash: float = 0.0, stable_price: float = 1.0) -> SrmMargin:
    """Give the net margins of a subaccount.

    Parameters
    ----------
    markets : sequence of SrmMarket
        One for each underlying.
    cash : float
        Stable coin balance, negative where borrowed; it counts in full.
    stable_price : float
        Price of the stable coin in dollars, >= 0.

    Returns
    -------
    SrmMargin
        Net initial and maintenance margin (negative: short of it) and mark-to-market.

    Raises
    ------
    InputError
        If the price of the stable coin is negative or cash is not finite.

    Examples
    --------
    >>> call = SrmOption(strike=1900.0, is_call=True, quantity=-1.0, vol=0.8)
    >>> market = SrmMarket(MAINNET["ETH"], 1500.0, expiries=(SrmExpiry(7 * 86_400, 1502.0, (call,)),))
    >>> margin = srm_net_margin([market], cash=500.0)
    >>> round(margin.initial, 2), round(margin.maintenance, 2), margin.liquidated
    (303.86, 363.86, False)
    """
    _check("stable_price", stable_price, 0.0, 10.0, "a price in [0, 10]")
    _check("cash", cash, -1e18, 1e18, "a finite amount")
    initial = maintenance = value = cash
    for market in markets:
        pnl, base = market.perpetual_pnl, market.base * market.spot
        initial += pnl + _market(market, True) - _depeg(market, stable_price)
        maintenance += pnl + _market(market, False)
        value += pnl + base + sum(_marks(market, e) for e in market.expiries)
    return SrmMargin(initial, maintenance, value)


def _market(market: SrmMarket, initial: bool) -> float:
    options = sum(_expiry(market, expiry, initial) for expiry in market.expiries)
    return options + _base(market, initial) - _delta_one(market, initial)


def _delta_one(market: SrmMarket, initial: bool) -> float:
    p = market.parameters
    futures = sum(abs(e.future) * e.forward for e in market.expiries if e.seconds > 0)
    notional = abs(market.perpetual) * market.perpetual_price + futures
    if not initial:
        return p.perp_maintenance * notional
    confidence = min(market.perpetual_confidence, market.spot_confidence)
    return p.perp_initial * notional + _doubt(market, confidence, p.confidence_perp) * abs(market.perpetual)


def _base(market: SrmMarket, initial: bool) -> float:
    p, value = market.parameters, market.base * market.spot
    factor = p.base_factor * (p.base_initial_scale if initial else 1.0)
    counted = value * factor if value > 0 else value
    if initial:
        counted -= _doubt(market, market.spot_confidence, p.confidence_base) * abs(market.base)
    return counted


def _doubt(market: SrmMarket, confidence: float, threshold: float) -> float:
    """Added initial margin for one unit at a confidence."""
    if confidence >= threshold:
        return 0.0
    return (1.0 - confidence) * market.parameters.confidence_factor * market.spot


def _depeg(market: SrmMarket, stable_price: float) -> float:
    p = market.parameters
    gap = max(p.depeg_threshold - stable_price, 0.0) * p.depeg_factor
    short = sum(max(-o.quantity, 0.0) for e in market.expiries if e.seconds > 0 for o in e.options)
    return gap * market.spot * (abs(market.perpetual) + short)


def _mark(expiry: SrmExpiry, option: SrmOption) -> float:
    deviation = option.vol * sqrt(expiry.seconds / _YEAR_SECONDS)
    return float(black76(expiry.forward, option.strike, deviation, option.is_call))


def _marks(market: SrmMarket, expiry: SrmExpiry) -> float:
    if expiry.seconds <= 0:
        return _payoff(expiry, market.spot)
    return sum(o.quantity * _mark(expiry, o) for o in expiry.options)


def _payoff(expiry: SrmExpiry, price: float) -> float:
    return sum(o.quantity * max(price - o.strike if o.is_call else o.strike - price, 0.0) for o in expiry.options)


def _expiry(market: SrmMarket, expiry: SrmExpiry, initial: bool) -> float:
    """Net margin of the options of one expiry, <= 0 until it is settled."""
    if expiry.seconds <= 0:
        return _payoff(expiry, market.spot)
    p = market.parameters
    short = [o for o in expiry.options if o.quantity < 0]
    isolated = sum(o.quantity * _short(market, o, _mark(expiry, o), initial) for o in short)
    calls = sum(o.quantity for o in expiry.options if o.is_call)
    scale = p.unpaired_initial if initial else p.unpaired_maintenance
    worst = min((_payoff(expiry, price) for price in (0.0, *(o.strike for o in expiry.options))), default=inf)
    paired = min(worst, 0.0) + min(calls, 0.0) * scale * expiry.forward
    net = max(isolated, paired)
    if initial:
        confidence = min(expiry.confidence, market.spot_confidence)
        net += _doubt(market, confidence, p.confidence_option) * sum(o.quantity for o in short)
    return net


def _short(market: SrmMarket, option: SrmOption, mark: float, initial: bool) -> float:
    """Requirement of one unit of a short option, its mark included."""
    p, spot = market.parameters, market.spot
    rate = p.maintenance_call if option.is_call else p.maintenance_put
    least = 0.0 if option.is_call else p.maintenance_put_mark * mark
    maintenance = mark + max(rate * spot, least)
    if not initial:
        return maintenance
    out = max(option.strike - spot if option.is_call else spot - option.strike, 0.0)
    need = mark + spot * max(p.initial_spot_max - out / spot, p.initial_spot_min)
    return need if option.is_call else max(need, p.put_offset * maintenance)
