"""Aave cases: health factor from totals, and interest and balances in ray integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from models.margin.lending import available_borrow, health_factor_of_totals
from models.margin.venues.aave_interest import RAY, balance, compounded_interest, grown_index, linear_interest

Inputs = Mapping[str, Any]


def run(case: Mapping[str, Any], document: Mapping[str, Any]) -> Any:
    """Give our value for what the case expects."""
    return KINDS[case["kind"]](case["inputs"])


def _health(i: Inputs) -> float:
    return health_factor_of_totals(i["collateral"], i["debt"], i["avg_liquidation_threshold_bps"])


def _seconds(i: Inputs) -> int:
    return int(i["t1"] - i["t0"])


KINDS: dict[str, Callable[[Inputs], Any]] = {
    "health_factor": _health,
    "linear_interest_ray": lambda i: linear_interest(i["rate"], _seconds(i)),
    "compounded_interest_ray": lambda i: compounded_interest(i["rate"], _seconds(i)),
    "linear_balance": lambda i: balance(i["scaled"], i["index"], i["rate"], _seconds(i)),
    "compounded_balance": lambda i: balance(i["scaled"], i.get("index", RAY), i["rate"], _seconds(i), compounded=True),
    "normalized_income": lambda i: grown_index(i["index"], i["rate"], _seconds(i)),
    "available_borrow": lambda i: available_borrow([i["collateral"]], [i["ltv_bps"] / 1e4], i["debt"]),
}
