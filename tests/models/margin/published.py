"""Puts a published case to the engine: one function for each kind, from its inputs to our numbers.

The shapes of the cases are those of the reference vectors; the golden files of ``tests/cases`` use
the same ones, so that both are run by the same code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from models.margin.collateral import (
    capped_schedule,
    collateral_value,
    health_factor,
    negative_balance_interest,
    quantity_tiered_value,
)
from models.margin.funding import funding_cash_flow, funding_over_window
from models.margin.liquidation import Variant, liquidation_price
from models.margin.requirement import inverse_pnl, is_liquidated, margin_requirement, notional_value
from models.margin.rulesets import load_ruleset
from models.margin.tiers import TierSchedule

CASES = Path(__file__).resolve().parents[2] / "cases"
VENUES: tuple[Variant, ...] = ("binance", "bybit", "gate", "hyperliquid", "okx")
BITMEX_TAKER = 0.00075
"""Commission of the published inverse liquidation case."""

Inputs = Mapping[str, Any]


def evaluate(regime: str, case: Mapping[str, Any]) -> dict[str, Any]:
    """Return our value for each key that the case expects."""
    return RUNNERS[regime](case)


def _perps(case: Mapping[str, Any]) -> dict[str, Any]:
    return {"tier_lookup": _tier, "liquidation_price": _liquidation}[case["kind"]](case)


def _tier(case: Mapping[str, Any]) -> dict[str, Any]:
    inputs = case["inputs"]
    rate, offset = _schedule(inputs["pair"]).lookup(inputs["notional"])
    return {"mmr": rate, "maintenance_amount": offset}


@cache
def _schedule(pair: str) -> TierSchedule:
    table = json.loads((CASES / "leverage_tiers.json").read_text())["tables"].get(pair)
    if table is None:
        return load_ruleset("binance-usdm", datetime(2026, 9, 30, tzinfo=UTC)).tier(pair)
    floor, rate, leverage = zip(*table, strict=True)
    return TierSchedule.from_rates(floor, rate, leverage)


def _liquidation(case: Mapping[str, Any]) -> dict[str, Any]:
    inputs = case["inputs"]
    own = inputs.get("position", inputs)
    others = [_other(p) for p in inputs.get("other_positions", ())] if inputs["margin_mode"] == "cross" else []
    variant = next((v for v in VENUES if case["venue"].startswith(v)), "generic")
    if variant == "bybit" and inputs["margin_mode"] == "cross":
        variant = "generic"
    fee = inputs.get("liquidation_fee_rate") or (variant in ("gate", "okx") and inputs.get("taker_fee")) or 0.0
    found = liquidation_price(
        _side(own) * own["qty"],
        own["entry"],
        inputs["wallet_balance"],
        _rate_and_amount(own),
        other_maintenance=sum(m for m, _ in others),
        other_pnl=sum(p for _, p in others),
        fee_rate=fee,
        variant=variant,
    )
    return {"liquidation_price": found.price}


def _side(position: Inputs) -> int:
    return {"long": 1, "short": -1}[position["side"]]


def _rate_and_amount(position: Inputs) -> tuple[float, float]:
    rate = position["mmr"] if "mmr" in position else 0.5 / position["max_leverage"]
    return rate, position.get("cum") or position.get("maintenance_amount") or 0.0


def _other(position: Inputs) -> tuple[float, float]:
    rate, amount = _rate_and_amount(position)
    pnl = _side(position) * position["qty"] * (position["mark"] - position["entry"])
    return position["qty"] * position["mark"] * rate - amount, pnl


def _funding(case: Mapping[str, Any]) -> dict[str, Any]:
    inputs = case["inputs"]
    quantity = _side(inputs) * inputs["qty"]
    if case["kind"] == "funding_payment_linear":
        return {"cash_flow": float(funding_cash_flow(quantity, inputs["mark"], inputs["funding_rate"]))}
    series, (first, last) = inputs["series"], inputs["funding_slice"]
    stamps, rates = np.array(series["funding_8h"][first:last]).T
    hourly = series["mark_hourly"]
    mark = np.array(hourly["open"])[((stamps - hourly["start"]) / hourly["step_ms"]).astype(int)]
    window = [datetime.fromisoformat(inputs[key]).replace(tzinfo=UTC) for key in ("open", "close")]
    flow = funding_over_window(quantity, *window, stamps.astype(np.int64) * 1_000_000, rates, mark)
    return {"cash_flow": flow, "long_cash_flow": -flow if inputs["side"] == "short" else flow}


def _collateral(case: Mapping[str, Any]) -> dict[str, Any]:
    inputs = case["inputs"]
    if "threshold" in inputs:
        charged, interest = negative_balance_interest(inputs["balance"], inputs["threshold"], inputs["daily_rate"])
        return {"chargeable": float(charged), "interest": float(interest)}
    if "debt" in inputs:
        args = inputs["collateral"], inputs["liquidation_threshold"], inputs["debt"]
        return {"health_factor": health_factor(*args)}
    assets = inputs.get("assets", [inputs])
    return {
        "balance_value": sum(a["qty"] * a["price"] for a in assets),
        "collateral_value": sum(_counted(a) for a in assets),
    }


def _counted(asset: Inputs) -> float:
    if "tiers_qty" in asset:
        caps, ratios = zip(*asset["tiers_qty"], strict=True)
        return float(quantity_tiered_value(asset["qty"], asset["price"], capped_schedule(caps, ratios)))
    tiers = asset.get("tiers", asset.get("tiers_usd"))
    ratio = capped_schedule(*zip(*tiers, strict=True)) if tiers else 1.0 - asset.get("haircut", 0.0)
    return float(collateral_value(asset["qty"], asset["price"], ratio))


def _models(case: Mapping[str, Any]) -> dict[str, Any]:
    inputs = case["inputs"]
    if "trigger_ratio" in inputs:
        return _inverse_liquidation(inputs)
    size = inputs.get("notional_base", inputs.get("contracts_usd"))
    in_quote = bool(inputs.get("use_quote"))
    notional = notional_value(size, inputs["price"], inverse=inputs["inverse"], in_quote=in_quote)
    margin = margin_requirement(notional, inputs["rate"], inputs["leverage"], inputs["model"])
    return {"margin": float(margin), "currency": "BTC" if inputs["inverse"] and not in_quote else "USD"}


def _inverse_liquidation(inputs: Inputs) -> dict[str, Any]:
    size, entry = inputs["contracts_usd"], inputs["entry"]
    at_entry = notional_value(size, entry, inverse=True)
    pnl = inverse_pnl(size, entry, inputs["mark"])
    maintenance = margin_requirement(at_entry, inputs["maint_rate"], inputs["leverage"])
    equity = inputs["starting_btc"] + pnl - at_entry * BITMEX_TAKER
    return {
        "pnl_btc": float(pnl),
        "maintenance_btc": float(maintenance),
        "threshold_btc": float(inputs["trigger_ratio"] * maintenance),
        "equity_btc_after_commission_approx": round(float(equity), 4),
        "liquidated": bool(is_liquidated(equity, maintenance, inputs["trigger_ratio"])),
    }


RUNNERS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "perps_linear_liquidation": _perps,
    "funding_linear": _funding,
    "collateral_haircut_docs": _collateral,
    "nautilus_margin_models": _models,
}
