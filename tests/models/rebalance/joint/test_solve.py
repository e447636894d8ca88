"""The desk optimiser against everything tried, and what must hold for any desk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from models.rebalance.joint.greedy import greedy
from models.rebalance.joint.problem import Arcs, Curves, DeskProblem, Pools, Slots, score
from models.rebalance.joint.program import build_program
from models.rebalance.joint.solve import solve
from tests.models.rebalance.joint.desks import exhaustive, random_desk, scarce, trading_desk

SECONDS, GAP = 10.0, 1e-5
SEEDS = st.integers(1_000, 2_000)


def test_two_hundred_desks_are_within_half_a_percent_of_the_optimum() -> None:
    met = 0
    for seed in range(200):
        desk = random_desk(seed)
        best, least_short = exhaustive(desk)
        found = solve(desk, SECONDS, GAP)
        assert score(desk, found.amount).broken == (), seed
        if np.isfinite(best):
            met += 1
            assert not found.short.any(), seed
            assert best - 1e-6 <= found.cost <= best * 1.005 + 1e-6, seed
            assert found.bound <= best + 1e-6, seed
        else:
            assert found.short.sum() == pytest.approx(least_short, rel=1e-3, abs=1e-3), seed
    assert met >= 120  # the desks are neither all easy nor all impossible


def test_desks_that_trade_recall_and_borrow_are_within_half_a_percent_of_the_optimum() -> None:
    met, used = 0, np.zeros(8, int)
    for seed in range(40):
        desk = trading_desk(seed)
        best, least_short = exhaustive(desk)
        found = solve(desk, SECONDS, GAP)
        assert score(desk, found.amount).broken == (), seed
        if np.isfinite(best):
            met += 1
            used += found.amount > 0
            assert not found.short.any(), seed
            assert best - 1e-6 <= found.cost <= best * 1.005 + 1e-6, seed
            assert found.bound <= best + 1e-6, seed
        else:
            assert found.short.sum() == pytest.approx(least_short, rel=1e-3, abs=1e-3), seed
    assert met >= 25
    assert np.all(used >= 3)  # every action is part of some of the best plans


def test_the_fallback_is_nearly_always_within_a_tenth() -> None:
    ratio = []
    for seed in range(200):
        desk = random_desk(seed)
        best, _ = exhaustive(desk)
        if np.isfinite(best):
            found = score(desk, greedy(desk))
            assert found.broken == (), seed
            ratio.append(np.inf if found.short.any() else found.cost / best)
    assert np.mean(np.array(ratio) <= 1.1) >= 0.95
    assert np.median(ratio) < 1.001


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, factor=st.floats(0.3, 1.0))
def test_smaller_needs_never_cost_more(seed: int, factor: float) -> None:
    desk = random_desk(seed)
    hard = solve(desk, SECONDS, GAP)
    easy = solve(desk.with_need(desk.curves.need * factor), SECONDS, GAP)
    assert easy.short.sum() <= hard.short.sum() + 1e-6
    if not hard.short.any():
        assert easy.cost <= hard.cost * (1 + 2 * GAP) + 1e-6


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, share=st.floats(0.2, 1.0))
def test_more_inventory_never_costs_more(seed: int, share: float) -> None:
    desk = random_desk(seed)
    rich, poor = solve(desk, SECONDS, GAP), solve(scarce(desk, share), SECONDS, GAP)
    assert rich.short.sum() <= poor.short.sum() + 1e-6
    if not poor.short.any():
        assert rich.cost <= poor.cost * (1 + 2 * GAP) + 1e-6


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, share=st.floats(0.1, 1.0), by_solver=st.booleans())
def test_steps_minima_and_money_hold_on_every_transfer(seed: int, share: float, by_solver: bool) -> None:
    desk = scarce(random_desk(seed), share)
    amount = solve(desk, SECONDS if by_solver else 0.0, GAP).amount
    a, used = desk.arcs, amount > 0
    lots = amount[used] / a.step[used]
    assert np.allclose(lots, np.round(lots), atol=1e-6)
    assert np.all(amount[used] >= a.least[used] * (1 - 1e-9))
    assert np.all(amount[used] <= a.most[used] * (1 + 1e-9))
    for pool, free in enumerate(desk.pools.free):
        assert amount[a.pool == pool].sum() <= free + 1e-9
    assert desk.added(amount).sum() <= (amount * a.price).sum() + 1e-9


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, share=st.floats(0.4, 1.0), trades=st.booleans())
def test_rows_of_cover_keep_every_plan_and_raise_the_bound(seed: int, share: float, trades: bool) -> None:
    desk = scarce(trading_desk(seed) if trades else random_desk(seed), share)
    best, _ = exhaustive(desk)
    if np.isfinite(best):
        loose, close = linprog_bound(desk, cover=False), linprog_bound(desk, cover=True)
        assert loose - 1e-6 <= close <= best + 1e-6


def test_rows_of_cover_find_a_better_bound_where_fixed_costs_weigh() -> None:
    desk = one_account(fixed=3.0)
    spent = 60.0 * 0.01 + 40.0 * 0.05 + 1.0  # on both, and the loss at the need
    assert linprog_bound(desk, cover=False) == pytest.approx(spent + 3.0 * (60.0 + 40.0) / 200.0)  # of the largest size
    assert linprog_bound(desk, cover=True) == pytest.approx(spent + 3.0 * (60.0 + 40.0) / 100.0)  # of the need
    assert solve(desk, SECONDS, GAP).cost == pytest.approx(9.0)


def linprog_bound(desk: DeskProblem, cover: bool) -> float:
    """Return the bound of the relaxation, solved here."""
    program = build_program(desk, counted=False, cover=cover)
    rows = LinearConstraint(program.matrix, program.row_low, program.row_high)
    return float(milp(program.cost, bounds=Bounds(program.low, program.high), constraints=rows).fun + program.constant)


def test_a_part_of_a_desk_sees_what_the_others_leave() -> None:
    desk = random_desk(5)
    amount = solve(desk, SECONDS, GAP).amount
    mine = desk.arcs.account == 0
    kept = np.where(mine, 0.0, amount)
    part = desk.among(np.array([0]), np.flatnonzero(mine), kept)
    assert part.pools.free == pytest.approx(np.maximum(desk.pools.free - desk.drawn(kept), 0.0))
    again = solve(part, SECONDS, GAP)
    whole = kept.copy()
    whole[mine] = again.amount
    assert score(desk, whole).broken == ()
    assert score(desk, whole).cost == pytest.approx(score(desk, amount).cost, rel=1e-4)


def one_account(**more: float) -> DeskProblem:
    """Return one account that needs 100 dollars, a dear pool and a cheap one that is too small; any amount."""
    zero, flat = np.zeros(2), np.full(2, np.inf)
    arcs = Arcs(
        np.array([0, 1]), np.zeros(2, int), np.zeros(2, int), np.ones(2), np.ones(2), zero, np.full(2, 200.0), zero,
        np.full(2, more.get("fixed", 0.0)), zero, np.array([0.01, 0.05]), np.ones(2), np.arange(2), flat, zero,
    )  # fmt: skip
    pools = Pools(("cheap", "dear"), np.array([60.0, 500.0]), np.ones(2), np.full(2, -1), zero)
    slots = Slots(("slot",), np.zeros(1, int), np.array([np.inf]), np.ones(1), np.zeros(1), np.zeros(1))
    curves = Curves(np.array([[0.0, 100.0, 200.0]]), np.array([[10.0, 1.0, 0.5]]), np.array([100.0]))
    return DeskProblem(arcs, pools, slots, curves, ("a",))


def test_the_cheap_pool_goes_first() -> None:
    found = solve(one_account(), SECONDS, GAP)
    assert found.amount == pytest.approx([60.0, 40.0])
    assert found.transfers == pytest.approx(0.6 + 2.0)
    assert found.cost == pytest.approx(2.6 + 1.0)


def test_a_fixed_cost_makes_one_transfer_better_than_two() -> None:
    found = solve(one_account(fixed=3.0), SECONDS, GAP)
    assert found.amount == pytest.approx([0.0, 100.0])


def test_shadow_prices_are_what_one_more_unit_saves() -> None:
    desk = one_account()
    found = solve(desk, SECONDS, GAP)
    more = replace(desk, pools=replace(desk.pools, free=desk.pools.free + np.array([1.0, 0.0])))
    saved = found.cost - solve(more, SECONDS, GAP).cost
    assert found.shadow["pool: cheap"] == pytest.approx(saved) == pytest.approx(0.04)
    assert "pool: dear" not in found.shadow


def test_the_shadow_price_of_a_need_is_what_one_dollar_less_saves() -> None:
    desk = one_account()
    found, more = (solve(desk.with_need(np.array([need])), SECONDS, GAP) for need in (120.0, 121.0))
    assert found.shadow["need: a"] == pytest.approx(more.cost - found.cost, rel=1e-6)
    assert more.cost - found.cost == pytest.approx(0.05 - 0.005)


def test_what_lacks_is_told_when_there_is_too_little() -> None:
    desk = replace(one_account(), max_run_value=70.0)
    found = solve(desk, SECONDS, GAP)
    assert found.short == pytest.approx([30.0], rel=1e-5)
    assert found.amount.sum() == pytest.approx(70.0, rel=1e-5)


def test_no_time_gives_the_fallback() -> None:
    found = solve(one_account(), 0.0, GAP)
    assert found.method == "greedy"
    assert not found.short.any()


def test_a_clock_that_runs_out_still_gives_a_plan() -> None:
    ticks = iter([0.0, *(1e9 for _ in range(100))])
    desk = random_desk(3)
    found = solve(desk, 1.0, 1e-9, lambda: next(ticks))
    assert score(desk, found.amount).broken == ()
    assert found.timed_out or found.gap <= 1e-9


def test_an_account_gives_only_what_it_can_spare() -> None:
    desk = one_account()
    pools = Pools(("of b", "dear"), np.array([500.0, 500.0]), np.ones(2), np.array([1, -1]), np.array([1.0, 0.0]))
    curves = Curves(
        np.array([[0.0, 100.0, 200.0], [-80.0, -40.0, 0.0]]), np.array([[10.0, 1.0, 0.5], [0.3, 0.1, 0.0]]),
        np.array([100.0, -80.0]),
    )  # fmt: skip
    found = solve(replace(desk, pools=pools, curves=curves, accounts=("a", "b")), SECONDS, GAP)
    assert found.amount == pytest.approx([80.0, 20.0])
    assert found.cost == pytest.approx(0.8 + 1.0 + 1.0 + 0.3)


def test_nothing_to_do_costs_nothing() -> None:
    desk = one_account()
    empty = replace(desk, arcs=desk.arcs.take(np.empty(0, int)))
    found = solve(empty, SECONDS, GAP)
    assert found.method == "nothing"
    assert found.short == pytest.approx([100.0])
