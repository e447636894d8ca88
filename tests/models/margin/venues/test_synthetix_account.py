"""Synthetix accounts: the reward's clamp, liquidation at the sum of both margins, fills and funding."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.venues.synthetix import RequiredMargins
from models.margin.venues.synthetix_account import (
    accrued_funding,
    fill_price,
    funding_rate,
    funding_velocity,
    keeper_reward,
    margin_account,
)

REQUIRED = [RequiredMargins(900.0, 450.0, 60.0), RequiredMargins(100.0, 50.0, 40.0)]


@pytest.mark.parametrize(
    ("reward", "cost", "collateral", "expected"),
    [
        (500.0, 0.0, 0.0, 500.0),
        (5.0, 0.0, 0.0, 10.0),
        (5_000.0, 0.0, 0.0, 1_000.0),
        (500.0, 20.0, 0.0, 520.0),
        (0.0, 100.0, 0.0, 150.0),  # half of the cost as profit exceeds the least reward
        (500.0, 0.0, 800.0, 400.0),  # half of the collateral at most
    ],
)
def test_keeper_reward(reward: float, cost: float, collateral: float, expected: float) -> None:
    found = keeper_reward(reward, 10.0, 1_000.0, cost=cost, profit_ratio=0.5, collateral=collateral, scaling_ratio=0.5)
    assert found == expected


def test_the_reward_counts_before_the_account_is_liquidated() -> None:
    at = margin_account(600.0, 0.0, REQUIRED)
    assert (at.initial, at.maintenance, at.reward) == (1_000.0, 500.0, 100.0)
    assert not at.can_liquidate
    assert margin_account(599.99, 0.0, REQUIRED).can_liquidate
    assert margin_account(300.0, 299.99, REQUIRED).can_liquidate


def test_the_clamp_is_for_the_account_and_not_for_each_position() -> None:
    assert margin_account(0.0, 0.0, REQUIRED, 70.0).reward == 100.0
    assert margin_account(0.0, 0.0, REQUIRED, 0.0, 80.0).reward == 80.0
    assert margin_account(5.0, 0.0, [], 70.0) == (5.0, 0.0, 0.0, 0.0)


def test_withdrawable() -> None:
    assert margin_account(1_500.0, 0.0, REQUIRED).withdrawable == 400.0
    assert margin_account(700.0, 0.0, REQUIRED).withdrawable == 0.0


@given(st.floats(0.0, 1e6), st.floats(0.0, 1e6), st.floats(-1e5, 1e5))
def test_more_collateral_never_worsens(collateral: float, more: float, pnl: float) -> None:
    poor, rich = (margin_account(c, pnl, REQUIRED) for c in (collateral, collateral + more))
    assert poor.can_liquidate or not rich.can_liquidate
    assert rich.withdrawable >= poor.withdrawable


@given(st.floats(-50.0, 50.0), st.floats(-50.0, 50.0))
def test_a_fill_split_in_two_costs_the_same(skew: float, size: float) -> None:
    whole = size * fill_price(skew, 1_000.0, size, 100.0)
    half = size / 2
    parts = half * fill_price(skew, 1_000.0, half, 100.0) + half * fill_price(skew + half, 1_000.0, half, 100.0)
    assert parts == pytest.approx(whole, rel=1e-9, abs=1e-9)
    assert fill_price(skew, 0.0, size, 100.0) == 100.0


@given(st.floats(-0.1, 0.1), st.floats(-3.0, 3.0), st.floats(0.01, 5.0))
def test_funding_over_two_spans_adds_up(rate: float, velocity: float, days: float) -> None:
    middle, end = funding_rate(rate, velocity, days / 2), funding_rate(rate, velocity, days)
    whole = accrued_funding(rate, end, 3.0, 100.0, days)
    parts = sum(accrued_funding(a, b, 3.0, 100.0, days / 2) for a, b in ((rate, middle), (middle, end)))
    assert parts == pytest.approx(whole, rel=1e-9, abs=1e-9)


def test_the_velocity_is_bounded_both_ways() -> None:
    assert [funding_velocity(s, 100.0, 9.0) for s in (-250.0, -50.0, 0.0, 250.0)] == [-9.0, -4.5, 0.0, 9.0]
    assert funding_velocity(10.0, 0.0, 9.0) == 0.0


def test_ranges() -> None:
    with pytest.raises(InputError, match="minimum"):
        keeper_reward(1.0, -1.0)
    assert keeper_reward(7.0, 0.0, inf) == 7.0
