"""What `margincast data check` finds: each fault planted once, and nothing in a clean market."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.sources import Bars, bars_path, check_bars, check_directory, simulate_market, write_bars, write_panel
from features.sources.check import COLUMNS
from models.errors import InputError

HOUR = 3_600_000_000_000


@pytest.fixture(scope="module")
def clean() -> Bars:
    panel = simulate_market(("LTC",), days=30, seed=3)
    price = {name: getattr(panel, name)[0] for name in ("open", "high", "low", "close")}
    return Bars("LTCUSDT", "perp", "binance", 60, panel.times(), **price, volume=panel.volume[0])


def _with(bars: Bars, name: str, row: int | slice, value: float) -> Bars:
    array = getattr(bars, name).copy()
    array[row] = value
    return replace(bars, **{name: array})


def test_a_clean_market_has_no_fault(clean: Bars) -> None:
    report = check_bars(clean)
    assert report.faults == 0
    assert (report.rows, report.missing_bars, report.stale_tail) == (720, 0, 0)
    assert report.zero_volume == ()


def test_gaps_with_their_ends(clean: Bars) -> None:
    keep = np.ones(720, bool)
    keep[100:103] = keep[200] = False
    report = check_bars(clean.take(keep))
    assert [gap.bars for gap in report.gaps] == [3, 1]
    assert report.missing_bars == 4
    assert (report.gaps[0].start, report.gaps[0].end) == (clean.time[100], clean.time[103])
    assert report.faults == 0


def test_duplicates_conflicts_order_and_grid(clean: Bars) -> None:
    rows = np.arange(720)
    rows[11] = 10
    repeated = clean.take(rows)
    assert (check_bars(repeated).duplicates, check_bars(repeated).conflicts) == (1, 0)
    assert check_bars(_with(repeated, "close", 10, 1.0)).conflicts == 1
    assert check_bars(clean.take(np.r_[1, 0, 2:720])).unordered == 1
    assert check_bars(_with(clean, "time", 5, int(clean.time[5]) + 1000)).off_grid == 1


def test_prices_that_are_none_and_highs_that_are_not(clean: Bars) -> None:
    assert check_bars(_with(clean, "low", 7, np.nan)).not_a_number == 1
    assert check_bars(_with(clean, "low", 7, 0.0)).not_positive == 1
    assert check_bars(_with(clean, "high", 7, clean.low[7] * 0.99)).inconsistent == 1


def test_a_print_far_from_both_neighbours_is_a_bad_tick(clean: Bars) -> None:
    report = check_bars(_with(clean, "low", 300, 0.0001))
    (tick,) = report.bad_ticks
    assert (tick.time, tick.field, tick.price) == (clean.time[300], "low", 0.0001)
    assert tick.before == clean.close[299]
    assert tick.ratio > 100
    spike = _with(_with(clean, "high", 50, clean.high[50] * 3), "close", 50, clean.close[50] * 2.9)
    assert {t.field for t in check_bars(spike).bad_ticks} == {"high", "close"}


def test_a_lasting_move_is_no_bad_tick(clean: Bars) -> None:
    after = clean
    for name in ("open", "high", "low", "close"):
        after = _with(after, name, slice(400, None), 1.0)
        after = replace(
            after, **{name: np.where(np.arange(720) < 400, getattr(clean, name), getattr(clean, name) * 0.5)}
        )
    assert check_bars(after).bad_ticks == ()


def test_quiet_stretches_and_a_stale_tail(clean: Bars) -> None:
    quiet = _with(_with(clean, "volume", slice(40, 45), 0.0), "volume", slice(60, 62), 0.0)
    assert [part.bars for part in check_bars(quiet).zero_volume] == [5]
    stale = clean
    for name in ("open", "high", "low", "close"):
        stale = _with(stale, name, slice(716, None), 50.0)
    assert check_bars(stale).stale_tail == 4


def test_an_empty_file_and_one_bar(clean: Bars) -> None:
    assert check_bars(clean.take(slice(0, 0))).to_dict()["first"] is None
    assert check_bars(clean.take(slice(0, 1))).faults == 0


def test_a_folder_reports_every_file_even_an_unreadable_one(tmp_path: Path, clean: Bars) -> None:
    write_panel(simulate_market(("BTC", "ETH"), days=2, seed=1), tmp_path)
    late = bars_path(tmp_path, "mark", "binance", "LTCUSDT", "1h")
    write_bars(late, _with(replace(clean, kind="mark"), "low", 300, 0.0001).take(slice(0, 400)))
    (tmp_path / "mark/binance/XRPUSDT-1h.csv").write_text("timestamp,open\n")
    seen: list[tuple[int, int, str]] = []
    report = check_directory(tmp_path, progress=lambda i, n, name: seen.append((i, n, name)))
    assert len(report.files) == len(seen) == 4
    assert report.totals()["bad_ticks"] == report.totals()["unreadable"] == 1
    assert report.faults == 2
    plain = json.loads(json.dumps(report.to_dict(limit=1)))
    assert plain["files"][0]["behind_minutes"] == (400 - 48) * 60
    assert plain["files"][2]["bad_ticks"][0]["price"] == 0.0001
    assert all(len(row) == len(COLUMNS) for row in report.rows())
    with pytest.raises(InputError, match="root: expected a folder with <kind>"):
        check_directory(tmp_path, venue="bybit")


@pytest.mark.realdata
def test_known_faults_of_the_real_market_and_no_false_ones_in_mark(data_root: Path) -> None:
    perp = {(r.symbol, r.bar_minutes): r for r in check_directory(data_root, kinds=("perp",), venue="binance").files}
    eth = {(t.time // HOUR, t.field): t.price for t in perp["ETHUSDT", 60].bad_ticks}
    assert 323.0 in eth.values(), "2020-03-13, mark was 195"
    assert any(price == pytest.approx(1400.73, abs=0.01) for price in eth.values()), "2021-05-19, mark was 1764"
    mark = check_directory(data_root, kinds=("mark",))
    assert mark.faults == 0
