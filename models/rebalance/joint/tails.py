"""The loss of a whole desk on paths that all its accounts share: its mean, its tail, and what the tail weighs.

CVaR of a sum is the largest mean of the sum under weights of the paths that are at most ``1 / (tail * paths)``. For
given weights the loss is a sum over accounts again. So the tail is minimised by cuts: plan, weigh the paths by the tail
of that plan, and plan again against all weights so far; the dual prices of the cuts mix them into weights with which
the mean of the losses is, at the optimum, the CVaR. It is the linear programme of Rockafellar and Uryasev by its dual.

References
----------
R. T. Rockafellar, S. Uryasev, "Optimization of conditional value-at-risk", Journal of Risk 2 (2000). A. Kuenzi-Bay,
J. Mayer, "Computational aspects of minimizing conditional value-at-risk", Computational Management Science 3 (2006).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, hstack, vstack

from models.account import Account
from models.book import Book
from models.margin.levels import STATES, margin_levels
from models.rebalance.evaluate import Evaluator
from models.rebalance.joint.problem import DeskProblem
from models.rebalance.joint.program import build_program
from models.rebalance.joint.worth import hull
from models.rebalance.limits import RiskLimits
from models.rebalance.target import Target
from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["TAILS", "Scenarios", "Tail", "joint_tail", "path_losses", "tail_mean", "tail_weights"]

Scenarios = Callable[[Book, int], BoolArray]
"""Calls and liquidations of a book by a horizon (column) on common paths, shape (n, 2, S)."""

TAILS = {"expected": 1.0, "cvar90": 0.1, "cvar95": 0.05}
"""Share of the worst paths that each measure is the mean of."""
_CUTS = 20
_CLOSE = 1e-3
_CALL, _LIQUIDATION = STATES.index("call"), len(STATES) - 1


def path_losses(
    accounts: Sequence[Account],
    rows: IntArray,
    dollar: FloatArray,
    evaluate: Evaluator,
    scenarios: Scenarios,
    target: Target,
    limits: RiskLimits,
) -> FloatArray:
    """What calls and liquidations of accounts cost on each path by the horizon of the target.

    Parameters
    ----------
    accounts : sequence of Account, length m
        The accounts.
    rows : ndarray of int, shape (m,)
        Their rows in the evaluator.
    dollar : ndarray, shape (m,)
        Dollars for one unit of the currency of each.
    evaluate : Evaluator
        The engine and its prices.
    scenarios : callable
        The paths.
    target : Target
        Its horizon.
    limits : RiskLimits
        Cost of a call and of a liquidation.

    Returns
    -------
    ndarray, shape (m, S)
        Dollars; 0 for accounts that cannot be valued.
    """
    book, failures = evaluate.book(accounts)
    good = np.setdiff1d(np.arange(len(accounts)), np.array([f.row for f in failures], np.int64))
    book = evaluate.valued_at(book, [accounts[i] for i in good.tolist()], rows[good])
    levels = margin_levels(book, np.ascontiguousarray(evaluate.prices[rows[good]]))
    hit = scenarios(book, target.column)
    call = limits.call_cost + limits.call_cost_rate * levels.call
    worst = call + limits.liquidation_cost + limits.liquidation_cost_rate * levels.maintenance
    liquidated = hit[:, 1] | (levels.state == _LIQUIDATION)[:, None]
    called = hit[:, 0] | (levels.state >= _CALL)[:, None]
    loss = np.where(liquidated, worst[:, None], np.where(called, call[:, None], 0.0)) * dollar[good][:, None]
    out = np.zeros((len(accounts), hit.shape[2]))
    out[good] = np.where((levels.state >= 0)[:, None], np.nan_to_num(loss), 0.0)
    return out


def tail_weights(loss: FloatArray, tail: float) -> FloatArray:
    """Weights of paths under which the mean of a loss is its CVaR.

    Parameters
    ----------
    loss : ndarray, shape (S,)
        Loss on each path.
    tail : float
        Share of the worst paths, in (0, 1].

    Returns
    -------
    ndarray, shape (S,)
        They add up to 1, and none is above ``1 / (tail * S)``.

    Examples
    --------
    >>> tail_weights(np.array([1.0, 5.0, 2.0, 4.0]), 0.375).round(3).tolist()
    [0.0, 0.667, 0.0, 0.333]
    """
    most = 1.0 / (tail * len(loss))
    order = np.argsort(-loss, kind="stable")
    out = np.zeros(len(loss))
    out[order] = np.clip(1.0 - most * np.arange(len(loss)), 0.0, most)
    return out


def tail_mean(loss: FloatArray, tail: float) -> float:
    """CVaR of a loss on paths of the same weight.

    Parameters
    ----------
    loss : ndarray, shape (S,)
        Loss on each path.
    tail : float
        Share of the worst paths, in (0, 1]; 1: the mean.

    Returns
    -------
    float
        In the units of the loss.

    Examples
    --------
    >>> tail_mean(np.array([1.0, 5.0, 2.0, 4.0]), 0.5), tail_mean(np.array([1.0, 3.0]), 1.0)
    (4.5, 2.0)
    """
    return float(tail_weights(loss, tail) @ loss)


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """The optimum of the linear relaxation, and what it was found on.

    Parameters
    ----------
    loss : ndarray, shape (n, J)
        Loss of each account under the weights of the tail, made convex from below: for no plan is the sum more than the
        CVaR of the losses, less what the others lose.
    added : ndarray, shape (n,)
        Added equity at the optimum.
    least : float
        Cost and CVaR there, dollars.
    losses : ndarray, shape (n, J, S)
        Loss of each account at each point on each path, dollars.
    others : ndarray, shape (S,)
        Loss of accounts that take no part.
    share : float
        Share of the worst paths.
    """

    loss: FloatArray
    added: FloatArray
    least: float
    losses: FloatArray
    others: FloatArray
    share: float

    def cost(self, problem: DeskProblem, amount: FloatArray) -> float:
        """Dollars of what is sent, and CVaR of the desk with it, between the points of the curves."""
        total = _total(problem, self.losses, problem.added(amount)) + self.others
        return float(problem.arcs.transfer_cost(amount).sum()) + tail_mean(total, self.share)


def joint_tail(problem: DeskProblem, losses: FloatArray, share: float, others: FloatArray) -> Tail:
    """Minimise the cost and the CVaR of a desk on the linear relaxation.

    Parameters
    ----------
    problem : DeskProblem
        The desk; its own loss curves take no part.
    losses : ndarray, shape (n, J, S)
        Loss of each account at each point of its curve on each path, dollars.
    share : float
        Share of the worst paths, in (0, 1].
    others : ndarray, shape (S,)
        Loss of accounts that take no part: it moves the tail.

    Returns
    -------
    Tail
        The optimum; where not all needs can be met, that without needs.
    """
    size = losses.shape[2]
    weights = [np.full(size, 1.0 / size)]
    curves = [_curves(problem, losses, weights[0])]
    mix, added, least = np.ones(1), problem.curves.value[:, 0], -np.inf
    for _ in range(_CUTS if len(losses) else 0):
        found = _master(problem, curves, [float(w @ others) for w in weights])
        if found is None:
            break
        added, theta, mix, least = found
        new = tail_weights(_total(problem, losses, added) + others, share)
        curve = _curves(problem, losses, new)
        if _at(problem, curve, added) + float(new @ others) <= theta * (1 + _CLOSE) + 1e-9:
            break
        weights.append(new)
        curves.append(curve)
    mixed = np.sum([part * w for part, w in zip(mix, weights, strict=False)], axis=0)
    return Tail(_curves(problem, losses, mixed / mixed.sum()), added, least, losses, others, share)


def _curves(problem: DeskProblem, losses: FloatArray, weights: FloatArray) -> FloatArray:
    mean = losses @ weights
    return np.array([hull(v, f) for v, f in zip(problem.curves.value, mean, strict=True)]).reshape(mean.shape)


def _total(problem: DeskProblem, losses: FloatArray, added: FloatArray) -> FloatArray:
    """Loss of the desk on each path where so much equity is added, shape (S,)."""
    out = np.zeros(losses.shape[2])
    for value, loss, x in zip(problem.curves.value, losses, added.tolist(), strict=True):
        at = int(np.clip(np.searchsorted(value, x) - 1, 0, len(value) - 2))
        width = value[at + 1] - value[at]
        share = min(max((x - value[at]) / width, 0.0), 1.0) if width > 0 else 1.0
        out += (1.0 - share) * loss[at] + share * loss[at + 1]
    return out


def _at(problem: DeskProblem, curve: FloatArray, added: FloatArray) -> float:
    pairs = zip(added.tolist(), problem.curves.value, curve, strict=True)
    return float(sum(np.interp(x, value, loss) for x, value, loss in pairs))


def _master(
    problem: DeskProblem, curves: Sequence[FloatArray], others: Sequence[float]
) -> tuple[FloatArray, float, FloatArray, float] | None:
    """Added equity at the lowest cost and largest loss under any weights, that loss, their mix, and both in all."""
    for asked in (problem, problem.with_need(problem.curves.value[:, 0])):  # without needs where not all can be met
        found = _solved_master(asked, curves, others)
        if found is not None:
            return found
    return None


def _solved_master(
    problem: DeskProblem, curves: Sequence[FloatArray], others: Sequence[float]
) -> tuple[FloatArray, float, FloatArray, float] | None:
    program = build_program(problem, whole=False)
    first, end = program.column["equity"], program.column["short"]
    cost, count = program.cost.copy(), len(program.cost)
    cost[first:end] = 0.0
    width = np.diff(problem.curves.value, axis=1)
    slopes = [np.divide(np.diff(c, axis=1), width, out=np.zeros_like(width), where=width > 0) for c in curves]
    cut = np.zeros((len(curves), count + 1))
    for k, slope in enumerate(slopes):
        cut[k, first:end] = slope.ravel()
        cut[k, count] = -1.0
    rows: Any = hstack([program.matrix.tocsr(), csr_array((program.matrix.shape[0], 1))], format="csr")
    upper, lower = np.flatnonzero(np.isfinite(program.row_high)), np.flatnonzero(np.isfinite(program.row_low))
    a = vstack([csr_array(cut), rows[upper], -rows[lower]])
    level = np.array([c[:, 0].sum() + more for c, more in zip(curves, others, strict=True)])
    b = np.concatenate([-level, program.row_high[upper], -program.row_low[lower]])
    bounds = np.column_stack([np.append(program.low, 0.0), np.append(program.high, np.inf)])
    found = linprog(np.append(cost, 1.0), A_ub=a, b_ub=b, bounds=bounds, method="highs")
    if found.status != 0:
        return None
    used = found.x[first:end].reshape(width.shape).sum(axis=1)
    mix = np.maximum(-found.ineqlin.marginals[: len(curves)], 0.0)
    mix = mix if mix.sum() > 0 else np.ones(len(curves))
    return problem.curves.value[:, 0] + used, float(found.x[count]), mix, float(found.fun)
