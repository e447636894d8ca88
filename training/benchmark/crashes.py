"""Does the gain hang on one crash? Each crash left out of the judgement, and judged alone.

A crash is a run of hours at which the mean asset has lost a tenth or more within a day. Its window reaches from three
days before (the longest horizon) to three days after. In a walk forward no model has seen the crashes of its test
period, so a crash judged alone is one that was left out of the training.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from features.sources.times import iso
from models.market import MarketPanel
from models.typing import DAY_NS, FloatArray, IntArray
from training.dataset import Dataset
from training.evaluate.report import scores, skills
from training.evaluate.segments import market_return

__all__ = ["FALL", "find_crashes", "leave_one_out"]

FALL: Final = float(np.log(0.9))
"""Log return of the mean asset over a day that makes a crash."""
_REACH: Final = 3 * DAY_NS


def find_crashes(panel: MarketPanel, start: int, stop: int, fall: float = FALL) -> list[tuple[int, int, float]]:
    """Find the crashes of a period.

    Parameters
    ----------
    panel : MarketPanel
        Bars.
    start, stop : int
        The period, nanoseconds UTC.
    fall : float
        Log return over a day at or below which an hour belongs to a crash, below 0.

    Returns
    -------
    list of (int, int, float)
        First and last such hour of each crash, and its worst day; hours less than a week apart are one crash.
    """
    closes: IntArray = panel.times() + panel.step
    moments = closes[(closes >= start) & (closes <= stop)]
    moved = market_return(panel, moments)
    with np.errstate(invalid="ignore"):
        hit = np.flatnonzero(moved <= fall)
    if not len(hit):
        return []
    groups = np.split(hit, np.flatnonzero(np.diff(moments[hit]) >= 7 * DAY_NS) + 1)
    return [(int(moments[g[0]]), int(moments[g[-1]]), float(moved[g].min())) for g in groups]


def leave_one_out(
    dataset: Dataset, ours: FloatArray, reference: FloatArray, panel: MarketPanel
) -> list[dict[str, Any]]:
    """Judge with each crash left out, and on each alone.

    Parameters
    ----------
    dataset : Dataset
        n pairs of a walk forward; calls alone count.
    ours, reference : ndarray of float, shape (n, 4)
        Predictions, and those to beat.
    panel : MarketPanel
        The market.

    Returns
    -------
    list of dict
        crash (date of its first hour), worst_day (log return), forecasts and calls of its window,
        predicted_over_observed there, skill_on_it and skill_without_it over the reference (pooled, with intervals).
    """
    calls = dataset.level == 0
    out = []
    for first, last, worst in find_crashes(panel, int(dataset.as_of.min()), int(dataset.as_of.max())):
        inside = (dataset.as_of >= first - _REACH) & (dataset.as_of <= last + _REACH)
        if not (inside & calls).any():
            continue
        on = scores(dataset, ours, calls & inside)["pooled"]
        entry = {
            "crash": iso(first)[:10],
            "worst_day": worst,
            "forecasts": on["n"],
            "calls": round(on["n"] * on["base_rate"]),
            "predicted_over_observed": on["predicted_over_observed"],
            "skill_on_it": skills(dataset, ours, reference, calls & inside)["pooled"],
            "skill_without_it": skills(dataset, ours, reference, calls & ~inside)["pooled"],
        }
        out.append(entry)
    return out
