"""Names of forecasts that take part beside baselines and peers."""

from __future__ import annotations

from typing import Final

__all__ = ["FILTER", "OURS"]

OURS: Final = "margincast"
"""The product."""
FILTER: Final = "filter"
"""Who knows the law of the simulated market and filters its volatility from the bars (known truth only)."""
