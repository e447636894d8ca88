"""SPAN: scanning risk, spreads between and within commodities, short option minimum, net option value.

References
----------
CME, "SPAN methodology" (cmegroup.com/clearing/risk-management/span-overview); NSE Clearing, "SPAN parameters"
(nseindia.com, derivatives risk management); McMillan, "Options as a Strategic Investment", ch. 34 (risk arrays).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.errors import InputError
from models.typing import FloatArray

__all__ = [
    "CalendarSpread",
    "CommodityRisk",
    "SpanContract",
    "SpanPosition",
    "SpanTerms",
    "commodity_risk",
    "intercommodity_credit",
    "scanning_risk",
]

_TIE = 1e-9
SCENARIOS = 16


@dataclass(frozen=True, slots=True, eq=False)
class SpanContract:
    """One contract of a commodity.

    Parameters
    ----------
    risk_array : sequence of float, length 16
        Profit and loss of one long contract: prices unchanged, +1/3, -1/3, +2/3, -2/3, +1, -1 of the range, each with
        volatility up and down, then the two extreme moves.
    delta : float
        Composite delta of one long contract.
    period : str
        Contract period, for calendar spreads.
    price : float
        What one contract is worth; 0 for futures, they are paid for day by day.
    is_option : bool
        Whether it counts for option value and short option minimum.
    """

    risk_array: Sequence[float] | FloatArray
    delta: float = 0.0
    period: str = ""
    price: float = 0.0
    is_option: bool = False

    def __post_init__(self) -> None:
        """Check the array once, at construction."""
        array = np.asarray(self.risk_array, np.float64)
        if array.shape != (SCENARIOS,) or not np.isfinite(array).all():
            raise InputError("risk_array", array.tolist(), "16 finite numbers, one for each scenario")


@dataclass(frozen=True, slots=True)
class SpanPosition:
    """Contracts held.

    Parameters
    ----------
    contract : SpanContract
        Which.
    quantity : float
        Contracts, signed.
    """

    contract: SpanContract
    quantity: float


@dataclass(frozen=True, slots=True)
class CalendarSpread:
    """Charge on deltas that two periods hold against each other.

    Parameters
    ----------
    first, second : str
        The periods.
    charge : float
        Quote currency for each spread, >= 0.
    first_delta, second_delta : float
        Deltas that make up one spread, > 0.
    """

    first: str
    second: str
    charge: float
    first_delta: float = 1.0
    second_delta: float = 1.0

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        if not self.charge >= 0.0:
            raise InputError("charge", self.charge, "a number >= 0")
        if not (self.first_delta > 0.0 and self.second_delta > 0.0):
            raise InputError("first_delta", (self.first_delta, self.second_delta), "deltas per spread above 0")


@dataclass(frozen=True, slots=True)
class SpanTerms:
    """Parameters of one commodity.

    Parameters
    ----------
    calendar : sequence of CalendarSpread
        Spreads in the order in which they are formed.
    short_option_minimum : float
        Quote currency for each short option.
    spot_month : mapping of str to float
        Charge for each delta left in a period, after spreads.
    """

    calendar: Sequence[CalendarSpread] = ()
    short_option_minimum: float = 0.0
    spot_month: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class CommodityRisk:
    """Risk of one commodity and what it is made of, quote currency.

    Parameters
    ----------
    scan_risk : float
        Worst loss over the scenarios, >= 0.
    worst : int
        Its scenario, counting from 1; the first of equal ones.
    worst_all : tuple of int
        Every scenario with that loss.
    calendar_charge, spot_month_charge, intercommodity_credit, short_option_minimum : float
        Charges and the credit, >= 0.
    net_option_value : float
        Long less short option value.
    net_delta : float
        Composite delta left after calendar spreads.
    weighted_price_risk : float
        Price risk of one delta.
    risk : float
        What all of it comes to before option value.
    requirement : float
        That less the net option value, >= 0.
    profit : ndarray, shape (16,)
        Profit and loss of each scenario.
    """

    scan_risk: float
    worst: int
    worst_all: tuple[int, ...]
    calendar_charge: float
    spot_month_charge: float
    intercommodity_credit: float
    short_option_minimum: float
    net_option_value: float
    net_delta: float
    weighted_price_risk: float
    risk: float
    requirement: float
    profit: FloatArray


def scanning_risk(positions: Sequence[SpanPosition]) -> tuple[float, tuple[int, ...], FloatArray]:
    """Find the worst of the sixteen scenarios.

    Parameters
    ----------
    positions : sequence of SpanPosition
        Positions in one commodity.

    Returns
    -------
    tuple
        Scan risk (>= 0), the scenarios with the worst profit (counting from 1), and the profit of each scenario.

    Examples
    --------
    >>> risk = [0, 0, 3, 3, -3, -3, 7, 7, -7, -7, 10, 10, -10, -10, 7, -7]
    >>> scanning_risk([SpanPosition(SpanContract(risk), 1)])[:2]
    (10.0, (13, 14))
    """
    total = np.zeros(SCENARIOS)
    for held in positions:
        total += held.quantity * np.asarray(held.contract.risk_array, np.float64)
    worst = float(total.min())
    near = worst + _TIE * float(np.abs(total).max())
    return max(-worst, 0.0), tuple(int(s) + 1 for s in np.flatnonzero(total <= near)), total


def commodity_risk(positions: Sequence[SpanPosition], terms: SpanTerms, credit: float = 0.0) -> CommodityRisk:
    """Compute the risk of one commodity.

    The risk is ``max(scan + calendar + spot month - credit, short option minimum)``; the requirement is that less the
    net option value, never below 0.

    Parameters
    ----------
    positions : sequence of SpanPosition
        Positions in one commodity.
    terms : SpanTerms
        Its parameters.
    credit : float
        Credit for spreads against other commodities (`intercommodity_credit`).

    Returns
    -------
    CommodityRisk
        The risk and its parts.

    Examples
    --------
    >>> risk = [0, 0, 3, 3, -3, -3, 7, 7, -7, -7, 10, 10, -10, -10, 7, -7]
    >>> near, far = SpanContract(risk, 1, "A"), SpanContract(risk, 1, "B")
    >>> terms = SpanTerms([CalendarSpread("A", "B", charge=2)])
    >>> commodity_risk([SpanPosition(near, 3), SpanPosition(far, -2)], terms).requirement
    14.0
    """
    scan, worst, profit = scanning_risk(positions)
    deltas: dict[str, float] = {}
    for held in positions:
        deltas[held.contract.period] = deltas.get(held.contract.period, 0.0) + held.quantity * held.contract.delta
    calendar, left = _calendar(deltas, terms.calendar)
    spot = sum(abs(left.get(period, 0.0)) * charge for period, charge in terms.spot_month.items())
    options = [h for h in positions if h.contract.is_option]
    least = terms.short_option_minimum * sum(max(-h.quantity, 0.0) for h in options)
    value = sum(h.quantity * h.contract.price for h in options)
    net = sum(left.values())
    risk = max(scan + calendar + spot - credit, least)
    return CommodityRisk(
        scan_risk=scan,
        worst=worst[0],
        worst_all=worst,
        calendar_charge=calendar,
        spot_month_charge=spot,
        intercommodity_credit=credit,
        short_option_minimum=least,
        net_option_value=value,
        net_delta=net,
        weighted_price_risk=_price_risk(profit, worst[0]) / abs(net) if net != 0.0 else 0.0,
        risk=risk,
        requirement=max(risk - value, 0.0),
        profit=profit,
    )


def intercommodity_credit(
    risks: Mapping[str, CommodityRisk], legs: Mapping[str, float], rate: float
) -> tuple[dict[str, float], float]:
    """Give the credit for deltas that commodities hold against each other.

    Parameters
    ----------
    risks : mapping of str to CommodityRisk
        Each commodity without credits.
    legs : mapping of str to float
        Deltas of each commodity in one spread; a negative one is held the other way round.
    rate : float
        Share of the weighted price risk, in [0, 1].

    Returns
    -------
    tuple
        Credit of each commodity, and the number of spreads.

    Raises
    ------
    InputError
        If a leg is unknown or 0, or the rate is no fraction.

    Examples
    --------
    >>> risk = [0, 0, 3, 3, -3, -3, 7, 7, -7, -7, 10, 10, -10, -10, 7, -7]
    >>> one = commodity_risk([SpanPosition(SpanContract(risk, 1), 4)], SpanTerms())
    >>> two = commodity_risk([SpanPosition(SpanContract(risk, 1), -2)], SpanTerms())
    >>> intercommodity_credit({"A": one, "B": two}, {"A": 1, "B": -1}, 0.6)
    ({'A': 12.0, 'B': 12.0}, 2.0)
    """
    if not 0.0 <= rate <= 1.0:
        raise InputError("rate", rate, "a fraction in [0, 1]")
    for name, per in legs.items():
        if name not in risks or per == 0.0:
            raise InputError(f"legs.{name}", per, "a delta other than 0 of one of " + ", ".join(risks))
    ratios = [risks[name].net_delta / per for name, per in legs.items()]
    opposed = all(r > 0.0 for r in ratios) or all(r < 0.0 for r in ratios)
    spreads = min(abs(r) for r in ratios) if opposed else 0.0
    credits = {name: rate * spreads * abs(per) * risks[name].weighted_price_risk for name, per in legs.items()}
    return credits, spreads


def _calendar(deltas: Mapping[str, float], spreads: Sequence[CalendarSpread]) -> tuple[float, dict[str, float]]:
    """Charge of the spreads, formed in order, and the deltas that are left."""
    left, charge = dict(deltas), 0.0
    for s in spreads:
        a, b = left.get(s.first, 0.0), left.get(s.second, 0.0)
        if a * b >= 0.0:
            continue
        number = min(abs(a) / s.first_delta, abs(b) / s.second_delta)
        left[s.first] = a - np.sign(a) * number * s.first_delta
        left[s.second] = b - np.sign(b) * number * s.second_delta
        charge += number * s.charge
    return float(charge), left


def _price_risk(profit: FloatArray, worst: int) -> float:
    """Scan risk without volatility (mean of the worst scenario and its pair) and time (mean of the unchanged ones)."""
    at = worst - 1
    pair = at if at >= SCENARIOS - 2 else at ^ 1
    volatility_free = -0.5 * float(profit[at] + profit[pair])
    time = -0.5 * float(profit[0] + profit[1])
    return max(volatility_free - time, 0.0)
