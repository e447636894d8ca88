"""Bybit's unified account: rates, automatic borrowing and its interest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.unified_bybit import (
    BybitAccount,
    borrowed_amount,
    bybit_margin,
    collateral_schedule,
    hourly_interest,
    initial_rate,
    maintenance_schedule,
)


def account() -> BybitAccount:
    """Build an account of USDT and BTC with an option, some orders and a loan."""
    return BybitAccount(
        wallet_balance=np.array([10_000.0, 0.5]),
        unrealised_pnl=np.array([-2_000.0, 0.0]),
        spot_borrow=np.array([3_000.0, 0.0]),
        option_value=np.array([1_000.0, 0.0]),
        index_price=np.array([1.0, 40_000.0]),
        collateral_ratio=np.array([1.0, 0.9]),
        initial=11_500.0,
        maintenance=2_300.0,
        haircut_loss=400.0,
        order_loss=-100.0,
    )


def test_both_rates_divide_by_the_balance_less_both_losses() -> None:
    found = bybit_margin(account())
    assert float(found.equity) == pytest.approx(6_000 + 20_000)
    assert float(found.margin_balance) == pytest.approx(5_000 + 18_000)
    assert float(found.base) == pytest.approx(22_500)
    assert float(found.initial_rate) == pytest.approx(11_500 / 22_500)
    assert float(found.maintenance_rate) == pytest.approx(2_300 / 22_500)
    assert (int(found.no_new_orders), int(found.liquidated)) == (0, 0)


def test_portfolio_mode_counts_the_value_of_options() -> None:
    found = bybit_margin(replace(account(), mode="portfolio"))
    assert float(found.margin_balance) == pytest.approx(6_000 + 18_000)
    assert float(found.maintenance_rate) == pytest.approx(2_300 / 23_500)


def test_a_debt_counts_in_full() -> None:
    found = bybit_margin(replace(account(), wallet_balance=np.array([10_000.0, -0.1])))
    assert float(found.margin_balance) == pytest.approx(5_000 - 4_000)


@pytest.mark.parametrize(("maintenance", "rate", "liquidated"), [(22_499.0, 0.99995, 0), (22_500.0, 1.0, 1)])
def test_liquidation_begins_at_a_rate_of_one(maintenance: float, rate: float, liquidated: int) -> None:
    found = bybit_margin(replace(account(), maintenance=maintenance))
    assert float(found.maintenance_rate) == pytest.approx(rate, abs=1e-5)
    assert int(found.liquidated) == liquidated


def test_a_used_up_base_is_liquidated_and_an_idle_account_is_not() -> None:
    poor = bybit_margin(replace(account(), wallet_balance=np.array([-100_000.0, 0.5])))
    assert float(poor.maintenance_rate) == np.inf
    assert (int(poor.no_new_orders), int(poor.liquidated)) == (1, 1)
    idle = bybit_margin(replace(account(), initial=0.0, maintenance=0.0))
    assert (float(idle.maintenance_rate), int(idle.liquidated)) == (0.0, 0)
    lost = bybit_margin(replace(account(), maintenance=0.0, wallet_balance=np.array([-100_000.0, 0.5])))
    assert int(lost.liquidated) == 1


@given(st.floats(-1e4, 1e4), st.floats(0.0, 1e3), st.floats(0.0, 1e3), st.floats(0.0, 1e3))
def test_borrowing_fills_the_gap_and_no_more(equity: float, frozen: float, options: float, value: float) -> None:
    cross = float(borrowed_amount(equity, frozen, buy_option_initial=options, positive_option_value=value))
    portfolio = float(
        borrowed_amount(equity, frozen, buy_option_initial=options, positive_option_value=value, mode="portfolio")
    )
    assert cross == pytest.approx(max(0.0, frozen + options + value - equity))
    assert portfolio == pytest.approx(max(0.0, frozen - equity))


def test_interest_spares_unrealised_losses_up_to_the_free_amount() -> None:
    def of(unrealised: float, free: float) -> float:
        return float(hourly_interest(1_000.0, 1e-5, unrealised=unrealised, interest_free=free))

    assert of(0.0, 5_000.0) == pytest.approx(0.01)
    assert of(400.0, 5_000.0) == pytest.approx(0.006)
    assert of(400.0, 100.0) == pytest.approx(0.009)
    assert of(2_000.0, 5_000.0) == 0.0


def test_borrowing_over_the_limit_costs_the_cube_of_the_utilisation() -> None:
    assert float(hourly_interest(1_000.0, 1e-5, limit=1_000.0)) == pytest.approx(0.01)
    assert float(hourly_interest(1_500.0, 1e-5, limit=1_000.0)) == pytest.approx(0.015 * 1.5**3)


def test_schedules_of_one_asset() -> None:
    assert float(maintenance_schedule({"borrow_maintenance_rate": 0.04}, -3.0)(100.0)) == pytest.approx(4.0)
    assert float(maintenance_schedule({"borrow_maintenance_rate": 0.04}, 3.0)(100.0)) == 0.0
    assert initial_rate({"borrow_leverage": 4}, -3.0) == 0.25
    assert initial_rate({"borrow_leverage": 4}, 3.0) == 0.0
    one = replace(account(), wallet_balance=np.array([0.0, 0.5]), unrealised_pnl=np.zeros(2), spot_borrow=np.zeros(2))
    counted = float(collateral_schedule({"collateral_ratio": 0.9}, 0.5)(20_000.0))
    assert float(bybit_margin(one).margin_balance) == pytest.approx(counted)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mode", "isolated"),
        ("spot_borrow", np.array([-1.0, 0.0])),
        ("maintenance", -1.0),
        ("haircut_loss", -1.0),
        ("order_loss", 1.0),
        ("collateral_ratio", np.array([1.1, 0.0])),
    ],
)
def test_wrong_balances_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InputError, match=field):
        replace(account(), **{field: value})


def test_wrong_arguments_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="mode"):
        borrowed_amount(1.0, mode="isolated")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="borrowed"):
        hourly_interest(-1.0, 1e-5)
    with pytest.raises(InputError, match="limit"):
        hourly_interest(1.0, 1e-5, limit=0.0)
    with pytest.raises(InputError, match="borrow_leverage"):
        initial_rate({"borrow_leverage": 0.5}, -1.0)
    with pytest.raises(InputError, match="borrow_maintenance_rate"):
        maintenance_schedule({}, -1.0)
    with pytest.raises(InputError, match="quantity"):
        collateral_schedule({"collateral_ratio": 0.9}, float("inf"))
