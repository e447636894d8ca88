"""A bound from prices: every account is served alone, and pays for what it takes from the shared inventories.

Where fixed costs weigh, the linear relaxation is weak, since it spreads them over sizes that nobody sends. Here the
inventories alone are relaxed (Lagrange): at given prices of their units each account is a problem of its own, which is
bounded closely, and the prices are moved until no higher bound is found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.rebalance.joint.problem import DeskProblem, sums
from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["Priced", "price_bound", "tolls"]

_STEPS = 300
_PATIENCE = 12
_FAR = 1e30


@dataclass(frozen=True, slots=True, eq=False)
class Priced:
    """The best bound that prices gave.

    Parameters
    ----------
    bound : float
        No plan that meets the needs costs less, dollars.
    price : ndarray, shape (K,)
        Dollars of one unit of each pool that gave it.
    """

    bound: float
    price: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """The arcs of each account that needs something, side by side; rows padded with arcs of no use."""

    arc: IntArray
    real: BoolArray
    goal: FloatArray
    loss: FloatArray
    ahead: FloatArray
    gain: FloatArray
    fixed_loss: float


def price_bound(
    problem: DeskProblem, price: FloatArray, upper: float, end: float, clock: Callable[[], float]
) -> Priced:
    """Bound the cost of a desk from below.

    Parameters
    ----------
    problem : DeskProblem
        The problem.
    price : ndarray, shape (K,)
        Prices to start from, dollars of one unit of each pool, >= 0.
    upper : float
        Cost of a plan that is known; inf where none is.
    end : float
        When to stop, on the clock.
    clock : callable
        Seconds.

    Returns
    -------
    Priced
        The best bound found; -inf where there is nothing to bound.

    Notes
    -----
    Smallest sizes and the limits of caps, shares, moves and the run are left out, which only lowers the bound; so does
    taking a transfer of an account as a share of its largest useful size.

    References
    ----------
    M. Held, P. Wolfe, H. P. Crowder, "Validation of subgradient optimization", Mathematical Programming 6 (1974).
    """
    table = _table(problem)
    best, kept = -np.inf, price
    if table is None:
        return Priced(best, price)
    scale, waited, dollars = 1.0, 0, np.maximum(problem.pools.price, 1e-300)
    for _ in range(_STEPS):
        value, drawn = _served(problem, table, price)
        if value > best:
            best, kept, waited = value, price, 0
        else:
            waited += 1
        slope = (drawn - problem.pools.free) * dollars
        slope = np.where((price <= 0) & (slope < 0), 0.0, slope)
        size = float(slope @ slope)
        aim = upper if np.isfinite(upper) else best + 0.1 * abs(best)
        if size <= 0 or best >= aim or clock() > end or scale < 1e-3:
            break
        if waited >= _PATIENCE:
            scale, waited, price = scale / 2, 0, kept
            continue
        price = np.maximum(price + scale * (aim - value) / size * slope * dollars, 0.0)
    return Priced(best, kept)


def tolls(problem: DeskProblem, price: FloatArray) -> FloatArray:
    """Rank transfers: dollars that a dollar of the need of its account costs by each, prices of inventories included.

    Parameters
    ----------
    problem : DeskProblem
        The problem.
    price : ndarray, shape (K,)
        Dollars of one unit of each pool.

    Returns
    -------
    ndarray, shape (R,)
        The smaller, the better for its account.
    """
    a = problem.arcs
    toll = np.where(a.pool >= 0, price[np.maximum(a.pool, 0)], 0.0)
    need = np.maximum(problem.curves.need[a.account], 1e-9)
    covered = np.minimum(a.most * a.value, need)
    size = np.maximum(np.minimum(a.most, need / a.value), a.least)
    return (a.fixed + toll * a.fixed_units + (a.rate + toll * a.draw) * size) / np.maximum(covered, 1e-300)


def _table(problem: DeskProblem) -> _Table | None:
    a, c = problem.arcs, problem.curves
    owners = np.unique(a.account[c.need[a.account] > 0])
    if not len(owners):
        return None
    rows = [np.flatnonzero(a.account == i) for i in owners.tolist()]
    width = max(len(r) for r in rows)
    arc, real = np.zeros((len(owners), width), np.int64), np.zeros((len(owners), width), np.bool_)
    for k, r in enumerate(rows):
        arc[k, : len(r)], real[k, : len(r)] = r, True
    points = np.sort(np.maximum(c.value[owners], c.need[owners][:, None]), axis=1)
    loss = np.stack([np.interp(points[k], c.value[i], c.loss[i]) for k, i in enumerate(owners.tolist())])
    useful = np.minimum(problem.useful()[owners], np.where(real, (a.most * a.value)[arc], 0.0).sum(axis=1))
    wanted = np.concatenate([[True], np.any(points[:, 1:] < useful[:, None], axis=0)])
    points = np.concatenate([c.need[owners][:, None], points], axis=1)
    loss = np.concatenate([loss[:, :1], loss], axis=1)
    ahead = np.concatenate([np.diff(points, axis=1), np.zeros((len(owners), 1))], axis=1)
    gain = np.concatenate([loss[:, 1:], loss[:, -1:]], axis=1)
    keep = np.concatenate([[True], wanted])
    others = np.setdiff1d(np.arange(len(problem.accounts)), owners)
    fixed = float(c.loss[others, -1].sum())
    return _Table(arc, real, points[:, keep], loss[:, keep], ahead[:, keep], gain[:, keep], fixed)


def _served(problem: DeskProblem, table: _Table, price: FloatArray) -> tuple[float, FloatArray]:
    """The bound at some prices, and what the accounts would draw of each pool."""
    a, arc = problem.arcs, table.arc
    toll = np.where(a.pool >= 0, price[np.maximum(a.pool, 0)], 0.0)
    unit = np.where(table.real, (a.rate + toll * a.draw)[arc], _FAR)
    flat = (a.fixed + toll * a.fixed_units)[arc]
    cheapest = (unit / a.value[arc]).min(axis=1)
    best = np.full(len(arc), np.inf)
    chosen = np.zeros(arc.shape)
    for j in range(table.goal.shape[1]):
        goal = table.goal[:, j]
        cost, sent = _covered(problem, table, unit, flat, goal)
        total = cost + np.minimum(table.loss[:, j], cheapest * table.ahead[:, j] + table.gain[:, j])
        better = total < best
        best[better], chosen[better] = total[better], sent[better]
    used = chosen > 0
    units = np.where(used, chosen * a.draw[arc] + a.fixed_units[arc], 0.0)
    inside = table.real & (a.pool[arc] >= 0)
    drawn = sums(a.pool[arc][inside], units[inside], len(price))
    return float(best.sum()) + table.fixed_loss - float(price @ problem.pools.free), drawn


def _covered(
    problem: DeskProblem, table: _Table, unit: FloatArray, flat: FloatArray, goal: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Least cost at which transfers cover a goal when each may be used in part, and what is sent then."""
    a, arc = problem.arcs, table.arc
    value = a.value[arc]
    room = np.where(table.real, np.minimum(a.most[arc] * value, goal[:, None]), 0.0)
    whole = flat + unit * room / value
    per_dollar = np.where(room > 0, whole / np.where(room > 0, room, 1.0), _FAR)
    order = np.argsort(per_dollar, axis=1, kind="stable")
    sorted_room = np.take_along_axis(room, order, axis=1)
    before = np.cumsum(sorted_room, axis=1) - sorted_room
    taken = np.clip(goal[:, None] - before, 0.0, sorted_room)
    cost = (taken * np.take_along_axis(per_dollar, order, axis=1)).sum(axis=1)
    lacks = sorted_room.sum(axis=1) < goal * (1 - 1e-9)
    sent = np.zeros(arc.shape)
    np.put_along_axis(sent, order, taken, axis=1)
    return np.where(lacks, _FAR, cost), sent / value
