"""The bound by columns against everything tried: never above, and near where fixed costs weigh."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from models.rebalance.joint.columns import bound_by_columns
from models.rebalance.joint.exchange import exchanges
from models.rebalance.joint.flow_covers import flow_covers, largest_flow
from models.rebalance.joint.problem import Arcs, Curves, DeskProblem, Pools, Slots
from models.rebalance.joint.program import build_program
from models.rebalance.joint.rounding import tightened
from models.rebalance.joint.ways import Ways
from models.typing import FloatArray
from tests.models.rebalance.joint.desks import exhaustive, random_desk, scarce


def plain(seed: int, fees: float = 1.0) -> DeskProblem:
    """Return a random desk without what columns do not know, its fixed fees so many times as high."""
    desk = random_desk(seed)
    a, slots = desk.arcs, desk.slots
    single = np.searchsorted(a.piece_arc, np.arange(len(a)))
    arcs = replace(
        a, piece_arc=np.arange(len(a)), piece_width=np.full(len(a), np.inf), piece_rate=a.piece_rate[single] * 0.0,
        fixed=fees * a.fixed,
    )  # fmt: skip
    slots = replace(slots, share=np.ones(len(slots.name)))
    return replace(desk, arcs=arcs, slots=slots, max_moves=None, max_moves_per_account=None)


def bound(desk: DeskProblem) -> float:
    """Return the bound, starting from no prices."""
    part = tightened(desk)
    part = part.with_arcs(np.flatnonzero(part.arcs.most > 0))
    assert exchanges(part)
    return bound_by_columns(part, np.zeros(len(part.pools.free)), 1.0, lambda: 0.0)[0]


def relaxed(desk: DeskProblem) -> float:
    """Return the bound of the relaxation with rows of cover."""
    program = build_program(tightened(desk), counted=False, cover=True)
    rows = LinearConstraint(program.matrix, program.row_low, program.row_high)
    return float(milp(program.cost, bounds=Bounds(program.low, program.high), constraints=rows).fun + program.constant)


@pytest.mark.parametrize("fees", [1.0, 10.0])
@pytest.mark.parametrize("share", [0.6, 0.8, 1.0])
def test_the_bound_is_never_above_the_best_plan_and_nearer_where_fees_weigh(fees: float, share: float) -> None:
    lacks, lacked = [], []
    for seed in range(100):
        desk = scarce(plain(seed, fees), share)
        best, _ = exhaustive(desk)
        if not np.isfinite(best):
            continue
        found = bound(desk)
        assert found <= best + 1e-6, seed
        lacks.append(1.0 - found / best)
        lacked.append(1.0 - relaxed(desk) / best)
    assert len(lacks) >= 20
    if fees > 1:
        assert np.mean(lacks) < 0.75 * np.mean(lacked)


def test_an_account_that_needs_nothing_may_still_get_what_pays() -> None:
    for seed in range(60):
        desk = plain(seed)
        desk = desk.with_need(desk.curves.need * (np.arange(len(desk.accounts)) > 0))
        best, _ = exhaustive(desk)
        if np.isfinite(best):
            assert bound(desk) <= best + 1e-6, seed


def test_flow_covers_raise_the_bound_where_an_inventory_serves_one_account_and_a_half() -> None:
    desk = accounts(need=[60.0, 60.0, 60.0], free=[100.0, 1_000.0], fixed=[1.0, 5.0])
    best, _ = exhaustive(desk)
    assert best == pytest.approx(1.0 + 5.0 + 5.0)  # what is left of the cheap pool is not worth a second transfer
    served = 100.0 / 60.0
    assert relaxed(desk) == pytest.approx(served * 1.0 + (3.0 - served) * 5.0)
    used = (100.0 - 20.0) / 40.0  # the flow less 40 for each use is at most 20
    assert bound(desk) == pytest.approx(used * 1.0 + (3.0 - served) * 5.0, rel=1e-5)


def test_a_need_that_nothing_meets_is_no_bound() -> None:
    desk = accounts(need=[60.0, 60.0], free=[1_000.0, 1_000.0], fixed=[1.0, 5.0])
    assert bound(desk.with_need(np.array([60.0, 500.0]))) == -np.inf


def test_flow_covers_hold_of_every_plan_and_cut_off_what_is_shared_in_fractions() -> None:
    desk = accounts(need=[60.0, 60.0, 60.0], free=[100.0, 1_000.0], fixed=[1.0, 5.0])
    shared = np.array([60.0, 0.0, 40.0, 20.0, 0.0, 60.0])  # by account, the cheap pool first
    found = flow_covers(desk, shared, shared / 60.0)
    for each in found:
        assert (shared - one_weight(each.arcs, each.weight) * shared / 60.0)[each.arcs].sum() > each.most + 1.0
    one = found[0]
    assert sorted(one.arcs.tolist())[:2] == [0, 2]
    at = dict(zip(one.arcs.tolist(), one.weight.tolist(), strict=True))
    assert at[0] == at[2] == 40.0  # 60 less the 20 by which two are too much
    assert one.most == 100.0 - 2 * 40.0


def one_weight(arcs: NDArray[np.int64], weight: FloatArray) -> FloatArray:
    """Return weights of all six transfers."""
    out = np.zeros(6)
    out[arcs] = weight
    return out


def test_flow_covers_of_random_shares_hold_of_every_plan_of_small_desks() -> None:
    rng, seen = np.random.default_rng(0), 0
    for seed in range(60):
        desk = scarce(plain(seed), 0.7)
        a, largest = desk.arcs, largest_flow(desk)
        plans = covering_plans(desk)
        used = rng.random((20, len(a)))
        for row in used:
            for one in flow_covers(desk, row * largest, row):
                seen += 1
                flow = plans[:, one.arcs] * a.draw[one.arcs] + (plans[:, one.arcs] > 0) * a.fixed_units[one.arcs]
                assert np.all(flow.sum(axis=1) - (plans[:, one.arcs] > 0) @ one.weight <= one.most + 1e-6), seed
    assert seen > 200


@pytest.mark.parametrize("seed", range(20))
def test_what_lies_beyond_all_mixtures_of_plans_is_cut_off_and_no_mixture_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = rng.uniform(20.0, 70.0, 3)
    desk = accounts(need=size.tolist(), free=[100.0, 1_000.0], fixed=[1.0, 5.0])
    cheap = np.flatnonzero(desk.arcs.pool == 0)
    plans = []  # largest flows of each set: one of them takes what is left
    for chosen in itertools.product([False, True], repeat=3):
        for last in range(3):
            flow = np.zeros(3)
            for i in [*(j for j in range(3) if j != last), last]:
                flow[i] = chosen[i] * min(size[i], 100.0 - flow.sum())
            plans.append((flow, np.array(chosen, float)))
    flows, uses = np.array([f for f, _ in plans]), np.array([u for _, u in plans])
    for _ in range(30):
        share = rng.dirichlet(np.full(len(plans), 0.3))
        mixed, used = np.zeros(len(desk.arcs)), np.zeros(len(desk.arcs))
        mixed[cheap], used[cheap] = share @ flows, share @ uses
        assert flow_covers(desk, mixed, used) == []
        target = rng.uniform(0.5, 1.0, 3)
        mixed[cheap], used[cheap] = target * size, target
        if mixed.sum() < 95.0:
            continue
        mixed *= min(1.0, 100.0 / mixed.sum())
        most = linprog(  # the largest flow of any mixture that uses the transfers no more
            -flows.sum(axis=1), A_ub=uses.T, b_ub=target, A_eq=np.ones((1, len(plans))), b_eq=[1.0]
        )
        assert bool(flow_covers(desk, mixed, used)) or mixed.sum() <= -most.fun + 0.11


def covering_plans(desk: DeskProblem) -> FloatArray:
    """Return all lots within the inventories, each no larger than covers the need of its account."""
    a = desk.arcs
    sizes = [[0.0, *(np.arange(1, round(m / s) + 1) * s)] for m, s in zip(a.most, a.step, strict=True)]
    x = np.minimum(np.array(list(itertools.product(*sizes))), desk.curves.need[a.account] / a.value)
    units = x * a.draw + (x > 0) * a.fixed_units
    ok = np.ones(len(x), bool)
    for k, free in enumerate(desk.pools.free):
        ok &= units[:, a.pool == k].sum(axis=1) <= free + 1e-9
    return np.asarray(x[ok], np.float64)


@pytest.mark.parametrize("seed", range(25))
def test_the_cheapest_way_costs_no_more_than_any_and_as_much_where_one_transfer_is_best(seed: int) -> None:
    desk = tightened(plain(seed, fees=4.0))
    a, n = desk.arcs, len(desk.accounts)
    cost, units, _, used = Ways(desk).cheapest(a.fixed, a.rate.copy(), a.rate.copy())
    for i in range(n):
        mine = np.flatnonzero((a.account == i) & (a.most > 0))
        best, single = tried(desk, i, mine)
        if np.isfinite(best):
            assert cost[i] <= best + 1e-6
            if single and (used[mine] > 0).sum() == 1:
                assert cost[i] == pytest.approx(best)
                assert (units[mine] * a.value[mine]).sum() >= desk.curves.need[i] * (1 - 1e-5) - 1e-5


def tried(desk: DeskProblem, i: int, mine: NDArray[np.int64]) -> tuple[float, bool]:
    """Return the least cost of lots of one account, and whether it is of a single transfer."""
    a = desk.arcs
    first = np.maximum(np.round(a.least[mine] / a.step[mine]), 1).astype(int)
    lots = [[0, *range(f, round(m / s) + 1)] for f, m, s in zip(first, a.most[mine], a.step[mine], strict=True)]
    x = np.array(list(itertools.product(*lots)), float) * a.step[mine]
    added = x @ a.value[mine]
    cost = (x > 0) @ a.fixed[mine] + x @ a.rate[mine] + np.interp(added, desk.curves.value[i], desk.curves.loss[i])
    cost = np.where(added >= desk.curves.need[i] - 1e-9, cost, np.inf)
    return float(cost.min()), bool((x[np.argmin(cost)] > 0).sum() == 1)


def accounts(need: list[float], free: list[float], fixed: list[float]) -> DeskProblem:
    """Return accounts that each of some pools may serve in lots of 20, at a fixed cost by pool and no other."""
    n, k = len(need), len(free)
    r, wanted = n * k, np.array(need)
    account, pool = np.repeat(np.arange(n), k), np.tile(np.arange(k), n)
    zero, ones = np.zeros(r), np.ones(r)
    arcs = Arcs(
        pool, account, np.arange(r), ones, ones, zero, wanted[account], 20.0 * ones, np.array(fixed)[pool],
        zero, zero, ones, np.arange(r), np.full(r, np.inf), zero,
    )  # fmt: skip
    pools = Pools(tuple(map(str, range(k))), np.array(free), np.ones(k), np.full(k, -1), np.zeros(k))
    slots = Slots(tuple(map(str, range(r))), account, np.full(r, np.inf), ones, zero, zero)
    curves = Curves(wanted[:, None] * np.array([0.0, 1.0, 2.0]), np.zeros((n, 3)), wanted)
    return DeskProblem(arcs, pools, slots, curves, tuple(map(str, range(n))))
