"""US option strategies: margin account and cash account."""

from __future__ import annotations

from typing import Any, Literal

from models.margin.securities import OptionPosition, Underlying
from models.margin.securities_strategies import strategy_margin

_KINDS: dict[str, Literal["equity", "narrow", "broad"]] = {
    "equity": "equity",
    "narrow-based": "narrow",
    "broad-based": "broad",
}


def run(case: dict[str, Any], document: dict[str, Any]) -> dict[str, float]:
    """Give the figure quoted for a margin account and the requirement of a cash account."""
    inputs = case["inputs"]
    underlying = Underlying(
        inputs["underlying_price"], _KINDS[inputs.get("class", "equity")], inputs["leverage_factor"]
    )
    legs = [
        OptionPosition(
            is_call=leg["type"] == "C",
            strike=leg["strike"],
            quantity=leg["qty"],
            price=leg["price"],
            days=leg.get("days_to_expiry", 0),
            multiplier=inputs["multiplier"],
        )
        for leg in inputs["legs"]
    ]
    found = strategy_margin(legs, underlying)
    return {"margin_account": found.margin, "cash_account": found.cash_account}
