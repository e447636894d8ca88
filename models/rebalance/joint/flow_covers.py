"""Flow cover inequalities: what inventories that cannot serve all of their accounts say beyond their capacity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import linprog

from models.rebalance.joint.problem import DeskProblem
from models.typing import FloatArray, IntArray

__all__ = ["FlowCover", "flow_covers", "largest_flow"]

_VIOLATED = 1e-3
"""Share of an inventory by which an inequality must be violated to be worth a row."""
_USED = 1e-6
_SETS = 10
"""Transfers of one inventory of which every set is looked at."""
_OPTIMAL = 0
_FULL = 0.9
"""Share of an inventory that must be drawn: of what is drawn, steps take a part that covers no need."""


@dataclass(frozen=True, slots=True, eq=False)
class FlowCover:
    """The sum of flows less their use times a weight is at most so much.

    Parameters
    ----------
    arcs : ndarray of int, shape (m,)
        The transfers.
    weight : ndarray, shape (m,)
        Units that the use of each counts for.
    most : float
        Right-hand side, units.
    """

    arcs: IntArray
    weight: FloatArray
    most: float


def largest_flow(problem: DeskProblem) -> FloatArray:
    """Units that each transfer draws at most to cover the need of its account, shape (R,)."""
    a = problem.arcs
    need = np.maximum(problem.curves.need[a.account], 0.0)
    return np.asarray(a.draw * np.minimum(need / a.value, a.most) + a.fixed_units)


def flow_covers(problem: DeskProblem, flow: FloatArray, used: FloatArray) -> list[FlowCover]:
    """Find inequalities that a solution of a relaxation violates, at most five for each pool.

    Parameters
    ----------
    problem : DeskProblem
        The problem.
    flow : ndarray, shape (R,)
        Units that each transfer draws to cover needs.
    used : ndarray, shape (R,)
        Share to which each is used, in [0, 1].

    Returns
    -------
    list of FlowCover
        The most violated one of each pool in each of the orders tried, and of all that weigh its ten largest flows.

    Notes
    -----
    Let the largest flows m of a set S of transfers from one pool exceed what it has by t, the largest of them greater
    than t. Then the flow of S, and for each of S that is not used the excess of its m over t, is at most what the pool
    has (flow cover). A transfer j that is not in S may be added with its flow less (max(m_j, max of S) - t) times its
    use (extended). Sets are tried in four orders: by use, by share of the largest flow, and large or small ones first.

    Whatever set T of a few transfers is used, their flow is at most the smaller of what the pool has and of the sum of
    their m. Weights w and a right-hand side b with w(T) + b at least that for every T give an inequality; those that
    the solution violates most are the prices of a linear programme over all T (Fenchel cuts). Among them are flow
    covers that no order finds, and inequalities of other kinds.

    References
    ----------
    E. A. Boyd, "Fenchel cutting planes for integer programs", Operations Research 42 (1994).

    M. W. Padberg, T. J. Van Roy, L. A. Wolsey, "Valid linear inequalities for fixed charge problems", Operations
    Research 33 (1985), theorem 4 and section 3.
    """
    largest, pool = largest_flow(problem), problem.arcs.pool
    found = []
    for k, free in enumerate(problem.pools.free.tolist()):
        mine = np.flatnonzero(pool == k)
        if flow[mine].sum() >= free * _FULL and free > 0:
            known = mine, flow[mine], np.minimum(used[mine], 1.0), largest[mine], free
            found += [*_violated(*known), *_deepest(*known)]
    return found


def _violated(mine: IntArray, flow: FloatArray, used: FloatArray, largest: FloatArray, free: float) -> list[FlowCover]:
    """The most violated inequality of one pool in each order, without those that are the same."""
    out = dict[bytes, FlowCover]()
    active = np.flatnonzero(used > _USED)
    whole = 1e12 * (used > 0.999)
    for key in (used, flow / np.maximum(largest, 1e-300), largest + whole, whole - largest):
        lowest, best = _VIOLATED * free, None
        order = active[np.argsort(-key[active], kind="stable")]
        sums = np.cumsum(largest[order])
        for last in range(int(np.searchsorted(sums, free * (1 + 1e-9), side="right")), len(order)):
            weight, inside = _weights(order[: last + 1], flow, used, largest, float(sums[last]) - free)
            violation = float((flow - weight * used)[inside].sum() + weight[order[: last + 1]].sum()) - free
            if violation > lowest:
                most = free - float(weight[order[: last + 1]].sum())
                lowest, best = violation, FlowCover(mine[inside], weight[inside], most)
        if best is not None:
            out[best.arcs.tobytes() + best.weight.tobytes()] = best
    return list(out.values())


def _deepest(mine: IntArray, flow: FloatArray, used: FloatArray, largest: FloatArray, free: float) -> list[FlowCover]:
    """The most violated inequality of all on the largest flows of one pool, if there is one."""
    active = np.flatnonzero(used > _USED)
    active = active[np.argsort(-flow[active], kind="stable")[:_SETS]]
    sets = _sets(len(active))
    drawn = np.minimum(sets @ (largest[active] / free), 1.0)
    rows, limits = np.vstack([sets.T, np.ones(len(sets))]), np.append(used[active], 1.0)
    found = linprog(-drawn, A_ub=rows, b_ub=limits, method="highs")
    if found.status != _OPTIMAL:
        return []
    weight = np.maximum(-found.ineqlin.marginals[:-1], 0.0)
    most = float((drawn - sets @ weight).max())  # of every set, whatever the accuracy of the weights
    if float(flow[active].sum()) / free - weight @ used[active] - most <= _VIOLATED:
        return []
    return [FlowCover(mine[active], free * weight, free * most)]


@cache
def _sets(n: int) -> FloatArray:
    """Every set of n, a row each of zeros and ones."""
    return np.asarray((np.arange(1 << n)[:, None] >> np.arange(n)) & 1, np.float64)


def _weights(
    cover: IntArray, flow: FloatArray, used: FloatArray, largest: FloatArray, excess: float
) -> tuple[FloatArray, IntArray]:
    """Weights of one cover, and the transfers that take part; none where no flow is greater than the excess."""
    top = float(largest[cover].max())
    if top <= excess:
        return np.zeros(len(flow)), cover
    weight = np.maximum(largest, top) - excess
    part = flow > weight * used + 1e-9
    weight[cover] = np.maximum(largest[cover] - excess, 0.0)
    part[cover] = True
    return weight, np.flatnonzero(part)
