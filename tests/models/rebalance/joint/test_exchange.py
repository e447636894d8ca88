"""Exchanges between accounts: plans that keep every limit, never dearer, nearly always the best there is."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models.rebalance.joint.corrections import Course, planned_again
from models.rebalance.joint.exchange import exchanged, exchanges
from models.rebalance.joint.greedy import greedy
from models.rebalance.joint.problem import Arcs, Curves, DeskProblem, Pools, Slots, score
from models.rebalance.joint.solve import solve
from models.typing import FloatArray
from tests.models.rebalance.joint.desks import exhaustive, random_desk, trading_desk


def searched(desk: DeskProblem, amount: FloatArray, chunks: int = 6) -> FloatArray:
    """Return what so many chunks of exchanges make of a plan, at no prices."""
    ticks = itertools.count()
    price = np.zeros(len(desk.pools.name))
    return exchanged(desk, amount, price, lambda cost: False, 2.0 * chunks, lambda: float(next(ticks)))


def plain(seed: int) -> DeskProblem:
    """Return a random desk without what the search does not know."""
    desk = random_desk(seed)
    a, slots = desk.arcs, desk.slots
    single = np.searchsorted(a.piece_arc, np.arange(len(a)))
    arcs = replace(
        a, piece_arc=np.arange(len(a)), piece_width=np.full(len(a), np.inf), piece_rate=a.piece_rate[single] * 0.0
    )
    slots = replace(slots, share=np.ones(len(slots.name)))
    return replace(desk, arcs=arcs, slots=slots, max_moves=None, max_moves_per_account=None)


def test_exchanges_find_nearly_always_the_best_of_everything_tried() -> None:
    ratio = []
    for seed in range(60):
        desk = plain(seed)
        assert exchanges(desk)
        best, _ = exhaustive(desk)
        start = greedy(desk)
        if not np.isfinite(best) or score(desk, start).short.any():
            continue
        seen = score(desk, searched(desk, start))
        assert seen.broken == (), seed
        assert not seen.short.any(), seed
        assert best - 1e-6 <= seen.cost <= score(desk, start).cost + 1e-9, seed
        ratio.append(seen.cost / best)
    assert len(ratio) >= 35
    assert np.mean(np.array(ratio) < 1.001) >= 0.9
    assert max(ratio) < 1.1


def wide(seed: int, n: int = 40) -> DeskProblem:
    """Return accounts that share eight inventories of any amounts, the cheap ones too small for all."""
    rng, k = np.random.default_rng(seed), 8
    r = n * k
    account, pool = np.repeat(np.arange(n), k), np.tile(np.arange(k), n)
    need = rng.uniform(50, 500, n)
    zero, ones = np.zeros(r), np.ones(r)
    step = np.where(rng.random(r) < 0.5, 1.0, 0.0)
    arcs = Arcs(
        pool, account, np.arange(r), ones, ones, 5.0 * step, np.repeat(np.ceil(1.5 * need), k), step,
        np.tile(rng.choice([0.2, 1.0, 3.0], k), n), zero, np.tile(rng.uniform(0.001, 0.03, k), n), ones,
        np.arange(r), np.full(r, np.inf), zero,
    )  # fmt: skip
    free = need.sum() * rng.uniform(0.1, 0.3, k)
    pools = Pools(tuple(map(str, range(k))), free, np.ones(k), np.full(k, -1), np.zeros(k))
    slots = Slots(tuple(map(str, range(r))), account, np.full(r, np.inf), ones, zero, zero)
    curves = Curves(need[:, None] * np.array([0.0, 1.0, 1.5]), np.tile([9.0, 1.0, 0.9], (n, 1)), need)
    return DeskProblem(arcs, pools, slots, curves, tuple(map(str, range(n))))


@pytest.mark.parametrize("seed", range(3))
def test_exchanges_make_plans_of_many_accounts_cheaper_within_every_limit(seed: int) -> None:
    desk = wide(seed)
    start = greedy(desk)
    old, new = score(desk, start), score(desk, searched(desk, start))
    assert not old.short.any()
    assert new.broken == ()
    assert not new.short.any()
    assert new.cost < 0.99 * old.cost


@pytest.mark.parametrize("seed", range(3))
def test_accounts_that_lack_are_served_first_of_all(seed: int) -> None:
    desk = wide(seed)
    enough = score(desk, searched(desk, np.zeros(len(desk.arcs))))
    assert not enough.short.any()
    assert enough.broken == ()
    start = greedy(desk)
    grown = desk.with_need(desk.curves.need * np.where(np.arange(40) < 5, 1.4, 1.0))
    assert np.flatnonzero(score(grown, start).short).tolist() == [0, 1, 2, 3, 4]
    after = score(grown, searched(grown, start))
    assert not after.short.any()
    assert after.broken == ()


def test_room_is_made_for_an_account_that_only_a_full_inventory_reaches() -> None:
    desk = two_accounts()
    start = np.array([100.0, 0.0, 0.0])  # the first has taken all that the second could get
    after = searched(desk, start, chunks=2)
    assert after.tolist() == [0.0, 100.0, 100.0]


def two_accounts() -> DeskProblem:
    """Return two accounts that need 100: pool 0 serves both and has 100, pool 1 serves the first at a higher price."""
    zero, ones = np.zeros(3), np.ones(3)
    arcs = Arcs(
        np.array([0, 1, 0]), np.array([0, 0, 1]), np.arange(3), ones, ones, zero, 100.0 * ones, zero, ones, zero,
        np.array([0.01, 0.05, 0.01]), ones, np.arange(3), np.full(3, np.inf), zero,
    )  # fmt: skip
    pools = Pools(("0", "1"), np.array([100.0, 500.0]), np.ones(2), np.full(2, -1), np.zeros(2))
    slots = Slots(("0", "1", "2"), np.array([0, 0, 1]), np.full(3, np.inf), ones, zero, zero)
    curves = Curves(np.array([[0.0, 100.0]] * 2), np.array([[9.0, 1.0]] * 2), np.full(2, 100.0))
    return DeskProblem(arcs, pools, slots, curves, ("a", "b"))


def test_what_accounts_share_beside_inventories_is_left_to_the_solver() -> None:
    desk = plain(1)
    assert not exchanges(replace(desk, max_moves=3))
    assert not exchanges(replace(desk, max_moves_per_account=1))
    assert not exchanges(replace(desk, max_run_value=1e6))
    assert not exchanges(replace(desk, slots=replace(desk.slots, share=np.full(len(desk.slots.name), 0.5))))
    assert not exchanges(trading_desk(1))


def test_a_plan_that_is_near_enough_is_left_as_it_is() -> None:
    desk = wide(0)
    start, price = greedy(desk), np.zeros(8)
    assert exchanged(desk, start, price, lambda cost: True, np.inf, lambda: 0.0) is start


@pytest.mark.parametrize("seed", range(3))
def test_large_desks_are_planned_by_exchanges_and_bounded_by_columns(seed: int) -> None:
    desk = wide(seed, n=60)
    found = solve(desk, 2.0, 0.01)
    seen = score(desk, found.amount)
    assert seen.broken == ()
    assert not seen.short.any()
    assert found.method == "exchange"
    assert found.price is not None
    assert found.bound <= found.cost == pytest.approx(seen.cost)
    assert found.gap < 0.03


def test_a_need_that_grew_is_met_although_what_could_meet_it_is_used_up() -> None:
    desk = two_accounts()
    grown = desk.with_need(np.array([50.0, 100.0]))
    run: Any = SimpleNamespace(problem=lambda course: grown, worth=SimpleNamespace(pockets=("a", "b"), count=2))
    before = np.array([50.0, 0.0, 50.0])
    course = Course(np.ones(2), np.zeros(3, np.bool_), price=np.zeros(2))
    after = planned_again(run, course, before, np.array([1]), time.monotonic() + 1.0, 1.0, 0.01)
    assert after.tolist() == [0.0, 100.0, 100.0]  # the first now goes where there is more, which pays up to 100
