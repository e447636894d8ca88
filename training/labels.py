"""Labels by replay: did the account breach each level within each horizon, and do we know?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.book import Book
from models.margin.replay import replay
from models.market import MarketPanel
from models.typing import HORIZONS, BoolArray, FloatArray

__all__ = ["LEVELS", "Extremes", "Labels", "label", "outcomes"]

LEVELS = ("call", "liquidation")
Extremes = Literal["synchronous", "adverse", "close"]


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What happened to n accounts at both levels.

    Parameters
    ----------
    minutes : ndarray of float, shape (n, 2)
        Minutes to the first breach of the call level and of the liquidation level; NaN where none was seen.
    y : ndarray of bool, shape (n, 2, 4)
        Whether the breach came within each horizon.
    usable : ndarray of bool, shape (n, 2, 4)
        False where the outcome is censored (the data end before the horizon and nothing was seen before), or where a
        bar is missing inside the window walked.
    call_amount : ndarray of float, shape (n,)
        Account currency at the call; NaN where none.
    gap : ndarray of bool, shape (n,)
        A bar is missing inside the window walked.
    """

    minutes: FloatArray
    y: BoolArray
    usable: BoolArray
    call_amount: FloatArray
    gap: BoolArray


def label(book: Book, panel: MarketPanel, extremes: Extremes = "synchronous", keep_gaps: bool = False) -> Labels:
    """Replay every account over the longest horizon.

    Parameters
    ----------
    book : Book
        n accounts as of their instants.
    panel : MarketPanel
        Bars on which the accounts are walked.
    extremes : {"synchronous", "adverse", "close"}
        How the extremes inside a bar are taken where several assets matter.
    keep_gaps : bool
        Whether rows with a missing bar in their window stay usable.

    Returns
    -------
    Labels
        Outcomes of both levels.
    """
    seen = replay(book, panel, max(HORIZONS), extremes=extremes)
    minutes = np.column_stack([seen.minutes_to_call, seen.minutes_to_liquidation])
    left = np.clip((panel.end - book.as_of) // 60_000_000_000, 0, None).astype(np.float64)
    y, usable = outcomes(minutes, left)
    gap = np.asarray(seen.gap, np.bool_)
    if not keep_gaps:
        usable &= ~gap[:, None, None]
    return Labels(minutes, y, usable, np.asarray(seen.call_amount, np.float64), gap)


def outcomes(minutes: FloatArray, observed_minutes: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Turn times to events into outcomes by horizon, with censoring.

    Parameters
    ----------
    minutes : ndarray of float, shape (n, 2)
        Minutes to the event; NaN where none was seen.
    observed_minutes : ndarray of float, shape (n,)
        How long the account was observed.

    Returns
    -------
    y, usable : ndarray of bool, shape (n, 2, 4)
        Whether the event came within each horizon; and whether that is known: the horizon was observed to its end, or
        the event came before.

    Examples
    --------
    >>> y, usable = outcomes(np.array([[100.0, np.nan]]), np.array([300.0]))
    >>> y[0, 0].tolist(), usable[0, 1].tolist()
    ([False, True, True, True], [True, True, False, False])
    """
    horizon = np.asarray(HORIZONS, np.float64)
    with np.errstate(invalid="ignore"):
        y = minutes[:, :, None] <= horizon
    usable = y | (observed_minutes[:, None, None] >= horizon)
    return np.asarray(y, np.bool_), np.asarray(usable, np.bool_)
