"""The smallest amount that is enough, many searches at once.

Instead of one bisection after the other, every round asks the predictor about a whole grid for every
search in a single call, and then looks closer between the last amount that is not enough and the first that is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.account import Account
from models.rebalance.effects import apply_move
from models.rebalance.evaluate import Evaluation, Evaluator
from models.rebalance.moves import RETURNS, TRADES, Move, round_amount
from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["Enough", "Found", "Search", "search_amounts"]

POINTS = 32
ROUNDS = 3
_SMALLEST_SHARE = 1e-6


@dataclass(frozen=True, slots=True)
class Search:
    """One move of one account, its amount to be found.

    Parameters
    ----------
    owner : int
        Row of the account.
    move : Move
        The action.
    """

    owner: int
    move: Move


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What the searches found.

    Parameters
    ----------
    amount : ndarray, shape (s,)
        Smallest amount that is enough (largest that may come back); NaN where none is.
    best_p : ndarray, shape (s,)
        Lowest P seen at the target's horizon.
    best_amount : ndarray, shape (s,)
        The amount that gave it.
    """

    amount: FloatArray
    best_p: FloatArray
    best_amount: FloatArray


Enough = Callable[[Evaluation, IntArray], BoolArray]
"""Which candidates are good enough, given the row of the account that each belongs to."""


def search_amounts(
    searches: Sequence[Search], accounts: Sequence[Account], evaluate: Evaluator, enough: Enough, column: int
) -> Found:
    """Find the amounts of many moves together.

    Parameters
    ----------
    searches : sequence of Search, length s
        What to look for.
    accounts : sequence of Account
        The accounts, indexed by `Search.owner`.
    evaluate : Evaluator
        Predictor and engine.
    enough : callable
        Judges candidates.
    column : int
        Column of the target's horizon.

    Returns
    -------
    Found
        One amount for each search.
    """
    n = len(searches)
    amount, best_p, best_amount = np.full(n, np.nan), np.full(n, np.inf), np.zeros(n)
    grid = np.stack([_first_grid(s.move) for s in searches]) if n else np.empty((0, POINTS))
    start = np.array([s.move.limit if s.move.kind in RETURNS else 0.0 for s in searches])
    active = np.arange(n)
    for _ in range(ROUNDS):
        good, p = _judge([searches[int(i)] for i in active], grid, accounts, evaluate, enough, column)
        lowest = np.argmin(p, axis=1)
        better = p[np.arange(len(active)), lowest] < best_p[active]
        best_p[active[better]] = p[better, lowest[better]]
        best_amount[active[better]] = grid[better, lowest[better]]
        hit = good.any(axis=1)
        first = np.argmax(good, axis=1)[hit]
        start = np.where(first > 0, grid[hit, first - 1], start[hit])
        amount[active[hit]] = grid[hit, first]
        active = active[hit]
        if not len(active):
            break
        grid = start[:, None] + (amount[active] - start)[:, None] * np.arange(1, POINTS + 1) / POINTS
    return Found(amount, best_p, best_amount)


def _first_grid(move: Move) -> FloatArray:
    if move.kind in RETURNS:
        return move.limit * (1.0 - np.arange(POINTS) / POINTS)
    if move.kind in ("reduce", *TRADES):
        return move.limit * np.arange(1, POINTS + 1) / POINTS
    return move.limit * np.geomspace(_SMALLEST_SHARE, 1.0, POINTS)


def _judged(move: Move, amount: float) -> float:
    """The amount that is evaluated: what is exchanged rounds on both sides, and only a rounded one can be judged."""
    return amount if move.substitute is None else round_amount(amount, move)


def _judge(
    searches: Sequence[Search],
    grid: FloatArray,
    accounts: Sequence[Account],
    evaluate: Evaluator,
    enough: Enough,
    column: int,
) -> tuple[BoolArray, FloatArray]:
    owner = np.repeat(np.array([s.owner for s in searches], np.int64), POINTS)
    candidates = [
        apply_move(accounts[s.owner], s.move, _judged(s.move, float(amount)))
        for s, row in zip(searches, grid, strict=True)
        for amount in row
    ]
    seen = evaluate(candidates, owner)
    p = np.where(np.isnan(seen.p[:, column]), np.inf, seen.p[:, column])
    return enough(seen, owner).reshape(-1, POINTS), p.reshape(-1, POINTS)
