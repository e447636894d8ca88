"""Initial margin by the standardised schedule (grid) of BCBS and IOSCO, and its standardised haircuts.

``gross = sum of rate(class, residual maturity) * |net notional of the trade|`` and
``margin = (0.4 + 0.6 * NGR) * gross``, with the net-to-gross ratio of replacement costs
``NGR = max(sum of PV, 0) / sum of max(PV, 0)``, 1 where no trade has replacement cost.

References
----------
BCBS-IOSCO d475, "Margin requirements for non-centrally cleared derivatives" (July 2019), appendices A (schedule) and B
(haircuts); AcadiaSoft simm-lib, module ``schedule`` (netting by trade, calendar years, inclusive bounds);
OpenSourceRisk Engine, Examples/InitialMargin (both sides). Haircuts: Central Bank of Bahrain rulebook CA-4.3.7
(standard haircuts of the Basel framework, ten-day holding period).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from typing import Final, Literal

from msgspec import Struct

from models.errors import InputError

__all__ = [
    "HAIRCUTS",
    "SCHEDULE_RATES",
    "ScheduleMargin",
    "ScheduleTrade",
    "bcbs_haircut",
    "net_to_gross_ratio",
    "residual_years",
    "schedule_margin",
    "schedule_rate",
]

Grid = tuple[tuple[float, float], ...]
Issuer = Literal["sovereign", "other", "main_index_equity", "other_listed_equity", "gold", "cash"]

SCHEDULE_RATES: Final[dict[str, Grid]] = {
    "Credit": ((2.0, 0.02), (5.0, 0.05), (math.inf, 0.10)),
    "Commodity": ((math.inf, 0.15),),
    "Equity": ((math.inf, 0.15),),
    "FX": ((math.inf, 0.06),),
    "Rates": ((2.0, 0.01), (5.0, 0.02), (math.inf, 0.04)),
    "Other": ((math.inf, 0.15),),
}
"""Margin rate of each product class: upper bound in years (inclusive) and rate."""

HAIRCUTS: Final[dict[tuple[str, str], Grid]] = {
    ("sovereign", "AA"): ((1.0, 0.005), (5.0, 0.02), (math.inf, 0.04)),
    ("sovereign", "BBB"): ((1.0, 0.01), (5.0, 0.03), (math.inf, 0.06)),
    ("sovereign", "BB"): ((math.inf, 0.15),),
    ("other", "AA"): ((1.0, 0.01), (5.0, 0.04), (math.inf, 0.08)),
    ("other", "BBB"): ((1.0, 0.02), (5.0, 0.06), (math.inf, 0.12)),
    ("main_index_equity", ""): ((math.inf, 0.15),),
    ("other_listed_equity", ""): ((math.inf, 0.25),),
    ("gold", ""): ((math.inf, 0.15),),
    ("cash", ""): ((math.inf, 0.0),),
}
"""Haircut by issuer and rating band (``AA`` for AAA to AA-, ``BBB`` for A+ to BBB-, ``BB`` for BB+ to BB-)."""

FX_MISMATCH: Final = 0.08
"""Further haircut where collateral and obligation are in different currencies."""

GROSS_SHARE: Final = 0.4
"""Part of the gross margin that netting leaves untouched."""


class ScheduleTrade(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One trade, or one leg of it: legs with the same name are netted.

    Parameters
    ----------
    trade_id : str
        Name of the trade.
    product_class : str
        One of `SCHEDULE_RATES`.
    years : float
        Residual maturity in years, >= 0 (`residual_years` gives it from dates).
    notional : float
        Signed notional, calculation currency.
    present_value : float
        Value of the leg, calculation currency, to whoever collects the margin on the secured side; 0 where none is
        given.

    Raises
    ------
    InputError
        If the class is unknown, or a number is not finite or the maturity negative.

    Examples
    --------
    >>> ScheduleTrade(trade_id="1", product_class="Rates", years=1.0, notional=100_000.0).present_value
    0.0
    """

    trade_id: str
    product_class: str
    years: float
    notional: float
    present_value: float = 0.0

    def __post_init__(self) -> None:
        """Check every value once, at construction."""
        schedule_rate(self.product_class, self.years)
        for name in ("notional", "present_value"):
            if not math.isfinite(getattr(self, name)):
                raise InputError(name, getattr(self, name), "a finite amount")


