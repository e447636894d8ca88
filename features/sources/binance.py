"""Binance public-data zips: klines, mark price klines and funding rates.

Files come with and without a header line, with stamps in milliseconds or (spot, from 2025)
microseconds. What is next to it as ``<name>.zip.CHECKSUM`` is checked.

References
----------
Binance public data, https://github.com/binance/binance-public-data (README, 2025).
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv

from features.sources.bars import KINDS, Bars
from features.sources.files import Origin, bar_columns, to_floats, to_stamps
from features.sources.funding import Funding
from features.sources.times import bar_minutes
from models.errors import InputError

__all__ = ["read_funding_zip", "read_klines_zip", "zip_kind"]

KLINE_COLUMNS: Final = (
    "timestamp", "open", "high", "low", "close", "volume", "close_time",
    "quote_volume", "count", "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip
_KLINES: Final = re.compile(r"^(?P<symbol>[A-Z0-9_]+)-(?P<bar>\d+[mhd])-\d{4}-\d{2}(-\d{2})?$")
_FUNDING: Final = re.compile(r"^(?P<symbol>[A-Z0-9_]+)-fundingRate-\d{4}-\d{2}(-\d{2})?$")
_FOLDERS: Final = {"markPriceKlines": "mark", "spot": "spot", "um": "perp", "cm": "perp"}
_REFUSED: Final = ("indexPriceKlines", "premiumIndexKlines", "aggTrades", "trades", "bookDepth", "metrics")
_MAX_BYTES: Final = 2**31


def zip_kind(path: str | Path) -> str | None:
    """What a zip holds, told from its name and the folders above it.

    Parameters
    ----------
    path : str or Path
        A Binance public-data zip.

    Returns
    -------
    str or None
        ``"mark"``, ``"perp"``, ``"spot"``, ``"funding"``, or None where the path does not say.

    Examples
    --------
    >>> zip_kind("data/futures/um/monthly/markPriceKlines/BTCUSDT/1h/BTCUSDT-1h-2024-01.zip")
    'mark'
    >>> zip_kind("BTCUSDT-fundingRate-2024-01.zip")
    'funding'
    """
    file = Path(path)
    if _FUNDING.match(file.stem):
        return "funding"
    folders = [*file.parts[:-1]]
    if "markPriceKlines" in folders or "mark" in folders:
        return "mark"
    if any(name in folders for name in _REFUSED):
        return None
    return next((_FOLDERS.get(name, name) for name in reversed(folders) if name in _FOLDERS or name in KINDS), None)


def read_klines_zip(
    path: str | Path, *, kind: str | None = None, venue: str = "binance",
    symbol: str | None = None, bar: str | int | None = None,
) -> Bars:  # fmt: skip
    """Read a zip of klines or mark price klines.

    Parameters
    ----------
    path : str or Path
        For example ``BTCUSDT-1h-2024-01.zip``.
    kind : {"mark", "perp", "spot"}, optional
        Told from the folders (``markPriceKlines``, ``futures/um``, ``spot``) where it is left out.
    venue, symbol : str, optional
        Told from the name where they are left out.
    bar : str or int, optional
        Told from the name where it is left out.

    Returns
    -------
    Bars
        Rows as in the file; mark prices carry no volume.

    Raises
    ------
    InputError
        With the file, field, row and value, if it is not such a zip or its checksum is wrong.
    """
    file = Path(path)
    match = _KLINES.match(file.stem)
    symbol, bar = symbol or (match and match["symbol"]), bar or (match and match["bar"])
    kind = kind or zip_kind(file)
    if symbol is None or bar is None:
        raise InputError("path", file.name, "a name such as BTCUSDT-1h-2024-01.zip, or symbol and bar")
    if kind not in KINDS:
        raise InputError("kind", kind, f"'mark', 'perp' or 'spot', which the folders of {file} do not say: pass it")
    data = _only_member(file)
    header = data[:1].isalpha()
    table = _parse(file, data, header, KLINE_COLUMNS)
    columns: dict[str, Any] = bar_columns(table, str(file), 2 if header else 1)
    if kind == "mark":
        del columns["volume"]
    return Bars.from_columns(columns, symbol=symbol, kind=kind, venue=venue, bar=bar_minutes(bar))


def read_funding_zip(path: str | Path, *, symbol: str | None = None) -> Funding:
    """Read a zip of funding rates.

    Parameters
    ----------
    path : str or Path
        For example ``BTCUSDT-fundingRate-2024-01.zip``.
    symbol : str, optional
        Told from the name where it is left out.

    Returns
    -------
    Funding
        Stamps as in the file (Binance's are some milliseconds late), rates as fractions.

    Raises
    ------
    InputError
        With the file, field, row and value, if it is not such a zip or its checksum is wrong.
    """
    file = Path(path)
    match = _FUNDING.match(file.stem)
    symbol = symbol or (match and match["symbol"])
    if symbol is None:
        raise InputError("path", file.name, "a name such as BTCUSDT-fundingRate-2024-01.zip, or symbol")
    data = _only_member(file)
    header = data[:1].isalpha()
    table = _parse(file, data, header, ("calc_time", "funding_interval_hours", "last_funding_rate"))
    origin = Origin(str(file))
    first = 2 if header else 1
    time = to_stamps(table["calc_time"], origin, first)
    return Funding.of(symbol, time, to_floats(table["last_funding_rate"], "last_funding_rate", origin, first))


def _only_member(file: Path) -> bytes:
    """The CSV inside, checked against the checksum file where there is one."""
    _verify(file)
    try:
        with zipfile.ZipFile(file) as archive:
            members = [item for item in archive.infolist() if item.filename.lower().endswith(".csv")]
            if len(members) != 1:
                raise InputError(f"{file}: members", [m.filename for m in archive.infolist()], "exactly one .csv")
            if members[0].file_size > _MAX_BYTES:
                raise InputError(f"{file}: size", members[0].file_size, f"at most {_MAX_BYTES} bytes unpacked")
            return archive.read(members[0])
    except FileNotFoundError:
        raise InputError("path", str(file), "a file that exists") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise InputError("path", str(file), f"a whole zip file ({error}); download it again") from None


def _verify(file: Path) -> None:
    note = file.with_name(f"{file.name}.CHECKSUM")
    if not note.is_file() or not file.is_file():
        return
    expected = note.read_text().split()[0].lower()
    actual = hashlib.sha256(file.read_bytes()).hexdigest()
    if actual != expected:
        raise InputError(f"{file}: sha256", actual, f"{expected} as in {note.name}; download the zip again")


def _parse(file: Path, data: bytes, header: bool, names: tuple[str, ...]) -> pa.Table:
    if not data.strip():
        raise InputError(f"{file}: rows", 0, "at least one row")
    read = pa_csv.ReadOptions(column_names=list(names), skip_rows=int(header))
    try:
        table = pa_csv.read_csv(io.BytesIO(data), read_options=read)
    except pa.ArrowInvalid as error:
        raise InputError(f"{file}: columns", str(error), f"{len(names)} columns: {', '.join(names)}") from None
    return table
