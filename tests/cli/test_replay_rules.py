"""``margincast replay --policy``: rules on accounts of a file, on a simulated market."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import training.replay.study
from features.sources import simulate_market
from tests.cli.conftest import account
from training.report import load_replay

POLICY = """
[assets.USDT]
annual_cost = 0.05
[limits]
liquidation_cost = 300
[places.hot]
inventory = { USDT = 1000000 }
[[routes]]
name = "hot"
source = "hot"
to = ["*"]
assets = ["USDT"]
gas = 1
lag = [[0.9, 20]]
failure_rate = 0.02
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    return path


def money(quantity: float) -> list[dict[str, object]]:
    return [{"asset": "USDT", "quantity": quantity}]


def file_of(write):
    when = "2022-03-04T00:00:00Z"
    price = float(simulate_market(("BTC", "ETH"), days=70, seed=1).close[0, 62 * 24 - 1])
    legs = [{"symbol": "BTC/USDT:USDT", "quantity": 1.0, "entry_price": price}]
    thin = [account(f"thin-{i}", when, positions=legs, collateral=money((0.035 + 0.006 * i) * price)) for i in range(6)]
    return write(*thin, account("safe", when, positions=legs, collateral=money(90_000.0)))


def test_rules_are_compared_on_the_same_accounts(run, write, market, policy, tmp_path):
    out = tmp_path / "curve.csv"
    command = ("replay", file_of(write), "--market", market, "--policy", policy, "--horizon", 5 * 1440)
    seen = run(*command, "--rules", "band,plan", "--json", "--out", out)
    assert seen.exit_code == 0, seen.output
    answer = json.loads(seen.stdout)
    rows = answer["rules"]
    assert answer["accounts"] == 7
    file = tmp_path / "replay.json"
    file.write_text(seen.stdout)
    assert [r.rule for r in load_replay(file).rules] == [row["rule"] for row in rows]  # what a report reads
    assert {row["rule"] for row in rows} == {"nothing", "band", "plan", "foresight"}
    assert all(row["worsened"] == row["broken"] == 0 for row in rows)
    assert rows[0]["liquidated"] > 0
    plan = [row for row in rows if row["rule"] == "plan"]
    assert min(row["liquidated"] for row in plan) < rows[0]["liquidated"]
    assert len(answer["against_plan"]) == sum(row["rule"] == "band" for row in rows)
    assert len(out.read_text().splitlines()) == len(rows) + 1
    again = run(*command, "--rules", "band,plan", "--json")
    assert json.loads(again.stdout) == answer
    other = run(*command, "--rules", "band,plan", "--json", "--seed", 5)
    assert json.loads(other.stdout)["rules"][0] == rows[0]


def test_joint_plans_are_asked_for_by_name(run, write, market, policy):
    command = ("replay", file_of(write), "--market", market, "--policy", policy, "--horizon", 2 * 1440, "--every", 480)
    seen = run(*command, "--rules", "plan,desk,worth,recommend", "--json")
    assert seen.exit_code == 0, seen.output
    answer = json.loads(seen.stdout)
    desk = [row for row in answer["rules"] if row["rule"] == "desk"]
    assert [row["knob"] for row in desk] == [0.2, 0.1, 0.05, 0.02]
    assert all(row["worsened"] == row["broken"] == row["refused"] == 0 for row in desk)
    assert 0 < desk[0]["spent"] <= desk[-1]["spent"]
    assert desk[-1]["liquidated"] < answer["rules"][0]["liquidated"]
    worth = [row for row in answer["rules"] if row["rule"] == "worth"]
    assert [row["knob"] for row in worth] == [0.05, 0.1, 0.2, 0.5, 1.0, 2.0]
    assert all(row["worsened"] == row["broken"] == row["refused"] == 0 for row in worth)
    assert worth[0]["spent"] < worth[-1]["spent"]
    assert worth[-1]["liquidated"] < answer["rules"][0]["liquidated"]
    asked = [row for row in answer["rules"] if row["rule"] == "recommend"]
    assert [row["knob"] for row in asked] == [row["knob"] for row in worth]
    assert all(row["worsened"] == row["broken"] == row["refused"] == 0 for row in asked)
    assert asked[-1]["liquidated"] < answer["rules"][0]["liquidated"]
    assert {row["name"] for row in answer["against_plan"]} == {"desk", "worth", "recommend"}


def test_what_a_solver_prints_is_no_part_of_the_answer(run, write, market, policy, monkeypatch, capfd):
    """Compiled code writes to the descriptor itself, past Python's stream."""
    whole = training.replay.study.study

    def noisy(*args):
        os.write(1, b"a line of the solver")
        return whole(*args)

    monkeypatch.setattr(training.replay.study, "study", noisy)
    seen = run("replay", file_of(write), "--market", market, "--policy", policy, "--rules", "static", "--json")
    assert seen.exit_code == 0, seen.output
    out, err = capfd.readouterr()
    assert "a line of the solver" not in out
    assert "a line of the solver" in err


def test_a_table_for_people(run, write, market, policy):
    seen = run("replay", file_of(write), "--market", market, "--policy", policy, "--rules", "static")
    assert seen.exit_code == 0, seen.output
    assert "7 accounts" in seen.stdout
    assert "foresight" in seen.stdout


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--rules", "guess"], "rules: expected some of static, band, dynamic, target, plan"),
        (["--every", "90"], "every_minutes: expected a multiple of the bars of 60 minutes"),
        (["--from", "2022-03-09"], "ACCOUNTS: expected accounts from --from to --to"),
    ],
)
def test_what_is_wrong_is_named(run, write, market, policy, more, words):
    seen = run("replay", file_of(write), "--market", market, "--policy", policy, *more)
    assert seen.exit_code == 2
    assert words in seen.stderr


def test_a_policy_without_routes_is_refused(run, write, market, tmp_path):
    path = tmp_path / "bare.toml"
    path.write_text("release = true\n")
    seen = run("replay", file_of(write), "--market", market, "--policy", path)
    assert seen.exit_code == 2
    assert "policy.routes" in seen.stderr
