"""Uncovered and limited-risk options: the branches of the published formulas."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.margin.securities import OptionPosition, Underlying
from models.margin.securities_options import (
    cash_requirement,
    is_limited_risk,
    long_requirement,
    short_addition,
    short_pair_addition,
    short_requirement,
    worst_loss,
)

SPOT = Underlying(100.0)


def call(strike: float, quantity: float = -1, price: float = 1.0, days: float = 0) -> OptionPosition:
    return OptionPosition(True, strike, quantity, price, days)


def put(strike: float, quantity: float = -1, price: float = 1.0, days: float = 0) -> OptionPosition:
    return OptionPosition(False, strike, quantity, price, days)


@pytest.mark.parametrize(
    ("option", "underlying", "addition"),
    [
        (call(90), SPOT, 2000),
        (call(105), SPOT, 1500),
        (call(130), SPOT, 1000),
        (put(110), SPOT, 2000),
        (put(95), SPOT, 1500),
        (put(60), SPOT, 600),
        (call(105), Underlying(100.0, "broad"), 1000),
        (call(102), Underlying(100.0, "broad"), 1300),
        (call(105), Underlying(100.0, "narrow"), 1500),
        (put(60), Underlying(100.0, leverage=3.0), 2000),
        (put(60), Underlying(100.0, leverage=-3.0), 2000),
        (call(100), Underlying(100.0, leverage=6.0), 10_000),
    ],
)
def test_addition_of_one_uncovered_option(option: OptionPosition, underlying: Underlying, addition: float) -> None:
    assert short_addition(option, underlying) == pytest.approx(addition)
    assert short_requirement(option, underlying) == pytest.approx(addition + 100.0)


def test_long_options_are_paid_in_full_up_to_nine_months() -> None:
    assert long_requirement(call(100, 2, 3.0, days=274)) == 600.0
    assert long_requirement(call(100, 2, 3.0, days=275)) == 450.0


def test_cash_account_deposits_the_strike_or_the_underlying() -> None:
    assert cash_requirement(put(90, -2, 1.0), SPOT) == 17_800.0
    assert cash_requirement(call(90, -2, 12.0), SPOT) == 17_600.0
    assert cash_requirement(call(90, -2, 12.0), Underlying(100.0, "broad")) == 15_600.0
    assert cash_requirement(call(90, 2, 12.0, days=900), SPOT) == 2_400.0


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([70.0, 90.0, 98.0, 103.0, 110.0])), min_size=1, max_size=6),
)
def test_straddles_are_paired_at_the_least_cost(legs: list[tuple[bool, float]]) -> None:
    options = [call(k) if is_call else put(k) for is_call, k in legs]
    each = {True: [], False: []}
    for o in options:
        each[o.is_call].append(short_addition(o, SPOT))
    width = max(len(each[True]), len(each[False]))
    calls, puts = (side + [0.0] * (width - len(side)) for side in (each[True], each[False]))
    best = min(sum(max(c, p) for c, p in zip(calls, order, strict=True)) for order in permutations(puts))
    assert short_pair_addition(options, SPOT) == pytest.approx(best)


def test_worst_loss_looks_at_every_strike_and_at_zero() -> None:
    assert worst_loss([put(100, -1), put(90, 1)]) == 1000.0
    assert worst_loss([put(100, -2), put(90, 1)]) == 11_000.0
    assert worst_loss([call(100, 1), call(110, -2), call(130, 1)]) == 1000.0
    assert worst_loss([call(100, 1), call(110, -1)]) == 0.0


def test_limited_risk_needs_enough_calls_and_long_options_that_last() -> None:
    assert not is_limited_risk([call(100, -2), call(110, 1)])
    assert is_limited_risk([call(100, -1, days=10), call(110, 1, days=10)])
    assert is_limited_risk([call(100, -1, days=10), call(110, 1, days=40)])
    assert not is_limited_risk([call(100, -1, days=40), call(110, 1, days=10)])
    assert is_limited_risk([put(100, -1), replace(put(90, 1), days=5)])
