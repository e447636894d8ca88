"""Liquidations of loans: the close factor of each version, the bonus, and what may not be left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.lending import NO_DEBT
from models.margin.venues.aave_liquidation import close_factor, liquidatable_debt, liquidate


@pytest.mark.parametrize(
    ("health", "collateral", "debt", "v2", "v3", "v33"),
    [
        (1.0, 1e6, 1e6, 0.0, 0.0, 0.0),
        (0.9999, 1e6, 1e6, 0.5, 0.5, 0.5),
        (0.9501, 1e6, 1e6, 0.5, 0.5, 0.5),
        (0.95, 1e6, 1e6, 0.5, 1.0, 1.0),
        (0.5, 1e6, 1e6, 0.5, 1.0, 1.0),
        (0.97, 1_999.99, 1e6, 0.5, 0.5, 1.0),
        (0.97, 1e6, 1_999.99, 0.5, 0.5, 1.0),
        (0.97, 2_000.0, 2_000.0, 0.5, 0.5, 0.5),
        (NO_DEBT, 1e6, 0.0, 0.0, 0.0, 0.0),
    ],
)
def test_close_factor(health: float, collateral: float, debt: float, v2: float, v3: float, v33: float) -> None:
    assert close_factor(health, collateral, debt, "v2") == v2
    assert close_factor(health, collateral, debt, "v3") == v3
    assert close_factor(health, collateral, debt, "v3.3") == v33


def test_v33_halves_the_whole_debt_and_not_that_of_one_asset() -> None:
    assert liquidatable_debt(0.97, 30_000.0, 100_000.0, 50_000.0, "v3") == 15_000.0
    assert liquidatable_debt(0.97, 30_000.0, 100_000.0, 50_000.0, "v3.3") == 30_000.0
    assert liquidatable_debt(0.97, 80_000.0, 100_000.0, 50_000.0, "v3.3") == 50_000.0


@given(st.floats(1.0, 1e6), st.floats(1.0, 1e6), st.floats(0.0, 0.3), st.floats(0.0, 1.0))
def test_what_is_taken_is_there_and_pays_the_bonus(cover: float, held: float, bonus: float, fee: float) -> None:
    moved = liquidate(cover, held, bonus, fee)
    taken = moved.seized + moved.protocol
    assert moved.repaid <= cover * (1 + 1e-12)
    assert taken <= held * (1 + 1e-12)
    assert taken == pytest.approx(moved.repaid * (1 + bonus), rel=1e-9)
    assert moved.protocol == pytest.approx((taken - moved.repaid) * fee, rel=1e-6, abs=1e-9)


def test_v33_leaves_no_dust() -> None:
    with pytest.raises(InputError, match="cover"):
        liquidate(4_500.0, 20_000.0, 0.05, debt=5_000.0, version="v3.3")
    assert liquidate(5_000.0, 20_000.0, 0.05, debt=5_000.0, version="v3.3").repaid == 5_000.0
    assert liquidate(4_500.0, 20_000.0, 0.05, debt=5_000.0, version="v3").repaid == 4_500.0


def test_ranges() -> None:
    with pytest.raises(InputError, match="version"):
        close_factor(0.9, version="v4")  # type: ignore[arg-type]
    for bonus, fee in ((-0.01, 0.0), (1.01, 0.0), (0.0, 1.01)):
        with pytest.raises(InputError, match="bonus"):
            liquidate(1.0, 1.0, bonus, fee)
