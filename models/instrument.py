"""Instruments, parsed from ccxt unified symbols."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Literal

from models.errors import InputError

__all__ = ["STABLE", "Instrument", "is_stable", "parse_symbol"]

STABLE: Final = frozenset({"USDT", "USDC", "USD", "BUSD", "FDUSD", "DAI", "TUSD", "USD1", "U"})
"""Assets priced at par with the settlement currency (a documented assumption)."""

Kind = Literal["spot", "perpetual", "future", "option"]

_PATTERN: Final = re.compile(
    r"^(?P<base>[A-Z0-9]+)/(?P<quote>[A-Z0-9]+)"
    r"(?::(?P<settle>[A-Z0-9]+)"
    r"(?:-(?P<expiry>\d{6})(?:-(?P<strike>\d+(?:\.\d+)?)-(?P<right>[CP]))?)?)?$"
)
_EXPECTED: Final = (
    "a ccxt unified symbol such as 'BTC/USDT:USDT' (perpetual), 'BTC/USDT:USDT-251226' (future), "
    "'BTC/USD:BTC-251226-100000-C' (option) or 'BTC/USDT' (spot)"
)


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a symbol stands for.

    Parameters
    ----------
    symbol : str
        The ccxt unified symbol.
    base, quote : str
        Asset codes of the pair.
    settle : str
        Asset in which profit and margin are paid (the quote for spot).
    kind : {"spot", "perpetual", "future", "option"}
        The kind of instrument.
    linear : bool
        Settled in the quote asset (``True``) or in the base asset (``False``, coin-margined).
    expiry : datetime or None
        08:00 UTC of the expiry day, the common settlement hour of crypto venues.
    strike : float or None
        Strike in quote units, for options.
    option_type : {"call", "put"} or None
        Right of the option.
    """

    symbol: str
    base: str
    quote: str
    settle: str
    kind: Kind
    linear: bool
    expiry: datetime | None = None
    strike: float | None = None
    option_type: Literal["call", "put"] | None = None


def is_stable(asset: str) -> bool:
    """Say whether an asset is valued at par with the settlement currency.

    Parameters
    ----------
    asset : str
        Asset code.

    Returns
    -------
    bool
        True for the dollar stable coins and the dollar.

    Examples
    --------
    >>> is_stable("USDT"), is_stable("BTC")
    (True, False)
    """
    return asset in STABLE


@lru_cache(maxsize=8192)
def parse_symbol(symbol: str) -> Instrument:
    """Parse a ccxt unified symbol.

    Parameters
    ----------
    symbol : str
        For example ``"BTC/USDT:USDT"``.

    Returns
    -------
    Instrument
        The parts of the symbol.

    Raises
    ------
    InputError
        If the text is not a unified symbol or its expiry is not a date.

    Examples
    --------
    >>> parse_symbol("BTC/USDT:USDT").kind
    'perpetual'
    >>> parse_symbol("BTC/USD:BTC-251226-100000-C").strike
    100000.0
    """
    match = _PATTERN.match(symbol) if isinstance(symbol, str) else None
    if match is None:
        raise InputError("symbol", symbol, _EXPECTED)
    base, quote, settle = match["base"], match["quote"], match["settle"] or match["quote"]
    if settle not in (base, quote):
        raise InputError("symbol", symbol, f"a settlement asset equal to {base} or {quote}")
    expiry = _expiry(symbol, match["expiry"])
    if match["right"] and not float(match["strike"]) > 0:
        raise InputError("symbol", symbol, "an option with a strike above 0")
    if match["right"]:
        right: Literal["call", "put"] = "call" if match["right"] == "C" else "put"
        return Instrument(symbol, base, quote, settle, "option", settle == quote, expiry, float(match["strike"]), right)
    kind: Kind = "spot" if match["settle"] is None else ("perpetual" if expiry is None else "future")
    return Instrument(symbol, base, quote, settle, kind, settle == quote, expiry)


def _expiry(symbol: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%y%m%d").replace(hour=8, tzinfo=UTC)
    except ValueError:
        raise InputError("symbol", symbol, "an expiry of the form YYMMDD that is a date") from None
