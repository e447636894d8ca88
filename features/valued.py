"""Options and scenario margin valued at one instant of a market, without a prior or a model."""

from __future__ import annotations

import numpy as np

from models.book import Book
from models.margin.dynamic.block import dynamic_assets, rate_at
from models.margin.valuation import Volatility, implied_level, valued
from models.market import MarketPanel
from models.volatility.month import month_volatility

__all__ = ["valued_at"]


def valued_at(book: Book, panel: MarketPanel, close_ns: int) -> Book:
    """Give a book with options or scenario margin its sheets, as `features.moment.Moment.valued` does.

    Parameters
    ----------
    book : Book
        n accounts on the assets of the panel.
    panel : MarketPanel
        Bars, with 30 days before the instant where no volatility index is there.
    close_ns : int
        Close of a bar of the panel, nanoseconds.

    Returns
    -------
    Book
        Itself where it has no blocks.

    Notes
    -----
    A replay begins with a valued book: options that state no volatility take theirs from this instant on.
    """
    if book.blocks is None:
        return book
    seen, row = panel.snapshot(close_ns), np.asarray(panel.row_closed(close_ns)).reshape(1)
    implied, _ = implied_level(seen.implied, month_volatility(panel, row)[0])
    used = dynamic_assets(book.blocks, len(book.assets))
    rate = rate_at(panel, close_ns, used) if used.any() else None
    return valued(book, seen.price, Volatility(implied, margin_rate=rate))
