"""Rules against each other: liquidations at equal cost, and cost at equal liquidations, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.errors import InputError
from models.rebalance.replaying.ledger import Outcome
from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One setting of a rule against the curve of the plan.

    Parameters
    ----------
    name : str
        Family of the rule.
    knob : float
        Its setting.
    spent, liquidated : float
        What it spent, dollars, and how many accounts it lost.
    plan_liquidated : float
        Liquidations of the plan at the same cost; NaN where no setting of the plan spends so much.
    fewer, fewer_low, fewer_high : float
        Liquidations that the plan avoids beyond the rule at equal cost, with a 95% interval.
    plan_spent : float
        What the plan spends at as many liquidations; NaN where no setting has so many.
    cheaper, cheaper_low, cheaper_high : float
        Dollars that the plan saves at equal liquidations, with a 95% interval.
    """

    name: str
    knob: float
    spent: float
    liquidated: float
    plan_liquidated: float
    fewer: float
    fewer_low: float
    fewer_high: float
    plan_spent: float
    cheaper: float
    cheaper_low: float
    cheaper_high: float


def compare(
    plan: Sequence[Outcome], others: Sequence[Outcome], block: IntArray, draws: int = 2000, seed: int = 0
) -> list[Comparison]:
    """Compare settings of rules with the curve of the plan.

    Parameters
    ----------
    plan : sequence of Outcome
        The plan at two settings or more.
    others : sequence of Outcome
        Rules, on the same accounts.
    block : ndarray of int, shape (n,)
        Block of each account; whole blocks are drawn, the same for every rule.
    draws : int
        Bootstrap draws.
    seed : int
        Of the draws.

    Returns
    -------
    list of Comparison
        One for each of the others. Between two settings of the plan the curve is linear in cost and liquidations; the
        plan without any help is a point of it. Settings beyond the ends of the curve are not compared (NaN); draws in
        which that happens are left out of the interval.

    Raises
    ------
    InputError
        If there are fewer than two settings of the plan.
    """
    if len(plan) < 2:
        raise InputError("plan", len(plan), "at least two settings")
    weights = _weights(block, draws, seed)
    curve = [(_sums(o.spent, block, weights), _sums(o.liquidated, block, weights)) for o in plan]
    spent, liquidated = (np.stack([c[k] for c in curve]) for k in (0, 1))
    return [_one(o, spent, liquidated, block, weights) for o in others]


def _weights(block: IntArray, draws: int, seed: int) -> FloatArray:
    """How often each block is drawn, shape (draws + 1, blocks); the first row is the data as it is."""
    count = int(block.max()) + 1 if len(block) else 1
    rng = np.random.default_rng(seed)
    return np.concatenate([np.ones((1, count)), rng.multinomial(count, np.full(count, 1.0 / count), draws)])


def _sums(values: FloatArray | BoolArray, block: IntArray, weights: FloatArray) -> FloatArray:
    """Sums over accounts in each draw, shape (draws + 1,)."""
    return np.asarray(weights @ np.bincount(block, values, weights.shape[1]))


def _one(other: Outcome, spent: FloatArray, liquidated: FloatArray, block: IntArray, weights: FloatArray) -> Comparison:
    cost, lost = _sums(other.spent, block, weights), _sums(other.liquidated, block, weights)
    at_cost = np.array([_read(spent[:, d], liquidated[:, d], cost[d]) for d in range(len(cost))])
    at_lost = np.array([_read(-liquidated[:, d], spent[:, d], -lost[d]) for d in range(len(cost))])
    fewer, cheaper = lost - at_cost, at_lost * -1.0 + cost
    return Comparison(
        other.name, other.knob, float(cost[0]), float(lost[0]), float(at_cost[0]), *_interval(fewer),
        float(at_lost[0]), *_interval(cheaper),
    )  # fmt: skip


def _read(x: FloatArray, y: FloatArray, at: float) -> float:
    """Read a curve, sorted and made monotone in x; NaN beyond its ends."""
    order = np.argsort(x, kind="stable")
    if not x[order[0]] <= at <= x[order[-1]]:
        return float("nan")
    return float(np.interp(at, x[order], y[order]))


def _interval(values: FloatArray) -> tuple[float, float, float]:
    drawn = values[1:][np.isfinite(values[1:])]
    if np.isnan(values[0]) or len(drawn) < len(values) // 2:
        return float(values[0]), float("nan"), float("nan")
    return float(values[0]), float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))
