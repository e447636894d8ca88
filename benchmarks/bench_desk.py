"""The plan of a desk: 300 accounts, 30 assets and 60 routes, beside a plain formulation; and single accounts.

A simulated market, its prior as predictor, accounts on one or two positions of which about a third is over the target,
and twelve places with five routes each that lead to a third of the accounts or to all. The plain formulation is the
same problem given to ``scipy.optimize.milp`` as a textbook has it: every transfer with its binary, no bound to start
from, no transfer left out. Single accounts are planned under the same policy, one after the other. Positions come in
two sizes: the smaller they are, the more the fixed cost of a transfer weighs, and the harder the problem.

Run ``python -m benchmarks.bench_desk [--accounts 300 --gap 0.01 --plain-seconds 30]``.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime

import numpy as np

from features.moment import Moment, moment_at
from features.sources import simulate_market
from models.account import Account, Collateral, Position
from models.book import Book
from models.margin.levels import margin_levels
from models.prior import PriorModel
from models.rebalance import Policy, Target, policy_from_mapping
from models.rebalance.joint.problem import score
from models.rebalance.joint.program import build_program
from models.rebalance.joint.run import DeskRun
from models.rebalance.joint.solve import solve, solve_plainly

ASSETS = ("BTC", "ETH", "SOL", "XRP", "LTC", "ADA", "BNB", "DOGE", *(f"A{i}" for i in range(22)))
TARGET = Target(0.01, 1440)
PLACES, ROUTES_EACH = 12, 5


def main() -> None:
    """Draw the desk, plan it, and print times beside the plain formulation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=300)
    parser.add_argument("--gap", type=float, default=0.01)
    parser.add_argument("--plain-seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--singles", type=int, default=200)
    parser.add_argument("--sizes", type=float, nargs="+", default=(1e6, 1e5), help="dollars of a position, about")
    parser.add_argument("--inventory", type=float, default=2.0, help="inventory over what is needed, about")
    parser.add_argument("--seed", type=int, default=0, help="of the accounts and the policy")
    parser.add_argument("--measure", default="expected", help="expected, cvar90 or cvar95")
    chosen = parser.parse_args()
    moment = _moment()
    for size in chosen.sizes:
        accounts = desk_accounts(moment, chosen.accounts, size, chosen.seed)
        policy = desk_policy(moment, accounts, size, chosen.inventory, chosen.measure, chosen.seed)
        _plan(moment, accounts[:20], policy, chosen.gap)  # compiles
        print(f"\npositions of {size:,.0f} dollars")
        for _ in range(chosen.rounds):
            run = _plan(moment, accounts, policy, chosen.gap)
        _compare(run, chosen.gap, chosen.plain_seconds)
        _singles(moment, accounts, policy, chosen.singles)


def _moment() -> Moment:
    panel = simulate_market(ASSETS, days=400, seed=1)
    return moment_at(panel, panel.end, PriorModel.fit(panel), None)


def desk_accounts(moment: Moment, count: int, size_usd: float, seed: int = 0) -> list[Account]:
    """Draw accounts with money of 0.8 to 4 daily deviations above their call level."""
    rng = np.random.default_rng(seed)
    as_of = datetime.fromtimestamp(moment.as_of / 1e9, UTC)
    out = []
    for i in range(count):
        chosen = rng.choice(len(ASSETS), int(rng.integers(1, 3)), replace=False)
        size = size_usd * float(np.exp(rng.normal(0.0, 0.8)))
        legs = []
        for a in chosen.tolist():
            price, side = float(moment.price[a]), float(rng.choice([1.0, 1.0, -1.0]))
            legs.append(Position(symbol=f"{ASSETS[a]}/USDT:USDT", quantity=side * size / price, entry_price=price))
        bare = Account(
            account_id=f"desk-{i}", as_of=as_of, ruleset="generic-linear", currency="USDT", positions=tuple(legs)
        )
        call = float(margin_levels(Book.from_accounts([bare], ASSETS)[0], moment.price).call[0])
        cash = call + rng.uniform(0.8, 4.0) * 0.04 * size * len(legs)
        out.append(
            Account(
                account_id=bare.account_id, as_of=as_of, ruleset=bare.ruleset, currency="USDT",
                collateral=(Collateral(asset="USDT", quantity=cash),), positions=bare.positions,
            )
        )  # fmt: skip
    return out


