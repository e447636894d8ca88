"""Zips into the layout: merged, replaced, and refused with a reason."""

import zipfile
from pathlib import Path

import pytest

from features.sources import load_panel, read_funding
from features.sources.collect import collect_zips
from models.errors import InputError

HOUR = 3_600_000
START = 1_735_689_600_000


def _zip(folder: Path, name: str, lines: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
        archive.writestr(f"{name}.csv", "\n".join(lines) + "\n")


def _kline(i: int, price: float) -> str:
    stamp = START + i * HOUR
    return f"{stamp},{price},{price + 1},{price - 1},{price},2,{stamp + HOUR - 1},0,1,0,0,0"


def test_two_months_and_funding_become_one_market(tmp_path: Path) -> None:
    mark = tmp_path / "zips/futures/um/monthly/markPriceKlines/BTCUSDT/1h"
    _zip(mark, "BTCUSDT-1h-2025-01", [_kline(i, 100.0) for i in range(3)])
    _zip(mark, "BTCUSDT-1h-2025-02", [_kline(i, 200.0) for i in range(2, 5)])
    funding = tmp_path / "zips/futures/um/monthly/fundingRate/BTCUSDT"
    _zip(
        funding,
        "BTCUSDT-fundingRate-2025-01",
        ["calc_time,funding_interval_hours,last_funding_rate", f"{START + 3},8,0.0001"],
    )
    seen: list[str] = []
    rows = collect_zips(tmp_path / "zips", tmp_path / "market", progress=lambda i, n, name: seen.append(name))
    assert [row["rows"] for row in rows] == [5, 1]
    assert len(seen) == 3
    panel = load_panel(tmp_path / "market", ["BTC"])
    assert panel.close[0].tolist() == [100.0, 100.0, 200.0, 200.0, 200.0]
    assert panel.funding_rate[0].tolist() == [1e-4, 0.0, 0.0, 0.0, 0.0]
    assert read_funding(tmp_path / "market").symbols == ("BTCUSDT",)


def test_a_folder_without_zips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder: expected a folder with Binance public-data zips"):
        collect_zips(tmp_path, tmp_path / "market")


def test_a_broken_zip_is_named_after_the_others_are_written(tmp_path: Path) -> None:
    spot = tmp_path / "zips/spot/monthly/klines/BTCUSDT/1h"
    _zip(spot, "BTCUSDT-1h-2025-01", [_kline(i, 100.0) for i in range(3)])
    (spot / "BTCUSDT-1h-2025-02.zip").write_bytes(b"half a download")
    with pytest.raises(InputError, match=r"2 readable zips; 1 were written, was .*BTCUSDT-1h-2025-02\.zip"):
        collect_zips(tmp_path / "zips", tmp_path / "market")
    assert load_panel(tmp_path / "market", ["BTC"]).n_bars == 3
