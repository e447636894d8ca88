"""Accounts of several pockets: what P each pocket may have so that the account as a whole has that of the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.account import Account
from models.margin.levels import STATES
from models.rebalance.effects import apply_move
from models.rebalance.joint.pockets import Pocket, pockets_of
from models.rebalance.joint.probe import Probe
from models.rebalance.target import Target
from models.typing import FloatArray

__all__ = ["crossing", "shares", "sure_goals"]

_TRIALS = 9
_CALL = STATES.index("call")


def crossing(value: FloatArray, p: FloatArray, goal: float) -> float:
    """Find the first value at which a falling curve is at most a goal, linear in log P between its points.

    Parameters
    ----------
    value : ndarray, shape (k,)
        Added equity, rising.
    p : ndarray, shape (k,)
        P there.
    goal : float
        P to reach.

    Returns
    -------
    float
        The value; the last one where none is enough.

    Examples
    --------
    >>> crossing(np.array([0.0, 10.0, 20.0]), np.array([0.1, 0.01, 0.001]), 0.01)
    10.0
    """
    low = np.minimum.accumulate(p)
    at = int(np.argmax(low <= goal)) if bool(np.any(low <= goal)) else -1
    if at < 0:
        return float(value[-1])
    if at == 0 or low[at] >= low[at - 1]:
        return float(value[at])
    top, bottom, wanted = (float(np.log(max(x, 1e-15))) for x in (low[at - 1], low[at], goal))
    share = 1.0 if top == bottom else (top - wanted) / (top - bottom)
    return float(value[at - 1] + min(max(share, 0.0), 1.0) * (value[at] - value[at - 1]))


def sure_goals(needy: Sequence[Pocket], accounts: Sequence[Account], target: Target) -> FloatArray:
    """Give the P of each pocket that keeps its account under the target however its pockets move together.

    Parameters
    ----------
    needy : sequence of Pocket
        The pockets.
    accounts : sequence of Account
        All accounts of the desk.
    target : Target
        What an account is to reach.

    Returns
    -------
    ndarray, shape (number of pockets,)
        The target over the number of pockets of the account.
    """
    count = [len(pockets_of(p.row, replace(p.weights, account=accounts[p.row]))) for p in needy]
    return target.probability / np.array(count, np.float64)


def shares(
    probe: Probe, accounts: Sequence[Account], needed: FloatArray, goal: FloatArray, target: Target
) -> FloatArray:
    """Find the largest share of the target that the pockets of an account may use, all of it the same.

    Parameters
    ----------
    probe : Probe
        The pockets, with what was remembered of them.
    accounts : sequence of Account
        All accounts of the desk.
    needed : ndarray, shape (m,)
        Amounts that bring each pocket to its goal.
    goal : ndarray, shape (m,)
        The goals.
    target : Target
        What an account is to reach.

    Returns
    -------
    ndarray, shape (m,)
        In (0, 1]: with every pocket at its share the predictor puts the whole account under the target.
    """
    out = np.ones(len(goal))
    several = np.flatnonzero(goal < target.probability)
    rows = sorted({int(probe.owner[k]) for k in several})
    least = {int(probe.owner[k]): float(goal[k]) / target.probability for k in several.tolist()}
    trials = {row: np.geomspace(1.0, least[row], _TRIALS) for row in rows}
    curves = {k: probe.curve(k) for k in several.tolist()}
    changed = []
    for row in rows:
        mine = [k for k in several.tolist() if probe.owner[k] == row]
        for share in trials[row].tolist():
            account = accounts[row]
            for k in mine:
                sure, enough = (crossing(*curves[k], p) for p in (float(goal[k]), share * target.probability))
                move = replace(probe.moves[k], position=probe.pockets[k].position)
                account = apply_move(account, move, float(needed[k]) * enough / max(sure, 1e-300))
            changed.append(account)
    seen = probe.evaluate(changed, np.repeat(np.array(rows, np.int64), _TRIALS))
    good = (seen.good & (seen.state < _CALL) & (seen.p[:, target.column] <= target.probability)).reshape(-1, _TRIALS)
    for row, one in zip(rows, good, strict=True):
        at = int(np.argmax(one)) if one.any() else _TRIALS - 1
        out[several[probe.owner[several] == row]] = trials[row][at]
    return out
