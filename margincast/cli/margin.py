"""``margincast margin``: where accounts stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from margincast.cli.app import app
from margincast.cli.options import Accounts, AsJson, At, Bar, Market, Out, Venue

if TYPE_CHECKING:
    from margincast.cli.inputs import Chunk
    from models.typing import FloatArray

__all__ = ["margin"]

HISTORY_DAYS = 30


@app.command(epilog="Example: margincast margin accounts.jsonl --market ./market --at 2025-03-01T12:00:00Z")
def margin(
    accounts: Accounts, market: Market, at: At = None, out: Out = None, as_json: AsJson = False, bar: Bar = "1h",
    venue: Venue = "binance",
) -> None:  # fmt: skip
    """Equity, the four levels, the state and the call amount of each account, on the last prices known."""
    from margincast.cli.batch import Answer, run_batch
    from margincast.cli.inputs import instant, read_books
    from margincast.cli.markets import MarketWindow
    from margincast.cli.moments import priced

    when = instant("--at", at)
    window = MarketWindow(market, bar, venue, days=HISTORY_DAYS, end=when)

    def answer(chunk: Chunk) -> Answer:
        good, prices, ages = priced(chunk)
        return Answer(_columns(good, prices, ages), len(good.book), good.failures)

    run_batch("Margin levels", read_books(accounts, window, when), answer, out, as_json)


def _columns(chunk: Chunk, prices: FloatArray, ages: FloatArray) -> dict[str, Any]:
    from margincast.cli.batch import stamps
    from margincast.cli.moments import flags_of
    from models.margin.levels import margin_levels

    levels = margin_levels(chunk.book, prices)
    names = ("equity", "maintenance", "call", "initial", "release", "call_amount")
    return {
        "account_id": chunk.book.account_id,
        "as_of": stamps(chunk.book.as_of),
        "state": levels.state_names(),
        **{name: getattr(levels, name) for name in names},
        "flags": flags_of(chunk.book, ages, chunk.panel.bar_minutes),
    }
