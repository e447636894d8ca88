"""A desk with an account of every margin regime, planned together."""

from __future__ import annotations

import pytest

from models.rebalance import policy_from_mapping
from models.rebalance.joint import DeskPlan, recommend_desk
from tests.models.rebalance.regimes import ACCOUNTS, ASSETS, MARKET, NAMED, PRICES, gap_predict

INVENTORY = {"USDT": 1e6, "USDC": 1e6, "USD": 5e6, "BTC": 50.0, "ETH": 500.0}
POLICY = policy_from_mapping({
    "assets": {name: {"annual_cost": 0.05} for name in INVENTORY},
    "limits": {"target": "0.01@1440", "stress": [0.8, 0.9, 1.1, 1.2]},
    "places": {"wallet": {"inventory": INVENTORY}},
    "routes": [{"name": "r", "source": "wallet", "to": ["*"], "assets": list(INVENTORY), "gas": 1, "step": 0.0001}],
})  # fmt: skip
PREDICT = gap_predict()


@pytest.fixture(scope="module")
def plan() -> DeskPlan:
    found, failures = recommend_desk(ACCOUNTS, ASSETS, PRICES, PREDICT, POLICY, volatility=MARKET)
    assert failures == []
    return found


@pytest.mark.parametrize("name", NAMED)
def test_an_account_of_each_regime_reaches_the_target(plan: DeskPlan, name: str) -> None:
    outcome = next(o for o in plan.accounts if o.account_id == name)
    assert outcome.status == "reached"
    assert outcome.p_after[2] <= 0.01 < outcome.p_before[2]
    assert outcome.levels_after.state not in ("call", "liquidation")


def test_nobody_ends_worse(plan: DeskPlan) -> None:
    assert plan.certificate.clean


def test_loans_are_repaid_and_annexes_get_their_own_amounts(plan: DeskPlan) -> None:
    sent = {t.account_id: t for t in plan.transfers}
    assert (sent["stable debt"].kind, sent["stable debt"].asset) == ("repay", "USDC")
    assert sent["coin debt"].kind == "repay"
    assert sent["csa"].asset == "USD"
    assert sent["csa"].amount % 10_000 == 0


def test_asking_again_sends_nothing(plan: DeskPlan) -> None:
    again, _ = recommend_desk(
        plan.accounts_after, ASSETS, PRICES, PREDICT, plan.policy_after, volatility=MARKET, time_limit=1.0
    )
    assert (again.status, again.transfers) == ("ok", ())
