"""Schedule initial margin, both sides."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from models.margin.schedule_im import ScheduleMargin, ScheduleTrade, residual_years, schedule_margin

__all__ = ["run"]


def run(case: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Put one case to `schedule_margin`. Acadia signs the pledgor's margin negatively."""
    inputs = case["inputs"]
    legs = [leg for trade in inputs["trades"] for leg in _legs(trade, inputs)]
    secured = schedule_margin(legs, "secured", inputs.get("ngr"))
    pledgor = schedule_margin(legs, "pledgor", inputs.get("ngr"))
    return {
        "net_im": secured.margin,
        "net_im_secured": secured.margin,
        "net_im_pledgor": -pledgor.margin,
        "gross_im": secured.gross,
        "call": _report(secured),
        "post": _report(pledgor),
    }


def _legs(trade: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[ScheduleTrade]:
    notionals = trade.get("notionals") or [trade.get("notional_field", trade.get("notional_usd"))]
    values = trade.get("pvs", [trade.get("pv_usd", 0.0)])
    common = {
        "trade_id": trade["trade_id"],
        "product_class": trade.get("product_class", inputs.get("product_class")),
        "years": _years(trade),
    }
    return [
        *(ScheduleTrade(**common, notional=n) for n in notionals),
        *(ScheduleTrade(**common, notional=0.0, present_value=v) for v in values),
    ]


def _years(trade: Mapping[str, Any]) -> float:
    if "maturity_years" in trade:
        return trade["maturity_years"]
    return residual_years(date.fromisoformat(trade["valuation_date"]), date.fromisoformat(trade["end_date"]))


def _report(found: ScheduleMargin) -> dict[str, float]:
    return {
        "gross_current_rc": found.gross_replacement_cost,
        "net_current_rc": found.net_replacement_cost,
        "ngr": found.net_to_gross,
        "schedule_im": found.margin,
    }
