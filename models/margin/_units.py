"""Replay of margin units: every unit of a book through its own window of bars."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models._by_pointer import by_pointer
from models.book import BookArrays
from models.margin._extremes import Extremes
from models.margin._kernel import inlined, kernel
from models.margin._lines import AT, PAID, Fit, Work, collect_slots, fit_lines
from models.margin._scan import (
    SYNCHRONOUS,
    bound_blocks,
    bound_hot,
    first_breach,
    may_breach,
    paid,
    point_gap,
    point_of,
    rank_of,
    worst_gap,
)
from models.margin.linear import unit_equity, unit_initial
from models.typing import BoolArray, FloatArray, Int32Array, IntArray

__all__ = ["Outcome", "Plan", "count_factors", "empty_outcome", "fold_units", "replay_units"]

_LAST_STAGE = 3


class Plan(NamedTuple):
    """What to walk: u units of n accounts at C levels; level 0 is the call, level 1 liquidation."""

    account: Int32Array  # (u,) account of the unit
    first: IntArray  # (n,) first bar of the window; may lie outside of the bars
    bars: int  # length of the window
    mode: int  # points of a bar where several prices matter
    factor: FloatArray  # (n, C) requirement factor of each level


@by_pointer
class Outcome(NamedTuple):
    """What happened to each unit."""

    bar: Int32Array  # (u, C) bars from the start of the window to the first breach, -1 where none
    stage: Int32Array  # (u,) when in the bar of the call: 0 open, 1 low or worst corner, 2 high, 3 close
    amount: FloatArray  # (u,) initial requirement less equity at the call
    worst: FloatArray  # (u,) smallest gap at the call factor, NaN where no bar is whole
    gap: BoolArray  # (u,) a bar of the walk is missing


def empty_outcome(n_units: int, n_levels: int) -> Outcome:
    """Nothing happened yet."""
    return Outcome(
        np.full((n_units, n_levels), -1, np.int32),
        np.zeros(n_units, np.int32),
        np.full(n_units, np.nan),
        np.full(n_units, np.nan),
        np.zeros(n_units, np.bool_),
    )


@kernel
def count_factors(b: BookArrays, count: Int32Array, asset: Int32Array, used: BoolArray) -> None:
    """Number of distinct assets of each unit (2 stands for more), the first of them, and all assets in use."""
    for u in range(len(b.unit_cash)):
        asset[u] = -1
        for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
            _count(b.leg_asset[i], u, count, asset, used)
        for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
            if b.coll_asset[j] >= 0:
                _count(b.coll_asset[j], u, count, asset, used)


@inlined
def _count(a: int, u: int, count: Int32Array, asset: Int32Array, used: BoolArray) -> None:
    used[a] = True
    if asset[u] < 0:
        asset[u] = a
        count[u] = 1
    elif asset[u] != a:
        count[u] = 2


@kernel
def replay_units(b: BookArrays, t: Extremes, plan: Plan, units: IntArray, w: Work, out: Outcome) -> None:
    """Walk the given units, in the order given."""
    for u in units:
        n = plan.account[u]
        k = plan.factor[n, 0]
        first = max(plan.first[n], 0)
        stop = min(plan.first[n] + plan.bars, t.close.shape[1])
        out.gap[u] = plan.first[n] < 0
        if stop <= first:
            continue
        count = collect_slots(b, u, w)
        if not _start(t, w, count, first, stop):
            out.gap[u] = True
            continue
        mode = SYNCHRONOUS if count <= 1 else plan.mode
        fit = fit_lines(b, u, w, count)
        const = bound_hot(b, u, k, t, w, count, fit, first, stop)
        stage = _LAST_STAGE
        if plan.factor.shape[1] > 2 or may_breach(w, fit, first, stop):
            stop, stage = _find_breaches(b, u, t, plan, n, w, count, fit, first, stop, mode, out)
        worst = worst_gap(b, u, k, t, w, count, const, first, stop, stage, mode)
        out.worst[u] = 0.0 if worst < 0.0 and out.bar[u, 0] < 0 else worst
        for s in range(count):
            out.gap[u] |= t.missing[w.slot[s], stop] > t.missing[w.slot[s], first]


@inlined
def _start(t: Extremes, w: Work, count: int, first: int, stop: int) -> bool:
    """Note the funding before, and the first known price, of each asset; False where one has none."""
    for s in range(count):
        a = w.slot[s]
        bar = first
        while bar < stop and not np.isfinite(t.open[a, bar]):
            bar += 1
        if bar == stop:
            return False
        w.lines[AT, s] = t.open[a, bar]
        w.lines[PAID, s] = t.funding[a, first]
    return True


@kernel
def _find_breaches(
    b: BookArrays,
    u: int,
    t: Extremes,
    plan: Plan,
    n: int,
    w: Work,
    count: int,
    fit: Fit,
    first: int,
    stop: int,
    mode: int,
    out: Outcome,
) -> tuple[int, int]:
    """Find the first breach of each level; where the walk stops: the bar after its last, and the stage there.

    Leaves the work with the bounds for the call level.
    """
    factor = plan.factor[n]
    last = _LAST_STAGE
    for c in range(len(factor)):
        start = first
        if c == 1:
            if out.bar[u, 0] < 0:
                continue
            start = out.bar[u, 0] + plan.first[n]
        const = bound_blocks(b, u, factor[c], t, w, count, fit, start, stop)
        bar, stage = first_breach(b, u, factor[c], t, w, count, fit, const, start, stop, mode)
        if bar < 0:
            continue
        out.bar[u, c] = bar - plan.first[n]
        if c == 0:
            out.stage[u] = rank_of(mode, stage)
            point_gap(b, u, factor[0], t, w, count, bar, point_of(mode, stage))
            need = unit_initial(b, u, factor[0], b.account_initial_factor[n], w.price)
            out.amount[u] = need - unit_equity(b, u, w.price) + paid(t, w, count, bar)
            if b.account_numeraire[n] >= 0:
                out.amount[u] /= _numeraire_price(t, w, count, b.account_numeraire[n], bar, out.stage[u])
        elif c == 1:
            last = stage
    if out.bar[u, 1] >= 0:
        stop = out.bar[u, 1] + plan.first[n] + 1
    bound_blocks(b, u, factor[0], t, w, count, fit, first, stop)
    return stop, last


@inlined
def _numeraire_price(t: Extremes, w: Work, count: int, a: int, bar: int, rank: int) -> float:
    """Price of the asset in which an account reports: that of the unit, or at the same point of the bar."""
    for s in range(count):
        if w.slot[s] == a:
            return w.price[a]
    if rank == 0:
        return t.open[a, bar]
    if rank == 1:
        return t.low[a, bar]
    return t.high[a, bar] if rank == 2 else t.close[a, bar]


@kernel
def fold_units(b: BookArrays, units: Outcome, accounts: Outcome) -> None:
    """Bring the outcomes of the units of each account together: first breaches, worst gap, any missing bar."""
    for n in range(len(accounts.gap)):
        for u in range(b.account_unit[n], b.account_unit[n + 1]):
            accounts.gap[n] |= units.gap[u]
            if not units.worst[u] >= accounts.worst[n]:
                accounts.worst[n] = units.worst[u] if np.isfinite(units.worst[u]) else accounts.worst[n]
            if units.bar[u, 0] >= 0:
                _fold_call(n, u, units, accounts)
            for c in range(units.bar.shape[1]):
                if units.bar[u, c] >= 0 and (accounts.bar[n, c] < 0 or units.bar[u, c] < accounts.bar[n, c]):
                    accounts.bar[n, c] = units.bar[u, c]


@inlined
def _fold_call(n: int, u: int, units: Outcome, accounts: Outcome) -> None:
    """Take the amount of the earlier call; units that are called at the same point add up."""
    ahead = 64 * (units.bar[u, 0] - accounts.bar[n, 0]) + units.stage[u] - accounts.stage[n]
    if accounts.bar[n, 0] < 0 or ahead < 0:
        accounts.stage[n] = units.stage[u]
        accounts.amount[n] = units.amount[u]
    elif ahead == 0:
        accounts.amount[n] += units.amount[u]
