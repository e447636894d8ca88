"""Bars of one symbol as a value, exactly as a source gave them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from features.sources.times import bar_minutes as to_minutes
from features.sources.times import stamps_to_ns
from models.errors import InputError
from models.typing import MINUTE_NS, FloatArray, IntArray

__all__ = ["FIELDS", "KINDS", "QUOTES", "Bars", "base_of"]

KINDS: Final = ("mark", "perp", "spot")
"""What a price can be: the venue's mark, the last trade of the perpetual, the last trade of the spot pair."""
FIELDS: Final = ("open", "high", "low", "close")
QUOTES: Final = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD1", "DAI", "USD")
"""Quotes that stand at the end of a symbol, the preferred one first."""


def base_of(symbol: str) -> str | None:
    """Asset of a venue symbol.

    Parameters
    ----------
    symbol : str
        As in file names: ``"BTCUSDT"``, ``"1000PEPEUSDT"``, ``"BTC-PERP"``.

    Returns
    -------
    str or None
        Base code, None where the quote is not a dollar or a dollar stable coin.

    Examples
    --------
    >>> base_of("1000PEPEUSDT"), base_of("BTC-PERP"), base_of("ETHBTC")
    ('1000PEPE', 'BTC', None)
    """
    for suffix in (*QUOTES, "-PERP"):
        if symbol.endswith(suffix) and len(symbol) > len(suffix):
            return symbol[: -len(suffix)].rstrip("-_/") or None
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Bars of one symbol in the order of their source.

    Parameters
    ----------
    symbol : str
        Venue symbol, for example ``"BTCUSDT"``.
    kind : {"mark", "perp", "spot"}
        What the price is.
    venue : str
        For example ``"binance"``.
    bar_minutes : int
        Length of a bar.
    time : ndarray of int64, shape (n,)
        Open stamps, nanoseconds since the epoch, UTC.
    open, high, low, close : ndarray, shape (n,)
        Prices in quote units. Nothing is repaired: faults are for `check_bars` to report.
    volume : ndarray, shape (n,), or None
        Base units; None where the source has none.

    Examples
    --------
    >>> flat = np.ones(2)
    >>> bars = Bars("BTCUSDT", "mark", "binance", 60, np.array([0, 3_600_000_000_000]), flat, flat, flat, flat)
    >>> len(bars), bars.base
    (2, 'BTC')
    """

    symbol: str
    kind: str
    venue: str
    bar_minutes: int
    time: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError("kind", self.kind, f"one of {', '.join(KINDS)}")
        to_minutes(self.bar_minutes)
        n = len(self.time)
        for name in FIELDS + (("volume",) if self.volume is not None else ()):
            if getattr(self, name).shape != (n,):
                raise InputError(name, getattr(self, name).shape, f"shape ({n},), as the stamps")

    def __len__(self) -> int:
        return len(self.time)

    @property
    def step(self) -> int:
        """Length of a bar in nanoseconds."""
        return self.bar_minutes * MINUTE_NS

    @property
    def base(self) -> str | None:
        """Asset of the symbol, None where its quote is not a dollar."""
        return base_of(self.symbol)

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any], *, symbol: str, kind: str, venue: str, bar: str | int) -> Bars:
        """Bars from columns of numbers.

        Parameters
        ----------
        columns : mapping of str to array_like
            ``timestamp`` (integers in s, ms, us or ns), open, high, low, close and, if there is one, volume.
        symbol, kind, venue : str
            What the bars are.
        bar : str or int
            Length of a bar.

        Returns
        -------
        Bars
            The same rows as float64 and nanoseconds.
        """
        price = {name: np.array(columns[name], np.float64) for name in FIELDS}
        volume = columns.get("volume")
        time = stamps_to_ns(columns["timestamp"], f"{symbol} timestamp")
        return cls(
            symbol, kind, venue, to_minutes(bar), time, **price,
            volume=None if volume is None else np.array(volume, np.float64),
        )  # fmt: skip

    def take(self, rows: Any) -> Bars:
        """Some of the rows, by index, mask or slice."""
        cut = {name: getattr(self, name)[rows] for name in ("time", *FIELDS)}
        return replace(self, **cut, volume=None if self.volume is None else self.volume[rows])

    def tidy(self) -> Bars:
        """The bars in order of time, the last row of every stamp; prices are not touched."""
        steps = np.diff(self.time)
        if np.all(steps > 0):
            return self
        order = np.argsort(self.time, kind="stable")
        time = self.time[order]
        return self.take(order[np.append(np.diff(time) > 0, True)])

    def resample(self, bar: str | int) -> Bars:
        """Longer bars from these; a bar is made only where all its parts are there.

        Parameters
        ----------
        bar : str or int
            A multiple of the present length.

        Returns
        -------
        Bars
            Bars on the grid of the longer length.

        Raises
        ------
        InputError
            If the length is not a multiple of the present one.

        Notes
        -----
        Rows with a stamp off the grid or a price that is not a number make their bar incomplete.
        """
        minutes = to_minutes(bar)
        if minutes % self.bar_minutes:
            raise InputError("bar", bar, f"a multiple of {self.bar_minutes} minutes")
        if minutes == self.bar_minutes:
            return self
        fine = self.tidy()
        fine = fine.take((fine.time % self.step == 0) & np.isfinite(fine.open + fine.high + fine.low + fine.close))
        group = fine.time // (minutes * MINUTE_NS)
        first = np.flatnonzero(np.append(True, np.diff(group) > 0)) if len(group) else np.empty(0, np.int64)
        count = np.diff(np.append(first, len(group)))
        whole = count == minutes // self.bar_minutes
        last = first + count - 1
        return replace(
            fine,
            bar_minutes=minutes,
            time=(group[first] * minutes * MINUTE_NS)[whole],
            open=fine.open[first][whole],
            high=_reduce(np.maximum, fine.high, first)[whole],
            low=_reduce(np.minimum, fine.low, first)[whole],
            close=fine.close[last][whole],
            volume=None if fine.volume is None else _reduce(np.add, fine.volume, first)[whole],
        )


def _reduce(function: np.ufunc, values: FloatArray, first: IntArray) -> FloatArray:
    if not len(first):
        return np.empty(0)
    out: FloatArray = function.reduceat(values, first)
    return out
