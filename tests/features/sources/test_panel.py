"""Panels: one kind per asset, gaps left open, volume and funding joined."""

import logging
from pathlib import Path

import numpy as np
import pytest

from features.sources import (
    Bars,
    Funding,
    bars_path,
    load_panel,
    read_panel,
    simulate_market,
    to_ns,
    write_bars,
    write_funding,
    write_panel,
)
from models.errors import InputError, MissingMarketError

START = to_ns("2025-01-01")
HOUR = 3_600_000_000_000


def _put(
    root: Path, kind: str, hours: list[float], price: float, symbol: str = "BTCUSDT", bar: int = 60,
    volume: float | None = None,
) -> None:  # fmt: skip
    n = len(hours)
    time = (START + np.array(hours) * HOUR).astype(np.int64)
    flat = np.full(n, price)
    held = None if volume is None else np.full(n, volume)
    write_bars(
        bars_path(root, kind, "binance", symbol, bar),
        Bars(symbol, kind, "binance", bar, time, flat, flat, flat, flat, held),
    )


def test_missing_bars_are_nan_and_never_filled(tmp_path: Path) -> None:
    _put(tmp_path, "mark", [0, 1, 2, 3, 6, 7], 100.0)
    panel = load_panel(tmp_path, ["BTC"])
    assert panel.n_bars == 8
    assert np.isnan(panel.close[0, 4:6]).all()
    assert np.isfinite(panel.close[0, [3, 6]]).all()
    for name in ("open", "high", "low", "close", "volume", "funding_rate"):
        assert getattr(panel, name).flags.c_contiguous


def test_the_first_kind_that_covers_enough_is_taken(tmp_path: Path) -> None:
    _put(tmp_path, "mark", list(range(95)), 1.0)
    _put(tmp_path, "perp", list(range(100)), 2.0)
    panel = load_panel(tmp_path, ["BTC"], start="2025-01-01", end=START + 100 * HOUR)
    assert panel.source == ("mark",)
    assert np.nanmax(panel.close) == 1.0, "prices of two kinds are never spliced"
    longer = load_panel(tmp_path, ["BTC"], start="2025-01-01", end=START + 101 * HOUR)
    assert longer.source == ("perp",)
    other = load_panel(tmp_path, ["BTC"], start="2025-01-01", end=START + 100 * HOUR, kinds=("perp", "mark"))
    assert other.source == ("perp",)


