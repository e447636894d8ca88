"""The table of dynamic margin: its rows, its figures against the model, and the closes it judges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.dynamic_margin import COLUMNS, MODELS, daily_closes, judge, markdown
from models.margin.dynamic import DynamicMargin, peak_to_trough


def test_a_row_for_each_asset_with_the_figures_of_the_model() -> None:
    close = 100 * np.exp(np.cumsum(np.random.default_rng(2).normal(0, 0.03, (2, 900)), axis=1))
    rows = judge("(a) buffer 25 %", MODELS["(a) buffer 25 %"], close, 0.99)
    rate = DynamicMargin(buffer=0.25).rate_history(close)
    assert [row["asset"] for row in rows] == ["BTC", "ETH"]
    assert [row["peak_to_trough"] for row in rows] == pytest.approx(peak_to_trough(rate).tolist())
    assert all(tuple(row) == COLUMNS for row in rows)
    table = markdown(rows).splitlines()
    assert len(table) == 4
    assert all(line.count("|") == len(COLUMNS) + 1 for line in table)


@pytest.mark.realdata
def test_closes_are_those_at_midnight(data_root: Path) -> None:
    from features.sources import read_panel

    close, about = daily_closes(data_root, "2024-01-01", "2024-02-01")
    panel = read_panel(data_root, ("BTC", "ETH"), "1h", None, None, venue="binance").panel
    midnight = np.datetime64("2024-01-02", "ns").astype(np.int64)
    row = int(panel.row_closed(midnight))
    assert close[:, 0].tolist() == panel.close[:, row].tolist()
    assert "2024-01-02" in about
    assert close.shape == (2, 31)
