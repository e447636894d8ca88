"""Synthetix v3 cases: PnL from skewed fills, margins of an account, the keeper's reward and drifting funding."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from models.margin.venues.synthetix import SynthetixMarket, collateral_discount, required_margins
from models.margin.venues.synthetix_account import (
    accrued_funding,
    fill_price,
    funding_rate,
    funding_velocity,
    keeper_reward,
    margin_account,
)

Inputs = Mapping[str, Any]


def run(case: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Give our value for what the case expects."""
    inputs = case["inputs"]
    if case.get("kind") == "velocity_funding":
        return _funding(inputs)
    if "positions_reward_usd" in inputs:
        total = sum(inputs["positions_reward_usd"].values())
        return {"keeper_reward": keeper_reward(total, inputs["min_reward"], inputs["max_reward"])}
    if "discount_scalar" in inputs:
        bounds = inputs["lower_limit"], inputs["upper_limit"]
        return {
            "discount": collateral_discount(inputs["amount"], inputs["skew_scale"], inputs["discount_scalar"], *bounds)
        }
    return _account(inputs)


def _account(inputs: Inputs) -> dict[str, Any]:
    positions = inputs["positions"]
    price = {p["market"]: inputs.get("mark", {}).get(p["market"], p["open_price"]) for p in positions}
    pnl = {p["market"]: p["size"] * (price[p["market"]] - _entry(p)) for p in positions}
    required = [required_margins(_market(p), p["size"], price[p["market"]]) for p in positions]
    bounds = inputs.get("min_liquidation_reward", 0.0), inputs.get("max_liquidation_reward", inf)
    account = margin_account(inputs["collateral_usd"], sum(pnl.values()), required, *bounds)
    return {
        "pnl": pnl,
        "available_margin": account.available,
        "initial_margin_ex_reward": account.initial,
        "maintenance_margin_ex_reward": account.maintenance,
        "liquidation_reward_margin": account.reward,
        "withdrawable_margin": account.withdrawable,
        "can_liquidate": account.can_liquidate,
    }


def _entry(p: Inputs) -> float:
    return fill_price(p.get("skew_before", 0.0), p["skew_scale"], p["size"], p["open_price"])


def _market(p: Inputs) -> SynthetixMarket:
    return SynthetixMarket(**{k: p[k] for k in SynthetixMarket.__struct_fields__ if k in p})


def _funding(i: Inputs) -> dict[str, float]:
    velocity = funding_velocity(i["skew_before"], i["skew_scale"], i["max_funding_velocity"])
    after = funding_rate(i["prev_rate"], velocity, i["days"])
    accrued = accrued_funding(i["prev_rate"], after, i["trader_size"], i["price"], i["days"])
    return {"rate_after": after, "accrued_cost": i["prev_accrued_sum"] + accrued, "velocity_per_day": velocity}
