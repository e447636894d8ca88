"""The market as one account sees it: what an asset, and one unit of a position, is worth in its own currency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from models.account import Position
from models.instrument import Instrument, is_stable
from models.options.black76 import price
from models.options.surface import implied_vol

__all__ = ["Quotes", "option_premium"]

_YEAR_SECONDS = 365.0 * 86_400.0
_HIGHEST = 10.0


@dataclass(frozen=True, slots=True)
class Quotes:
    """Present prices in dollars and in the currency of an account.

    Parameters
    ----------
    currency : str
        Account currency: a dollar, a dollar stable coin (at par) or a coin.
    dollars : mapping of str to float
        Dollars for one unit of each asset that has a price.
    volatility : mapping of str to float
        30-day implied volatility of each asset that has one, a fraction a year.

    Examples
    --------
    >>> quotes = Quotes("BTC", {"BTC": 80_000.0, "ETH": 2_000.0}, {})
    >>> quotes.own("ETH"), quotes.own("USDT"), quotes.dollar("BTC"), quotes.dollar("PEPE")
    (0.025, 1.25e-05, 80000.0, 0.0)
    """

    currency: str
    dollars: Mapping[str, float]
    volatility: Mapping[str, float]

    def dollar(self, asset: str) -> float:
        """Dollars for one unit of an asset: 1 for stable coins, 0 where there is no price."""
        return 1.0 if is_stable(asset) else self.dollars.get(asset, 0.0)

    def own(self, asset: str) -> float:
        """Account currency for one unit of an asset, 0 where one of the two has no price."""
        unit = self.dollar(self.currency)
        return self.dollar(asset) / unit if unit > 0 else 0.0


def option_premium(position: Position, instrument: Instrument, as_of: datetime, quotes: Quotes) -> float:
    """Mark price of one unit of an option, as the engine values it.

    Parameters
    ----------
    position : Position
        The option; its own implied volatility, where it states one, goes before that of the surface.
    instrument : Instrument
        The same, parsed.
    as_of : datetime
        Instant of the account.
    quotes : Quotes
        Prices and volatilities.

    Returns
    -------
    float
        Dollars; NaN where there is neither a volatility of its own nor one of the market.

    Examples
    --------
    >>> from datetime import UTC
    >>> from models.instrument import parse_symbol
    >>> option = Position(symbol="BTC/USD:BTC-250328-90000-C", quantity=-1.0, entry_price=0.03, implied_volatility=0.6)
    >>> quotes = Quotes("BTC", {"BTC": 84_000.0}, {})
    >>> round(option_premium(option, parse_symbol(option.symbol), datetime(2025, 3, 1, 12, tzinfo=UTC), quotes), 2)
    3138.57
    """
    assert instrument.strike is not None
    assert instrument.expiry is not None
    spot = quotes.dollar(instrument.base)
    years = max((instrument.expiry - as_of).total_seconds() / _YEAR_SECONDS, 0.0)
    vol = position.implied_volatility
    if vol is None:
        level = quotes.volatility.get(instrument.base, 0.0)
        if not (level > 0 and spot > 0):
            return float("nan")
        vol = float(implied_vol(min(level, _HIGHEST), np.log(instrument.strike / spot), years))
    return float(price(spot, instrument.strike, vol, years, instrument.option_type == "call"))
