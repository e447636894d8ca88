"""Offers to many accounts on shared inventories: at most one for each account, together worth the most.

A multiple-choice knapsack with a knapsack for each inventory. The linear relaxation gives a bound and the price of one
more unit of each inventory; offers are rounded at those prices, and the rest is left to the mixed-integer solver.

References
----------
H. Kellerer, U. Pferschy, D. Pisinger, "Knapsack Problems", Springer (2004), chapter 11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array, vstack

from models.rebalance.joint.problem import sums
from models.typing import FloatArray, IntArray

__all__ = ["Choice", "Limits", "Offers", "choose"]

_STOPPED = 1
_TIGHT = 1e-9
_LEAST_SECONDS = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Offers:
    """N offers.

    Parameters
    ----------
    account : ndarray of int, shape (N,)
        Whom it helps, >= 0.
    pool : ndarray of int, shape (N,)
        The inventory that it draws on.
    draw : ndarray, shape (N,)
        Units that leave the inventory, > 0.
    dollars : ndarray, shape (N,)
        Dollars moved.
    value : ndarray, shape (N,)
        Dollars that it is worth, its costs taken off.
    """

    account: IntArray
    pool: IntArray
    draw: FloatArray
    dollars: FloatArray
    value: FloatArray

    def __len__(self) -> int:
        return len(self.value)

    def take(self, rows: IntArray) -> Offers:
        """Some of the offers."""
        return Offers(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """What all offers together may use.

    Parameters
    ----------
    free : ndarray, shape (K,)
        Units that may leave each inventory.
    max_moves : int or None
        Most offers.
    max_dollars : float or None
        Most dollars moved.
    """

    free: FloatArray
    max_moves: int | None = None
    max_dollars: float | None = None

    def rows(self, offers: Offers) -> tuple[csr_array, FloatArray]:
        """One row for each inventory, one for the number and one for the dollars, and what each may be at most."""
        n, k = len(offers), len(self.free)
        every, scale = np.arange(n), self.scale(offers)
        share = offers.draw / scale[offers.pool]
        count = np.full(n, 0.0 if self.max_moves is None else 1.0 / max(self.max_moves, 1e-300))
        moved = np.zeros(n) if self.max_dollars is None else offers.dollars / max(self.max_dollars, 1e-300)
        row = np.concatenate([offers.pool, np.full(n, k), np.full(n, k + 1)])
        column = np.concatenate([every, every, every])
        most = np.concatenate([self.free / scale, np.ones(2)])
        return csr_array((np.concatenate([share, count, moved]), (row, column)), shape=(k + 2, n)), most

    def scale(self, offers: Offers) -> FloatArray:
        """Largest draw on each inventory, by which its row is divided; shape (K,)."""
        out = np.zeros(len(self.free))
        np.maximum.at(out, offers.pool, offers.draw)
        return np.where(out > 0.0, out, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What is taken, and how good that is known to be.

    Parameters
    ----------
    taken : ndarray of int
        Offers, rising.
    value, bound : float
        Dollars that they are worth; no choice is worth more than the bound.
    price : ndarray, shape (K,)
        Dollars that one more unit of each inventory is worth to the relaxation.
    timed_out : bool
        Whether the solver ran out of time.
    """

    taken: IntArray
    value: float
    bound: float
    price: FloatArray
    timed_out: bool = False

    @property
    def gap(self) -> float:
        """How much more could at most be had, as a share of the bound."""
        return max(self.bound - self.value, 0.0) / max(abs(self.bound), 1e-9)


