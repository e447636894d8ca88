"""Short options under Regulation T, and crypto futures at a leverage."""

from __future__ import annotations

from typing import Any

from models.margin.contract_margin import contract_margin
from models.margin.securities import OptionPosition, Underlying
from models.margin.securities_options import short_requirement


def run(case: dict[str, Any], document: dict[str, Any]) -> float:
    """Give the requirement of the position."""
    kinds = {
        "short_option_maintenance_regt": _short,
        "crypto_future_initial_margin": _future,
        "crypto_future_maintenance_margin": _future,
    }
    return kinds[case["kind"]](case["inputs"])


def _short(inputs: dict[str, Any]) -> float:
    option = OptionPosition(
        is_call=inputs["right"] == "call",
        strike=inputs["strike"],
        quantity=inputs["contracts"],
        price=inputs["option_price"],
        multiplier=inputs["multiplier"],
    )
    return short_requirement(option, Underlying(inputs["underlying"], "broad" if inputs["index_option"] else "equity"))


def _future(inputs: dict[str, Any]) -> float:
    in_coin = "settle" in inputs and inputs["symbol"].startswith(inputs["settle"])
    return contract_margin(
        inputs["quantity"],
        inputs["price"],
        inputs["leverage"],
        contract_size=inputs.get("contract_multiplier", 1.0),
        inverse=in_coin,
    )
