"""What one more unit of each limit would save."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.rebalance.joint.problem import DeskProblem
from models.rebalance.joint.program import build_program
from models.rebalance.joint.relaxation import solve_linear
from models.typing import FloatArray

__all__ = ["shadow_prices"]


def shadow_prices(problem: DeskProblem, amount: FloatArray) -> dict[str, float]:
    """Price the limits, with the choice of transfers held.

    Parameters
    ----------
    problem : DeskProblem
        The problem.
    amount : ndarray, shape (R,)
        Units of each transfer of a plan.

    Returns
    -------
    dict of str to float
        Dollars that one more unit of each binding limit would save, by name.
    """
    used = np.flatnonzero(amount > 0)
    if not len(used):
        return {}
    held = problem.with_arcs(used)
    least = np.minimum(held.arcs.least, held.arcs.most)
    arcs = replace(held.arcs, fixed=np.zeros(len(used)), step=np.zeros(len(used)))
    program = build_program(replace(held, arcs=arcs, max_moves=None, max_moves_per_account=None), whole=False)
    single = np.bincount(arcs.piece_arc) == 1
    first = np.searchsorted(arcs.piece_arc, np.arange(len(arcs)))
    program.low[first[single]] = least[single]
    found = solve_linear(program)
    if found is None:
        return {}
    at = program.first
    names = [("pool", problem.pools.name), ("slot", problem.slots.name), ("share", problem.slots.name)]
    prices = {f"{name}: {one}": -found.row_dual[at[name] + i] for name, all_ in names for i, one in enumerate(all_)}
    prices |= {f"need: {one}": found.row_dual[at["need"] + i] for i, one in enumerate(problem.accounts)}
    prices["max_run_value"] = -found.row_dual[at["run"]]
    return {name: float(price) for name, price in prices.items() if price > 1e-9}
