"""Liquidation prices of the legs of a book: the venue's formula, on the engine's own numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.leg_prices import leg_liquidation_prices
from models.margin.linear import barriers, unit_gap
from models.margin.liquidation import Root, liquidation_price
from models.margin.rulesets import load_ruleset
from tests.models.builders import AS_OF, account, book, position

PRICES = np.array([50_000.0, 3_000.0, 150.0])
ETH = "ETH/USDT:USDT"


def test_binance_faq_example_through_a_book() -> None:
    """Two cross positions on the published tiers of that time, at the published marks."""
    held = book(
        account(
            [position(ETH, 3683.979, 1456.84), position(quantity=109.488, entry_price=32_481.98)],
            1_535_443.01,
            ruleset="binance-usdm",
        )
    )
    b = held.arrays
    rate, offset = np.array([0.1, 0.025]), np.array([135_365.0, 16_300.0])
    start = np.array([0, 1, 2], np.int32)
    arrays = b._replace(tier_start=start, tier_floor=np.zeros(2), tier_rate=rate, tier_offset=offset)
    order = np.where(b.leg_asset == 1, 0, 1).astype(np.int32)
    held = replace(held, arrays=arrays._replace(leg_tier=order))
    found = leg_liquidation_prices(held, np.array([31_967.27, 1_335.18, np.nan]))
    by_asset = dict(zip(b.leg_asset.tolist(), found.price, strict=True))
    assert by_asset[1] == pytest.approx(1153.26, abs=0.005)
    assert by_asset[0] == pytest.approx(26_316.89, abs=0.005)


@given(
    st.sampled_from([-1.0, 1.0]), st.floats(0.01, 500.0), st.floats(0.02, 0.9), st.sampled_from(["liquidation", "call"])
)
def test_one_leg_agrees_with_the_engine(side: float, size: float, share: float, level: str) -> None:
    held = book(account([position(quantity=side * size)], share * size * 50_000.0))
    k = held.arrays.account_call_factor[0] if level == "call" else 1.0
    lower, upper = barriers(held.arrays, 0, k, 0, PRICES)
    found = leg_liquidation_prices(held, PRICES, level)  # type: ignore[arg-type]
    expected = lower if side > 0 else upper
    assert found.price[0] == pytest.approx(expected, rel=1e-9)


@given(st.floats(-5.0, 5.0), st.floats(-50.0, 50.0), st.floats(1e4, 1e6))
def test_at_the_price_of_a_leg_the_gap_of_its_unit_closes(btc: float, eth: float, cash: float) -> None:
    if abs(btc) < 1e-3 or abs(eth) < 1e-3:
        return
    held = book(account([position(quantity=btc), position(ETH, eth, 2_900.0)], cash, [("SOL", 100.0)]))
    found = leg_liquidation_prices(held, PRICES)
    for leg, asset in enumerate(held.arrays.leg_asset):
        if found.root[leg] == Root.FOUND:
            moved = PRICES.copy()
            moved[asset] = found.price[leg]
            scale = cash + abs(btc) * moved[0] + abs(eth) * moved[1]
            assert abs(unit_gap(held.arrays, 0, 1.0, moved)) <= 1e-9 * scale


def test_isolated_legs_stand_on_their_own_margin() -> None:
    alone = position(quantity=1.0, margin_mode="isolated", isolated_margin=5_000.0)
    held = book(account([alone, position(ETH, 10.0, 3_000.0)], 1e6))
    found = leg_liquidation_prices(held, PRICES)
    btc = int(np.flatnonzero(held.arrays.leg_asset == 0)[0])
    tiers = load_ruleset("generic-linear", AS_OF).tier("BTC/USDT:USDT")
    assert found.price[btc] == pytest.approx(liquidation_price(1.0, 50_000.0, 5_000.0, tiers).price)
    assert found.root[1 - btc] == Root.NEVER


def test_prices_of_each_account_and_missing_marks() -> None:
    one = account([position(), position(ETH, 1.0, 3_000.0)], 5_000.0)
    held = book(one, one)
    table = np.array([PRICES, [50_000.0, np.nan, 150.0]])
    found = leg_liquidation_prices(held, table)
    assert found.root.tolist()[:2] == [Root.FOUND, Root.NEVER]
    assert np.isnan(found.price[2:]).any()
    assert found.price[:2] == pytest.approx(leg_liquidation_prices(book(one), PRICES).price, nan_ok=True)


def test_wrong_arguments_are_refused() -> None:
    held = book(account([position()]))
    with pytest.raises(InputError, match="level"):
        leg_liquidation_prices(held, PRICES, "initial")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="prices"):
        leg_liquidation_prices(held, PRICES[:2])
    assert leg_liquidation_prices(book(account([])), PRICES).price.shape == (0,)
