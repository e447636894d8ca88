"""Binance public-data zips: with and without header, two units of stamps, mark prices, funding."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from features.sources import read_bars
from features.sources.binance import KLINE_COLUMNS, read_funding_zip, read_klines_zip, zip_kind
from models.errors import InputError

START = 1_735_689_600_000  # 2025-01-01T00:00:00Z
HOUR = 3_600_000
HEADER = "open_time," + ",".join(KLINE_COLUMNS[1:])


def _line(i: int, unit: int = 1, high: str = "101.0") -> str:
    stamp = (START + i * HOUR) * unit
    return f"{stamp},100.0,{high},99.0,100.5,12.5,{stamp + HOUR * unit - 1},1256.0,10,6.0,600.0,0"


def _zip(path: Path, lines: list[str], member: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member or f"{path.stem}.csv", "\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("unit", [1, 1000])
def test_klines(tmp_path: Path, header: bool, unit: int) -> None:
    lines = [HEADER] * header + [_line(i, unit) for i in range(3)]
    bars = read_klines_zip(_zip(tmp_path / "spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2025-01.zip", lines))
    assert (bars.symbol, bars.kind, bars.bar_minutes) == ("BTCUSDT", "spot", 60)
    assert bars.time.tolist() == [(START + i * HOUR) * 10**6 for i in range(3)]
    assert (bars.open[0], bars.high[0], bars.low[0], bars.close[0]) == (100.0, 101.0, 99.0, 100.5)
    assert bars.volume is not None
    assert bars.volume[0] == 12.5


def test_mark_prices_carry_no_volume_and_read_bars_reads_zips(tmp_path: Path) -> None:
    path = _zip(tmp_path / "futures/um/daily/markPriceKlines/BTCUSDT/1h/BTCUSDT-1h-2025-01-01.zip", [_line(0)])
    bars = read_bars(path)
    assert (bars.kind, bars.volume) == ("mark", None)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2025-01.zip", "perp"),
        ("futures/um/monthly/indexPriceKlines/BTCUSDT/1h/BTCUSDT-1h-2025-01.zip", None),
        ("futures/um/monthly/premiumIndexKlines/BTCUSDT/1h/BTCUSDT-1h-2025-01.zip", None),
        ("downloads/BTCUSDT-1h-2025-01.zip", None),
        ("perp/BTCUSDT-1h-2025-01.zip", "perp"),
        ("x/BTCUSDT-fundingRate-2025-01.zip", "funding"),
    ],
)
def test_the_folders_say_what_a_zip_holds(path: str, kind: str | None) -> None:
    assert zip_kind(path) == kind


@pytest.mark.parametrize("header", [True, False])
def test_funding_rates(tmp_path: Path, header: bool) -> None:
    lines = ["calc_time,funding_interval_hours,last_funding_rate"] * header
    lines += [f"{START + 5},8,0.00010000", f"{START + 8 * HOUR},8,-0.00025000"]
    funding = read_funding_zip(_zip(tmp_path / "BTCUSDT-fundingRate-2025-01.zip", lines))
    assert funding.symbols == ("BTCUSDT",)
    assert funding.rate.tolist() == [1e-4, -2.5e-4]
    assert funding.time[0] == (START + 5) * 10**6


def test_a_wrong_number_is_named_with_its_line(tmp_path: Path) -> None:
    path = _zip(tmp_path / "spot/BTCUSDT-1h-2025-01.zip", [HEADER, _line(0), _line(1, high="n/a?")])
    with pytest.raises(InputError, match=r"BTCUSDT-1h-2025-01.zip: high row 3: expected a number, was 'n/a\?'"):
        read_klines_zip(path)


def test_a_checksum_that_does_not_match_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "spot/BTCUSDT-1h-2025-01.zip", [_line(0)])
    note = path.with_name(path.name + ".CHECKSUM")
    note.write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    assert len(read_klines_zip(path)) == 1
    note.write_text(f"{'0' * 64}  {path.name}\n")
    with pytest.raises(InputError, match=r"sha256: expected 0000.* download the zip again"):
        read_klines_zip(path)


def test_what_is_no_such_zip_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "spot/BTCUSDT-1h-2025-01.zip"
    broken.parent.mkdir()
    broken.write_bytes(b"PK but not really")
    with pytest.raises(InputError, match="path: expected a whole zip file"):
        read_klines_zip(broken)
    with pytest.raises(InputError, match="kind: expected 'mark', 'perp' or 'spot'"):
        read_klines_zip(_zip(tmp_path / "BTCUSDT-1h-2025-01.zip", [_line(0)]))
    with pytest.raises(InputError, match="path: expected a name such as BTCUSDT-1h"):
        read_klines_zip(_zip(tmp_path / "spot/january.zip", [_line(0)]))
    with pytest.raises(InputError, match="columns: expected 12 columns"):
        read_klines_zip(_zip(tmp_path / "spot/ETHUSDT-1h-2025-01.zip", ["1,2,3"]))
    with pytest.raises(InputError, match=r"members: expected exactly one \.csv"):
        read_klines_zip(_zip(tmp_path / "spot/XRPUSDT-1h-2025-01.zip", [_line(0)], member="readme.txt"))
    with pytest.raises(InputError, match="path: expected a file that exists"):
        read_klines_zip(tmp_path / "spot/LTCUSDT-1h-2025-01.zip")
