"""The rule `desk` on accounts by hand: one inventory for all, routes, lags and failures, and who is asked about."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from models.errors import InputError
from models.rebalance import Policy, policy_from_mapping
from models.rebalance.moves import Move
from models.rebalance.replaying.check import violations
from models.rebalance.replaying.desk import Joint, Scene
from models.rebalance.replaying.ledger import Outcome
from models.rebalance.replaying.rules import Order, View, Wanted
from models.rebalance.replaying.run import Stage, run_rule
from models.typing import FloatArray, IntArray
from tests.models.rebalance.joint.policies import risky
from tests.models.rebalance.replaying.stages import START, accounts_of, stage
from tests.models.rebalance.toy import ASSETS, PRICES, toy_predict

NONE = -1.0
HOUR = 3_600_000_000_000
HOT = {"name": "hot", "source": "hot", "to": ["*"], "assets": ["USDT"], "gas": 2.0, "lag": [[1.0, 60]]}
COLD = HOT | {"name": "cold", "source": "cold", "to": ["a0"], "gas": 50.0}
LEVER = Move("top_up", "USDT", -1, None, 1.0, 1e9)


def shared(hot: float, cold: float = 0.0, release: bool = False, **route: Any) -> Policy:
    """Return a policy of a wallet for everybody and a dear one for the first account; nothing but the target counts."""
    return policy_from_mapping({
        "release": release,
        "assets": {"USDT": {"annual_cost": 0.05}},
        "places": {"hot": {"inventory": {"USDT": hot}}, "cold": {"inventory": {"USDT": cold}}},
        "routes": [HOT | route, COLD | route],
        "limits": {"liquidation_cost_rate": 0.0, "stress": [0.9, 1.1]},
    })  # fmt: skip


@dataclass
class Scenes:
    """Accounts of one bitcoin with so much cash at each bar; remembers who was asked about, and with what."""

    cash: dict[int, list[float]]
    asked: list[tuple[int, list[int], list[float]]] = field(default_factory=list)
    names: list[str] | None = None

    def __call__(self, bar: int, rows: IntArray, held: FloatArray) -> Scene:
        self.asked.append((bar, rows.tolist(), held.tolist()))
        own, when = self.cash[bar], datetime.fromtimestamp((START + bar * HOUR) / 1e9, UTC)
        names = self.names or [f"a{i}" for i in range(len(own))]
        accounts = [risky(names[i], own[i] + x) for i, x in zip(rows.tolist(), held.tolist(), strict=True)]
        return Scene(accounts, ASSETS, PRICES, toy_predict(), when)


@dataclass
class Given:
    """Gives orders at the decision of a bar."""

    orders: dict[int, tuple[Order, ...]]
    name: str = "by hand"
    knob: float = 0.0

    def decide(self, view: View) -> Wanted:
        n = len(view.held)
        return Wanted(np.full(n, np.nan), np.zeros(n), self.orders.get(view.epoch.bar, ()))


@dataclass
class Wants:
    """Wants as much for every account."""

    units: float
    urgency: FloatArray
    name: str = "all"
    knob: float = 0.0

    def decide(self, view: View) -> Wanted:
        return Wanted(np.full(len(view.held), self.units), self.urgency)


def joint(policy: Policy, cash: dict[int, list[float]], knob: float = 0.02) -> tuple[Joint, Scenes]:
    scenes = Scenes(cash)
    return Joint(knob, [LEVER] * 9, policy, scenes, 5.0, 0.001), scenes


def broken(own: Stage, seen: Outcome) -> list[str]:
    closed = [(own.when(int(b) if b >= 0 else int(own.watch.stay[0])), bool(b >= 0)) for b in seen.liquidated_bar]
    return violations(seen.ledger, accounts_of(len(own.watch)), own.policy, closed)


def sent(seen: Outcome) -> list[tuple[int, int, float]]:
    return [(m.account, m.route, round(m.units, 2)) for m in seen.ledger]


def need(cash: float, knob: float = 0.02) -> float:
    """What one account alone is sent."""
    policy = shared(1e6)
    seen = run_rule(stage([[NONE, NONE]], policy), joint(policy, {0: [cash]}, knob)[0])
    assert len(seen.ledger) == 1
    return seen.ledger[0].units


def test_the_shared_wallet_is_left_to_whom_nothing_else_reaches():
    size = need(2_500.0)
    assert size > 500.0
    policy = shared(1.2 * size, 2.0 * size)
    own = stage([[NONE, NONE, 0.9 * size, NONE]] * 2, policy)
    seen = run_rule(own, joint(policy, {0: [2_500.0] * 2, 2: [4_500.0] * 2})[0])
    assert sorted((a, r) for a, r, _ in sent(seen)) == [(0, 1), (1, 0)]
    assert not seen.liquidated.any()
    assert broken(own, seen) == []
    # account by account the first takes the cheaper route, and what is left there is too little for the other
    alone = run_rule(own, Wants(size, np.array([2.0, 1.0])))
    assert [(a, r) for a, r, _ in sent(alone)] == [(0, 0), (1, 0)]
    assert alone.liquidated.tolist() == [False, True]


def test_what_left_a_place_is_not_there_at_the_next_decision():
    size = need(2_500.0)
    policy = shared(1.5 * size)
    own = stage([[NONE] * 6] * 3, policy)
    rule, scenes = joint(policy, {0: [2_500.0, 5_500.0, 5_500.0], 2: [5_500.0, 2_500.0, 5_500.0], 4: [2_500.0] * 3})
    seen = run_rule(own, rule)
    assert seen.refused == 0  # nothing was planned that was not there
    assert sent(seen)[0] == (0, 0, round(size, 2))
    assert sent(seen)[1] == (1, 0, pytest.approx(0.5 * size, abs=0.02))
    assert sum(m.units for m in seen.ledger) <= 1.5 * size + 1e-6
    assert broken(own, seen) == []
    assert scenes.asked[1][2] == pytest.approx([size, 0.0, 0.0])  # what is on its way counts as there
    assert [t.status for t in rule.told] == ["act", "cannot_reach", "cannot_reach"]
    assert [t.needy for t in rule.told] == [1, 1, 2]


def test_help_by_an_order_counts_from_the_bar_after_its_arrival():
    size = need(2_500.0)
    cash = {0: [2_500.0], 2: [2_500.0]}
    needs = [[NONE, 0.9 * size, NONE, NONE]]
    for lag, lost in ((60, False), (61, True)):
        policy = shared(1e6, lag=[[1.0, lag]])
        seen = run_rule(stage(needs, policy), joint(policy, cash)[0])
        assert seen.liquidated[0] == lost, lag


def test_an_order_on_a_route_that_fails_helps_nobody_and_its_money_is_there_again():
    size = need(2_500.0)
    policy = shared(1.01 * size, failure_rate=0.999999)
    own = stage([[NONE, NONE, NONE, 0.9 * size, NONE, NONE]], policy)
    rule, scenes = joint(policy, {0: [2_500.0], 2: [2_500.0], 4: [2_500.0]})
    seen = run_rule(own, rule)
    assert seen.liquidated[0]
    assert [(m.failed, round(m.units, 2)) for m in seen.ledger] == [(True, round(size, 2))] * 2
    assert [held for _, _, held in scenes.asked] == [[0.0], [0.0]]  # it came back before it was asked again
    assert broken(own, seen) == []


def test_the_dead_are_not_asked_about():
    policy = shared(1e6)
    rule, scenes = joint(policy, {0: [2_500.0] * 2, 2: [2_500.0] * 2})
    run_rule(stage([[5.0, NONE, NONE, NONE], [NONE] * 4], policy), rule)
    assert [rows for _, rows, _ in scenes.asked] == [[0, 1], [1]]


def test_it_takes_back_what_is_not_needed_any_more():
    policy = shared(1e6, release=True)
    own = stage([[NONE] * 4], policy)
    own = replace(own, epochs=[own.epochs[0], replace(own.epochs[1], p=np.full_like(own.epochs[1].p, 1e-6))])
    seen = run_rule(own, joint(policy, {0: [2_500.0], 2: [9_000.0]})[0])
    assert [m.back for m in seen.ledger] == [False, True]
    assert seen.ledger[1].units == seen.ledger[0].units
    assert broken(own, seen) == []


def test_an_order_is_made_whole_by_its_own_route_or_not_at_all():
    policy = shared(100.0, 1e6)
    own = stage([[NONE] * 4] * 2, policy)
    orders = {0: (Order(0, 1, 70.0), Order(0, 0, 60.0), Order(1, 0, 60.0), Order(1, 1, 5.0), Order(1, 0, 40.0))}
    seen = run_rule(own, Given(orders))
    assert sent(seen) == [(0, 1, 70.0), (0, 0, 60.0), (1, 0, 40.0)]
    assert seen.refused == 2  # there are 40 left of 60 wanted; the cold wallet does not lead there
    assert broken(own, seen) == []


def test_accounts_that_share_a_name_are_refused():
    policy = shared(1e6)
    rule, scenes = joint(policy, {0: [2_500.0] * 2})
    scenes.names = ["same", "same"]
    with pytest.raises(InputError, match=r"accounts: expected a name of its own for each account .* was 'same'"):
        run_rule(stage([[NONE, NONE]] * 2, policy), rule)


def test_whoever_comes_first_is_served_first_in_an_order_that_chance_gives():
    policy = shared(30.0)
    needs = [[NONE] * 2] * 12
    rule = Wants(30.0, np.arange(12.0))
    urgent = run_rule(stage(needs, policy), rule)
    assert [m.account for m in urgent.ledger] == [11]
    first = [run_rule(replace(stage(needs, policy, seed=s), serving="first"), rule).ledger for s in range(4)]
    assert all(len(ledger) == 1 for ledger in first)
    assert len({ledger[0].account for ledger in first}) > 1
    again = run_rule(replace(stage(needs, policy, seed=2), serving="first"), rule).ledger
    assert again == first[2]
    lags = replace(stage(needs, shared(1e6, lag=[[0.5, 10], [0.9, 90]])), serving="first")
    both = [{m.account: m.minutes for m in run_rule(s, rule).ledger} for s in (lags, replace(lags, serving="urgent"))]
    assert both[0] == both[1]  # lags do not depend on who is served first
