"""Expiry and assignment."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.securities import OptionPosition
from models.margin.securities_settlement import settle
from tests.models.margin.test_securities_options import call, put
from tests.models.margin.test_securities_pairing import books


@pytest.mark.parametrize(
    ("option", "cash", "shares"),
    [
        (call(100, 2), -20_000.0, 200.0),
        (call(100, -2), 20_000.0, -200.0),
        (put(110, 1), 11_000.0, -100.0),
        (put(110, -1), -11_000.0, 100.0),
        (call(105, -1), 0.0, 0.0),
        (put(100, 1), 0.0, 0.0),
    ],
)
def test_physical_delivery(option: OptionPosition, cash: float, shares: float) -> None:
    left = settle([option], 104.0)
    assert (left.cash, left.shares) == (cash, shares)


def test_cash_settled_options_pay_their_intrinsic_value() -> None:
    book = [replace(o, settlement="cash") for o in (call(100, -2), put(110, 3))]
    left = settle(book, 104.0)
    assert (left.cash, left.shares) == (pytest.approx(-800.0 + 1800.0), 0.0)
    assert (left.exercised, left.assigned) == ((1,), (0,))


def test_a_cent_in_the_money_is_exercised_and_less_is_not() -> None:
    assert settle([call(100, 1)], 100.01).exercised == (0,)
    assert settle([call(100, 1)], 100.009).exercised == ()


@given(books, st.floats(50.0, 150.0))
def test_both_ways_of_settlement_are_worth_the_intrinsic_value(book: list[OptionPosition], price: float) -> None:
    live = [o for o in book if o.payoff(price) >= 0.01]
    worth = sum(o.quantity * o.multiplier * o.payoff(price) for o in live)
    assert settle(book, price).value(price) == pytest.approx(worth, abs=1e-6)
    assert settle([replace(o, settlement="cash") for o in book], price).cash == pytest.approx(worth, abs=1e-6)


def test_inputs_are_checked() -> None:
    with pytest.raises(InputError, match="price"):
        settle([], -1.0)
    with pytest.raises(InputError, match="threshold"):
        settle([], 1.0, 0.0)
