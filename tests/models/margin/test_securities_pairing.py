"""The cheapest pairing: known answers, and what must hold for any book."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.securities import REG_T, OptionPosition, stock_requirement
from models.margin.securities_block import block_requirement
from models.margin.securities_options import is_limited_risk, long_requirement, short_addition, worst_loss
from models.margin.securities_pairing import paired_requirement
from tests.models.margin.test_securities_options import SPOT, call, put

legs = st.builds(
    OptionPosition,
    is_call=st.booleans(),
    strike=st.sampled_from([80.0, 95.0, 100.0, 105.0, 120.0]),
    quantity=st.sampled_from([-2, -1, 1, 2]),
    price=st.floats(0.0, 30.0),
    days=st.sampled_from([10, 40, 400]),
)
books = st.lists(legs, min_size=1, max_size=5)
shares = st.sampled_from([-200.0, -50.0, 0.0, 100.0, 250.0])


def alone(book: list[OptionPosition]) -> float:
    return sum(short_addition(o, SPOT) if o.quantity < 0 else long_requirement(o) for o in book)


def test_two_spreads_and_a_straddle_are_found_inside_one_book() -> None:
    book = [call(100, -2, 5.0), call(110, 1, 2.0), put(100, -1, 4.0)]
    found = paired_requirement(book, SPOT)
    # spread: worst loss 1000 less its credit of 300; the other call pairs with the put at 2000
    assert found.requirement == pytest.approx(1000.0 - 300.0 + 2000.0)
    assert sorted(p.kind for p in found.parts) == ["limited risk", "straddle"]
    assert found.uncovered == pytest.approx(900.0)


def test_parts_add_up_and_use_each_contract_once() -> None:
    book = [call(100, -2, 5.0), call(110, 1, 2.0), put(100, -1, 4.0), put(90, 3, 1.0), call(100, 0, 1.0)]
    found = paired_requirement(book, SPOT, 150.0)
    assert sum(p.requirement for p in found.parts) == pytest.approx(found.requirement)
    used = dict.fromkeys(range(5), 0.0)
    for part in found.parts:
        for i, n in part.contracts:
            used[i] += n
    assert used == pytest.approx({i: abs(o.quantity) for i, o in enumerate(book)})
    assert sum(p.shares for p in found.parts) == pytest.approx(150.0)


def test_a_long_option_that_expires_first_covers_nothing() -> None:
    near, far = call(110, 1, 2.0, days=10), call(100, -1, 5.0, days=40)
    assert paired_requirement([near, far], SPOT).requirement == pytest.approx(alone([near, far]))
    assert paired_requirement([replace(near, days=40), far], SPOT).requirement == pytest.approx(1000.0 - 300.0)


def test_whole_contracts_are_not_divided() -> None:
    # two short calls, one long one: half of each would be cheaper if contracts could be divided
    book = [call(95, -1, 8.0), call(105, -1, 3.0), call(100, 1, 5.0)]
    found = paired_requirement(book, SPOT)
    for part in found.parts:
        assert all(float(n).is_integer() for _, n in part.contracts)


def test_covered_call_frees_the_call_and_conversion_the_stock() -> None:
    covered = paired_requirement([call(110, -1, 2.0)], SPOT, 100.0)
    assert covered.requirement == pytest.approx(2500.0 - 200.0)
    conversion = paired_requirement([call(100, -1, 4.0), put(100, 1, 4.0)], SPOT, 100.0)
    assert conversion.requirement == pytest.approx(1000.0)
    assert paired_requirement([call(110, -1, 2.0)], SPOT, 100.0, "initial").requirement == pytest.approx(4800.0)
    short = paired_requirement([put(90, -1, 2.0)], SPOT, -100.0)
    assert short.requirement == pytest.approx(3000.0 - 200.0)


def test_stock_alone() -> None:
    assert paired_requirement([], SPOT, 100.0).requirement == 2500.0
    assert paired_requirement([], SPOT).parts == ()


def test_multipliers_may_not_be_mixed() -> None:
    with pytest.raises(InputError, match="multiplier"):
        paired_requirement([call(90), replace(call(95), multiplier=10.0)], SPOT)


@settings(max_examples=40)
@given(books, shares)
def test_never_more_than_apart_nor_than_the_whole_as_one_combination(book: list[OptionPosition], held: float) -> None:
    found = paired_requirement(book, SPOT, held).requirement
    stock = stock_requirement(held, SPOT.price)
    assert found <= alone(book) + stock + 1e-6
    if is_limited_risk(book):
        assert found <= worst_loss(book) + sum(o.value for o in book) + stock + 1e-6


@settings(max_examples=40)
@given(books, books)
def test_books_together_need_no_more_than_apart(one: list[OptionPosition], other: list[OptionPosition]) -> None:
    apart = paired_requirement(one, SPOT).requirement + paired_requirement(other, SPOT).requirement
    assert paired_requirement([*one, *other], SPOT).requirement <= apart + 1e-6


@settings(max_examples=40)
@given(books, shares, st.integers(0, 99))
def test_order_does_not_matter(book: list[OptionPosition], held: float, seed: int) -> None:
    mixed = list(book)
    random.Random(seed).shuffle(mixed)
    assert paired_requirement(mixed, SPOT, held).requirement == pytest.approx(
        paired_requirement(book, SPOT, held).requirement, abs=1e-6
    )


@settings(max_examples=40)
@given(books, st.sampled_from([0.0, 100.0, 300.0]))
def test_rule_without_allocation_is_never_less(book: list[OptionPosition], held: float) -> None:
    value, need = block_requirement(book, SPOT, held)
    best = sum(o.value for o in book) - paired_requirement(book, SPOT, held).requirement
    # what is left of equity: options and stock on both sides
    assert value - need - stock_requirement(held, SPOT.price) <= best + 1e-6


@example([put(80, -2, 0.0), call(80, -2, 0.0)], 0.0, 1.0)  # the put side binds: the call's cover frees nothing
@given(books, st.floats(0.0, 500.0), st.floats(0.0, 500.0))
def test_more_shares_worsen_the_options_by_no_more_than_the_stock_under_covered_calls_asks(
    book: list[OptionPosition], few: float, more: float
) -> None:
    less, best = block_requirement(book, SPOT, few), block_requirement(book, SPOT, few + more)
    inside = max((o.payoff(SPOT.price) for o in book if o.is_call and o.quantity < 0), default=0.0)
    asked = (1.0 - REG_T.stock_long) * more * inside
    assert best[0] - best[1] >= less[0] - less[1] - asked - 1e-6
