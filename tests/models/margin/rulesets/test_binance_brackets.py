"""The recursion reproduces every published row of the Binance bracket tables, now and at every date."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.margin.rulesets import load_ruleset
from models.margin.tiers import TierSchedule

LAST = datetime(2026, 10, 1, tzinfo=UTC)
EMPTY_SLICES = {("BEAMX/USDT:USDT", "2025-11-27", 500_000.0), ("DEXE/USDT:USDT", "2025-11-20", 500_000.0)}
"""Rows of the history whose bounds are equal: a slice that holds nothing, left out of the ruleset."""


def test_every_row_of_every_pair_is_reproduced(reference_root: Path) -> None:
    pairs = json.loads((reference_root / "rules" / "binance_usdm_leverage_brackets.json").read_text())["pairs"]
    rules = load_ruleset("binance-usdm", LAST)
    rows = 0
    for pair, table in pairs.items():
        floor, _, rate, amount, leverage = np.array(table).T
        recursion = TierSchedule.from_rates(floor, rate, leverage)
        assert recursion.offset == pytest.approx(amount, rel=1e-9, abs=1e-6), pair
        assert rules.tier(pair) == recursion, pair
        rows += len(table)
    assert (len(pairs), rows) == (907, 7276)


@pytest.mark.realdata
def test_every_row_of_the_history_is_reproduced_at_its_date(data_root: Path) -> None:
    history = pd.read_parquet(data_root / "rules" / "binance_leverage_tiers_history.parquet")
    empty = history[history.notional_floor >= history.notional_cap]
    dates = empty.effective_from_snapshot.dt.strftime("%Y-%m-%d")
    assert set(zip(empty.symbol, dates, empty.notional_floor, strict=True)) == EMPTY_SLICES
    kept = history[history.notional_floor < history.notional_cap].sort_values("tier")
    rows = 0
    for (symbol, stamp), table in kept.groupby(["symbol", "effective_from_snapshot"]):
        rules = load_ruleset("binance-usdm", stamp.to_pydatetime())
        schedule = rules.tier(symbol)
        assert not rules.tier_backdated(symbol)
        assert schedule.floor.tolist() == table.notional_floor.tolist(), (symbol, stamp)
        assert schedule.rate.tolist() == table.maint_margin_rate.tolist(), (symbol, stamp)
        assert schedule.max_leverage.tolist() == table.max_leverage.tolist(), (symbol, stamp)
        assert schedule.offset == pytest.approx(table.maint_amount_cum.to_numpy(), rel=1e-9, abs=1e-6), (symbol, stamp)
        rows += len(table)
    assert rows + len(empty) == len(history) == 42_620
