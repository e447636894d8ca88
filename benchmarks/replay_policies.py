"""Rules for collateral against each other over half a year of real markets, on about a thousand mixed accounts.

Every week accounts of every margin regime are sampled, and each is watched for four weeks or until its first contract
expires. Every rule decides every four hours, on the same accounts, with the same lags and failed transfers, under the
policy of ``docs/policies/guarded-accounts.toml``. The predictor is the prior, fitted on bars before the first account,
or with ``--model`` a bundle with its trees, trained on bars before it. Intervals draw the weeks in which accounts
began.

Run ``python -m benchmarks.replay_policies --data DIR [--from 2025-01-01 --to 2025-06-30 --per-week 250 --out DIR]``.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from features.policy import load_policy
from features.sources import load_panel, to_ns
from features.sources.account_tables import accounts_of
from models.account import Account
from models.market import MarketPanel
from models.predictor import MarginCallPredictor
from models.prior import PriorModel
from models.rebalance import Policy
from models.typing import DAY_NS
from serving.model_source import load_model
from training.population.mixed import sample_mixed
from training.replay.stage import Setting, build_stage
from training.replay.study import FAMILIES, Study, rules_of, study

ASSETS = ("BTC", "ETH", "SOL", "XRP", "LTC")
POLICY = Path(__file__).parent.parent / "docs" / "policies" / "guarded-accounts.toml"


def sampled(panel: MarketPanel, first: int, last: int, per_week: int, days: int, seed: int) -> list[Account]:
    """Accounts that begin week by week, the last of them early enough to be watched to their end."""
    instants = np.arange(first, last - days * DAY_NS + 1, 7 * DAY_NS)
    drawn = sample_mixed(panel, instants, per_week, seed=seed)
    accounts = accounts_of(drawn.accounts, drawn.positions, drawn.collateral)
    return [
        msgspec.structs.replace(a, account_id=f"{a.account_id}-{r}")
        for a, r in zip(accounts, drawn.regime, strict=True)
    ]


def table(rows: list[dict[str, Any]], columns: dict[str, str]) -> None:
    """Print rows as markdown: a format for each column."""
    print("| " + " | ".join(columns) + " |\n|" + " --- |" + " ---: |" * (len(columns) - 1))
    for row in rows:
        print("| " + " | ".join(format(row[name], how) for name, how in columns.items()) + " |")


def report(found: Study, family: str = "plan") -> None:
    """Print the curve, and the comparisons with one family."""
    print(f"\n{found.accounts} accounts, {found.account_days / found.days:.0f} at a time over {found.days:.0f} days")
    rows = found.rows()
    columns = {
        "rule": "", "knob": "g", "width": "g", "called": "d", "liquidated": "d", "calls_avoided": "d",
        "liquidations_avoided": "d", "fees": ",.0f", "holding": ",.0f", "spent": ",.0f", "losses": ",.0f",
        "total": ",.0f", "regret": ",.0f", "held_dollar_days": ",.0f", "idle_share": ".0%", "moves_per_day": ".1f",
        "refused": "d", "worsened": "d", "broken": "d",
    }  # fmt: skip
    table(rows, columns)
    print(f"\nAgainst the curve of the {family}, 95% intervals:\n")
    for one in found.compared():
        one["fewer at equal cost"] = f"{one['fewer']:.0f} [{one['fewer_low']:.0f}, {one['fewer_high']:.0f}]"
        saved = f"{one['cheaper']:,.0f} [{one['cheaper_low']:,.0f}, {one['cheaper_high']:,.0f}]"
        rows = [{**one, "cheaper at equal liquidations": saved}]
        print(" | ".join(f"{k}: {v}" for k, v in _short(rows[0]).items()))


def _short(row: dict[str, Any]) -> dict[str, Any]:
    names = ("name", "knob", "spent", "liquidated", "fewer at equal cost", "cheaper at equal liquidations")
    return {name: f"{row[name]:,.6g}" if isinstance(row[name], float) else row[name] for name in names}


def write(found: Study, folder: Path) -> None:
    """Write the curve and the comparisons as CSV files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("curve", found.rows()), ("comparisons", found.compared())):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]) if rows else [])
            writer.writeheader()
            writer.writerows(rows)


