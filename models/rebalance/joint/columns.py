"""A bound by columns: each account is served by a mixture of whole ways, and inventories hold on the average.

The relaxation of `relaxation.py` mixes parts of transfers. Here the ways of one account are priced as wholes, with
their fixed costs, steps and the curve of its loss. Only what accounts share is relaxed, and sharpened by flow covers.
The inventories are priced by a programme over the ways known so far; the cheapest ways at those prices give a lower
bound (Lagrange) and are added, until both meet.

References
----------
G. B. Dantzig, P. Wolfe, "Decomposition principle for linear programs", Operations Research 8 (1960).
P. Wentges, "Weighted Dantzig-Wolfe decomposition for linear mixed-integer programming", International Transactions in
Operational Research 4 (1997).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array, eye_array, hstack, vstack

from models.rebalance.joint.flow_covers import FlowCover, flow_covers
from models.rebalance.joint.problem import DeskProblem, sums
from models.rebalance.joint.ways import Ways
from models.typing import FloatArray, IntArray

__all__ = ["bound_by_columns"]

_COVERS = 40
"""How often inequalities are added at most."""
_GROWN = 1e-4
"""Growth of the bound, as a share, below which inequalities bring nothing more."""
_IDLE = 2
"""How often in a row they may bring nothing."""
_TURNS = 30
_KEPT = 0.7
"""Share of the best prices so far in those that are asked, beside the newest ones."""
_CLOSE = 3e-4
_MISSING = 1e3
"""What not serving an account costs in the programme, over its dearest way known."""
_OPTIMAL = 0


def bound_by_columns(
    problem: DeskProblem, price: FloatArray, end: float, clock: Callable[[], float]
) -> tuple[float, FloatArray]:
    """Bound a problem from below, and price its inventories.

    Parameters
    ----------
    problem : DeskProblem
        A problem of which `exchanges` holds, with tightened sizes.
    price : ndarray, shape (K,)
        Dollars of one unit of each pool to start from, as a relaxation says.
    end : float
        When to stop, on the clock.
    clock : callable
        Seconds.

    Returns
    -------
    bound : float
        No amounts that keep every limit and meet every need cost less, dollars; -inf where no transfers of an account
        meet its need, whatever the others do.
    price : ndarray, shape (K,)
        Dollars of one unit of each pool where that bound was found.
    """
    master, idle = _Master(problem, price), 0
    master.converge(end, clock)
    for _ in range(_COVERS):
        before = master.bound
        if idle == _IDLE or clock() >= end or not master.sharpen():
            break
        master.converge(end, clock)
        idle = 0 if master.bound > before + _GROWN * abs(before) else idle + 1
    return master.bound, master.price


class _Master:
    """The programme over the ways known so far, and the best bound."""

    def __init__(self, problem: DeskProblem, price: FloatArray) -> None:
        self.problem, self.ways, self.covers = problem, Ways(problem), list[FlowCover]()
        self.known: set[tuple[int, bytes]] = set()
        self.owner, self.cost = list[int](), list[float]()
        self.parts: list[tuple[IntArray, FloatArray, FloatArray, FloatArray]] = []
        self.bound, self.price, self.weight = -np.inf, price, np.zeros(0)
        self.flow, self.used = np.zeros(len(problem.arcs)), np.zeros(len(problem.arcs))
        by = np.argsort(problem.arcs.account, kind="stable")
        self.rows = np.split(by, np.searchsorted(problem.arcs.account[by], np.arange(1, len(problem.accounts))))
        self.ask(price, self.weight)

    def ask(self, price: FloatArray, weight: FloatArray) -> bool:
        """Find the cheapest ways at prices of pools and inequalities; whether any of them is new."""
        a = self.problem.arcs
        toll = price[a.pool]
        use, beyond = a.fixed + toll * a.fixed_units, a.rate + toll * a.draw
        cover = beyond.copy()
        for one, dual in zip(self.covers, weight.tolist(), strict=True):
            use[one.arcs] += dual * (a.fixed_units[one.arcs] - one.weight)
            cover[one.arcs] += dual * a.draw[one.arcs]
        cost, *way = self.ways.cheapest(use, cover, beyond)
        most = np.array([one.most for one in self.covers])
        bound = float(cost.sum() - price @ self.problem.pools.free - weight @ most)
        if self.bound < bound < np.inf:
            self.bound, self.price, self.weight = bound, price, weight
        return self._add(*way)

    def _add(self, units: FloatArray, part: FloatArray, used: FloatArray) -> bool:
        a, n, before = self.problem.arcs, len(self.problem.accounts), len(self.owner)
        cost = sums(a.account, a.rate * units + a.fixed * used, n)
        cost += self.problem.curves.at(sums(a.account, a.value * units, n))
        for i, mine in enumerate(self.rows):
            rows = mine[(units[mine] > 0) | (used[mine] > 0)]
            if not len(rows) and self.ways.need[i] > 0:
                continue
            key = i, b"".join(x.tobytes() for x in (rows, units[rows], part[rows], used[rows]))
            if key not in self.known:
                self.known.add(key)
                self.owner.append(i)
                self.cost.append(float(cost[i]))
                self.parts.append((rows, units[rows], part[rows], used[rows]))
        return len(self.owner) > before

    def converge(self, end: float, clock: Callable[[], float]) -> None:
        """Add ways until the programme and the bound meet."""
        for _ in range(_TURNS):
            found = self._solve()
            if found is None:
                return
            value, price, weight = found
            new = self.ask(_KEPT * self.price + (1 - _KEPT) * price, _KEPT * self.weight + (1 - _KEPT) * weight)
            new = self.ask(price, weight) or new
            if not new or value - self.bound <= _CLOSE * abs(value) or clock() >= end:
                return

    def sharpen(self) -> bool:
        """Add inequalities that the programme violates; whether there are any."""
        more = flow_covers(self.problem, self.flow, self.used)
        self.covers += more
        self.weight = np.concatenate([self.weight, np.zeros(len(more))])
        return bool(more)

    def _solve(self) -> tuple[float, FloatArray, FloatArray] | None:
        """Solve the programme: its value, prices of the pools and of the inequalities."""
        a, n, m, k = self.problem.arcs, len(self.problem.accounts), len(self.owner), len(self.problem.pools.free)
        column = np.repeat(np.arange(m), [len(way[0]) for way in self.parts])
        rows, units, part, used = (np.concatenate([way[j] for way in self.parts]) for j in range(4))
        flow = a.draw[rows] * part / a.value[rows] + a.fixed_units[rows] * used
        drawn = coo_array((a.draw[rows] * units + a.fixed_units[rows] * used, (a.pool[rows], column)), shape=(k, m))
        limits = np.concatenate([self.problem.pools.free, [one.most for one in self.covers]])
        served = coo_array((np.ones(m), (self.owner, np.arange(m))), shape=(n, m))
        shared = vstack([drawn, *(self._row(one, rows, flow, used, column, m) for one in self.covers)])
        missing = np.full(n, _MISSING * max(1.0, *self.cost))
        found: Any = linprog(
            np.concatenate([self.cost, missing]), A_ub=hstack([shared, coo_array((shared.shape[0], n))]).tocsr(),
            b_ub=limits, A_eq=hstack([served, eye_array(n)]).tocsr(), b_eq=np.ones(n), method="highs",
        )  # fmt: skip
        if found.status != _OPTIMAL:
            return None
        share = found.x[column]
        self.flow, self.used = sums(rows, flow * share, len(a)), sums(rows, used * share, len(a))
        dual = np.maximum(-found.ineqlin.marginals, 0.0)
        return float(found.fun), dual[:k], dual[k:]

    def _row(
        self, one: FlowCover, rows: IntArray, flow: FloatArray, used: FloatArray, column: IntArray, m: int
    ) -> coo_array:
        """One inequality over the ways, shape (1, m)."""
        inside, weight = np.zeros(len(self.problem.arcs)), np.zeros(len(self.problem.arcs))
        inside[one.arcs], weight[one.arcs] = 1.0, one.weight
        value = inside[rows] * flow - weight[rows] * used
        return coo_array((value, (np.zeros(len(rows), np.int64), column)), shape=(1, m))
