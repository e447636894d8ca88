"""Published SPAN risk arrays and what they come to, with the terms that the executed cases name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from models.margin.portfolio.span import (
    CalendarSpread,
    CommodityRisk,
    SpanContract,
    SpanPosition,
    SpanTerms,
    commodity_risk,
)

NUMBERS = re.compile(
    r"composite deltas FUT (?P<future>[\d.]+), CALL (?P<call>[\d.]+).*flat (?P<charge>[\d.]+).*"
    r"SOM (?P<least>[\d.]+).*call price (?P<price>[\d.]+)"
)
"""Terms of the executed cases, as their source line states them."""


def cases(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Published cases and executed ones."""
    return [*document["cases"], *document.get("executed", {}).get("cases", [])]


def run(case: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Give every number that the case expects."""
    stated = NUMBERS.search(document.get("executed", {}).get("source", ""))
    terms = {k: float(v) for k, v in stated.groupdict().items()} if stated else {}
    arrays = document["risk_arrays_pnl_long_one"]
    positions = [SpanPosition(_contract(name, arrays, terms), size) for name, size in case["inputs"]["positions"]]
    calendar = [CalendarSpread("A", "B", terms.get("charge", 0.0))]
    found = commodity_risk(positions, SpanTerms(calendar, terms.get("least", 0.0)))
    return _named(found, document["scenarios"])


def _contract(name: str, arrays: Mapping[str, list[float]], terms: Mapping[str, float]) -> SpanContract:
    option = name.startswith("CALL")
    return SpanContract(
        risk_array=arrays[name],
        delta=terms.get("call" if option else "future", 0.0),
        period=name.partition("_")[2],
        price=terms.get("price", 0.0) if option else 0.0,
        is_option=option,
    )


def _named(found: CommodityRisk, scenarios: list[str]) -> dict[str, Any]:
    return {
        "scan_risk": found.scan_risk,
        "scenario_pnl": found.profit.tolist(),
        "worst": [scenarios[s - 1] for s in found.worst_all],
        "worst_scenario_1based": found.worst,
        "calendar_spread_charge": found.calendar_charge,
        "short_option_minimum": found.short_option_minimum,
        "net_option_value": found.net_option_value,
        "span_risk": found.requirement,
    }
