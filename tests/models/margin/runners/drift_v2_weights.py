"""Drift v2 cases: weights, margin of a perpetual and of an account with open orders, in the program's integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from models.margin.venues.drift import (
    PRICE,
    asset_weight,
    liability_weight,
    margin_ratio,
    perpetual_margin,
    pnl_asset_weight,
    scaled_asset_weight,
    size_in_base,
    unrealized_pnl,
)
from models.margin.venues.drift_account import OPEN_ORDER_MARGIN, SpotBalance, account_margin, spot_balance

Inputs = Mapping[str, Any]
DECIMALS = {"USDC": 6}
"""Decimals of the tokens of the account cases; 9 for any other."""


def run(case: Mapping[str, Any], document: Mapping[str, Any]) -> Any:
    """Give our value for what the case expects."""
    return KINDS[case["kind"]](case["inputs"])


def _sized(i: Inputs) -> tuple[int, int, int]:
    return size_in_base(i["token_amount_raw"], i["decimals"]), i["imf_factor"], i["base_weight"]


def _perpetual(i: Inputs) -> int:
    initial = i["margin_ratio_initial"]
    ratio = margin_ratio(i["base_amount_raw"], i["imf_factor"], initial, initial, "initial")
    return perpetual_margin(i["base_amount_raw"], _raw(i["price"], PRICE), ratio)


def _account(i: Inputs) -> dict[str, int]:
    prices = i["weights"]["price"]
    parts = [_token(i, name, weights, prices[name]) for name, weights in i["weights"].items() if name != "price"]
    found = account_margin(spot_balance(p) for p in parts)
    return {"margin_requirement_raw": found.requirement, "total_collateral_raw": found.collateral}


def _token(i: Inputs, name: str, weights: Inputs, price: float) -> SpotBalance:
    held, unit = i["balances"], 10 ** DECIMALS.get(name, 9)
    bids, asks = (_raw(held.get(f"open_{side}_{name}", 0), unit) for side in ("bids", "asks"))
    orders = sum(f"open_{side}_{name}" in held for side in ("bids", "asks"))
    assert i["open_order_margin_raw"] == OPEN_ORDER_MARGIN
    return SpotBalance(
        amount=_raw(held.get(name, 0), unit),
        decimals=DECIMALS.get(name, 9),
        price=_raw(price, PRICE),
        asset=weights.get("asset", weights.get("initial_asset")),
        liability=weights.get("liab", weights.get("initial_liab")),
        open_bids=bids,
        open_asks=asks,
        open_orders=orders,
    )


def _raw(value: float, unit: int) -> int:
    return round(value * unit)


KINDS: dict[str, Callable[[Inputs], Any]] = {
    "asset_weight": lambda i: asset_weight(*_sized(i)),
    "liability_weight": lambda i: liability_weight(*_sized(i)),
    "scaled_initial_asset_weight": lambda i: scaled_asset_weight(
        i["initial_asset_weight"],
        _raw(i["total_deposits_tokens"] * i["price"], PRICE),
        _raw(i["scale_start_usd"], PRICE),
    ),
    "unrealized_pnl_asset_weight": lambda i: pnl_asset_weight(i["upnl_raw"], i["imf_factor"], i["base_weight"]),
    "perp_initial_margin": _perpetual,
    "perp_unrealized_pnl": lambda i: unrealized_pnl(
        i["base_amount_raw"], i["quote_amount_raw"], _raw(i["price"], PRICE)
    ),
    "account_initial_margin": _account,
}
