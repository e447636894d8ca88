"""ISDA SIMM 2.5 of the unit-test suite that AcadiaSoft's simm-lib carries; computed where the engine is installed.

All cases of a holding period go to the engine in one run, a portfolio each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from models.margin.simm import Cell, simm_available, simm_by_portfolio

__all__ = ["run"]

NOT_INSTALLED = "SIMM needs the wheel open-source-risk-engine: pip install 'margincast[simm]'"
MARGIN_TYPES = {
    "delta": "Delta",
    "vega": "Vega",
    "curvature": "Curvature",
    "base_corr": "BaseCorr",
    "addon": "AdditionalIM",
}
_RUNS: dict[tuple[int, str], tuple[Mapping[str, Any], dict[str, dict[Cell, float]]]] = {}


def run(case: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, float | None]:
    """Give the totals of one case; a margin type that has none is None (the source prints "-")."""
    if not simm_available():
        pytest.skip(NOT_INSTALLED)
    found = _of_period(document, case["holding_period"])[case["id"]]
    parts = {key: found.get(("All", "All", kind)) or None for key, kind in MARGIN_TYPES.items()}
    return {"simm_total_usd": found["All", "All", "All"], **parts}


def _of_period(document: Mapping[str, Any], period: str) -> dict[str, dict[Cell, float]]:
    key = id(document), period
    if key not in _RUNS:
        rows = [
            {**document["crif"][name], "TradeID": f"{name}/{i}", "PortfolioID": case["id"]}
            for case in document["cases"]
            if case["holding_period"] == period
            for i, name in enumerate(case["crif_ids"])
        ]
        # the document is kept with its results, so that its id stays its own
        _RUNS[key] = document, simm_by_portfolio(rows, "2.5", int(period.removesuffix("d")))
    return _RUNS[key][1]
