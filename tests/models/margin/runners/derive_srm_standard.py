"""Derive standard margin: subaccounts of several markets."""

from __future__ import annotations

from math import trunc
from typing import Any

from models.margin.srm import SrmExpiry, SrmMarket, SrmOption, SrmParameters, srm_net_margin

_NAMES = {
    "perp_mm": "perp_maintenance",
    "perp_im": "perp_initial",
    "max_spot": "initial_spot_max",
    "min_spot": "initial_spot_min",
    "mm_call": "maintenance_call",
    "mm_put": "maintenance_put",
    "mm_put_mtm": "maintenance_put_mark",
    "unp_im": "unpaired_initial",
    "unp_mm": "unpaired_maintenance",
    "mm_offset": "put_offset",
    "oc_perp": "confidence_perp",
    "oc_option": "confidence_option",
    "oc_base": "confidence_base",
    "oc_factor": "confidence_factor",
    "depeg_threshold": "depeg_threshold",
    "depeg_factor": "depeg_factor",
    "base_factor": "base_factor",
    "base_im_scale": "base_initial_scale",
}


def run(case: dict[str, Any], document: dict[str, Any]) -> dict[str, float]:
    """Give both net margins, whole dollars truncated toward zero too, and the mark-to-market."""
    inputs = case["inputs"]
    given = document["parameter_sets"][case["params"]]
    parameters = SrmParameters(**{_NAMES[key]: value for key, value in given.items()})
    markets = [_market(m, parameters) for m in inputs["markets"]]
    margin = srm_net_margin(markets, inputs.get("cash", 0.0), inputs.get("stable_price", 1.0))
    return {
        "IM": margin.initial,
        "MM": margin.maintenance,
        "mtm": margin.mark_to_market,
        "IM_trunc": trunc(margin.initial),
        "MM_trunc": trunc(margin.maintenance),
    }


def _market(market: dict[str, Any], parameters: SrmParameters) -> SrmMarket:
    perp = market["perp"]
    return SrmMarket(
        parameters,
        market["spot"],
        market["spot_conf"],
        perpetual=perp["pos"],
        perpetual_price=perp["price"],
        perpetual_confidence=perp["conf"],
        perpetual_pnl=perp["pnl"],
        base=market["base"],
        expiries=tuple(
            SrmExpiry(e["T"], e["fwd"], tuple(SrmOption(*o) for o in e["opts"]), e["conf"]) for e in market["expiries"]
        ),
    )
