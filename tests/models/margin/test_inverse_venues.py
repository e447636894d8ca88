"""The forms that venues print, and where they agree with the general rule."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.inverse import coin_maintenance, inverse_liquidation_price
from models.margin.inverse_venues import bitmex_isolated, bybit_classic_cross, bybit_isolated
from models.margin.requirement import inverse_pnl
from models.margin.tiers import TierSchedule

TIERS = TierSchedule.from_rates([0, 1.0, 150.0], [0.005, 0.0075, 0.01])


def test_the_old_page_values_maintenance_at_entry() -> None:
    """60,000 dollars at 50,000 with 10x: 1.2 coin, 0.12 initial, 0.006 maintenance."""
    for side in (1, -1):
        found = bybit_isolated(side * 60_000, 50_000.0, 10, (0.005, 0.0), page="2024")
        assert found.price == pytest.approx(60_000 / (1.2 + side * (0.12 - 0.006)))
    more = bybit_isolated(60_000, 50_000.0, 10, (0.005, 0.0), page="2024", extra_margin=0.1)
    assert more.price == pytest.approx(60_000 / (1.2 + 0.12 + 0.1 - 0.006))


@pytest.mark.parametrize("extra", [0.0, 0.05])
def test_the_new_page_as_printed(extra: float) -> None:
    q, entry, lev, rate, ded, fee = 60_000.0, 50_000.0, 10.0, 0.0075, 0.0025, 0.00055
    long = bybit_isolated(q, entry, lev, (rate, ded), extra_margin=extra, taker_fee=fee)
    assert long.price == pytest.approx(q * (rate + 1) / (q / entry + q / entry / lev + extra / (1 + fee) + ded))
    short = bybit_isolated(-q, entry, lev, (rate, ded), extra_margin=extra, taker_fee=fee)
    assert short.price == pytest.approx(q * (1 - rate) / (q / entry - q / entry / lev - extra / (1 - fee) - ded))


def test_the_pages_differ_by_where_maintenance_is_valued() -> None:
    """A long falls: its coin notional grows, the new page liquidates it earlier."""
    old = bybit_isolated(60_000, 50_000.0, 10, TIERS, page="2024").price
    new = bybit_isolated(60_000, 50_000.0, 10, TIERS, page="2026").price
    assert old is not None
    assert new is not None
    assert old < new
    equity = 0.12 + float(inverse_pnl(60_000, 50_000.0, new))
    assert equity == pytest.approx(float(coin_maintenance(60_000, new, TIERS)))


def test_the_classic_cross_example() -> None:
    """Bybit 360039261334: 10,000 contracts at 8,000 with 0.5 BTC give 5739.50, printed on a tick of 0.50."""
    found = bybit_classic_cross(10_000, 8_000.0, 0.5, 0.005)
    assert math.ceil(2 * found) / 2 == 5739.5
    with_orders = bybit_classic_cross(10_000, 8_000.0, 0.7, 0.005, order_margin=0.2)
    assert with_orders == pytest.approx(found)
    short = bybit_classic_cross(-10_000, 8_000.0, 0.5, 0.005)
    free = 0.5 - 0.00625 - 0.00075 / (0.99925 / 0.75)
    assert short == pytest.approx(10_000 / (1.25 - free))
    assert math.isnan(bybit_classic_cross(-10_000, 8_000.0, 1.5, 0.005))


def test_the_steps_of_the_bitmex_example() -> None:
    """20 XBT at 20x: bankrupt at 200,000 / 21; 0.5 % of 20, and fee and funding on 21, are held back."""
    reserve = 0.005 * 20 + (0.00075 + 0.0001) * 21
    found = bitmex_isolated(200_000, 10_000.0, 1.0, funding_rate=0.0001)
    assert found == pytest.approx(200_000 / (21 - reserve))
    assert 200_000 / 21 < found < 10_000
    assert bitmex_isolated(200_000, 10_000.0, 1.0, funding_rate=-0.0001) < found
    assert math.isnan(bitmex_isolated(-1_000, 10_000.0, 0.2))


@given(st.sampled_from([-1.0, 1.0]), st.floats(1e3, 1e7), st.floats(10.0, 1e5), st.floats(1.01, 100.0))
def test_without_fees_the_printed_forms_are_the_rule_at_entry(
    side: float, size: float, entry: float, leverage: float
) -> None:
    margin = size / entry / leverage
    rule = inverse_liquidation_price(side * size, entry, margin, (0.005, 0.0), variant="bybit")
    other = bitmex_isolated(side * size, entry, margin, 0.005, taker_fee=0.0)
    assert other == pytest.approx(rule.price)
    assert bybit_classic_cross(side * size, entry, margin, 0.005, taker_fee=0.0) == pytest.approx(rule.price)


def test_wrong_arguments_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="leverage"):
        bybit_isolated(1.0, 1.0, 0.5, TIERS)
    with pytest.raises(InputError, match="taker_fee"):
        bybit_isolated(1.0, 1.0, 1.0, TIERS, taker_fee=1.0)
    with pytest.raises(InputError, match="page"):
        bybit_isolated(1.0, 1.0, 1.0, TIERS, page="2020")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="contracts"):
        bitmex_isolated(0.0, 1.0, 1.0)
    with pytest.raises(InputError, match="entry_price"):
        bybit_classic_cross(1.0, -1.0, 1.0, 0.005)
