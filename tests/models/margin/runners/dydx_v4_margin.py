"""dYdX v4 cases: margin fractions, requirements, risk, transitions and funding in the chain's integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from models.margin.venues.dydx import (
    LiquidityTier,
    effective_imf_ppm,
    initial_margin,
    maintenance_margin_ppm,
    net_notional,
)
from models.margin.venues.dydx_account import (
    Risk,
    compare_risk,
    funding_settlement_ppm,
    position_risk,
    subaccount_risk,
    update_result,
)

Inputs = Mapping[str, Any]


def run(case: Mapping[str, Any], document: Mapping[str, Any]) -> Any:
    """Give our value for what the case expects."""
    return KINDS[case["kind"]](case["inputs"])


def _tier(i: Inputs) -> LiquidityTier:
    return LiquidityTier(
        i["initialMarginPpm"],
        i.get("maintenanceFractionPpm", 1_000_000),
        i.get("openInterestLowerCap", 0),
        i.get("openInterestUpperCap", 0),
    )


def _requirements(i: Inputs) -> dict[str, int]:
    terms = i["price"], i["exponent"], i["baseCurrencyAtomicResolution"]
    open_interest = net_notional(i.get("openInterest", 0), *terms)
    risk = position_risk(_tier(i), net_notional(i["bigBaseQuantums"], *terms), open_interest)
    return {"IMR": risk.initial, "MMR": risk.maintenance}


def _subaccount(i: Inputs) -> dict[str, int]:
    rows = [
        position_risk(LiquidityTier(p["imf_ppm"], p["mf_ppm"]), net_notional(p["quantums"], p["price"]))
        for p in i["perps"]
    ]
    risk = subaccount_risk(i["usdc"], rows)
    return {"NC": risk.net_collateral, "IMR": risk.initial, "MMR": risk.maintenance}


def _transition(i: Inputs) -> str:
    before = Risk(i["oldNC"], i["oldIMR"], i["oldMMR"])
    after = Risk(i["newNC"], i.get("newIMR", 0), i["newMMR"])
    return update_result(before, after, is_undercollateralized=True)


KINDS: dict[str, Callable[[Inputs], Any]] = {
    "effective_imf_ppm": lambda i: effective_imf_ppm(_tier(i), i["openInterestNotional"]),
    "initial_margin_quote_quantums": lambda i: initial_margin(
        _tier(i), i["bigQuoteQuantums"], i.get("openInterestNotional", 0)
    ),
    "maintenance_margin_ppm": lambda i: {"expectedMaintenanceMarginPpm": maintenance_margin_ppm(_tier(i))},
    "position_margin_requirements": _requirements,
    "initial_collateralized": lambda i: Risk(i["NC"], i["IMR"], 0).is_initial_collateralized,
    "maintenance_collateralized": lambda i: Risk(i["NC"], 0, i["MMR"]).is_maintenance_collateralized,
    "liquidatable": lambda i: Risk(i["NC"], 0, i["MMR"]).is_liquidatable,
    "risk_cmp": lambda i: compare_risk(Risk(i["firstNC"], 0, i["firstMMR"]), Risk(i["secondNC"], 0, i["secondMMR"])),
    "funding_settlement_ppm": lambda i: funding_settlement_ppm(
        i["perpetual_index"], i["position_index"], i["quantums"]
    ),
    "net_notional_quote_quantums": lambda i: net_notional(
        i["quantums"], i["price"], i["exponent"], i["atomicResolution"]
    ),
    "subaccount_risk": _subaccount,
    "undercollateralized_transition": _transition,
}
