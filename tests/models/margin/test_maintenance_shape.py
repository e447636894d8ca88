"""The maintenance of every shipped table is continuous, rising and convex, and scales with its bounds."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.margin.rulesets import load_ruleset, ruleset_names
from models.margin.rulesets.loader import ruleset_model
from models.margin.tiers import TierSchedule
from tests.models.margin.test_liquidation import schedules

NOW = datetime(2025, 6, 30, tzinfo=UTC)


@given(schedules(), st.floats(0.0, 1e7), st.floats(0.0, 1e7), st.floats(0.0, 1.0))
def test_convex_rising_and_never_above_the_notional(tiers: TierSchedule, a: float, b: float, w: float) -> None:
    mixed = float(tiers(w * a + (1 - w) * b))
    assert mixed <= w * float(tiers(a)) + (1 - w) * float(tiers(b)) + 1e-9 * (a + b + 1)
    assert float(tiers(max(a, b))) >= float(tiers(min(a, b))) - 1e-9 * (a + b)
    assert 0.0 <= float(tiers(a)) <= a


@given(schedules(), st.floats(1.0, 1e7), st.floats(1e-3, 1e3))
def test_scales_with_its_bounds(tiers: TierSchedule, value: float, scale: float) -> None:
    larger = TierSchedule.from_rates(tiers.floor * scale, tiers.rate)
    assert float(larger(value * scale)) == pytest.approx(scale * float(tiers(value)), rel=1e-9)


TABLES = [name for name in ruleset_names() if ruleset_model(name) in ("linear", "inverse", "unified")]


@pytest.mark.parametrize("name", TABLES)
def test_every_shipped_table_is_continuous(name: str) -> None:
    rules = load_ruleset(name, NOW)
    for symbol in rules.symbols() or ("BTC/USD:BTC" if rules.model == "inverse" else "BTC/USDT:USDT",):
        tiers = rules.tier(symbol)
        bounds = tiers.floor[1:]
        left = tiers.rate[:-1] * bounds - tiers.offset[:-1]
        assert np.allclose(tiers(bounds), left, rtol=1e-12, atol=1e-9), symbol
