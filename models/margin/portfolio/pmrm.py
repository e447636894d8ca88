"""Derive's portfolio margin (PMRM_2): net margins of an account on top of the scenario engine.

References
----------
Derive, "PM2" (docs.derive.xyz/docs/pm2, 2025-03) and the numbers of its v2 mainnet configuration; published cases of
derivexyz/v2-core at 7736900d.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.errors import InputError
from models.margin.portfolio.contingencies import Confidence
from models.margin.portfolio.engine import basis_loss
from models.margin.portfolio.holdings import Holdings
from models.margin.portfolio.rules import PortfolioRules
from models.margin.portfolio.shocks import SKEWS
from models.margin.portfolio.valuation import discount_factors, option_marks, scenario_profit, window_years
from models.typing import FloatArray

__all__ = ["BaseCollateral", "NetMargin", "PmrmAccount", "net_margin"]

_TIE = 1e-12


@dataclass(frozen=True, slots=True)
class BaseCollateral:
    """One asset held as collateral.

    Parameters
    ----------
    quantity : float
        Units held.
    price : float
        Dollars; what it counts for is that over the price of the stable coin.
    maintenance_haircut, initial_haircut : float
        Shares of the value; the second comes on top of the first.
    nets : bool
        Whether it hedges the underlying in scenarios.
    confidence : float
        Of its oracle, in [0, 1].
    """

    quantity: float
    price: float
    maintenance_haircut: float
    initial_haircut: float
    nets: bool = False
    confidence: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class PmrmAccount:
    """One account under PMRM_2.

    Parameters
    ----------
    held : Holdings
        Options and perpetuals; its ``base_value`` is left 0, the collateral says what nets.
    cash : float
        Stable coin, may be negative.
    collateral : sequence of BaseCollateral
        Everything else that is held.
    perpetual_profit, perpetual_funding : float
        Unrealised, quote currency.
    stable_price : float
        Price of the stable coin in dollars.
    spot_confidence, perpetual_confidence : float
        Of the oracles, in [0, 1].
    expiry_confidence : sequence of sequence of float
        Confidences of each expiry (forward, rate, volatility), the least counts; empty where all are certain.
    """

    held: Holdings
    cash: float = 0.0
    collateral: Sequence[BaseCollateral] = ()
    perpetual_profit: float = 0.0
    perpetual_funding: float = 0.0
    stable_price: float = 1.0
    spot_confidence: float = 1.0
    perpetual_confidence: float = 1.0
    expiry_confidence: Sequence[Sequence[float]] = ()

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        if not self.stable_price > 0.0:
            raise InputError("stable_price", self.stable_price, "a price above 0")
        if self.held.base_value != 0.0:
            raise InputError("held.base_value", self.held.base_value, "0: mark the collateral that nets instead")
        if len(self.expiry_confidence) not in (0, len(self.held.expiries)):
            raise InputError("expiry_confidence", list(self.expiry_confidence), "one for each expiry, or none")

    def values(self) -> list[float]:
        """Value of every collateral in stable coins."""
        return [c.quantity * c.price / self.stable_price for c in self.collateral]


@dataclass(frozen=True, slots=True)
class NetMargin:
    """Net margins and their parts, quote currency; losses and contingencies are <= 0.

    Parameters
    ----------
    initial, maintenance : float
        Value less requirement: below 0 the account may not open, and is liquidated.
    mark_to_market, option_value, collateral_value : float
        What everything, the options and the collateral are worth.
    regular_loss, tail_loss, skew_loss, basis_loss : float
        Worst of each kind of scenario.
    regular_worst : tuple of (float, int)
        Price move and volatility move (-1, 0, 1) of the worst regular scenarios, equal ones all listed.
    initial_factor : float
        Multiple of the worst loss in initial margin.
    perpetual, option, base : tuple of float
        Maintenance contingency, and what initial adds.
    oracle : float
        For lost confidence, initial only.
    discounts : tuple of (float, float)
        Of each expiry: what one unit of positive and of negative value counts for.
    """

    initial: float
    maintenance: float
    mark_to_market: float
    option_value: float
    collateral_value: float
    regular_loss: float
    regular_worst: tuple[tuple[float, int], ...]
    tail_loss: float
    skew_loss: float
    basis_loss: float
    initial_factor: float
    perpetual: tuple[float, float]
    option: tuple[float, float]
    base: tuple[float, float]
    oracle: float
    discounts: tuple[tuple[float, float], ...]


def net_margin(rules: PortfolioRules, account: PmrmAccount) -> NetMargin:
    """Compute the net margins of an account.

    Parameters
    ----------
    rules : PortfolioRules
        Such as ``derive-pmrm2``; scenarios of a weight other than 1 are its tail.
    account : PmrmAccount
        The account.

    Returns
    -------
    NetMargin
        Net initial and maintenance margin with all parts.

    Examples
    --------
    >>> from models.margin.portfolio.loader import load_portfolio_rules
    >>> rules = load_portfolio_rules("derive-pmrm2")
    >>> found = net_margin(rules, PmrmAccount(Holdings(100_000.0, perpetual=1.0), cash=30_000.0))
    >>> found.regular_loss, found.maintenance, found.initial
    (-18000.0, 12600.0, 8000.0)
    """
    held = _with_netting(account)
    window = window_years(rules)
    marks = option_marks(held, window)
    losses = _losses(rules, held, marks)
    basis = float(basis_loss(rules.basis, held, marks, window).sum()) if rules.basis else 0.0
    worst = min(losses.regular, losses.tail, losses.skew, basis)
    value = float(marks.sum())
    collateral = math.fsum(account.values())
    total = account.cash + value + collateral + account.perpetual_profit + account.perpetual_funding
    perpetual, option, base = _contingencies(rules, account)
    factor = rules.factors.initial
    if rules.peg is not None:
        factor += max(rules.peg.threshold - account.stable_price, 0.0) * rules.peg.factor
    maintenance = perpetual[0] + option[0] + base[0]
    oracle = _oracle(rules.confidence, account) if rules.confidence else 0.0
    return NetMargin(
        initial=total + worst * factor + maintenance + perpetual[1] + option[1] + base[1] + oracle,
        maintenance=total + worst * rules.factors.maintenance + maintenance,
        mark_to_market=total,
        option_value=value,
        collateral_value=collateral,
        regular_loss=losses.regular,
        regular_worst=losses.where,
        tail_loss=losses.tail,
        skew_loss=losses.skew,
        basis_loss=basis,
        initial_factor=factor,
        perpetual=perpetual,
        option=option,
        base=base,
        oracle=oracle,
        discounts=tuple(discount_factors(rules.discount, a.years, a.rate) for a in held.expiries),
    )


@dataclass(frozen=True, slots=True)
class _Losses:
    regular: float
    where: tuple[tuple[float, int], ...]
    tail: float
    skew: float


def _losses(rules: PortfolioRules, held: Holdings, marks: FloatArray) -> _Losses:
    """Worst profit of each kind of scenario, at most 0."""
    regular: list[tuple[float, tuple[float, int]]] = []
    tail, skew = 0.0, 0.0
    for p in rules.points():
        profit = scenario_profit(rules, held, p, marks)
        if p.vol in SKEWS:
            skew = min(skew, profit)
        elif p.extended:
            tail = min(tail, profit)
        else:
            regular.append((profit, (p.price, {"up": 1, "down": -1}.get(p.vol, 0))))
    least = min((r[0] for r in regular), default=0.0)
    near = least + _TIE * (abs(least) + float(np.abs(marks).sum()) + held.spot)
    return _Losses(min(least, 0.0), tuple(at for profit, at in regular if profit <= near), tail, skew)


def _with_netting(account: PmrmAccount) -> Holdings:
    """Give the holdings with the collateral that nets; a negative rate counts as 0."""
    held = account.held
    return Holdings(
        spot=held.spot,
        expiries=[replace(at, rate=max(at.rate, 0.0)) for at in held.expiries],
        strike=held.strike,
        quantity=held.quantity,
        vol=held.vol,
        is_call=held.is_call,
        expiry=held.expiry,
        perpetual=held.perpetual,
        perpetual_price=held.perpetual_price,
        base_value=math.fsum(v for c, v in zip(account.collateral, account.values(), strict=True) if c.nets),
    )


def _contingencies(rules: PortfolioRules, account: PmrmAccount) -> tuple[tuple[float, float], ...]:
    """Perpetual, option and base contingency: maintenance, and what initial adds."""
    r, held, values = rules.rates, account.held, account.values()
    perpetual, short = abs(held.perpetual) * held.spot, held.net_short() * held.spot
    return (
        (-r.perpetual_maintenance * perpetual, -r.perpetual_initial * perpetual),
        (-r.option_maintenance * short, -r.option_initial * short),
        (
            -math.fsum(v * c.maintenance_haircut for c, v in zip(account.collateral, values, strict=True)),
            -math.fsum(v * c.initial_haircut for c, v in zip(account.collateral, values, strict=True)),
        ),
    )


def _oracle(rule: Confidence, account: PmrmAccount) -> float:
    """Contingency for lost confidence: of spot and the perpetual, and of each expiry and collateral on its own."""

    def share(confidence: float) -> float:
        return (1.0 - confidence) * rule.margin if confidence < rule.threshold else 0.0

    held, spot = account.held, account.spot_confidence
    common = min(spot, account.perpetual_confidence) if held.perpetual != 0.0 else spot
    total = share(common) * abs(held.perpetual) * held.spot
    for e, confidence in enumerate(account.expiry_confidence or [(1.0,)] * len(held.expiries)):
        size = float(np.abs(held.quantity[held.rows(e)]).sum())
        total += share(min(common, *confidence)) * size * held.spot
    for c, value in zip(account.collateral, account.values(), strict=True):
        total += share(min(spot, c.confidence)) * value
    return -total
