"""Local search on whole plans: some accounts give back what they have and are served anew, in another order.

Accounts that share an inventory compete for its last units. A plan is improved by taking a few of them, returning what
they were sent, and serving them again one after the other, each in the best way that the others leave, with the prices
of the inventories counted in part. What is worse is taken with a probability that falls to nothing (annealing); the
best plan is kept. Thousands of such exchanges take a second, so that the solver is asked for the bound rather than
for plans.

References
----------
G. Schrimpf et al., "Record breaking optimization results using the ruin and recreate principle", Journal of
Computational Physics 159 (2000).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.margin._kernel import kernel
from models.rebalance.joint.problem import DeskProblem, score
from models.typing import FloatArray, IntArray

__all__ = ["exchanged", "exchanges"]

_CHUNK = 500
_CHUNKS = 2000
_RUINED = 8
_LONGEST = 12
_WARM = 0.03
"""Temperature to start from, as a share of the mean cost of an account."""
_SAME = 1e-9
_LEAST, _MOST, _STEP, _FIXED, _UNITS, _RATE, _DRAW, _VALUE = range(8)
"""Columns of the sizes of transfers."""


class _Desk(NamedTuple):
    """A problem as the kernels read it."""

    owners: IntArray
    first: IntArray
    by_account: IntArray
    pool_first: IntArray
    by_pool: IntArray
    account: IntArray
    pool: IntArray
    slot: IntArray
    sizes: FloatArray
    need: FloatArray
    value: FloatArray
    loss: FloatArray
    price: FloatArray


class _Now(NamedTuple):
    """A plan under way: what is left of pools and slots, amounts, cost of each account, and the random state."""

    free: FloatArray
    room: FloatArray
    amount: FloatArray
    cost: FloatArray
    toll: FloatArray
    random: NDArray[np.uint64]


def exchanges(problem: DeskProblem) -> bool:
    """Say whether a problem is one that the search knows: inventories and caps are all that accounts share.

    Parameters
    ----------
    problem : DeskProblem
        The problem.

    Returns
    -------
    bool
        False where accounts give, shares, moves or the run are limited, a transfer has impact or draws on nothing.
    """
    a = problem.arcs
    limited = problem.counts_moves or problem.max_run_value is not None
    plain = len(a.piece_arc) == len(a) and not a.piece_rate.any() and bool(np.all(a.pool >= 0))
    return plain and not limited and bool(np.all(problem.pools.account < 0) and np.all(problem.slots.share >= 1))


def exchanged(
    problem: DeskProblem,
    amount: FloatArray,
    price: FloatArray,
    near: Callable[[float], bool],
    end: float,
    clock: Callable[[], float],
) -> FloatArray:
    """Improve a plan.

    Parameters
    ----------
    problem : DeskProblem
        A problem of which `exchanges` holds.
    amount : ndarray, shape (R,)
        A plan that keeps every limit and meets every need.
    price : ndarray, shape (K,)
        Dollars that one unit of each pool is worth to the other accounts, as a relaxation says.
    near : callable
        Whether a cost is low enough to stop.
    end : float
        When to stop, on the clock.
    clock : callable
        Seconds.

    Returns
    -------
    ndarray, shape (R,)
        A plan that keeps every limit, meets every need and costs no more.
    """
    desk, cost = _desk(problem, price), score(problem, amount).cost
    limits = problem.pools.free, problem.slots.room
    random = np.array([1], np.uint64)
    start, now, best, lowest, base = clock(), amount, amount, 0.0, 0.0
    for _ in range(_CHUNKS):
        spent = (clock() - start) / max(end - start, 1e-9)
        if spent >= 1 or near(cost + lowest):
            break
        heat = _WARM * (1.0 - spent) ** 2 * cost / max(len(desk.owners), 1)
        now, found, lead, least = _explored(desk, *limits, now, random, _CHUNK, heat)
        if base + least < lowest - _SAME:
            best, lowest = found, base + least
        base += lead
    return best


def _desk(problem: DeskProblem, price: FloatArray) -> _Desk:
    a, curves = problem.arcs, problem.curves
    by_account, by_pool = np.argsort(a.account, kind="stable"), np.argsort(a.pool, kind="stable")
    first = np.searchsorted(a.account[by_account], np.arange(len(problem.accounts) + 1))
    pool_first = np.searchsorted(a.pool[by_pool], np.arange(len(price) + 1))
    sizes = np.column_stack([a.least, a.most, a.step, a.fixed, a.fixed_units, a.rate, a.draw, a.value])
    return _Desk(
        np.flatnonzero(np.diff(first) > 0), first, by_account, pool_first, by_pool, a.account, a.pool, a.slot, sizes,
        curves.need, np.ascontiguousarray(curves.value), np.ascontiguousarray(curves.loss), price,
    )  # fmt: skip


@kernel
def _random(now: _Now, n: int) -> int:
    """One of 0 to n - 1: a linear congruential generator (Knuth's MMIX), its upper bits."""
    now.random[0] = now.random[0] * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
    return int(np.float64(now.random[0] >> np.uint64(33)) / 2147483648.0 * n)


@kernel
def _loss(value: FloatArray, loss: FloatArray, added: float) -> float:
    """Loss of one account, linear between its points."""
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
def _up(desk: _Desk, r: int, units: float) -> float:
    """Smallest size of a transfer that is not below."""
    wanted, step = max(units, desk.sizes[r, _LEAST]), desk.sizes[r, _STEP]
    return np.ceil(wanted / step - 1e-9) * step if step > 0 else wanted


@kernel
def _room(desk: _Desk, now: _Now, r: int) -> float:
    """Largest size of a transfer that the limits leave; 0 where it cannot be made, or is made already."""
    if now.amount[r] > 0:
        return 0.0
    inside = (now.free[desk.pool[r]] - desk.sizes[r, _UNITS]) / desk.sizes[r, _DRAW]
    most, step = min(desk.sizes[r, _MOST], inside, now.room[desk.slot[r]]), desk.sizes[r, _STEP]
    if step > 0:
        most = np.floor(most / step + 1e-9) * step
    return most if most > 0 and most >= desk.sizes[r, _LEAST] * (1 - 1e-12) else 0.0


@kernel
def _price(desk: _Desk, now: _Now, r: int, units: float) -> float:
    """What a transfer costs, tolls included."""
    toll, own = now.toll[desk.pool[r]], desk.sizes[r]
    return own[_FIXED] + toll * own[_UNITS] + (own[_RATE] + toll * own[_DRAW]) * units


@kernel
def _single(desk: _Desk, now: _Now, i: int, base: float) -> tuple[float, int, float]:
    """Best transfer that meets the rest of a need: price and loss, the transfer, its size; -1 where there is none."""
    best, which, size, need = np.inf, -1, 0.0, desk.need[i]
    for r in desk.by_account[desk.first[i] : desk.first[i + 1]]:
        most, worth = _room(desk, now, r), desk.sizes[r, _VALUE]
        if most * worth + base < need * (1 - _SAME) or _price(desk, now, r, 0.0) >= best:
            continue
        for level in desk.value[i]:
            units = min(_up(desk, r, (max(level, need) - base) / worth), most)
            cost = _price(desk, now, r, units) + _loss(desk.value[i], desk.loss[i], base + units * worth)
            if cost < best:
                best, which, size = cost, r, units
            if units >= most:
                break
    return best, which, size


@kernel
def _double(desk: _Desk, now: _Now, i: int, base: float, best: float) -> tuple[float, int, int]:
    """Best pair, the first as large as it can be and not enough: its price, the first; and the cheapest such."""
    before, cheapest, fill, need = -1, np.inf, -1, desk.need[i]
    for r in desk.by_account[desk.first[i] : desk.first[i + 1]]:
        most = _room(desk, now, r)
        worth = most * desk.sizes[r, _VALUE]
        if most <= 0 or worth + base >= need:
            continue
        price = _price(desk, now, r, most)
        if price / worth < cheapest:
            cheapest, fill = price / worth, r
        if price >= best:
            continue
        _take(desk, now, r, most)
        cost = _single(desk, now, i, base + worth)[0]
        _take(desk, now, r, -most)
        if price + cost < best:
            best, before = price + cost, r
    return best, before, fill


@kernel
def _serve(desk: _Desk, now: _Now, i: int) -> bool:
    """Serve one account, and set what it costs with its loss; whether its need is met."""
    base, spent = 0.0, 0.0
    for _ in range(_LONGEST):
        best, which, size = _single(desk, now, i, base)
        _, before, fill = _double(desk, now, i, base, best)
        if which >= 0 and before < 0:
            spent += _take(desk, now, which, size)
            base += size * desk.sizes[which, _VALUE]
            now.cost[i] = spent + _loss(desk.value[i], desk.loss[i], base)
            return True
        first = before if before >= 0 else fill
        if first < 0:
            return False
        units = _room(desk, now, first)
        spent += _take(desk, now, first, units)
        base += units * desk.sizes[first, _VALUE]
    return False


@kernel
def _take(desk: _Desk, now: _Now, r: int, units: float) -> float:
    """Make a transfer, or take it back (units below 0), and give its cost."""
    sign, own = 1.0 if units > 0 else -1.0, desk.sizes[r]
    now.free[desk.pool[r]] -= sign * own[_UNITS] + units * own[_DRAW]
    now.room[desk.slot[r]] -= units
    now.amount[r] = units if units > 0 else 0.0
    return sign * own[_FIXED] + units * own[_RATE]


@kernel
def _given_back(desk: _Desk, now: _Now, chosen: IntArray, arc: IntArray, size: FloatArray) -> int:
    """Take back what accounts were sent, and remember it; how many transfers that were."""
    kept = 0
    for i in chosen:
        for r in desk.by_account[desk.first[i] : desk.first[i + 1]]:
            if now.amount[r] > 0:
                arc[kept], size[kept] = r, now.amount[r]
                kept += 1
                _take(desk, now, r, -now.amount[r])
    return kept


@kernel
def _served(desk: _Desk, now: _Now, chosen: IntArray) -> bool:
    """Serve accounts one after the other; whether the needs of all are met."""
    met = True
    for i in chosen:
        met = met and _serve(desk, now, i)
    return met


@njit(cache=True, nogil=True)
def _started(desk: _Desk, free: FloatArray, room: FloatArray, amount: FloatArray, random: NDArray[np.uint64]) -> _Now:
    """A plan under way, from its amounts."""
    cost, added = np.zeros(len(desk.need)), np.zeros(len(desk.need))
    now = _Now(free.copy(), room.copy(), amount.copy(), cost, desk.price.copy(), random)
    for r in range(len(amount)):
        if amount[r] > 0:
            cost[desk.account[r]] += _take(desk, now, r, amount[r])
            added[desk.account[r]] += amount[r] * desk.sizes[r, _VALUE]
    for i in desk.owners:
        cost[i] += _loss(desk.value[i], desk.loss[i], added[i])
    return now


@njit(cache=True, nogil=True)
def _explored(
    desk: _Desk, free: FloatArray, room: FloatArray, amount: FloatArray, random: NDArray[np.uint64], tries: int,
    heat: float,
) -> tuple[FloatArray, FloatArray, float, float]:  # fmt: skip
    """Try exchanges: the last plan and the best one, and what they cost more than the first."""
    now = _started(desk, free, room, amount, random)
    best, lead, lowest = amount.copy(), 0.0, 0.0
    room_for = 2 * len(amount)  # what is taken back, and what takes its place
    ruined, arc, size = np.zeros(_RUINED, np.int64), np.zeros(room_for, np.int64), np.zeros(room_for)
    for _ in range(tries):
        chosen = ruined[: _ruined(desk, now, ruined)]
        before, old = now.cost[chosen].sum(), now.cost[chosen].copy()
        kept = _given_back(desk, now, chosen, arc, size)
        now.toll[:] = 0.5 * _random(now, 4) * desk.price
        met = _served(desk, now, chosen)
        more = now.cost[chosen].sum() - before
        if met and more <= -heat * np.log((_random(now, 1 << 30) + 1.0) / (1 << 30)):
            lead += more
            if lead < lowest - _SAME:
                lowest = lead
                best[:] = now.amount
            continue
        _given_back(desk, now, chosen, arc[kept:], size[kept:])
        for k in range(kept):
            _take(desk, now, arc[k], size[k])
        now.cost[chosen] = old
    return now.amount, best, lead, lowest


@kernel
def _ruined(desk: _Desk, now: _Now, chosen: IntArray) -> int:
    """Choose accounts that share one or two inventories, in random order; how many."""
    wanted, count = 1 + _random(now, len(chosen)), 1
    chosen[0] = desk.owners[_random(now, len(desk.owners))]
    for _ in range(2):
        pool = desk.pool[_one_of(desk, now, chosen[_random(now, count)])]
        low, high = desk.pool_first[pool], desk.pool_first[pool + 1]
        start = _random(now, high - low)
        for k in range(high - low):
            r = desk.by_pool[low + (start + k) % (high - low)]
            if count < wanted and now.amount[r] > 0 and not _among(chosen, count, desk.account[r]):
                chosen[count] = desk.account[r]
                count += 1
    for c in range(count - 1, 0, -1):
        d = _random(now, c + 1)
        chosen[c], chosen[d] = chosen[d], chosen[c]
    return count


@kernel
def _among(chosen: IntArray, count: int, i: int) -> bool:
    """Whether an account is one of the first so many."""
    found = False
    for c in range(count):
        found = found or chosen[c] == i
    return found


@kernel
def _one_of(desk: _Desk, now: _Now, i: int) -> int:
    """A transfer that an account could get or, half of the time, one that it gets."""
    low, high = desk.first[i], desk.first[i + 1]
    if _random(now, 2) == 0:
        for r in desk.by_account[low:high]:
            if now.amount[r] > 0:
                return r
    return desk.by_account[low + _random(now, high - low)]
