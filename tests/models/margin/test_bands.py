"""State bands: every bound on the published side, and ratios that are not numbers are not states."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from models.errors import InputError
from models.margin.bands import (
    BINANCE_PM,
    BINANCE_PM_2022,
    BYBIT_UTA_INITIAL,
    BYBIT_UTA_MAINTENANCE,
    HYPERLIQUID_PM,
    OKX_MULTI_CURRENCY,
    StateBands,
)

ALL = (BINANCE_PM, BINANCE_PM_2022, BYBIT_UTA_INITIAL, BYBIT_UTA_MAINTENANCE, HYPERLIQUID_PM, OKX_MULTI_CURRENCY)


@pytest.mark.parametrize(
    ("bands", "bound", "at", "over"),
    [
        (BINANCE_PM, 1.5, "call", "normal"),
        (BINANCE_PM, 1.2, "reduce_only", "call"),
        (BINANCE_PM, 1.05, "liquidation", "reduce_only"),
        (BINANCE_PM, 1.0, "liquidation_and_claim", "liquidation"),
        (BINANCE_PM_2022, 2.0, "call", "normal"),
        (BINANCE_PM_2022, 1.5, "second_call", "call"),
        (BINANCE_PM_2022, 1.2, "liquidation", "second_call"),
        (BYBIT_UTA_INITIAL, 1.0, "no_new_orders", "no_new_orders"),
        (BYBIT_UTA_MAINTENANCE, 1.0, "liquidation", "liquidation"),
        (HYPERLIQUID_PM, 0.95, "normal", "liquidation"),
        (OKX_MULTI_CURRENCY, 1.0, "liquidation", "warning"),
        (OKX_MULTI_CURRENCY, 3.0, "warning", "normal"),
    ],
)
def test_a_ratio_on_a_bound_belongs_where_the_page_says(bands: StateBands, bound: float, at: str, over: str) -> None:
    assert bands.names([bound, np.nextafter(bound, np.inf)]) == [at, over]


def test_below_the_bound_of_bybit_is_normal() -> None:
    assert BYBIT_UTA_MAINTENANCE.names(np.nextafter(1.0, 0.0)) == ["normal"]


@pytest.mark.parametrize("bands", ALL, ids=lambda b: f"{b.venue}-{b.effective_from.year}-{len(b.bounds)}")
def test_every_band_has_a_public_source_and_every_ratio_a_state(bands: StateBands) -> None:
    assert len(bands.source) > 20
    assert bands.effective_from.tzinfo is not None
    found = bands.state(np.array([[-np.inf, 0.0], [np.inf, np.nan]]))
    assert found.shape == (2, 2)
    assert found[1, 1] == -1
    assert bands.names(np.nan) == ["unknown"]
    assert found[1, 0] == len(bands.bounds)


@pytest.mark.parametrize(
    ("bounds", "states", "field"),
    [((1.0,), ("a",), "states"), ((1.0, 1.0), ("a", "b", "c"), "bounds"), ((np.inf,), ("a", "b"), "bounds")],
)
def test_bands_that_are_none_are_refused(bounds: tuple[float, ...], states: tuple[str, ...], field: str) -> None:
    with pytest.raises(InputError, match=field):
        StateBands(
            venue="v",
            ratio="r",
            bounds=bounds,
            states=states,
            belongs="below",
            effective_from=datetime(2025, 1, 1, tzinfo=UTC),
            source="s",
        )
