"""Flow cover inequalities: what inventories that cannot serve all of their accounts say beyond their capacity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.rebalance.joint.problem import DeskProblem
from models.typing import FloatArray, IntArray

__all__ = ["FlowCover", "flow_covers", "largest_flow"]

_VIOLATED = 1e-3
"""Share of an inventory by which an inequality must be violated to be worth a row."""
_USED = 1e-6
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
    """Find inequalities that a solution of a relaxation violates, at most one for each pool.

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
        The most violated one of each pool among those tried.

    Notes
    -----
    Let the largest flows m of a set S of transfers from one pool exceed what it has by t, the largest of them greater
    than t. Then the flow of S, and for each of S that is not used the excess of its m over t, is at most what the pool
    has (flow cover). A transfer j that is not in S may be added with its flow less (max(m_j, max of S) - t) times its
    use (extended). Sets are tried in four orders: by use, by share of the largest flow, and large or small ones first.

    References
    ----------
    M. W. Padberg, T. J. Van Roy, L. A. Wolsey, "Valid linear inequalities for fixed charge problems", Operations
    Research 33 (1985), theorem 4 and section 3.
    """
    largest, pool = largest_flow(problem), problem.arcs.pool
    found = []
    for k, free in enumerate(problem.pools.free.tolist()):
        mine = np.flatnonzero(pool == k)
        if flow[mine].sum() >= free * _FULL and free > 0:
            best = _best_cover(mine, flow[mine], np.minimum(used[mine], 1.0), largest[mine], free)
            found += [] if best is None else [best]
    return found


def _best_cover(
    mine: IntArray, flow: FloatArray, used: FloatArray, largest: FloatArray, free: float
) -> FlowCover | None:
    """The most violated inequality of one pool."""
    lowest, best = _VIOLATED * free, None
    active = np.flatnonzero(used > _USED)
    whole = 1e12 * (used > 0.999)
    for key in (used, flow / np.maximum(largest, 1e-300), largest + whole, whole - largest):
        order = active[np.argsort(-key[active], kind="stable")]
        sums = np.cumsum(largest[order])
        for last in range(int(np.searchsorted(sums, free * (1 + 1e-9), side="right")), len(order)):
            weight, inside = _weights(order[: last + 1], flow, used, largest, float(sums[last]) - free)
            violation = float((flow - weight * used)[inside].sum() + weight[order[: last + 1]].sum()) - free
            if violation > lowest:
                most = free - float(weight[order[: last + 1]].sum())
                lowest, best = violation, FlowCover(mine[inside], weight[inside], most)
    return best


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
