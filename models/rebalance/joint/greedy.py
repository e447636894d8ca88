"""The fallback without a solver: accounts are served one after the other in several orders, then each anew."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.rebalance.joint.problem import DeskProblem, score, sums
from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["greedy", "improved"]

_SHORT = 1e4
"""Dollars that one dollar of shortfall counts for."""
_PASSES = 3
_PAIRS = 8
_ARCS = 40
_LOTS = 8
_ORDERS = 8
_FEW = 40
_DUST = 1e-9
_LONGEST = 12


def greedy(problem: DeskProblem, pool_price: FloatArray | None = None, quick: bool = False) -> FloatArray:
    """Serve each account with the best transfers that the others leave.

    Parameters
    ----------
    problem : DeskProblem
        The problem.
    pool_price : ndarray, shape (K,), optional
        Dollars that one unit of each pool is worth to the other accounts, as a relaxation says: whoever takes it pays
        that much more in the choice of transfers, though not in the cost.
    quick : bool
        Whether one order and few pairs of transfers are enough, as where a solver follows.

    Returns
    -------
    ndarray, shape (R,)
        Amounts that break no limit; accounts may fall short of their needs.

    Notes
    -----
    Desks of up to 40 accounts are tried in eight orders, larger ones in one: the largest need first. The best is kept.
    """
    best, lowest = np.zeros(len(problem.arcs)), np.inf
    if not len(best):
        return best
    for order in _orders(problem)[: 1 if quick else None]:
        state = _State(problem, pool_price, quick)
        for account in order.tolist():
            state.serve(account)
        for _ in range(1 if quick or len(order) > _FEW else _PASSES):
            if not any([state.serve(account) for account in order.tolist()]):
                break
        seen = score(problem, state.amount)
        value = np.inf if seen.broken else seen.cost + _SHORT * float(seen.short.sum())
        if value < lowest:
            best, lowest = state.amount, value
    return best


def improved(problem: DeskProblem, amount: FloatArray) -> FloatArray:
    """Serve accounts anew, first those that fall short, starting from amounts of another method.

    Parameters
    ----------
    problem : DeskProblem
        The problem.
    amount : ndarray, shape (R,)
        Amounts on their steps.

    Returns
    -------
    ndarray, shape (R,)
        Amounts that cost no more.
    """
    state = _State(problem, None, True)
    state.amount[:] = amount
    short = score(problem, amount).short
    order = _orders(problem)[0]
    for account in [*order[short[order] > 0].tolist(), *order.tolist()]:
        state.serve(account)
    return state.amount


def _orders(problem: DeskProblem) -> list[IntArray]:
    n = len(problem.accounts)
    ways = np.bincount(problem.arcs.account, minlength=n)
    orders = [np.argsort(-problem.curves.need, kind="stable")]
    if n <= _FEW:
        rng = np.random.default_rng(0)
        few = np.argsort(ways, kind="stable")
        orders += [few, orders[0][::-1], few[::-1], *(rng.permutation(n) for _ in range(_ORDERS - 4))]
    different = dict.fromkeys(tuple(order[ways[order] > 0].tolist()) for order in orders)
    return [np.array(order, np.int64) for order in different]


@dataclass(frozen=True, slots=True, eq=False)
class _Left:
    """What the other accounts leave of every limit."""

    pool: FloatArray
    slot: FloatArray
    moves: float
    run: float
    added: float
    every: FloatArray
    """Equity that the others have added to each account."""


class _State:
    """Amounts so far."""

    def __init__(self, problem: DeskProblem, pool_price: FloatArray | None, quick: bool) -> None:
        self.problem = problem
        prices = np.zeros(len(problem.pools.name)) if pool_price is None else pool_price
        self.price = np.where(problem.arcs.pool >= 0, prices[np.maximum(problem.arcs.pool, 0)], 0.0)
        small = len(problem.accounts) <= _FEW and not quick
        self.pairs, self.most_arcs = (_PAIRS, _ARCS) if small else (_PAIRS // 2, _ARCS // 4)
        self.amount = np.zeros(len(problem.arcs))
        a = problem.arcs
        self.rows = [np.flatnonzero(a.account == i) for i in range(len(problem.accounts))]
        ends = np.searchsorted(a.piece_arc, np.arange(len(a) + 1)).tolist()
        self.pieces = [slice(*pair) for pair in pairwise(ends)]

    def serve(self, account: int) -> bool:
        """Give one account the best of its trials; whether that is better than what it had."""
        rows = self.rows[account]
        before = self.amount[rows].copy()
        self.amount[rows] = 0.0
        left = self._left(account)
        rows, before = self._shortened(rows, before, left)
        trials = np.vstack([before[None, :], self._trials(account, rows, left)])
        value = self._value(account, rows, trials, left)
        best = int(np.argmin(value))
        chosen, lowest = self._extended(account, rows, trials[best], float(value[best]), left)
        better = lowest < value[0] - 1e-9 * max(1.0, abs(value[0])) if np.isfinite(value[0]) else np.isfinite(lowest)
        self.amount[rows] = chosen if better else before
        return bool(better)

    def _extended(
        self, account: int, rows: IntArray, chosen: FloatArray, lowest: float, left: _Left
    ) -> tuple[FloatArray, float]:
        """Add one transfer after the other while the account is short of its need."""
        a, need = self.problem.arcs, self.problem.curves.need[account]
        most = self._most(rows, left)
        for _ in range(_LONGEST):
            lack = need - left.added - float(chosen @ a.value[rows])
            if lack <= _DUST * (1 + abs(need)):
                break
            trials = [chosen[None, :]]
            for j in np.flatnonzero(most > chosen).tolist():
                spent = float(chosen[a.pool[rows] == a.pool[rows[j]]] @ a.draw[rows[a.pool[rows] == a.pool[rows[j]]]])
                limit = float(most[j]) - (spent - chosen[j] * a.draw[rows[j]]) / a.draw[rows[j]]
                sizes = self._sizes(int(rows[j]), np.array([lack + chosen[j] * a.value[rows[j]]]), max(limit, 0.0))
                more = np.repeat(chosen[None, :], len(sizes), axis=0)
                more[:, j] = sizes
                trials.append(more)
            many = np.vstack(trials)
            value = self._value(account, rows, many, left)
            best = int(np.argmin(value))
            if not value[best] < lowest:
                break
            chosen, lowest = many[best], float(value[best])
        return chosen, lowest

    def _shortened(self, rows: IntArray, before: FloatArray, left: _Left) -> tuple[IntArray, FloatArray]:
        """The cheapest arcs of an account that have anything left, with those that are used."""
        if len(rows) <= self.most_arcs:
            return rows, before
        unit = np.where(self._most(rows, left) > 0, self._unit_cost(rows), np.inf)
        unit[before > 0] = -np.inf
        kept = np.sort(np.argsort(unit, kind="stable")[: self.most_arcs])
        return rows[kept], before[kept]

    def _unit_cost(self, rows: IntArray) -> FloatArray:
        a = self.problem.arcs
        return (
            a.rate[rows] + self.price[rows] * a.draw[rows] + a.fixed[rows] / np.maximum(a.most[rows], 1e-300)
        ) / a.value[rows]

    def _left(self, account: int) -> _Left:
        p, a = self.problem, self.problem.arcs
        added = p.added(self.amount)
        pool = p.pools.free - p.drawn(self.amount)
        giving = np.flatnonzero(p.pools.account >= 0)
        spare = (added - p.curves.need)[p.pools.account[giving]] / np.maximum(p.pools.value[giving], 1e-300)
        pool[giving] = np.minimum(pool[giving], spare)
        slot = p.slots.room - sums(a.slot, self.amount, len(p.slots.name))
        moves = np.inf if p.max_moves is None else p.max_moves - float((self.amount > 0).sum())
        moves = min(moves, np.inf if p.max_moves_per_account is None else float(p.max_moves_per_account))
        run = np.inf if p.max_run_value is None else p.max_run_value - float((self.amount * a.price).sum())
        return _Left(pool, slot, moves, run, float(added[account]), added)

    def _value(self, account: int, rows: IntArray, trials: FloatArray, left: _Left) -> FloatArray:
        """Dollars of each trial, shape (T,); inf where it breaks a limit."""
        p, a = self.problem, self.problem.arcs
        used = trials > 0
        units = trials * a.draw[rows] + used * a.fixed_units[rows]
        cost = used @ a.fixed[rows] + trials @ a.rate[rows] + self._impact(rows, trials) + units @ self.price[rows]
        added = left.added + trials @ a.value[rows]
        need = p.curves.need[account]
        short = np.maximum(need - added, 0.0)
        short[short <= _DUST * (1 + abs(need))] = 0.0
        cost += np.interp(added, p.curves.value[account], p.curves.loss[account]) + _SHORT * short
        cost += self._given(rows, units, left)
        return np.where(self._holds(rows, trials, added, left), cost, np.inf)

    def _given(self, rows: IntArray, units: FloatArray, left: _Left) -> FloatArray:
        """Loss of the accounts that give, shape (T,)."""
        p, pool = self.problem, self.problem.arcs.pool[rows]
        giver = np.where(pool >= 0, p.pools.account[np.maximum(pool, 0)], -1)
        out = np.zeros(len(units))
        for one in np.unique(giver[giver >= 0]).tolist():
            mine = giver == one
            less = units[:, mine] @ p.pools.value[pool[mine]]
            out += np.interp(left.every[one] - less, p.curves.value[one], p.curves.loss[one])
        return out

    def _impact(self, rows: IntArray, trials: FloatArray) -> FloatArray:
        a, out = self.problem.arcs, np.zeros(len(trials))
        for j, arc in enumerate(rows.tolist()):
            piece, start = self.pieces[arc], 0.0
            if piece.stop - piece.start == 1 and a.piece_rate[piece.start] == 0:
                continue
            for width, rate in zip(a.piece_width[piece].tolist(), a.piece_rate[piece].tolist(), strict=True):
                out += np.clip(trials[:, j] - start, 0.0, width) * rate
                start += width
        return out

    def _holds(self, rows: IntArray, trials: FloatArray, added: FloatArray, left: _Left) -> BoolArray:
        p, a = self.problem, self.problem.arcs
        used = trials > 0
        good = (used.sum(axis=1) <= left.moves) & (trials @ a.price[rows] <= left.run * (1 + _DUST))
        units = trials * a.draw[rows] + used * a.fixed_units[rows]
        for pool in np.unique(a.pool[rows]).tolist():
            if pool >= 0:
                good &= units[:, a.pool[rows] == pool].sum(axis=1) <= left.pool[pool] * (1 + _DUST) + _DUST
        for slot in np.unique(a.slot[rows]).tolist():
            mine = a.slot[rows] == slot
            good &= trials[:, mine].sum(axis=1) <= left.slot[slot] * (1 + _DUST) + _DUST
            if p.slots.share[slot] < 1:
                worth = trials[:, mine] @ a.value[rows[mine]]
                most = p.slots.share[slot] * (p.slots.total[slot] + added)
                good &= (worth == 0) | (p.slots.held[slot] + worth <= most * (1 + _DUST) + _DUST)
        return np.asarray(good, np.bool_)

    def _trials(self, account: int, rows: IntArray, left: _Left) -> FloatArray:
        """Nothing, one transfer, or two, up to the need and to each point of the curve; shape (T, m)."""
        p, m = self.problem, len(rows)
        points = p.curves.value[account]
        goals = np.unique(np.concatenate([[p.curves.need[account]], points[points > left.added]])) - left.added
        goals = goals[goals > 0]
        most = self._most(rows, left)
        singles = [np.zeros((1, m))]
        for j in np.flatnonzero(most > 0).tolist():
            sizes = self._sizes(int(rows[j]), goals, float(most[j]))
            trial = np.zeros((len(sizes), m))
            trial[:, j] = sizes
            singles.append(trial)
        unit = np.where(most > 0, self._unit_cost(rows), np.inf)
        chosen = [j for j in np.argsort(unit, kind="stable")[: self.pairs].tolist() if most[j] > 0]
        pairs = [self._pairs(rows, j, k, goals, most) for j in chosen for k in chosen if j != k]
        return np.vstack(singles + pairs)

    def _most(self, rows: IntArray, left: _Left) -> FloatArray:
        a = self.problem.arcs
        inside = np.maximum(a.pool[rows], 0)
        pool = np.where(a.pool[rows] >= 0, (left.pool[inside] - a.fixed_units[rows]) / a.draw[rows], np.inf)
        run = left.run / np.maximum(a.price[rows], 1e-300)
        most = np.minimum(np.minimum(a.most[rows], pool), np.minimum(left.slot[a.slot[rows]], run))
        most = np.minimum(most, self._share_room(rows, left))
        return _down_all(np.maximum(most, 0.0), a.step[rows], a.least[rows])

    def _share_room(self, rows: IntArray, left: _Left) -> FloatArray:
        """Units that a concentration limit admits where nothing else comes in, at least one step."""
        a, s = self.problem.arcs, self.problem.slots
        slot = a.slot[rows]
        spare = s.share[slot] * (s.total[slot] + left.added) - s.held[slot]
        room = np.maximum(spare, 0.0) / np.maximum(1.0 - s.share[slot], 1e-9) / a.value[rows]
        least = np.maximum(a.step[rows], a.least[rows])
        return np.asarray(np.where(s.share[slot] < 1, np.maximum(room, least), np.inf), np.float64)

    def _sizes(self, arc: int, goals: FloatArray, most: float) -> FloatArray:
        a = self.problem.arcs
        step, least = float(a.step[arc]), float(a.least[arc])
        if step > 0 and most <= _LOTS * step:
            sizes = np.arange(1, round(most / step) + 1) * step
            return np.asarray(sizes[sizes >= least * (1 - 1e-12)], np.float64)
        wanted = goals / a.value[arc]
        sizes = np.concatenate(
            [_down(np.array([most]), step, least), [least], _up(wanted, step, least), _down(wanted, step, least)]
        )
        return np.array(sorted({size for size in sizes.tolist() if 0 < size <= most}))

    def _pairs(self, rows: IntArray, j: int, k: int, goals: FloatArray, most: FloatArray) -> FloatArray:
        """Some of one transfer, and of another what then lacks."""
        a = self.problem.arcs
        first = self._sizes(int(rows[j]), goals[:1] / 2, float(most[j]))
        rest = (goals[None, :] - (first * a.value[rows[j]])[:, None]) / a.value[rows[k]]
        second = np.minimum(_up(np.maximum(rest, 0.0), float(a.step[rows[k]]), float(a.least[rows[k]])), most[k])
        trial = np.zeros((rest.size, len(rows)))
        trial[:, j], trial[:, k] = np.repeat(first, len(goals)), second.ravel()
        return trial[rest.ravel() > 0]


def _up(amount: FloatArray, step: float, least: float) -> FloatArray:
    """Smallest amounts of the grid that are not below."""
    out = np.maximum(amount, least)
    return np.ceil(out / step - 1e-9) * step if step > 0 else out


def _down(amount: FloatArray, step: float, least: float) -> FloatArray:
    """Largest amounts of the grid that are not above; 0 where that is below the least."""
    out = np.floor(amount / step + 1e-9) * step if step > 0 else amount
    return np.where(out < least * (1 - 1e-12), 0.0, out)


def _down_all(amount: FloatArray, step: FloatArray, least: FloatArray) -> FloatArray:
    """The same for amounts with steps of their own."""
    count = np.divide(amount, step, out=np.zeros_like(amount), where=step > 0)
    out = np.where(step > 0, np.floor(count + 1e-9) * step, amount)
    return np.where(out < least * (1 - 1e-12), 0.0, out)
