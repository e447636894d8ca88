"""Stages of mixed accounts: needs are those of the engine, nobody ends worse, and nothing later is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.moment import moment_at
from features.sources.account_tables import accounts_of
from models.account import Account
from models.book import Book
from models.errors import InputError
from models.margin.replay import replay
from models.prior import PriorModel
from models.rebalance import Policy, policy_from_mapping
from models.rebalance.effects import apply_move
from models.rebalance.replaying.levers import lever_moves
from models.rebalance.replaying.run import run_rule
from models.rebalance.replaying.watch import LIQUIDATION
from models.rebalance.replaying.worthwhile import Worthwhile
from tests.training.markets import HOUR, market
from training.population import sample_mixed
from training.replay.stage import Setting, build_stage
from training.replay.study import rules_of, study

DAYS = 90
BEGIN = 60 * 24
STAY = 5 * 24
HELD = {"USDT": 1e9, "USDC": 1e9, "USD": 1e9, "BTC": 1e5, "ETH": 1e6}
COINS = {"name": "all", "source": "hot", "to": ["*"], "assets": list(HELD), "gas": 1.0, "lag": [[0.9, 20]]}
POLICY: Policy = policy_from_mapping({
    "assets": {asset: {"annual_cost": 0.05} for asset in HELD},
    "places": {"hot": {"inventory": HELD}},
    "routes": [COINS | {"failure_rate": 0.05}],
    "limits": {"liquidation_cost": 200.0},
})  # fmt: skip


@pytest.fixture(scope="module")
def panel():
    return market(DAYS)


@pytest.fixture(scope="module")
def prior(panel):
    return PriorModel.fit(panel, until=panel.start + BEGIN * HOUR, paths=128)


@pytest.fixture(scope="module")
def drawn(panel) -> list[Account]:
    when = panel.start + np.array([BEGIN, BEGIN + 30]) * HOUR
    found = sample_mixed(panel, when, 40, seed=2)
    return accounts_of(found.accounts, found.positions, found.collateral)


@pytest.fixture(scope="module")
def built(panel, prior, drawn):
    return build_stage(drawn, panel, POLICY, prior, None, Setting(240, STAY * 60, 3))


def test_needs_are_what_the_engine_asks(built, panel, prior):
    stage, accounts = built.stage, built.accounts
    assert built.failures == []
    watch = stage.watch
    prices = np.array([panel.close[:, f - 1] for f in watch.first])
    moves = lever_moves(accounts, panel.assets, prices, np.full(prices.shape, 0.6))
    worst = watch.needed[LIQUIDATION].max(axis=1, where=np.arange(STAY) < watch.stay[:, None], initial=-np.inf)
    chosen = np.flatnonzero((worst > 0) & np.isfinite(worst))
    assert len(chosen) >= 5
    for change, liquidated in ((1.001, False), (0.999, True)):
        for i in chosen.tolist():
            helped = apply_move(accounts[i], moves[i], float(worst[i]) * change)
            book, _ = Book.from_accounts([helped], panel.assets)
            moment = moment_at(panel, panel.start + int(watch.first[i]) * HOUR, prior, None)
            seen = replay(moment.valued(book), panel, int(watch.stay[i]) * 60, revalue=True)
            assert np.isfinite(seen.minutes_to_liquidation[0]) == liquidated, (accounts[i].ruleset, change)


def test_nobody_ends_worse_no_rule_is_broken_and_the_plan_helps(built):
    stage, accounts = built.stage, built.accounts
    found = study(stage, accounts, [*rules_of(["plan"]), *rules_of(["dynamic"])[:4]], draws=50)
    rows = found.rows()
    assert [row["worsened"] for row in rows] == [0] * len(rows)
    assert [row["broken"] for row in rows] == [0] * len(rows)
    nothing, plan = rows[0], [row for row in rows if row["rule"] == "plan"]
    assert nothing["liquidated"] > 0
    assert plan[-1]["liquidated"] < nothing["liquidated"]
    assert plan[-1]["moves"] > plan[0]["moves"]
    best = next(row for row in rows if row["rule"] == "foresight" and row["knob"] == 1.0)
    assert all(row["regret"] >= 0 for row in rows if row["rule"] != "foresight")
    assert best["regret"] == 0.0
    assert len(found.compared()) == 4


def test_decisions_read_nothing_later(built, panel, prior, drawn):
    cut = BEGIN + 48
    other = replace(panel, **{name: getattr(panel, name).copy() for name in ("open", "high", "low", "close")})
    for name in ("open", "high", "low", "close"):
        getattr(other, name)[:, cut:] *= 1.5
    again = build_stage(drawn, other, POLICY, prior, None, Setting(240, STAY * 60, 3))
    one, two = (run_rule(s, Worthwhile(3.0)).ledger for s in (built.stage, again.stage))
    until = panel.start + cut * HOUR
    before = [[m for m in ledger if m.when_ns < until] for ledger in (one, two)]
    assert len(before[0]) > 0
    assert before[0] == before[1]
    assert one != two


def test_what_cannot_be_run_is_refused_by_name(panel, prior, drawn):
    with pytest.raises(InputError, match="routes: expected at least one route"):
        build_stage(drawn[:1], panel, Policy(), prior)
    with pytest.raises(InputError, match="every_minutes: expected a multiple of the bars of 60 minutes, was 90"):
        build_stage(drawn[:1], panel, POLICY, prior, None, Setting(90))
    with pytest.raises(InputError, match="stay_minutes: expected at least 1, was 0"):
        Setting(stay_minutes=0)
    with pytest.raises(InputError, match="rules: expected some of static"):
        rules_of(["guess"])


def test_accounts_outside_the_market_are_failures(panel, prior, drawn):
    import msgspec

    late = msgspec.structs.replace(drawn[0], account_id="late", as_of=drawn[0].as_of.replace(year=2030))
    found = build_stage([late, *drawn[:3]], panel, POLICY, prior, None, Setting(240, 24 * 60))
    assert [f.account_id for f in found.failures] == ["late"]
    assert [a.account_id for a in found.accounts] == [a.account_id for a in drawn[:3]]
    assert len(found.stage.watch) == 3
