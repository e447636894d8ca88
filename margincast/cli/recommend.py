"""``margincast recommend``: what would save each account."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from margincast.cli.app import app
from margincast.cli.options import Accounts, AsJson, At, Bar, Market, Model, Out, Registry, Venue

if TYPE_CHECKING:
    from features.sources.account_chunks import AccountChunk
    from models.market import MarketPanel
    from models.rebalance import Recommendation
    from serving.decode import Accounts as Batch

__all__ = ["plan_columns", "recommend"]

CHUNK = 256
DESK = 10_000
SHOWN = ("account_id", "status", "p_before", "p_after", "cost", "last_safe_minute", "what")


@app.command(
    epilog="Example: margincast recommend accounts.jsonl --market ./market --policy desk.toml --target 0.01@1440"
)
def recommend(
    accounts: Accounts, market: Market, model: Model = "models:/margincast@champion",
    policy: Annotated[Path | None, typer.Option("--policy", help="Policy file: what the desk may do.")] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="PROBABILITY@MINUTES; of the policy, else 0.01@1440, where left out.")
    ] = None,
    desk: Annotated[bool, typer.Option("--desk", help="Plan all accounts together, on the policy's routes.")] = False,
    front: Annotated[
        str | None, typer.Option("--front", help="With --desk: other probabilities to price, for example 0.05,0.005.")
    ] = None,
    reduce: Annotated[
        bool, typer.Option("--reduce", help="With --desk: reduce positions where no transfer is enough.")
    ] = False,
    release: Annotated[bool, typer.Option("--release", help="With --desk: take back what is not needed.")] = False,
    substitute: Annotated[
        bool, typer.Option("--substitute", help="With --desk: exchange what is posted under agreements where it saves.")
    ] = False,
    worth: Annotated[
        float | None,
        typer.Option(
            "--worth",
            help="With --desk, instead of a target to reach: dollars that may be spent to avoid a dollar of expected "
            "loss, for example 1. Accounts over --target are weighed; what can wait is left for the next decision.",
        ),
    ] = None,
    every: Annotated[int, typer.Option("--every", min=1, help="With --worth: minutes to the next decision.")] = 480,
    at: At = None, out: Out = None, as_json: AsJson = False, bar: Bar = "1h", venue: Venue = "binance",
    registry: Registry = None,
) -> None:  # fmt: skip
    """The smallest top-up, swap, hedge or reduction that brings P(call) under the target, each enough by itself.

    Found by the full predictor, re-priced by the engine. For accounts under the target: what may be released, and under
    an agreement what may be exchanged for collateral that is cheaper to post.
    With --desk: what to send from where to whom, for all accounts together, at the lowest cost; with --worth, what
    saves more than it costs on inventories that may be too small for all, and cannot wait.
    """
    from functools import lru_cache

    from features.policy import load_policy
    from margincast.cli.batch import Answer, run_batch
    from margincast.cli.books import read_all, read_chunks
    from margincast.cli.inputs import instant, open_model
    from margincast.cli.predict import model_window
    from models.errors import InputError
    from models.rebalance import Policy, Target, parse_target
    from models.rebalance.joint import Weighing
    from serving.engine import Engine

    if worth is not None and (not desk or reduce or release or substitute or front):
        raise InputError("--worth", worth, "with --desk, and without --reduce, --release, --substitute and --front")
    weighing = None if worth is None else Weighing(worth)
    rules = Policy() if policy is None else load_policy(policy)
    asked = None if target is None else parse_target(target)
    goal = asked or rules.limits.goal or Target()
    when = instant("--at", at)
    loaded = open_model(model, registry)
    window = model_window(loaded, market, bar, venue, when)

    @lru_cache(maxsize=1)
    def engine(panel: MarketPanel) -> Engine:
        return Engine(panel, loaded, time.time_ns)

    if desk:
        from margincast.cli.desk import chances, plan_desk

        whole = read_all(accounts, DESK, when)
        batch = replace(_batch(whole), reduce=reduce, release=release, substitute=substitute)
        plan_desk(
            batch, lambda: engine(window.panel_for(whole)), goal, rules, out, as_json, chances(front), weighing, every
        )
        return

    def answer(chunk: AccountChunk) -> Answer:
        seen = engine(window.panel_for(chunk)).recommend(_batch(chunk), goal, rules)
        return Answer(plan_columns(seen.recommendations), len(seen.recommendations), seen.failures)

    run_batch(f"To bring P(call) to {goal}", read_chunks(accounts, CHUNK, when), answer, out, as_json, SHOWN)


def plan_columns(found: Sequence[Recommendation]) -> dict[str, Any]:
    """Lay recommendations out: a row for each plan, cheapest first; one row for an account without a plan.

    Parameters
    ----------
    found : sequence of Recommendation
        The recommendations.

    Returns
    -------
    dict
        Columns; NaN and empty text where there is no plan.
    """
    import numpy as np

    rows = [row for result in found for row in _rows(result)]
    out: dict[str, Any] = {}
    for name, kind in _COLUMNS.items():
        values = [row[name] for row in rows]
        out[name] = np.array(values, kind) if kind is float else np.array([*values, ""], object)[:-1]
    return out


_COLUMNS: dict[str, type] = {
    "account_id": str,
    "target": str,
    "status": str,
    "plan": float,
    "p_before": float,
    "p_after": float,
    "kind": str,
    "asset": str,
    "symbol": str,
    "amount": float,
    "into": str,
    "received": float,
    "currency": str,
    "value": float,
    "value_usd": float,
    "proceeds": float,
    "cost": float,
    "saves": float,
    "haircut": float,
    "last_safe_minute": float,
    "state_before": str,
    "state_after": str,
    "what": str,
}


def _rows(result: Recommendation) -> Iterator[dict[str, Any]]:
    nan, column = float("nan"), result.target.column
    common: dict[str, Any] = dict.fromkeys((n for n, kind in _COLUMNS.items() if kind is float), nan)
    common |= dict.fromkeys((n for n, kind in _COLUMNS.items() if kind is str), "")
    common |= {
        "account_id": result.account_id,
        "target": str(result.target),
        "status": result.status,
        "p_before": result.p_before[column],
        "state_before": result.levels_before.state,
        "currency": result.currency,
        "last_safe_minute": _number(result.last_safe_minute),
    }
    if not result.plans:
        yield common | {"what": " ".join(item.sentence for item in result.unreachable)}
    for number, plan in enumerate(result.plans, 1):
        action = plan.actions[0]
        yield common | {
            "plan": number,
            "p_after": plan.p_after[column],
            "kind": action.kind,
            "asset": action.asset,
            "symbol": action.symbol or "",
            "amount": action.amount,
            "into": action.into or "",
            "received": _number(action.received),
            "value": action.value,
            "value_usd": action.value_usd,
            "proceeds": action.proceeds,
            "cost": plan.cost,
            "saves": _number(None if plan.substitution is None else plan.substitution.saves),
            "haircut": action.haircut,
            "last_safe_minute": _number(plan.last_safe_minute),
            "state_after": plan.levels_after.state,
            "what": plan.sentence,
        }


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _batch(chunk: AccountChunk) -> Batch:
    """Accounts as values, with their lines as rows."""
    from features.sources.account_tables import accounts_of
    from serving.decode import Accounts as Batch

    return Batch(accounts_of(*chunk.columns), chunk.line.tolist(), list(chunk.failures), False)
