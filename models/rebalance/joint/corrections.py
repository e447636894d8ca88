"""What a plan learns where the predictor refutes it: raised needs, closed links; and planning those accounts anew."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from models.rebalance.evaluate import Evaluation
from models.rebalance.joint.exchange import exchanged
from models.rebalance.joint.probe import money_move
from models.rebalance.joint.problem import DeskProblem, score
from models.rebalance.joint.rounding import tightened
from models.rebalance.joint.solve import solve
from models.typing import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from models.rebalance.joint.run import DeskRun

__all__ = ["Course", "amend", "planned_again"]

_AROUND = 15
_STEP = 1.01
_DUST = 0.1
_SHARE = 0.5
"""Share of the time of one correction in which accounts make room for others."""
_COOL = 0.02
"""Temperature from which plans are improved again."""


@dataclass(slots=True, eq=False)
class Course:
    """What a plan has learnt.

    Parameters
    ----------
    scale : ndarray, shape (n,)
        By how much each need is raised.
    closed : ndarray of bool, shape (R,)
        Links that take no part.
    least : ndarray, shape (n,), optional
        Equity that is added at least, beside the needs: that of the relaxation, where its tail is the smaller one.
    dusted : set of int
        Places of accounts to which some coins were closed since so few of them changed their kind.
    price : ndarray, shape (K,), optional
        Dollars of one unit of each pool, where the plan was found by exchanges between accounts at these prices.
    """

    scale: FloatArray
    closed: BoolArray
    least: FloatArray | None = None
    dusted: set[int] = field(default_factory=set)
    price: FloatArray | None = None


def planned_again(
    run: DeskRun, course: Course, amount: FloatArray, places: IntArray, end: float, time_limit: float, gap: float
) -> FloatArray:
    """Plan some accounts anew while the others keep what they have; more of them, where that leaves too little.

    Parameters
    ----------
    run : DeskRun
        The desk.
    course : Course
        What was learnt.
    amount : ndarray, shape (R,)
        Units of each link so far.
    places : ndarray of int
        Places of the accounts among the pockets.
    end, time_limit : float
        When all of it is to be done, on the monotonic clock, and the seconds that there were for it.
    gap : float
        Relative distance to the bound that is good enough.

    Returns
    -------
    ndarray, shape (R,)
        Units of each link.
    """
    problem, before, least = run.problem(course), amount, math.inf
    if course.price is not None and time_limit > 0:
        found = _exchanged(problem, course.price, amount, places, _SHARE * _left(end, time_limit))
        if not score(problem, found).short.any():
            return found
    others = np.setdiff1d(np.arange(len(run.worth.pockets)), places)
    lacked = float(score(problem, amount).short[others].sum())
    for group in (places, _around(run, amount, places), np.arange(run.worth.count)):
        found = _anew(run, problem, before, group, _left(end, time_limit), gap)
        short = score(problem, found).short
        if short.sum() < least:
            amount, least = found, float(short.sum())
        if least <= lacked * (1 + 1e-6):
            break
    return amount


def _exchanged(
    problem: DeskProblem, price: FloatArray, amount: FloatArray, places: IntArray, seconds: float
) -> FloatArray:
    """Serve some accounts anew, and let all others make room for them."""
    part = tightened(problem)
    rows = np.flatnonzero(part.arcs.most > 0)
    kept = np.where(np.isin(problem.arcs.account, places), 0.0, amount)[rows]
    end = time.monotonic() + seconds
    out = np.zeros(len(amount))
    out[rows] = exchanged(part.with_arcs(rows), kept, price, lambda cost: False, end, time.monotonic, _COOL)
    return out


def _around(run: DeskRun, amount: FloatArray, places: IntArray) -> IntArray:
    """Accounts, and some of those that draw on the inventories that these could draw on."""
    arcs = run.network.arcs
    pools = np.unique(arcs.pool[np.isin(arcs.account, places)])
    near = np.unique(arcs.account[(amount > 0) & np.isin(arcs.pool, pools)])
    return np.union1d(places, np.random.default_rng(0).permutation(near)[:_AROUND])


def _anew(
    run: DeskRun, problem: DeskProblem, amount: FloatArray, places: IntArray, seconds: float, gap: float
) -> FloatArray:
    """Plan some accounts anew while the others keep what they have."""
    givers = np.arange(run.worth.count, len(run.worth.pockets))
    chosen = np.unique(np.concatenate([places, givers]))
    mine = np.isin(run.network.arcs.account, chosen)
    rows, out = np.flatnonzero(mine), np.where(mine, 0.0, amount)
    out[rows] = solve(problem.among(chosen, rows, out), seconds, gap, shadow=False).amount
    return out


def amend(run: DeskRun, course: Course, amount: FloatArray, seen: Evaluation, worse: set[int]) -> IntArray:
    """Learn from what the predictor says of the plan.

    Parameters
    ----------
    run : DeskRun
        The desk.
    course : Course
        What is learnt is written there.
    amount : ndarray, shape (R,)
        Units of each link.
    seen : Evaluation
        The accounts with the plan carried out.
    worse : set of int
        Rows of the accounts that end worse than with no action.

    Returns
    -------
    ndarray of int
        Places of the accounts to plan anew.
    """
    problem, again = run.problem(replace(course, least=None)), []
    added, owner = problem.added(amount), run.worth.owner
    met = added >= problem.curves.need * (1 - 1e-6)
    for k, row in enumerate(owner.tolist()):
        p = float(seen.p[row, run.target.column])
        needs = k < run.worth.count and bool(run.worth.reached[k])
        if row in worse:
            again += _close(run, course, amount, k, row)
        elif needs and met[owner == row].all() and p > run.target.probability:
            if not _drop_dust(run, course, amount, k, float(added[k])):
                course.scale[k] *= _more(run, k, p, float(added[k]))
            again.append(k)
    return np.array(again, np.int64)


def _more(run: DeskRun, k: int, p: float, added: float) -> float:
    """By how much the need of a pocket is raised that has what it needs, though P of its account is over."""
    if np.sum(run.worth.owner[: run.worth.count] == run.worth.owner[k]) > 1:  # the curve is not that of P
        return _STEP * _STEP
    return max(_STEP, min(added / max(run.worth.equivalent(k, p), 1e-300), 2.0)) * 1.001


def _close(run: DeskRun, course: Course, amount: FloatArray, k: int, row: int) -> list[int]:
    """Close to an account that ends worse its trades, or else all coins, or else money, and what it gave."""
    arcs, coins, money = run.network.arcs, _coins(run, amount, row), _money(run, row)
    traded = np.array([x.trade is not None for x in run.network.links], np.bool_)
    mine = (arcs.account == k) & np.array([x.asset != money or not coins for x in run.network.links], np.bool_)
    if np.any(traded & (arcs.account == k) & (amount > 0)):
        mine = traded & (arcs.account == k)
    gave = np.array([x.giver == row for x in run.network.links], np.bool_)
    new = (mine | gave) & ~course.closed & (amount > 0)
    course.closed |= mine | gave
    return [int(place) for place in np.unique(arcs.account[new])]


def _drop_dust(run: DeskRun, course: Course, amount: FloatArray, k: int, added: float) -> bool:
    """Close coins that are a small part of what an account gets, and change its kind; whether there were any.

    The second time all coins are closed to it: another coin would only take the place of the last one.
    """
    arcs, row = run.network.arcs, int(run.worth.owner[k])
    coins, money = _coins(run, amount, row), _money(run, row)
    other = np.array([x.asset != money and x.trade is None for x in run.network.links], np.bool_)
    mine = (arcs.account == k) & other
    part = mine & np.array([x.asset in coins for x in run.network.links], np.bool_) & (amount > 0)
    if not part.any() or float((amount * arcs.value)[part].sum()) > _DUST * added:
        return False
    course.closed |= mine if k in course.dusted else part
    course.dusted.add(k)
    return True


def _money(run: DeskRun, row: int) -> str:
    """Asset by which the need of an account is measured."""
    own = run.weights[row]
    return "" if own is None else money_move(own, 0.0).asset


def _coins(run: DeskRun, amount: FloatArray, row: int) -> set[str]:
    """Assets sent to an account that are not the money by which its need is measured."""
    money = _money(run, row)
    used = [run.network.links[r] for r in np.flatnonzero(amount > 0).tolist()]
    return {link.asset for link in used if link.account == row and link.trade is None} - {money}


def _left(end: float, time_limit: float) -> float:
    """Seconds that one of several corrections may take; 0 where there is no solver."""
    return max(0.5 * (end - time.monotonic()), 0.02 * time_limit) if time_limit > 0 else 0.0
