"""Expected cost, calibration by part, and shares, against plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.market import MarketPanel
from models.typing import DAY_NS, HOUR_NS
from training.dataset import Dataset
from training.evaluate.bootstrap import WEEK_NS, share, skill
from training.evaluate.decisions import RATIOS, decision_curve, expected_cost
from training.evaluate.segments import market_return, segment_table, segments


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30), st.sampled_from(RATIOS))
def test_the_cost_is_that_of_a_plain_loop_and_never_above_the_worse_of_two_rules(rows, ratio):
    p, y = np.array([r[0] for r in rows]), np.array([float(r[1]) for r in rows])
    plain = sum(ratio if a > ratio else b for a, b in zip(p, y, strict=True)) / len(y)
    assert expected_cost(p, y, ratio) == pytest.approx(plain)
    assert expected_cost(y, y, ratio) <= min(ratio, float(y.mean())) + 1e-12


def test_a_calibrated_forecast_costs_less_than_always_and_never():
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 4.0, 50_000)
    y = (rng.uniform(size=len(p)) < p).astype(float)
    for ratio, cost in decision_curve(p, y).items():
        assert cost < min(float(ratio), float(y.mean()))
    assert np.isnan(expected_cost(p[:0], y[:0], 0.1))
    for wrong in (0.0, 1.0):
        with pytest.raises(InputError, match="ratio"):
            expected_cost(p, y, wrong)


def test_a_share_is_a_ratio_of_skills():
    rng = np.random.default_rng(1)
    when = np.arange(300) * (WEEK_NS // 10)
    best, worst = rng.uniform(0.1, 0.2, 300), rng.uniform(0.9, 1.1, 300)
    middle = 0.25 * worst + 0.75 * best
    found = share(middle, worst, best, when)
    assert (found.value, found.low, found.high) == pytest.approx((0.75, 0.75, 0.75))
    assert share(best, worst, best, when).value == 1.0
    assert share(worst, worst, best, when).value == 0.0
    assert share(middle, worst, np.zeros(300), when).value == pytest.approx(skill(middle, worst, when).value)
    with pytest.raises(InputError, match="best"):
        share(middle, worst, best[:5], when)


def panel(days: int = 30, crash: int = 20) -> MarketPanel:
    close = np.full((2, days * 24), 100.0)
    close[:, crash * 24 :] = 80.0
    zero = np.zeros_like(close)
    return MarketPanel(("A", "B"), 60, 0, close, close, close, close, zero, zero, ("simulated",) * 2)


def dataset(as_of, p, y, direction=1.0, leverage=5.0, main=0.0) -> Dataset:
    n = len(as_of)
    x = np.zeros((n * 4, 3), np.float32)
    x[:, 0], x[:, 1] = direction, leverage
    x[:, 2] = np.repeat(np.arange(n), 4)
    wide = np.repeat(np.asarray(y, bool)[:, None], 4, axis=1)
    zeros, nothing = np.zeros(n, np.int16), np.full(n, np.nan)
    return Dataset(
        ("direction", "gross_leverage", "sigma"), x, np.repeat(np.asarray(p)[:, None], 4, axis=1), wide,
        np.ones((n, 4), bool), np.asarray(as_of), np.zeros(n, np.int8), np.ones(n), zeros, zeros + 1, nothing, nothing,
        nothing, nothing, ("retail",), extra={"main_asset": np.full(n, main)},
    )  # fmt: skip


def test_every_trait_cuts_all_rows_once():
    rows = dataset(np.arange(2, 27 * 24, 5) * HOUR_NS, np.full(130, 0.1), np.zeros(130))
    found = segments(rows, panel())
    for trait in ("asset", "side", "leverage", "volatility", "hour", "day", "crash"):
        parts = np.stack([mask for (name, _), mask in found.items() if name == trait])
        assert (parts.sum(axis=0) == 1).all(), trait
    assert found["side", "long"].all()
    assert found["leverage", "3 to 10"].all()
    assert found["asset", "A"].all()


def test_crash_days_are_those_after_the_fall():
    market = panel()
    closes = market.times() + HOUR_NS
    rows = dataset(closes, np.full(len(closes), 0.1), np.zeros(len(closes)))
    after = segments(rows, market)["crash", "day after"]
    ahead = segments(rows, market)["ahead", "crash within a day"]
    first = 20 * DAY_NS + HOUR_NS  # close of the first bar at the lower price
    assert closes[after].min() == first
    assert closes[after].max() == first + 23 * HOUR_NS
    assert (closes[ahead].min(), closes[ahead].max()) == (first - 24 * HOUR_NS, first - HOUR_NS)
    assert np.isnan(market_return(market, np.array([5 * HOUR_NS]))).all()


def test_parts_are_flagged_only_with_enough_calls():
    y = np.tile([1.0, 0.0], 400)
    rows = dataset(np.arange(800) % 600 * HOUR_NS + HOUR_NS, np.full(800, 0.8), y)
    found = {(r["trait"], r["part"]): r for r in segment_table(rows, np.full((800, 4), 0.8), panel())}
    assert found["side", "long"]["ratio"] == pytest.approx(1.6)
    assert found["side", "long"]["flagged"]
    assert found["side", "long"]["calls"] == 1600
    assert not found["hour", "03 UTC"]["judged"]
    assert not found["hour", "03 UTC"]["flagged"]
    assert not found["ahead", "crash within a day"]["judged"]
    assert np.isnan(found["side", "short"]["ratio"])
