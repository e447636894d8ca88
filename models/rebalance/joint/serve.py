"""How a plan under way serves one account: the best transfers that the others leave, compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.margin._kernel import kernel
from models.rebalance.joint.problem import DeskProblem
from models.rebalance.joint.ways import loss_at
from models.typing import FloatArray, IntArray

__all__ = ["TOLLS", "Now", "ServedDesk", "serve", "served_desk", "started", "take"]

TOLLS = (0.0, 0.5, 1.0, 1.5)
"""Parts of the prices of inventories at which accounts are served."""
_LONGEST = 12
_SAME = 1e-9
_ENOUGH = 1e-6
"""Share of a need, and dollars, that a plan may lack, as `score` counts."""
UNMET = 1e4
"""Dollars that one dollar of a need that is not met counts for."""
_LEAST, _MOST, _STEP, _FIXED, _UNITS, _RATE, _DRAW, _VALUE = range(8)
"""Columns of the sizes of transfers."""


class ServedDesk(NamedTuple):
    """A problem as the kernels read it.

    Parameters
    ----------
    owners : ndarray of int
        Accounts with transfers.
    first, by_account, pool_first, by_pool : ndarray of int
        Transfers by account and by pool, and where those of each begin.
    account, pool, slot, sizes, need, value, loss
        Of the problem; the columns of `sizes` are named in this module.
    price : ndarray, shape (K,)
        Dollars of one unit of each pool.
    alone, size : ndarray, shape (T, R)
        At each toll, what each transfer costs with the loss where it serves its account alone, and its size then.
    order : ndarray of int, shape (T, R)
        The transfers of each account by that cost.
    least_rate, least_use : ndarray, shape (T, n)
        The least that any transfer to an account costs by the dollar, and by its use.
    """

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
    alone: FloatArray
    size: FloatArray
    order: IntArray
    least_rate: FloatArray
    least_use: FloatArray


class Now(NamedTuple):
    """A plan under way.

    Parameters
    ----------
    free, room : ndarray
        What is left of pools and slots, units.
    amount : ndarray, shape (R,)
        Units of each transfer.
    cost : ndarray, shape (n,)
        Transfers and loss of each account, dollars.
    toll : ndarray, shape (K,)
        Dollars of one unit of each pool in the choice of transfers.
    turn : ndarray of int, shape (1,)
        Which of the tolls that is.
    random : ndarray of uint64, shape (1,)
        State of the generator.
    """

    free: FloatArray
    room: FloatArray
    amount: FloatArray
    cost: FloatArray
    toll: FloatArray
    turn: IntArray
    random: NDArray[np.uint64]


def served_desk(problem: DeskProblem, price: FloatArray) -> ServedDesk:
    """Lay a problem out for the kernels.

    Parameters
    ----------
    problem : DeskProblem
        A problem of which `exchanges` holds.
    price : ndarray, shape (K,)
        Dollars of one unit of each pool.

    Returns
    -------
    ServedDesk
        The same.
    """
    a, curves = problem.arcs, problem.curves
    by_account, by_pool = np.argsort(a.account, kind="stable"), np.argsort(a.pool, kind="stable")
    first = np.searchsorted(a.account[by_account], np.arange(len(problem.accounts) + 1))
    pool_first = np.searchsorted(a.pool[by_pool], np.arange(len(price) + 1))
    sizes = np.column_stack([a.least, a.most, a.step, a.fixed, a.fixed_units, a.rate, a.draw, a.value])
    none, shape = np.zeros(0), (len(TOLLS), len(a))
    desk = ServedDesk(
        np.flatnonzero(np.diff(first) > 0), first, by_account, pool_first, by_pool, a.account, a.pool, a.slot, sizes,
        curves.need, np.ascontiguousarray(curves.value), np.ascontiguousarray(curves.loss), price,
        np.empty(shape), np.empty(shape), np.empty(shape, np.int64), none, none,
    )  # fmt: skip
    _serve_alone(desk, np.array(TOLLS), desk.alone, desk.size)
    toll = np.array(TOLLS)[:, None] * price[a.pool]
    least = [np.full((len(TOLLS), len(problem.accounts)), np.inf) for _ in range(2)]
    for t in range(len(TOLLS)):
        desk.order[t] = np.lexsort((desk.alone[t], a.account))
        np.minimum.at(least[0][t], a.account, (a.rate + toll[t] * a.draw) / a.value)
        np.minimum.at(least[1][t], a.account, a.fixed + toll[t] * a.fixed_units)
    return desk._replace(least_rate=least[0], least_use=least[1])


@kernel
def _up(desk: ServedDesk, r: int, units: float) -> float:
    """Smallest size of a transfer that is not below."""
    wanted, step = max(units, desk.sizes[r, _LEAST]), desk.sizes[r, _STEP]
    return np.ceil(wanted / step - 1e-9) * step if step > 0 else wanted


@kernel
def _room(desk: ServedDesk, now: Now, r: int) -> float:
    """Largest size of a transfer that the limits leave; 0 where it cannot be made, or is made already."""
    if now.amount[r] > 0:
        return 0.0
    inside = (now.free[desk.pool[r]] - desk.sizes[r, _UNITS]) / desk.sizes[r, _DRAW]
    most, step = min(desk.sizes[r, _MOST], inside, now.room[desk.slot[r]]), desk.sizes[r, _STEP]
    if step > 0:
        most = np.floor(most / step + 1e-9) * step
    return most if most > 0 and most >= desk.sizes[r, _LEAST] * (1 - 1e-12) else 0.0


@kernel
def _price(desk: ServedDesk, now: Now, r: int, units: float) -> float:
    """What a transfer costs, tolls included."""
    toll, own = now.toll[desk.pool[r]], desk.sizes[r]
    return own[_FIXED] + toll * own[_UNITS] + (own[_RATE] + toll * own[_DRAW]) * units


@kernel
def _sized(desk: ServedDesk, now: Now, i: int, r: int, base: float, most: float) -> tuple[float, float]:
    """Least price and loss of a transfer that meets the rest of a need, and its size, where it has so much room."""
    best, size, worth, need = np.inf, 0.0, desk.sizes[r, _VALUE], desk.need[i]
    fixed = _price(desk, now, r, 0.0)
    rate = _price(desk, now, r, 1.0) - fixed
    for k in range(-1, len(desk.value[i])):
        level = need if k < 0 else desk.value[i, k]
        if k >= 0 and level <= need:
            continue
        units = min(_up(desk, r, (level - base) / worth), most)
        cost = fixed + rate * units + loss_at(desk.value[i], desk.loss[i], base + units * worth)
        if cost < best:
            best, size = cost, units
        if units >= most:
            break
    return best, size


@kernel
def _single(desk: ServedDesk, now: Now, i: int, base: float, below: float) -> tuple[float, int, float]:
    """Best transfer that meets the rest of a need: price and loss, the transfer, its size; -1 where none is below."""
    best, which, size, need, t = below, -1, 0.0, desk.need[i], now.turn[0]
    for r in desk.order[t, desk.first[i] : desk.first[i + 1]]:
        if base == 0 and desk.alone[t, r] >= best:
            break
        worth = desk.sizes[r, _VALUE]
        if base > 0 and _price(desk, now, r, max(need - base, 0.0) / worth) >= best:
            continue
        most = _room(desk, now, r)
        if base == 0 and desk.size[t, r] <= most:
            return desk.alone[t, r], r, desk.size[t, r]
        if most * worth + base >= need * (1 - _SAME):
            cost, units = _sized(desk, now, i, r, base, most)
            if cost < best:
                best, which, size = cost, r, units
    return best, which, size


@kernel
def _floor(desk: ServedDesk, now: Now, i: int, lack: float) -> float:
    """What the rest of a need costs at least, with the loss."""
    t = now.turn[0]
    return desk.least_use[t, i] + desk.least_rate[t, i] * lack + desk.loss[i, -1]


@kernel
def _double(desk: ServedDesk, now: Now, i: int, base: float, best: float) -> tuple[float, int, int]:
    """Best pair, the first as large as it can be and not enough: its price, the first; and the cheapest such."""
    before, cheapest, fill, need = -1, np.inf, -1, desk.need[i]
    rest = _floor(desk, now, i, need - base)
    if rest + desk.least_use[now.turn[0], i] >= best:
        return best, before, fill
    for r in desk.by_account[desk.first[i] : desk.first[i + 1]]:
        if _price(desk, now, r, 0.0) + rest >= best:
            continue
        most = _room(desk, now, r)
        worth = most * desk.sizes[r, _VALUE]
        if most <= 0 or worth + base >= need:
            continue
        price = _price(desk, now, r, most)
        if price / worth < cheapest:
            cheapest, fill = price / worth, r
        if price + _floor(desk, now, i, need - base - worth) >= best:
            continue
        take(desk, now, r, most)
        cost, other, _ = _single(desk, now, i, base + worth, best - price)
        take(desk, now, r, -most)
        if other >= 0 and price + cost < best:
            best, before = price + cost, r
    return best, before, fill


@kernel
def serve(desk: ServedDesk, now: Now, i: int) -> bool:
    """Serve one account that gets nothing so far, and set what it costs with its loss.

    Parameters
    ----------
    desk : ServedDesk
        The problem.
    now : Now
        The plan under way.
    i : int
        The account.

    Returns
    -------
    bool
        Whether its need is met.
    """
    base, spent = 0.0, 0.0
    for _ in range(_LONGEST):
        best, which, size = _single(desk, now, i, base, np.inf)
        _, before, fill = _double(desk, now, i, base, best)
        if which >= 0 and before < 0:
            spent += take(desk, now, which, size)
            base += size * desk.sizes[which, _VALUE]
            now.cost[i] = spent + loss_at(desk.value[i], desk.loss[i], base)
            return True
        first = before if before >= 0 else fill
        if first < 0:
            return False
        units = _room(desk, now, first)
        spent += take(desk, now, first, units)
        base += units * desk.sizes[first, _VALUE]
    return False


@kernel
def take(desk: ServedDesk, now: Now, r: int, units: float) -> float:
    """Make a transfer, or take it back.

    Parameters
    ----------
    desk : ServedDesk
        The problem.
    now : Now
        The plan under way.
    r : int
        The transfer.
    units : float
        Its size; below 0 to take it back.

    Returns
    -------
    float
        Its cost, dollars; below 0 where it is taken back.
    """
    sign, own = 1.0 if units > 0 else -1.0, desk.sizes[r]
    now.free[desk.pool[r]] -= sign * own[_UNITS] + units * own[_DRAW]
    now.room[desk.slot[r]] -= units
    now.amount[r] = units if units > 0 else 0.0
    return sign * own[_FIXED] + units * own[_RATE]


@njit(cache=True, nogil=True)
def started(
    desk: ServedDesk, free: FloatArray, room: FloatArray, amount: FloatArray, random: NDArray[np.uint64]
) -> Now:
    """Start from a plan.

    Parameters
    ----------
    desk : ServedDesk
        The problem.
    free, room : ndarray
        Units that pools have, and that slots admit.
    amount : ndarray, shape (R,)
        Units of each transfer.
    random : ndarray of uint64, shape (1,)
        State of the generator.

    Returns
    -------
    Now
        The plan under way; what an account lacks counts in its cost.
    """
    cost, added = np.zeros(len(desk.need)), np.zeros(len(desk.need))
    now = Now(free.copy(), room.copy(), amount.copy(), cost, desk.price.copy(), np.zeros(1, np.int64), random)
    for r in range(len(amount)):
        if amount[r] > 0:
            cost[desk.account[r]] += take(desk, now, r, amount[r])
            added[desk.account[r]] += amount[r] * desk.sizes[r, _VALUE]
    for i in desk.owners:
        cost[i] += loss_at(desk.value[i], desk.loss[i], added[i])
        if added[i] < desk.need[i] * (1 - _ENOUGH) - _ENOUGH:
            cost[i] += UNMET * (desk.need[i] - added[i])
    return now


@njit(cache=True, nogil=True)
def _serve_alone(desk: ServedDesk, tolls: FloatArray, alone: FloatArray, size: FloatArray) -> None:
    """Price each transfer that serves its account alone; inf where it is too small."""
    now = started(desk, desk.price * 0.0 + np.inf, np.full(1, np.inf), np.zeros(alone.shape[1]), np.zeros(1, np.uint64))
    for t in range(len(tolls)):
        now.toll[:] = tolls[t] * desk.price
        for r in range(alone.shape[1]):
            i, most = desk.account[r], desk.sizes[r, _MOST]
            enough = most * desk.sizes[r, _VALUE] >= desk.need[i] * (1 - _SAME) and most > 0
            alone[t, r], size[t, r] = _sized(desk, now, i, r, 0.0, most) if enough else (np.inf, np.inf)
