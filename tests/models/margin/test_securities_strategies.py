"""Named strategies: sample calculations of the exchange's manual, their names, and stock with options on it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from models.errors import InputError
from models.margin.securities import OptionPosition, Underlying
from models.margin.securities_shape import strategy_name
from models.margin.securities_strategies import strategy_margin
from tests.models.margin.test_securities_options import SPOT, call, put


@pytest.mark.parametrize(
    ("legs", "shares", "name"),
    [
        ([call(90, 1)], 0, "long call"),
        ([put(90)], 0, "short put"),
        ([call(90), put(90)], 0, "short straddle"),
        ([call(95, 1), put(90, 1)], 0, "long strangle"),
        ([call(90, 2), put(90, 1), put(80, 1)], 0, "long options"),
        ([call(90, -2), call(95, 2)], 0, "call credit spread"),
        ([call(90, 1), call(95)], 0, "call debit spread"),
        ([put(90, 1), put(95)], 0, "put credit spread"),
        ([put(90), put(95, 1)], 0, "put debit spread"),
        ([call(90, 1, days=30), call(90)], 0, "call calendar spread"),
        ([call(95, 1, days=30), call(90)], 0, "call diagonal spread"),
        ([call(90, 1), call(95, -2), call(105, 1)], 0, "long call butterfly"),
        ([put(90, -3), put(95, 6), put(100, -3)], 0, "short put butterfly"),
        ([put(90, 1), put(95), put(100), put(105, 1)], 0, "long put condor"),
        ([call(90), call(95, 1), call(100, 1), call(105)], 0, "short call condor"),
        ([put(90, 1), put(95), call(95), call(100, 1)], 0, "short iron butterfly"),
        ([put(90, 1), put(95), call(105), call(110, 1)], 0, "short iron condor"),
        ([put(90), put(95, 1), call(105, 1), call(110)], 0, "long iron condor"),
        ([call(90, 1), call(95), put(90), put(95, 1)], 0, "long box spread"),
        ([call(90), call(95, 1), put(90, 1), put(95)], 0, "short box spread"),
        ([call(90, 1), call(95), put(90, 1), put(95)], 0, "combination"),
        ([call(90, 1), call(95, -2)], 0, "combination"),
        ([call(90)], 100, "covered call"),
        ([put(90)], -100, "covered put"),
        ([put(90, 1)], 100, "protective put"),
        ([call(90, 1)], -100, "protective call"),
        ([call(90), put(90, 1)], 100, "conversion"),
        ([call(95), put(90, 1)], 100, "collar"),
        ([call(90, 1), put(90)], -100, "reverse conversion"),
        ([call(85), put(90, 1)], 100, "combination with stock"),
        ([call(90)], 200, "combination with stock"),
        ([call(95, days=5), put(90, 1)], 100, "combination with stock"),
    ],
)
def test_names(legs: list[OptionPosition], shares: float, name: str) -> None:
    assert strategy_name(legs, shares) == strategy_name(legs[::-1], shares) == name


@pytest.mark.parametrize(
    ("legs", "shares", "price", "initial", "maintenance"),
    [
        ([call(90, -1, 7.0)], 100, 92.38, 4619.0, 0.25 * 9000 + 238.0),
        ([put(250, -1, 3.0)], -100, 255.0, 25_500 * 1.5, 33_150.0),
        ([put(95, 1, 1.0)], 100, 103.5, 5175.0 + 100.0, 1800.0),
        ([put(95, 1, 1.0)], 100, 150.0, 7500.0 + 100.0, 3750.0),
        ([call(110, -1, 6.5), put(110, 1, 1.35)], 100, 115.0, 5750.0 + 135.0, 1100.0 + 500.0),
        ([call(110, -1, 6.5), put(110, 1, 9.35)], 100, 108.0, 5400.0 + 935.0, 1100.0),
        ([call(110, 1, 6.5), put(110, -1, 1.35)], -100, 115.0, 17_250.0 + 650.0, 12_100.0),
        ([call(75, 1, 0.5), put(75, -1, 4.0)], -100, 71.9, 10_785.0 + 50.0, 8560.0),
        ([call(35, -1, 0.2), put(30, 1, 0.4)], 100, 31.75, 1587.5 + 40.0, 475.0),
        ([call(110, 1, 2.0)], -100, 104.0, 15_600.0 + 200.0, 10_400 + 1700.0),
        ([call(150, 1, 2.0)], -100, 104.0, 15_600.0 + 200.0, 10_400 + 3120.0),
    ],
)
def test_stock_with_options(
    legs: list[OptionPosition], shares: float, price: float, initial: float, maintenance: float
) -> None:
    found = strategy_margin(legs, Underlying(price), shares)
    assert found.initial == pytest.approx(initial)
    assert found.maintenance == pytest.approx(maintenance)
    assert math.isnan(found.cash_account) == (shares < 0)


def test_spread_gross_proceeds_and_deposit_as_the_manual_lists_them() -> None:
    legs = [call(125, 1, 3.8), call(120, -1, 8.4)]
    found = strategy_margin(legs, Underlying(128.5))
    assert (found.initial, found.proceeds) == (pytest.approx(880.0), pytest.approx(840.0))
    assert found.deposit == pytest.approx(40.0) == found.margin


def test_wide_spread_needs_no_more_than_its_short_option_uncovered() -> None:
    legs = [put(40, 1, 0.1), put(100, -1, 4.0)]
    found = strategy_margin(legs, SPOT)
    assert found.margin == pytest.approx(2000.0 + 10.0)
    assert found.cash_account == pytest.approx(6000.0 + 10.0 - 400.0)


def test_uncovered_figure_holds_the_premium_and_the_deposit_does_not() -> None:
    found = strategy_margin([put(80, -1, 2.0)], Underlying(95.0))
    assert (found.margin, found.deposit) == (1000.0, 800.0)


def test_european_long_box_needs_half_of_its_strikes() -> None:
    legs = [call(90, 1, 14.0), call(110, -1, 4.0), put(90, -1, 3.0), put(110, 1, 12.0)]
    american = strategy_margin(legs, SPOT)
    european = strategy_margin([replace(o, style="european") for o in legs], SPOT)
    assert american.deposit == pytest.approx(1900.0)
    assert european.deposit == pytest.approx(1000.0)
    assert european.cash_account == pytest.approx(1900.0)
    short = strategy_margin([replace(o, quantity=-o.quantity) for o in legs], SPOT)
    assert short.deposit == pytest.approx(2000.0 - 1900.0)


def test_ratio_spread_leaves_its_excess_call_uncovered() -> None:
    found = strategy_margin([call(100, 1, 3.0), call(110, -2, 1.0)], SPOT)
    # 1x2: a debit spread (200) and an uncovered call out of the money at the floor (1000 + its premium of 100)
    assert found.strategy == "combination"
    assert found.margin == pytest.approx(200.0 + 1000.0 + 100.0)


def test_quantities_scale() -> None:
    one = strategy_margin([put(90, -1, 2.0), call(110, -1, 3.0)], SPOT)
    three = strategy_margin([put(90, -3, 2.0), call(110, -3, 3.0)], SPOT)
    assert (three.margin, three.cash_account) == (pytest.approx(3 * one.margin), pytest.approx(3 * one.cash_account))


def test_a_book_without_options_is_refused() -> None:
    with pytest.raises(InputError, match="options"):
        strategy_margin([call(90, 0)], SPOT, 100)
