"""From an exchange to the layout, through ccxt: bars, funding rates and leverage tiers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from features.sources.bars import KINDS, Bars
from features.sources.ccxt_lists import bars_from_ohlcv, venue_symbol
from features.sources.collect import Progress, merge_bars, summary_row
from features.sources.funding import Funding, write_funding
from features.sources.tables import atomic_path
from features.sources.times import Instant, bar_minutes, bar_name, to_ns
from models.errors import InputError

__all__ = ["fetch_exchange", "open_exchange"]

PAGE: Final = 1000
RESTS: Final = (1.0, 2.0, 4.0)
"""Seconds before the second, third and fourth try of a call that met ccxt's NetworkError."""
_MS: Final = 1_000_000


def fetch_exchange(
    exchange: str | Any,
    symbols: Sequence[str],
    root: str | Path,
    *,
    kind: str = "mark",
    bar: str | int = "1h",
    start: Instant | None = None,
    end: Instant | None = None,
    venue: str | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Bring closed bars, funding rates and leverage tiers of some symbols into the layout.

    Parameters
    ----------
    exchange : str or ccxt.Exchange
        Name of a ccxt exchange, for example ``"binanceusdm"``, or an instance.
    symbols : sequence of str
        ccxt unified symbols.
    root : str or Path
        Folder of the market to add to.
    kind : {"mark", "perp", "spot"}
        Which price.
    bar : str or int
        Length of a bar.
    start, end : int, str, date or datetime, optional
        The period; the last 30 days of the exchange's clock where left out.
    venue : str, optional
        Venue to file under; the exchange's id where left out.
    progress : callable, optional
        Told about each symbol.

    Returns
    -------
    list of dict
        One row for each file written: file, rows, from, to.

    Raises
    ------
    InputError
        If ccxt is not there, the exchange or kind is unknown, or there is no symbol.
    """
    if not symbols:
        raise InputError("symbols", list(symbols), "one or more ccxt unified symbols, for example BTC/USDT:USDT")
    if kind not in KINDS:
        raise InputError("kind", kind, f"one of {', '.join(KINDS)}")
    client = open_exchange(exchange) if isinstance(exchange, str) else exchange
    now = int(client.milliseconds())
    stop = min(now, to_ns(end, "end") // _MS) if end is not None else now
    begin = to_ns(start, "start") // _MS if start is not None else stop - 30 * 86_400_000
    name, rows = venue or str(client.id), []
    paid: list[Funding] = []
    for done, symbol in enumerate(symbols):
        if progress is not None:
            progress(done, len(symbols), symbol)
        rows.append(merge_bars(root, [_bars(client, symbol, kind, bar_minutes(bar), begin, stop, name)]))
        if kind != "spot" and client.has.get("fetchFundingRateHistory"):
            paid.append(_funding(client, symbol, begin, stop))
    if any(len(part) for part in paid):
        whole = Funding.concat(paid)
        path = write_funding(root, name, whole)
        rows.append(summary_row(path.relative_to(root).as_posix(), len(whole), whole.time.min(), whole.time.max()))
    if kind != "spot" and client.has.get("fetchLeverageTiers"):
        rows.append(_tiers(client, symbols, Path(root), name, now))
    return rows


def open_exchange(name: str) -> Any:
    """Make a client of an exchange.

    Parameters
    ----------
    name : str
        Name of a ccxt exchange, for example ``"binanceusdm"``.

    Returns
    -------
    ccxt.Exchange
        It keeps to the exchange's rate limit.

    Raises
    ------
    InputError
        If ccxt is not there, or there is no such exchange.
    """
    try:
        import ccxt
    except ImportError:
        raise InputError("exchange", name, "ccxt, which is not installed: pip install 'margincast[exchange]'") from None
    if name not in ccxt.exchanges:
        raise InputError(
            "exchange", name, "the name of a ccxt exchange, for example binanceusdm, bybit, okx or hyperliquid"
        )
    return getattr(ccxt, name)({"enableRateLimit": True})


def _patiently(call: Callable[..., Any], *arguments: Any) -> Any:
    """The answer of an exchange; a network error is tried again after a rest that doubles."""
    for rest in RESTS:
        try:
            return call(*arguments)
        except Exception as error:
            if not any(kind.__name__ == "NetworkError" for kind in type(error).__mro__):
                raise
            time.sleep(rest)
    return call(*arguments)


def _bars(client: Any, symbol: str, kind: str, minutes: int, begin: int, stop: int, venue: str) -> Bars:
    params, step = ({"price": "mark"} if kind == "mark" else {}), minutes * 60_000
    rows: list[Sequence[Any]] = []
    since = begin
    while since + step <= stop:
        found = _patiently(client.fetch_ohlcv, symbol, bar_name(minutes), since, PAGE, params)
        page = [row for row in found if row[0] >= since]
        rows += page
        since = int(page[-1][0]) + step if page else since + PAGE * step  # nothing: not listed yet, or an outage
    closed = [row for row in rows if row[0] + step <= stop]
    if not closed:
        raise InputError("symbol", symbol, f"closed {kind} bars at {venue} in the period asked for, and there are none")
    return bars_from_ohlcv(closed, symbol=symbol, kind=kind, venue=venue, bar=minutes)


def _funding(client: Any, symbol: str, begin: int, stop: int) -> Funding:
    rows: list[dict[str, Any]] = []
    since = begin
    while since < stop:
        found = _patiently(client.fetch_funding_rate_history, symbol, since, PAGE)
        page = [row for row in found if row["timestamp"] >= since]
        if not page:
            break
        rows += page
        since = int(page[-1]["timestamp"]) + 1
    name = venue_symbol(symbol)
    return Funding.from_history([row for row in rows if row["timestamp"] < stop], name)


def _tiers(client: Any, symbols: Sequence[str], root: Path, venue: str, now: int) -> dict[str, Any]:
    import msgspec

    tiers = _patiently(client.fetch_leverage_tiers, list(symbols))
    day = datetime.fromtimestamp(now / 1000, UTC).date().isoformat()
    path = root / "tiers" / venue / f"{day}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as part:
        part.write_bytes(msgspec.json.format(msgspec.json.encode(tiers), indent=2))
    return summary_row(path.relative_to(root).as_posix(), len(tiers), now * _MS, now * _MS)
