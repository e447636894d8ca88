"""The whole desk: enough, cheap, within every rule, certified; and clear where it cannot be done."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.account import Account
from models.rebalance import Policy, Target
from models.rebalance.balances import held
from models.rebalance.joint.corrections import Course, planned_again
from models.rebalance.joint.plan import DeskPlan
from models.rebalance.joint.problem import score
from models.rebalance.joint.recommend import recommend_desk
from models.rebalance.joint.run import DeskRun
from models.rebalance.joint.solve import solve
from tests.models.builders import book, position
from tests.models.rebalance.joint.policies import rich, risky, wallet_policy
from tests.models.rebalance.toy import ASSETS, PRICES, toy_predict

PREDICT = toy_predict()
DESK = [risky("a"), risky("b", 2_200.0), risky("c", 3_000.0, -1.0), rich()]
NO_LOSS = {"target": "0.01@1440", "liquidation_cost_rate": 0.0, "stress": [0.8, 1.2]}
SLOW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def plan_of(accounts: list[Account], policy: Policy, **more: Any) -> DeskPlan:
    found, failures = recommend_desk(accounts, ASSETS, PRICES, PREDICT, policy, **more)
    assert failures == []
    return found


def with_places(usdt: float, btc: float, **changes: Any) -> Policy:
    places = {"hot": {"inventory": {"USDT": usdt}}, "cold": {"inventory": {"USDT": 0.0, "BTC": btc}}}
    return wallet_policy(places=places, **changes)


def test_every_account_reaches_the_target_by_the_predictor_asked_anew() -> None:
    plan = plan_of(DESK, wallet_policy())
    assert plan.status == "act"
    assert {t.account_id for t in plan.transfers} == {"a", "b", "c"}
    for account, outcome in zip(plan.accounts_after, plan.accounts, strict=False):
        p = PREDICT(book(account))[0]
        assert p == pytest.approx(outcome.p_after)
        assert p[2] <= 0.01 < outcome.p_before[2]
    assert plan.certificate.clean
    assert plan.gap is not None
    assert plan.gap <= 0.001
    assert "no account ends worse" in plan.sentence


def test_the_cheaper_route_is_taken() -> None:
    assert {t.route for t in plan_of(DESK, wallet_policy()).transfers} == {"chain"}


def test_who_needs_more_than_the_others_left_gets_it_from_them_where_they_can_go_elsewhere() -> None:
    routes = [
        {"name": "chain", "source": "hot", "to": ["*"], "assets": ["USDT"], "gas": 2},
        {"name": "vault", "source": "cold", "to": ["b"], "assets": ["USDT"], "gas": 25},
    ]
    desk = [risky("a"), risky("b", 2_200.0)]
    known = ASSETS, PRICES, PREDICT
    need = DeskRun(desk, *known, wallet_policy(routes=routes, limits=NO_LOSS)).worth.curves.need
    places = {"hot": {"inventory": {"USDT": 1.01 * float(need.sum())}}, "cold": {"inventory": {"USDT": 1e6}}}
    run = DeskRun(desk, *known, wallet_policy(places=places, routes=routes, limits=NO_LOSS))
    first = solve(run.problem(), 5.0, 1e-4).amount
    assert {run.network.links[k].route.name for k in np.flatnonzero(first)} == {"chain"}
    course = Course(np.array([1.1, 1.0]), np.zeros(len(first), np.bool_))
    again = planned_again(run, course, first, np.array([0]), time.monotonic() + 5.0, 5.0, 1e-4)
    seen = score(run.problem(course), again)
    assert seen.broken == ()
    assert not seen.short.any()
    sent = {(link.route.name, link.account) for link, x in zip(run.network.links, again, strict=True) if x > 0}
    assert sent == {("chain", 0), ("vault", 1)}


def test_shared_inventory_is_not_spent_twice() -> None:
    plan = plan_of(DESK, wallet_policy(3_000.0))
    assert sum(t.amount for t in plan.transfers if t.source == "hot") <= 3_000.0 + 1e-6
    assert plan.status == "act"
    assert {t.source for t in plan.transfers} == {"hot", "cold"}


@SLOW
@given(cash=st.lists(st.floats(1_300.0, 3_500.0), min_size=2, max_size=3), hot=st.floats(500.0, 20_000.0))
def test_no_money_is_created_and_asking_again_sends_nothing(cash: list[float], hot: float) -> None:
    desk = [risky(str(i), c, -1.0 if i == 1 else 1.0) for i, c in enumerate(cash)]
    policy = wallet_policy(hot)
    plan = plan_of(desk, policy)
    for asset in ("USDT", "BTC"):
        came = sum(held(b, asset) - held(a, asset) for a, b in zip(desk, plan.accounts_after, strict=True))
        left = sum(policy.places[n].inventory.get(asset, 0.0) for n in policy.places) - sum(
            plan.policy_after.places[n].inventory.get(asset, 0.0) for n in policy.places
        )
        assert came == pytest.approx(sum(t.amount for t in plan.transfers if t.asset == asset))
        assert left == pytest.approx(came + sum(t.fee for t in plan.transfers if t.asset == asset))
    for transfer in plan.transfers:
        step = {"chain": 0.01, "vault": 0.001}[transfer.route]
        assert transfer.amount / step == pytest.approx(round(transfer.amount / step), abs=1e-4)
        assert transfer.route != "chain" or transfer.amount >= 10
    again = plan_of(list(plan.accounts_after), plan.policy_after)
    assert again.transfers == ()
    assert plan.status != "act" or again.status == "ok"


@SLOW
@given(loose=st.floats(0.005, 0.05), share=st.floats(0.2, 0.9), hot=st.floats(2_000.0, 20_000.0))
def test_a_tighter_target_never_costs_less(loose: float, share: float, hot: float) -> None:
    policy = wallet_policy(hot, limits=NO_LOSS)
    easy = plan_of(DESK, policy, target=Target(loose, 1440), gap=1e-6)
    hard = plan_of(DESK, policy, target=Target(loose * share, 1440), gap=1e-6)
    assert hard.transfers_usd >= easy.transfers_usd * 0.995


@SLOW
@given(hot=st.floats(0.0, 8_000.0), more=st.floats(0.0, 8_000.0))
def test_more_inventory_never_costs_more(hot: float, more: float) -> None:
    poor, wealthy = (plan_of(DESK, wallet_policy(x, limits=NO_LOSS), gap=1e-6) for x in (hot, hot + more))
    assert wealthy.transfers_usd <= poor.transfers_usd * 1.001 + 0.01


def one_place(usdt: float) -> Policy:
    route = {"name": "chain", "source": "hot", "to": ["*"], "assets": ["USDT"], "gas": 2}
    return wallet_policy(places={"hot": {"inventory": {"USDT": usdt}}}, routes=[route])


def test_what_binds_is_named_and_giving_way_is_enough() -> None:
    plan = plan_of(DESK, one_place(3_000.0))
    assert plan.status == "cannot_reach"
    (change,) = plan.relaxations
    assert change.limit == "inventory: USDT at hot"
    assert f"{change.limit} by" in plan.sentence
    assert plan_of(DESK, one_place(3_000.0 + change.more * 1.001 + 1)).status == "act"
    assert plan_of(DESK, one_place(3_000.0 + change.more * 0.95)).status == "cannot_reach"
    assert set(plan.certificate.missed) == {o.account_id for o in plan.accounts if o.short_usd > 0}


def test_the_number_of_moves_is_kept_and_named() -> None:
    plan = plan_of(DESK, wallet_policy(limits={**NO_LOSS, "max_moves": 2}))
    assert len(plan.transfers) == 2
    (change,) = plan.relaxations
    assert (change.limit, change.more) == ("max_moves", pytest.approx(1.0))


def test_a_route_past_its_cut_off_is_late_and_only_taken_where_nothing_else_is_left() -> None:
    hours = {"days": [0, 1, 2, 3, 4], "opens": "09:00:00", "cut_off": "16:00:00"}
    routes = [
        {"name": "chain", "source": "hot", "to": ["*"], "assets": ["USDT"], "gas": 50},
        {"name": "wire", "source": "cold", "to": ["*"], "assets": ["USDT"], "hours": hours, "lag": [[0.95, 60]]},
    ]
    saturday = datetime(2025, 3, 1, 12, tzinfo=UTC)
    enough = plan_of([risky("a")], wallet_policy(routes=routes), now=saturday)
    assert [(t.route, t.late) for t in enough.transfers] == [("chain", False)]
    short = plan_of([risky("a")], wallet_policy(500.0, routes=routes), now=saturday)
    assert ("wire", True) in [(t.route, t.late) for t in short.transfers]
    assert short.accounts[0].status == "late"
    assert "which may come too late" in short.sentence
    friday = plan_of([risky("a")], wallet_policy(500.0, routes=routes), now=datetime(2025, 2, 28, 12, tzinfo=UTC))
    assert [(t.route, t.late) for t in friday.transfers] == [("wire", False)]


def test_segregated_money_serves_its_owner_only() -> None:
    places = {
        "hot": {"inventory": {"USDT": 50_000.0}, "segregated": True, "draws": ["b"]},
        "cold": {"inventory": {"USDT": 0, "BTC": 0}},
    }
    plan = plan_of([risky("a"), risky("b")], wallet_policy(places=places))
    assert {t.account_id for t in plan.transfers} == {"b"}
    assert any(r.account_id == "a" and "kept for b" in r.reason for r in plan.refused)
    assert next(o for o in plan.accounts if o.account_id == "a").status == "short"


def test_assets_that_are_not_eligible_or_have_no_price_are_refused_with_a_reason() -> None:
    eligibility = {"generic-linear": {"assets": {"USDT": {}}}}
    plan = plan_of([risky("a")], with_places(100.0, 5.0, eligibility=eligibility))
    assert {t.asset for t in plan.transfers} == {"USDT"}
    assert "does not list BTC" in next(r.reason for r in plan.refused if r.asset == "BTC")
    places = {"hot": {"inventory": {"USDT": 9e4}}, "cold": {"inventory": {"SOL": 100.0}}}
    routes = [{"name": n, "source": n, "to": ["*"], "assets": [a]} for n, a in (("hot", "USDT"), ("cold", "SOL"))]
    unpriced = np.array([PRICES[0], PRICES[1], np.nan])
    found, _ = recommend_desk([risky("a")], ASSETS, unpriced, PREDICT, wallet_policy(places=places, routes=routes))
    assert found.status == "act"
    assert "no price for SOL" in next(r.reason for r in found.refused if r.asset == "SOL")


def test_concentration_is_capped() -> None:
    eligibility = {"generic-linear": {"assets": {"USDT": {}, "BTC": {"most_share": 0.25}}}}
    plan = plan_of([risky("a")], with_places(1_500.0, 5.0, eligibility=eligibility))
    after = plan.accounts_after[0]
    coins, money = held(after, "BTC") * PRICES[0] * 0.95, held(after, "USDT")
    assert plan.status == "act"
    assert 0 < coins <= 0.25 * (coins + money) * 1.001


def test_coins_that_fall_with_the_position_are_sent_in_a_larger_amount() -> None:
    long, short = (plan_of([risky("a", quantity=q)], with_places(0.0, 5.0)) for q in (1.0, -1.0))
    assert long.status == short.status == "act"
    money = plan_of([risky("a")], with_places(9e4, 0.0))
    assert long.transfers[0].value_usd > 1.05 * money.transfers[0].value_usd


def test_large_transfers_ask_for_approval() -> None:
    policy = wallet_policy(limits={**NO_LOSS, "approval_above": 1_900.0})
    found = {t.account_id: t.needs_approval for t in plan_of(DESK, policy).transfers}
    assert found == {"a": True, "b": True, "c": False}


def giving(**more: Any) -> Policy:
    places = {"other": {"kind": "account", "account": "rich"}}
    routes = [{"name": "between", "source": "other", "to": ["*"], "assets": ["USDT"]}]
    return wallet_policy(places=places, routes=routes, limits={**NO_LOSS, **more})


def test_an_account_gives_what_it_can_spare_and_stays_safe() -> None:
    plan = plan_of([risky("a"), rich()], giving())
    assert plan.status == "act"
    giver = next(o for o in plan.accounts if o.account_id == "rich")
    assert giver.status == "gives"
    assert giver.p_after[2] <= 0.01
    assert giver.levels_after.equity >= giver.levels_after.release
    assert sum(held(a, "USDT") for a in plan.accounts_after) == pytest.approx(62_500.0)


def test_nobody_gives_who_would_be_called_under_the_stress_of_the_policy() -> None:
    accounts = [risky("a"), rich(cash=14_000.0)]
    free = plan_of(accounts, giving(stress=[0.99]))
    assert [t.source for t in free.transfers] == ["other"]
    strict = plan_of(accounts, giving(stress=[0.75]))
    assert strict.certificate.worsened == ()
    after = {a.account_id: held(a, "USDT") for a in strict.accounts_after}
    assert after["rich"] == 14_000.0 or strict.status == "act"


def isolated(*quantities: float) -> Account:
    legs = [position("BTC/USDT:USDT", q, 50_000.0, margin_mode="isolated", isolated_margin=2_500.0) for q in quantities]
    return msgspec.structs.replace(risky("iso"), positions=tuple(legs))


def test_the_margin_of_an_isolated_position_is_raised() -> None:
    plan = plan_of([isolated(1.0), risky("a")], wallet_policy())
    assert plan.status == "act"
    assert {o.account_id: o.status for o in plan.accounts} == {"iso": "reached", "a": "reached"}
    sent = next(t for t in plan.transfers if t.account_id == "iso")
    assert (sent.kind, sent.asset, sent.symbol) == ("add_margin", "USDT", "BTC/USDT:USDT")
    after = plan.accounts_after[0].positions[0]
    assert after.isolated_margin == pytest.approx(2_500.0 + sent.amount)
    assert any("does not take BTC as margin" in r.reason for r in plan.refused)


def test_a_bad_account_does_not_take_the_others_along() -> None:
    bad = msgspec.structs.replace(risky("bad"), ruleset="nowhere")
    plan, failures = recommend_desk([bad, risky("a")], ASSETS, PRICES, PREDICT, wallet_policy())
    assert [f.account_id for f in failures] == ["bad"]
    assert [t.account_id for t in plan.transfers] == ["a"]


def test_without_a_solver_the_plan_is_certified_as_well() -> None:
    best, fallback = plan_of(DESK, wallet_policy(3_000.0)), plan_of(DESK, wallet_policy(3_000.0), time_limit=0.0)
    assert fallback.method == "greedy"
    assert (fallback.bound_usd, fallback.gap) == (None, None)
    assert fallback.certificate.clean
    assert fallback.cost_usd <= best.cost_usd * 1.1


def test_a_policy_without_routes_says_what_lacks() -> None:
    plan = plan_of([risky("a")], Policy())
    assert plan.status == "cannot_reach"
    assert plan.transfers == ()
    assert [r.limit for r in plan.relaxations] == ["need: a"]
    assert "Nothing can be sent" in plan.sentence


def test_the_front_rises_as_the_target_falls() -> None:
    run = DeskRun(DESK, ASSETS, PRICES, PREDICT, wallet_policy(6_000.0, limits=NO_LOSS))
    front = run.front((0.05, 0.02, 0.01, 0.005, 0.001))
    assert np.all(np.diff([point.transfers_usd for point in front]) >= -1e-6)
    assert np.all(np.diff([point.moved_usd for point in front]) > 0)
    assert front[2].transfers_usd == pytest.approx(run.plan().transfers_usd, rel=0.01)


@pytest.mark.parametrize("measure", ["expected", "cvar90", "cvar95"])
def test_a_measure_of_the_tail_sends_no_less(measure: str) -> None:
    limits = {"target": "0.01@1440", "stress": [0.8], "liquidation_cost_rate": 0.5, "risk_measure": measure}
    sent = sum(t.value_usd for t in plan_of([risky("a")], wallet_policy(limits=limits)).transfers)
    mean = {**limits, "risk_measure": "expected"}
    assert sent >= sum(t.value_usd for t in plan_of([risky("a")], wallet_policy(limits=mean)).transfers) * 0.999


def test_a_stale_price_is_not_relied_on_where_there_is_another_way_and_warned_of_where_not() -> None:
    ages = np.array([10_000.0, 0.0, 0.0])
    plan = plan_of([risky("a")], with_places(1e5, 5.0), age_minutes=ages)
    assert {t.asset for t in plan.transfers} == {"USDT"}
    assert "The price of BTC is 10000 minutes old." in {r.reason for r in plan.refused}
    assert plan.warnings == ("a rests on a price of BTC that is 10000 minutes old.",)
    assert plan.sentence.endswith(plan.warnings[0])
    assert plan_of([risky("a")], with_places(1e5, 5.0), age_minutes=np.zeros(3)).warnings == ()
