"""What ccxt returns, as values: OHLCV lists and unified symbols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from features.sources.bars import FIELDS, Bars
from models.errors import InputError
from models.instrument import parse_symbol

__all__ = ["bars_from_ohlcv", "venue_symbol"]

_COLUMNS = ("timestamp", *FIELDS, "volume")


def venue_symbol(symbol: str) -> str:
    """Name of a unified symbol in the layout.

    Parameters
    ----------
    symbol : str
        ccxt unified symbol, or a venue symbol, which is returned as it is.

    Returns
    -------
    str
        Base and quote together.

    Examples
    --------
    >>> venue_symbol("BTC/USDT:USDT"), venue_symbol("BTCUSDT")
    ('BTCUSDT', 'BTCUSDT')
    """
    if "/" not in symbol:
        return symbol
    parsed = parse_symbol(symbol)
    return parsed.base + parsed.quote


def bars_from_ohlcv(rows: Sequence[Sequence[Any]], *, symbol: str, kind: str, venue: str, bar: str | int) -> Bars:
    """Bars from ccxt's OHLCV lists.

    Parameters
    ----------
    rows : sequence of [timestamp, open, high, low, close, volume]
        As ``fetch_ohlcv`` returns them, stamps in milliseconds. Volumes may be None, as they are of mark prices.
    symbol : str
        Unified or venue symbol.
    kind : {"mark", "perp", "spot"}
        What the price is.
    venue : str
        For example ``"binance"``.
    bar : str or int
        Length of a bar.

    Returns
    -------
    Bars
        The same rows; volume is None where no row has one, a price of None is NaN.

    Raises
    ------
    InputError
        With the row and field that is not a number.

    Examples
    --------
    >>> bars_from_ohlcv([[1735689600000, 1, 2, 0.5, 1.5, None]], symbol="BTC/USDT:USDT", kind="mark",
    ...                 venue="binance", bar="1h").symbol
    'BTCUSDT'
    """
    name = venue_symbol(symbol)
    columns: dict[str, Any] = {}
    for i, field in enumerate(_COLUMNS):
        columns[field] = [_number(row, i, r, name) for r, row in enumerate(rows)]
    if not np.isfinite(columns["volume"]).any():
        del columns["volume"]
    if np.isnan(columns["timestamp"]).any():
        raise InputError(f"{name} ohlcv.timestamp", None, "a whole number of milliseconds in every row")
    columns["timestamp"] = np.array(columns["timestamp"]).astype(np.int64)
    return Bars.from_columns(columns, symbol=name, kind=kind, venue=venue, bar=bar)


def _number(row: Sequence[Any], i: int, r: int, name: str) -> float:
    value = row[i] if i < len(row) else None
    try:
        return float("nan") if value is None else float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name} ohlcv[{r}].{_COLUMNS[i]}", value, "a number") from None
