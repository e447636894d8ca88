"""Accounts in, probabilities and exact levels out: the two judges of every candidate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.account import Account, Position
from models.book import Book, BookArrays
from models.book_small import BookMaker
from models.errors import Failure, MargincastError
from models.margin.levels import STATES, margin_levels
from models.margin.valuation import Volatility, valued
from models.rebalance.plan import Levels
from models.typing import HORIZONS, BoolArray, FloatArray, IntArray

__all__ = ["Evaluation", "Evaluator", "Predict"]

_SHEETS = tuple(name for name in BookArrays._fields if name.startswith(("unit_sheet", "sheet_")))

_FEW = 64

Predict = Callable[[Book], FloatArray]
"""P(call) of a book at the four horizons, shape (n, 4)."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Accounts as the predictor and the engine see them.

    Parameters
    ----------
    p : ndarray, shape (m, 4)
        P(call) at the four horizons, 1 in a call; NaN for an account that could not be computed.
    level : ndarray, shape (m, 6)
        Equity, maintenance, call, initial, release and call amount, account currency.
    gap : ndarray, shape (m,)
        Equity minus call requirement, the worst margin unit.
    state : ndarray of int, shape (m,)
        Index into `models.margin.levels.STATES`; -1 for an account that could not be computed.
    failures : tuple of Failure
        The accounts that could not be computed, and why.
    """

    p: FloatArray
    level: FloatArray
    gap: FloatArray
    state: IntArray
    failures: tuple[Failure, ...]

    @property
    def good(self) -> BoolArray:
        """Which accounts could be computed, shape (m,)."""
        return self.state >= 0

    def levels(self, row: int) -> Levels:
        """Levels of one account as a value."""
        equity, maintenance, call, initial, release, amount = (float(x) for x in self.level[row])
        return Levels(equity, maintenance, call, initial, release, amount, STATES[int(self.state[row])])

    def probabilities(self, row: int) -> tuple[float, ...]:
        """P(call) of one account as a value."""
        return tuple(float(x) for x in self.p[row])


@dataclass(frozen=True, slots=True, eq=False)
class Evaluator:
    """The full predictor and the exact engine at fixed prices.

    Parameters
    ----------
    assets : tuple of str, length A
        Assets of the prices.
    prices : ndarray, shape (n, A)
        Present prices for each of the n accounts.
    predict : callable
        Book to P(call), shape (m, 4). A book of options or scenario margin has its sheets.
    volatility : Volatility or None
        Implied volatility, and the rates of dynamic margin, of shape (n, A); None where options state their own.
    certain_from : int
        State (index into `models.margin.levels.STATES`) from which P is 1: that of a call unless `predict` answers for
        another level.
    maker : BookMaker or None
        Makes the books of a few candidates, quicker than columns do; the same numbers come of both.
    """

    assets: tuple[str, ...]
    prices: FloatArray
    predict: Predict
    volatility: Volatility | None = None
    certain_from: int = STATES.index("call")
    maker: BookMaker | None = None

    def __call__(self, accounts: Sequence[Account], owner: IntArray) -> Evaluation:
        """Evaluate candidates, all in one call of the predictor.

        Parameters
        ----------
        accounts : sequence of Account, length m
            The candidates.
        owner : ndarray of int, shape (m,)
            Row of `prices` for each of them.

        Returns
        -------
        Evaluation
            In the order of `accounts`.
        """
        m = len(accounts)
        book, failures = self.book(accounts)
        rows = np.setdiff1d(np.arange(m), np.array([f.row for f in failures], np.int64))
        p, level = np.full((m, len(HORIZONS)), np.nan), np.full((m, 6), np.nan)
        gap, state = np.full(m, np.nan), np.full(m, -1, np.int64)
        if len(rows):
            book = self.valued_at(book, [accounts[int(i)] for i in rows], owner[rows])
            exact = margin_levels(book, np.ascontiguousarray(self.prices[owner[rows]]))
            columns = (exact.equity, exact.maintenance, exact.call, exact.initial, exact.release, exact.call_amount)
            level[rows] = np.column_stack(columns)
            known = np.all(np.isfinite(level[rows]), axis=1)  # NaN without the volatility or rate that is needed
            gap[rows], state[rows] = exact.gap_call, np.where(known, exact.state, -1)
            p[rows] = self._probability(book, state[rows])
        return Evaluation(p, level, gap, state, tuple(failures))

    def book(self, accounts: Sequence[Account]) -> tuple[Book, list[Failure]]:
        """Give accounts as a book without sheets, and those that cannot be one."""
        if self.maker is not None and len(accounts) <= _FEW:
            try:
                return self.maker(accounts), []
            except MargincastError:
                pass  # one of them is wrong: the columns tell which
        return Book.from_accounts(accounts, self.assets)

    def valued_at(self, book: Book, accounts: Sequence[Account], owner: IntArray) -> Book:
        """Give a book its sheets, each account at the prices and volatilities of its owner.

        Parameters
        ----------
        book : Book
            m accounts.
        accounts : sequence of Account, length m
            The same as values: candidates that differ in collateral only share their sheets.
        owner : ndarray of int, shape (m,)
            Row of `prices` for each of them.

        Returns
        -------
        Book
            Itself where it needs no sheets.
        """
        if book.blocks is None:
            return book
        unknown = np.full(self.prices.shape, np.nan)
        market = self.volatility or Volatility(unknown)
        if market.margin_rate is None:
            market = replace(market, margin_rate=unknown)
        place: dict[tuple[int, tuple[Position, ...]], int] = {}
        pairs = zip(owner.tolist(), accounts, strict=True)
        group = np.array([place.setdefault((i, account.positions), len(place)) for i, account in pairs], np.int64)
        first = np.unique(group, return_index=True)[1]
        full = valued(book.take(first), self.prices, market, owner[first]).take(group)
        sheets = {name: getattr(full.arrays, name) for name in _SHEETS}
        return replace(book, arrays=book.arrays._replace(**sheets), blocks=full.blocks)

    def _probability(self, book: Book, state: IntArray) -> FloatArray:
        """P: 1 where it has come about, the predictor's elsewhere, NaN for an account that could not be computed."""
        p = np.full((len(book), len(HORIZONS)), np.nan)
        p[state >= self.certain_from] = 1.0
        safe = np.flatnonzero((state >= 0) & (state < self.certain_from))
        if len(safe):
            p[safe] = self.predict(book if len(safe) == len(book) else book.take(safe))
        return p
