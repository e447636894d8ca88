"""Values of holdings under a scenario: options with Black-76 expiry by expiry, everything else in proportion."""

from __future__ import annotations

import math

import numpy as np
from msgspec.structs import replace
from scipy.special import ndtr

from models.margin.portfolio.contingencies import Discount
from models.margin.portfolio.holdings import Expiry, Holdings
from models.margin.portfolio.rules import PortfolioRules
from models.margin.portfolio.shocks import SKEWS, Point, Skew, VolKind
from models.options.batch import black76_many
from models.typing import FloatArray

__all__ = [
    "discount_factors",
    "option_deltas",
    "option_marks",
    "option_values",
    "scenario_profit",
    "shocked_vols",
    "window_years",
]

_DAYS = 365.0
_SECONDS = 31_536_000.0


def window_years(rules: PortfolioRules) -> float:
    """Length of the settlement window.

    Parameters
    ----------
    rules : PortfolioRules
        The ruleset.

    Returns
    -------
    float
        Years of 365 days.
    """
    return rules.settlement_window_seconds / _SECONDS


def discount_factors(discount: Discount | None, years: float, rate: float) -> tuple[float, float]:
    """Give what one unit of positive and of negative expiry value counts for in a scenario.

    Parameters
    ----------
    discount : Discount, optional
        Static discount; none leaves values as they are.
    years : float
        Time left; at 0 nothing is discounted.
    rate : float
        Discount rate a year.

    Returns
    -------
    tuple of float
        Factor of a value above 0 and of one below.

    References
    ----------
    Derive, "PM2" and v2 mainnet configuration (docs.derive.xyz/docs/pm2, 2025-03).

    Examples
    --------
    >>> terms = Discount(long_factor=0.95, long_multiple=1, long_add=0.08, short_factor=1.04, short_multiple=0.5)
    >>> [round(f, 6) for f in discount_factors(terms, 0.5, 0.1)]
    [0.868235, 1.051271]
    """
    if discount is None or years <= 0.0:
        return 1.0, 1.0
    d = discount
    gain = d.long_factor * math.exp(-years * (rate * d.long_multiple + d.long_add))
    debt = d.short_factor * math.exp(years * (rate * d.short_multiple + d.short_add))
    return gain, min(debt, math.exp(rate * years))


def shocked_vols(rules: PortfolioRules, kind: VolKind, vol: FloatArray, strike: FloatArray, at: Expiry) -> FloatArray:
    """Implied volatilities after the move of a scenario.

    Parameters
    ----------
    rules : PortfolioRules
        The ruleset.
    kind : {"none", "up", "down", "linear", "absolute"}
        The move.
    vol, strike : ndarray, shape (n,)
        Options of one expiry.
    at : Expiry
        The expiry, as it stands before the scenario.

    Returns
    -------
    ndarray, shape (n,)
        Volatilities a year, >= 0.

    Examples
    --------
    >>> from models.margin.portfolio.loader import load_portfolio_rules
    >>> rules = load_portfolio_rules("derive-pmrm2")
    >>> month = Expiry(30 / 365, 100.0)
    >>> shocked_vols(rules, "up", np.array([0.6]), np.array([100.0]), month).round(12).tolist()
    [0.9]
    """
    if kind == "none" or at.years <= 0.0:
        return vol
    if kind in SKEWS and rules.skew is not None:
        return _skewed(rules.skew, kind == "linear", vol, strike, at)
    shock = rules.vol
    size = shock.scale(at.years * _DAYS) * (shock.up if kind == "up" else -shock.down)
    moved = vol * (1.0 + size) if shock.kind == "relative" else vol + size
    return np.maximum(moved, shock.least_up if kind == "up" else 0.0)


def _skewed(skew: Skew, tilt: bool, vol: FloatArray, strike: FloatArray, at: Expiry) -> FloatArray:
    root = math.sqrt(at.years)
    amplitude, wing = skew.amplitude(tilt, root), skew.wing(root)
    money = np.log(strike / at.forward)
    reach = np.abs(money) / wing if wing > 0.0 else np.full(len(money), np.inf)
    move = np.minimum(amplitude * reach, amplitude) if amplitude != 0.0 else np.zeros(len(money))
    return np.maximum(vol * (1.0 + (np.where(money < 0.0, -move, move) if tilt else move)), 0.0)


def option_values(held: Holdings, e: int, forward: float, vol: FloatArray, years: float) -> float:
    """Sum the discounted Black-76 values of the options of one expiry.

    Parameters
    ----------
    held : Holdings
        The positions.
    e : int
        Row of the expiry.
    forward : float
        Forward price, quote currency.
    vol : ndarray
        Volatilities of the options of that expiry.
    years : float
        Time left; at 0 and below options pay their intrinsic value.

    Returns
    -------
    float
        Signed value, quote currency.
    """
    rows = held.rows(e)
    price = np.empty(len(rows))
    left = max(years, 0.0)
    black76_many(np.full(len(rows), forward), held.strike[rows], vol * math.sqrt(left), held.is_call[rows], price)
    rate = held.expiries[e].rate
    return float(held.quantity[rows] @ price) * math.exp(-rate * left)


