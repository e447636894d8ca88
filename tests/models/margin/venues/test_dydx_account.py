"""dYdX subaccounts: who is liquidated, which updates pass, and the order of risk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.margin.venues.dydx import LiquidityTier
from models.margin.venues.dydx_account import (
    Risk,
    compare_risk,
    funding_settlement_ppm,
    position_risk,
    settle_funding,
    subaccount_risk,
    update_result,
)

requirement = st.integers(0, 1_000)
risks = st.builds(lambda nc, m, extra: Risk(nc, m + extra, m), st.integers(-1_000, 2_000), requirement, requirement)


@given(risks, risks)
def test_comparison_is_antisymmetric(a: Risk, b: Risk) -> None:
    assert compare_risk(a, b) == -compare_risk(b, a)
    assert compare_risk(a, a) == 0


@given(risks, st.integers(1, 500))
def test_more_collateral_is_never_riskier(risk: Risk, more: int) -> None:
    richer = risk._replace(net_collateral=risk.net_collateral + more)
    assert compare_risk(richer, risk) <= 0
    assert risk.is_liquidatable or not richer.is_liquidatable
    assert update_result(risk, richer) == "Success" or risk.maintenance > richer.maintenance


@given(risks, risks)
def test_an_update_passes_where_it_is_collateralised_or_less_risky(before: Risk, after: Risk) -> None:
    found = update_result(before, after)
    if after.is_initial_collateralized:
        assert found == "Success"
    elif found == "Success":
        assert after.maintenance <= before.maintenance
        assert compare_risk(after, before) <= 0
    else:
        assert found.startswith("Newly") == before.is_initial_collateralized


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (Risk(-1, 0, 0), Risk(0, 1, 0), "Success"),
        (Risk(-1, 0, 0), Risk(-1, 0, 0), "StillUndercollateralized"),
        (Risk(-2, 1, 1), Risk(-1, 0, 0), "StillUndercollateralized"),
        (Risk(50, 100, 60), Risk(25, 50, 30), "Success"),  # the same ratio with half of the risk
        (Risk(50, 100, 60), Risk(24, 50, 30), "StillUndercollateralized"),
        (Risk(100, 100, 60), Risk(49, 100, 60), "NewlyUndercollateralized"),
    ],
)
def test_transitions(before: Risk, after: Risk, expected: str) -> None:
    assert update_result(before, after) == expected


def test_without_a_requirement_nobody_is_liquidated() -> None:
    assert not Risk(-100, 0, 0).is_liquidatable
    assert Risk(99, 0, 100).is_liquidatable
    assert not Risk(100, 0, 100).is_liquidatable


def test_shorts_lower_net_collateral_and_add_to_the_requirement() -> None:
    tier = LiquidityTier(100_000, 500_000)
    rows = [position_risk(tier, 10_000), position_risk(tier, -5_000, quote_balance=40)]
    assert subaccount_risk(110, rows) == Risk(5_150, 1_500, 750)


@given(st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9)), max_size=5))
def test_funding_is_settled_once_and_rounded_down(moves: list[tuple[int, int]]) -> None:
    ppm = [funding_settlement_ppm(index, 0, quantums) for index, quantums in moves]
    assert settle_funding(ppm) <= sum(ppm) / 1_000_000
    assert settle_funding(ppm) >= sum(x // 1_000_000 for x in ppm)
