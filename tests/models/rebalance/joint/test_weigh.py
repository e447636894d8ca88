"""Plans by worth: who saves most is served, what can wait waits, every limit is kept, nobody ends worse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models.account import Account
from models.book import Book
from models.rebalance import Policy, policy_from_mapping
from models.rebalance.joint import DeskPlan, DeskRun, Weighing
from models.rebalance.joint.losses import losses_of
from models.rebalance.joint.problem import score
from models.typing import FloatArray
from tests.models.builders import account, position
from tests.models.rebalance.joint.policies import rich, risky
from tests.models.rebalance.toy import ASSETS, PRICES, toy_predict

DESK = [risky("a"), risky("b", 2_200.0), risky("c", 3_000.0, -1.0), rich()]
LIMITS = {"stress": [0.8, 1.2], "liquidation_cost": 500.0, "liquidation_cost_rate": 0.0, "target": "0.01@1440"}
HOT = {"name": "chain", "source": "hot", "to": ["*"], "assets": ["USDT"], "step": 0.01, "min_transfer": 10, "gas": 2}
COLD = {"name": "vault", "source": "cold", "to": ["*"], "assets": ["USDT", "BTC"], "step": 0.001, "gas": 25}


def policy_of(usdt: float, cold: float = 0.0, limits: dict[str, Any] | None = None, **more: Any) -> Policy:
    return policy_from_mapping({
        "assets": {"USDT": {"annual_cost": 0.05}, "BTC": {"annual_cost": 0.01}},
        "places": {"hot": {"inventory": {"USDT": usdt}}, "cold": {"inventory": {"USDT": cold, "BTC": cold / 5e4}}},
        "routes": [HOT, COLD], "limits": LIMITS | (limits or {}), **more,
    })  # fmt: skip


def run_of(
    policy: Policy, accounts: list[Account] | None = None, predict: Callable[[Book], FloatArray] | None = None
) -> DeskRun:
    return DeskRun(accounts or DESK, ASSETS, PRICES, predict or toy_predict(), policy)


def weigh(policy: Policy, knob: float = 1.0, every: float = 480.0, **more: Any) -> DeskPlan:
    return run_of(policy, **more).weigh(Weighing(knob), every)


def sent(plan: DeskPlan) -> dict[str, float]:
    return {t.account_id: t.amount for t in plan.transfers}


def worth_of(plan: DeskPlan) -> float:
    assert plan.bound_usd is not None
    assert plan.bound_usd <= plan.cost_usd + 1e-9
    return -plan.cost_usd


def test_with_enough_for_all_each_account_gets_what_it_would_get_alone() -> None:
    plan = weigh(policy_of(1e6))
    assert set(sent(plan)) == {"a", "b", "c"}
    for one in DESK[:3]:
        assert sent(weigh(policy_of(1e6), accounts=[one])) == {one.account_id: sent(plan)[one.account_id]}
    assert plan.shadow == {}
    assert plan.gap == 0.0
    assert plan.certificate.clean
    assert "no account ends worse" in plan.sentence
    assert "What binds" not in plan.sentence


def test_a_shortage_goes_to_whoever_saves_most_and_has_a_price() -> None:
    lump = [HOT | {"min_transfer": 900}]
    plan = weigh(policy_of(1_000.0, routes=lump))
    assert set(sent(plan)) == {"b"}  # nearest to its call
    assert plan.shadow["pool: USDT at hot"] > 0.0
    assert "What binds: USDT at hot" in plan.sentence
    assert {o.account_id: o.status for o in plan.accounts}["a"] == "left"
    assert plan.status == "act"
    assert plan.relaxations == ()
    empty = weigh(policy_of(0.0, routes=lump))
    assert sent(empty) == {}
    assert empty.status == "ok"
    assert empty.shadow["pool: USDT at hot"] >= plan.shadow["pool: USDT at hot"]
    assert "Nothing is worth sending now." in empty.sentence


def test_more_inventory_is_never_worth_less() -> None:
    worth = [worth_of(weigh(policy_of(x))) for x in (0.0, 200.0, 1_000.0, 2_500.0, 5_000.0, 7_500.0, 12_000.0, 1e5)]
    assert worth == sorted(worth)
    assert worth[0] == 0.0 < worth[1]
    assert worth[-2] < worth[-1] * (1 + 1e-9)


def test_what_can_wait_is_left_and_named() -> None:
    plan = weigh(policy_of(1e6), every=1.0)
    assert sent(plan) == {}
    assert plan.waits == ("a", "b", "c")
    assert "Left for the next decision, in 1 minute: a, b, c." in plan.sentence
    now = weigh(policy_of(1e6), every=480.0)
    assert now.waits == ()
    assert "Left for" not in now.sentence
    assert {t.stage for t in now.transfers} == {"send"}


def test_what_cannot_arrive_before_help_sent_later_is_not_sent() -> None:
    slow = [HOT | {"lag": [[1.0, 480]]}, HOT | {"name": "fast", "gas": 3, "lag": [[1.0, 5]]}]
    plan = weigh(policy_of(1e6, routes=slow))
    assert {t.route for t in plan.transfers} == {"fast"}
    closed = {"days": [0, 1, 2, 3, 4, 5, 6], "opens": "00:00:00", "cut_off": "23:59:00", "settlement_days": 4}
    assert weigh(policy_of(1e6, routes=[HOT | {"hours": closed}])).transfers == ()


def test_the_knob_is_what_a_dollar_of_loss_may_cost() -> None:
    moved = [sum(sent(weigh(policy_of(1e6), knob)).values()) for knob in (0.001, 0.03, 1.0, 30.0)]
    assert moved == sorted(moved)
    assert moved[0] == 0.0 < moved[2]
    dear = weigh(policy_of(1e6, routes=[HOT | {"gas": 1_000}]))
    assert dear.transfers == ()
    assert dear.waits == ()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"limits": {"max_moves": 1}},
        {"limits": {"max_run_value": 3_000.0}},
        {"limits": {"max_moves_per_account": 1}},
        {"eligibility": {"a": {"assets": {"USDT": {"cap": 3_500.0}}}, "b": {"assets": {"USDT": {"most_share": 0.5}}}}},
        {"assets": {"USDT": {"step": 250.0, "min_transfer": 500.0, "cap": 2_000.0, "fee": 1.0}}},
        {"routes": [HOT | {"max_transfer": 1_500.0, "impact": [[0, 0.001], [800, 0.01]], "fee_rate": 0.01}, COLD]},
    ],
)
@pytest.mark.parametrize("usdt", [1_800.0, 6_000.0, 1e6])
def test_every_limit_is_kept_by_an_independent_count(changes: dict[str, Any], usdt: float) -> None:
    run = run_of(policy_of(usdt, usdt, **changes))
    plan = run.weigh(Weighing(1.0))
    names = [(link.route.name, run.accounts[link.account].account_id, link.asset) for link in run.network.links]
    amount = np.zeros(len(names))
    for t in plan.transfers:
        amount[names.index((t.route, t.account_id, t.asset))] = t.amount
    seen = score(run.problem(), amount)
    assert seen.broken == ()
    assert plan.transfers_usd == pytest.approx(seen.transfers)
    assert len(plan.transfers) > 0
    assert plan.certificate.worsened == ()


def test_an_account_that_would_end_worse_is_left_and_the_others_are_not() -> None:
    inner = toy_predict()

    def predict(book: Book) -> FloatArray:
        p = inner(book)
        more = (book.account_id == "b") & (book.arrays.unit_cash[book.arrays.account_unit[:-1]] > 2_300.0)
        p[:, 0] = np.where(more, 0.9, p[:, 0])
        return np.maximum.accumulate(p, axis=1)

    plan = weigh(policy_of(1e6), predict=predict)
    assert set(sent(plan)) == {"a", "c"}
    assert plan.certificate.worsened == ()


def test_isolated_positions_are_weighed_apart() -> None:
    alone = [position(quantity=1.0, entry_price=50_000.0, margin_mode="isolated", isolated_margin=2_400.0)]
    plan = weigh(policy_of(1e6), accounts=[risky("a"), account(alone, cash=5_000.0, account_id="iso")])
    assert {(t.account_id, t.kind) for t in plan.transfers} == {("a", "top_up"), ("iso", "add_margin")}


def test_who_is_under_the_target_is_not_weighed() -> None:
    plan = weigh(policy_of(1e6), accounts=[rich()])
    assert plan.status == "ok"
    assert plan.transfers == ()


def test_losses_fall_with_collateral_and_rise_with_time() -> None:
    run = run_of(policy_of(1e6))
    losses = losses_of(run)
    assert np.all(np.diff(losses.loss, axis=1) <= 0.0)
    assert np.all(np.diff(losses.value, axis=1) >= 0.0)
    whole = losses.within(0, 1440.0)[0]
    assert whole == pytest.approx(losses.loss[0, :, 2])
    p = toy_predict()(run.evaluate.book([run.accounts[0]])[0])[0]
    assert losses.chance[0, 0, 2] <= p[2]
    parts = [losses.within(0, m)[0][0] for m in (0.0, 30.0, 60.0, 480.0, 1440.0, 4320.0, 9e9)]
    assert parts == sorted(parts)
    assert parts[0] == 0.0
    assert parts[1] == pytest.approx(parts[2] * np.sqrt(0.5))
    assert parts[-1] == parts[-2]
