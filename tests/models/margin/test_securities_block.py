"""The rule without an allocation search: branches, and the kernel against it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.margin.blocks import BlockArrays
from models.margin.securities import REG_T, OptionPosition, Underlying
from models.margin.securities_block import block_requirement, pack_parameters, regt_margin
from models.options.kernels import black76
from tests.models.margin.test_securities_options import SPOT, call, put


def test_an_expiry_takes_the_lesser_of_its_worst_loss_and_its_options_uncovered() -> None:
    narrow, wide = [put(95, 1, 2.0), put(100, -1, 4.0)], [put(40, 1, 0.1), put(100, -1, 4.0)]
    assert block_requirement(narrow, SPOT)[1] == pytest.approx(500.0 - 200.0)
    assert block_requirement(wide, SPOT)[1] == pytest.approx(2000.0 + 10.0)


def test_expiries_do_not_offset_each_other() -> None:
    value, need = block_requirement([call(100, -1, 5.0, days=10), call(110, 1, 2.0, days=40)], SPOT)
    assert (value, need) == (pytest.approx(-300.0), pytest.approx(2000.0 + 200.0))


def test_shares_cover_the_nearest_expiry_and_the_highest_strikes_first() -> None:
    near, far = call(105, -1, 1.0, days=10), call(105, -1, 2.0, days=40)
    value, need = block_requirement([far, near], SPOT, 100.0)
    assert (value, need) == (pytest.approx(-200.0), pytest.approx(1500.0))
    value, need = block_requirement([call(90, -1, 11.0), call(120, -1, 1.0)], SPOT, 100.0)
    assert (value, need) == (pytest.approx(-1100.0), pytest.approx(2000.0))


def test_excess_call_stays_uncovered_and_the_rest_is_a_spread() -> None:
    value, need = block_requirement([call(100, 1, 3.0), call(110, -2, 1.0)], SPOT)
    assert value == pytest.approx(100.0)
    assert need == pytest.approx(200.0 + 1000.0)


def test_long_options_above_nine_months_by_themselves() -> None:
    assert block_requirement([call(100, 1, 10.0, days=400)], SPOT) == (1000.0, 750.0)


def _random(seed: int) -> tuple[BlockArrays, np.random.Generator, Underlying]:
    rng = np.random.default_rng(seed)
    count, expiries = int(rng.integers(1, 10)), int(rng.integers(1, 4))
    kind = ("equity", "narrow", "broad")[int(rng.integers(3))]
    underlying = Underlying(100.0, kind, float(rng.choice([1.0, 2.0])))
    years = np.sort(rng.uniform(0.02, 1.5, expiries))
    blocks = BlockArrays(
        *(np.zeros(1, np.int32) for _ in range(3)),
        np.array([0, 6], np.int32),
        np.zeros(1),
        rng.choice([0.0, 50.0, 100.0, 400.0], 1),
        np.array([0, count], np.int32),
        np.array([0, expiries], np.int32),
        rng.choice([60.0, 90.0, 100.0, 110.0, 160.0], count),
        rng.random(count) < 0.6,
        rng.choice([-300.0, -100.0, -50.0, 100.0, 200.0], count),
        rng.uniform(0.2, 0.9, count),
        rng.integers(0, expiries, count).astype(np.int32),
        years,
        rng.uniform(0.97, 1.05, expiries),
        rng.uniform(0.0, 0.06, expiries),
        np.zeros(expiries),
        pack_parameters(REG_T, underlying, american=bool(rng.random() < 0.5)),
    )
    return blocks, rng, underlying


def _reference(b: BlockArrays, kind: Underlying, spot: float, vol: float, hours: float) -> tuple[float, float]:
    cash, live = 0.0, []
    for j, strike in enumerate(b.option_strike):
        e, is_call = b.option_expiry[j], bool(b.option_call[j])
        years = float(b.expiry_years[e]) - hours / 8760.0
        own = max(spot - strike if is_call else strike - spot, 0.0)
        if years <= 0:
            cash += b.option_quantity[j] * own
            continue
        forward = spot * b.expiry_carry[e] ** (years / b.expiry_years[e])
        mark = black76(forward, strike, b.option_vol[j] * vol * math.sqrt(years), is_call)
        mark *= math.exp(-b.expiry_rate[e] * years)
        mark = max(mark, own) if b.parameter[5] else mark
        live.append(OptionPosition(is_call, float(strike), float(b.option_quantity[j]), mark, years * 365, 1.0))
    value, need = block_requirement(live, Underlying(spot, kind.kind, kind.leverage), float(b.block_spot[0]))
    return cash + value, need


@pytest.mark.parametrize("seed", range(80))
def test_kernel_equals_the_reference(seed: int) -> None:
    blocks, _, underlying = _random(seed)
    for spot, vol, hours in ((100.0, 1.0, 0.0), (70.0, 1.5, 100.0), (140.0, 0.7, 3000.0), (100.0, 1.0, 14_000.0)):
        value, maintenance, initial = regt_margin(blocks, 0, spot, vol, hours)
        worth, need = _reference(blocks, underlying, spot, vol, hours)
        assert value == pytest.approx(worth, rel=1e-9, abs=1e-6)
        assert maintenance == initial == pytest.approx(need, rel=1e-9, abs=1e-6)
        assert maintenance >= 0.0
