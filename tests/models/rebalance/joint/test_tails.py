"""CVaR of the whole desk: against the linear programme of Rockafellar and Uryasev itself, and what it changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from models.book import Book
from models.margin.levels import margin_levels
from models.rebalance.joint.problem import Arcs, Curves, DeskProblem, Pools, Slots
from models.rebalance.joint.recommend import recommend_desk
from models.rebalance.joint.run import DeskRun
from models.rebalance.joint.solve import solve
from models.rebalance.joint.tails import joint_tail, tail_mean, tail_weights
from models.typing import BoolArray, FloatArray
from tests.models.rebalance.joint.policies import risky, wallet_policy
from tests.models.rebalance.toy import ASSETS, PRICES, SIGMA, toy_predict

POINTS = np.array([0.0, 50.0, 100.0, 150.0, 200.0])


@settings(max_examples=40, deadline=None)
@given(loss=st.lists(st.floats(0.0, 1e6), min_size=1, max_size=60), tail=st.floats(0.01, 1.0))
def test_the_tail_is_the_largest_mean_that_weights_allow(loss: list[float], tail: float) -> None:
    values = np.array(loss)
    weights = tail_weights(values, tail)
    assert weights.sum() == pytest.approx(1.0)
    assert weights.max() <= 1.0 / (tail * len(values)) + 1e-12
    eta = np.unique(values)  # the minimum of Rockafellar and Uryasev lies at one of the losses
    direct = (eta + np.maximum(values[None, :] - eta[:, None], 0.0).sum(axis=1) / (tail * len(values))).min()
    assert tail_mean(values, tail) == pytest.approx(direct, rel=1e-9, abs=1e-9)


def desk(n: int, inventory: float, rate: FloatArray) -> DeskProblem:
    """Return n accounts without needs on one inventory, each with one transfer of any size."""
    zero, one = np.zeros(n), np.ones(n)
    arcs = Arcs(
        np.zeros(n, int), np.arange(n), np.arange(n), one, one, zero, 200 * one, zero, zero, zero, rate, one,
        np.arange(n), np.full(n, np.inf), zero,
    )  # fmt: skip
    pools = Pools(("pool",), np.array([inventory]), np.ones(1), np.full(1, -1), np.zeros(1))
    slots = Slots(tuple(map(str, range(n))), np.arange(n), np.full(n, np.inf), one, zero, zero)
    curves = Curves(np.tile(POINTS, (n, 1)), np.zeros((n, len(POINTS))), zero)
    return DeskProblem(arcs, pools, slots, curves, tuple(map(str, range(n))))


def rockafellar_uryasev(
    problem: DeskProblem, slope: FloatArray, level: FloatArray, others: FloatArray, tail: float
) -> float:
    """Return the least cost plus CVaR, written out: eta, an excess by path, and losses ``max(level - slope x, 0)``."""
    n, size = level.shape
    columns = n + 1 + size + n * size  # x, eta, excess, loss of each account on each path
    cost = np.concatenate([problem.arcs.rate, [1.0], np.full(size, 1.0 / (tail * size)), np.zeros(n * size)])
    rows, right = [np.concatenate([np.ones(n), np.zeros(columns - n)])], [float(problem.pools.free[0])]
    for s in range(size):
        excess = np.zeros(columns)
        excess[n], excess[n + 1 + s] = -1.0, -1.0
        for i in range(n):
            at = n + 1 + size + i * size + s
            excess[at] = 1.0
            row = np.zeros(columns)
            row[at], row[i] = -1.0, -slope[i, s]
            rows.append(row)
            right.append(-level[i, s])
        rows.append(excess)
        right.append(-float(others[s]))
    bounds = [(0, 200)] * n + [(None, None)] + [(0, None)] * (columns - n - 1)
    return float(linprog(cost, A_ub=np.array(rows), b_ub=right, bounds=bounds).fun)


@pytest.mark.parametrize("seed", range(12))
def test_cuts_find_the_optimum_of_the_linear_programme_over_all_paths(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, size, tail = 3, 40, float(rng.choice([0.1, 0.2, 0.05]))
    problem = desk(n, float(rng.choice([80.0, 200.0, 1_000.0])), rng.uniform(0.01, 0.5, n))
    knots = rng.choice(POINTS[1:], (n, size)) * (rng.random((n, size)) < 0.4)  # each path asks for that much equity
    slope = rng.uniform(0.2, 3.0, (n, size))
    losses = slope[:, None, :] * np.maximum(knots[:, None, :] - POINTS[None, :, None], 0.0)
    others = rng.uniform(0.0, 300.0, size) * (rng.random(size) < 0.3) * (seed % 2)
    found = joint_tail(problem, losses, tail, others)
    best = rockafellar_uryasev(problem, slope, slope * knots, others, tail)
    assert found.least == pytest.approx(best, rel=2e-3, abs=1e-6)
    weighed = replace(problem, curves=replace(problem.curves, loss=found.loss))
    raised = solve(weighed.with_need(found.added), 10.0, 1e-7)
    total = sum(np.array([np.interp(raised.amount[i], POINTS, losses[i, :, s]) for s in range(size)]) for i in range(n))
    true = raised.transfers + tail_mean(total + others, tail)
    assert found.cost(problem, raised.amount) == pytest.approx(true)
    assert best - 1e-6 <= true <= best * (1 + 5e-3) + 1e-6
    plain = solve(weighed, 10.0, 1e-7)  # a bound, as no weights give more than the CVaR
    if not others.any():
        assert plain.cost <= best * (1 + 2e-3) + 1e-6
    assert found.cost(problem, plain.amount) >= best - 1e-6


def paths(size: int = 160, seed: int = 0, own: float = 0.6) -> Any:
    """Return paths of prices at one instant, in part their own: called or liquidated where the engine says so."""
    rng = np.random.default_rng(seed)
    z = np.sqrt(1 - own) * rng.normal(size=(size, 1)) + np.sqrt(own) * rng.normal(size=(size, len(ASSETS)))

    def breaches(book: Book, column: int) -> BoolArray:
        states = [margin_levels(book, PRICES * np.exp(1.3 * SIGMA[column] * step)).state for step in z]
        state = np.array(states).T
        return np.stack([state >= 3, state >= 4], axis=1)

    return breaches


LIMITS = {
    "target": "0.05@1440",
    "liquidation_cost_rate": 0.0,
    "liquidation_cost": 400.0,
    "call_cost": 40.0,
    "stress": [0.8],
}
DESK = [risky("a"), risky("b", 2_200.0), risky("c", 2_600.0, -1.0), risky("d", 2_300.0)]


def test_figures_are_those_of_the_sum_on_the_paths() -> None:
    plan, _ = recommend_desk(DESK, ASSETS, PRICES, toy_predict(), wallet_policy(limits=LIMITS), scenarios=paths())
    before, after = plan.risk_before, plan.risk_after
    assert before is not None
    assert after is not None
    hit = [paths()(Book.from_accounts([one], ASSETS)[0], 2)[0] for one in DESK]
    total = sum(np.where(x[1], 440.0, np.where(x[0], 40.0, 0.0)) for x in hit)
    assert before.paths == 160
    assert before.expected_usd == pytest.approx(total.mean())
    assert before.cvar90_usd == pytest.approx(np.sort(total)[-16:].mean())
    assert before.cvar95_usd == pytest.approx(np.sort(total)[-8:].mean())
    assert after.expected_usd < before.expected_usd
    assert after.cvar90_usd <= before.cvar90_usd
    assert plan.objective == "expected"
    assert "On 160 joint paths the mean loss of the desk goes from" in plan.sentence


def test_the_joint_tail_is_what_is_minimised_where_there_are_paths() -> None:
    policy = wallet_policy(limits=LIMITS | {"risk_measure": "cvar90"}, assets={"USDT": {"annual_cost": 2.0}})
    joint, _ = recommend_desk(DESK, ASSETS, PRICES, toy_predict(), policy, scenarios=paths(), gap=1e-6)
    alone, _ = recommend_desk(DESK, ASSETS, PRICES, toy_predict(), policy, gap=1e-6)
    assert (joint.objective, alone.objective) == ("cvar90", "sum of cvar90")
    mean, _ = recommend_desk(
        DESK, ASSETS, PRICES, toy_predict(), wallet_policy(limits=LIMITS, assets={"USDT": {"annual_cost": 2.0}}),
        scenarios=paths(), gap=1e-6,
    )  # fmt: skip
    run = DeskRun(DESK, ASSETS, PRICES, toy_predict(), policy, scenarios=paths())

    def worth(plan: Any) -> float:
        from models.rebalance.joint.risk import risk_of

        risk = risk_of(run, plan.accounts_after)
        assert risk is not None
        return float(plan.transfers_usd + risk.cvar90_usd)

    assert worth(joint) <= min(worth(alone), worth(mean)) * 1.02
    assert joint.certificate.clean


def test_the_front_shows_what_risk_is_left() -> None:
    run = DeskRun(DESK, ASSETS, PRICES, toy_predict(), wallet_policy(limits=LIMITS), scenarios=paths())
    front = run.front((0.2, 0.05, 0.01, 0.001))
    left = [point.risk.cvar95_usd for point in front if point.risk is not None]
    assert len(left) == 4
    assert np.all(np.diff(left) <= 1e-9)
    assert left[-1] < left[0]
