"""Local search on whole plans: some accounts give back what they have and are served anew, in another order.

Accounts that share an inventory compete for its last units. A plan is improved by taking a few of them, returning what
they were sent, and serving them again one after the other, each in the best way that the others leave, with the prices
of the inventories counted in part. What is worse is taken with a probability that falls to nothing (annealing); the
best plan is kept. A second is enough for tens of thousands of such exchanges, so that large desks need no solver.

References
----------
G. Schrimpf et al., "Record breaking optimization results using the ruin and recreate principle", Journal of
Computational Physics 159 (2000).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.margin._kernel import kernel
from models.rebalance.joint.problem import DeskProblem, score
from models.rebalance.joint.serve import TOLLS, UNMET, Now, ServedDesk, serve, served_desk, started, take
from models.typing import FloatArray, IntArray

__all__ = ["WARM", "exchanged", "exchanges", "searched"]

_CHUNK = 500
_SEED = 1
_CHUNKS = 2000
_RUINED, _MANY = 8, 24
"""Most accounts of an exchange, and of one in `_SELDOM`, so that even what many share is emptied."""
_SELDOM, _POOLS = 8, 4
_ORDERED = 3
"""In one of so many exchanges the largest need is served first: only an empty inventory may have room for it."""
WARM = 0.1
"""Temperature to start from, as a share of the mean cost of an account."""
_HEATS = (WARM, 4 * WARM)
"""Temperatures of the searches for large desks, a thread each: the plan of the higher one may be quite another."""
_SAME = 1e-9


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
    warm: float = WARM,
) -> FloatArray:
    """Improve a plan.

    Parameters
    ----------
    problem : DeskProblem
        A problem of which `exchanges` holds.
    amount : ndarray, shape (R,)
        A plan that keeps every limit. Accounts whose need it does not meet are served as soon as others make room.
    price : ndarray, shape (K,)
        Dollars that one unit of each pool is worth to the other accounts, as a relaxation says.
    near : callable
        Whether a cost is low enough to stop.
    end : float
        When to stop, on the clock.
    clock : callable
        Seconds.
    warm : float
        Temperature to start from, as a share of the mean cost of an account.

    Returns
    -------
    ndarray, shape (R,)
        A plan that keeps every limit, lacks no more of the needs and, where it lacks as much, costs no more.
    """
    seen = score(problem, amount)
    desk, cost = served_desk(problem, price), seen.cost + UNMET * float(seen.short.sum())
    limits = problem.pools.free, problem.slots.room
    random = np.array([_SEED], np.uint64)
    start, now, best, lowest, base = clock(), amount, amount, 0.0, 0.0
    for _ in range(_CHUNKS):
        spent = (clock() - start) / max(end - start, 1e-9)
        if spent >= 1 or near(cost + lowest):
            break
        heat = warm * (1.0 - spent) ** 2 * seen.cost / max(len(desk.owners), 1)
        now, found, lead, least = _explored(desk, *limits, now, random, _CHUNK, heat)
        if base + least < lowest - _SAME:
            best, lowest = found, base + least
        base += lead
    return best


def searched(
    problem: DeskProblem,
    amount: FloatArray,
    price: FloatArray,
    near: Callable[[float], bool],
    end: float,
    clock: Callable[[], float],
) -> list[FloatArray]:
    """Improve a plan twice at once, from a low and from a high temperature, until either is near enough.

    Parameters
    ----------
    problem, amount, price, near, end, clock
        As those of `exchanged`.

    Returns
    -------
    list of ndarray, shape (R,)
        What each search found.
    """
    done = Event()

    def enough(cost: float) -> bool:
        if near(cost):
            done.set()
        return done.is_set()

    with ThreadPoolExecutor(len(_HEATS)) as pool:
        tasks = [pool.submit(exchanged, problem, amount, price, enough, end, clock, heat) for heat in _HEATS]
        return [task.result() for task in tasks]


@kernel
def _random(now: Now, n: int) -> int:
    """One of 0 to n - 1: a linear congruential generator (Knuth's MMIX), its upper bits."""
    now.random[0] = now.random[0] * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
    return int(np.float64(now.random[0] >> np.uint64(33)) / 2147483648.0 * n)


@kernel
def _given_back(desk: ServedDesk, now: Now, chosen: IntArray, arc: IntArray, size: FloatArray) -> int:
    """Take back what accounts were sent, and remember it; how many transfers that were."""
    kept = 0
    for i in chosen:
        for r in desk.by_account[desk.first[i] : desk.first[i + 1]]:
            if now.amount[r] > 0:
                arc[kept], size[kept] = r, now.amount[r]
                kept += 1
                take(desk, now, r, -now.amount[r])
    return kept


@kernel
def _served(desk: ServedDesk, now: Now, chosen: IntArray) -> bool:
    """Serve accounts one after the other; whether the needs of all are met."""
    met = True
    for i in chosen:
        met = met and serve(desk, now, i)
    return met


@njit(cache=True, nogil=True)
def _explored(
    desk: ServedDesk, free: FloatArray, room: FloatArray, amount: FloatArray, random: NDArray[np.uint64], tries: int,
    heat: float,
) -> tuple[FloatArray, FloatArray, float, float]:  # fmt: skip
    """Try exchanges: the last plan and the best one, and what they cost more than the first."""
    now = started(desk, free, room, amount, random)
    best, lead, lowest = amount.copy(), 0.0, 0.0
    room_for = 2 * len(amount)  # what is taken back, and what takes its place
    ruined, arc, size = np.zeros(_MANY, np.int64), np.zeros(room_for, np.int64), np.zeros(room_for)
    for _ in range(tries):
        chosen = ruined[: _ruined(desk, now, ruined)]
        before, old = now.cost[chosen].sum(), now.cost[chosen].copy()
        kept = _given_back(desk, now, chosen, arc, size)
        now.turn[0] = _random(now, len(TOLLS))
        now.toll[:] = TOLLS[now.turn[0]] * desk.price
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
            take(desk, now, arc[k], size[k])
        now.cost[chosen] = old
    return now.amount, best, lead, lowest


@kernel
def _ruined(desk: ServedDesk, now: Now, chosen: IntArray) -> int:
    """Choose accounts that share one or two inventories, in random order; how many."""
    wanted, count = 1 + _random(now, _MANY if _random(now, _SELDOM) == 0 else _RUINED), 1
    chosen[0] = desk.owners[_random(now, len(desk.owners))]
    for _ in range(1 + _random(now, _POOLS)):
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
    if _random(now, _ORDERED) == 0:
        _sort(chosen, count, desk.need)
    return count


@kernel
def _sort(chosen: IntArray, count: int, need: FloatArray) -> None:
    """Put the accounts with the largest needs first."""
    for c in range(1, count):
        i, d = chosen[c], c
        while d > 0 and need[chosen[d - 1]] < need[i]:
            chosen[d] = chosen[d - 1]
            d -= 1
        chosen[d] = i


@kernel
def _among(chosen: IntArray, count: int, i: int) -> bool:
    """Whether an account is one of the first so many."""
    found = False
    for c in range(count):
        found = found or chosen[c] == i
    return found


@kernel
def _one_of(desk: ServedDesk, now: Now, i: int) -> int:
    """A transfer that an account could get or, half of the time, one that it gets."""
    low, high = desk.first[i], desk.first[i + 1]
    if _random(now, 2) == 0:
        for r in desk.by_account[low:high]:
            if now.amount[r] > 0:
                return r
    return desk.by_account[low + _random(now, high - low)]
