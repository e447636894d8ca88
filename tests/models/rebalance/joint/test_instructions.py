"""The dry run: what would be sent, once, and what waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec

from models.margin.csa.terms import CsaTerms
from models.rebalance.joint import DeskPlan, instructions_of, recommend_desk
from tests.models.rebalance.joint.policies import risky, wallet_policy
from tests.models.rebalance.toy import ASSETS, PRICES, toy_predict

NOW = datetime(2025, 2, 28, 12, tzinfo=UTC)


def plan() -> DeskPlan:
    policy = wallet_policy(limits={"approval_above": 2_100.0, "stress": [0.8]})
    return recommend_desk([risky("a"), risky("b", 2_200.0)], ASSETS, PRICES, toy_predict(), policy)[0]


def test_a_transfer_is_a_ccxt_call_with_a_key_of_its_own() -> None:
    made = plan()
    first, second = instructions_of(made, [risky("a"), risky("b")], NOW)
    assert first.method == second.method == "transfer"
    assert first.arguments["code"] == "USDT"
    assert first.arguments["amount"] == made.transfers[0].amount
    assert first.arguments["fromAccount"] == "hot"
    assert first.arguments["params"]["clientOrderId"] == first.key != second.key


def test_asking_again_gives_the_same_keys_and_another_instant_others() -> None:
    made, accounts = plan(), [risky("a"), risky("b")]
    keys = [x.key for x in instructions_of(made, accounts, NOW)]
    assert keys == [x.key for x in instructions_of(made, accounts, NOW)]
    assert not set(keys) & {x.key for x in instructions_of(made, accounts, NOW + timedelta(minutes=1))}
    more = replace(made, transfers=tuple(replace(t, amount=t.amount + 1) for t in made.transfers))
    assert not set(keys) & {x.key for x in instructions_of(more, accounts, NOW)}


def test_what_needs_approval_or_is_only_readied_is_held() -> None:
    made = plan()
    found = instructions_of(made, [risky("a"), risky("b")], NOW)
    for transfer, instruction in zip(made.transfers, found, strict=True):
        assert instruction.hold == (transfer.needs_approval or transfer.stage == "ready")
    assert [x.reason for x in found] == ["approval", "its time"]
    urgent = replace(made.transfers[1], stage="send")
    (sent,) = instructions_of(replace(made, transfers=(urgent,)), [risky("a"), risky("b")], NOW)
    assert (sent.hold, sent.reason) == (False, "")


def test_an_annex_gets_a_delivery_notice_with_its_due_time() -> None:
    made = plan()
    annex = msgspec.structs.replace(risky("a"), ruleset="csa", csa=CsaTerms())
    found = instructions_of(made, [annex, risky("b")], NOW)
    notice = next(x for x in found if x.channel == "csa")
    assert notice.method == "deliver"
    assert notice.arguments["due"] == "2025-03-03T17:00:00+00:00"


def test_a_debt_is_repaid() -> None:
    made = plan()
    repaid = replace(made, transfers=(replace(made.transfers[0], kind="repay"),))
    (found,) = instructions_of(repaid, [risky("a"), risky("b")], NOW)
    assert found.method == "repayCrossMargin"


def test_margin_is_added_to_its_position() -> None:
    made = plan()
    added = replace(made.transfers[0], kind="add_margin", symbol="BTC/USDT:USDT")
    (found,) = instructions_of(replace(made, transfers=(added,)), [risky("a"), risky("b")], NOW)
    assert found.method == "addMargin"
    assert found.arguments["symbol"] == "BTC/USDT:USDT"
