"""Portfolio margin by scenarios: the clear statement of the rule, for one set of holdings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from models.margin.portfolio.contingencies import Basis, DeltaShock, Minimum, Roll, tiered_charge
from models.margin.portfolio.holdings import Holdings
from models.margin.portfolio.rules import PortfolioRules
from models.margin.portfolio.valuation import option_deltas, option_marks, option_values, scenario_profit, window_years
from models.typing import FloatArray

__all__ = ["ScenarioMargin", "basis_loss", "delta_shock", "min_delta", "roll_shock", "scenario_margin"]

_ROOT_2PI = math.sqrt(2.0 * math.pi)


@dataclass(frozen=True, slots=True, eq=False)
class ScenarioMargin:
    """Requirement of one set of holdings and what it is made of, quote currency.

    Parameters
    ----------
    value : float
        What the options are worth now, signed.
    profit : ndarray, shape (s,)
        Profit or loss of every scenario, in the order of ``rules.points()``.
    worst : int
        Row of the worst scenario; of equal ones the one that moves volatility least.
    worst_loss : float
        Its loss, >= 0.
    basis, roll, delta, vega, rate, minimum : float
        Contingencies, >= 0.
    requirement : float
        Scenario requirement before the factors.
    maintenance, initial : float
        The two levels.
    """

    value: float
    profit: FloatArray
    worst: int
    worst_loss: float
    basis: float
    roll: float
    delta: float
    vega: float
    rate: float
    minimum: float
    requirement: float
    maintenance: float
    initial: float


def scenario_margin(rules: PortfolioRules, held: Holdings) -> ScenarioMargin:
    """Compute the requirement of holdings on one underlying.

    Parameters
    ----------
    rules : PortfolioRules
        The ruleset.
    held : Holdings
        The positions and their market.

    Returns
    -------
    ScenarioMargin
        The requirement and its parts.

    References
    ----------
    Deribit, "Portfolio Margin" (support article 25944756247837, 2026-02); OKX (4417291853837, 2025-01); Derive, "PM2"
    (2025-03); Paradex, "Portfolio Margin" (2026-02).

    Examples
    --------
    >>> from models.margin.portfolio.loader import load_portfolio_rules
    >>> found = scenario_margin(load_portfolio_rules("paradex-pm"), Holdings(70_000.0, perpetual=1.0))
    >>> round(found.initial, 6), round(found.maintenance, 6)
    (11200.0, 5600.0)
    """
    window = window_years(rules)
    marks = option_marks(held, window)
    points = rules.points()
    profit = np.array([scenario_profit(rules, held, p, marks) for p in points])
    order = sorted(range(len(points)), key=lambda s: (profit[s], points[s].vol != "none"))
    worst_loss = max(-float(profit[order[0]]), 0.0)
    basis = -float(basis_loss(rules.basis, held, marks, window).sum()) if rules.basis else 0.0
    expiry, total = _deltas(held, window)
    roll = roll_shock(rules.roll, held, expiry) if rules.roll else 0.0
    delta = delta_shock(rules.delta_shock, held.spot, *_sides(held, window)) if rules.delta_shock else 0.0
    vega = rules.vega.hedged * _hedged_vega(held, window) if rules.vega else 0.0
    rate = rules.rate.move * _duration(held, marks) if rules.rate else 0.0
    least = _minimum(rules.minimum, held, total, window) if rules.minimum else 0.0
    need = max(max(worst_loss, basis) + roll + delta + vega + rate, least)
    mm, im = _rates(rules, held)
    return ScenarioMargin(
        value=float(marks.sum()),
        profit=profit,
        worst=order[0],
        worst_loss=worst_loss,
        basis=basis,
        roll=roll,
        delta=delta,
        vega=vega,
        rate=rate,
        minimum=least,
        requirement=need,
        maintenance=rules.factors.maintenance * need + mm,
        initial=rules.factors.initial * need + mm + im,
    )


def basis_loss(basis: Basis, held: Holdings, marks: FloatArray, window: float = 0.0) -> FloatArray:
    """Forward contingency of every expiry.

    Parameters
    ----------
    basis : Basis
        Its parameters.
    held : Holdings
        The positions.
    marks : ndarray, shape (e,)
        Value of the options of each expiry now.
    window : float
        Settlement window, years.

    Returns
    -------
    ndarray, shape (e,)
        Losses, <= 0, quote currency.
    """
    out = np.zeros(len(held.expiries))
    for e, at in enumerate(held.expiries):
        fixed, moving = at.parts(window)
        vol = held.vol[held.rows(e)]
        gains = [
            option_values(held, e, fixed + moving * (1.0 + m), vol, at.years) - marks[e] + at.futures * moving * m
            for m in (basis.up, basis.down)
        ]
        out[e] = min(0.0, *gains) * (basis.add + basis.multiple * at.years)
    return out


def roll_shock(roll: Roll, held: Holdings, expiry_delta: FloatArray) -> float:
    """Charge the net delta of every expiry for the move of its basis.

    Parameters
    ----------
    roll : Roll
        Its parameters.
    held : Holdings
        The positions; perpetuals are an expiry of their own without time.
    expiry_delta : ndarray, shape (e,)
        Net delta of each expiry, base units.

    Returns
    -------
    float
        Quote currency, >= 0.
    """
    total = abs(held.perpetual) * roll.least
    for at, delta in zip(held.expiries, expiry_delta, strict=True):
        total += abs(float(delta)) * max(roll.least, roll.annualised * at.years)
    return total * held.spot


def delta_shock(shock: DeltaShock, spot: float, bought: float, other: float) -> float:
    """Charge a delta too large to be liquidated at the market.

    Parameters
    ----------
    shock : DeltaShock
        Its parameters.
    spot : float
        Price of the underlying, quote currency.
    bought : float
        Delta of long options, base units; it may reduce the other delta, not turn or raise it.
    other : float
        Delta of everything else, base units.

    Returns
    -------
    float
        Quote currency, >= 0.

    Notes
    -----
    The venue publishes threshold, slope and cap, not the formula: that the slope is per coin of delta above the
    threshold, and that the share so found applies to the whole delta, is assumed.

    Examples
    --------
    >>> shock = DeltaShock(threshold=20e6, slope=5e-5, cap=0.1)
    >>> delta_shock(shock, 50_000.0, 0.0, 400.0), round(delta_shock(shock, 50_000.0, 0.0, 1_400.0), 6)
    (0.0, 3500000.0)
    """
    both = bought + other
    size = min(max(both, other), 0.0) if other < 0.0 else max(min(both, other), 0.0)
    over = max(abs(size) - shock.threshold / spot, 0.0)
    return abs(size) * spot * min(shock.cap, shock.slope * over)


def min_delta(net: float, gross: float, spot: float, net_rate: float, hedged_rate: float) -> tuple[float, float]:
    """Give the least requirement for the deltas of a portfolio.

    Parameters
    ----------
    net, gross : float
        Sum of the deltas, and of their sizes, base units.
    spot : float
        Price of the underlying, quote currency.
    net_rate, hedged_rate : float
        Shares of the price.

    Returns
    -------
    tuple of float
        Hedged delta in base units, and the requirement in quote currency.

    References
    ----------
    Paradex, "Portfolio Margin", minimum delta requirement (docs.paradex.trade/risk/portfolio-margin, 2026-02).

    Examples
    --------
    >>> min_delta(-0.5, 2.5, 70_000.0, 0.02, 0.01)
    (1.0, 1400.0)
    """
    hedged = 0.5 * (gross - abs(net))
    return hedged, (net_rate * abs(net) + hedged_rate * hedged) * spot


def _deltas(held: Holdings, window: float) -> tuple[FloatArray, tuple[float, float]]:
    """Net delta of every expiry; net and gross delta of everything."""
    options = option_deltas(held, window)
    expiry = np.array([0.0 if at.years <= 0.0 else at.futures for at in held.expiries])
    singles = [held.perpetual, *expiry.tolist(), held.base_value / held.spot, *options.tolist()]
    np.add.at(expiry, held.expiry, options)
    return expiry, (math.fsum(singles), math.fsum(map(abs, singles)))


def _sides(held: Holdings, window: float) -> tuple[float, float]:
    options = option_deltas(held, window)
    long = held.quantity > 0.0
    futures = math.fsum(at.futures for at in held.expiries if at.years > 0.0)
    return float(options[long].sum()), float(options[~long].sum()) + futures + held.perpetual


def _hedged_vega(held: Holdings, window: float) -> float:
    """Vega that expiries hold against each other, quote currency for 1.00 of volatility."""
    vega = np.zeros(len(held.expiries))
    for e, at in enumerate(held.expiries):
        if at.years <= 0.0:
            continue
        rows, root, forward = held.rows(e), math.sqrt(at.years), sum(at.parts(window))
        deviation = held.vol[rows] * root
        d1 = np.log(forward / held.strike[rows]) / deviation + 0.5 * deviation
        density = np.exp(-0.5 * d1 * d1) / _ROOT_2PI
        vega[e] = float(held.quantity[rows] @ density) * forward * root * math.exp(-at.rate * at.years)
    return float(min(np.maximum(vega, 0.0).sum(), np.maximum(-vega, 0.0).sum()))


def _duration(held: Holdings, marks: FloatArray) -> float:
    return abs(math.fsum(float(v) * at.years for v, at in zip(marks, held.expiries, strict=True)))


def _minimum(rule: Minimum, held: Holdings, delta: tuple[float, float], window: float) -> float:
    _, raw = min_delta(*delta, held.spot, rule.net_delta, rule.hedged_delta)
    raw += rule.linear * _linear_notional(held, window)
    live = np.array([at.years > 0.0 for at in held.expiries], bool)
    short = -np.minimum(held.quantity, 0.0) @ live[held.expiry] if len(held.strike) else 0.0
    return tiered_charge(raw + rule.short_option * float(short) * held.spot, rule.tiers)


def _linear_notional(held: Holdings, window: float) -> float:
    futures = math.fsum(abs(at.futures) * sum(at.parts(window)) for at in held.expiries if at.years > 0.0)
    return abs(held.perpetual) * held.spot + futures


def _rates(rules: PortfolioRules, held: Holdings) -> tuple[float, float]:
    """Shares of notional: maintenance, and what initial adds."""
    r, perpetual, short = rules.rates, abs(held.perpetual) * held.spot, held.net_short(live=True) * held.spot
    maintenance = (r.perpetual_maintenance + r.provision) * perpetual + r.option_maintenance * short
    return maintenance, r.perpetual_initial * perpetual + r.option_initial * short
