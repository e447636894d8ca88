"""Sizes of transfers: limits that tighten them, steps that they are snapped to, and what is kept back for that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from models.rebalance.joint.greedy import improved
from models.rebalance.joint.problem import DeskProblem, score
from models.rebalance.joint.program import build_program, coarse_steps
from models.rebalance.joint.relaxation import solve_linear
from models.typing import BoolArray, FloatArray

__all__ = ["reserve", "rounded", "settled", "tightened"]


def tightened(problem: DeskProblem) -> DeskProblem:
    """Give largest sizes no larger than what limits let through and what can pay; the closer, the better the bound.

    Parameters
    ----------
    problem : DeskProblem
        The problem.

    Returns
    -------
    DeskProblem
        The problem with smaller largest sizes.
    """
    a = problem.arcs
    inside = np.maximum(a.pool, 0)
    pool = np.where(a.pool >= 0, (problem.pools.free[inside] - a.fixed_units) / a.draw, np.inf)
    run = np.inf if problem.max_run_value is None else problem.max_run_value / np.maximum(a.price, 1e-300)
    useful = _on_grid(problem.useful()[a.account] / a.value, a.step, np.ceil)
    limit = np.minimum(np.minimum(pool, problem.slots.room[a.slot]), run)
    most = np.maximum(np.minimum(np.minimum(a.most, np.maximum(useful, a.least)), limit), 0.0)
    most = _on_grid(most, a.step, np.floor)
    return replace(problem, arcs=replace(a, most=np.where(most < a.least * (1 - 1e-12), 0.0, most)))


def _on_grid(amount: FloatArray, step: FloatArray, rounding: Callable[[FloatArray], FloatArray]) -> FloatArray:
    count = np.divide(amount, step, out=np.zeros_like(amount), where=step > 0)
    snap = -1e-9 if rounding is np.ceil else 1e-9
    return np.where(step > 0, rounding(count + snap) * step, amount)


def _fine(problem: DeskProblem) -> BoolArray:
    fine = problem.arcs.step > 0
    fine[coarse_steps(problem)] = False
    return fine


def reserve(problem: DeskProblem) -> DeskProblem:
    """Keep back of each pool what rounding to fine steps may add, at most a thousandth of it.

    Parameters
    ----------
    problem : DeskProblem
        The problem.

    Returns
    -------
    DeskProblem
        The problem with less in its pools.
    """
    a, fine = problem.arcs, _fine(problem) & (problem.arcs.pool >= 0)
    if not fine.any():
        return problem
    extra = np.bincount(a.pool[fine], (a.step * a.draw)[fine], len(problem.pools.name))
    free = problem.pools.free - np.minimum(extra, 1e-3 * problem.pools.free)
    return replace(problem, pools=replace(problem.pools, free=free))


def settled(problem: DeskProblem, amount: FloatArray, counted: bool = True) -> FloatArray | None:
    """Keep which transfers are made, find their best sizes with what rounding up may need kept back, and round up.

    Parameters
    ----------
    problem : DeskProblem
        The problem.
    amount : ndarray, shape (R,)
        Units of each arc, fine steps left out of account.
    counted : bool
        Whether coarse lots are whole already, and stay as they are.

    Returns
    -------
    ndarray or None
        Units that keep their steps; None where no sizes of these transfers do, or one of them has impact.
    """
    used = np.flatnonzero(amount > _dust(problem))
    part, fine = problem.with_arcs(used), _fine(problem)[used] if counted else problem.arcs.step[used] > 0
    a, step = part.arcs, np.where(fine, part.arcs.step, 0.0)
    if len(a.piece_arc) > len(a):
        return None
    inside = np.flatnonzero(fine & (a.pool >= 0))
    free = part.pools.free - np.bincount(a.pool[inside], (step * a.draw)[inside], len(part.pools.name))
    flat = replace(a, fixed=np.zeros(len(a)), step=np.zeros(len(a)))
    program = build_program(
        replace(part, arcs=flat, pools=replace(part.pools, free=free), max_moves=None, max_moves_per_account=None),
        False,
    )
    fixed = (a.step > 0) & ~fine
    lots = np.round(amount[used] / np.where(fixed, a.step, 1.0)) * a.step
    program.low[: len(a)] = np.where(fixed, lots, np.minimum(_on_grid(a.least, step, np.ceil), a.most))
    program.high[: len(a)] = np.where(fixed, lots, program.high[: len(a)])
    found = solve_linear(program)
    if found is None:
        return None
    out = np.zeros(len(problem.arcs))
    out[used] = _on_grid(found.x[: len(a)], step, np.ceil)
    seen = score(problem, out)
    return None if seen.broken or seen.short.any() else out


def _dust(problem: DeskProblem) -> FloatArray:
    """Amounts that count for nothing."""
    a = problem.arcs
    return np.maximum(1e-9 * a.most, np.minimum(1e-6 * a.most, 1e-3 * np.maximum(a.least, a.step)))


def rounded(problem: DeskProblem, amount: FloatArray) -> FloatArray:
    """Set aside dust and snap to steps: up where there is room, else down; then serve anew what lacks by it.

    Parameters
    ----------
    problem : DeskProblem
        The problem.
    amount : ndarray, shape (R,)
        Units of each arc.

    Returns
    -------
    ndarray, shape (R,)
        Units that are zero or keep their least size and their step.
    """
    a = problem.arcs
    out = np.where(amount > _dust(problem), np.minimum(amount, a.most), 0.0)
    out = np.where((out > 0) & (out < a.least), a.least, out)
    stepped = np.flatnonzero((a.step > 0) & (out > 0))
    count = out[stepped] / a.step[stepped]
    near = np.abs(count - np.round(count)) < 1e-6
    down = np.where(near, np.round(count), np.floor(count))
    out[stepped] = down * a.step[stepped]
    out[out < a.least * (1 - 1e-9)] = 0.0
    for i in np.flatnonzero(~near)[np.argsort(down[~near] - count[~near], kind="stable")].tolist():
        arc = stepped[i]
        before, more = out[arc], (down[i] + 1) * a.step[arc]
        if more > a.most[arc] * (1 + 1e-12):
            continue
        out[arc] = more
        if a.pool[arc] >= 0 and problem.drawn(out)[a.pool[arc]] > problem.pools.free[a.pool[arc]]:
            out[arc] = before
    again, old = improved(problem, out), score(problem, out)
    new = score(problem, again)
    kept = not old.broken and (old.short.sum(), old.cost) < (new.short.sum(), new.cost)
    return out if kept else again
