"""Ask the predictor at every decision: curves of risk against more and more of each account's lever."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from features.moment import Moment, moment_at
from models.book import Book
from models.margin.blocks import moved_in_time
from models.margin.levels import margin_levels
from models.market import MarketPanel
from models.predictor.predictor import MarginCallPredictor
from models.prior import PriorModel
from models.rebalance.replaying.epochs import Epoch, with_tails
from models.rebalance.replaying.levers import Levers
from models.rebalance.replaying.watch import Watch
from models.typing import HOUR_NS, FloatArray, IntArray

__all__ = ["Asked", "carried", "decisions", "epoch_at"]

_DISTANCES = np.array([0.1, 0.35, 0.7, 1.1, 1.6, 2.2, 3.0, 4.2, 6.0, 8.5, 12.0])
"""Distances to liquidation at which curves are asked for, in deviations of a day."""
_NEAR = 6.0
"""Accounts further away have no curve."""
_DECAY = 0.97
"""Of the covariances of hourly moves in an hour."""
_BUMP = 0.01
_HISTORY_HOURS = 240
_DAY_COLUMN = 2
_RESOLVED = 2.0
"""Paths that must have breached for P to count as known."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What is asked, about whom, of whom.

    Parameters
    ----------
    levers : Levers
        n accounts.
    watch : Watch
        Their bars.
    panel : MarketPanel
        The market; every question is answered from bars closed before it.
    prior : PriorModel
        The physics, fitted before the first decision.
    predictor : MarginCallPredictor or None
        The full predictor, trained before the first decision; the prior answers where None.
    """

    levers: Levers
    watch: Watch
    panel: MarketPanel
    prior: PriorModel
    predictor: MarginCallPredictor | None = None


def decisions(asked: Asked, every_bars: int) -> Iterator[Epoch]:
    """Give the decisions in order.

    Parameters
    ----------
    asked : Asked
        Accounts, market and predictor.
    every_bars : int
        Bars from one decision to the next.

    Yields
    ------
    Epoch
        At each time at which an account is watched.
    """
    first, last = asked.watch.first, asked.watch.first + asked.watch.stay
    for bar in range(int(first.min()), int(last.max()), every_bars):
        rows = np.flatnonzero((first <= bar) & (bar < last))
        if len(rows):
            yield epoch_at(asked, bar, rows)


def epoch_at(asked: Asked, bar: int, rows: IntArray) -> Epoch:
    """Ask about some accounts at the open of a bar.

    Parameters
    ----------
    asked : Asked
        Accounts, market and predictor.
    bar : int
        The bar.
    rows : ndarray of int, shape (m,)
        The accounts.

    Returns
    -------
    Epoch
        Their curves.
    """
    panel, seen = asked.panel, asked.watch
    moment = moment_at(panel, panel.start + bar * panel.step, asked.prior, asked.predictor)
    book = moment.valued(carried(asked, bar, rows))
    slope = _deltas(book, moment.price)
    deviation = np.sqrt(np.maximum(np.einsum("ma,ab,mb->m", slope, _covariance(panel, bar), slope) * 24.0, 0.0))
    scale = _scale(book, moment, slope)
    at = rows, bar - seen.first[rows]
    gap = seen.equity[at] - seen.maintenance[at]
    gain = seen.more_equity[at] - seen.more_maintenance[at]
    able = np.isfinite(gap) & (gain > 0.0) & (scale > 0.0)
    near = np.flatnonzero(able & (gap < _NEAR * scale))
    amount = np.maximum(_DISTANCES * scale[near, None] - gap[near, None], 0.0) / gain[near, None]
    repeated = np.repeat(near, amount.shape[1])
    price = _lever_prices(asked.levers.assets, rows, panel.assets, moment.price)
    p = np.zeros((2, len(near), amount.shape[1], 4))
    if len(near):
        asked_of = asked.levers.at(amount.ravel(), rows[repeated], book.take(repeated))
        found = np.moveaxis(np.nan_to_num(moment.p_levels(asked_of), nan=1.0).reshape(p.shape), -1, 1)
        p = np.moveaxis(with_tails(amount, found, _RESOLVED / len(asked.prior.pool.low)), 1, -1)
    return Epoch(bar, rows, price, deviation, near, amount, p)


def carried(asked: Asked, bar: int, rows: IntArray) -> Book:
    """Give accounts as they are at the open of a bar: funding paid, options nearer to their expiry.

    Parameters
    ----------
    asked : Asked
        Accounts, market and predictor.
    bar : int
        The bar.
    rows : ndarray of int, shape (m,)
        The accounts.

    Returns
    -------
    Book
        m accounts without their levers.
    """
    panel, watch = asked.panel, asked.watch
    book = asked.levers.book.take(rows)
    as_of = np.full(len(rows), panel.start + bar * panel.step, np.int64)
    local = bar - watch.first[rows]
    paid = np.concatenate([watch.paid[i][:, k] for i, k in zip(rows.tolist(), local.tolist(), strict=True)])
    blocks = book.blocks
    if blocks is not None:
        hours = (as_of - book.as_of) / HOUR_NS
        blocks = moved_in_time(blocks, hours[book.unit_account()[blocks.block_unit]])
    arrays = book.arrays._replace(unit_cash=book.arrays.unit_cash - paid)
    return replace(book, as_of=as_of, arrays=arrays, blocks=blocks)


def _distance(book: Book, price: FloatArray) -> FloatArray:
    """Equity less maintenance, dollars, shape (m,)."""
    seen = margin_levels(book, price)
    numeraire = book.arrays.account_numeraire
    return (seen.equity - seen.maintenance) * np.where(numeraire >= 0, price[np.maximum(numeraire, 0)], 1.0)


def _moved(price: FloatArray, a: int, factor: float) -> FloatArray:
    out = price.copy()
    out[a] *= factor
    return out


def _deltas(book: Book, price: FloatArray) -> FloatArray:
    """What a move of one (in logs) of each asset alone does to the distance at the margin, dollars, shape (m, A)."""
    out = np.empty((len(book), len(price)))
    for a in range(len(price)):
        up, down = (_distance(book, _moved(price, a, 1.0 + x)) for x in (_BUMP, -_BUMP))
        out[:, a] = (up - down) / (2.0 * _BUMP)
    return np.nan_to_num(out)


def _scale(book: Book, moment: Moment, slope: FloatArray) -> FloatArray:
    """A deviation of the distance over a day that also sees what is not linear, dollars, shape (m,)."""
    sigma = moment.state.sigma[:, _DAY_COLUMN]
    straight = slope * sigma
    linear = np.einsum("ma,ab,mb->m", straight, moment.state.correlation, straight)
    here, worst = _distance(book, moment.price), np.zeros(len(book))
    for a in range(len(sigma)):
        for factor in (np.exp(2.0 * sigma[a]), np.exp(-2.0 * sigma[a])):
            fall = np.nan_to_num(here - _distance(book, _moved(moment.price, a, float(factor))))
            worst = np.maximum(worst, fall / 2.0)
    return np.sqrt(np.maximum(np.maximum(linear, worst**2), 0.0))


def _covariance(panel: MarketPanel, bar: int) -> FloatArray:
    """Covariance of hourly log moves before a bar, exponentially weighted, shape (A, A)."""
    close = panel.close[:, max(bar - _HISTORY_HOURS, 0) : bar]
    moves = np.nan_to_num(np.diff(np.log(close), axis=1))
    weight = _DECAY ** np.arange(moves.shape[1])[::-1]
    return np.asarray((moves * weight) @ moves.T / max(float(weight.sum()), 1e-300))


def _lever_prices(names: tuple[str, ...], rows: IntArray, assets: tuple[str, ...], price: FloatArray) -> FloatArray:
    known = {a: float(x) for a, x in zip(assets, price, strict=True)}
    return np.array([known.get(names[i], 1.0) for i in rows.tolist()])
