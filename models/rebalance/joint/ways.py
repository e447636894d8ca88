"""The cheapest way to serve each account at given prices: the question that a bound by columns asks.

A way is a set of transfers to one account. It covers the need of the account by parts of its transfers, none of them
larger than the need; what is sent beyond the need is priced apart. One transfer alone keeps its step and its least
size. Of several together these are let go, and so is the fixed cost of what goes beyond the need: a way may be a little
too cheap, never too dear, so that what rests on it is a bound.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from models.margin._kernel import kernel
from models.rebalance.joint.problem import DeskProblem
from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["Ways", "loss_at"]

_NODES = 3_000
"""Sets of transfers tried for one account before what is left is bounded by its cheapest rate."""
_SAME = 1e-9
_NEED = 1e-6
"""Share of a need that a plan may lack, as `score` counts."""


class _Desk(NamedTuple):
    """A problem as the kernels read it."""

    first: IntArray
    by_account: IntArray
    least: FloatArray
    most: FloatArray
    step: FloatArray
    worth: FloatArray
    need: FloatArray
    value: FloatArray
    loss: FloatArray


class _Prices(NamedTuple):
    """Dollars of the use of each transfer, of one unit that covers a need, and of one unit beyond it."""

    use: FloatArray
    cover: FloatArray
    beyond: FloatArray


class _Served(NamedTuple):
    """What is found: cost of each account; units, dollars of the need covered, and use of each transfer."""

    cost: FloatArray
    units: FloatArray
    part: FloatArray
    used: FloatArray


class _Search(NamedTuple):
    """Sets of transfers under way: prices and sizes in rising order of price, and the best set.

    `last` is the transfer that completes the best set and, where that is all, another one that is used for nothing.
    """

    use: FloatArray
    rate: FloatArray
    size: FloatArray
    inside: BoolArray
    best: BoolArray
    last: IntArray
    cost: FloatArray
    nodes: IntArray
    next: IntArray
    lack: FloatArray
    spent: FloatArray


class Ways:
    """The ways to serve the accounts of one problem.

    Parameters
    ----------
    problem : DeskProblem
        A problem whose accounts share inventories and caps alone, see `exchanges`.
    """

    def __init__(self, problem: DeskProblem) -> None:
        a, curves = problem.arcs, problem.curves
        by = np.argsort(a.account, kind="stable")
        first = np.searchsorted(a.account[by], np.arange(len(problem.accounts) + 1))
        self.need = curves.need - _NEED * (1.0 + np.abs(curves.need))
        value, loss = np.ascontiguousarray(curves.value), np.ascontiguousarray(curves.loss)
        self._desk = _Desk(first, by, a.least, a.most, a.step, a.value, self.need, value, loss)

    def cheapest(
        self, use: FloatArray, cover: FloatArray, beyond: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Find the cheapest way of each account.

        Parameters
        ----------
        use : ndarray, shape (R,)
            Dollars of the use of each transfer; below 0 it is used in any case.
        cover, beyond : ndarray, shape (R,)
            Dollars of one unit that covers the need of its account, and of one beyond it.

        Returns
        -------
        cost : ndarray, shape (n,)
            Dollars with the loss of the account: a lower bound of every way; inf where there is none.
        units, part, used : ndarray, shape (R,)
            Units of each transfer, dollars of the need that it covers, and 1 where it is used.
        """
        n, r = len(self.need), len(use)
        found = _Served(np.zeros(n), np.zeros(r), np.zeros(r), np.zeros(r))
        _cheapest_ways(self._desk, _Prices(use, cover, beyond), found)
        return found.cost, found.units, found.part, found.used


@kernel
def loss_at(value: FloatArray, loss: FloatArray, added: float) -> float:
    """Give the loss of one account, linear between its points.

    Parameters
    ----------
    value, loss : ndarray, shape (J,)
        Added equity, rising, and the loss there, dollars.
    added : float
        Added equity, dollars.

    Returns
    -------
    float
        Dollars.
    """
    last = len(value) - 1
    if added >= value[last]:
        return loss[last]
    j = 0
    while j < last - 1 and added > value[j + 1]:
        j += 1
    width = value[j + 1] - value[j]
    share = min(max((added - value[j]) / width, 0.0), 1.0) if width > 0 else 1.0
    return loss[j] + share * (loss[j + 1] - loss[j])


