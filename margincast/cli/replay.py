"""``margincast replay``: what really happened next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from margincast.cli.app import app
from margincast.cli.options import Accounts, AsJson, At, Bar, Market, Model, Out, Registry, Seed, Start, Stop, Venue

if TYPE_CHECKING:
    from margincast.cli.books import Chunk

__all__ = ["replay"]

HISTORY_DAYS = 370
"""Days before the accounts: dynamic margin rests on a year, the volatility that stands in for an index on a month."""


@app.command(
    epilog="Example: margincast replay accounts.jsonl --market ./market --horizon 4320 --out outcomes.parquet. "
    "With rules: margincast replay accounts.jsonl --market ./market --policy desk.toml --horizon 40320"
)
def replay(
    accounts: Accounts, market: Market, at: At = None, start: Start = None, stop: Stop = None,
    horizon: Annotated[int, typer.Option("--horizon", help="Minutes to walk.", min=1)] = 4320,
    extremes: Annotated[
        str, typer.Option("--extremes", help="Inside of a bar of several prices: synchronous, adverse or close.")
    ] = "synchronous",
    policy: Annotated[
        Path | None, typer.Option("--policy", help="Policy file: run rules for collateral on the accounts.")
    ] = None,
    rules: Annotated[
        str | None,
        typer.Option(
            "--rules",
            help="With --policy: some of static, band, dynamic, target, plan; all together, slower: worth, recommend, "
            "desk.",
        ),
    ] = None,
    every: Annotated[int, typer.Option("--every", help="With --policy: minutes between decisions.", min=1)] = 240,
    model: Model = "prior", registry: Registry = None, seed: Seed = 0,
    out: Out = None, as_json: AsJson = False, bar: Bar = "1h", venue: Venue = "binance",
) -> None:  # fmt: skip
    """Walk accounts along the bars after their instants: first call, liquidation, amounts.

    --from and --to choose the accounts by their as_of. Accounts are held still: nobody tops up, nobody trades.
    With --policy rules send collateral and take it back, on its routes, with their lags, fees and failures: a static
    threshold, a band, a dynamic threshold, a target for P(call) and the plan, each at several settings, beside nothing
    and perfect foresight. With --rules desk a joint plan of all accounts is made at every decision, at several targets;
    with worth one by what it saves; with recommend that of `recommend --desk --worth` itself.
    Each account is watched for --horizon minutes, or until its first contract expires.
    """
    from margincast.cli.batch import Answer, run_batch
    from margincast.cli.books import read_books
    from margincast.cli.inputs import instant
    from margincast.cli.markets import MarketWindow
    from margincast.cli.moments import snapshot_prices, valued_at
    from models.margin.replay import replay as walk

    first, last, when = instant("--from", start), instant("--to", stop), instant("--at", at)
    if policy is not None:
        from margincast.cli.rules_replay import replay_rules
        from training.replay.stage import Setting

        setting = Setting(every, horizon, seed)
        places = accounts, market, policy
        replay_rules(*places, model, registry, (first, last), when, setting, rules, out, as_json, bar, venue)
        return
    window = MarketWindow(market, bar, venue, days=HISTORY_DAYS)

    def answer(chunk: Chunk) -> Answer:
        good = _walkable(chunk.between(first, last))
        book = valued_at(good.book, snapshot_prices(good.book, good.panel)[0], good.panel)
        seen = walk(book, good.panel, horizon, extremes=extremes)
        return Answer(_columns(good, seen), len(good.book), good.failures)

    run_batch("Replay", read_books(accounts, window, when), answer, out, as_json)


def _walkable(chunk: Chunk) -> Chunk:
    from features.sources.times import iso
    from models.errors import MissingMarketError

    start, end = chunk.panel.start, chunk.panel.end

    def reason(i: int) -> MissingMarketError:
        when = iso(int(chunk.book.as_of[i]))
        return MissingMarketError(f"market: expected bars after {when}, was a market from {iso(start)} to {iso(end)}")

    return chunk.refuse((chunk.book.as_of >= end) | (chunk.book.as_of < start), reason)


def _columns(chunk: Chunk, seen: Any) -> dict[str, Any]:
    from margincast.cli.batch import stamps

    names = ("minutes_to_call", "minutes_to_liquidation", "call_amount", "worst_gap", "gap", "truncated", "bound")
    return {
        "account_id": chunk.book.account_id,
        "as_of": stamps(chunk.book.as_of),
        **{name: getattr(seen, name) for name in names},
    }
