"""Funding rates: one table of all symbols of a venue, as in the layout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from features.sources.files import Origin, read_arrow, to_floats, to_stamps
from features.sources.tables import write_table
from features.sources.times import stamps_to_ns
from models.errors import InputError
from models.typing import FloatArray, IntArray, ObjectArray

__all__ = ["Funding", "funding_path", "read_funding", "write_funding"]


@dataclass(frozen=True, slots=True, eq=False)
class Funding:
    """Funding rates of one or more symbols.

    Parameters
    ----------
    symbol : ndarray of object, shape (n,)
        Venue symbols.
    time : ndarray of int64, shape (n,)
        Stamps of the charge, nanoseconds since the epoch.
    rate : ndarray, shape (n,)
        Fraction of the notional that longs pay to shorts at the stamp.

    Examples
    --------
    >>> Funding.of("BTCUSDT", np.array([0]), np.array([1e-4])).symbols
    ('BTCUSDT',)
    """

    symbol: ObjectArray
    time: IntArray
    rate: FloatArray

    def __len__(self) -> int:
        return len(self.time)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols there are rates for, in order of name."""
        return tuple(sorted(set(self.symbol.tolist())))

    @classmethod
    def of(cls, symbol: str, time: IntArray, rate: FloatArray) -> Funding:
        """Rates of one symbol."""
        return cls(np.full(len(time), symbol, object), np.asarray(time, np.int64), np.asarray(rate, np.float64))

    @classmethod
    def empty(cls) -> Funding:
        """No rates."""
        return cls.of("", np.empty(0, np.int64), np.empty(0))

    @classmethod
    def from_history(cls, rows: Sequence[Mapping[str, Any]], symbol: str) -> Funding:
        """Rates from the dicts of ccxt's ``fetch_funding_rate_history``.

        Parameters
        ----------
        rows : sequence of mapping
            Each with ``timestamp`` (milliseconds) and ``fundingRate``.
        symbol : str
            Venue symbol to file them under.

        Returns
        -------
        Funding
            The same rates.

        Raises
        ------
        InputError
            If a row has no number where one belongs.

        Examples
        --------
        >>> Funding.from_history([{"timestamp": 1735689600000, "fundingRate": 1e-4}], "BTCUSDT").rate.tolist()
        [0.0001]
        """
        for i, row in enumerate(rows):
            for name in ("timestamp", "fundingRate"):
                if not isinstance(row.get(name), int | float):
                    raise InputError(f"{symbol} funding[{i}].{name}", row.get(name), "a number")
        time = stamps_to_ns([int(row["timestamp"]) for row in rows])
        return cls.of(symbol, time, np.array([float(row["fundingRate"]) for row in rows]))

    @classmethod
    def concat(cls, parts: Iterable[Funding]) -> Funding:
        """Several as one; of the same symbol and stamp the last stays; by symbol and time."""
        held = list(parts) or [cls.empty()]
        symbol = np.concatenate([part.symbol for part in held])
        time = np.concatenate([part.time for part in held])
        rate = np.concatenate([part.rate for part in held])
        names, code = np.unique(symbol.astype(str), return_inverse=True)
        order = np.lexsort((np.arange(len(time)), time, code))
        code, time = code[order], time[order]
        last = np.append((np.diff(code) != 0) | (np.diff(time) != 0), True)[: len(order)]
        return cls(names[code[last]].astype(object), time[last], rate[order][last])

    def select(self, symbol: str) -> Funding:
        """Rates of one symbol."""
        rows = self.symbol == symbol
        return Funding(self.symbol[rows], self.time[rows], self.rate[rows])


def funding_path(root: str | Path, venue: str) -> Path:
    """Where the layout keeps the funding rates of a venue."""
    return Path(root) / "funding" / venue / "funding_all-8h.parquet"


def read_funding(root: str | Path, venue: str = "binance") -> Funding:
    """Read the funding rates of a venue.

    Parameters
    ----------
    root : str or Path
        Folder of the market.
    venue : str
        For example ``"binance"``.

    Returns
    -------
    Funding
        Rows of ``funding_*.parquet`` or ``funding_*.csv``; none where there is no file.

    Raises
    ------
    InputError
        With the file, field, row and value, if a file cannot be read.
    """
    files = sorted((Path(root) / "funding" / venue).glob("funding_*.*"))
    parts = [_read(file) for file in files if file.suffix in (".parquet", ".csv")]
    return parts[0] if len(parts) == 1 else Funding.concat(parts)


def _read(file: Path) -> Funding:
    table, origin = read_arrow(file), Origin(str(file))
    missing = [name for name in ("symbol", "timestamp", "funding_rate") if name not in table.column_names]
    if missing:
        raise origin.fault("columns", None, table.column_names, f"also {', '.join(missing)}")
    symbol = np.asarray(table["symbol"].to_numpy(zero_copy_only=False), object)
    return Funding(
        symbol, to_stamps(table["timestamp"], origin), to_floats(table["funding_rate"], "funding_rate", origin)
    )


def write_funding(root: str | Path, venue: str, funding: Funding) -> Path:
    """Add rates to the table of a venue, whole or not at all.

    Parameters
    ----------
    root : str or Path
        Folder of the market.
    venue : str
        For example ``"binance"``.
    funding : Funding
        New rates; they replace older ones of the same symbol and stamp.

    Returns
    -------
    Path
        The file that was written.
    """
    path = funding_path(root, venue)
    whole = Funding.concat([read_funding(root, venue), funding])
    stamps = whole.time.view("datetime64[ns]").astype("datetime64[ms]")
    write_table(path, {"symbol": whole.symbol, "timestamp": stamps, "funding_rate": whole.rate})
    return path
