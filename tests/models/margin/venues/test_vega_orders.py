"""Vega: calls at the search level, releases, close-outs, admission and isolated margin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.venues.vega import Levels, VegaMarket, levels
from models.margin.venues.vega_orders import (
    Transfer,
    close_out,
    isolated_order_margin,
    isolated_transfer,
    least_general_balance,
    margin_transfer,
    order_is_admitted,
)

LEVELS = Levels(20, 22, 24, 28)
some_levels = st.integers(0, 10**9).map(lambda m: levels(VegaMarket(), m))
balances = st.integers(0, 2 * 10**9)


@given(some_levels, balances)
def test_a_transfer_brings_the_balance_to_the_initial_level(found: Levels, balance: int) -> None:
    move = margin_transfer(found, balance)
    sign = {"general->margin": 1, "margin->general": -1, None: 0}[move.route]
    if move.route is None:
        assert found.search <= balance <= found.release
    else:
        assert balance + sign * move.amount == found.initial
    assert 0 <= move.minimum <= move.amount


@pytest.mark.parametrize(
    ("balance", "auction", "route"),
    [
        (21, False, "general->margin"),
        (22, False, None),
        (28, False, None),
        (29, False, "margin->general"),
        (29, True, None),
    ],
)
def test_the_bounds_of_the_levels(balance: int, auction: bool, route: str | None) -> None:
    assert margin_transfer(LEVELS, balance, auction=auction).route == route


@given(some_levels, balances, balances, st.integers(0, 10**6))
def test_more_in_the_general_account_never_closes_out(found: Levels, balance: int, general: int, more: int) -> None:
    after, closed = close_out(found, balance, general)
    richer, richer_closed = close_out(found, balance, general + more)
    assert closed or not richer_closed
    assert closed or after >= found.maintenance
    assert closed or richer >= after


def test_close_out_searches_first() -> None:
    assert close_out(LEVELS, 19, 1) == (20, False)
    assert close_out(LEVELS, 19, 100) == (24, False)
    assert close_out(LEVELS, -5, 24) == (0, True)


@given(some_levels, balances, balances)
def test_the_least_balance_is_the_least(found: Levels, balance: int, general: int) -> None:
    assert order_is_admitted(found, balance, general) == (general >= least_general_balance(found, balance))


def test_isolated_orders_in_the_order_they_trade() -> None:
    orders = [(30, 20), (10, 50), (20, 40)]
    assert isolated_order_margin(-4, orders, [], 0.5, 10) == 85
    assert isolated_order_margin(4, [], orders, 0.5, 10) == 91  # the cheapest sell trades first
    assert isolated_order_margin(0, orders, [(1, 1)], 0.5, 10, 42) == 130


@given(st.integers(-100, 100), st.lists(st.tuples(st.integers(1, 50), st.integers(1, 100)), max_size=5))
def test_isolated_orders_cost_less_against_a_position(position: int, orders: list[tuple[int, float]]) -> None:
    flat = isolated_order_margin(0, orders, [], 0.5)
    found = isolated_order_margin(position, orders, [], 0.5)
    assert found <= flat
    if position >= 0:
        assert found == flat


def test_isolated_switch_of_sides() -> None:
    trades = [(15, 11), (10, 12)]
    assert isolated_transfer(20, -5, trades, 1000, 0.5, 10) == Transfer("margin->general", 997, 997)
    assert isolated_transfer(20, -5, trades, 1, 0.5, 10) == Transfer("general->margin", 2, 2)
    assert isolated_transfer(20, -5, trades, 3, 0.5, 10) == Transfer(None, 0, 0)
    assert isolated_transfer(-20, 5, [(10, 12), (15, 11)], 1000, 0.5, 10).amount == 998


def test_an_isolated_position_that_is_under_water_gives_nothing_back() -> None:
    assert isolated_transfer(20, 5, [(15, 10)], 10, 0.5, 10, 20) == Transfer(None, 0, 0)


def test_ranges() -> None:
    with pytest.raises(InputError, match="margin_factor"):
        isolated_order_margin(0, [], [], 0.0)
    with pytest.raises(InputError, match="position_factor"):
        isolated_order_margin(0, [], [], 0.5, 0)
    with pytest.raises(InputError, match="trades"):
        isolated_transfer(0, 10, [(5, 1)], 0, 0.5)
    with pytest.raises(InputError, match="mark"):
        isolated_transfer(10, 5, [(5, 1)], 0, 0.5)
