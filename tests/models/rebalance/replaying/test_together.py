"""The rule `worth` on accounts by hand: alone as the single-account rule, together who saves most, and what waits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.rebalance import Policy, policy_from_mapping
from models.rebalance.replaying.check import violations
from models.rebalance.replaying.ledger import Outcome
from models.rebalance.replaying.run import Stage, run_rule
from models.rebalance.replaying.together import Together
from models.rebalance.replaying.worthwhile import Worthwhile
from tests.models.rebalance.replaying.stages import accounts_of, desk, stage

NONE = -1.0
AMOUNT = np.linspace(0.0, 100.0, 11)
ROOTS = np.sqrt(np.array([60.0, 240.0, 1440.0, 4320.0]) / 1440.0)
CLOSED = {"hours": {"days": [0], "opens": "00:00:00", "cut_off": "01:00:00"}}
QUICK = settings(max_examples=40, deadline=None)


def chances(gap: float, scale: float = 15.0) -> np.ndarray[Any, Any]:
    """P(call) and P(liquidation) so far above liquidation, with more and more of the lever, shape (2, 11, 4)."""
    p = np.minimum(np.exp(-np.maximum(gap + AMOUNT, 0.0)[:, None] / (scale * ROOTS)), 1.0)
    return np.stack([np.minimum(1.5 * p, 1.0), p])


def scene(gaps: list[list[float]], policy: Policy, needed: float = NONE, size: float = 1.0) -> Stage:
    """Return a stage of one decision for each list of gaps, eight hours apart."""
    own = stage([[needed] * (8 * len(gaps)) for _ in gaps[0]], policy, every=8)
    amount = np.tile(AMOUNT * size, (len(gaps[0]), 1))
    curves = [np.stack([chances(g / size) for g in row], axis=1) for row in gaps]
    return replace(own, epochs=[replace(e, amount=amount, p=p) for e, p in zip(own.epochs, curves, strict=True)])


def worth(own: Stage, knob: float = 1.0, **changes: Any) -> Together:
    return Together(knob, own.table, own.policy, own.when, float(own.every_bars * own.bar_minutes), **changes)


def sent(seen: Outcome) -> dict[int, float]:
    return {m.account: m.units for m in seen.ledger if not m.back}


def broken(own: Stage, seen: Outcome) -> list[str]:
    end = [(own.when(int(b) if b >= 0 else int(own.watch.stay[0])), bool(b >= 0)) for b in seen.liquidated_bar]
    return violations(seen.ledger, accounts_of(len(own.watch)), own.policy, end)


@QUICK
@given(st.lists(st.floats(1.0, 120.0), min_size=1, max_size=5), st.floats(0.05, 5.0))
def test_with_enough_for_all_the_same_accounts_are_helped_as_one_by_one(gaps: list[float], knob: float) -> None:
    own = scene([gaps], desk(1e9))
    together, alone = sent(run_rule(own, worth(own, knob, lost=0.0))), sent(run_rule(own, Worthwhile(knob)))
    assert together.keys() == alone.keys()
    for i, units in together.items():
        assert units <= alone[i] + 1e-9
        assert units >= 0.7 * alone[i]


def test_what_can_wait_is_left_for_the_next_decision() -> None:
    patient = {"patience": 1.0, "lost": 0.0}
    own = scene([[50.0]], desk(1e6))
    assert sent(run_rule(own, worth(own, **patient))) == {}
    closing = scene([[50.0]], desk(1e6, **CLOSED))  # no help for a week
    assert sent(run_rule(closing, worth(closing, **patient)))[0] > 0.0
    near = scene([[20.0]], desk(1e6))
    assert sent(run_rule(near, worth(near, **patient)))[0] > 0.0


def test_a_shortage_goes_to_whoever_saves_most_and_not_to_the_first() -> None:
    enough = sent(run_rule(own := scene([[30.0, 12.0]], desk(1e6)), worth(own)))
    assert set(enough) == {0, 1}
    own = scene([[30.0, 12.0]], desk(enough[1] * 1.001))
    seen = run_rule(own, worth(own))
    assert max(sent(seen), key=lambda i: sent(seen)[i]) == 1
    assert sum(sent(seen).values()) <= enough[1] * 1.001
    assert seen.refused == 0
    assert broken(own, seen) == []


def test_nothing_is_thrown_after_an_account_that_is_lost_anyhow() -> None:
    policy = desk(20.0)
    own = scene([[-60.0, 15.0]], policy)  # 20 dollars leave the first 40 short
    assert set(sent(run_rule(own, worth(own)))) == {1}
    alone = scene([[-60.0]], policy)
    assert sent(run_rule(alone, worth(alone))) == {}
    half = scene([[5.0]], desk(10.0))
    risky = sent(run_rule(half, worth(half, lost=0.0)))
    assert risky[0] == pytest.approx(10.0)  # some help, which may be lost
    assert sent(run_rule(half, worth(half, lost=30.0))) == {}


def two_places(hot: float, cold: float) -> Policy:
    return policy_from_mapping({
        "assets": {"USDT": {"annual_cost": 0.01}},
        "places": {"hot": {"inventory": {"USDT": hot}}, "cold": {"inventory": {"USDT": cold}}},
        "routes": [
            {"name": "hot", "source": "hot", "to": ["*"], "assets": ["USDT"], "gas": 0.1, "lag": [[1.0, 10]]},
            {"name": "cold", "source": "cold", "to": ["*"], "assets": ["USDT"], "gas": 0.2, "lag": [[1.0, 400]]},
        ],
        "limits": {"liquidation_cost": 100.0, "liquidation_cost_rate": 0.0},
    })  # fmt: skip


def test_the_fast_place_is_left_to_whom_the_slow_one_comes_too_late() -> None:
    alone = scene([[25.0]], two_places(10.0, 0.0))
    assert sent(run_rule(alone, worth(alone)))[0] == pytest.approx(10.0)
    own = scene([[25.0, 4.0]], two_places(10.0, 1e6))
    seen = run_rule(own, worth(own))
    assert {(m.account, m.route) for m in seen.ledger} == {(0, 1), (1, 0)}


def test_what_is_not_needed_any_more_is_taken_back_for_others() -> None:
    own = scene([[14.0, 400.0], [400.0, 400.0], [400.0, 14.0]], desk(100.0, gas=0.05))
    seen = run_rule(own, worth(own))
    assert [(m.account, m.back) for m in seen.ledger] == [(0, False), (0, True), (1, False)]
    assert seen.ledger[1].units == seen.ledger[0].units
    assert broken(own, seen) == []


@pytest.mark.parametrize("limits", [{"max_moves": 2}, {"max_run_value": 60.0}, {"max_moves_per_account": 1}])
def test_limits_of_a_run_are_kept(limits: dict[str, Any]) -> None:
    own = scene([[10.0, 12.0, 14.0, 16.0], [200.0, 5.0, 5.0, 300.0]], desk(150.0, limits, annual=0.3, gas=0.01))
    seen = run_rule(own, worth(own, 3.0))
    assert len(seen.ledger) > 1
    assert seen.refused == 0
    assert broken(own, seen) == []


def test_the_dead_and_the_far_are_not_weighed_and_every_decision_is_told() -> None:
    own = scene([[10.0, 12.0], [10.0, 12.0]], desk(1e6), needed=5.0)
    rule = worth(own)
    seen = run_rule(own, rule)
    assert seen.liquidated.all()
    assert [(t.bar, t.accounts, t.orders) for t in rule.told] == [(0, 2, 2), (8, 2, 0)]
    assert rule.told[0].value <= rule.told[0].bound + 1e-9
    assert not rule.told[0].timed_out
    far = replace(own, epochs=[replace(e, near=e.near[:0], amount=e.amount[:0], p=e.p[:, :0]) for e in own.epochs])
    assert run_rule(far, worth(far)).ledger == ()
