"""Exchanges under agreements in the plan of a desk: one inventory for all, nothing back before its time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pytest

from models.account import Account
from models.book import Book
from models.margin.csa import PostedCollateral, posted_value
from models.rebalance import Policy, policy_from_mapping
from models.rebalance.balances import held
from models.rebalance.joint import DeskPlan, instructions_of, recommend_desk
from tests.models.rebalance.regimes import ASSETS, NAMED, PRICES, TERMS, gap_predict, of

NOW = datetime(2025, 3, 3, 9, tzinfo=UTC)
VALUE = {"USD": 1.0, "BTC": 84_000.0}


def safe(book: Book) -> Any:
    """Return P of a desk that nothing can happen to."""
    return np.zeros((len(book), 4))


def posted(name: str, usd: float) -> Account:
    return of("csa", "USD", {"USD": usd}, [("BTC/USDT:USDT", 20.0, 90_000.0)], csa=TERMS, account_id=name)


def policy(coins: float = 20.0, limits: dict[str, Any] | None = None, **rule: Any) -> Policy:
    """Return a policy that may exchange cash at every annex for coins of one vault."""
    whole = {"name": "s", "deliver": ["BTC"], "ask_back": ["USD"], "returns_to": "bank", "holding_days": 30} | rule
    return policy_from_mapping({
        "assets": {"USD": {"annual_cost": 0.05}, "BTC": {"annual_cost": 0.01}},
        "places": {"vault": {"inventory": {"BTC": coins}}, "bank": {"inventory": {"USD": 1e6}}},
        "routes": [
            {"name": "chain", "source": "vault", "to": ["*"], "assets": ["BTC"], "step": 0.001, "fee_rate": 0.0001,
             "gas": 20},
            {"name": "wire", "source": "bank", "to": ["*"], "assets": ["USD"], "gas": 20, "step": 100},
        ],
        "substitutions": [whole],
        "limits": {"target": "0.05@1440", "stress": [0.9, 1.1]} | (limits or {}),
    })  # fmt: skip


def plan_of(accounts: list[Account], rules: Policy, predict: Any = safe, **more: Any) -> DeskPlan:
    asked = {"substitute": True, "now": NOW} | more
    found, failures = recommend_desk(accounts, ASSETS, PRICES, predict, rules, **asked)
    assert failures == []
    return found


def worth(account: Account) -> float:
    assert account.csa is not None
    items = [PostedCollateral(asset=x.asset, market_value=x.quantity * VALUE[x.asset]) for x in account.collateral]
    return posted_value(items, account.csa)


@pytest.mark.parametrize("coins", [3.0, 8.0, 20.0])
def test_accounts_share_one_inventory_and_none_counts_for_less(coins: float) -> None:
    desk, rules = [posted("a", 400_000.0), posted("b", 700_000.0)], policy(coins)
    plan = plan_of(desk, rules)
    assert plan.status == "act"
    sent = sum(step.received or 0.0 for step in plan.own)
    assert 0.0 < sent * 1.0001 <= coins
    assert plan.policy_after.places["vault"].inventory["BTC"] == pytest.approx(coins - sent * 1.0001)
    assert plan.policy_after.places["bank"].inventory["USD"] == 1e6  # nothing is back yet
    for before, after in zip(desk, plan.accounts_after, strict=True):
        back = sum(step.amount for step in plan.own if step.account_id == before.account_id)
        got = sum(step.received or 0.0 for step in plan.own if step.account_id == before.account_id)
        assert held(after, "USD") == pytest.approx(held(before, "USD") - back)
        assert held(after, "BTC") == pytest.approx(got)
        assert worth(after) >= worth(before) - 1e-6
    first = plan.own[0]
    if coins > 6.0:  # more than the smaller account takes: it goes where it saves most
        assert first.account_id == "b"
    assert first.cost_usd < 0.0
    assert first.substitution is not None
    assert -first.cost_usd == pytest.approx(first.substitution.saves)


def test_asked_again_nothing_is_left_to_exchange() -> None:
    plan = plan_of([posted("a", 400_000.0), posted("b", 700_000.0)], policy(9.0))
    again = plan_of(list(plan.accounts_after), plan.policy_after)
    assert (again.status, again.own) == ("ok", ())


def test_nothing_is_exchanged_unless_asked_or_without_a_rule() -> None:
    desk = [posted("a", 400_000.0)]
    assert plan_of(desk, policy(), substitute=False).own == ()
    assert plan_of(desk, msgspec.structs.replace(policy(), substitutions=())).own == ()


def test_an_account_that_takes_part_is_not_exchanged() -> None:
    needy = msgspec.structs.replace(NAMED["csa"], account_id="needy")
    plan = plan_of([needy, posted("a", 700_000.0)], policy(), gap_predict())
    assert {t.account_id for t in plan.transfers} == {"needy"}
    assert {step.account_id for step in plan.own} <= {"a"}
    assert plan.own
    assert plan.certificate.clean


@pytest.mark.parametrize(("limits", "count"), [
    ({"max_moves": 1}, 1),
    ({"max_moves": 0}, 0),
    ({"max_run_value": 1_200_000.0}, 2),
    ({"max_run_value": 100_000.0}, 1),
])  # fmt: skip
def test_limits_of_a_run_hold(limits: dict[str, Any], count: int) -> None:
    plan = plan_of([posted("a", 400_000.0), posted("b", 700_000.0)], policy(limits=limits))
    assert len(plan.own) == count
    moved = sum((step.received or 0.0) * VALUE["BTC"] for step in plan.own)
    assert moved <= limits.get("max_run_value", np.inf)


def test_what_rests_on_an_old_price_is_left() -> None:
    old = np.array([500.0, 0.0])
    assert plan_of([posted("a", 400_000.0)], policy(), age_minutes=old).own == ()


def test_the_notices_of_an_exchange_are_the_dry_run() -> None:
    desk = [posted("a", 400_000.0)]
    plan = plan_of(desk, policy())
    found = instructions_of(plan, desk, NOW)
    assert [one.method for one in found] == ["substitute", "deliver", "demand_return"]
    assert found[0].arguments["agreement"] == "a"
    assert found[0].arguments["return_due"] == "2025-03-04T17:00:00+00:00"
    assert plan.own[0].substitution is not None
    assert plan.own[0].substitution.instructions == found
    assert "At a: Deliver 5.953 BTC" in plan.sentence
