"""Joint plans on a small market: scenes are what was walked, nobody ends worse, nothing is spent twice."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from features.moment import moment_at
from features.sources.account_tables import accounts_of
from models.book import Book
from models.margin.levels import margin_levels
from models.prior import PriorModel
from models.rebalance import Policy, policy_from_mapping
from models.rebalance.replaying.check import violations
from models.rebalance.replaying.run import run_rule
from tests.training.markets import HOUR, market
from training.population import sample_mixed
from training.replay.desks import URGENT, desk_rules, desk_week, join_weeks
from training.replay.epochs import carried
from training.replay.scenes import MarketScenes
from training.replay.stage import Setting, build_stage
from training.replay.study import rules_of

BEGIN = 60 * 24
STAY = 3 * 24
SHORT = {"USDT": 12_000.0, "USDC": 3_000.0, "USD": 1e6, "BTC": 0.2, "ETH": 2.0}
ALL = {"to": ["*"], "assets": list(SHORT), "step": 0.0001, "failure_rate": 0.1}
POLICY: Policy = policy_from_mapping({
    "assets": {asset: {"annual_cost": 0.05} for asset in SHORT},
    "places": {"hot": {"inventory": SHORT}, "vault": {"inventory": SHORT}},
    "routes": [
        {"name": "hot", "source": "hot", "gas": 1.0, "lag": [[0.9, 20]], **ALL},
        {"name": "vault", "source": "vault", "gas": 20.0, "lag": [[0.5, 90], [0.95, 240]], **ALL},
    ],
    "limits": {"liquidation_cost": 200.0},
})  # fmt: skip
SETTING = Setting(480, STAY * 60, 3, "first")
STARTS = (BEGIN, BEGIN + 7 * 24)


@pytest.fixture(scope="module")
def panel():
    return market(90)


@pytest.fixture(scope="module")
def prior(panel):
    return PriorModel.fit(panel, until=panel.start + BEGIN * HOUR, paths=128)


def week(panel, prior, start):
    found = sample_mixed(panel, np.array([panel.start + start * HOUR]), 24, seed=start)
    accounts = accounts_of(found.accounts, found.positions, found.collateral)
    accounts = [msgspec.structs.replace(a, account_id=f"{a.account_id}-{k}") for k, a in enumerate(accounts)]
    return build_stage(accounts, panel, POLICY, prior, None, SETTING)


@pytest.fixture(scope="module")
def weeks(panel, prior):
    return [week(panel, prior, start) for start in STARTS]


def test_a_scene_is_where_the_walk_is(weeks, panel, prior):
    for built in weeks:
        watch, scenes = built.stage.watch, MarketScenes(built.asked, built.accounts)
        rows = np.flatnonzero(watch.stay > 24)
        held = np.where(rows % 2 == 0, 1e-3 * np.array([built.asked.levers.moves[i].limit for i in rows]), 0.0)
        for bar in (0, 16, 24):
            scene = scenes(int(watch.first[0]) + bar, rows, held)
            book, failures = Book.from_accounts(scene.accounts, scene.assets)
            assert failures == []
            moment = moment_at(panel, panel.start + (int(watch.first[0]) + bar) * HOUR, prior, None)
            columns = built.asked.levers.at(held, rows, carried(built.asked, int(watch.first[0]) + bar, rows))
            walked, asked = (margin_levels(moment.valued(x), moment.price) for x in (columns, book))
            assert asked.equity == pytest.approx(walked.equity, rel=1e-5, abs=1e-6)
            assert asked.maintenance == pytest.approx(walked.maintenance, rel=1e-3)
            assert moment.p_call(book) == pytest.approx(moment.p_levels(moment.valued(columns))[0], rel=1e-2, abs=1e-6)
        paid = [x[:, 24].any() for x in watch.paid]
        assert sum(paid) >= 5


def test_weeks_of_desks_are_run_checked_and_joined(weeks):
    rules = [*rules_of(["target"])[1:3], *rules_of(["static"])[2:4]]
    parts = [desk_week(built, rules, (0.2, 0.05), 2.0, (0.05, 2.0), (0.05, 2.0)) for built in weeks]
    joined = join_weeks(parts, draws=50)
    found, told = joined.study, joined.told
    rows = found.rows()
    assert [row["rule"] for row in rows] == [
        "nothing", "target", "target", "static", "static", *(f"{n}{URGENT}" for n in ("target", "target", "static",
        "static")), "desk", "desk", "recommend", "recommend", "worth", "worth", "foresight", "foresight", "foresight",
    ]  # fmt: skip
    assert [row["worsened"] for row in rows] == [0] * len(rows)
    assert [row["broken"] for row in rows] == [0] * len(rows)
    desk = [row for row in rows if row["rule"] == "desk"]
    assert [row["refused"] for row in desk] == [0, 0]  # the joint plan plans what there is
    assert max(row["refused"] for row in rows if row["rule"] == "target") > 0  # and there is too little
    assert all(row["liquidated"] <= rows[0]["liquidated"] for row in desk)
    assert desk[1]["liquidated"] < rows[0]["liquidated"]
    worth = [row for row in rows if row["rule"] == "worth"]
    assert [row["refused"] for row in worth] == [0, 0]
    assert worth[0]["spent"] < worth[1]["spent"]
    assert worth[1]["liquidated"] < rows[0]["liquidated"]
    assert {knob for knob, _ in joined.chosen} == {0.05, 2.0}
    assert all(one.value <= one.bound * (1 + 1e-9) + 1e-9 for _, one in joined.chosen)
    assert all(one.bound - one.value <= 0.001 * one.bound + 1e-6 for _, one in joined.chosen)
    assert any(one.binding for _, one in joined.chosen)
    assert any(one.status == "cannot_reach" for name, _, one in told if name == "desk")
    assert {(name, knob) for name, knob, _ in told} == {
        ("desk", 0.2), ("desk", 0.05), ("recommend", 0.05), ("recommend", 2.0),
    }  # fmt: skip
    asked = [row for row in rows if row["rule"] == "recommend"]
    assert [row["refused"] for row in asked] == [0, 0]
    assert asked[0]["spent"] < asked[1]["spent"]
    assert asked[1]["liquidated"] < rows[0]["liquidated"]
    assert len(found.compared()) == 12
    assert found.accounts == sum(len(built.accounts) for built in weeks) == len(found.outcomes[0].called)
    sums = [sum(part.study.outcomes[k].spent.sum() for part in parts) for k in range(len(rows))]
    assert [row["spent"] for row in rows] == pytest.approx(sums)


def test_joint_plans_read_nothing_later_and_keep_the_policy(weeks, panel, prior):
    cut = STARTS[0] + 24
    other = replace(panel, **{name: getattr(panel, name).copy() for name in ("open", "high", "low", "close")})
    for name in ("open", "high", "low", "close"):
        getattr(other, name)[:, cut:] *= 1.3
    ledgers = []
    for built in (weeks[0], week(other, prior, STARTS[0])):
        seen = run_rule(built.stage, desk_rules(built, (0.05,), 2.0)[0])
        closed = [(built.stage.when(int(f + b)), bool(lost)) for f, b, lost in zip(
            built.stage.watch.first, np.where(seen.liquidated, seen.liquidated_bar, built.stage.watch.stay),
            seen.liquidated, strict=True,
        )]  # fmt: skip
        assert violations(seen.ledger, built.accounts, POLICY, closed) == []
        ledgers.append(seen.ledger)
    until = panel.start + cut * HOUR
    before = [[m for m in ledger if m.when_ns < until] for ledger in ledgers]
    assert len(before[0]) > 0
    assert before[0] == before[1]
    assert ledgers[0] != ledgers[1]
