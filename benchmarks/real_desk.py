"""Plans of a desk on real markets: at many instants a mixed desk is planned, then all accounts are held still.

At each instant accounts of every margin regime are sampled, planned together under one policy with two wallets, and
replayed for three days along the bars that followed: without the plan, with it, and with a static rule that tops every
account below its initial requirement up to its release level. What is sent counts as there at once. The predictor is
the prior, fitted on bars before the first instant. Intervals draw instants.

Run ``python -m benchmarks.real_desk --data DIR [--from 2024-07-08 --to 2025-06-20 --every-days 14 --accounts 120]``.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from features.moment import Moment, moment_at
from features.sources import load_panel, to_ns
from features.sources.account_tables import accounts_of
from models.account import Account
from models.book import Book
from models.instrument import parse_symbol
from models.margin.replay import replay
from models.margin.rulesets.loader import ruleset_model
from models.market import MarketPanel
from models.prior import PriorModel
from models.rebalance import Policy, policy_from_mapping
from models.rebalance.effects import apply_move
from models.rebalance.joint import DeskRun
from models.rebalance.joint.probe import money_move
from models.typing import DAY_NS, BoolArray
from training.population.mixed import sample_mixed

ASSETS = ("BTC", "ETH", "SOL", "XRP", "LTC")
HORIZON = 4_320
INVENTORY = {"USDT": 4e6, "USDC": 4e6, "USD": 4e7, "BTC": 60.0, "ETH": 500.0, "SOL": 5_000.0}
GAS, ANNUAL, DAYS = 2.0, 0.05, 3.0


@dataclass(slots=True)
class Tally:
    """Counts by instant: calls and liquidations of each way, dollars, and what became of the plans."""

    called: dict[str, list[float]] = field(default_factory=lambda: {"nothing": [], "plan": [], "static": []})
    liquidated: dict[str, list[float]] = field(default_factory=lambda: {"nothing": [], "plan": [], "static": []})
    moved: dict[str, list[float]] = field(default_factory=lambda: {"nothing": [], "plan": [], "static": []})
    cost: dict[str, list[float]] = field(default_factory=lambda: {"nothing": [], "plan": [], "static": []})
    status: dict[str, int] = field(default_factory=dict)
    accounts: int = 0
    over: int = 0
    worsened: int = 0
    newly_called: int = 0
    seconds: list[float] = field(default_factory=list)


def desk_policy(target: str) -> Policy:
    """Two wallets, one quick and one slow, that lead to every account."""
    common = {"to": ["*"], "assets": list(INVENTORY), "step": 0.0001}
    return policy_from_mapping({
        "places": {"hot": {"inventory": INVENTORY}, "vault": {"inventory": INVENTORY}},
        "assets": {asset: {"annual_cost": ANNUAL} for asset in INVENTORY},
        "routes": [
            {"name": "quick", "source": "hot", "gas": GAS, "lag": [[0.95, 15]], **common},
            {"name": "slow", "source": "vault", "gas": 20, "fee_rate": 0.0002, "lag": [[0.95, 120]], **common},
        ],
        "limits": {"target": target, "holding_days": DAYS},
    })  # fmt: skip


def outcome(accounts: list[Account], moment: Moment, panel: MarketPanel) -> tuple[BoolArray, BoolArray]:
    """Which accounts are called, and liquidated, within three days."""
    book, failures = Book.from_accounts(accounts, panel.assets)
    assert not failures
    seen = replay(moment.valued(book), panel, HORIZON)
    return np.isfinite(seen.minutes_to_call), np.isfinite(seen.minutes_to_liquidation)


def static_rule(run: DeskRun) -> tuple[list[Account], float, float]:
    """Top every account below its initial requirement up to its release level; dollars moved, and their cost."""
    out, moved, count = list(run.accounts), 0.0, 0
    for i, own in enumerate(run.weights):
        equity, initial, release = (float(run.before.level[i, k]) for k in (0, 3, 4))
        if own is None or equity >= initial:
            continue
        move = money_move(own, 0.0)
        ratio = own.first_ratio(move.asset) if move.kind == "top_up" else 1.0
        units = min((release - equity) / max(move.price * ratio, 1e-12), move.limit)
        out[i] = apply_move(run.accounts[i], move, units)
        moved += units * move.price * move.dollar
        count += 1
    return out, moved, count * GAS + moved * ANNUAL * DAYS / 365.0


def one_instant(
    when: int, seed: int, panel: MarketPanel, prior: PriorModel, policy: Policy, count: int, tally: Tally
) -> None:
    """Plan one desk and see what happened next."""
    moment = moment_at(panel, when, prior, None)
    population = sample_mixed(panel, np.array([when]), count, seed=seed)
    accounts = accounts_of(population.accounts, population.positions, population.collateral)
    held = [a for a in accounts if ruleset_model(a.ruleset) == "dynamic"]
    bases = {parse_symbol(p.symbol).base for a in held for p in a.positions}
    market = moment.volatility(np.array([a in bases for a in panel.assets], np.bool_))
    start = time.perf_counter()
    run = DeskRun(accounts, moment.assets, moment.price, moment.p_call, policy, volatility=market)
    plan = run.plan(4.0, 0.01)
    tally.seconds.append(time.perf_counter() - start)
    assert not run.failures
    ruled, moved, cost = static_rule(run)
    ways = {"nothing": accounts, "plan": list(plan.accounts_after), "static": ruled}
    called = {}
    for name, value in ways.items():
        called[name], liquidated = outcome(value, moment, panel)
        tally.called[name].append(float(called[name].sum()))
        tally.liquidated[name].append(float(liquidated.sum()))
    sent = sum(t.value_usd for t in plan.transfers)
    money = {"nothing": (0.0, 0.0), "plan": (sent, plan.transfers_usd), "static": (moved, cost)}
    for name, (dollars, price) in money.items():
        tally.moved[name].append(dollars)
        tally.cost[name].append(price)
    for one in plan.accounts:
        tally.status[one.status] = tally.status.get(one.status, 0) + 1
    tally.accounts += len(accounts)
    tally.over += len(run.needy)
    tally.worsened += len(plan.certificate.worsened)
    tally.newly_called += int((called["plan"] & ~called["nothing"]).sum())


def interval(values: list[float], draws: int = 2_000) -> tuple[float, float]:
    """95% interval of the sum, whole instants drawn."""
    rng, array = np.random.default_rng(0), np.array(values)
    sums = array[rng.integers(0, len(array), (draws, len(array)))].sum(axis=1)
    return float(np.quantile(sums, 0.025)), float(np.quantile(sums, 0.975))


def report(tally: Tally) -> None:
    """Print the table."""
    print(f"{len(tally.seconds)} desks, {tally.accounts} accounts, {tally.over} over the target: {tally.status}")
    print(f"worsened by the certificate: {tally.worsened}; called with the plan and not without: {tally.newly_called}")
    middle, last = np.median(tally.seconds), np.max(tally.seconds)
    print(f"seconds of a desk: median {middle:.2f}, longest {last:.2f}")
    print("| way | called in 3 days | liquidated | avoided calls | avoided liquidations | dollars moved | cost |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in ("nothing", "static", "plan"):
        cells = []
        for counts in (tally.called, tally.liquidated):
            saved = [a - b for a, b in zip(counts["nothing"], counts[name], strict=True)]
            low, high = interval(saved)
            cells.append(f"{sum(saved):.0f} [{low:.0f}, {high:.0f}]")
        print(
            f"| {name} | {sum(tally.called[name]):.0f} | {sum(tally.liquidated[name]):.0f} | {cells[0]} | {cells[1]} "
            f"| {sum(tally.moved[name]):,.0f} | {sum(tally.cost[name]):,.0f} |"
        )


def main() -> None:
    """Walk the instants and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    folder = os.environ.get("MARGINCAST_DATA")
    parser.add_argument("--data", type=Path, default=Path(folder) / "data" if folder else None)
    parser.add_argument("--from", dest="start", default="2024-07-08")
    parser.add_argument("--to", dest="stop", default="2025-06-20")
    parser.add_argument("--every-days", type=int, default=14)
    parser.add_argument("--accounts", type=int, default=120)
    parser.add_argument("--target", default="0.02@1440")
    chosen = parser.parse_args()
    if chosen.data is None:
        parser.error("--data: expected the folder of the market data, or MARGINCAST_DATA")
    panel = load_panel(chosen.data, assets=ASSETS)
    first, last = to_ns(chosen.start, "--from"), to_ns(chosen.stop, "--to")
    prior, tally = PriorModel.fit(panel, until=first), Tally()
    for k, when in enumerate(range(first, last, chosen.every_days * DAY_NS)):
        hour = when + (k * 7 % 24) * DAY_NS // 24
        one_instant(hour, k, panel, prior, desk_policy(chosen.target), chosen.accounts, tally)
    report(tally)


if __name__ == "__main__":
    main()
