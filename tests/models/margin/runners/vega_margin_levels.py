"""Vega cases: risk factors, levels, calls, close-outs, admission of orders, isolated margin and funding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from models.margin.venues.vega import (
    SECONDS_A_YEAR,
    Levels,
    VegaMarket,
    funding_payment,
    levels,
    maintenance_margin,
    risk_factors,
)
from models.margin.venues.vega_orders import (
    close_out,
    isolated_order_margin,
    isolated_transfer,
    least_general_balance,
    margin_transfer,
    order_is_admitted,
)

Inputs = Mapping[str, Any]
PERPETUAL = {"linear_slippage": 0.25, "risk_factor_long": 0.1, "risk_factor_short": 0.1}
"""Market of the funding margin scenarios (0019-MCAL fundingMargin 2, 3 and 4); the mark is the internal average."""
PERIOD_SECONDS = 63_072
"""Length of their funding period: 2024-01-01 00:00:01 to 17:31:13 UTC."""


def run(case: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Give our value for what the case expects."""
    return KINDS[case["kind"]](case["inputs"])


def _market(i: Inputs) -> VegaMarket:
    known = {k: i[k] for k in VegaMarket.__struct_fields__ if k in i}
    return VegaMarket(**known, **i.get("scaling", {}))


def _maintenance(i: Inputs) -> int:
    buys, sells = i.get("buy_orders", ()), i.get("sell_orders", ())
    return maintenance_margin(
        _market(i),
        i["mark"],
        i["size"],
        buy=i.get("buy", sum(volume for volume, _ in buys)),
        sell=i.get("sell", sum(volume for volume, _ in sells)),
        buy_value=sum(volume * price for volume, price in buys),
        sell_value=sum(volume * price for volume, price in sells),
        funding_per_unit=i.get("funding_per_unit", 0),
        auction=i.get("auction", False),
    )


def _levels(i: Inputs) -> Levels:
    return levels(_market(i), _maintenance(i))


def _risk_factors(i: Inputs) -> dict[str, float]:
    long, short = risk_factors(i["risk_aversion"], i["tau_years"], i["sigma"], i["mu"], as_tabulated=True)
    return {"long": long, "short": short}


def _call(i: Inputs) -> dict[str, Any]:
    found = _levels(i)
    move = margin_transfer(found, i["margin_balance"], auction=i.get("auction", False))
    return {"transfer": move.route, "amount": move.amount, "min_amount": move.minimum, **found._asdict()}


def _admission(i: Inputs) -> dict[str, Any]:
    found = _levels(i)
    least = least_general_balance(found)
    admitted = [g for g in (least - 1, least) if order_is_admitted(found, 0, g)]
    return {"initial": found.initial, "accepted_with_general": admitted[0], "rejected_with_general": admitted[0] - 1}


def _close_out(i: Inputs) -> dict[str, Any]:
    balance, closed = close_out(Levels(**i["levels"]), i["deposit"] - i["mtm_loss"] - i["general_after"])
    return {"margin_balance": balance, "closed_out": closed}


def _isolated_orders(i: Inputs) -> dict[str, int]:
    orders = i["buy_orders"], i["sell_orders"]
    factors = i["margin_factor"], i["position_factor"]
    return {"order_margin": isolated_order_margin(i["position"], *orders, *factors, i["auction_price"])}


def _isolated_transfer(i: Inputs) -> dict[str, int]:
    factors = i["margin_factor"], i["position_factor"]
    move = isolated_transfer(i["pos_before"], i["pos_after"], i["trades"], i["balance"], *factors, i.get("mark"))
    key = "release" if move.route == "margin->general" else "topup"
    return {"topup": 0, "release": 0, key: move.amount}


def _funding(i: Inputs) -> dict[str, float]:
    unit = 10 ** i["asset_decimals"]
    years = Fraction(i.get("period_seconds", PERIOD_SECONDS), SECONDS_A_YEAR)
    payment, rate = funding_payment(i["internal_twap"], i["external_twap"], i["interest_rate"], years, i["clamp"])
    market = VegaMarket(**{k: i.get(k, v) for k, v in PERPETUAL.items()})
    due = payment * Fraction(str(i["margin_funding_factor"])) * unit
    mark = i.get("mark", i["internal_twap"]) * unit

    def maintenance(size: int, per_unit: Fraction) -> float:
        return maintenance_margin(market, mark, size, funding_per_unit=per_unit) / unit

    return {
        "funding_payment": float(payment),
        "funding_rate": float(rate),
        "maintenance_before": maintenance(i["size"], Fraction(0)),
        "maintenance_long_after": maintenance(i["size"], due),
        "maintenance_short_after": maintenance(-i["size"], due),
    }


KINDS: dict[str, Callable[[Inputs], dict[str, Any]]] = {
    "expected_shortfall_risk_factors": _risk_factors,
    "maintenance_margin": lambda i: {"maintenance": _maintenance(i)},
    "margin_levels": lambda i: _levels(i)._asdict(),
    "margin_call_transfer": _call,
    "order_admission": _admission,
    "closeout_rule": _close_out,
    "isolated_order_margin": _isolated_orders,
    "isolated_margin_transfer": _isolated_transfer,
    "funding_margin": _funding,
}
