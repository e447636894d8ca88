"""Ranking of rare events by weighted rows, with an interval from drawing whole accounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import numpy as np

from models.typing import BoolArray, FloatArray, IntArray, ObjectArray

BUDGETS: Final = (0.01, 0.05)
Ranking: TypeAlias = dict[str, tuple[float, float, float]]
"""Name of a figure -> value and bounds of its 95% interval."""


class Ranked:
    """Rows of one score in descending order, ties together."""

    def __init__(self, score: FloatArray, hit: BoolArray) -> None:
        _, group = np.unique(-score, return_inverse=True)
        self.group: IntArray = np.asarray(group, np.int64)
        self.hit = hit
        self.groups = int(self.group.max()) + 1 if len(score) else 0

    def sums(self, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Weight of the hits and of the others in each group of equal scores, highest score first."""
        hits = np.bincount(self.group[self.hit], weight[self.hit], self.groups)
        others = np.bincount(self.group[~self.hit], weight[~self.hit], self.groups)
        return np.asarray(hits, np.float64), np.asarray(others, np.float64)

    def auc(self, weight: FloatArray) -> float:
        """Chance that a hit scores above another row, ties counted half; NaN without either."""
        hits, others = self.sums(weight)
        if not hits.sum() or not others.sum():
            return float("nan")
        below = others.sum() - np.cumsum(others)
        return float((hits * (below + 0.5 * others)).sum() / (hits.sum() * others.sum()))

    def recall(self, weight: FloatArray, budget: float) -> float:
        """Share of the hits among the `budget` of rows with the highest scores; a tie at the edge counts in part."""
        hits, others = self.sums(weight)
        if not hits.sum():
            return float("nan")
        size = hits + others
        before = np.cumsum(size) - size
        room = np.clip(budget * size.sum() - before, 0.0, size)
        share = np.divide(room, size, out=np.zeros_like(size), where=size > 0)
        return float((hits * share).sum() / hits.sum())


def rank(
    scores: Mapping[str, FloatArray], hit: BoolArray, users: ObjectArray, draws: int = 1000, seed: int = 0
) -> Ranking:
    """AUC and recall of each score, and the AUC by which the first leads the others.

    Parameters
    ----------
    scores : mapping of str to ndarray, shape (n,)
        Rankings, higher is more at risk.
    hit : ndarray of bool, shape (n,)
        Rows before an event.
    users : ndarray of object, shape (n,)
        Accounts: they are drawn with replacement, each with all of its rows.
    draws, seed : int
        Of the bootstrap; draws without an event are left out.

    Returns
    -------
    dict
        ``"auc <score>"``, ``"recall <budget> <score>"``, ``"auc <first> - <other>"`` -> value, low, high.
    """
    ranked = {name: Ranked(score, hit) for name, score in scores.items()}
    _, account = np.unique(users.astype(str), return_inverse=True)
    count = int(account.max()) + 1 if len(account) else 0
    rng = np.random.default_rng(seed)
    value = _figures(ranked, np.ones(len(hit)))
    drawn: list[dict[str, float]] = []
    for _ in range(draws if hit.any() else 0):
        drawn.append(_figures(ranked, rng.multinomial(count, np.full(count, 1 / count))[account].astype(np.float64)))
    return {name: (v, *_bounds([d[name] for d in drawn])) for name, v in value.items()}


def expected_over_observed(
    p: FloatArray, hit: BoolArray, users: ObjectArray, draws: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """Sum of the probabilities over the number of hits, with a 95% interval from drawing accounts; NaN without hits."""
    _, account = np.unique(users.astype(str), return_inverse=True)
    count = int(account.max()) + 1 if len(account) else 0
    expected, observed = np.bincount(account, p, count), np.bincount(account, hit, count)
    if not observed.sum():
        return float("nan"), float("nan"), float("nan")
    weight = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
    seen = weight @ observed
    low, high = _bounds(((weight @ expected)[seen > 0] / seen[seen > 0]).tolist())
    return float(expected.sum() / observed.sum()), low, high


def _figures(ranked: Mapping[str, Ranked], weight: FloatArray) -> dict[str, float]:
    out = {f"auc {name}": r.auc(weight) for name, r in ranked.items()}
    for budget in BUDGETS:
        out |= {f"recall {budget:.0%} {name}": r.recall(weight, budget) for name, r in ranked.items()}
    first, *others = ranked
    return out | {f"auc {first} - {name}": out[f"auc {first}"] - out[f"auc {name}"] for name in others}


def _bounds(values: list[float]) -> tuple[float, float]:
    known = np.array([v for v in values if np.isfinite(v)])
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, (0.025, 0.975))
    return float(low), float(high)
