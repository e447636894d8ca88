"""Bars as they come in: what is checked of each before it is stored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from msgspec import Struct

from models.errors import Failure, InputError, MargincastError, UnknownAssetError
from models.typing import MINUTE_NS

__all__ = ["Bar", "BarBatch", "BarReport", "BarRules", "Incoming", "decode_bars"]


class Bar(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One closed bar of one asset, stamped with its open; prices in dollars, volume in base units.

    ``funding_rate`` is what is charged at the open stamp. ``source`` is mark, perp or spot, and must be the kind that
    the market has for the asset; prices of two kinds are never mixed.
    """

    asset: str
    timestamp: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float | None = None
    funding_rate: float = 0.0
    source: str | None = None


class BarBatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several bars in one request."""

    bars: list[Bar]


class BarReport(Struct, frozen=True, kw_only=True):
    """What became of the bars of a request.

    ``accepted`` are new, ``revised`` replace a bar that was different, ``duplicate`` were there already; ``late``
    of the accepted and revised ones are not newer than the market. ``failures`` were not stored.
    """

    accepted: int
    revised: int
    duplicate: int
    late: int
    failures: list[Failure]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A bar that was checked.

    Parameters
    ----------
    row : int
        Its position in the request.
    asset : str
        Base code.
    open_ns : int
        Open stamp, nanoseconds.
    values : tuple of float, length 6
        Open, high, low, close, volume (NaN where it is not known), funding rate.
    """

    row: int
    asset: str
    open_ns: int
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class BarRules:
    """What a bar must be like.

    Parameters
    ----------
    sources : dict of str to str
        Kind of price by asset of the market.
    step : int
        Length of a bar, nanoseconds.
    latest_close : int
        A bar that closes later is from the future, nanoseconds: the present and the allowed skew of clocks.

    Examples
    --------
    >>> rules = BarRules({"BTC": "mark"}, 3600 * 10**9, 10**19)
    >>> good, bad = rules.check([Bar(asset="ETH", timestamp=datetime(2025, 1, 1), open=1, high=1, low=1, close=1)])
    >>> bad[0].message
    "bars[0].asset: expected one of BTC, was 'ETH'"
    """

    sources: dict[str, str]
    step: int
    latest_close: int

    def check(self, bars: Sequence[Bar]) -> tuple[list[Incoming], list[Failure]]:
        """Check every bar.

        Parameters
        ----------
        bars : sequence of Bar
            As they came.

        Returns
        -------
        tuple of (list of Incoming, list of Failure)
            The good ones, and the others by reason.
        """
        good: list[Incoming] = []
        bad: list[Failure] = []
        for row, bar in enumerate(bars):
            try:
                good.append(self._one(row, bar))
            except InputError as error:
                bad.append(Failure.from_error(error.at(f"bars[{row}].{error.field}"), row))
            except MargincastError as error:
                bad.append(Failure.from_error(error, row))
        return good, bad

    def _one(self, row: int, bar: Bar) -> Incoming:
        if bar.asset not in self.sources:
            raise UnknownAssetError("asset", bar.asset, f"one of {', '.join(self.sources)}")
        kind = self.sources[bar.asset]
        if bar.source not in (None, kind) and kind != "simulated":
            raise InputError("source", bar.source, f"{kind!r}, the kind of price that the market has for {bar.asset}")
        return Incoming(row, bar.asset, self._open_ns(bar), _values(bar))

    def _open_ns(self, bar: Bar) -> int:
        if bar.timestamp.tzinfo is None:
            expected = "a time with a zone, for example 2025-03-01T12:00:00Z"
            raise InputError("timestamp", bar.timestamp.isoformat(), expected)
        seconds = int(bar.timestamp.replace(microsecond=0).timestamp())
        open_ns = (seconds * 1_000_000 + bar.timestamp.microsecond) * 1000
        shown = bar.timestamp.isoformat()
        if open_ns % self.step:
            minutes = self.step // MINUTE_NS
            raise InputError("timestamp", shown, f"the open of a bar, a whole multiple of {minutes} minutes")
        if open_ns < 0:
            raise InputError("timestamp", shown, "a time after 1970")
        if open_ns + self.step > self.latest_close:
            raise InputError("timestamp", shown, "a bar that has closed: this one lies in the future of the server")
        return open_ns


def _values(bar: Bar) -> tuple[float, ...]:
    for name in ("open", "high", "low", "close"):
        value = getattr(bar, name)
        if not (math.isfinite(value) and value > 0):
            raise InputError(name, value, "a finite price > 0")
    if bar.high < max(bar.open, bar.close, bar.low):
        raise InputError("high", bar.high, "at least open, low and close")
    if bar.low > min(bar.open, bar.close):
        raise InputError("low", bar.low, "at most open and close")
    if bar.volume is not None and not (math.isfinite(bar.volume) and bar.volume >= 0):
        raise InputError("volume", bar.volume, "a finite number >= 0, or null where it is not known")
    if not (math.isfinite(bar.funding_rate) and abs(bar.funding_rate) <= 1):
        raise InputError("funding_rate", bar.funding_rate, "a rate in [-1, 1]")
    volume = math.nan if bar.volume is None else bar.volume
    return (bar.open, bar.high, bar.low, bar.close, volume, bar.funding_rate)


_batch = msgspec.json.Decoder(BarBatch)
_bar = msgspec.json.Decoder(Bar)


def decode_bars(body: bytes, most: int) -> list[Bar]:
    """Read ``{"bars": [...]}`` or one bar.

    Parameters
    ----------
    body : bytes
        JSON.
    most : int
        Most bars allowed.

    Returns
    -------
    list of Bar
        As they came.

    Raises
    ------
    InputError
        If it is not JSON of that shape, or there are too many.

    Examples
    --------
    >>> decode_bars(b'{"bars": []}', 10)
    []
    """
    try:
        found = _batch.decode(body).bars if b'"bars"' in body else [_bar.decode(body)]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError("bars", _start(body), f'{{"bars": [...]}} ({error})') from None
    if len(found) > most:
        raise InputError("bars", len(found), f"at most {most} in one request")
    return found


def _start(body: bytes) -> str:
    return body[:40].decode(errors="replace")