def with_costs(policy: Policy, flat: float | None, rate: float | None) -> Policy:
    """The policy with other costs of a liquidation."""
    limits = policy.limits
    limits = msgspec.structs.replace(
        limits,
        liquidation_cost=limits.liquidation_cost if flat is None else flat,
        liquidation_cost_rate=limits.liquidation_cost_rate if rate is None else rate,
    )
    return msgspec.structs.replace(policy, limits=limits)


def forecaster(
    model: Path | None, panel: MarketPanel, first: int, paths: int
) -> tuple[PriorModel, MarginCallPredictor | None]:
    """The prior fitted before the first account, or a bundle that was trained before it."""
    if model is None:
        return PriorModel.fit(panel, until=first, paths=paths), None
    predictor = load_model(str(model)).predictor
    if predictor is None or predictor.prior.fitted_until > first:
        raise SystemExit(
            f"--model: expected a bundle trained on bars before --from, {model} is none or knows what followed"
        )
    return predictor.prior, predictor


def options(description: str | None, per_week: int, days: int, every: int) -> argparse.ArgumentParser:
    """What every replay of rules is asked: the period, the accounts, the forecaster."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    folder = os.environ.get("MARGINCAST_DATA")
    parser.add_argument("--data", type=Path, default=Path(folder) if folder else None)
    parser.add_argument("--from", dest="start", default="2025-01-01")
    parser.add_argument("--to", dest="stop", default="2025-06-30")
    parser.add_argument("--per-week", type=int, default=per_week)
    parser.add_argument("--days", type=int, default=days)
    parser.add_argument("--every", type=int, default=every, help="minutes between decisions")
    parser.add_argument("--paths", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", type=Path, help="folder of a bundle; the prior, fitted here, where left out")
    parser.add_argument("--rules", nargs="*", default=list(FAMILIES), help=f"some of {', '.join(FAMILIES)}")
    parser.add_argument("--out", type=Path)
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line; ``data`` is the folder of the market."""
    chosen = parser.parse_args()
    if chosen.data is None:
        parser.error("--data: expected the folder of the market data, or MARGINCAST_DATA")
    chosen.data = chosen.data / "data" if (chosen.data / "data").is_dir() else chosen.data
    return chosen


def main() -> None:
    """Sample, walk, ask, run every rule, print."""
    parser = options(__doc__, per_week=250, days=28, every=240)
    parser.add_argument("--flat-cost", type=float, help="dollars of a liquidation, instead of the policy's")
    parser.add_argument(
        "--cost-rate", type=float, help="part of maintenance that a liquidation costs, instead of the policy's"
    )
    chosen, begun = parsed(parser), time.perf_counter()
    panel = load_panel(chosen.data, assets=ASSETS)
    first, last = to_ns(chosen.start, "--from"), to_ns(chosen.stop, "--to")
    prior, predictor = forecaster(chosen.model, panel, first, chosen.paths)
    accounts = sampled(panel, first, last, chosen.per_week, chosen.days, chosen.seed)
    policy = with_costs(load_policy(POLICY), chosen.flat_cost, chosen.cost_rate)
    setting = Setting(chosen.every, chosen.days * 1440, chosen.seed)
    built = build_stage(accounts, panel, policy, prior, predictor, setting)
    print(f"left out: {len(built.failures)}; asked in {time.perf_counter() - begun:.0f} s")
    found = study(built.stage, built.accounts, rules_of(chosen.rules))
    report(found)
    if chosen.out is not None:
        write(found, chosen.out)
    print(f"\n{time.perf_counter() - begun:.0f} s in all")


if __name__ == "__main__":
    main()
