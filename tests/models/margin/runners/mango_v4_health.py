"""Mango v4 cases: init health of three tokens, a perpetual and two spot markets with open orders."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from models.margin.venues.mango import scaled_asset_weight, scaled_liability_weight
from models.margin.venues.mango_health import Perpetual, SpotOrders, Token, health

Inputs = Mapping[str, Any]
NO_SCALE = (0.0, inf)


def run(case: Mapping[str, Any], document: Mapping[str, Any]) -> float:
    """Give our value for what the case expects."""
    inputs, setup = case["inputs"], document["setup"]
    tokens = {k: _token(k, rule, inputs) for k, rule in setup.items() if k.startswith("token")}
    perpetuals = [_perpetual(inputs[k], rule) for k, rule in setup.items() if k.startswith("perp") and k in inputs]
    orders = [_orders(key, inputs) for key in inputs if key.startswith("oo_")]
    return health(tokens, perpetuals, orders)


def _token(key: str, rule: Inputs, inputs: Inputs) -> Token:
    price = rule["price"]
    deposits, deposit_start = inputs.get("deposit_scale", {}).get(key, NO_SCALE)
    borrows, borrow_start = inputs.get("borrow_scale", {}).get(key, NO_SCALE)
    potential = inputs.get("potential_serum_tokens", {}).get(key, 0.0)
    return Token(
        balance=inputs.get(key, 0.0),
        price=price,
        asset_weight=scaled_asset_weight(rule["asset_w"], deposits * price, deposit_start, potential * price),
        liability_weight=scaled_liability_weight(rule["liab_w"], borrows * price, borrow_start),
    )


def _perpetual(position: list[float], rule: Inputs) -> Perpetual:
    base, quote, bids, asks = position
    lot = rule["base_lot"]
    return Perpetual(
        base=base * lot,
        quote=quote,
        bids=bids * lot,
        asks=asks * lot,
        price=rule["price"],
        asset_weight=rule["asset_w"],
        liability_weight=rule["liab_w"],
        overall_asset_weight=rule["overall_asset_w"],
        settle=rule["settle"],
    )


def _orders(key: str, inputs: Inputs) -> SpotOrders:
    quote, base = key.split("_")[1:]
    reserved_quote, reserved_base = inputs[key]
    pair = f"{quote}_{base}"
    return SpotOrders(
        base=f"token{base}",
        quote=f"token{quote}",
        reserved_base=reserved_base,
        reserved_quote=reserved_quote,
        lowest_ask=inputs.get(f"lowest_ask_{pair}"),
        highest_bid=inputs.get(f"highest_bid_{pair}"),
    )