@kernel
def _size(desk: _Desk, r: int, wanted: float, down: bool) -> float:
    """Size of a transfer near what is wanted, on its step; 0 where that is below the least."""
    least, most, step = desk.least[r], desk.most[r], desk.step[r]
    units = min(max(wanted, least), most)
    if step <= 0:
        return units
    if not down:
        return min(np.ceil(units / step - _SAME) * step, most)
    units = np.floor(units / step + _SAME) * step
    return units if units >= least * (1 - _SAME) else 0.0


@kernel
def _alone(desk: _Desk, prices: _Prices, i: int, r: int) -> tuple[float, float]:
    """Least cost of one transfer that meets a need, and its size; the use of others is not counted."""
    need, worth = desk.need[i], desk.worth[r]
    best, size, covering = np.inf, 0.0, need / worth
    for k in range(-1, len(desk.value[i])):
        level = need if k < 0 else desk.value[i, k]
        if level < need:
            continue
        for down in range(2):
            units = _size(desk, r, level / worth, down == 1)
            if units * worth < need * (1 - _SAME):
                continue
            cost = prices.use[r] + prices.cover[r] * covering + prices.beyond[r] * max(units - covering, 0.0)
            cost += loss_at(desk.value[i], desk.loss[i], units * worth)
            if cost < best:
                best, size = cost, units
    return best, size


@kernel
def _best_alone(desk: _Desk, prices: _Prices, i: int) -> tuple[float, int, float]:
    """Best single transfer: its cost with the use of those that are used in any case, the transfer, its size."""
    best, which, size = np.inf, -1, 0.0
    if desk.need[i] <= 0:
        return best, which, size
    always = _always(desk, prices, i)
    for r in desk.by_account[desk.first[i] : desk.first[i + 1]]:
        others = always - min(prices.use[r], 0.0)
        if prices.use[r] + prices.cover[r] * desk.need[i] / desk.worth[r] + others >= best:
            continue
        cost, units = _alone(desk, prices, i, r)
        if cost + others < best:
            best, which, size = cost + others, r, units
    return best, which, size


@kernel
def _always(desk: _Desk, prices: _Prices, i: int) -> float:
    """What the transfers with a use below 0 add."""
    total = 0.0
    for r in desk.by_account[desk.first[i] : desk.first[i + 1]]:
        total += min(prices.use[r], 0.0)
    return total


@kernel
def _beyond(desk: _Desk, prices: _Prices, i: int) -> tuple[float, int, float]:
    """Loss with the best amount beyond the need and what that costs at the cheapest rate; the transfer, dollars."""
    rate, which, need = np.inf, -1, max(desk.need[i], 0.0)
    for r in desk.by_account[desk.first[i] : desk.first[i + 1]]:
        if prices.beyond[r] / desk.worth[r] < rate:
            rate, which = prices.beyond[r] / desk.worth[r], r
    best, extra = loss_at(desk.value[i], desk.loss[i], need), 0.0
    for k in range(len(desk.value[i])):
        more = desk.value[i, k] - need
        if which >= 0 and more > 0 and rate * more + desk.loss[i, k] < best:
            best, extra = rate * more + desk.loss[i, k], more
    return best, which, extra


@kernel
def _cheapest_use(s: _Search, k: int) -> int:
    """The other transfer whose use costs least; -1 where there is none."""
    best = -1
    for j in range(len(s.use)):
        if j != k and (best < 0 or s.use[j] < s.use[best]):
            best = j
    return best


@kernel
def _visit(s: _Search, depth: int) -> bool:
    """Complete the set of so many by one more; whether to go on from there."""
    lack, spent = s.lack[depth], s.spent[depth]
    for k in range(len(s.use)):
        beside, cost = -1, spent + s.use[k] + s.rate[k] * lack
        if depth == 0:  # one alone is looked at apart, with its step
            beside = _cheapest_use(s, k)
            cost += s.use[beside] if beside >= 0 else np.inf
        if not s.inside[k] and s.size[k] >= lack * (1 - _SAME) and cost < s.cost[0]:
            s.cost[0], s.last[0], s.last[1] = cost, k, beside
            for j in range(len(s.use)):
                s.best[j] = s.inside[j]
    s.nodes[0] += 1
    if s.nodes[0] > _NODES:
        s.cost[1] = min(s.cost[1], spent + _least(s) * lack)
    return s.nodes[0] <= _NODES


