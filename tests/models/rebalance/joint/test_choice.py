"""Choosing among offers on shared inventories: the best by trying all, within every limit, and prices."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InputError
from models.rebalance.joint.choice import Choice, Limits, Offers, choose
from models.rebalance.joint.waiting import Weighing

QUICK = settings(max_examples=60, deadline=None)
SEEDS = st.integers(0, 2**31)


def small(seed: int) -> tuple[Offers, Limits]:
    """Return up to four accounts and two inventories with up to nine offers, with limits of every kind."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 10))
    draw = rng.integers(1, 9, n).astype(np.float64)
    value = draw * rng.uniform(0.2, 2.0, n) * rng.choice([-1.0, 1.0, 1.0, 1.0], n)
    offers = Offers(rng.integers(0, 4, n), rng.integers(0, 2, n), draw, draw * rng.choice([1.0, 2.0], n), value)
    moves = None if rng.random() < 0.6 else int(rng.integers(0, 4))
    dollars = None if rng.random() < 0.6 else float(rng.uniform(2.0, 20.0))
    return offers, Limits(rng.integers(0, 15, 2).astype(np.float64), moves, dollars)


def allowed(offers: Offers, limits: Limits, taken: list[int]) -> bool:
    owners = [int(offers.account[j]) for j in taken]
    drawn = np.bincount(offers.pool[taken], offers.draw[taken], 2) if taken else np.zeros(2)
    return (
        len(set(owners)) == len(owners)
        and bool(np.all(drawn <= limits.free + 1e-9))
        and (limits.max_moves is None or len(taken) <= limits.max_moves)
        and (limits.max_dollars is None or float(offers.dollars[taken].sum()) <= limits.max_dollars + 1e-9)
    )


def best(offers: Offers, limits: Limits) -> float:
    """Most that offers can be worth, by trying everything."""
    sets = itertools.chain.from_iterable(itertools.combinations(range(len(offers)), k) for k in range(5))
    return max(float(offers.value[list(s)].sum()) for s in sets if allowed(offers, limits, list(s)))


@QUICK
@given(SEEDS)
def test_nothing_is_worth_more(seed: int) -> None:
    offers, limits = small(seed)
    found = choose(offers, limits, 5.0, 0.0)
    assert allowed(offers, limits, found.taken.tolist())
    assert found.value == pytest.approx(float(offers.value[found.taken].sum()))
    assert found.value == pytest.approx(best(offers, limits))
    assert found.bound == pytest.approx(found.value, abs=1e-6)


@QUICK
@given(SEEDS)
def test_rounding_keeps_every_limit_and_the_bound_is_one(seed: int) -> None:
    offers, limits = small(seed)
    found = choose(offers, limits, 0.0)
    assert allowed(offers, limits, found.taken.tolist())
    assert found.value <= best(offers, limits) + 1e-9 <= found.bound + 1e-6


@QUICK
@given(SEEDS, st.floats(0.0, 10.0), st.integers(0, 1))
def test_more_inventory_is_never_worth_less(seed: int, more: float, pool: int) -> None:
    offers, limits = small(seed)
    free = limits.free.copy()
    free[pool] += more
    values = [choose(offers, x, 5.0, 0.0).value for x in (limits, replace(limits, free=free))]
    assert values[1] >= values[0] - 1e-9


@QUICK
@given(SEEDS)
def test_with_enough_for_all_each_gets_its_best(seed: int) -> None:
    offers, _ = small(seed)
    found = choose(offers, Limits(np.full(2, 1e6)), 5.0, 0.0)
    top = np.zeros(4)
    np.maximum.at(top, offers.account, offers.value)
    assert found.value == pytest.approx(float(top.sum()))
    assert not found.price.any()


def pair(free: float) -> Choice:
    offers = Offers(np.array([0, 1]), np.zeros(2, np.int64), np.full(2, 4.0), np.full(2, 4.0), np.array([3.0, 5.0]))
    return choose(offers, Limits(np.array([free])))


def test_a_shortage_goes_to_whoever_saves_most() -> None:
    assert pair(4.0).taken.tolist() == [1]
    assert pair(7.9).taken.tolist() == [1]
    assert pair(8.0).taken.tolist() == [0, 1]
    assert pair(3.9).taken.tolist() == []


def test_two_small_ones_go_before_a_large_one_that_saves_less_than_both() -> None:
    draw = np.array([10.0, 5.0, 5.0])
    for value, taken in ((9.0, [1, 2]), (11.0, [0])):
        offers = Offers(np.arange(3), np.zeros(3, np.int64), draw, draw, np.array([value, 5.0, 5.0]))
        assert choose(offers, Limits(np.array([10.0])), 5.0, 0.0).taken.tolist() == taken


def test_the_price_of_an_inventory_is_what_one_more_unit_saves() -> None:
    draw = np.full(3, 2.0)
    offers = Offers(np.arange(3), np.array([0, 0, 1]), draw, draw, np.array([6.0, 4.0, 1.0]))
    found = choose(offers, Limits(np.array([3.0, 5.0])))
    assert found.price == pytest.approx([2.0, 0.0])  # the half of the second that does not fit


def test_an_empty_inventory_has_a_price_too() -> None:
    offers = Offers(np.arange(2), np.zeros(2, np.int64), np.full(2, 2.0), np.full(2, 2.0), np.array([6.0, 4.0]))
    found = choose(offers, Limits(np.zeros(1)))
    assert found.taken.tolist() == []
    assert found.bound == 0.0
    assert found.price == pytest.approx([3.0])


def test_what_can_wait_is_worth_nothing_now_and_more_than_the_best_is_not_offered() -> None:
    weighing = Weighing(1.0, patience=0.1, lost=0.5)
    paying, cost, none = np.array([5.0, 9.0, 8.0]), np.full(3, 1.0), np.zeros(3)
    soon = np.array([0.05, 0.5, 0.9])
    assert weighing.value(paying, soon, cost, none, none).tolist() == pytest.approx([0.0, 0.4, 0.0])
    assert weighing.value(paying, none, cost, none, none).tolist() == [0.0] * 3
    late = weighing.value(paying, soon, cost, np.array([1.0, 6.0, 1.0]), none)
    assert late.tolist() == [0.0] * 3  # holding it until then costs more than it saves
    at_once = replace(weighing, waits=False)
    assert at_once.value(paying, none, cost, none, none).tolist() == pytest.approx([4.0, 8.0, 0.0])
    eaten = np.array([0.0, 14.0, 0.0])  # half a dollar for each that may be lost: 7 of 9
    assert weighing.value(paying, soon, cost, none, eaten).tolist() == pytest.approx([0.0, 0.4, 0.8])


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"knob": 0.0}, "knob"), ({"knob": np.inf}, "knob"), ({"ahead": 0.0}, "ahead"), ({"patience": 1.01}, "patience"),
     ({"patience": -0.01}, "patience"), ({"lost": -1e-9}, "lost")],
)  # fmt: skip
def test_settings_outside_their_range_are_refused(changes: dict[str, float], field: str) -> None:
    with pytest.raises(InputError, match=rf"^{field}: expected"):
        Weighing(**({"knob": 1.0} | changes))
    assert Weighing(1e-9, 1e-9, 0.0, 0.0).patience == 0.0
    assert Weighing(1.0, patience=1.0).patience == 1.0
