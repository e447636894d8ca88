"""The linear relaxation of a desk's problem: solved, its prices, and what the use of each transfer adds to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import vstack

from models.rebalance.joint.problem import DeskProblem
from models.rebalance.joint.program import Program, covered, covers
from models.typing import FloatArray

__all__ = ["penalties", "pool_prices", "solve_linear"]

_OPTIMAL = 0


def solve_linear(program: Program) -> Any:
    """Solve a programme without whole numbers.

    Parameters
    ----------
    program : Program
        The programme.

    Returns
    -------
    OptimizeResult or None
        That of scipy, with the dual prices of all rows in order as `row_dual`; None where it has no solution.
    """
    low, high = program.row_low, program.row_high
    upper, lower = np.flatnonzero(np.isfinite(high)), np.flatnonzero(np.isfinite(low))
    rows = program.matrix.tocsr()
    a, b = vstack([rows[upper], -rows[lower]]), np.concatenate([high[upper], -low[lower]])
    bounds = np.column_stack([program.low, program.high])
    found = linprog(program.cost, A_ub=a, b_ub=b, bounds=bounds, method="highs")
    if found.status != _OPTIMAL:
        return None
    dual = np.zeros(len(low))
    dual[upper] += found.ineqlin.marginals[: len(upper)]
    dual[lower] -= found.ineqlin.marginals[len(upper) :]
    found.row_dual = dual
    return found


def penalties(problem: DeskProblem, program: Program, found: Any) -> FloatArray:
    """Bound from below what the use of each transfer adds to the relaxation.

    Parameters
    ----------
    problem : DeskProblem
        The problem.
    program : Program
        Its relaxation, with rows of cover where there are any.
    found : OptimizeResult
        Its solution, as `solve_linear` gives it.

    Returns
    -------
    ndarray, shape (R,)
        Dollars, >= 0.

    Notes
    -----
    The prices of all rows but those of the transfer itself are kept. What its use then costs is piecewise linear in its
    size, so the least lies at an end or where the need is covered; a first piece without impact stands for all, as the
    others cost more.
    """
    a, first, column = problem.arcs, program.first, program.column
    dual = found.row_dual.copy()
    for name, n in (("link", len(a)), ("least", len(a)), ("cover_sent", None), ("cover_use", None)):
        start = first.get(name, len(dual))
        dual[start : len(dual) if n is None else start + n] = 0.0
    reduced = program.cost - program.matrix.T @ dual
    per_unit = np.full(len(a), np.inf)
    np.minimum.at(per_unit, a.piece_arc, reduced[: len(a.piece_arc)])
    covering = covers(problem)
    relief, most = np.zeros(len(a)), covered(problem)
    relief[covering] = np.minimum(reduced[column["cover"] :], 0.0)
    sizes = np.stack([a.least, np.clip(most / a.value, a.least, a.most), a.most])
    use = reduced[column["use"] : column["use"] + len(a)] + (
        per_unit * sizes + relief * np.minimum(sizes * a.value, most)
    ).min(axis=0)
    return np.maximum(use, 0.0)


def pool_prices(problem: DeskProblem, program: Program, found: Any) -> FloatArray:
    """Give what one unit of each pool is worth to the relaxation.

    Parameters
    ----------
    problem, program, found
        As `penalties`.

    Returns
    -------
    ndarray, shape (K,)
        Dollars, >= 0.
    """
    first = program.first["pool"]
    return np.maximum(-found.row_dual[first : first + len(problem.pools.name)], 0.0)
