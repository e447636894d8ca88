"""Parquet and CSV: what is written is read, what is wrong is named with file, field and row."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.sources import Bars, bars_path, list_bar_files, read_bars, write_bars
from models.errors import InputError

START = 1_735_689_600_000_000_000
HOUR = 3_600_000_000_000
HEADER = "timestamp,open,high,low,close,volume\n"


def _bars(volume: bool = True) -> Bars:
    price = np.array([100.0, 101.5, np.nan])
    time = START + np.arange(3) * HOUR
    held = np.array([1.0, 2.0, 3.0]) if volume else None
    return Bars("BTCUSDT", "perp", "binance", 60, time, price, price + 1, price - 1, price, held)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("volume", [True, False])
def test_round_trip(tmp_path: Path, suffix: str, volume: bool) -> None:
    path = bars_path(tmp_path, "perp", "binance", "BTCUSDT", "1h").with_suffix(suffix)
    write_bars(path, _bars(volume))
    back = read_bars(path)
    assert (back.symbol, back.kind, back.venue, back.bar_minutes) == ("BTCUSDT", "perp", "binance", 60)
    for name in ("time", "open", "high", "low", "close"):
        np.testing.assert_array_equal(getattr(back, name), getattr(_bars(), name))
    assert (back.volume is not None) == volume
    assert [p.name for p in path.parent.iterdir()] == [path.name], "no part is left over"


def test_written_parquet_has_the_types_of_the_layout(tmp_path: Path) -> None:
    path = bars_path(tmp_path, "mark", "binance", "BTCUSDT", "1h")
    write_bars(path, _bars())
    schema = pq.read_schema(path)
    assert schema.field("timestamp").type == pa.timestamp("ms", "UTC")
    assert schema.names == ["timestamp", "open", "high", "low", "close", "volume"]


@pytest.mark.parametrize(
    "stamps",
    [
        ["2025-01-01T00:00:00Z", "2025-01-01T01:00:00Z"],
        ["2025-01-01 00:00:00", "2025-01-01 01:00:00"],
        ["2025-01-01T01:00:00+01:00", "2025-01-01T02:00:00+01:00"],
        ["1735689600000", "1735693200000"],
        ["1735689600000000", "1735693200000000"],
        ["1735689600", "1735693200"],
    ],
)
def test_csv_stamps_in_every_notation(tmp_path: Path, stamps: list[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_text(" Time ,OPEN,High,low,Close\n" + "".join(f"{stamp},1,2,0.5,1\n" for stamp in stamps))
    bars = read_bars(path, kind="mark", symbol="BTCUSDT", bar="1h", venue="v")
    assert bars.time.tolist() == [START, START + HOUR]
    assert bars.volume is None


def test_naive_parquet_stamps_are_utc_and_floats_are_widened(tmp_path: Path) -> None:
    stamps = pa.array([START // 1000], pa.timestamp("us"))
    price = pa.array([0.1], pa.float32())
    path = tmp_path / "mark/v/BTCUSDT-1h.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"timestamp": stamps, **dict.fromkeys(("open", "high", "low", "close"), price)}), path)
    bars = read_bars(path)
    assert bars.time[0] == START
    assert bars.close.dtype == np.float64
    assert bars.close[0] == np.float32(0.1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "2025-01-01,1,2,0.5,1,1\n2025-01-02,1,two,0.5,1,1\n", r"high row 2: expected a number, was 'two'"),
        (HEADER + "2025-01-01,1,2,0.5,1,1\nyesterday,1,2,0.5,1,1\n", r"timestamp row 2: expected an ISO time"),
        (HEADER + ",1,2,0.5,1,1\n", r"timestamp row 1: expected the open of the bar"),
        ("timestamp,open,high,low\n2025-01-01,1,2,0.5\n", r"columns: expected also close"),
        ("a,b\n1\n", r"path: expected a readable csv file"),
    ],
)
def test_a_bad_csv_is_named_with_file_field_and_row(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "BTCUSDT-1d.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_bars(path, kind="mark")
    assert "BTCUSDT-1d.csv" in str(caught.value)


def test_files_that_are_not_there_or_not_bars_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mark/v").mkdir(parents=True)
    garbage = tmp_path / "mark/v/BTCUSDT-1h.parquet"
    garbage.write_bytes(b"not parquet at all")
    with pytest.raises(InputError, match="path: expected a readable parquet file"):
        read_bars(garbage)
    with pytest.raises(InputError, match="path: expected a file that exists"):
        read_bars(tmp_path / "mark/v/ETHUSDT-1h.parquet")
    with pytest.raises(InputError, match="path: expected a place such as mark/binance"):
        read_bars(tmp_path / "prices.csv")


def test_listing_prefers_parquet_and_skips_what_is_no_bar_file(tmp_path: Path) -> None:
    for name in ("BTCUSDT-1h.csv", "BTCUSDT-1h.parquet", "BTCUSDT-5m.csv", "notes.txt", "odd.csv"):
        path = tmp_path / "perp/binance" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = list_bar_files(tmp_path)
    assert [(f.path.name, f.minutes) for f in found] == [("BTCUSDT-1h.parquet", 60), ("BTCUSDT-5m.csv", 5)]
    assert list_bar_files(tmp_path, venue="bybit") == []
    with pytest.raises(InputError, match="root: expected a folder that exists"):
        list_bar_files(tmp_path / "none")