def choose(offers: Offers, limits: Limits, seconds: float = 2.0, gap: float = 0.001) -> Choice:
    """Take offers, at most one for each account, that are worth the most together.

    Parameters
    ----------
    offers : Offers
        The offers. Those that are worth nothing take no part; those that do not fit by themselves are not taken, but
        count in the prices: an empty inventory has one, too.
    limits : Limits
        What there is.
    seconds : float
        For the solver; 0: rounding at the prices of the relaxation alone.
    gap : float
        Relative distance to the bound that is good enough.

    Returns
    -------
    Choice
        Within every limit.

    Examples
    --------
    >>> two = Offers(np.array([0, 1]), np.array([0, 0]), np.array([3.0, 2.0]), np.zeros(2), np.array([5.0, 4.0]))
    >>> found = choose(two, Limits(np.array([4.0])))
    >>> found.taken.tolist(), found.value, found.bound
    ([0], 5.0, 5.0)
    """
    good = offers.value > 0
    rows = np.flatnonzero(good & (offers.draw <= limits.free[offers.pool] * (1 + _TIGHT)))
    wanted = np.flatnonzero(good)
    if not len(wanted) or limits.max_moves == 0:
        return Choice(np.zeros(0, np.int64), 0.0, 0.0, np.zeros(len(limits.free)))
    bound, price = _relaxed(offers.take(wanted), limits)
    if not len(rows):
        return Choice(rows, 0.0, 0.0, price)
    part = offers.take(rows)
    if len(rows) < len(wanted):
        bound, inside = _relaxed(part, limits)
    else:
        inside = price
    rounded = _rounded(part, limits, inside)
    value = float(part.value[rounded].sum())
    if seconds <= 0 or bound - value <= gap * abs(bound) + _TIGHT:
        return Choice(np.sort(rows[rounded]), value, max(bound, value), price)
    matrix, most, _ = _programme(part, limits)
    found = milp(
        -part.value,
        integrality=np.ones(len(part), np.int64),
        bounds=Bounds(0.0, 1.0),
        constraints=LinearConstraint(matrix, -np.inf, most),
        options={"time_limit": max(seconds, _LEAST_SECONDS), "mip_rel_gap": gap},
    )
    taken, bound = _better(part, limits, found, rounded, bound)
    value = float(part.value[taken].sum())
    return Choice(np.sort(rows[taken]), value, max(bound, value), price, found.status == _STOPPED)


def _relaxed(offers: Offers, limits: Limits) -> tuple[float, FloatArray]:
    """The most that parts of offers can be worth, and the price of one more unit of each inventory."""
    matrix, most, owners = _programme(offers, limits)
    found = linprog(-offers.value, A_ub=matrix, b_ub=most, bounds=(0.0, 1.0), method="highs")
    dual = np.maximum(-found.ineqlin.marginals, 0.0)
    return -float(found.fun), dual[owners : owners + len(limits.free)] / limits.scale(offers)


def _programme(offers: Offers, limits: Limits) -> tuple[Any, FloatArray, int]:
    """Rows, what each may be at most, and the number of the rows of accounts, which come first."""
    _, owner = np.unique(offers.account, return_inverse=True)
    count = int(owner.max()) + 1
    shared, most = limits.rows(offers)
    one = csr_array((np.ones(len(offers)), (owner, np.arange(len(offers)))), shape=(count, len(offers)))
    return vstack([one, shared], format="csr"), np.concatenate([np.ones(count), most]), count


def _rounded(offers: Offers, limits: Limits, price: FloatArray) -> IntArray:
    """Take offers one by one, by what is left of their value at the prices for a share of what they draw."""
    left, moves, moved = limits.free.copy(), 0, 0.0
    most_moves = np.inf if limits.max_moves is None else limits.max_moves
    most_dollars = np.inf if limits.max_dollars is None else limits.max_dollars
    surplus = offers.value - price[offers.pool] * offers.draw
    served: set[int] = set()
    taken = []
    for j in np.lexsort((-offers.value, -surplus)).tolist():
        owner, pool, dollars = int(offers.account[j]), int(offers.pool[j]), float(offers.dollars[j])
        fits = offers.draw[j] <= left[pool] * (1 + _TIGHT) and moved + dollars <= most_dollars * (1 + _TIGHT)
        if owner in served or not fits or moves >= most_moves:
            continue
        left[pool] -= offers.draw[j]
        moves, moved = moves + 1, moved + dollars
        served.add(owner)
        taken.append(j)
    return np.array(taken, np.int64)


def _better(offers: Offers, limits: Limits, found: Any, rounded: IntArray, bound: float) -> tuple[IntArray, float]:
    """The better of what the solver and rounding found, and the better bound."""
    if found.mip_dual_bound is not None and np.isfinite(found.mip_dual_bound):
        bound = min(bound, -float(found.mip_dual_bound))
    if found.x is None:
        return rounded, bound
    taken = np.flatnonzero(found.x > 0.5)
    inside = sums(offers.pool[taken], offers.draw[taken], len(limits.free)) <= limits.free * (1 + 1e-6)
    good = bool(inside.all()) and offers.value[taken].sum() >= offers.value[rounded].sum()
    return (taken if good else rounded), bound
