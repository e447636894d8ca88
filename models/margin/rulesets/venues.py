"""Rulesets whose margin is a formula of the position's size, or a model of blocks: where their parameters come from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import numpy as np

from models.margin.tiers import TierSchedule
from models.typing import FloatArray

__all__ = ["VENUE_MODELS", "block_parameters", "venue_initial_rate", "venue_parameters", "venue_schedule"]

VENUE_MODELS: Final = ("vega", "synthetix", "dydx", "drift", "mango")
"""Margin models whose rate follows the size (and side) of the position by a formula."""


def venue_parameters(name: str, symbol: str, instant: datetime) -> Mapping[str, float]:
    """Parameters of a market in force at an instant."""
    raise NotImplementedError


def venue_schedule(model: str, parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Maintenance of a position of so many base units as a function of notional."""
    raise NotImplementedError


def venue_initial_rate(model: str, parameters: Mapping[str, float], quantity: float) -> float:
    """Initial margin over notional of a position of so many base units."""
    raise NotImplementedError


def block_parameters(model: str, name: str, asset: str, instant: datetime) -> FloatArray:
    """Flat parameter row of a model of blocks for an underlying."""
    return np.zeros(0)
