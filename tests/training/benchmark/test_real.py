"""The real track's periods and crashes."""

from itertools import pairwise

import numpy as np
import pytest

from models.typing import DAY_NS
from tests.training.evaluate.test_decisions import dataset, panel
from tests.training.markets import market
from training.benchmark.crashes import find_crashes, leave_one_out
from training.benchmark.real import Period, RealSettings, walk_forward_track, years
from training.benchmark.sheets import comparison_sheets, walk_forward_sheets
from training.build import BuildSettings
from training.settings import TrainSettings
from training.splits import to_ns

SETTINGS = RealSettings(
    TrainSettings("generic-linear", 1440, 8, warmup_days=61, build=BuildSettings(paths=64)), 1440, 8, 5
)


def test_years_end_with_the_bars():
    found = years(2021, 2100, "2020-01-20", to_ns("2023-07-20"))
    assert [p.name for p in found] == ["2021-07-01 to 2022-07-01", "2022-07-01 to 2023-07-01"]
    assert found[0].start == to_ns("2020-01-20")


def test_a_crash_is_found_once_and_left_out():
    bars = panel(days=40, crash=20)
    (crash,) = find_crashes(bars, 0, bars.end)
    assert crash[0] == 20 * DAY_NS + bars.step
    assert crash[2] == pytest.approx(np.log(0.8))
    assert not find_crashes(bars, 22 * DAY_NS, bars.end)
    closes = bars.times()[24::2] + bars.step
    y = (np.arange(len(closes)) % 5 == 0).astype(float)
    rows = dataset(closes, np.full(len(closes), 0.2), y)
    better, worse = np.where(rows.y, 0.3, 0.15), np.full(rows.y.shape, 0.2)
    (found,) = leave_one_out(rows, better, worse, bars)
    assert found["crash"] == "1970-01-21"
    assert found["skill_on_it"]["value"] > 0
    assert 0 < found["forecasts"] < rows.y.size / 2
    assert found["skill_without_it"]["blocks"] <= found["skill_on_it"]["blocks"] + 5


def test_walk_forward_judges_each_period_and_all_together():
    bars = market(170, ("BTC", "ETH"))
    edges = [bars.start + d * DAY_NS for d in (110, 140, 170)]
    periods = [Period(bars.start, a, b) for a, b in pairwise(edges)]
    found = walk_forward_track(bars, periods, SETTINGS, ())
    assert list(found["periods"]) == [p.name for p in periods]
    n = [part["scores"]["B5"]["pooled"]["n"] for part in found["periods"].values()]
    assert found["scores"]["B5"]["pooled"]["n"] == sum(n)
    years_sheet, crashes = walk_forward_sheets(found)
    assert [row[0] for row in years_sheet.rows] == [*found["periods"], "all"]
    assert len(crashes.rows) == len(found["crashes"])
    assert len(comparison_sheets(found)) >= 12