def option_marks(held: Holdings, window: float) -> FloatArray:
    """Value of the options of every expiry as they stand.

    Parameters
    ----------
    held : Holdings
        The positions.
    window : float
        Settlement window, years.

    Returns
    -------
    ndarray, shape (e,)
        Signed, quote currency.
    """
    rows = enumerate(held.expiries)
    found = [option_values(held, e, sum(at.parts(window)), held.vol[held.rows(e)], at.years) for e, at in rows]
    return np.array(found, np.float64)


def option_deltas(held: Holdings, window: float) -> FloatArray:
    """Forward delta of every option position, base units.

    Parameters
    ----------
    held : Holdings
        The positions.
    window : float
        Settlement window, years.

    Returns
    -------
    ndarray, shape (o,)
        Signed; 0 after expiry.
    """
    out = np.zeros(len(held.strike))
    for e, at in enumerate(held.expiries):
        if at.years <= 0.0:
            continue
        rows = held.rows(e)
        deviation = held.vol[rows] * math.sqrt(at.years)
        d1 = np.log(sum(at.parts(window)) / held.strike[rows]) / deviation + 0.5 * deviation
        out[rows] = held.quantity[rows] * np.where(held.is_call[rows], ndtr(d1), -ndtr(-d1))
    return out


def scenario_profit(rules: PortfolioRules, held: Holdings, point: Point, marks: FloatArray) -> float:
    """Profit or loss of one scenario, weighted and dampened.

    Parameters
    ----------
    rules : PortfolioRules
        The ruleset.
    held : Holdings
        The positions.
    point : Point
        The scenario.
    marks : ndarray, shape (e,)
        Value of the options of each expiry now.

    Returns
    -------
    float
        Quote currency at today's price, < 0 for a loss.

    Notes
    -----
    Coin-settled positions gain ``value after / price after - value before / price before`` coins; the base units of
    their futures are coins at the price of the future.
    """
    if point.vol in SKEWS:
        total = -sum(abs(_after(rules, held, e, point) - marks[e]) for e in range(len(marks)))
        return point.weight * total
    coin = rules.settlement == "coin"
    total = 0.0 if coin else (held.perpetual * _perpetual_price(held) + held.base_value) * point.price
    total += _coin(held.perpetual * held.spot, point) if coin else 0.0
    window = window_years(rules)
    for e, at in enumerate(held.expiries):
        if at.years <= 0.0:
            continue
        after = _after(rules, held, e, point)
        if coin:
            share = point.weight / (1.0 + point.edge)
            total += (after - marks[e] * (1.0 + point.price)) * share + _coin(at.futures * held.spot, point)
        else:
            total += after - marks[e] + at.futures * at.parts(window)[1] * point.price
    return _dampened(total if coin else point.weight * total, point, 1.0 + point.edge if coin else 1.0)


def _perpetual_price(held: Holdings) -> float:
    return held.spot if held.perpetual_price is None else held.perpetual_price


def _coin(notional: float, point: Point) -> float:
    """Coin profit of a linear holding, at today's price."""
    return notional * point.price * point.weight / (1.0 + point.edge)


def _dampened(profit: float, point: Point, price: float) -> float:
    relief = min(point.dampener / price, abs(profit))
    return profit - math.copysign(relief, profit)


def _after(rules: PortfolioRules, held: Holdings, e: int, point: Point) -> float:
    """Value of the options of an expiry in a scenario, after the static discount."""
    at = held.expiries[e]
    fixed, moving = at.parts(window_years(rules))
    moved = 0.0 if point.vol in SKEWS else point.price
    rows = held.rows(e)
    vols = _point_vols(rules, point, held.vol[rows], held.strike[rows], at)
    value = option_values(held, e, fixed + moving * (1.0 + moved), vols, at.years - point.hours / (24.0 * _DAYS))
    gain, debt = discount_factors(rules.discount, at.years, at.rate)
    return value * (gain if value > 0.0 else debt)


def _point_vols(rules: PortfolioRules, point: Point, vol: FloatArray, strike: FloatArray, at: Expiry) -> FloatArray:
    """Volatilities of a scenario; a tilt that comes with a price move has the amplitude of the bend (inferred)."""
    if point.vol == "linear" and point.price != 0.0 and rules.skew is not None and at.years > 0.0:
        s = rules.skew
        return _skewed(replace(s, linear_cap=s.absolute_cap, linear_slope=s.absolute_slope), True, vol, strike, at)
    return shocked_vols(rules, point.vol, vol, strike, at)
