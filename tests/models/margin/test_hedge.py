"""Several legs on one price: the safe interval is the zero set of the gap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.hedge import Leg, safe_prices
from models.margin.liquidation import liquidation_price
from models.margin.tiers import TierSchedule
from tests.models.margin.test_liquidation import BTC, positions, schedules

FLAT = TierSchedule.from_rates([0], [0.01])
legs = st.lists(
    st.builds(
        lambda s, q, e, t: Leg(s * q, e, t),
        st.sampled_from([-1.0, 1.0]),
        st.floats(0.01, 1e3),
        st.floats(1.0, 1e3),
        schedules(),
    ),
    min_size=1,
    max_size=4,
)


def gap(items: list[Leg], wallet: float, price: float) -> float:
    held = sum(leg.quantity * (price - leg.entry_price) for leg in items)
    return wallet + held - sum(float(leg.tiers(abs(leg.quantity) * price)) for leg in items)


@given(legs, st.floats(-0.5, 2.0))
def test_inside_is_safe_and_outside_is_not(items: list[Leg], share: float) -> None:
    scale = sum(abs(leg.quantity) * leg.entry_price for leg in items)
    wallet = share * scale
    found = safe_prices(items, wallet)
    prices = np.geomspace(1e-3, 1e7, 400)
    gaps = np.array([gap(items, wallet, p) for p in prices])
    tolerance = 1e-9 * (scale + prices * sum(abs(leg.quantity) for leg in items))
    if found.empty:
        assert np.all(gaps <= tolerance)
        return
    inside = (prices >= found.lower) & (prices <= found.upper)
    assert np.all(gaps[inside] >= -tolerance[inside])
    assert np.all(gaps[~inside] <= tolerance[~inside])


@given(positions)
def test_one_leg_is_the_plain_liquidation_price(position: tuple[float, float, float, float]) -> None:
    side, size, entry, share = position
    one = liquidation_price(side * size, entry, share * size * entry, BTC)
    found = safe_prices([Leg(side * size, entry, BTC)], share * size * entry)
    if one.price is not None:
        assert (found.lower if side > 0 else found.upper) == pytest.approx(one.price, rel=1e-9)


@given(legs, st.randoms(use_true_random=False))
def test_the_order_of_legs_does_not_matter(items: list[Leg], random: object) -> None:
    one = safe_prices(items, 1_000.0)
    random.shuffle(items)  # type: ignore[attr-defined]
    two = safe_prices(items, 1_000.0)
    assert one.empty == two.empty
    assert (two.lower, two.upper) == pytest.approx((one.lower, one.upper), rel=1e-6, nan_ok=True)


def test_a_balanced_hedge_is_liquidated_by_a_rise_only() -> None:
    found = safe_prices([Leg(1.0, 100.0, FLAT), Leg(-1.0, 100.0, FLAT)], 10.0)
    assert (found.lower, found.upper) == (0.0, pytest.approx(500.0))


def test_a_debt_that_no_price_covers_leaves_nothing_safe() -> None:
    assert safe_prices([Leg(1.0, 100.0, FLAT), Leg(-1.0, 100.0, FLAT)], -1.0).empty


def test_other_prices_count_at_their_mark() -> None:
    plain = safe_prices([Leg(1.0, 100.0, FLAT)], 20.0)
    assert safe_prices([Leg(1.0, 100.0, FLAT)], 15.0, other_pnl=7.0, other_maintenance=2.0) == plain
    assert safe_prices([Leg(1.0, 100.0, FLAT)], 20.0, factor=1.25).lower == pytest.approx(80.0 / (1 - 0.0125))


@pytest.mark.parametrize("bad", [[], [Leg(0.0, 1.0, FLAT)], [Leg(np.nan, 1.0, FLAT)], [Leg(1.0, np.inf, FLAT)]])
def test_what_is_no_leg_is_refused(bad: list[Leg]) -> None:
    with pytest.raises(InputError, match="legs"):
        safe_prices(bad, 1.0)
    with pytest.raises(InputError, match="wallet"):
        safe_prices([Leg(1.0, 1.0, FLAT)], np.nan)
