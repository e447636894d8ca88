"""Does the model say in service what it said when it was judged? The served path sees no bar after the instant."""

from __future__ import annotations

import numpy as np

from features.moment import moment_at
from models.book import Book
from models.market import MarketPanel
from models.typing import IntArray
from training.population import Population
from training.retrain.evidence import Shown

__all__ = ["served_gap"]


def served_gap(shown: Shown, panel: MarketPanel, people: Population, instants: int = 8) -> float:
    """Largest difference between forecasts as they were judged and as they would have been served.

    Parameters
    ----------
    shown : Shown
        The model and the rows judged.
    panel : MarketPanel
        All bars known; the served path gets those closed at each instant, and no later one.
    people : Population
        Accounts of some of the rows.
    instants : int
        Instants to look at, spread over them.

    Returns
    -------
    float
        Largest distance, over the judged rows, to the nearest forecast served at that instant; 0 where no instant of
        the accounts has rows. A feature that knows the future, or is computed otherwise in training than in service,
        shows here.
    """
    data = shown.dataset
    when = np.intersect1d(np.unique(people.accounts["as_of"]), np.unique(data.as_of[data.level == 0]))
    worst = 0.0
    for as_of in _spread(when, instants).tolist():
        rows = (data.as_of == as_of) & (data.level == 0)
        said = shown.predictor.predict(data.x[np.repeat(rows, data.prior.shape[1])], data.prior[rows])
        here = people.take(np.flatnonzero(people.accounts["as_of"] == as_of))
        book, _ = Book.from_columns(here.accounts, here.positions, here.collateral, panel.assets)
        moment = moment_at(panel.between(panel.start, as_of), as_of, shown.predictor.prior, shown.predictor)
        served = moment.p_call(book)
        away = np.abs(said[:, None, :] - served[None, :, :]).max(axis=2).min(axis=1)
        worst = max(worst, float(away.max()))
    return worst


def _spread(values: IntArray, most: int) -> IntArray:
    return values[np.unique(np.linspace(0, len(values) - 1, most).astype(np.int64))] if len(values) else values
