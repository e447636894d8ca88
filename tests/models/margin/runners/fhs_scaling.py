"""Rescaling of past returns to today's volatility."""

from __future__ import annotations

from typing import Any

from models.margin.dynamic import scaled_return


def run(case: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Give the scaled return, or the list of them where the case has several."""
    inputs = case["inputs"]
    return {"scaled_return": scaled_return(inputs["ret"], inputs["vol_t"], inputs["vol_now"]).tolist()}
