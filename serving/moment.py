"""The market at one instant, prepared once, so that a request only pays for its accounts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.build import FEATURE_NAMES, design_matrix
from features.market import market_row
from models.book import Book
from models.errors import MissingMarketError
from models.market import MarketPanel
from models.predictor import MarginCallPredictor, SizeModel, size_inputs
from models.prior import PriorModel, PriorState
from models.typing import FloatArray

__all__ = ["Moment", "Outlook", "moment_at"]


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """What is predicted for a book, shape (n, 4) each; amounts in account currency."""

    p_call: FloatArray
    p_liquidation: FloatArray
    prior: FloatArray
    call_amount_q50: FloatArray
    call_amount_q90: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """Everything about the market that the predictor needs at one instant.

    Parameters
    ----------
    as_of : int
        Close of the bar, nanoseconds.
    assets : tuple of str, length A
        Base codes.
    price : ndarray, shape (A,)
        Last known close; NaN where there is none.
    closed : ndarray of int64, shape (A,)
        Close of the bar that each price is from, nanoseconds.
    features : ndarray, shape (A, F) or None
        Market features; None where only the prior answers.
    prior : PriorModel
        The physics.
    state : PriorState
        Its state.
    predictor : MarginCallPredictor or None
        The full predictor.
    """

    as_of: int
    assets: tuple[str, ...]
    price: FloatArray
    closed: FloatArray
    features: FloatArray | None
    prior: PriorModel
    state: PriorState
    predictor: MarginCallPredictor | None

    def p_call(self, book: Book) -> FloatArray:
        """P(call), shape (n, 4)."""
        return self._levels(book, (book.arrays.account_call_factor,))[0][0]

    def outlook(self, book: Book) -> Outlook:
        """Predict everything."""
        factors = (book.arrays.account_call_factor, np.ones(len(book)))
        (p_call, p_liquidation), prior = self._levels(book, factors)
        size = SizeModel() if self.predictor is None else self.predictor.size
        q50, q90 = size.quantiles(*size_inputs(book, self.price, self.state.sigma))
        return Outlook(p_call, np.minimum(p_liquidation, p_call), prior, q50, q90)

    def _levels(self, book: Book, factors: tuple[FloatArray, ...]) -> tuple[list[FloatArray], FloatArray]:
        """P(breach) of each level, and the prior's of the first; the trees are asked once for all levels."""
        n = len(book)
        prior = np.concatenate([self.prior.probability(book, self.price, self.state, k) for k in factors])
        if self.predictor is None or self.features is None:
            return [prior[i * n : (i + 1) * n] for i in range(len(factors))], prior[:n]
        x = np.empty((4 * n * len(factors), len(FEATURE_NAMES)), np.float32)
        for i, k in enumerate(factors):
            rows = slice(i * n, (i + 1) * n)
            out = x[4 * rows.start : 4 * rows.stop]
            design_matrix(book, self.price, self.features, self.state.sigma, prior[rows], k, out=out)
        p = self.predictor.predict(x, prior)
        return [p[i * n : (i + 1) * n] for i in range(len(factors))], prior[:n]


def moment_at(panel: MarketPanel, as_of: int, prior: PriorModel, predictor: MarginCallPredictor | None) -> Moment:
    """Prepare an instant.

    Parameters
    ----------
    panel : MarketPanel
        Bars.
    as_of : int
        Nanoseconds; bars that close at or before it are used.
    prior : PriorModel
        The physics.
    predictor : MarginCallPredictor or None
        The full predictor.

    Returns
    -------
    Moment
        The market at the close of the last bar.

    Raises
    ------
    MissingMarketError
        If no bar is closed at `as_of`.
    """
    row = min(int(panel.row_closed(as_of)), panel.n_bars - 1)
    if row < 0:
        raise MissingMarketError(f"market: expected a bar closed at {np.datetime64(as_of, 'ns')}, the first is later")
    close = panel.start + (row + 1) * panel.step
    seen = panel.snapshot(close)
    return Moment(
        as_of=close,
        assets=panel.assets,
        price=seen.price,
        closed=close - seen.age_minutes * 60e9,
        features=None if predictor is None else market_row(panel, row),
        prior=prior,
        state=prior.state(panel, close),
        predictor=predictor,
    )
