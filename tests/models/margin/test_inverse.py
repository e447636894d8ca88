"""Inverse contracts: coin arithmetic, dollars piecewise linear in the price, liquidation in the right tier."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.inverse import (
    coin_initial,
    coin_maintenance,
    dollar_equity,
    inverse_liquidation_price,
    inverse_liquidation_prices,
    linear_equivalent,
    maintenance_schedule,
    settlement_cash,
    slice_sum,
)
from models.margin.liquidation import Root
from models.margin.requirement import inverse_pnl
from models.margin.tiers import TierSchedule

BTCUSD = TierSchedule.from_rates(
    [0, 10, 20, 30, 50, 100, 200, 400, 1000],
    [0.004, 0.005, 0.01, 0.025, 0.05, 0.1, 0.125, 0.15, 0.25],
    [125, 100, 50, 20, 10, 5, 4, 3, 2],
)
"""Binance COIN-M BTCUSD: bounds in coin, as published on 2020-06-11."""


@st.composite
def coin_tiers(draw: st.DrawFn) -> TierSchedule:
    steps = draw(st.lists(st.floats(0.1, 100.0), max_size=6))
    rates = sorted(draw(st.lists(st.floats(0.001, 0.4), min_size=len(steps) + 1, max_size=len(steps) + 1)))
    return TierSchedule.from_rates(np.cumsum([0.0, *steps]), rates)


sides = st.sampled_from([-1.0, 1.0])
sizes = st.floats(1e2, 1e8)
prices = st.floats(1.0, 1e6)


def coin_gap(q: float, entry: float, wallet: float, tiers: TierSchedule, price: float, factor: float = 1.0) -> float:
    return float(wallet + inverse_pnl(q, entry, price) - factor * coin_maintenance(q, price, tiers))


def test_published_maintenance_amounts_of_the_coin_tiers() -> None:
    """Binance FAQ: level 4 has 0.56 BTC and level 5 has 1.81 BTC; a position of 300 BTC has 12.5 % and 11.81 BTC."""
    rates, amounts = zip(*(BTCUSD.lookup(n) for n in (30.0, 50.0, 300.0)), strict=True)
    assert rates == (0.025, 0.05, 0.125)
    assert amounts == pytest.approx((0.56, 1.81, 11.81))
    assert float(coin_maintenance(300 * 50_000, 50_000.0, BTCUSD)) == pytest.approx(300 * 0.125 - 11.81)


def test_slices_of_the_bybit_page_sum_to_the_deduction_form() -> None:
    tiers = TierSchedule.from_rates([0, 10, 20, 30, 40], [0.01, 0.02, 0.03, 0.04, 0.05])
    assert float(slice_sum(25.0, tiers)) == pytest.approx(0.45)
    assert float(coin_maintenance(10_000, 400.0, tiers)) == pytest.approx(0.45)
    assert float(coin_initial(10_000, 400.0, 10)) == pytest.approx(2.5)


@given(st.lists(st.floats(0.0, 1e4), max_size=6), coin_tiers())
def test_slices_and_deductions_are_one_rule(notional: list[float], tiers: TierSchedule) -> None:
    assert np.allclose(slice_sum(np.array(notional), tiers), tiers(np.array(notional)), rtol=1e-9, atol=1e-9)


@given(sides, sizes, prices, st.floats(-10.0, 1e3), prices)
def test_dollars_are_coins_at_the_price(side: float, size: float, entry: float, wallet: float, price: float) -> None:
    q = side * size
    coins = wallet + float(inverse_pnl(q, entry, price))
    scale = abs(wallet) * price + size * (1 + price / entry)
    assert float(dollar_equity(wallet, q, entry, price)) == pytest.approx(coins * price, abs=1e-12 * scale)
    units, at = linear_equivalent(q, entry)
    assert units * (price - at) == pytest.approx(float(inverse_pnl(q, entry, price)) * price, abs=1e-12 * scale)


@given(sides, sizes, coin_tiers(), prices, st.floats(1e-3, 1e3))
def test_the_schedule_in_price_is_the_coin_rule_in_dollars(
    side: float, size: float, tiers: TierSchedule, price: float, units: float
) -> None:
    usd = maintenance_schedule(tiers, side * size)
    at_bounds = (size / tiers.floor[1:]).tolist()
    for p in (price, *at_bounds, *(b * 1.001 for b in at_bounds), *(b / 1.001 for b in at_bounds)):
        expected = float(coin_maintenance(size, p, tiers)) * p
        assert float(usd(p)) == pytest.approx(expected, rel=1e-9, abs=1e-9 * size)
        assert float(usd(p)) == pytest.approx(max(tiers.rate * size - tiers.offset * p), rel=1e-9, abs=1e-9 * size)
        scaled = maintenance_schedule(tiers, size, units)
        assert float(scaled(units * p)) == pytest.approx(expected, rel=1e-9, abs=1e-9 * size)


@given(sizes, coin_tiers())
def test_the_schedule_is_a_schedule(size: float, tiers: TierSchedule) -> None:
    """Rising bounds from 0, slopes that rise (convex) and are never positive, one level at each bound."""
    usd = maintenance_schedule(tiers, size)
    assert usd.floor[0] == 0.0
    assert np.all(np.diff(usd.floor) > 0)
    assert np.all(usd.rate <= 0)
    assert np.all(np.diff(usd.rate) >= -1e-12)
    left = usd.rate[:-1] * usd.floor[1:] - usd.offset[:-1]
    right = usd.rate[1:] * usd.floor[1:] - usd.offset[1:]
    assert np.allclose(left, right, rtol=1e-9, atol=1e-9 * size)
    assert usd.offset[-1] == pytest.approx(-tiers.rate[0] * size)


def test_the_highest_price_has_the_lowest_tier() -> None:
    usd = maintenance_schedule(BTCUSD, 1_000_000)
    assert usd.lookup(1e9) == pytest.approx((0.0, -4_000.0))
    assert usd.lookup(100.0) == pytest.approx((-BTCUSD.offset[-1], -250_000.0))
    assert usd.max_leverage[0] == 2
    assert usd.max_leverage[-1] == 125


def test_no_contracts_require_nothing() -> None:
    assert maintenance_schedule(BTCUSD, 0.0)(np.array([0.0, 1.0, 1e6])).tolist() == [0.0, 0.0, 0.0]


@given(sides, sizes, prices, st.floats(0.005, 3.0), coin_tiers(), st.sampled_from([1.0, 1.25]))
def test_the_root_is_where_coin_equity_meets_the_requirement(
    side: float, size: float, entry: float, share: float, tiers: TierSchedule, factor: float
) -> None:
    q, wallet = side * size, share * size / entry
    found = inverse_liquidation_price(q, entry, wallet, tiers, factor=factor)
    if found.price is None:
        dear, cheap = 1e9 * entry, 1e-9 * entry
        if found.root is Root.NEVER:
            assert side < 0
            assert coin_gap(q, entry, wallet, tiers, dear, factor) >= -1e-6 * wallet
        else:
            assert coin_gap(q, entry, wallet, tiers, cheap if side < 0 else dear, factor) < 1e-6 * wallet
        return
    scale = wallet + size / entry + size / found.price
    assert abs(coin_gap(q, entry, wallet, tiers, found.price, factor)) <= 1e-9 * scale
    notional = size / found.price
    assert found.rate * notional - found.offset == pytest.approx(float(tiers(notional)), rel=1e-9, abs=1e-12)
    safer = found.price * (1 + side * 1e-4)
    assert coin_gap(q, entry, wallet, tiers, safer, factor) > -1e-9 * scale
    worse = found.price * (1 - side * 1e-4)
    assert coin_gap(q, entry, wallet, tiers, worse, factor) < 1e-9 * scale


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("rate", "cum"), [(0.004, 0.0), (0.05, 1.605)])
def test_the_published_closed_form_of_binance(side: int, rate: float, cum: float) -> None:
    """``LP = Q (MMR + s) / (WB - TMM + UPNL + cum + s Q / EP)``."""
    q, entry, wallet, others, profit = 2_500_000.0, 40_000.0, 9.0, 0.75, -0.5
    found = inverse_liquidation_price(side * q, entry, wallet, (rate, cum), other_maintenance=others, other_pnl=profit)
    assert found.price == pytest.approx(q * (rate + side) / (wallet - others + profit + cum + side * q / entry))


def test_the_tier_is_the_one_at_the_solution() -> None:
    """A fall raises the coin notional: a long entered in tier 2 is liquidated in tier 3."""
    q, entry = 760_000.0, 40_000.0
    assert BTCUSD.lookup(q / entry)[0] == 0.005
    found = inverse_liquidation_price(q, entry, 3.0, BTCUSD)
    assert found.price is not None
    assert (found.rate, found.offset) == BTCUSD.lookup(q / found.price)
    assert found.rate == 0.01
    frozen = inverse_liquidation_price(q, entry, 3.0, BTCUSD.lookup(q / entry))
    assert frozen.price is not None
    assert frozen.price < found.price


def test_a_covered_short_is_never_liquidated_and_a_long_always_can_be() -> None:
    assert inverse_liquidation_price(-10_000, 10_000.0, 1.0, BTCUSD).root is Root.NEVER
    assert inverse_liquidation_price(-10_000, 10_000.0, 0.99, BTCUSD).root is Root.FOUND
    assert inverse_liquidation_price(10_000, 10_000.0, 100.0, BTCUSD).root is Root.FOUND
    assert inverse_liquidation_price(10_000, 10_000.0, -1.5, BTCUSD).root is Root.ALWAYS


def test_many_rows_are_the_same_as_one_by_one() -> None:
    q, entry, wallet = [1e5, -1e6, 3e6, 0.0], [4e4, 4e4, 2e4, 1e4], [0.3, 2.0, 20.0, 1.0]
    many = inverse_liquidation_prices(q, entry, wallet, [BTCUSD], [0] * 4, fee_rate=0.0005)
    for i in range(3):
        one = inverse_liquidation_price(q[i], entry[i], wallet[i], BTCUSD, fee_rate=0.0005)
        assert many.price[i] == pytest.approx(one.price)
    assert many.root[3] == Root.UNDEFINED
    assert np.isnan(many.price[3])
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        assert inverse_liquidation_price(1e5, bad, 1.0, BTCUSD).root is Root.UNDEFINED


def test_settlement_pays_the_profit_less_the_fee_at_the_settlement_price() -> None:
    assert float(settlement_cash(-100_000, 50_000.0, 40_000.0)) == pytest.approx(0.5)
    assert float(settlement_cash(100_000, 50_000.0, 40_000.0, 0.0005)) == pytest.approx(-0.5 - 0.00125)


def test_wrong_arguments_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="leverage"):
        coin_initial(1.0, 1.0, 0.99)
    with pytest.raises(InputError, match="contracts_value"):
        maintenance_schedule(BTCUSD, float("nan"))
    for units in (0.0, -1.0, float("inf")):
        with pytest.raises(InputError, match="units"):
            maintenance_schedule(BTCUSD, 1.0, units)
    for price in (0.0, float("nan")):
        with pytest.raises(InputError, match="entry_price"):
            linear_equivalent(1.0, price)
    with pytest.raises(InputError, match="tiers"):
        inverse_liquidation_price(1.0, 1.0, 1.0, (1.01, 0.0))