def test_else_the_kind_that_covers_most_and_a_note(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _put(tmp_path, "mark", list(range(10)), 1.0)
    _put(tmp_path, "perp", list(range(40)), 2.0)
    _put(tmp_path, "spot", list(range(30)), 3.0)
    with caplog.at_level(logging.WARNING, logger="features.sources.panel"):
        panel = load_panel(tmp_path, ["BTC"], start="2025-01-01", end=START + 100 * HOUR)
    assert panel.source == ("perp",)
    assert "BTC: perp covers 40.0% of the period" in caplog.text


def test_without_a_period_it_is_that_of_the_preferred_kind(tmp_path: Path) -> None:
    _put(tmp_path, "mark", list(range(10, 20)), 1.0)
    _put(tmp_path, "spot", list(range(40)), 3.0)
    panel = load_panel(tmp_path, ["BTC"])
    assert (panel.start, panel.n_bars, panel.source) == (START + 10 * HOUR, 10, ("mark",))


def test_the_period_is_whole_bars_inside_what_was_asked(tmp_path: Path) -> None:
    _put(tmp_path, "mark", list(range(10)), 1.0)
    panel = load_panel(tmp_path, ["BTC"], start="2025-01-01T01:30Z", end="2025-01-01T04:30Z")
    assert (panel.start, panel.n_bars) == (START + 2 * HOUR, 2)
    with pytest.raises(InputError, match="end: expected at least one bar after start"):
        load_panel(tmp_path, ["BTC"], start="2025-01-02", end="2025-01-01")


def test_volume_comes_from_the_perpetual_then_spot(tmp_path: Path) -> None:
    _put(tmp_path, "mark", list(range(10)), 1.0)
    assert np.isnan(load_panel(tmp_path, ["BTC"]).volume).all()
    _put(tmp_path, "spot", list(range(10)), 3.0, volume=30.0)
    assert (load_panel(tmp_path, ["BTC"]).volume == 30.0).all()
    _put(tmp_path, "perp", list(range(10)), 2.0, volume=20.0)
    panel = load_panel(tmp_path, ["BTC"], kinds=("mark",))
    assert (panel.volume == 20.0).all()
    assert (panel.close == 1.0).all()


def test_funding_stands_on_the_bar_that_holds_its_stamp(tmp_path: Path) -> None:
    _put(tmp_path, "mark", list(range(10)), 1.0)
    stamps = START + np.array([0, 8 * HOUR + 3_000_000, 9 * HOUR + 1, 9 * HOUR + 2, 99 * HOUR])
    write_funding(tmp_path, "binance", Funding.of("BTCUSDT", stamps, np.array([1e-4, -2e-4, 1e-4, 1e-4, 5.0])))
    rate = load_panel(tmp_path, ["BTC"]).funding_rate[0]
    assert np.flatnonzero(rate).tolist() == [0, 8, 9]
    assert rate[[0, 8, 9]].tolist() == [1e-4, -2e-4, 2e-4]


def test_longer_bars_are_made_of_shorter_ones_of_the_same_kind(tmp_path: Path) -> None:
    _put(tmp_path, "perp", [i / 12 for i in range(36)], 2.0, bar=5, volume=1.0)
    panel = load_panel(tmp_path, ["BTC"], bar="1h", kinds=("perp",))
    assert (panel.n_bars, panel.source) == (3, ("perp",))
    assert panel.volume.tolist() == [[12.0, 12.0, 12.0]]


def test_the_preferred_quote_of_an_asset(tmp_path: Path) -> None:
    _put(tmp_path, "mark", [0, 1], 1.0, symbol="BTCUSDC")
    _put(tmp_path, "mark", [0, 1], 2.0, symbol="BTCUSDT")
    assert load_panel(tmp_path, ["BTC"]).close.tolist() == [[2.0, 2.0]]


def test_rows_off_the_grid_and_prices_that_are_none_are_left_out_and_noted(tmp_path: Path) -> None:
    _put(tmp_path, "mark", [0, 1, 1.5, 2], 1.0)
    _put(tmp_path, "mark", [0, 1, 2], -1.0, symbol="ETHUSDT")
    _put(tmp_path, "perp", [0, 1, 2], 5.0, symbol="ETHUSDT")
    load = read_panel(tmp_path, ["BTC", "ETH"], start="2025-01-01", end=START + 3 * HOUR)
    assert load.panel.source == ("mark", "perp")
    assert any("1 bars with stamps off the 60-minute grid left out" in note for note in load.notes)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    _put(tmp_path, "mark", [0, 1], 1.0)
    with pytest.raises(MissingMarketError, match=r"no 1h bars of 'ETH' .*there are: BTC"):
        load_panel(tmp_path, ["BTC", "ETH"])
    with pytest.raises(MissingMarketError, match="no mark, perp, spot bars of bybit"):
        load_panel(tmp_path, venue="bybit")
    with pytest.raises(MissingMarketError, match="BTC: no bar between 2026-01-01"):
        load_panel(tmp_path, ["BTC"], start="2026-01-01", end="2026-01-02")
    with pytest.raises(InputError, match="assets: expected a list"):
        load_panel(tmp_path, "BTC")
    with pytest.raises(InputError, match="kinds: expected one or more of"):
        load_panel(tmp_path, ["BTC"], kinds=("index",))


def test_a_simulated_market_comes_back_as_simulated_and_never_mixes_with_a_real_one(tmp_path: Path) -> None:
    panel = simulate_market(("BTC", "SOL"), days=3, seed=2)
    write_panel(panel, tmp_path / "demo")
    back = load_panel(tmp_path / "demo")
    assert back.source == ("simulated", "simulated")
    for name in ("open", "high", "low", "close", "volume", "funding_rate"):
        np.testing.assert_array_equal(getattr(back, name), getattr(panel, name))
    _put(tmp_path / "real", "mark", [0, 1], 1.0)
    with pytest.raises(InputError, match="this one holds a real market"):
        write_panel(panel, tmp_path / "real")
    with pytest.raises(InputError, match="this one holds a simulated market"):
        write_panel(load_panel(tmp_path / "real"), tmp_path / "demo")


@pytest.mark.realdata
def test_mark_of_2021_05_19_is_not_the_last_price(data_root: Path) -> None:
    day = {"start": "2021-05-19", "end": "2021-05-20"}
    mark = load_panel(data_root, ["ETH"], **day)
    last = load_panel(data_root, ["ETH"], kinds=("perp",), **day)
    assert (mark.source, last.source) == (("mark",), ("perp",))
    assert mark.low.min() == pytest.approx(1764.3, abs=0.1)
    assert last.low.min() == pytest.approx(1400.7, abs=0.1)
    assert np.count_nonzero(mark.funding_rate) == 3
    np.testing.assert_array_equal(mark.volume, last.volume)


@pytest.mark.realdata
def test_the_outage_of_2018_02_08_stays_open(data_root: Path) -> None:
    panel = load_panel(data_root, ["BTC"], start="2018-02-07", end="2018-02-11", kinds=("spot",))
    lost = np.flatnonzero(np.isnan(panel.close[0]))
    assert len(lost) == 32, "whole hours"
    assert np.all(np.diff(lost) == 1)