class ScheduleMargin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Schedule margin and what it comes from, calculation currency.

    Parameters
    ----------
    gross : float
        Sum of rate times absolute net notional.
    gross_replacement_cost, net_replacement_cost : float
        Signed as the values of that side are: >= 0 for the secured party, <= 0 for the pledgor.
    net_to_gross : float
        Their ratio, in [0, 1]; 1 where no trade has replacement cost.
    margin : float
        ``(0.4 + 0.6 * net_to_gross) * gross``, >= 0.
    """

    gross: float
    gross_replacement_cost: float
    net_replacement_cost: float
    net_to_gross: float
    margin: float


def residual_years(valuation_date: date, end_date: date) -> float:
    """Give the residual maturity in calendar years: whole years, and the part of the year that is left.

    Parameters
    ----------
    valuation_date, end_date : date
        First and last day.

    Returns
    -------
    float
        Years, >= 0 and 0 for a trade that has ended. An anniversary of the valuation date is a whole number, whatever
        leap years lie between, so that a trade of exactly two years is in the bucket up to two years.

    Examples
    --------
    >>> residual_years(date(2018, 2, 1), date(2020, 2, 1)), residual_years(date(2018, 9, 12), date(2018, 11, 23)) < 1
    (2.0, True)
    """
    if end_date <= valuation_date:
        return 0.0
    whole = end_date.year - valuation_date.year
    if _years_back(end_date, whole) < valuation_date:
        whole -= 1
    start, stop = _years_back(end_date, whole), _years_back(end_date, whole + 1)
    return whole + (start - valuation_date).days / (start - stop).days


def schedule_rate(product_class: str, years: float) -> float:
    """Look up the margin rate of the schedule.

    Parameters
    ----------
    product_class : str
        One of `SCHEDULE_RATES`.
    years : float
        Residual maturity, >= 0; bounds are inclusive.

    Returns
    -------
    float
        Fraction of the notional.

    Raises
    ------
    InputError
        If the class is unknown or the maturity negative.

    Examples
    --------
    >>> schedule_rate("Credit", 2.0), schedule_rate("Credit", 2.01), schedule_rate("FX", 30.0)
    (0.02, 0.05, 0.06)
    """
    grid = SCHEDULE_RATES.get(product_class)
    if grid is None:
        raise InputError("product_class", product_class, f"one of {', '.join(SCHEDULE_RATES)}")
    return _look_up(grid, "years", years)


def net_to_gross_ratio(present_values: Sequence[float]) -> float:
    """Give the ratio of net to gross replacement cost.

    Parameters
    ----------
    present_values : sequence of float
        Net value of each trade to the party that would have to replace it.

    Returns
    -------
    float
        In [0, 1]; 1 where no trade has a positive value.

    Examples
    --------
    >>> round(net_to_gross_ratio([500.0, -100.0, -25.0, 20.0]), 6), net_to_gross_ratio([0.0])
    (0.759615, 1.0)
    """
    gross = math.fsum(max(v, 0.0) for v in present_values)
    return max(math.fsum(present_values), 0.0) / gross if gross > 0 else 1.0


def schedule_margin(
    trades: Sequence[ScheduleTrade],
    side: Literal["secured", "pledgor"] = "secured",
    net_to_gross: float | None = None,
) -> ScheduleMargin:
    """Give the schedule margin of a netting set.

    Parameters
    ----------
    trades : sequence of ScheduleTrade
        Trades or legs; those with the same name are netted, notional and value each.
    side : {"secured", "pledgor"}
        Whether the margin is collected (called) or posted. The pledgor's replacement costs are those of the other
        party: the negative values.
    net_to_gross : float, optional
        Net-to-gross ratio in [0, 1] to use in place of the one that the values give.

    Returns
    -------
    ScheduleMargin
        The margin; zero for no trades.

    Raises
    ------
    InputError
        If the legs of a trade differ in class or maturity, the side is unknown or the ratio out of range.

    Examples
    --------
    >>> swap = ScheduleTrade(trade_id="1", product_class="Rates", years=1.0, notional=1000.0, present_value=1000.0)
    >>> back = ScheduleTrade(trade_id="2", product_class="Rates", years=1.0, notional=-1000.0, present_value=-1000.0)
    >>> schedule_margin([swap, back]).margin
    8.0
    """
    if side not in ("secured", "pledgor"):
        raise InputError("side", side, "'secured' or 'pledgor'")
    if net_to_gross is not None and not 0 <= net_to_gross <= 1:
        raise InputError("net_to_gross", net_to_gross, "a ratio in [0, 1]")
    netted = _net_by_trade(trades)
    gross = math.fsum(schedule_rate(c, years) * abs(notional) for c, years, notional, _ in netted)
    sign = 1.0 if side == "secured" else -1.0
    values = [sign * value for *_, value in netted]
    ratio = net_to_gross_ratio(values) if net_to_gross is None else net_to_gross
    return ScheduleMargin(
        gross=gross,
        gross_replacement_cost=sign * math.fsum(max(v, 0.0) for v in values),
        net_replacement_cost=sign * max(math.fsum(values), 0.0),
        net_to_gross=ratio,
        margin=(GROSS_SHARE + (1.0 - GROSS_SHARE) * ratio) * gross,
    )


def bcbs_haircut(issuer: Issuer, rating: str = "", maturity_years: float = 0.0, fx_mismatch: bool = False) -> float:
    """Look up the standardised haircut of an asset.

    Parameters
    ----------
    issuer : {"sovereign", "other", "main_index_equity", "other_listed_equity", "gold", "cash"}
        Sovereigns and central banks, other issuers of debt, or what is no debt.
    rating : str
        Rating of debt, for example ``"A-"``; ignored for what is no debt.
    maturity_years : float
        Residual maturity of debt, >= 0; bounds are inclusive.
    fx_mismatch : bool
        Whether its currency differs from that of the obligation: 8% more.

    Returns
    -------
    float
        Fraction of the market value.

    Raises
    ------
    InputError
        If the issuer is unknown, the debt is not eligible at that rating, or the maturity negative.

    Examples
    --------
    >>> bcbs_haircut("sovereign", "AA-", 4.0), bcbs_haircut("other", "BBB+", 7.0, fx_mismatch=True)
    (0.02, 0.2)
    """
    if issuer not in {key for key, _ in HAIRCUTS}:
        raise InputError("issuer", issuer, f"one of {', '.join(sorted({key for key, _ in HAIRCUTS}))}")
    is_debt = issuer in ("sovereign", "other")
    grid = HAIRCUTS.get((issuer, _band(rating) if is_debt else ""))
    if grid is None:
        expected = "AAA to BB- for sovereigns, AAA to BBB- for other issuers (below, the debt is not eligible)"
        raise InputError("rating", rating, expected)
    haircut = _look_up(grid, "maturity_years", maturity_years)
    return haircut + FX_MISMATCH if fx_mismatch else haircut


def _net_by_trade(trades: Sequence[ScheduleTrade]) -> list[tuple[str, float, float, float]]:
    legs: dict[str, list[ScheduleTrade]] = {}
    for trade in trades:
        legs.setdefault(trade.trade_id, []).append(trade)
    netted = []
    for name, group in legs.items():
        kinds = {(leg.product_class, leg.years) for leg in group}
        if len(kinds) > 1:
            raise InputError(f"trades[{name}]", sorted(kinds), "legs of one product class and one maturity")
        notional = math.fsum(leg.notional for leg in group)
        netted.append((*kinds.pop(), notional, math.fsum(leg.present_value for leg in group)))
    return netted


def _look_up(grid: Grid, name: str, years: float) -> float:
    if not years >= 0:
        raise InputError(name, years, "a residual maturity >= 0 in years")
    return next(value for bound, value in grid if years <= bound)


def _band(rating: str) -> str:
    letters = rating.strip().upper().rstrip("+-")
    return {"AAA": "AA", "AA": "AA", "A": "BBB", "BBB": "BBB", "BB": "BB"}.get(letters, "none")


def _years_back(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)
