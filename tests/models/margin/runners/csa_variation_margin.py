"""Deliveries, returns and rounding under a credit support annex."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.margin.csa import CsaTerms, PartyTerms, PostedCollateral, Rounding, credit_support, round_amount

__all__ = ["run"]


def run(case: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Put one case to `round_amount` or `credit_support`; the published terms hold for both parties."""
    inputs = case["inputs"]
    if "increment" in inputs:
        return {
            "up": round_amount(inputs["value"], inputs["increment"], "up"),
            "down": round_amount(inputs["value"], inputs["increment"], "down"),
        }
    minimum = inputs["mta"]
    terms = CsaTerms(
        party=PartyTerms(
            threshold=inputs["threshold"],
            minimum_transfer_amount=minimum,
            independent_amount=inputs.get("independent_amount", 0.0),
        ),
        counterparty=PartyTerms(minimum_transfer_amount=minimum),
        rounding=Rounding(delivery_increment=inputs["rounding"], return_increment=inputs["rounding"]),
    )
    posted = [PostedCollateral(asset="collateral", market_value=v, haircut=h) for v, h in inputs["posted"]]
    outcome = credit_support(inputs["net_exposure"], terms, posted)
    return {
        "action": outcome.action,
        "amount": outcome.amount,
        "effective_collateral": outcome.effective_collateral,
        "credit_support_amount": outcome.credit_support_amount,
    }
