"""Binance Portfolio Margin: the published example, haircuts, loans, withdrawals, interest thresholds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.bands import BINANCE_PM_2022
from models.margin.collateral import collateral_value, negative_balance_interest
from models.margin.inverse import coin_maintenance
from models.margin.negative_balance import negative_balance_threshold
from models.margin.requirement import inverse_pnl
from models.margin.tiers import TierSchedule
from models.margin.unified import (
    LOAN_RATES,
    BinancePortfolio,
    binance_margin,
    binance_max_loan,
    binance_max_withdraw,
    collateral_schedule,
    initial_rate,
    maintenance_schedule,
    margin_ratio,
)

HALF_PERCENT = TierSchedule.from_rates([0.0], [0.005])
INDEX = np.array([1.0, 40_000.0, 2_000.0])
RATE = np.array([1.0, 0.95, 0.9])


def example() -> BinancePortfolio:
    """Build the account of Binance FAQ 5e33af8e6ac04d57a1d0a3398e0a0752: USDT, BTC and ETH, 3x loans."""
    linear_pnl = -0.05 * (40_000 - 52_000) + 0.04 * (42_000 - 52_350)
    coin_pnl = float(inverse_pnl(10_000, 50_000.0, 40_000.0))
    linear = 0.005 * (0.05 * 40_000 + 0.04 * 42_000)
    coin = float(coin_maintenance(10_000, 40_000.0, HALF_PERCENT))
    return BinancePortfolio(
        margin_asset=np.array([1_000.0, 0.1, 20.0]),
        margin_loan=np.array([0.0, 0.04, 15.0]),
        futures_asset=np.array([5_000.0, 0.1, 0.0]),
        futures_pnl=np.array([linear_pnl, coin_pnl, 0.0]),
        futures_maintenance=np.array([linear, coin, 0.0]),
        index_price=INDEX,
        collateral_rate=RATE,
        open_loss=np.zeros(3),
        loan_leverage=3,
    )


def test_the_published_parts_of_the_example() -> None:
    """The page prints PnL of 600 - 414 USDT, and margin maintenance of 0.004 BTC and 1.5 ETH."""
    p = example()
    assert p.futures_pnl == pytest.approx([600 - 414, -0.05, 0.0])
    assert p.margin_loan * LOAN_RATES[3] == pytest.approx([0.0, 0.004, 1.5])
    found = binance_margin(p)
    assert float(found.equity) == pytest.approx(6_186 + 0.11 * 40_000 * 0.95 + 5 * 2_000 * 0.9)
    assert float(found.maintenance) == pytest.approx(18.4 + (0.00125 + 0.004) * 40_000 + 1.5 * 2_000)
    assert float(found.ratio) == pytest.approx(float(found.equity / found.maintenance))


@pytest.mark.parametrize(("leverage", "rate"), [(3, 0.10), (5, 0.08), (10, 0.05)])
def test_loans_require_by_leverage(leverage: int, rate: float) -> None:
    p = replace(example(), futures_maintenance=np.zeros(3), loan_leverage=leverage)
    assert float(binance_margin(p).maintenance) == pytest.approx(rate * (0.04 * 40_000 + 15 * 2_000))
    assert float(maintenance_schedule({"leverage": leverage}, -1.0)(500.0)) == pytest.approx(rate * 500)
    assert float(maintenance_schedule({"leverage": leverage}, 1.0)(500.0)) == 0.0
    assert initial_rate({"leverage": leverage}, -1.0) == pytest.approx(1 / (leverage - 1))
    assert initial_rate({"leverage": leverage}, 1.0) == 0.0


def test_a_debt_is_not_cut_and_open_orders_lower_the_ratio_only() -> None:
    p = replace(example(), futures_pnl=np.array([0.0, -1.0, 0.0]))
    found = binance_margin(p)
    assert float(found.equity) == pytest.approx(6_000 - 0.84 * 40_000 + 9_000)
    with_orders = binance_margin(replace(p, open_loss=np.array([0.0, 0.1, 0.0])))
    assert float(with_orders.equity) == pytest.approx(float(found.equity))
    assert float(with_orders.adjusted_equity) == pytest.approx(float(found.equity) - 4_000)


@given(st.floats(-1e3, 1e3), st.floats(0.0, 1e5), st.floats(0.0, 1.0))
def test_the_schedule_is_the_rule_of_one_asset(quantity: float, price: float, rate: float) -> None:
    one, zero = np.array([quantity]), np.zeros(1)
    p = BinancePortfolio(one, zero, zero, zero, zero, np.array([price]), np.array([rate]), zero)
    counted = float(collateral_schedule({"collateral_rate": rate}, quantity)(quantity * price))
    scale = 1e-12 * (1 + abs(quantity) * price)
    assert float(binance_margin(p).equity) == pytest.approx(counted, rel=1e-12, abs=scale)
    assert counted == pytest.approx(float(collateral_value(quantity, price, rate)), rel=1e-12, abs=scale)


@given(st.lists(st.floats(-5.0, 5.0), min_size=6, max_size=6), st.floats(0.0, 10.0))
def test_more_of_an_asset_never_lowers_equity(amounts: list[float], more: float) -> None:
    zero = np.zeros(3)
    p = BinancePortfolio(np.array(amounts[:3]), zero, np.array(amounts[3:]), zero, zero, INDEX, RATE, zero)
    richer = replace(p, margin_asset=p.margin_asset + more)
    assert float(binance_margin(richer).equity) >= float(binance_margin(p).equity) - 1e-9


def test_many_accounts_at_once_are_the_same_as_one_by_one() -> None:
    p = example()
    rows = [replace(p, futures_pnl=p.futures_pnl + np.array([d, 0.0, 0.0])) for d in (-15_000.0, 0.0, 1e4)]
    together = replace(p, futures_pnl=np.stack([r.futures_pnl for r in rows]))
    found = binance_margin(together)
    assert found.ratio.tolist() == [float(binance_margin(r).ratio) for r in rows]
    assert found.state_names() == [binance_margin(r).state_names()[0] for r in rows]


def test_states_follow_the_programme_in_force() -> None:
    p = replace(example(), margin_loan=np.zeros(3))
    need = float(binance_margin(p).maintenance)
    cash = 1.8 * need - float(binance_margin(p).equity)
    p = replace(p, margin_asset=p.margin_asset + np.array([cash, 0.0, 0.0]))
    assert binance_margin(p).state_names() == ["normal"]
    assert binance_margin(p, BINANCE_PM_2022).state_names() == ["call"]


def test_without_requirement_the_ratio_is_infinite_and_debt_is_seen() -> None:
    assert margin_ratio([0.0, 5.0, -5.0], 0.0).tolist() == [np.inf, np.inf, -np.inf]
    assert np.isnan(margin_ratio(np.nan, 0.0))
    owed = np.array([-1.0])
    p = BinancePortfolio(owed, *([np.zeros(1)] * 4), np.ones(1), np.ones(1), np.zeros(1))
    assert binance_margin(p).state_names() == ["liquidation_and_claim"]


def test_withdrawals_keep_a_fifth_above_maintenance() -> None:
    assert binance_max_withdraw([10_000.0, 1_199.0], 1_000.0).tolist() == [8_800.0, 0.0]


def test_loans_are_bounded_by_withdrawal_and_by_room() -> None:
    assert float(binance_max_loan(1_000.0, 0.0, 3, 10.0)) == pytest.approx(200.0)
    assert float(binance_max_loan(1_000.0, 1_000.0, 3, 10.0)) == pytest.approx(100.0)
    assert float(binance_max_loan(1_000.0, 5_000.0, 3, 10.0)) == 0.0
    assert float(binance_max_loan(1_000.0, 0.0, 3, 10.0, room=50.0)) == 50.0
    assert float(binance_max_loan(1_000.0, 0.0, 3, 10.0, room=-1.0)) == 0.0


def test_thresholds_of_negative_balances_by_date() -> None:
    """The example of 2025-05-09: VIP 9 owes 10,050 USDT at 0.1 % a day and pays 0.05 USDT."""
    after, before = datetime(2025, 5, 17, tzinfo=UTC), datetime(2025, 5, 16, 23, 59, tzinfo=UTC)
    charged, interest = negative_balance_interest(-10_050.0, negative_balance_threshold("USDT", 9, after), 0.001)
    assert (float(charged), float(interest)) == pytest.approx((-50.0, 0.05))
    assert negative_balance_threshold("USDT", 0, before) == 200_000.0
    assert negative_balance_threshold("USDT", 0, datetime(2023, 2, 27, 7, 59, tzinfo=UTC)) == float("inf")
    with pytest.raises(InputError, match="USDT VIP 9"):
        negative_balance_threshold("USDT", 3, after)
    with pytest.raises(InputError, match="as_of"):
        negative_balance_threshold("USDT", 9, datetime(2025, 6, 1))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("margin_loan", np.array([-1.0, 0.0, 0.0])),
        ("index_price", np.array([1.0, -1.0, 1.0])),
        ("futures_maintenance", np.array([-1.0, 0.0, 0.0])),
        ("open_loss", np.array([-1.0, 0.0, 0.0])),
        ("collateral_rate", np.array([1.0, 1.01, 0.0])),
        ("collateral_rate", np.array([1.0, np.nan, 0.0])),
        ("loan_leverage", 4),
    ],
)
def test_wrong_balances_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InputError, match=field.replace("loan_leverage", "leverage")):
        replace(example(), **{field: value})


def test_wrong_parameters_are_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"parameters\.leverage"):
        maintenance_schedule({"rate": 1.0}, -1.0)
    with pytest.raises(InputError, match="leverage"):
        initial_rate({"leverage": 4}, -1.0)
    with pytest.raises(InputError, match="rate"):
        collateral_schedule({"collateral_rate": 1.5}, 1.0)
    with pytest.raises(InputError, match="quantity"):
        collateral_schedule({"collateral_rate": 0.5}, float("nan"))
    with pytest.raises(InputError, match="leverage"):
        binance_max_loan(1.0, 0.0, 4, 1.0)
