"""Accounts and the market that was known at their instants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from features.sources.times import iso
from models.errors import MissingMarketError
from models.typing import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from margincast.cli.books import Chunk
    from models.book import Book
    from models.market import MarketPanel, MarketSnapshot

__all__ = ["by_close", "flags_of", "priced", "snapshot_prices", "valued_at"]


def by_close(book: Book, panel: MarketPanel) -> Iterator[tuple[int, IntArray]]:
    """Group accounts by the last bar that was closed at their instant.

    Parameters
    ----------
    book : Book
        n accounts.
    panel : MarketPanel
        The market.

    Yields
    ------
    tuple of (int, ndarray of int64)
        Close of the bar in nanoseconds, and the positions of the accounts; those before the first bar are left out.
    """
    row = np.minimum(panel.row_closed(book.as_of), panel.n_bars - 1)
    for value in np.unique(row[row >= 0]).tolist():
        yield panel.start + (value + 1) * panel.step, np.flatnonzero(row == value)


def snapshot_prices(book: Book, panel: MarketPanel) -> tuple[FloatArray, FloatArray]:
    """Prices known to each account, and how old they were.

    Parameters
    ----------
    book : Book
        n accounts.
    panel : MarketPanel
        A assets.

    Returns
    -------
    tuple of ndarray, shape (n, A)
        Prices, NaN where none was known; ages in minutes at the account's own instant.
    """
    prices, ages = np.full((len(book), len(panel.assets)), np.nan), np.full((len(book), len(panel.assets)), np.inf)
    for close, rows in by_close(book, panel):
        seen: MarketSnapshot = panel.snapshot(close)
        prices[rows] = seen.price
        ages[rows] = seen.age_minutes + ((book.as_of[rows] - close) / 60e9)[:, None]
    return prices, ages


def priced(chunk: Chunk) -> tuple[Chunk, FloatArray, FloatArray]:
    """Leave out, as failures, the accounts before the first bar and those for which a price is missing.

    Parameters
    ----------
    chunk : Chunk
        Accounts of a file.

    Returns
    -------
    tuple of (Chunk, ndarray, ndarray)
        The accounts with a price for everything they hold, and `snapshot_prices` of them.
    """
    panel = chunk.panel
    prices, ages = snapshot_prices(chunk.book, panel)
    uses = _uses(chunk.book)
    missing = uses & ~np.isfinite(prices)
    bad = np.asarray(missing.any(axis=1) | (panel.row_closed(chunk.book.as_of) < 0), np.bool_)

    def reason(i: int) -> MissingMarketError:
        lost = ", ".join(np.asarray(panel.assets)[missing[i]]) or "anything"
        when, first, end = iso(int(chunk.book.as_of[i])), iso(panel.start), iso(panel.end)
        return MissingMarketError(
            f"market: expected a price of {lost} at {when}, was none (bars from {first} to {end})"
        )

    return chunk.refuse(bad, reason), prices[~bad], ages[~bad]


def valued_at(book: Book, prices: FloatArray, panel: MarketPanel) -> Book:
    """Give options and scenario margin their sheets at the prices of each account's instant.

    Parameters
    ----------
    book : Book
        n accounts.
    prices : ndarray, shape (n, A)
        Of `snapshot_prices`.
    panel : MarketPanel
        The market, with 30 days before the instants where no volatility index is there.

    Returns
    -------
    Book
        Itself where it has no blocks.
    """
    if book.blocks is None:
        return book
    from models.margin.dynamic.block import dynamic_assets, rate_at
    from models.margin.valuation import Volatility, implied_level, valued
    from models.volatility.month import month_volatility

    used = dynamic_assets(book.blocks, len(book.assets))
    level, rate = np.full(prices.shape, np.nan), np.full(prices.shape, np.nan)
    for close, rows in by_close(book, panel):
        bar = np.asarray(panel.row_closed(close)).reshape(1)
        level[rows] = implied_level(panel.snapshot(close).implied, month_volatility(panel, bar)[0])[0]
        if used.any():
            rate[rows] = rate_at(panel, close, used)
    return valued(book, prices, Volatility(level, margin_rate=rate), np.arange(len(book)))


def flags_of(book: Book, ages: FloatArray, bar_minutes: int) -> list[str]:
    """What a reader must know about each account's answer.

    Parameters
    ----------
    book : Book
        n accounts.
    ages : ndarray, shape (n, A)
        Minutes since the close of the bar that each price is from.
    bar_minutes : int
        Length of a bar.

    Returns
    -------
    list of str
        ``no_positions``, ``stale_market`` (a price older than the ruleset's limit), ``gap`` (the newest bar of an asset
        is missing), joined by semicolons.
    """
    uses = _uses(book)
    oldest = np.where(uses, ages, 0.0).max(axis=1, initial=0.0)
    newest = ages.min(axis=1, initial=np.inf)
    empty = ~book.holds_positions()
    gap = (oldest - newest >= bar_minutes) & uses.any(axis=1)
    columns: tuple[tuple[str, BoolArray], ...] = (
        ("no_positions", empty),
        ("stale_market", oldest > book.stale_after_minutes),
        ("gap", gap),
    )
    if not any(column.any() for _, column in columns):
        return [""] * len(book)
    rows = zip(*(column.tolist() for _, column in columns), strict=True)
    return [";".join(name for (name, _), held in zip(columns, row, strict=True) if held) for row in rows]


def _uses(book: Book) -> BoolArray:
    """Which assets each account depends on, shape (n, A)."""
    uses = np.zeros((len(book), len(book.assets)), np.bool_)
    b, unit = book.arrays, book.unit_account()
    uses[unit[book.unit_of_leg()], b.leg_asset] = True
    held = np.flatnonzero(b.coll_asset >= 0)
    uses[unit[book.unit_of_collateral()[held]], b.coll_asset[held]] = True
    if book.blocks is not None:
        uses[unit[book.blocks.block_unit], book.blocks.block_asset] = True
    return uses
