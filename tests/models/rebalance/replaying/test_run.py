"""One rule on accounts whose needs are written down: arrivals, failures, costs and losses, by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from models.rebalance.replaying.check import violations
from models.rebalance.replaying.rules import Nothing, View, Wanted
from models.rebalance.replaying.run import run_rule
from tests.models.rebalance.replaying.stages import START, accounts_of, desk, stage

NONE = -1.0
HOUR = 3_600_000_000_000


@dataclass
class Plan:
    """Wants an amount of every account at the decision of a bar."""

    amounts: dict[int, float]
    name: str = "by hand"
    knob: float = 0.0

    def decide(self, view: View) -> Wanted:
        n = len(view.held)
        return Wanted(np.full(n, self.amounts.get(view.epoch.bar, np.nan)), np.arange(n, dtype=float))


def test_without_help_the_first_need_liquidates_and_a_call_comes_before():
    seen = run_rule(stage([[NONE, NONE, -5.0, 3.0], [-50.0] * 4]), Nothing())
    assert seen.called.tolist() == [True, False]
    assert seen.liquidated.tolist() == [True, False]
    assert seen.liquidated_bar.tolist() == [3, -1]
    assert seen.losses.tolist() == [100.0, 0.0]
    assert seen.spent.tolist() == [0.0, 0.0]


def test_help_counts_from_the_bar_after_its_arrival():
    early = run_rule(stage([[NONE, 20.0, NONE, NONE]]), Plan({0: 30.0}))
    assert not early.liquidated[0]  # an hour on its way: there at the open of bar 1
    late = run_rule(stage([[20.0, NONE, NONE, NONE]]), Plan({0: 30.0}))
    assert late.liquidated[0]
    slow = run_rule(stage([[NONE, 20.0, NONE, NONE]], desk(lag=[[1.0, 61]])), Plan({0: 30.0}))
    assert slow.liquidated[0]  # a minute later: bar 2


def test_costs_are_gas_and_holding_by_the_hour():
    seen = run_rule(stage([[NONE] * 4]), Plan({0: 30.0}))
    assert seen.fees[0] == pytest.approx(2.0)
    assert seen.holding[0] == pytest.approx(30.0 * 0.001 * 4 / 24)
    assert seen.held_days[0] == pytest.approx(30.0 * 4 / 24)
    assert seen.idle_days[0] == pytest.approx((30.0 - 9.0) * 4 / 24)  # the call level needs 9


def test_what_is_taken_back_has_left_at_once_and_costs_again():
    kept = run_rule(stage([[NONE, NONE, 20.0, NONE]]), Plan({0: 30.0}))
    taken = run_rule(stage([[NONE, NONE, 20.0, NONE]]), Plan({0: 30.0, 2: 0.0}))
    assert not kept.liquidated[0]
    assert taken.liquidated[0]
    assert taken.moves[0] == 2
    assert taken.fees[0] == pytest.approx(4.0)


def test_a_failed_transfer_never_arrives_and_its_money_is_there_again():
    policy = desk(inventory=30.0, failure_rate=0.999999)
    seen = run_rule(stage([[NONE, NONE, NONE, 20.0, NONE, NONE]], policy), Plan({0: 30.0, 2: 30.0}))
    assert seen.liquidated[0]
    assert [move.failed for move in seen.ledger] == [True, True]  # the second used the same 30
    assert seen.held_days[0] < 30.0 * 4 / 24


def test_an_inventory_serves_the_most_urgent_first_and_refuses_the_rest():
    seen = run_rule(stage([[NONE, 20.0, NONE, NONE]] * 3, desk(inventory=65.0)), Plan({0: 30.0}))
    assert seen.liquidated.tolist() == [True, False, False]
    # what is left serves the first in part: 5 of 30
    assert [round(m.units, 9) for m in seen.ledger] == [30.0, 30.0, 5.0]


def test_a_limit_of_moves_holds_at_every_decision():
    seen = run_rule(stage([[NONE] * 4] * 3, desk(limits={"max_moves": 1})), Plan({0: 30.0, 2: 30.0}))
    assert [m.account for m in seen.ledger] == [2, 1]
    assert seen.refused == 3


def test_the_dead_are_not_helped_and_hold_nothing():
    seen = run_rule(stage([[5.0, NONE, NONE, NONE]]), Plan({0: 30.0, 2: 30.0}))
    assert len(seen.ledger) == 1
    assert seen.held_days[0] == pytest.approx(30.0 / 24)


def test_chance_is_the_same_for_every_rule_and_differs_by_seed():
    policy = desk(failure_rate=0.5, lag=[[0.5, 10], [0.9, 90]])
    one = [m.failed for m in run_rule(stage([[NONE] * 8] * 20, policy), Plan({2: 30.0})).ledger]
    two = [
        m.failed for m in run_rule(stage([[NONE] * 8] * 20, policy), Plan({0: 10.0, 2: 40.0})).ledger if m.units == 30.0
    ]
    other = [m.failed for m in run_rule(stage([[NONE] * 8] * 20, policy, seed=1), Plan({2: 30.0})).ledger]
    assert len(one) == 20
    assert 0 < sum(one) < 20
    assert one != other
    lags = {m.minutes for m in run_rule(stage([[NONE] * 8] * 60, policy), Plan({2: 30.0})).ledger}
    assert lags == {10.0, 90.0, 180.0}
    assert len(two) <= 20


def test_what_is_still_on_its_way_cannot_be_taken_back_and_inventories_stay_true():
    policy = desk(inventory=100.0, failure_rate=0.5, lag=[[1.0, 400]])
    wish = Plan({0: 40.0, 2: 10.0, 4: 60.0, 8: 5.0, 10: 70.0, 12: 0.0, 14: 90.0})
    own = stage([[NONE] * 20] * 6, policy)
    seen = run_rule(own, wish)
    assert any(m.failed for m in seen.ledger)
    assert any(m.back for m in seen.ledger)
    assert not any(m.back and m.when_ns <= START + 6 * HOUR for m in seen.ledger)  # nothing has come before hour 7
    closed = [(own.when(20), False)] * 6
    assert violations(seen.ledger, accounts_of(6), policy, closed) == []
    left = sum(m.units * (0 if m.failed else -1 if m.back else 1) for m in seen.ledger)
    assert 0.0 <= left <= 100.0
