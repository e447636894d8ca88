"""Perfect foresight: the least that saving each account would have cost, and whether it would have been worth it."""

from __future__ import annotations

import numpy as np
from numba import njit

from models.rebalance.replaying.ledger import Outcome
from models.rebalance.replaying.run import Stage
from models.rebalance.replaying.watch import CALL, LIQUIDATION
from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["foresight", "least_cost"]


def least_cost(need: FloatArray, rate: FloatArray, fixed: float) -> tuple[float, FloatArray]:
    """Least cost of holding at least what is needed in every period, where each change of level has a fixed cost.

    Parameters
    ----------
    need : ndarray, shape (t,)
        Least amount in each period.
    rate : ndarray, shape (t,)
        Dollars that a unit costs in each period.
    fixed : float
        Dollars of a change of level.

    Returns
    -------
    tuple of (float, ndarray)
        The cost, and the amount held in each period, shape (t,).

    Notes
    -----
    The dynamic programme of Wagner and Whitin on segments of constant level: each segment holds the most that any of
    its periods needs, nothing where none needs any. O(t^2). What is left at the end settles without cost.

    References
    ----------
    Wagner and Whitin, Dynamic version of the economic lot size model, Management Science 5(1), 1958.

    Examples
    --------
    >>> cost, held = least_cost(np.array([0.0, 2.0, 0.0, 3.0]), np.full(4, 1.0), 5.0)
    >>> cost, held.tolist()
    (14.0, [0.0, 3.0, 3.0, 3.0])
    """
    level = np.zeros(len(need))
    cost = _solve(np.maximum(need, 0.0), np.concatenate([[0.0], np.cumsum(rate)]), fixed, level)
    return float(cost), level


@njit(cache=True, nogil=True)
def _solve(need: FloatArray, total: FloatArray, fixed: float, level: FloatArray) -> float:
    """Least cost, segment by segment; one at nothing starts without cost where the one before was at nothing too."""
    t = len(need)
    best = np.full(t + 1, np.inf)
    came = np.zeros(t + 1, np.int64)
    best[0] = 0.0
    for end in range(1, t + 1):
        most = 0.0
        for start in range(end - 1, -1, -1):
            most = max(most, need[start])
            free = most == 0.0 and (start == 0 or _at_nothing(need, came[start], start))
            cost = best[start] + most * (total[end] - total[start]) + (0.0 if free else fixed)
            if cost < best[end]:
                best[end], came[end] = cost, start
    end = t
    while end > 0:
        start = came[end]
        level[start:end] = need[start:end].max()
        end = start
    return best[t]


@njit(cache=True, nogil=True)
def _at_nothing(need: FloatArray, start: int, end: int) -> bool:
    return start == end or need[start:end].max() <= 0.0


def foresight(stage: Stage, knob: float) -> Outcome:
    """Save the accounts whose liquidation costs more than the least that saving them costs; knowing all prices.

    Parameters
    ----------
    stage : Stage
        Accounts, decisions, policy. Transfers arrive with the next bar and never fail.
    knob : float
        Dollars that may be spent to avoid a dollar of loss.

    Returns
    -------
    Outcome
        A bound that no rule can be expected to reach; without a ledger.
    """
    n, every = len(stage.watch), stage.every_bars
    price, rate, fixed, seen = _money(stage)
    out = [np.zeros(n) for _ in range(5)]
    fees, holding, losses, held_days, idle_days = out
    called, dead = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    died, moves = np.full(n, -1), np.zeros(n, np.int64)
    for i in range(n):
        periods = np.flatnonzero(seen[:, i])
        own = _Account(stage, i, periods)
        cost, level = (0.0, np.zeros(len(periods)))
        if own.breaches:
            unit = price[periods, i] * rate[i]
            cost, level = least_cost(own.need, unit * every * stage.bar_minutes, fixed[i])
            if not own.can_be_saved or cost > knob * own.loss:
                cost, level = 0.0, np.zeros(len(periods))
                dead[i], died[i], losses[i] = True, own.breach, own.loss
        changes = int((np.diff(level, prepend=0.0) != 0).sum())
        moves[i], fees[i], holding[i] = changes, changes * fixed[i], cost - changes * fixed[i]
        days = every * stage.bar_minutes / 1440.0
        held_days[i] = float((level * price[periods, i]).sum() * days)
        called[i] = own.called(level, every)
        losses[i] += own.call_loss if called[i] else 0.0
    return Outcome("foresight", knob, called, dead, died, fees, holding, losses, held_days, idle_days, moves, ())


def _money(stage: Stage) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
    """Price of each lever at each decision, cheapest rate and fixed cost of each account, and who is watched when."""
    n = len(stage.watch)
    price, seen = np.ones((len(stage.epochs), n)), np.zeros((len(stage.epochs), n), np.bool_)
    rate, fixed = np.zeros(n), np.zeros(n)
    for k, (epoch, terms) in enumerate(zip(stage.epochs, stage.terms, strict=True)):
        price[k, epoch.rows], seen[k, epoch.rows] = epoch.price, True
        rate[epoch.rows], fixed[epoch.rows] = terms.held_rate, terms.fixed
    return price, rate, fixed, seen


class _Account:
    """One account with what will happen to it."""

    def __init__(self, stage: Stage, i: int, periods: IntArray) -> None:
        watch, every = stage.watch, stage.every_bars
        stay, first = int(watch.stay[i]), int(watch.first[i])
        self.offset = np.array([stage.epochs[k].bar - first for k in periods.tolist()], np.int64)
        self.stay = stay
        worst, self.calls = (watch.needed[level, i, :stay].astype(np.float64) for level in (LIQUIDATION, CALL))
        bad = np.flatnonzero(worst > 0)
        self.breaches = len(bad) > 0
        self.breach = int(bad[0]) if len(bad) else -1
        self.need = np.array([np.max(worst[o + 1 : o + 1 + every], initial=0.0) for o in self.offset.tolist()])
        start = int(self.offset[0]) + 1 if len(self.offset) else stay
        self.can_be_saved = bool(np.all(np.isfinite(self.need)) and not (worst[:start] > 0).any())
        limits = stage.policy.limits
        required = float(np.nan_to_num(watch.maintenance[i, max(self.breach, 0)]))
        self.loss = limits.liquidation_cost + limits.liquidation_cost_rate * max(required, 0.0)
        self.call_loss = limits.call_cost + limits.call_cost_rate * max(required, 0.0) * float(watch.factor[i])

    def called(self, level: FloatArray, every: int) -> bool:
        """Whether the account is called with so much in each period."""
        held = np.zeros(self.stay + every + 1)
        for offset, amount in zip(self.offset.tolist(), level.tolist(), strict=True):
            held[offset + 1 : offset + 1 + every] = amount
        stop = self.breach + 1 if self.breaches and not level.any() else self.stay
        return bool((self.calls[:stop] > held[:stop]).any())