@kernel
def _least(s: _Search) -> float:
    """Dollars that one dollar of a need costs at least."""
    return s.use[0] / s.size[0] + s.rate[0]


@kernel
def _branch(s: _Search) -> None:
    """Go through the sets of transfers at their full size that may be part of a cheaper way."""
    n, depth = len(s.use), 0
    going = _visit(s, 0)
    while depth >= 0:
        k = s.next[depth]
        if k >= n or not going:
            depth, going = depth - 1, True
            if depth >= 0:
                s.inside[s.next[depth] - 1] = False
            continue
        s.next[depth] = k + 1
        left, cost = s.lack[depth] - s.size[k], s.spent[depth] + s.use[k] + s.rate[k] * s.size[k]
        if left > _SAME * s.lack[depth] and cost + _least(s) * left < s.cost[0]:
            s.inside[k] = True
            depth += 1
            s.lack[depth], s.spent[depth], s.next[depth] = left, cost, k + 1
            going = _visit(s, depth)


@njit(cache=True, nogil=True)
def _search(desk: _Desk, prices: _Prices, i: int, below: float) -> tuple[_Search, IntArray]:
    """Sets of several transfers that cost less than so much, the use of those used in any case left out."""
    rows = desk.by_account[desk.first[i] : desk.first[i + 1]]
    size = np.minimum(desk.most[rows] * desk.worth[rows], desk.need[i])
    use, rate = np.maximum(prices.use[rows], 0.0), prices.cover[rows] / desk.worth[rows]
    order = np.argsort(use / size + rate)
    n = len(rows)
    found = _Search(
        use[order], rate[order], size[order], np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.full(2, -1),
        np.array([below, np.inf]), np.zeros(1, np.int64), np.zeros(n + 1, np.int64), np.zeros(n + 1), np.zeros(n + 1),
    )  # fmt: skip
    found.lack[0] = desk.need[i]
    if n > 0:
        _branch(found)
    return found, rows[order]


@njit(cache=True, nogil=True)
def _spread(desk: _Desk, prices: _Prices, i: int, below: float, out: _Served) -> float:
    """Best set of transfers with what goes beyond the need, where it costs less than so much; its cost."""
    rest, which, extra = _beyond(desk, prices, i)
    rest += _always(desk, prices, i)
    if desk.need[i] <= 0:
        cost, known = 0.0, True
    else:
        found, rows = _search(desk, prices, i, below - rest)
        known = found.last[0] >= 0
        cost = min(found.cost[0], found.cost[1])
        lack = desk.need[i]
        for k in range(len(rows)):
            if known and found.best[k]:
                out.part[rows[k]] = found.size[k]
                lack -= found.size[k]
        if known:
            out.part[rows[found.last[0]]] = lack
        if known and found.last[1] >= 0:
            out.used[rows[found.last[1]]] = 1.0
    if known and extra > 0:
        out.units[which] = extra / desk.worth[which]
    return cost + rest


@njit(cache=True, nogil=True)
def _cheapest_ways(desk: _Desk, prices: _Prices, out: _Served) -> None:
    """Find the cheapest way of each account, see `Ways.cheapest`.

    Parameters
    ----------
    desk : _Desk
        The problem.
    prices : _Prices
        Of the use and of the units of each transfer.
    out : _Served
        What is found is written there; zeros before.
    """
    for i in range(len(desk.need)):
        rows = desk.by_account[desk.first[i] : desk.first[i + 1]]
        alone, which, size = _best_alone(desk, prices, i)
        out.cost[i] = min(_spread(desk, prices, i, alone, out), alone)
        spread = out.part[rows].sum() > 0 or desk.need[i] <= 0
        for r in rows:
            out.units[r] += out.part[r] / desk.worth[r]
            out.used[r] = 1.0 if out.part[r] > 0 or prices.use[r] < 0 else out.used[r]
        if which >= 0 and not spread:
            out.units[which], out.part[which], out.used[which] = size, desk.need[i], 1.0
