"""Liquidation prices are roots of the gap, in the right tier, or say why there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.liquidation import Root, liquidation_price, liquidation_prices
from models.margin.tiers import TierSchedule

RATES = [0.004, 0.005, 0.0065, 0.01, 0.02, 0.05, 0.1, 0.125, 0.15, 0.25, 0.5]
BTC = TierSchedule.from_rates(
    [0, 3e5, 8e5, 3e6, 1.2e7, 7e7, 1e8, 2.3e8, 4.8e8, 6e8, 8e8], RATES, [150, 100, 75, 50, 25, 10, 5, 4, 3, 2, 1]
)


@st.composite
def schedules(draw: st.DrawFn) -> TierSchedule:
    steps = draw(st.lists(st.floats(1e2, 1e6), min_size=0, max_size=6))
    rates = sorted(draw(st.lists(st.floats(0.001, 0.5), min_size=len(steps) + 1, max_size=len(steps) + 1)))
    return TierSchedule.from_rates(np.cumsum([0.0, *steps]), rates)


positions = st.tuples(
    st.sampled_from([-1.0, 1.0]),
    st.floats(1e-3, 1e4),
    st.floats(1e-3, 1e5),
    st.floats(0.001, 2.0),
)


def gap(q: float, entry: float, wallet: float, tiers: TierSchedule, price: float, factor: float = 1.0) -> float:
    return wallet + q * (price - entry) - factor * float(tiers(abs(q) * price))


@given(positions, schedules(), st.sampled_from([1.0, 1.25]))
def test_the_root_is_where_equity_meets_the_requirement(
    position: tuple[float, float, float, float], tiers: TierSchedule, factor: float
) -> None:
    side, size, entry, share = position
    wallet = share * size * entry
    found = liquidation_price(side * size, entry, wallet, tiers, factor=factor)
    scale = size * entry + wallet
    if found.price is None:
        near, far = (1e-9 * entry, 1e6 * entry)
        expected = Root.NEVER if side > 0 else Root.ALWAYS
        assert found.root is expected
        test_at = near if side > 0 else far
        assert (gap(side * size, entry, wallet, tiers, test_at, factor) >= -1e-6 * scale) is (side > 0)
        return
    assert abs(gap(side * size, entry, wallet, tiers, found.price, factor)) <= 1e-8 * scale
    assert (found.rate, found.offset) in list(zip(tiers.rate, tiers.offset, strict=True))
    value = size * found.price
    assert found.rate * value - found.offset == pytest.approx(float(tiers(value)), rel=1e-9, abs=1e-9 * scale)
    safer = found.price * (1 + side * 1e-6)
    assert gap(side * size, entry, wallet, tiers, safer, factor) > -1e-9 * scale


@given(positions, schedules(), st.floats(0.01, 100.0))
def test_scaling_money_scales_nothing_but_money(
    position: tuple[float, float, float, float], tiers: TierSchedule, scale: float
) -> None:
    """Quantity, wallet and tier bounds times c: the same price."""
    side, size, entry, share = position
    wallet = share * size * entry
    larger = TierSchedule.from_rates(tiers.floor * scale, tiers.rate)
    one = liquidation_price(side * size, entry, wallet, tiers)
    two = liquidation_price(side * size * scale, entry, wallet * scale, larger)
    assume(all(found.price is None or found.price > 1e-6 * entry for found in (one, two)))
    assert one.root == two.root
    if one.price is not None:
        assert two.price == pytest.approx(one.price, rel=1e-7)


@given(positions, schedules(), st.floats(0.001, 1.0))
def test_more_collateral_never_brings_liquidation_nearer(
    position: tuple[float, float, float, float], tiers: TierSchedule, more: float
) -> None:
    side, size, entry, share = position
    wallet = share * size * entry
    one = liquidation_price(side * size, entry, wallet, tiers)
    two = liquidation_price(side * size, entry, wallet * (1 + more), tiers)
    if one.price is not None and two.price is not None:
        assert side * (one.price - two.price) >= -1e-9 * entry


@given(st.lists(positions, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_rows_do_not_influence_each_other(rows: list[tuple[float, float, float, float]], random: object) -> None:
    """Many at once, in any order, are the same as one by one."""
    side, size, entry, share = np.array(rows).T
    order = np.arange(len(rows))
    random.shuffle(order)  # type: ignore[attr-defined]
    many = liquidation_prices((side * size)[order], entry[order], (share * size * entry)[order], [BTC], 0 * order)
    for i, k in enumerate(order):
        one = liquidation_price(side[k] * size[k], entry[k], share[k] * size[k] * entry[k], BTC)
        assert many.root[i] == one.root
        assert many.price[i] == pytest.approx(one.price if one.price is not None else np.nan, nan_ok=True, rel=1e-12)


@pytest.mark.parametrize("notional", [2e5, 5e5, 2e6, 1e7, 5e7, 9e7, 2e8, 4e8, 5.5e8, 7e8, 9e8])
@pytest.mark.parametrize("side", [1, -1])
def test_the_tier_is_the_one_at_the_solution_and_not_the_one_today(notional: float, side: int) -> None:
    entry = 50_000.0
    found = liquidation_price(side * notional / entry, entry, 0.55 * notional, BTC)
    assert found.price is not None
    assert (found.rate, found.offset) == BTC.lookup(notional / entry * found.price)


def test_a_root_exactly_on_a_bound_is_found() -> None:
    tiers = TierSchedule.from_rates([0, 1000.0], [0.01, 0.02])
    for side in (1.0, -1.0):
        wallet = 10.0 - side * 10.0 * (100.0 - 150.0)
        found = liquidation_price(side * 10.0, 150.0, wallet, tiers)
        assert found.price == pytest.approx(100.0)
        assert found.rate == 0.02


def test_no_root_is_said_as_such() -> None:
    assert liquidation_price(1.0, 100.0, 100.0, BTC).root is Root.NEVER
    assert liquidation_price(1.0, 100.0, 500.0, BTC).root is Root.NEVER
    assert liquidation_price(-1.0, 100.0, -100.0, BTC).root is Root.ALWAYS
    assert liquidation_price(-1.0, 100.0, 50.0, BTC, other_pnl=-200.0).root is Root.ALWAYS
    assert liquidation_price(1.0, 100.0, 10.0, (1.0, 0.0)).root is Root.ALWAYS
    assert liquidation_price(1.0, 100.0, 100.5, BTC, variant="bybit").root is Root.NEVER
    assert liquidation_price(-1.0, 100.0, -100.5, BTC, variant="bybit").root is Root.ALWAYS


@pytest.mark.parametrize(
    ("quantity", "entry", "wallet"),
    [(0.0, 1.0, 1.0), (np.nan, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, -1.0, 1.0), (1.0, np.inf, 1.0), (1.0, 1.0, np.nan)],
)
def test_what_is_not_a_position_is_undefined(quantity: float, entry: float, wallet: float) -> None:
    for variant in ("generic", "bybit"):
        found = liquidation_price(quantity, entry, wallet, BTC, variant=variant)  # type: ignore[arg-type]
        assert (found.price, found.root) == (None, Root.UNDEFINED)
        assert np.isnan(found.rate)


def test_other_positions_of_a_cross_wallet_are_held_at_their_mark() -> None:
    """Other PnL adds to the wallet, other maintenance takes from it (times the level's factor)."""
    plain = liquidation_price(1.0, 50_000.0, 10_000.0, BTC)
    moved = liquidation_price(1.0, 50_000.0, 8_000.0, BTC, other_pnl=3_000.0, other_maintenance=1_000.0)
    assert moved.price == pytest.approx(plain.price)
    call = liquidation_price(1.0, 50_000.0, 8_000.0, BTC, other_pnl=3_250.0, other_maintenance=1_000.0, factor=1.25)
    assert call.price == pytest.approx(liquidation_price(1.0, 50_000.0, 10_000.0, BTC, factor=1.25).price)
    assert call.price is not None
    assert plain.price is not None
    assert call.price > plain.price


def test_a_fee_adds_to_the_maintenance_rate() -> None:
    with_fee = liquidation_price(1.0, 10.0, 2.0, (0.01, 0.0), fee_rate=0.0006, variant="gate")
    assert with_fee.price == pytest.approx(8.0 / (1 - 0.0106))


def test_bybit_values_maintenance_at_entry_with_its_deduction() -> None:
    tiers = TierSchedule.from_rates([0, 2e6], [0.005, 0.01])
    q, entry = 60.0, 50_000.0
    margin = q * entry / 10
    found = liquidation_price(q, entry, margin, tiers, variant="bybit")
    assert found.price == pytest.approx(entry - (margin - (0.01 * q * entry - 10_000)) / q)
    assert found.rate == 0.01


def test_wrong_arguments_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="variant: expected one of binance"):
        liquidation_price(1.0, 1.0, 1.0, BTC, variant="ftx")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="fee_rate"):
        liquidation_price(1.0, 1.0, 1.0, BTC, fee_rate=-0.1)
    with pytest.raises(InputError, match="factor"):
        liquidation_price(1.0, 1.0, 1.0, BTC, factor=0.0)
    with pytest.raises(InputError, match="tiers"):
        liquidation_price(1.0, 1.0, 1.0, (1.5, 0.0))
    with pytest.raises(InputError, match="tier_index"):
        liquidation_prices([1.0], [1.0], [1.0], [BTC], [1])
    with pytest.raises(InputError, match="shapes broadcast"):
        liquidation_prices([1.0, 2.0], [1.0, 2.0, 3.0], [1.0], [BTC], [0, 0, 0])


def test_no_rows_give_no_prices() -> None:
    out = liquidation_prices([], [], [], [BTC], [])
    assert out.price.shape == out.root.shape == (0,)
