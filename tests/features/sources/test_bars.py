"""Bars as a value: order, repeats, longer bars."""

import numpy as np
import pytest

from features.sources import Bars, bars_from_ohlcv
from features.sources.bars import base_of
from models.errors import InputError

MINUTE = 60_000_000_000
START = 1_735_689_600_000_000_000  # 2025-01-01T00:00:00Z


def _bars(minutes: list[int], price: list[float], bar: int = 5, volume: list[float] | None = None) -> Bars:
    close = np.array(price, float)
    time = START + np.array(minutes, np.int64) * MINUTE
    held = None if volume is None else np.array(volume, float)
    return Bars("BTCUSDT", "perp", "binance", bar, time, close - 0.5, close + 1, close - 1, close, held)


@pytest.mark.parametrize(
    ("symbol", "base"),
    [
        ("BTCUSDT", "BTC"),
        ("1000PEPEUSDT", "1000PEPE"),
        ("BTC-PERP", "BTC"),
        ("BTC-USD", "BTC"),
        ("ETHBTC", None),
        ("USDT", None),
        ("BTCUSD1", "BTC"),
    ],
)
def test_base_of_a_venue_symbol(symbol: str, base: str | None) -> None:
    assert base_of(symbol) == base


def test_tidy_orders_and_keeps_the_last_of_a_stamp() -> None:
    bars = _bars([10, 0, 5, 5], [3.0, 1.0, 2.0, 2.5]).tidy()
    assert bars.close.tolist() == [1.0, 2.5, 3.0]
    assert np.all(np.diff(bars.time) == 5 * MINUTE)


def test_resample_takes_open_extremes_close_and_adds_volume() -> None:
    bars = _bars([0, 5, 10, 15, 20, 25], [10, 14, 8, 9, 9, 9], volume=[1, 2, 3, 4, 5, 6]).resample("15m")
    assert bars.bar_minutes == 15
    assert bars.volume is not None
    rows = np.stack([bars.open, bars.high, bars.low, bars.close, bars.volume], axis=1)
    assert rows.tolist() == [[9.5, 15.0, 7.0, 8.0, 6.0], [8.5, 10.0, 8.0, 9.0, 15.0]]


def test_resample_leaves_out_a_bar_of_which_a_part_is_missing_or_not_a_number() -> None:
    hole = _bars([0, 5, 15, 20, 25], [1, 1, 2, 2, 2]).resample(15)
    assert hole.time.tolist() == [START + 15 * MINUTE]
    lost = _bars([0, 5, 10, 15, 20, 25], [1, np.nan, 1, 2, 2, 2]).resample(15)
    assert lost.time.tolist() == [START + 15 * MINUTE]
    assert len(_bars([0, 5], [1, 1]).resample(15)) == 0
    assert len(_bars([], []).resample(15)) == 0


def test_resample_to_a_length_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="bar: expected a multiple of 5 minutes, was '8m'"):
        _bars([0], [1]).resample("8m")


def test_wrong_kind_and_wrong_shape_are_refused() -> None:
    one = np.ones(1)
    with pytest.raises(InputError, match="kind: expected one of mark, perp, spot, was 'index'"):
        Bars("BTCUSDT", "index", "binance", 60, np.zeros(1, np.int64), one, one, one, one)
    with pytest.raises(InputError, match=r"low: expected shape \(1,\)"):
        Bars("BTCUSDT", "mark", "binance", 60, np.zeros(1, np.int64), one, one, np.ones(2), one)


def test_ccxt_lists_become_bars() -> None:
    rows = [[1_735_689_600_000, 1, 3, 0.5, 2, 7], [1_735_693_200_000, 2, 2, None, 2, None]]
    bars = bars_from_ohlcv(rows, symbol="ETH/USDT:USDT", kind="perp", venue="bybit", bar="1h")
    assert (bars.symbol, bars.base, bars.time[0]) == ("ETHUSDT", "ETH", START)
    assert np.isnan(bars.low[1])
    assert bars.volume is not None
    assert bars.volume[0] == 7


def test_a_ccxt_row_without_number_is_named() -> None:
    with pytest.raises(InputError, match=r"BTCUSDT ohlcv\[1\]\.high: expected a number, was 'x'"):
        bars_from_ohlcv(
            [[1_735_689_600_000, 1, 1, 1, 1, 1], [1_735_693_200_000, 1, "x", 1, 1, 1]],
            symbol="BTC/USDT:USDT", kind="mark", venue="okx", bar="1h",
        )  # fmt: skip
    with pytest.raises(InputError, match=r"ohlcv\.timestamp"):
        bars_from_ohlcv([[None, 1, 1, 1, 1, 1]], symbol="BTCUSDT", kind="mark", venue="okx", bar="1h")
