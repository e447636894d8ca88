"""The search and the bound of large desks are compiled before a time limit runs."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np

from models.rebalance.joint.columns import bound_by_columns
from models.rebalance.joint.exchange import exchanged
from models.rebalance.joint.problem import Arcs, Curves, DeskProblem, Pools, Slots

__all__ = ["compiled"]


@cache
def compiled() -> None:
    """Compile what plans large desks, or load it: once in a process, on a desk of one account."""
    zero, one, ticks = np.zeros(1), np.ones(1), itertools.count()
    first = np.zeros(1, np.int64)
    arcs = Arcs(first, first, first, one, one, zero, one, zero, one, zero, zero, one, first, np.full(1, np.inf), zero)
    pools, slots = Pools(("",), one, one, first - 1, zero), Slots(("",), first, one, one, zero, zero)
    problem = DeskProblem(arcs, pools, slots, Curves(np.array([[0.0, 1.0]]), np.zeros((1, 2)), one), ("",))
    bound_by_columns(problem, zero, 1.0, lambda: 0.0)
    exchanged(problem, zero, zero, lambda cost: False, 1.5, lambda: float(next(ticks)))
