"""OKX's portfolio margin: MR1 to MR9 put together.

References
----------
OKX, "Portfolio margin mode: cross margin trading" (support article 4417291853837) and "OKX will update margin
calculation rules for the portfolio margin mode" (help article 11951498951821, 2024-12).
"""

from __future__ import annotations

from dataclasses import dataclass

from models.errors import InputError
from models.margin.portfolio.contingencies import tiered_charge
from models.margin.portfolio.engine import ScenarioMargin
from models.margin.portfolio.rules import PortfolioRules
from models.margin.portfolio.shocks import within

__all__ = ["OkxMargin", "RiskUnit", "depeg_charge", "depeg_hedges", "margin_ratio", "okx_margin", "risk_unit"]

Tiers = tuple[tuple[float | None, float], ...]


@dataclass(frozen=True, slots=True)
class RiskUnit:
    """Components of one risk unit, quote currency, >= 0.

    Parameters
    ----------
    mr1, mr2, mr6 : float
        Worst loss by spot and volatility shock, by the passing of time, by an extreme move; the greatest counts.
    mr3, mr4, mr5 : float
        Term structure of volatility, basis, interest rate; they are added.
    mr7 : float
        Minimum charge before its tiers.
    mr8, mr9 : float
        Borrowing, and stable coins off their peg.
    """

    mr1: float = 0.0
    mr2: float = 0.0
    mr3: float = 0.0
    mr4: float = 0.0
    mr5: float = 0.0
    mr6: float = 0.0
    mr7: float = 0.0
    mr8: float = 0.0
    mr9: float = 0.0

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        for field in ("mr1", "mr2", "mr3", "mr4", "mr5", "mr6", "mr7", "mr8", "mr9"):
            within(field, getattr(self, field), 0.0, 1e18)


@dataclass(frozen=True, slots=True)
class OkxMargin:
    """Requirement of a risk unit, quote currency.

    Parameters
    ----------
    mr7_adjusted : float
        Minimum charge after its tiers.
    maintenance, initial : float
        The two levels.
    """

    mr7_adjusted: float
    maintenance: float
    initial: float


def okx_margin(unit: RiskUnit, tiers: Tiers, initial_factor: float = 1.3, borrow_initial: float = 0.0) -> OkxMargin:
    """Put the components of a risk unit together.

    Maintenance is ``max(max(MR1, MR2, MR6) + MR3 + MR4 + MR5, MR7) + MR8 + MR9``; initial is the part of derivatives
    times `initial_factor` plus that of borrowing.

    Parameters
    ----------
    unit : RiskUnit
        The components.
    tiers : tuple of (float or None, float)
        Upper bound and multiplier of each slice of the minimum charge.
    initial_factor : float
        Initial over maintenance of derivatives.
    borrow_initial : float
        Initial margin of borrowing, quote currency.

    Returns
    -------
    OkxMargin
        The requirement.

    Examples
    --------
    >>> okx_margin(RiskUnit(mr1=40_000, mr7=30_000), ((10_000, 1), (70_000, 2))).maintenance
    50000.0
    """
    least = tiered_charge(unit.mr7, tiers)
    scenario = max(unit.mr1, unit.mr2, unit.mr6) + unit.mr3 + unit.mr4 + unit.mr5
    derivatives = max(scenario, least) + unit.mr9
    return OkxMargin(least, derivatives + unit.mr8, initial_factor * derivatives + borrow_initial)


def risk_unit(rules: PortfolioRules, found: ScenarioMargin, mr8: float = 0.0, mr9: float = 0.0) -> RiskUnit:
    """Read the components off a scenario requirement; MR7 is left out, it is tiered already.

    Parameters
    ----------
    rules : PortfolioRules
        Such as ``okx-pm-btc``.
    found : ScenarioMargin
        What `scenario_margin` gave with it.
    mr8, mr9 : float
        Borrowing, and stable coins off their peg.

    Returns
    -------
    RiskUnit
        The components.
    """
    worst = {"mr1": 0.0, "mr2": 0.0, "mr6": 0.0}
    for point, profit in zip(rules.points(), found.profit, strict=True):
        kind = "mr6" if point.extended else "mr2" if point.hours > 0.0 else "mr1"
        worst[kind] = max(worst[kind], -float(profit))
    return RiskUnit(mr3=found.vega, mr4=found.roll, mr5=found.rate, mr8=mr8, mr9=mr9, **worst)


def depeg_hedges(usdt: float, usdc: float, usd: float) -> tuple[float, float, float]:
    """Match the deltas that one stable coin holds against another.

    Parameters
    ----------
    usdt, usdc, usd : float
        Cash delta of the positions quoted in each, dollars, signed.

    Returns
    -------
    tuple of float
        Hedged amounts USDT against USD, USDT against USDC, USDC against USD, matched in this order.

    Examples
    --------
    >>> depeg_hedges(10.0, -4.0, -7.0)
    (7.0, 3.0, 0.0)
    """
    left = {"usdt": usdt, "usdc": usdc, "usd": usd}
    out = []
    for a, b in (("usdt", "usd"), ("usdt", "usdc"), ("usdc", "usd")):
        size = min(abs(left[a]), abs(left[b])) if left[a] * left[b] < 0.0 else 0.0
        for name in (a, b):
            left[name] -= size if left[name] > 0.0 else -size
        out.append(size)
    return out[0], out[1], out[2]


def depeg_charge(hedged: float, tiers: Tiers) -> float:
    """Charge a hedge between stable coins slice by slice (MR9).

    Parameters
    ----------
    hedged : float
        Hedged amount, dollars, >= 0.
    tiers : tuple of (float or None, float)
        Upper bound and rate of each slice, of the column that holds at the price of the stable coin.

    Returns
    -------
    float
        Dollars.

    Examples
    --------
    >>> depeg_charge(10e6, ((1e6, 0.0075), (5e6, 0.0175), (None, 0.025)))
    202500.0
    """
    return tiered_charge(hedged, tiers)


def margin_ratio(adjusted_equity: float, maintenance: float, liquidation_cost: float = 0.0) -> float:
    """Give the margin ratio; at or below 1 the account is liquidated.

    Parameters
    ----------
    adjusted_equity : float
        Equity after discounts, dollars.
    maintenance : float
        Maintenance requirement of all risk units, dollars.
    liquidation_cost : float
        Fees of closing everything, dollars.

    Returns
    -------
    float
        Infinite where nothing is required.

    Raises
    ------
    InputError
        If a requirement is negative.

    Examples
    --------
    >>> margin_ratio(120_000, 50_000, 10_000)
    2.0
    """
    need = maintenance + liquidation_cost
    if not need >= 0.0:
        raise InputError("maintenance", need, "a requirement >= 0")
    return adjusted_equity / need if need > 0.0 else float("inf")
