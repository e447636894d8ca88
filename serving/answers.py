"""Forecasts as they go over the wire."""

from __future__ import annotations

from features.answer import Forecast, flag_names
from features.moment import Moment
from models.book import Book
from models.margin.levels import STATES
from models.typing import HORIZONS
from serving.explained import described, explanations
from serving.instants import instant
from serving.schemas import AccountPrediction, Row

__all__ = ["account_predictions"]


def account_predictions(moment: Moment, book: Book, seen: Forecast) -> list[AccountPrediction | None]:
    """Put a forecast into words.

    Parameters
    ----------
    moment : Moment
        The market.
    book : Book
        n accounts.
    seen : Forecast
        What is predicted of them.

    Returns
    -------
    list of AccountPrediction or None
        n of them; None where a price is missing.
    """
    states, at = seen.state.tolist(), instant(moment.as_of)
    table = seen.table().tolist()
    ages, bits = seen.age_minutes.tolist(), seen.flags.tolist()
    inputs, flags = described(seen), {b: flag_names(b) for b in set(bits)}
    as_of = book.as_of.tolist()
    times = {ns: instant(ns) for ns in set(as_of)}
    why = explanations(seen.explanation, len(book))
    found: list[AccountPrediction | None] = []
    for i in range(len(book)):
        if states[i] < 0:
            found.append(None)
            continue
        lines = [Row(h, *line) for h, line in zip(HORIZONS, table[i], strict=True)]
        head = (book.account_id[i], times[as_of[i]], at, ages[i], STATES[states[i]], flags[bits[i]])
        found.append(AccountPrediction(*head, lines, *inputs[i], why[i]))
    return found
