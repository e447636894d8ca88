"""What is asked of a desk before it is planned: who needs, who may give, and what each asset does where it is sent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from models.margin.levels import STATES
from models.rebalance.effects import apply_move
from models.rebalance.evaluate import Evaluation
from models.rebalance.joint.network import Link
from models.rebalance.joint.pockets import Pocket, cross_pocket, pockets_of
from models.rebalance.joint.worth import Worth
from models.rebalance.moves import Move
from models.rebalance.plan import Kind
from models.typing import FloatArray

if TYPE_CHECKING:
    from models.rebalance.joint.run import DeskRun

__all__ = ["LEAST_QUALITY", "RESOLVED", "giving_pockets", "needy_pockets", "qualities", "standing"]

LEAST_QUALITY = 0.05
"""What an asset must at least do at an account, as a share of what as much money does."""
_TURNS = 7
_LESS = 0.003
"""What an asset does is lowered by at least so much where the size that should be enough is not, then twice that."""
RESOLVED = 1e-3
"""Differences of P that a prior of some two thousand paths can tell."""
_EQUITY, _RELEASE = 0, 4
_LEVELS_CALL = STATES.index("call")


def needy_pockets(run: DeskRun, i: int) -> list[Pocket]:
    """Take an account over the target apart, and leave out what is safe whatever the rest does.

    Parameters
    ----------
    run : DeskRun
        The desk.
    i : int
        Row of the account.

    Returns
    -------
    list of Pocket
        At least one.
    """
    own = run.weights[i]
    every = [] if own is None else pockets_of(i, own)
    if len(every) < 2:
        return every
    seen = run.evaluate([pocket.account for pocket in every], np.full(len(every), i))
    p = np.where(seen.good & (seen.state < _LEVELS_CALL), seen.p[:, run.target.column], 1.0)
    kept = p > run.target.probability / len(every)
    kept[np.argmax(p)] = True
    return [pocket for pocket, keep in zip(every, kept.tolist(), strict=True) if keep]


def giving_pockets(run: DeskRun, needy: Sequence[Pocket]) -> list[Pocket]:
    """List the accounts that may give, and have more than their release level; of needy ones the cross wallet.

    Parameters
    ----------
    run : DeskRun
        The desk.
    needy : sequence of Pocket
        What needs collateral itrun.

    Returns
    -------
    list of Pocket
        Those that a route of the policy starts from.
    """
    sources = {run.policy.places[route.source].account for route in run.policy.routes}
    level, taken = run.before.level, {(pocket.row, pocket.position) for pocket in needy}
    out = []
    for i, (account, own) in enumerate(zip(run.accounts, run.weights, strict=True)):
        if own is None or account.account_id not in sources:
            continue
        if not run.desk.over(i) and level[i, _EQUITY] > level[i, _RELEASE]:
            out.append(Pocket(i, -1, own))
        elif run.desk.over(i) and (i, -1) not in taken:
            out.append(cross_pocket(i, own))
    return out


def standing(run: DeskRun, pockets: Sequence[Pocket]) -> Evaluation:
    """Say where pockets stand: known already of those that are whole accounts.

    Parameters
    ----------
    run : DeskRun
        The desk.
    pockets : sequence of Pocket
        The pockets.

    Returns
    -------
    Evaluation
        A row for each.
    """
    rows = np.array([pocket.row for pocket in pockets], np.int64)
    old = run.before
    p, level, gap, state = old.p[rows], old.level[rows], old.gap[rows], old.state[rows]
    parts = [k for k, pocket in enumerate(pockets) if pocket.account is not run.accounts[pocket.row]]
    if parts:
        seen = run.evaluate([pockets[k].account for k in parts], rows[parts])
        p[parts], level[parts], gap[parts], state[parts] = seen.p, seen.level, seen.gap, seen.state
    return Evaluation(p, level, gap, state, ())


def qualities(run: DeskRun, worth: Worth, links: Sequence[Link]) -> dict[tuple[int, int, str], float]:
    """Ask what each asset does at each pocket, compared with as much money by its haircut.

    What it does is lowered until the size that should be enough by itself is enough to the predictor. An asset that
    leaves P at another horizon higher than it was is of no use.

    Parameters
    ----------
    run : DeskRun
        The desk.
    worth : Worth
        The pockets and their needs.
    links : sequence of Link
        What can be sent.

    Returns
    -------
    dict
        In (0, 1], by row, position and asset; those below `LEAST_QUALITY` are of no use.
    """
    place = worth.places
    pairs = list(
        dict.fromkeys((place[x.account, x.position], x.asset, x.kind, x.price * x.ratio) for x in links if x.ratio > 0)
    )
    pairs = [x for x in pairs if worth.reached[x[0]]]
    if not pairs:
        return {}
    place_of = np.array([k for k, _, _, _ in pairs], np.int64)
    need, goal = worth.curves.need[place_of], run.target.probability * worth.share[place_of]
    before = worth.probe.before.p[place_of] + RESOLVED
    does, asked, worse = np.ones(len(pairs)), np.arange(len(pairs)), np.zeros(len(pairs), np.bool_)
    for turn in range(_TURNS):
        chances = _chances(run, worth, [pairs[i] for i in asked.tolist()], need[asked] / does[asked])
        worse[asked] = np.any(chances > before[asked], axis=1)
        p = chances[:, run.target.column]
        if turn:
            asked, p = asked[p > goal[asked]], p[p > goal[asked]]
        same = np.array([worth.equivalent(k, x) for k, x in zip(place_of[asked].tolist(), p.tolist(), strict=True)])
        does[asked] *= np.minimum(same / np.maximum(need[asked], 1e-300), 1.0 - _LESS * (2.0**turn - 1.0))
        asked = asked[(p > goal[asked]) & (does[asked] > LEAST_QUALITY)]
        if not len(asked):
            break
    does = np.where(worse, 0.0, does)
    pockets = [worth.pockets[k] for k in place_of.tolist()]
    found = zip(pockets, pairs, np.maximum(does, 0.5 * LEAST_QUALITY).tolist(), strict=True)
    return {(pocket.row, pocket.position, pair[1]): one for pocket, pair, one in found}


def _chances(
    run: DeskRun, worth: Worth, pairs: Sequence[tuple[int, str, Kind, float]], dollars: FloatArray
) -> FloatArray:
    """P of pockets that get so many counted dollars of an asset, shape (m, 4); 1 where it is not known."""
    tried = []
    for (k, asset, kind, value), size in zip(pairs, dollars.tolist(), strict=True):
        pocket = worth.pockets[k]
        tried.append(apply_move(pocket.account, Move(kind, asset, pocket.place, None, 1.0, math.inf), size / value))
    seen = run.evaluate(tried, np.array([worth.pockets[k].row for k, _, _, _ in pairs], np.int64))
    return np.nan_to_num(seen.p, nan=1.0)
