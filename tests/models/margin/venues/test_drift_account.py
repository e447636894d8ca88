"""Drift accounts: the riskier side of open orders, and gains and losses of perpetuals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.venues.drift import BASE, PRICE
from models.margin.venues.drift_account import (
    OPEN_ORDER_MARGIN,
    Margin,
    SpotBalance,
    account_margin,
    perpetual_position,
    spot_balance,
)

SOL = {"decimals": 9, "price": 100 * PRICE, "asset": 8_000, "liability": 12_000}
tokens = st.integers(-(10**13), 10**13)


@given(tokens, st.integers(0, 10**13), st.integers(0, 10**13))
def test_orders_never_add_free_collateral(amount: int, bids: int, asks: int) -> None:
    alone = spot_balance(SpotBalance(amount=amount, **SOL))
    ordered = spot_balance(SpotBalance(amount=amount, **SOL, open_bids=bids, open_asks=-asks))
    assert ordered.free_collateral <= alone.free_collateral + 2


@given(tokens, st.integers(0, 10**12))
def test_more_tokens_never_worsen(amount: int, more: int) -> None:
    poor, rich = (spot_balance(SpotBalance(amount=a, **SOL)).free_collateral for a in (amount, amount + more))
    assert rich >= poor


def test_a_bid_that_pays_a_borrow_back_is_still_the_safer_side() -> None:
    short = SpotBalance(amount=-10 * BASE, **SOL, open_bids=10 * BASE, open_asks=-10 * BASE, open_orders=2)
    assert spot_balance(short) == Margin(1_000 * PRICE, 2_400 * PRICE + 2 * OPEN_ORDER_MARGIN)


def test_a_loss_is_negative_collateral_and_a_gain_is_weighted() -> None:
    ratios = {"initial": 1_000, "maintenance": 500}
    loss = perpetual_position(BASE, -120 * PRICE, 100 * PRICE, **ratios)
    assert loss == Margin(-20 * PRICE, 5 * PRICE)
    gain = perpetual_position(BASE, -80 * PRICE, 100 * PRICE, **ratios, pnl_weight=8_000, is_initial=True)
    assert gain == Margin(16 * PRICE, 10 * PRICE)


@pytest.mark.parametrize(("bids", "asks", "worst"), [(0, 0, 5), (3, 0, 8), (0, -3, 5), (3, -12, 8), (3, -15, 10)])
def test_the_larger_base_amount_counts(bids: int, asks: int, worst: int) -> None:
    ratios = {"initial": 1_000, "maintenance": 500}
    found = perpetual_position(
        5 * BASE, -500 * PRICE, 100 * PRICE, **ratios, open_bids=bids * BASE, open_asks=asks * BASE
    )
    assert found.requirement == worst * 5 * PRICE


def test_parts_add_up() -> None:
    usdc = spot_balance(SpotBalance(amount=-5 * PRICE, decimals=6, price=PRICE))
    assert usdc == Margin(0, 5 * PRICE)
    assert account_margin([usdc, Margin(7 * PRICE, 0)]).free_collateral == 2 * PRICE
    assert account_margin([]) == Margin(0, 0)


@pytest.mark.parametrize("wrong", [{"decimals": 19}, {"price": -1}, {"open_bids": -1}, {"open_asks": 1}, {"asset": -1}])
def test_ranges(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError):
        SpotBalance(**{"amount": 0, **SOL, **wrong})