def desk_policy(
    moment: Moment, accounts: list[Account], size_usd: float, inventory: float, measure: str = "expected", seed: int = 0
) -> Policy:
    """Draw a policy: twelve places of five assets, a route for each to a third of the accounts or to all."""
    rng = np.random.default_rng(seed)
    names = [a.account_id for a in accounts]
    money = 0.025 * size_usd * len(accounts) * inventory / (PLACES * ROUTES_EACH)
    places, routes = {}, []
    for k in range(PLACES):
        assets = ["USDT", *(ASSETS[a] for a in rng.choice(len(ASSETS), ROUTES_EACH - 1, replace=False).tolist())]
        price = {a: 1.0 if a == "USDT" else float(moment.price[ASSETS.index(a)]) for a in assets}
        places[f"place-{k}"] = {"inventory": {a: money * rng.uniform(0.5, 1.5) / price[a] for a in assets}}
        for a in assets:
            to = ["*"] if rng.random() < 0.3 else names[int(rng.integers(3)) :: 3]
            routes.append({
                "name": f"{a} from {k}", "source": f"place-{k}", "to": to, "assets": [a],
                "min_transfer": float(rng.choice([0.0, 10.0, 100.0])) / price[a],
                "step": float(rng.choice([0.01, 1.0, 10.0])) / price[a],
                "gas": float(rng.choice([0.5, 2.0, 8.0])), "fee_rate": float(rng.uniform(0.0, 0.001)),
                "lag": [[0.95, float(rng.choice([5.0, 30.0, 60.0]))]],
            })  # fmt: skip
    used = {"USDT", *ASSETS}
    costs = {a: {"annual_cost": float(rng.uniform(0.01, 0.15))} for a in sorted(used)}
    limits = {"target": str(TARGET), "risk_measure": measure}
    return policy_from_mapping({"assets": costs, "places": places, "routes": routes, "limits": limits})


def _plan(moment: Moment, accounts: list[Account], policy: Policy, gap: float) -> DeskRun:
    start, busy = time.perf_counter(), time.process_time()
    run = DeskRun(accounts, moment.assets, moment.price, moment.p_call, policy, TARGET, scenarios=moment.breaches)
    asked = time.perf_counter()
    plan = run.plan(4.0, gap)
    end, busy = time.perf_counter(), time.process_time() - busy
    print(
        f"{len(accounts)} accounts, {len(run.needy)} over the target, {len(run.links)} possible transfers: "
        f"{end - start:.2f} s in all ({asked - start:.2f} s to ask the predictor; {busy:.2f} s of processor), "
        f"{plan.status} by {plan.method}, "
        f"{len(plan.transfers)} transfers, cost {plan.cost_usd:,.1f} of which transfers {plan.transfers_usd:,.1f}, "
        f"gap {plan.gap or 0.0:.2%}, {len(plan.certificate.missed)} missed, "
        f"{len(plan.certificate.worsened)} worsened in {plan.certificate.scenarios} scenarios"
    )
    if plan.risk_before is not None and plan.risk_after is not None:
        print(
            f"on {plan.risk_before.paths} joint paths, {plan.objective} minimised: "
            + ", ".join(
                f"{name} {getattr(plan.risk_before, name):,.0f} to {getattr(plan.risk_after, name):,.0f}"
                for name in ("expected_usd", "cvar90_usd", "cvar95_usd")
            )
        )
    return run


def _compare(run: DeskRun, gap: float, seconds: float) -> None:
    """The same problem by the optimiser, and as a textbook has it."""
    problem = run.problem()
    program = build_program(problem)
    print(f"the programme: {program.matrix.shape[0]:,} rows, {program.matrix.shape[1]:,} columns")
    for name, call in (
        ("margincast", lambda: solve(problem, 4.0, gap)),
        ("plain scipy", lambda: solve_plainly(problem, seconds, gap)),
    ):
        start, busy = time.perf_counter(), time.process_time()
        found = call()
        seen = score(problem, found.amount)
        took, busy = time.perf_counter() - start, time.process_time() - busy
        print(
            f"{name:<12} {took:6.2f} s ({busy:.2f} of processor)  cost {found.cost:,.2f}  "
            f"bound {found.bound:,.2f}  gap {found.gap:.2%}  "
            f"short {seen.short.sum():,.2f}  {'broken: ' + ', '.join(seen.broken) if seen.broken else ''}"
        )


def _singles(moment: Moment, accounts: list[Account], policy: Policy, count: int) -> None:
    took, solved = [], []
    for account in accounts[:count]:
        start = time.thread_time()
        known = moment.assets, moment.price, moment.p_call, policy, TARGET
        run = DeskRun([account], *known, scenarios=moment.breaches)
        middle = time.thread_time()
        run.plan(1.0, 0.001)
        end = time.thread_time()
        if len(run.needy):
            took.append(1e3 * (end - start))
            solved.append(1e3 * (end - middle))
    for name, times in (("whole", took), ("without asking the predictor", solved)) if took else ():
        low, mid, high = np.percentile(times, [50, 90, 99])
        print(f"{len(times)} single accounts, {name}: p50 {low:.0f} ms of processor, p90 {mid:.0f}, p99 {high:.0f}")


if __name__ == "__main__":
    main()
