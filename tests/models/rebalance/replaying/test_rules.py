"""Rules on one account at a decision: when they send, how much, and what they take back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.rebalance.limits import RiskLimits
from models.rebalance.replaying.epochs import Epoch, between, with_tails
from models.rebalance.replaying.rules import AtTarget, Band, Dynamic, Static, View, amount_at
from models.rebalance.replaying.terms import Terms
from models.rebalance.replaying.worthwhile import Worthwhile

AMOUNT = np.linspace(0.0, 100.0, 11)
HOURS = np.array([60.0, 240.0, 1440.0, 4320.0])


def view(
    equity: float = 150.0, held: float = 0.0, *, deviation: float = 10.0, scale: float = 15.0, later: float = 300.0,
    now: float = 15.0, fixed: float = 0.01, rate: float = 1e-5, limits: RiskLimits | None = None, near: bool = True,
) -> View:  # fmt: skip
    """Return one account of maintenance 100; P(liquidation) falls by e with every `scale` dollars at a day."""
    gap = equity - 100.0 + AMOUNT
    p = np.minimum(np.exp(-np.maximum(gap, 0.0)[:, None] / (scale * np.sqrt(HOURS / 1440.0))), 1.0)
    both = np.stack([np.minimum(1.5 * p, 1.0), p])[:, None]
    rows = np.zeros(1, np.int64)
    kept = rows if near else rows[:0]
    epoch = Epoch(0, rows, np.ones(1), np.array([deviation]), kept, AMOUNT[None][: len(kept)], both[:, : len(kept)])
    terms = Terms(*(np.array([x]) for x in (now, later, fixed, 0.0, rate / 1440.0)))
    one = np.ones(1)
    limits = limits or RiskLimits(liquidation_cost=100.0, liquidation_cost_rate=0.0)
    return View(epoch, terms, limits, held * one, equity * one, 100.0 * one, one, 0.0 * one, 1.25 * one)


def wanted(rule, **changes) -> float:
    return float(rule.decide(view(**changes)).amount[0])


def test_a_static_threshold_tops_up_and_never_takes_back():
    assert wanted(Static(2.0), equity=190.0) == pytest.approx(60.0)  # to 2.5 times 100
    assert np.isnan(wanted(Static(2.0), equity=210.0))
    assert np.isnan(wanted(Static(2.0), equity=900.0, held=50.0))


def test_a_band_takes_back_what_was_sent_and_no_more():
    assert np.isnan(wanted(Band(2.0), equity=300.0, held=40.0))  # 3.4 times, the end is 3.5
    assert wanted(Band(2.0), equity=240.0, held=120.0) == pytest.approx(10.0)
    assert wanted(Band(2.0), equity=900.0, held=50.0) == 0.0
    assert np.isnan(wanted(Band(2.0), equity=900.0, held=0.0))


def test_a_dynamic_threshold_follows_volatility():
    assert wanted(Dynamic(2.0), equity=115.0) == pytest.approx(10.0)  # 25 above 100
    assert np.isnan(wanted(Dynamic(2.0), equity=125.0))
    assert wanted(Dynamic(2.0), equity=125.0, deviation=20.0) == pytest.approx(25.0)


def test_a_target_reads_the_call_curve():
    low = wanted(AtTarget(0.1), equity=110.0)
    assert 1.5 * np.exp(-(10.0 + low) / 15.0) <= 0.05 < 1.5 * np.exp(-(10.0 + low - 2.0) / 15.0)
    assert np.isnan(wanted(AtTarget(0.1), equity=150.0))
    assert wanted(AtTarget(0.1), held=50.0, near=False) == 0.0


def test_accounts_that_cannot_be_valued_are_left():
    unknown = replace(view(), equity=np.array([np.nan]), held=np.array([10.0]))
    for rule in (Static(2.0), Band(2.0), Dynamic(2.0)):
        assert np.isnan(rule.decide(unknown).amount[0])


def test_the_plan_sends_where_a_loss_is_near_and_not_where_it_is_far():
    assert wanted(Worthwhile(1.0), equity=110.0) > 20.0
    assert np.isnan(wanted(Worthwhile(1.0), equity=300.0))


def test_the_plan_weighs_costs():
    cheap, dear = (wanted(Worthwhile(1.0), equity=110.0, rate=rate) for rate in (1e-5, 3e-2))
    assert dear < cheap
    assert np.isnan(wanted(Worthwhile(1.0), equity=110.0, fixed=200.0))
    less, more = (wanted(Worthwhile(k), equity=110.0, rate=3e-2) for k in (0.3, 3.0))
    assert less < more


def test_the_plan_waits_while_help_can_still_come():
    far = {"equity": 135.0, "fixed": 1.0}
    assert np.isnan(wanted(Worthwhile(1.0), **far, later=60.0))
    before_a_weekend = wanted(Worthwhile(1.0), **far, later=4_000.0)
    assert before_a_weekend > 0.0
    assert before_a_weekend > wanted(Worthwhile(1.0), equity=110.0, fixed=1.0, later=60.0) - 25.0


def test_the_plan_does_not_send_what_could_as_well_be_sent_later():
    assert np.isnan(wanted(Worthwhile(1.0), equity=110.0, now=3_000.0, later=3_000.0))


def test_the_plan_takes_back_what_nothing_needs():
    assert wanted(Worthwhile(1.0), equity=300.0, held=90.0, rate=1e-2) < 90.0
    assert wanted(Worthwhile(1.0), held=90.0, rate=1e-2, near=False) == 0.0
    assert np.isnan(wanted(Worthwhile(1.0), held=90.0, rate=1e-9, near=False))  # gas costs more
    assert not wanted(Worthwhile(1.0), equity=110.0, held=40.0, rate=1e-5) < 40.0


def test_curves_are_read_between_points_and_go_on_beyond_what_paths_resolve():
    amount, p = np.array([[0.0, 1.0, 2.0, 4.0]]), np.array([[0.1, 0.01, 0.0, 0.0]])
    tail = with_tails(amount, p, 0.002)
    assert tail[0].tolist() == pytest.approx([0.1, 0.01, 1e-3, 1e-5])
    np.testing.assert_allclose(with_tails(amount, p, 0.0), p)
    assert between(np.array([[0.5]]), amount, tail)[0, 0] == pytest.approx(np.sqrt(0.001))
    assert amount_at(amount, tail, 0.0101)[0] == pytest.approx(1.0)
    assert amount_at(amount, p + 0.5, 0.01)[0] == 4.0
