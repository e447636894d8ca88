"""Standard margin of options: the published formulas by hand, and the kernel against them."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.blocks import BlockArrays
from models.margin.option import (
    StandardParameters,
    future_margin,
    option_margin,
    pack_parameters,
    position_margin,
    standard_margin,
)

SPOT, HOURS = 60_000.0, 8760.0


def _block(seed: int, parameters: StandardParameters, blocks: int = 3) -> BlockArrays:
    """Random blocks; the options of one expiry stand together or apart."""
    rng = np.random.default_rng(seed)
    options, expiries = rng.integers(0, 12, blocks), rng.integers(1, 4, blocks)
    option_start = np.concatenate([[0], np.cumsum(options)]).astype(np.int32)
    expiry_start = np.concatenate([[0], np.cumsum(expiries)]).astype(np.int32)
    o, e = int(option_start[-1]), int(expiry_start[-1])
    owner = np.repeat(np.arange(blocks), options)
    row = pack_parameters(parameters)
    return BlockArrays(
        block_unit=np.zeros(blocks, np.int32),
        block_asset=np.zeros(blocks, np.int32),
        block_model=np.zeros(blocks, np.int32),
        block_parameter=np.arange(0, (blocks + 1) * len(row), len(row)).astype(np.int32),
        block_perpetual=rng.normal(0, 50, blocks) * rng.integers(0, 2, blocks),
        block_spot=np.zeros(blocks),
        block_option=option_start,
        block_expiry=expiry_start,
        option_strike=SPOT * np.exp(rng.normal(0, 0.4, o)),
        option_call=rng.random(o) < 0.5,
        option_quantity=rng.normal(0, 5, o),
        option_vol=rng.uniform(0.2, 1.5, o),
        option_expiry=(expiry_start[owner] + rng.integers(0, 10**6, o) % expiries[owner]).astype(np.int32),
        expiry_years=rng.choice([1 / 365, 0.1, 0.5, 1.0], e),
        expiry_carry=np.exp(rng.normal(0.02, 0.05, e)),
        expiry_rate=rng.uniform(-0.02, 0.1, e),
        expiry_future=rng.normal(0, 20, e) * rng.integers(0, 2, e),
        parameter=np.tile(row, blocks),
    )


def _reference(
    b: BlockArrays, i: int, spot: float, vol: float, hours: float, p: StandardParameters
) -> tuple[float, float, float]:
    """The same from the public functions, one position after the other."""
    value, maintenance, initial = 0.0, 0.0, 0.0

    def add(margin: Any, unit: float) -> None:
        nonlocal maintenance, initial
        maintenance += float(margin.maintenance) * unit
        initial += float(margin.initial) * unit

    add(future_margin(b.block_perpetual[i], p), spot)
    for e in range(b.block_expiry[i], b.block_expiry[i + 1]):
        left = b.expiry_years[e] - hours / HOURS
        forward = spot * math.exp(math.log(b.expiry_carry[e]) * left / b.expiry_years[e])
        if left > 0:
            add(future_margin(b.expiry_future[e], p), spot if p.coin_settled else forward)
        for j in range(b.block_option[i], b.block_option[i + 1]):
            strike, call, quantity = b.option_strike[j], bool(b.option_call[j]), b.option_quantity[j]
            if b.option_expiry[j] != e:
                continue
            if left <= 0:
                value += quantity * max(spot - strike if call else strike - spot, 0.0)
                continue
            implied, rate = b.option_vol[j] * vol, b.expiry_rate[e]
            add(
                position_margin(
                    quantity, strike, call, implied, left, spot=spot, forward=forward, rate=rate, parameters=p
                ),
                1.0,
            )
    return value, maintenance, initial


@pytest.mark.parametrize("coin_settled", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_kernel_is_the_published_rule_position_by_position(seed: int, coin_settled: bool) -> None:
    p = StandardParameters(coin_settled=coin_settled, floor=0.08, future_slope=0.0001)
    b = _block(seed, p)
    for i in range(len(b.block_unit)):
        for spot, vol, hours in ((SPOT, 1.0, 0.0), (30_000.0, 1.7, 20.0), (130_000.0, 0.6, 24.0), (SPOT, 1.0, 1e5)):
            found, expected = standard_margin(b, i, spot, vol, hours), _reference(b, i, spot, vol, hours, p)
            assert found == pytest.approx(expected, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(
    ("strike", "is_call", "mark", "initial", "maintenance"),
    [
        (60_000.0, True, 0.05, 0.15 + 0.05, 0.075 + 0.05),  # at the money
        (61_800.0, True, 0.04, 0.12 + 0.04, 0.075 + 0.04),  # 3% out
        (90_000.0, True, 0.001, 0.10 + 0.001, 0.075 + 0.001),  # the floor
        (40_000.0, True, 0.34, 0.15 + 0.34, 0.075 + 0.34),  # in the money: no more than at it
        (57_000.0, False, 0.03, 0.10 + 0.03, 0.075 + 0.03),  # 5% out
        (60_000.0, False, 0.05, 0.15 + 0.05, 0.075 + 0.05),
        (180_000.0, False, 2.0, 0.15 + 2.0, 0.15 + 2.0),  # maintenance grows with the mark above one unit
        (300_000.0, False, 4.0, 0.30 + 4.0, 0.30 + 4.0),  # and lifts initial
    ],
)
def test_a_short_option_by_hand(strike: float, is_call: bool, mark: float, initial: float, maintenance: float) -> None:
    margin = option_margin(-2.0, strike, is_call, mark, SPOT)
    assert float(margin.initial) == pytest.approx(2 * initial, rel=1e-12)
    assert float(margin.maintenance) == pytest.approx(2 * maintenance, rel=1e-12)


def test_long_options_need_nothing_and_help_no_short_one() -> None:
    alone = option_margin([0.0, -1.0], [60_000.0, 61_000.0], True, [0.05, 0.04], SPOT)
    spread = option_margin([3.0, -1.0], [60_000.0, 61_000.0], True, [0.05, 0.04], SPOT)
    assert spread.initial.tolist() == alone.initial.tolist()
    assert spread.maintenance[0] == 0.0


@pytest.mark.parametrize(("quantity", "initial", "maintenance"), [(1, 0.02005, 0.01005), (-200, 6.0, 4.0)])
def test_futures_by_hand(quantity: float, initial: float, maintenance: float) -> None:
    margin = future_margin(quantity)
    assert float(margin.initial) == pytest.approx(initial, rel=1e-12)
    assert float(margin.maintenance) == pytest.approx(maintenance, rel=1e-12)


@given(
    quantity=st.floats(0.01, 100),
    moneyness=st.floats(-2, 2),
    vol=st.floats(0.1, 3),
    years=st.floats(0.003, 2),
    call=st.booleans(),
)
def test_initial_covers_maintenance_and_maintenance_covers_the_mark(
    quantity: float, moneyness: float, vol: float, years: float, call: bool
) -> None:
    strike = SPOT * math.exp(moneyness)
    args: dict[str, Any] = {"spot": SPOT, "forward": SPOT}
    margin = position_margin(-quantity, strike, call, vol, years, **args)
    assert margin.initial >= margin.maintenance
    assert margin.maintenance >= quantity * 0.075 * SPOT
    more = position_margin(-quantity, strike, call, 1.2 * vol, years, **args)
    assert more.maintenance >= margin.maintenance * (1 - 1e-12)
    twice = position_margin(-2 * quantity, strike, call, vol, years, **args)
    assert float(twice.initial) == pytest.approx(2 * float(margin.initial), rel=1e-12)


def test_coin_and_quote_settlement_differ_by_the_basis_of_the_mark_only() -> None:
    args: dict[str, Any] = {"spot": SPOT, "forward": 66_000.0}
    coin = position_margin(-1.0, 66_000.0, True, 0.5, 0.25, **args)
    linear = position_margin(-1.0, 66_000.0, True, 0.5, 0.25, parameters=StandardParameters(coin_settled=False), **args)
    mark = float(linear.maintenance) - 0.075 * SPOT
    assert float(coin.maintenance) == pytest.approx(0.075 * SPOT + mark / 1.1, rel=1e-12)


def test_expired_options_are_settled_cash_and_ask_for_nothing() -> None:
    b = _block(3, StandardParameters())
    for i in range(len(b.block_unit)):
        rows = slice(b.block_option[i], b.block_option[i + 1])
        away = np.where(b.option_call[rows], SPOT - b.option_strike[rows], b.option_strike[rows] - SPOT)
        cash = float(np.sum(b.option_quantity[rows] * np.maximum(away, 0.0)))
        value, maintenance, initial = standard_margin(b, i, SPOT, 1.0, HOURS)
        perpetual = future_margin(b.block_perpetual[i])
        assert value == pytest.approx(cash, rel=1e-12)
        assert maintenance == pytest.approx(SPOT * float(perpetual.maintenance))
        assert initial == pytest.approx(SPOT * float(perpetual.initial))


def test_the_order_of_options_does_not_matter() -> None:
    b = _block(5, StandardParameters(), blocks=1)
    order = np.random.default_rng(0).permutation(len(b.option_strike))
    columns = [name for name in BlockArrays._fields if name.startswith("option_") and len(getattr(b, name))]
    assert len(columns) >= 5
    moved = b._replace(**{name: getattr(b, name)[order] for name in columns})
    assert standard_margin(moved, 0, SPOT, 1.0, 5.0) == pytest.approx(standard_margin(b, 0, SPOT, 1.0, 5.0), rel=1e-12)


@pytest.mark.parametrize("years", [0.0, -0.1, math.nan])
def test_an_expired_option_is_refused_with_the_remedy(years: float) -> None:
    with pytest.raises(InputError, match=r"^years: expected years > 0 \(an expired option is settled cash"):
        position_margin(-1.0, SPOT, True, 0.5, years, spot=SPOT, forward=SPOT)


@pytest.mark.parametrize("strike", [0.0, -1.0, math.nan])
def test_a_strike_of_zero_is_refused(strike: float) -> None:
    with pytest.raises(InputError, match=r"^strike: expected a finite number > 0, was "):
        position_margin(-1.0, strike, True, 0.5, 0.1, spot=SPOT, forward=SPOT)
    with pytest.raises(InputError, match=r"^strike: expected finite prices > 0"):
        option_margin(-1.0, strike, True, 0.05, SPOT)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"underlying": 0.0}, "underlying"), ({"mark": -0.01}, "mark"), ({"quantity": math.inf}, "quantity")],
)
def test_other_values_out_of_range_are_named(change: dict[str, float], field: str) -> None:
    good = {"quantity": -1.0, "strike": SPOT, "mark": 0.05, "underlying": SPOT}
    with pytest.raises(InputError, match=rf"^{field}: expected finite"):
        option_margin(**{**good, **change}, is_call=True)
    with pytest.raises(InputError, match=r"^spot: expected finite prices > 0"):
        position_margin(-1.0, SPOT, True, 0.5, 0.1, spot=0.0, forward=SPOT)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("initial", 0.1, 1.0),
        ("floor", 0.075, 0.15),
        ("maintenance", 0.0, 0.1),
        ("future_initial", 0.01, 1.0),
        ("future_maintenance", 0.0, 0.02),
        ("future_slope", 0.0, 0.01),
    ],
)
def test_each_parameter_has_its_range(name: str, low: float, high: float) -> None:
    for value in (low, high):
        assert getattr(StandardParameters(**{name: value}), name) == value
    for value in (low - 1e-9, high + 1e-9, math.nan):
        with pytest.raises(InputError, match=r"^parameters\.\w+: expected a rate in "):
            StandardParameters(**{name: value})
