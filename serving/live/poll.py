"""Bars from an exchange that is asked every so often, in the words of ccxt."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from features.sources.times import bar_name
from models.errors import InputError
from models.instrument import parse_symbol
from models.typing import MINUTE_NS
from serving.live.bars import Bar, BarReport

__all__ = ["Poller", "TakesBars"]

_log = logging.getLogger("margincast.serving.live")
_MS: Final = 1_000_000
_PAGE: Final = 1000


class TakesBars(Protocol):
    """Where bars go."""

    def ingest(self, bars: Sequence[Bar], source: str) -> BarReport:
        """Take bars; what is counted is kept."""


class Poller:
    """Asks an exchange for the bars that closed since.

    Parameters
    ----------
    client : ccxt.Exchange
        The exchange, or what answers as ccxt does.
    symbols : sequence of str
        Unified symbols, one for each asset.
    live : TakesBars
        Where the bars go.

    Raises
    ------
    InputError
        If there is no symbol, or two of one asset.
    """

    def __init__(self, client: Any, symbols: Sequence[str], live: TakesBars) -> None:
        self._client = client
        self._live = live
        self._symbols = {parse_symbol(symbol).base: symbol for symbol in symbols}
        if not symbols or len(self._symbols) != len(symbols):
            raise InputError("poll_symbols", list(symbols), "ccxt unified symbols, one for each asset")

    def poll(self, newest_ns: dict[str, int], sources: dict[str, str], step: int, now_ns: int) -> int:
        """Ask once for every asset.

        Parameters
        ----------
        newest_ns : dict of str to int
            Close of the newest bar of each asset of the market.
        sources : dict of str to str
            Kind of price of each asset.
        step : int
            Length of a bar, nanoseconds.
        now_ns : int
            The present; what has not closed by then is left out.

        Returns
        -------
        int
            How many bars were new. An asset whose exchange fails is logged and asked again the next time.
        """
        found: list[Bar] = []
        for asset, symbol in self._symbols.items():
            if asset not in newest_ns:
                continue
            try:
                found += self._bars(asset, symbol, sources[asset], newest_ns[asset], step, now_ns)
            except Exception as error:  # ccxt raises its own tree, which may not be installed where this is tested
                _log.warning("no bars of %s, asked again: %s: %s", symbol, type(error).__name__, error)
        if not found:
            return 0
        report = self._live.ingest(found, "poll")
        for failure in report.failures:
            _log.warning("a bar is refused: %s", failure.message)
        return report.accepted + report.revised

    def _bars(self, asset: str, symbol: str, kind: str, since_ns: int, step: int, now_ns: int) -> list[Bar]:
        params = {"price": "mark"} if kind == "mark" else {}
        since, minutes = since_ns // _MS, step // MINUTE_NS
        rows = self._client.fetch_ohlcv(symbol, bar_name(minutes), since, _PAGE, params)
        closed = [row for row in rows if row[0] >= since and row[0] * _MS + step <= now_ns]
        rates = self._rates(symbol, kind, since, step) if closed else {}
        return [
            Bar(
                asset=asset,
                timestamp=datetime.fromtimestamp(row[0] / 1000, UTC),
                open=float(row[1]),
                high=float(row[2]),
                low=float(row[3]),
                close=float(row[4]),
                volume=None if row[5] is None else float(row[5]),
                funding_rate=rates.get(row[0] * _MS // step, 0.0),
            )
            for row in closed
        ]

    def _rates(self, symbol: str, kind: str, since: int, step: int) -> dict[int, float]:
        """Funding rates by the bar that holds their stamp, counted from the epoch; several on one bar are added."""
        if kind == "spot" or not self._client.has.get("fetchFundingRateHistory"):
            return {}
        out: dict[int, float] = {}
        for row in self._client.fetch_funding_rate_history(symbol, since, _PAGE):
            index = row["timestamp"] * _MS // step
            out[index] = out.get(index, 0.0) + float(row["fundingRate"])
        return out
