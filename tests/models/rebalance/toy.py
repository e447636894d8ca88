"""A toy predictor: first passage of a normal walk of the worst unit's gap, monotone in cash and in size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtr

from models.book import Book
from models.margin.levels import margin_levels
from models.typing import FloatArray

ASSETS = ("BTC", "ETH", "SOL")
PRICES = np.array([50_000.0, 3_000.0, 150.0])
SIGMA = np.array([0.006, 0.012, 0.03, 0.052])
CORRELATION = 0.8


def toy_predict(price: FloatArray = PRICES) -> Callable[[Book], FloatArray]:
    """Return P(call) at the four horizons from the gap over the deviation of each account's profit."""

    def predict(book: Book) -> FloatArray:
        b = book.arrays
        worst = np.zeros((len(book), 4))
        for unit, account in enumerate(book.unit_account()):
            part = _unit_probability(book, unit, price)
            worst[account] = np.maximum(worst[account], part)
        assert b.unit_leg[-1] == len(b.leg_quantity)
        return worst

    return predict


def _unit_probability(book: Book, unit: int, price: FloatArray) -> FloatArray:
    b = book.arrays
    legs = slice(b.unit_leg[unit], b.unit_leg[unit + 1])
    if legs.start == legs.stop:
        return np.zeros(4)
    net = np.zeros(len(ASSETS))
    np.add.at(net, b.leg_asset[legs], (b.leg_quantity * price[b.leg_asset])[legs])
    risk = np.sqrt((1 - CORRELATION) * np.sum(net**2) + CORRELATION * np.sum(net) ** 2)
    account = int(np.searchsorted(b.account_unit, unit, side="right")) - 1
    alone = b._replace(
        account_unit=np.array([0, 1], np.int32),
        account_call_factor=b.account_call_factor[account : account + 1],
        account_release_factor=b.account_release_factor[account : account + 1],
        unit_cash=b.unit_cash[unit : unit + 1],
        unit_leg=b.unit_leg[unit : unit + 2],
        unit_coll=b.unit_coll[unit : unit + 2],
    )
    one = Book(
        book.account_id[account : account + 1],
        book.as_of[account : account + 1],
        book.ruleset[account : account + 1],
        book.assets,
        alone,
        book.leg_symbol,
        book.coll_name,
        book.stale_after_minutes[account : account + 1],
    )
    gap = float(margin_levels(one, price).gap_call[0])
    if gap <= 0:
        return np.ones(4)
    return np.minimum(2 * ndtr(-gap / np.maximum(risk * SIGMA, 1e-12)), 1.0)
