"""The linear engine: hand-checked numbers, and the invariants that any margin rule must hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.levels import STATES, margin_levels
from models.margin.linear import MANY, NONE, barriers, unit_factor, unit_gap
from models.margin.rulesets import load_ruleset
from tests.models.builders import AS_OF, account, book, position

PRICES = np.array([50_000.0, 3_000.0, 150.0])
money = st.floats(10.0, 1e7)
size = st.floats(0.001, 500.0)
side = st.sampled_from([-1.0, 1.0])


def test_levels_by_hand() -> None:
    held = book(account([position(quantity=-2.0, entry_price=48_000.0)], 20_000.0, [("ETH", 1.0)]))
    levels = margin_levels(held, PRICES)
    rules = load_ruleset("generic-linear", AS_OF)
    equity = 20_000.0 - 2.0 * 2_000.0 + float(rules.haircut("ETH")(3_000.0))
    maintenance = float(rules.tier("BTC/USDT:USDT")(100_000.0))
    assert levels.equity[0] == pytest.approx(equity)
    assert levels.maintenance[0] == pytest.approx(maintenance)
    assert levels.call[0] == pytest.approx(maintenance / rules.call_ratio)
    assert levels.initial[0] == pytest.approx(max(100_000.0 / rules.default_leverage, levels.call[0]))
    assert levels.release[0] == pytest.approx(rules.release_factor * levels.initial[0])


@pytest.mark.parametrize("state", STATES)
def test_states_at_their_borders(state: str) -> None:
    base = margin_levels(book(account([position()], 0.0)), PRICES)
    borders = {"liquidation": 0.0, "call": base.maintenance[0], "below_initial": base.call[0], "ok": base.initial[0]}
    cash = borders.get(state, base.release[0] + 1e-6)
    levels = margin_levels(book(account([position()], cash)), PRICES)
    assert levels.state_names() == [state]
    assert (levels.call_amount[0] > 0) == (state in ("call", "liquidation"))


def test_isolated_position_does_not_touch_the_wallet() -> None:
    isolated = position(quantity=1.0, entry_price=60_000.0, margin_mode="isolated", isolated_margin=100.0)
    levels = margin_levels(book(account([isolated], 1e6)), PRICES)
    assert levels.state_names() == ["liquidation"]
    assert levels.gap_call[0] < 0


def test_no_positions_no_requirement() -> None:
    levels = margin_levels(book(account([], 5.0)), PRICES)
    assert (levels.maintenance[0], levels.call_amount[0], levels.state_names()) == (0.0, 0.0, ["release"])


def test_nan_price_is_unknown_only_where_it_matters() -> None:
    held = book(account([position()]), account([position("ETH/USDT:USDT", 0.1, 3_000.0)]))
    names = margin_levels(held, np.array([np.nan, 3_000.0, np.nan])).state_names()
    assert names[0] == "unknown"
    assert names[1] != "unknown"


def test_shape_of_prices_is_checked() -> None:
    with pytest.raises(InputError, match="prices"):
        margin_levels(book(account()), np.ones(7))


def test_prices_for_all_equal_prices_for_each() -> None:
    held = book(account([position()]), account([position("ETH/USDT:USDT", 3.0, 2_900.0)], collateral=[("SOL", 3.0)]))
    one, each = margin_levels(held, PRICES), margin_levels(held, np.tile(PRICES, (2, 1)))
    assert np.array_equal(one.equity, each.equity)
    assert np.array_equal(one.initial, each.initial)


def test_unit_factor() -> None:
    held = book(
        account([]),
        account([position()], collateral=[("USDC", 3.0)]),
        account([position()], collateral=[("BTC", 3.0)]),
        account([position()], collateral=[("ETH", 3.0)]),
    )
    assert unit_factor(held.arrays).tolist() == [NONE, 0, 0, MANY]


@given(cash=money, more=money, q=size, s=side, btc=st.floats(0.0, 5.0))
def test_more_collateral_never_lowers_the_gap(cash: float, more: float, q: float, s: float, btc: float) -> None:
    held = book(
        account([position(quantity=q * s)], cash, [("ETH", btc)]),
        account([position(quantity=q * s)], cash + more, [("ETH", btc)]),
        account([position(quantity=q * s)], cash, [("ETH", btc + more / 1e6)]),
    )
    gap = margin_levels(held, PRICES).gap_call
    assert gap[1] >= gap[0]
    assert gap[2] >= gap[0] - 1e-9 * abs(gap[0])


@given(st.lists(st.tuples(st.integers(0, 2), size, side), min_size=1, max_size=5), st.randoms())
def test_order_of_positions_does_not_matter(legs: list[tuple[int, float, float]], shuffle: object) -> None:
    symbols = ("BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT")
    held = [position(symbols[i], q * s, PRICES[i] * 1.01) for i, q, s in legs]
    mixed = list(held)
    shuffle.shuffle(mixed)  # type: ignore[attr-defined]
    levels = margin_levels(book(account(held), account(mixed)), PRICES)
    assert levels.equity[0] == pytest.approx(levels.equity[1], rel=1e-12, abs=1e-6)
    assert levels.maintenance[0] == pytest.approx(levels.maintenance[1], rel=1e-12)


@given(cash=money, q=size, s=side, btc=st.floats(0.0, 50.0), k=st.sampled_from([1.0, 1.25, 2.0]))
def test_barriers_bound_exactly_the_safe_prices(cash: float, q: float, s: float, btc: float, k: float) -> None:
    held = book(account([position(quantity=q * s)], cash, [("BTC", btc)]))
    lower, upper = barriers(held.arrays, 0, k, 0, PRICES)
    scale = 1e-7 * (cash + (q + btc) * PRICES[0] * 10)
    for edge in (lower, upper):
        if 0.0 < edge < np.inf:
            assert abs(unit_gap(held.arrays, 0, k, np.array([edge, 1.0, 1.0]))) <= max(scale, 1e-9 * q * edge)
    for price in np.geomspace(1.0, 1e7, 60):
        gap = unit_gap(held.arrays, 0, k, np.array([price, 1.0, 1.0]))
        if abs(gap) > scale:
            assert (gap >= 0) == (lower <= price <= upper)


def test_no_safe_price_is_an_empty_interval() -> None:
    held = book(account([position(quantity=1.0), position(quantity=-1.0, entry_price=1.0)], 0.0))
    assert barriers(held.arrays, 0, 1.0, 0, PRICES) == (np.inf, 0.0)
