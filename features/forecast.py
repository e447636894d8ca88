"""From accounts, each at its own instant, to probabilities."""

from __future__ import annotations

import numpy as np

from features.answer import FLAGS, Forecast, copy_rows, empty_forecast, flag_names
from features.moment import moment_at
from models.book import Book
from models.market import MarketPanel
from models.predictor import MarginCallPredictor
from models.predictor.fallback import Fallback
from models.prior import PriorModel

__all__ = ["FLAGS", "Forecast", "flag_names", "forecast"]


def forecast(
    book: Book,
    panel: MarketPanel,
    predictor: MarginCallPredictor | None,
    prior: PriorModel | None = None,
    num_threads: int | None = None,
    explain: bool = False,
    fallback: Fallback | None = None,
) -> Forecast:
    """Predict for accounts, each at its own instant.

    Parameters
    ----------
    book : Book
        n accounts on the assets of the panel.
    panel : MarketPanel
        Bars; for each account only those closed at its ``as_of`` are used.
    predictor : MarginCallPredictor or None
        The model; None lets the prior answer.
    prior : PriorModel, optional
        The physics where there is no predictor; fitted on the panel where None.
    num_threads : int, optional
        Threads of the trees.
    explain : bool
        Whether to take P(call) apart.
    fallback : Fallback, optional
        When the prior answers in place of the model.

    Returns
    -------
    Forecast
        Rows in the order of the book.

    Raises
    ------
    MissingMarketError
        If no bar is closed at some account's instant.
    """
    physics = predictor.prior if predictor is not None else (prior or PriorModel.fit(panel))
    bars = np.minimum(panel.row_closed(book.as_of), panel.n_bars - 1)
    distinct, group = np.unique(bars, return_inverse=True)

    def at(bar: int, part: Book) -> Forecast:
        close = panel.start + (bar + 1) * panel.step
        return moment_at(panel, close, physics, predictor, fallback).outlook(part, num_threads, explain)

    if len(distinct) == 1:
        return at(int(distinct[0]), book)
    out = empty_forecast(len(book), explain and predictor is not None)
    for i, bar in enumerate(distinct.tolist()):
        rows = np.flatnonzero(group == i)
        copy_rows(at(bar, book.take(rows)), rows, out)
    return out
