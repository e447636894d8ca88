"""Why a desk cannot meet its needs: the binding limits by name, and the smallest change that would let it."""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csc_array, hstack

from models.rebalance.joint.plan import Relaxation
from models.rebalance.joint.problem import DeskProblem
from models.rebalance.joint.program import MANY, Program, build_program
from models.typing import FloatArray, IntArray

__all__ = ["smallest_relaxation"]

_MOVE = 1_000.0
"""Dollars that one more transfer counts for when limits are compared."""
_NEED = 10.0
"""Dollars that one dollar of a need given up counts for: the last resort."""
_SMALL = 1e-6
_SECONDS = 2.0


def smallest_relaxation(problem: DeskProblem) -> tuple[Relaxation, ...]:
    """Find the smallest change of the limits that would let every account reach its need.

    Parameters
    ----------
    problem : DeskProblem
        A problem whose needs cannot all be met.

    Returns
    -------
    tuple of Relaxation
        Limits to change together, the largest first; a need where no transfer reaches the account at all. Inventories
        and caps are compared by their dollars. On desks of more than 400 transfers minimum sizes,
        steps and the number of transfers count in proportion to their size.
    """
    if not len(problem.arcs):
        lack = np.maximum(problem.curves.need, 0.0)
        return tuple(Relaxation(f"need: {problem.accounts[i]}", float(lack[i])) for i in np.flatnonzero(lack > 0))
    if len(problem.arcs) <= MANY:
        found = _relaxed(problem, True)
        if found is not None:
            return found
    return _relaxed(problem, False) or ()


def _relaxed(problem: DeskProblem, whole: bool) -> tuple[Relaxation, ...] | None:
    """The cheapest change, with transfers in whole numbers or not; None where the solver finds none in its time."""
    program = build_program(problem, whole=whole)
    rows, weight, names = _limits(problem, program)
    direction = np.where(rows[:, 1] > 0, 1.0, -1.0)
    slack = csc_array((direction, (rows[:, 0], np.arange(len(rows)))), (len(program.row_low), len(rows)))
    count = len(program.cost)
    found = milp(
        np.concatenate([np.zeros(count), weight]),
        integrality=np.concatenate([program.whole, np.array([name.startswith("max_moves") for name in names])]) * whole,
        bounds=Bounds(
            np.concatenate([program.low, np.zeros(len(rows))]),
            np.concatenate([program.high, np.full(len(rows), np.inf)]),
        ),
        constraints=LinearConstraint(hstack([program.matrix, slack]), program.row_low, program.row_high),
        options={"time_limit": _SECONDS, "mip_rel_gap": 1e-3},
    )
    if found.x is None:
        return None
    more = found.x[count:]
    order = np.argsort(-more * weight, kind="stable")
    return tuple(Relaxation(names[i], float(more[i])) for i in order if more[i] * weight[i] > _SMALL)


def _limits(problem: DeskProblem, program: Program) -> tuple[IntArray, FloatArray, list[str]]:
    """Rows that may give way with their direction, what one unit of it counts for, and their names."""
    first, rows, weight, names = program.first, [], [], []
    for k, name in enumerate(problem.pools.name):
        if problem.pools.account[k] < 0 and not (problem.pools.fixed is not None and problem.pools.fixed[k]):
            rows.append((first["pool"] + k, -1))
            weight.append(max(float(problem.pools.price[k]), 1e-12))
            names.append(f"inventory: {name}")
    price = np.zeros(len(problem.slots.name))
    price[problem.arcs.slot] = problem.arcs.price
    for s, name in enumerate(problem.slots.name):
        if np.isfinite(problem.slots.room[s]):
            rows.append((first["slot"] + s, -1))
            weight.append(max(float(price[s]), 1e-12))
            names.append(f"cap: {name}")
        if problem.slots.share[s] < 1:
            rows.append((first["share"] + s, -1))
            weight.append(1.0)
            names.append(f"share: {name}")
    if problem.max_run_value is not None:
        rows.append((first["run"], -1))
        weight.append(1.0)
        names.append("max_run_value")
    if problem.max_moves is not None:
        rows.append((first["moves"], -1))
        weight.append(_MOVE)
        names.append("max_moves")
    for i, name in enumerate(problem.accounts):
        if problem.max_moves_per_account is not None:
            rows.append((first["moves_of"] + i, -1))
            weight.append(_MOVE)
            names.append(f"max_moves_per_account: {name}")
        rows.append((first["need"] + i, 1))
        weight.append(_NEED)
        names.append(f"need: {name}")
    return np.array(rows, np.int64).reshape(-1, 2), np.array(weight), names
