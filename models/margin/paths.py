"""Where accounts that are held still stand at every point of every bar: what replay looks at, kept and not judged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.book import Book
from models.errors import InputError
from models.margin._direct import _known, _paid, _prices, _unit
from models.margin._direct_plan import DirectPlan, Walked, build_plan, own_copies, unknown_units
from models.margin._extremes import Extremes, build_extremes
from models.margin._gridded import forget_grids, room_for
from models.margin._kernel import kernel
from models.margin._settlement import past_expiry, settle
from models.margin._units import Plan, count_factors
from models.margin.portfolio._grid import GridRoom
from models.margin.replay import _count_blocks, _window
from models.market import MarketPanel
from models.typing import FloatArray, IntArray

__all__ = ["POINTS", "MarginPaths", "margin_paths"]

POINTS = 4
"""Points of a bar: open, low, high, close; those of several prices at the same time."""
_SYNCHRONOUS = 1
_HOUR_NS = 3_600_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class MarginPaths:
    """Equity and maintenance of u margin units along b bars; dollars.

    Parameters
    ----------
    equity : ndarray, shape (u, b, 4)
        Equity after the funding paid, less the part of the requirement that is the same at every level; NaN where a
        bar is missing or the data end.
    maintenance : ndarray, shape (u, b, 4)
        Maintenance requirement; a level with factor k is breached where ``equity < k * maintenance``.
    paid : ndarray, shape (u, b)
        Funding paid until the open of each bar, its own stamp included.
    first : ndarray of int, shape (n,)
        Bar of the panel with which the path of each account begins.
    """

    equity: FloatArray
    maintenance: FloatArray
    paid: FloatArray
    first: IntArray


def margin_paths(book: Book, panel: MarketPanel, horizon_minutes: int) -> MarginPaths:
    """Value accounts at the four points of each bar after their instants.

    Parameters
    ----------
    book : Book
        n accounts, each held still from its ``as_of``; with sheets where it has options.
    panel : MarketPanel
        The bars.
    horizon_minutes : int
        Length of the path, at least one bar; whole bars only.

    Returns
    -------
    MarginPaths
        Read as `models.margin.replay.replay` reads them with synchronous extremes: funding at its stamps, expiries
        settled at the open, implied volatility as its level in the market moves. Nothing is interpolated, and the path
        goes on beyond a breach.

    Raises
    ------
    InputError
        If the horizon is shorter than a bar.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> from models.account import Account, Collateral, Position
    >>> start = datetime(2025, 3, 1, tzinfo=timezone.utc)
    >>> account = Account(account_id="a", as_of=start, ruleset="generic-linear", currency="USDT",
    ...     collateral=(Collateral(asset="USDT", quantity=8200.0),),
    ...     positions=(Position(symbol="BTC/USDT:USDT", quantity=1.0, entry_price=84_000.0),))
    >>> price = np.array([[84_000.0, 80_000.0]])
    >>> panel = MarketPanel(("BTC",), 60, int(start.timestamp()) * 10**9, price, price, price, price,
    ...     np.ones((1, 2)), np.zeros((1, 2)), ("simulated",))
    >>> book, _ = Book.from_accounts([account], panel.assets)
    >>> margin_paths(book, panel, 120).equity[0, :, 3].tolist()
    [8200.0, 4200.0]
    """
    if horizon_minutes < panel.bar_minutes:
        raise InputError("horizon_minutes", horizon_minutes, f"at least one bar of {panel.bar_minutes} minutes")
    bars = horizon_minutes // panel.bar_minutes
    start = panel.row_after(book.as_of)
    window, first = _window(panel, start, bars)
    count, asset = np.zeros(book.n_units, np.int32), np.zeros(book.n_units, np.int32)
    used = np.zeros(len(book.assets), np.bool_)
    count_factors(book.arrays, count, asset, used)
    if book.blocks is not None:
        _count_blocks(book.blocks, count, asset, used)
    used[book.arrays.account_numeraire[book.arrays.account_numeraire >= 0]] = True
    tables = build_extremes(window, book.assets, used)
    factor = np.ones((len(book), 1))
    plan = Plan(book.unit_account().astype(np.int32), np.ascontiguousarray(first), bars, _SYNCHRONOUS, factor)
    out, funding = np.full((2, book.n_units, bars, POINTS), np.nan), np.zeros((book.n_units, bars))
    units = np.flatnonzero(~unknown_units(book))
    direct = build_plan(book, panel, window, count > 1, grids=False)
    own, price = own_copies(book), np.full(len(book.assets), np.nan)
    _walk_paths(own, tables, plan, direct, room_for(book), units, price, out, funding)
    return MarginPaths(out[0], out[1], funding, np.asarray(start, np.int64))


@kernel
def _walk_paths(
    w: Walked,
    t: Extremes,
    plan: Plan,
    d: DirectPlan,
    g: GridRoom,
    units: IntArray,
    price: FloatArray,
    out: FloatArray,
    funding: FloatArray,
) -> None:
    for u in units:
        n = plan.account[u]
        first = max(plan.first[n], 0)
        stop = min(plan.first[n] + plan.bars, t.close.shape[1])
        forget_grids(g)
        for bar in range(first, stop):
            paid = _paid(w, t, u, bar, first)
            funding[u, bar - plan.first[n]] = paid
            if not _known(w, t, d, u, bar):
                continue
            opened = d.start + bar * d.step
            settle(w, t, d, u, n, bar, opened)
            paid += w.book.unit_offset[u]
            for point in range(POINTS):
                hours = past_expiry(w, d, u, (opened + (d.step if point == 3 else 0) - d.as_of[n]) / _HOUR_NS)
                _prices(w, t, d, u, n, bar, point, price)
                equity, need, _, _, _ = _unit(w, t, d, g, u, n, bar, stop, hours, price, False)
                out[0, u, bar - plan.first[n], point] = equity - paid
                out[1, u, bar - plan.first[n], point] = need
