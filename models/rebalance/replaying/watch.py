"""What each account asks of its lever bar by bar: how much of it keeps the account above its levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.book import Book
from models.margin.paths import MarginPaths, margin_paths
from models.market import MarketPanel
from models.rebalance.replaying.levers import Levers
from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["CALL", "LIQUIDATION", "Watch", "join_watches", "watch"]

CALL, LIQUIDATION = 0, 1
"""Rows of what is kept for both levels."""
_COLUMNS = ("first", "stay", "factor", "equity", "maintenance", "more_equity", "more_maintenance")
_STEP = 1e-2
"""Part of the largest amount of a lever at which its effect is measured."""


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """n accounts along b bars from their own first bar; amounts in units of the lever of each, money in dollars.

    Parameters
    ----------
    first : ndarray of int, shape (n,)
        Bar of the panel with which the account begins.
    stay : ndarray of int, shape (n,)
        Bars for which it is watched.
    needed : ndarray, shape (2, n, b)
        Least amount of the lever that keeps the account above the level through the bar; -inf where none is needed or
        nothing is known, inf where the lever does not help.
    factor : ndarray, shape (n,)
        Call requirement over maintenance.
    equity, maintenance : ndarray, shape (n, b)
        Of the unit of the lever, without it, at the open of the bar; NaN where the bar is missing.
    more_equity, more_maintenance : ndarray, shape (n, b)
        What one unit of the lever adds to them.
    paid : tuple of ndarray
        Funding paid until the open of each bar by every margin unit of each account, shape (units, b).
    """

    first: IntArray
    stay: IntArray
    needed: FloatArray
    factor: FloatArray
    equity: FloatArray
    maintenance: FloatArray
    more_equity: FloatArray
    more_maintenance: FloatArray
    paid: tuple[FloatArray, ...]

    def __len__(self) -> int:
        return len(self.first)

    def part(self, rows: IntArray) -> Watch:
        """Some of the accounts.

        Parameters
        ----------
        rows : ndarray of int, shape (m,)
            Which.

        Returns
        -------
        Watch
            Of these.
        """
        columns = {name: getattr(self, name)[rows] for name in _COLUMNS}
        return Watch(needed=self.needed[:, rows], paid=tuple(self.paid[i] for i in rows.tolist()), **columns)


def watch(levers: Levers, valued: Book, panel: MarketPanel, stay_minutes: int) -> Watch:
    """Walk accounts with and without their lever.

    Parameters
    ----------
    levers : Levers
        n accounts.
    valued : Book
        Their book at their instants, with sheets.
    panel : MarketPanel
        The bars.
    stay_minutes : int
        How long each is watched; it ends earlier with the first contract that expires.

    Returns
    -------
    Watch
        The effect of the lever is taken as linear in its amount: exact for money, coins and debts, nearly so across the
        steps of tiered haircuts.
    """
    rows, amount = np.arange(len(valued)), np.array([_STEP * m.limit for m in levers.moves])
    bare = margin_paths(valued, panel, stay_minutes)
    helped = margin_paths(levers.at(amount, rows, valued), panel, stay_minutes)
    factor = np.asarray(valued.arrays.account_call_factor, np.float64)
    needed = np.stack([_needed(valued, levers.unit, bare, helped, amount, k) for k in (factor, np.ones(len(valued)))])
    unit, size = levers.unit, amount[:, None]
    equity, maintenance = bare.equity[unit, :, 0], bare.maintenance[unit, :, 0]
    more_equity = (helped.equity[unit, :, 0] - equity) / size
    more_maintenance = (helped.maintenance[unit, :, 0] - maintenance) / size
    units = np.split(bare.paid, valued.arrays.account_unit[1:-1])
    stay = np.minimum(_until_expiry(valued, panel), bare.equity.shape[1])
    stay = np.minimum(stay, np.maximum(panel.n_bars - bare.first, 0))
    return Watch(
        bare.first, stay, needed, factor, equity, maintenance, more_equity, more_maintenance, tuple(units)
    )  # fmt: skip


def _needed(
    book: Book, unit: IntArray, bare: MarginPaths, helped: MarginPaths, amount: FloatArray, factor: FloatArray
) -> FloatArray:
    """Least amount of the lever through each bar, shape (n, b)."""
    k = factor[:, None, None]
    gap = bare.equity[unit] - k * bare.maintenance[unit]
    slope = ((helped.equity[unit] - k * helped.maintenance[unit]) - gap) / amount[:, None, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        point = np.where(slope > 0.0, -gap / slope, np.where(gap < 0.0, np.inf, -np.inf))
    point[np.isnan(gap)] = -np.inf
    out = np.asarray(point.max(axis=2), np.float64)
    out[_others_breach(book, unit, bare, factor)] = np.inf
    return out


def _others_breach(book: Book, unit: IntArray, bare: MarginPaths, factor: FloatArray) -> BoolArray:
    """Where a unit that the lever does not reach breaches the level, shape (n, b)."""
    owner = book.unit_account()
    below = bare.equity < factor[owner][:, None, None] * bare.maintenance
    breach: BoolArray = np.asarray(below.any(axis=2), np.bool_)
    breach[unit] = False
    count = np.zeros((len(book), breach.shape[1]), np.int64)
    np.add.at(count, owner, breach)
    return np.asarray(count > 0)


def _until_expiry(book: Book, panel: MarketPanel) -> IntArray:
    """Whole bars from the instant of each account to the first expiry among its contracts, shape (n,)."""
    out = np.full(len(book), np.iinfo(np.int64).max // 2)
    a, units = book.arrays, book.unit_account()
    np.minimum.at(out, units[book.unit_of_leg()], (a.leg_expiry - book.as_of[units[book.unit_of_leg()]]) // panel.step)
    if book.blocks is not None:
        b = book.blocks
        owner = np.repeat(units[b.block_unit], np.diff(b.block_expiry))
        hours = np.where(b.expiry_years > 0.0, b.expiry_years * 8760.0, np.inf)
        bars = np.minimum(hours * 3.6e12 / panel.step + 1e-6, 1e15).astype(np.int64)
        np.minimum.at(out, owner, bars)
    return out


def join_watches(parts: list[Watch]) -> Watch:
    """Put watches of the same number of bars one after the other.

    Parameters
    ----------
    parts : list of Watch
        At least one.

    Returns
    -------
    Watch
        All accounts.
    """
    if len(parts) == 1:
        return parts[0]
    both = {name: np.concatenate([getattr(p, name) for p in parts]) for name in _COLUMNS}
    needed = np.concatenate([p.needed for p in parts], axis=1)
    return Watch(needed=needed, paid=tuple(x for p in parts for x in p.paid), **both)
