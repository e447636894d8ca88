"""Synthetix margins: growth with size, the constants, and the schedule against the rule of an account."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.venues.synthetix import (
    SynthetixMarket,
    collateral_discount,
    collateral_schedule,
    initial_rate,
    maintenance_schedule,
    required_margins,
)
from models.margin.venues.synthetix_account import margin_account

markets = st.builds(
    SynthetixMarket,
    skew_scale=st.floats(10.0, 1e7),
    initial_margin_fraction=st.floats(0.0, 20.0),
    minimum_initial_margin_ratio=st.floats(0.001, 0.1),
    maintenance_margin_scalar=st.floats(0.1, 1.0),
    liquidation_reward_ratio=st.floats(1e-4, 0.05),
    minimum_position_margin=st.floats(0.0, 1e3),
)
sizes = st.floats(1e-3, 1e4)
prices = st.floats(0.01, 1e5)


def _rule(market: SynthetixMarket, **extra: float) -> dict[str, float]:
    return {k: float(getattr(market, k)) for k in market.__struct_fields__} | extra


@given(markets, sizes, prices, st.sampled_from([1, -1]), st.floats(0.0, 100.0))
def test_the_schedule_is_maintenance_and_reward_of_a_lone_position(
    market: SynthetixMarket, size: float, price: float, side: int, least: float
) -> None:
    account = margin_account(0.0, 0.0, [required_margins(market, side * size, price)], least)
    rule = _rule(market, minimum_reward=least)
    folded = float(maintenance_schedule(rule, side * size)(size * price))
    assert folded == pytest.approx(account.maintenance + account.reward, rel=1e-9, abs=1e-9)


@given(markets, sizes, prices, st.floats(1.0, 1e3))
def test_where_the_reward_is_capped_the_schedule_lies_above(
    market: SynthetixMarket, size: float, price: float, cap: float
) -> None:
    account = margin_account(0.0, 0.0, [required_margins(market, size, price)], 0.0, cap)
    folded = float(maintenance_schedule(_rule(market), size)(size * price))
    assert folded >= (account.maintenance + account.reward) * (1 - 1e-9)


@given(markets, st.floats(0.0, 100.0))
def test_the_schedule_is_convex_and_continuous(market: SynthetixMarket, least: float) -> None:
    tiers = maintenance_schedule(_rule(market, minimum_reward=least), 5.0)
    bound = tiers.floor[1:]
    assert tiers(bound) == pytest.approx(tiers.rate[:-1] * bound - tiers.offset[:-1], rel=1e-9)
    assert all(b >= a for a, b in zip(tiers.rate[:-1], tiers.rate[1:], strict=True))


@given(markets, sizes, prices, st.floats(1.0, 10.0))
def test_a_larger_position_never_needs_a_lower_rate(
    market: SynthetixMarket, size: float, price: float, more: float
) -> None:
    bare = SynthetixMarket(**{**_rule(market), "minimum_position_margin": 0.0})
    small, large = (required_margins(bare, n, price) for n in (size, size * more))
    assert large.maintenance / (size * more) >= small.maintenance / size * (1 - 1e-9)
    assert small.maintenance <= small.initial * (1 + 1e-12)
    assert initial_rate(_rule(bare), size * more) >= initial_rate(_rule(bare), size)


def test_both_sides_are_alike_and_nothing_needs_nothing() -> None:
    market = SynthetixMarket(
        skew_scale=100.0,
        initial_margin_fraction=2.0,
        minimum_initial_margin_ratio=0.01,
        maintenance_margin_scalar=0.5,
        minimum_position_margin=1000.0,
    )
    assert required_margins(market, -2, 30_000.0) == required_margins(market, 2, 30_000.0)
    assert required_margins(market, -2, 30_000.0).initial == pytest.approx(4_000.0)
    assert required_margins(market, 0.0, 30_000.0) == (0.0, 0.0, 0.0)
    assert float(maintenance_schedule(_rule(market), 0.0)(0.0)) == 0.0


@pytest.mark.parametrize(("amount", "discount"), [(0.0, 0.02), (4.0, 0.02), (10.0, 0.05), (1_000.0, 0.2)])
def test_discount_between_its_bounds(amount: float, discount: float) -> None:
    assert collateral_discount(amount, 1_000.0, 5.0, 0.02, 0.2) == pytest.approx(discount)
    assert collateral_discount(amount, 0.0, 5.0, 0.02, 0.2) == 0.0
    assert float(collateral_schedule({}, amount)(50.0)) == 50.0


def test_ranges() -> None:
    good = {"skew_scale": 1.0, "initial_margin_fraction": 0.0, "minimum_initial_margin_ratio": 0.0}
    for wrong in ({"skew_scale": 0.0}, {"maintenance_margin_scalar": 1.01}, {"minimum_position_margin": -1.0}):
        with pytest.raises(InputError):
            SynthetixMarket(**{**good, "maintenance_margin_scalar": 0.5, **wrong})
    with pytest.raises(InputError, match="maintenance_margin_scalar"):
        maintenance_schedule(good, 1.0)
    with pytest.raises(InputError, match="lower"):
        collateral_discount(1.0, 1.0, 1.0, 0.3, 0.2)
    with pytest.raises(InputError, match="price"):
        required_margins(SynthetixMarket(**good, maintenance_margin_scalar=0.5), 1.0, -1.0)
