"""``margincast replay``: what really happened next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from margincast.cli.app import app
from margincast.cli.options import Accounts, AsJson, At, Bar, Market, Out, Start, Stop, Venue

if TYPE_CHECKING:
    from margincast.cli.inputs import Chunk

__all__ = ["replay"]

HISTORY_DAYS = 370
"""Days before the accounts: dynamic margin rests on a year, the volatility that stands in for an index on a month."""


@app.command(epilog="Example: margincast replay accounts.jsonl --market ./market --horizon 4320 --out outcomes.parquet")
def replay(
    accounts: Accounts, market: Market, at: At = None, start: Start = None, stop: Stop = None,
    horizon: Annotated[int, typer.Option("--horizon", help="Minutes to walk.", min=1)] = 4320,
    extremes: Annotated[
        str, typer.Option("--extremes", help="Inside of a bar of several prices: synchronous, adverse or close.")
    ] = "synchronous",
    out: Out = None, as_json: AsJson = False, bar: Bar = "1h", venue: Venue = "binance",
) -> None:  # fmt: skip
    """Walk accounts along the bars after their instants: first call, liquidation, amounts.

    --from and --to choose the accounts by their as_of. Accounts are held still: nobody tops up, nobody trades.
    """
    from margincast.cli.batch import Answer, run_batch
    from margincast.cli.inputs import instant, read_books
    from margincast.cli.markets import MarketWindow
    from margincast.cli.moments import snapshot_prices, valued_at
    from models.margin.replay import replay as walk

    first, last, when = instant("--from", start), instant("--to", stop), instant("--at", at)
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
