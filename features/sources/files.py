"""Bar files of the contract's layout: parquet and CSV, read as they are, written whole."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from features.sources.bars import FIELDS, KINDS, Bars
from features.sources.tables import write_table
from features.sources.times import bar_minutes, bar_name, stamps_to_ns
from models.errors import InputError
from models.typing import FloatArray, IntArray

__all__ = ["BarFile", "bars_path", "list_bar_files", "read_bars", "write_bars"]

_NAME: Final = re.compile(r"^(?P<symbol>.+)-(?P<bar>\d+[mhd])\.(?P<suffix>parquet|csv)$")
_ALIASES: Final = {"time": "timestamp", "date": "timestamp", "datetime": "timestamp", "open_time": "timestamp"}


class BarFile(NamedTuple):
    """A bar file of the layout and what its name says."""

    path: Path
    kind: str
    venue: str
    symbol: str
    minutes: int


def bars_path(root: str | Path, kind: str, venue: str, symbol: str, bar: str | int) -> Path:
    """Where the layout keeps the bars of a symbol.

    Parameters
    ----------
    root : str or Path
        Folder of the market.
    kind : {"mark", "perp", "spot"}
        What the price is.
    venue, symbol : str
        For example ``"binance"`` and ``"BTCUSDT"``.
    bar : str or int
        Length of a bar.

    Returns
    -------
    Path
        ``<root>/<kind>/<venue>/<SYMBOL>-<bar>.parquet``.

    Examples
    --------
    >>> bars_path("market", "mark", "binance", "BTCUSDT", "1h").as_posix()
    'market/mark/binance/BTCUSDT-1h.parquet'
    """
    return Path(root) / kind / venue / f"{symbol}-{bar_name(bar_minutes(bar))}.parquet"


def list_bar_files(root: str | Path, kinds: tuple[str, ...] = KINDS, venue: str | None = None) -> list[BarFile]:
    """Bar files below a folder of the layout, in order of kind, venue and name.

    Parameters
    ----------
    root : str or Path
        Folder of the market.
    kinds : tuple of str
        Kinds to look for.
    venue : str, optional
        One venue; every venue where it is left out.

    Returns
    -------
    list of BarFile
        Parquet and CSV files; of the same name, only the parquet.

    Raises
    ------
    InputError
        If the folder does not exist.
    """
    base = Path(root)
    if not base.is_dir():
        raise InputError("root", str(root), "a folder that exists, with <kind>/<venue>/<SYMBOL>-<bar>.parquet below")
    found: dict[tuple[str, str, str, int], BarFile] = {}
    for kind in kinds:
        for path in sorted((base / kind).glob(f"{venue or '*'}/*.*"), key=lambda p: (p.parent.name, p.stem, p.suffix)):
            match = _NAME.match(path.name)
            if match:
                file = BarFile(path, kind, path.parent.name, match["symbol"], bar_minutes(match["bar"]))
                found[file[1:]] = file
    return list(found.values())


@dataclass(frozen=True)
class Origin:
    """What is being read, for the messages."""

    path: str

    def fault(self, field: str, row: int | None, value: object, expected: str) -> InputError:
        where = f"{self.path}: {field}" + ("" if row is None else f" row {row}")
        return InputError(where, value, expected)


def read_bars(
    path: str | Path, *, kind: str | None = None, venue: str | None = None,
    symbol: str | None = None, bar: str | int | None = None,
) -> Bars:  # fmt: skip
    """Read a bar file: parquet, CSV, or a Binance public-data zip.

    Parameters
    ----------
    path : str or Path
        The file. What is not given below is read from its place, ``<kind>/<venue>/<SYMBOL>-<bar>.<suffix>``.
    kind, venue, symbol : str, optional
        What the bars are.
    bar : str or int, optional
        Length of a bar.

    Returns
    -------
    Bars
        Every row, in the order of the file; NaN prices stay NaN for `check_bars` to report.

    Raises
    ------
    InputError
        With the file, the field, the row and the value, if the file cannot be read.
    """
    file = Path(path)
    if file.suffix == ".zip":
        from features.sources.binance import read_klines_zip

        return read_klines_zip(file, kind=kind, venue=venue or "binance", symbol=symbol, bar=bar)
    match = _NAME.match(file.name)
    kind = kind or (file.parent.parent.name if file.parent.parent.name in KINDS else None)
    symbol = symbol or (match["symbol"] if match else None)
    bar = bar or (match["bar"] if match else None)
    if kind is None or symbol is None or bar is None:
        raise InputError("path", str(path), "a place such as mark/binance/BTCUSDT-1h.parquet, or kind, symbol and bar")
    columns = read_columns(file)
    return Bars.from_columns(columns, symbol=symbol, kind=kind, venue=venue or file.parent.name, bar=bar)


def read_columns(path: Path) -> dict[str, Any]:
    """Columns of a parquet or CSV bar file as numpy arrays, stamps in nanoseconds."""
    return bar_columns(read_arrow(path), str(path))


def read_arrow(path: Path) -> pa.Table:
    """A parquet or CSV file as an Arrow table; column names in lower case."""
    if path.suffix not in (".parquet", ".csv"):
        raise InputError("path", str(path), "a .parquet, .csv or .zip file")
    try:
        table = pq.read_table(path, partitioning=None) if path.suffix == ".parquet" else pa_csv.read_csv(path)
    except FileNotFoundError:
        raise InputError("path", str(path), "a file that exists") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError("path", str(path), f"a readable {path.suffix[1:]} file ({error})") from None
    names = [name.strip().lower() for name in table.column_names]
    return table.rename_columns([_ALIASES.get(name, name) for name in names])


def bar_columns(table: pa.Table, path: str, first_row: int = 1) -> dict[str, Any]:
    """Numbers of the columns of bars; a text that is no number is named with its row."""
    origin = Origin(path)
    missing = [name for name in ("timestamp", *FIELDS) if name not in table.column_names]
    if missing:
        raise origin.fault("columns", None, table.column_names, f"also {', '.join(missing)}")
    out: dict[str, Any] = {"timestamp": to_stamps(table["timestamp"], origin, first_row)}
    for name in (*FIELDS, *(("volume",) if "volume" in table.column_names else ())):
        out[name] = to_floats(table[name], name, origin, first_row)
    return out


def to_floats(column: pa.ChunkedArray, name: str, origin: Origin, first_row: int = 1) -> FloatArray:
    """A column as float64, nulls as NaN."""
    try:
        values = column.cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        row = next((i for i, text in enumerate(column.to_pylist()) if not _is_number(text)), 0)
        raise origin.fault(name, row + first_row, column[row].as_py(), "a number") from None
    return np.asarray(values.to_numpy(), np.float64)


def _is_number(text: object) -> bool:
    try:
        float(str(text))
    except ValueError:
        return text is None
    return True


def to_stamps(column: pa.ChunkedArray, origin: Origin, first_row: int = 1) -> IntArray:
    """A column of stamps as nanoseconds; times without a zone are UTC."""
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise origin.fault("timestamp", row + first_row, None, "the open of the bar")
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = _parse_stamps(column, origin, first_row)
    elif pa.types.is_date(kind):
        column = column.cast(pa.timestamp("s"))
    elif not pa.types.is_timestamp(kind):
        try:
            return stamps_to_ns(column.cast(pa.int64()).to_numpy())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, InputError) as error:
            raise origin.fault(
                "timestamp", None, str(kind), f"times, or whole numbers of the epoch ({error})"
            ) from None
    return np.asarray(column.cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy(), np.int64)


def _parse_stamps(column: pa.ChunkedArray, origin: Origin, first_row: int) -> pa.ChunkedArray:
    texts = pc.utf8_trim_whitespace(column)
    for kind in (pa.int64(), pa.timestamp("ns", "UTC"), pa.timestamp("ns")):
        try:
            parsed = texts.cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
        return (
            pa.chunked_array([stamps_to_ns(parsed.to_numpy())]).cast(pa.timestamp("ns"))
            if kind == pa.int64()
            else parsed
        )
    row = next((i for i, text in enumerate(texts.to_pylist()) if not _is_time(text)), 0)
    raise origin.fault("timestamp", row + first_row, column[row].as_py(), "an ISO time or a whole number of the epoch")


def _is_time(text: str) -> bool:
    try:
        np.datetime64(text.removesuffix("Z").split("+")[0])
    except ValueError:
        return text.isdigit()
    return True


def write_bars(path: str | Path, bars: Bars) -> None:
    """Write bars in the contract's layout, whole or not at all.

    Parameters
    ----------
    path : str or Path
        ``.parquet`` or ``.csv``; see `bars_path`.
    bars : Bars
        The rows, written as they are.

    Examples
    --------
    >>> import tempfile
    >>> price = np.array([100.0])
    >>> bars = Bars("BTCUSDT", "mark", "binance", 60, np.array([1_735_689_600_000_000_000]), price, price, price, price)
    >>> with tempfile.TemporaryDirectory() as root:
    ...     path = bars_path(root, "mark", "binance", "BTCUSDT", "1h")
    ...     write_bars(path, bars)
    ...     read_bars(path).close.tolist()
    [100.0]
    """
    columns: Mapping[str, Any] = {
        "timestamp": bars.time.view("datetime64[ns]").astype("datetime64[ms]"),
        **{name: getattr(bars, name) for name in FIELDS},
        **({} if bars.volume is None else {"volume": bars.volume}),
    }
    write_table(path, columns)
