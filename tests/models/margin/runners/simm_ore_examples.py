"""ISDA SIMM of the examples of Open Source Risk Engine, by side and regulation; computed where it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from models.margin.simm import simm_available, simm_from_crif

__all__ = ["run"]

NOT_INSTALLED = "SIMM needs the wheel open-source-risk-engine: pip install 'margincast[simm]'"


def run(case: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, float]:
    """Give every cell of one case, named product/risk/margin type."""
    if not simm_available():
        pytest.skip(NOT_INSTALLED)
    period = int(case["mpor"].removesuffix("D"))
    found = simm_from_crif(
        document["crif"], case["simm_version"], period, side=case["side"], regulation=case["regulation"]
    )
    return {"/".join(cell): margin for cell, margin in found.items()}
