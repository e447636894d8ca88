"""Worked numbers of venue pages on scenario portfolio margin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from models.margin.portfolio.deribit import deribit_rules, risk_matrix, risk_vectors
from models.margin.portfolio.engine import min_delta
from models.margin.portfolio.futures import basis_forward, future_contingency, future_profit
from models.margin.portfolio.holdings import Expiry, Holdings
from models.margin.portfolio.okx import RiskUnit, okx_margin

YEAR_SECONDS = 31_536_000
SETTLEMENT_HOUR = 8


def run(case: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Give every number that the case expects."""
    del document
    return next(kind for key, kind in KINDS.items() if key in case["inputs"])(case["inputs"])


def _deribit(inputs: Mapping[str, Any]) -> dict[str, Any]:
    now = datetime.fromtimestamp(inputs["timestamp_ms"] / 1000.0, UTC)
    rules = deribit_rules(inputs["params"], now.date(), inputs["currency"])
    alone = {name: _holdings(inputs, {name: size}, now) for name, size in inputs["positions_base"].items()}
    held = _holdings(inputs, inputs["positions_base"], now)
    found = risk_matrix(rules, [held], **inputs["other_im"])
    out: dict[str, Any] = {
        "aggregated_standard": found.standard[:, 1].tolist(),
        "aggregated_extended": found.extended.tolist(),
        "worst_case": found.worst_case,
        "worst_index": found.worst_index,
        "roll_shock": found.roll_shock,
        "delta_shock": found.delta_shock,
        "risk_matrix_margin": found.risk_matrix_margin,
        "initial_margin": found.initial_margin,
        "maintenance_margin": found.maintenance_margin,
    }
    for name, single in alone.items():
        vectors = risk_vectors(rules, single)
        kind = "perp" if name.endswith("PERPETUAL") else "fut"
        out[f"{kind}_vector_standard"] = vectors.standard[:, 1].tolist()
        out[f"{kind}_vector_extended"] = vectors.extended.tolist()
    return out


def _holdings(inputs: Mapping[str, Any], positions: Mapping[str, float], now: datetime) -> Holdings:
    perpetual = sum(size for name, size in positions.items() if name.endswith("PERPETUAL"))
    dated = {name: size for name, size in positions.items() if not name.endswith("PERPETUAL")}
    expiries = [Expiry(_years(name, now), inputs["marks"][name], futures=size) for name, size in dated.items()]
    return Holdings(inputs["index"], expiries, perpetual=perpetual)


def _years(name: str, now: datetime) -> float:
    expiry = datetime.strptime(name.split("-")[1], "%d%b%y").replace(hour=SETTLEMENT_HOUR, tzinfo=UTC)
    return (expiry - now).total_seconds() / YEAR_SECONDS


def _dederi(inputs: Mapping[str, Any]) -> dict[str, Any]:
    forward = basis_forward(inputs["index"], inputs["abr"], inputs["days"])
    return {
        "forward": forward,
        "future_contingency": future_contingency([inputs["qty"]], inputs["index"], inputs["factor"]),
        "pnl": future_profit(inputs["qty"], forward, inputs["shocks"]),
    }


def _paradex(inputs: Mapping[str, Any]) -> dict[str, Any]:
    net, gross, spot = inputs["net_delta"], inputs["gross_delta"], inputs["spot"]
    hedged, least = min_delta(net, gross, spot, inputs["net_rate"], inputs["hedged_rate"])
    return {"hedged_delta": hedged, "min_delta_risk": least}


def _okx(inputs: Mapping[str, Any]) -> dict[str, Any]:
    tiers = tuple((bound, multiplier) for bound, multiplier in inputs["tiers"])
    found = okx_margin(RiskUnit(mr1=inputs["MR"], mr7=inputs["MR7_raw"]), tiers)
    return {"MR7_adj": found.mr7_adjusted, "MMR": found.maintenance}


KINDS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "positions_base": _deribit,
    "abr": _dederi,
    "net_delta": _paradex,
    "MR7_raw": _okx,
}
"""What each shape of input is put to, by a key that only it has."""
