"""``margincast margin``: where accounts stand, and where they would under the rules of another date."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from margincast.cli.app import app
from margincast.cli.options import Accounts, AsJson, Bar, Market, Out, Venue

if TYPE_CHECKING:
    from pathlib import Path

    from margincast.cli.books import Chunk
    from margincast.cli.markets import MarketWindow
    from margincast.cli.rule_dates import UnderRules
    from models.book import Book
    from models.typing import FloatArray

__all__ = ["margin"]

HISTORY_DAYS = 370
LAST = 2**63 - 1
"""Nanoseconds that a time column can hold."""
LEVELS = ("equity", "maintenance", "call", "initial", "release", "call_amount")
At = Annotated[
    str | None, typer.Option("--at", help="Instant (UTC) of the prices; each account's own as_of where left out.")
]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", help="Date (UTC) of the rules, may lie ahead; the instant of the prices where left out."),
]
Compare = Annotated[
    str | None, typer.Option("--compare", help="A second date of rules: which accounts would it call? Needs --as-of.")
]
_EPILOG = (
    "Example: margincast margin accounts.jsonl --market ./market --at 2025-03-01T12:00:00Z\n\n"
    "Example: margincast margin accounts.jsonl --market ./market --at 2025-06-25T12:00:00Z "
    "--as-of 2025-06-25 --compare 2025-07-01"
)


@app.command(epilog=_EPILOG)
def margin(
    accounts: Accounts, market: Market, at: At = None, as_of: AsOf = None, compare: Compare = None, out: Out = None,
    as_json: AsJson = False, bar: Bar = "1h", venue: Venue = "binance",
) -> None:  # fmt: skip
    """Equity, the four levels, the state and the call amount of each account, on the last prices known.

    With --as-of under the rules of another date, at the same prices; with --compare under those of two dates, to see
    which accounts a change of rules would call.
    """
    from margincast.cli.markets import MarketWindow
    from models.errors import InputError

    when, rules, other = _instant("--at", at), _instant("--as-of", as_of), _instant("--compare", compare)
    if other is not None and rules is None:
        raise InputError("--compare", compare, "--as-of as well: the date of the rules to compare with")
    window = MarketWindow(market, bar, venue, days=HISTORY_DAYS, end=when)
    if rules is None:
        _own_rules(accounts, window, when, out, as_json)
    else:
        _other_rules(accounts, window, when, [rules] if other is None else [rules, other], out, as_json)


def _instant(option: str, text: str | None) -> int | None:
    from margincast.cli.inputs import instant
    from models.errors import InputError

    found = instant(option, text)
    if found is not None and not 0 <= found <= LAST:
        raise InputError(option, text, "a time from 1970 to 2262")
    return found


def _own_rules(accounts: Path, window: MarketWindow, when: int | None, out: Path | None, as_json: bool) -> None:
    from margincast.cli.batch import Answer, run_batch
    from margincast.cli.books import read_books
    from margincast.cli.moments import priced

    def answer(chunk: Chunk) -> Answer:
        good, prices, ages = priced(chunk)
        return Answer(_columns(good, good.book, prices, ages), len(good.book), good.failures)

    run_batch("Margin levels", read_books(accounts, window, when), answer, out, as_json)


def _other_rules(
    accounts: Path, window: MarketWindow, when: int | None, dates: list[int], out: Path | None, as_json: bool
) -> None:
    from margincast.cli.batch import Answer, run_batch
    from margincast.cli.console import iso
    from margincast.cli.rule_dates import read_under_rules

    def answer(found: UnderRules) -> Answer:
        good = found.chunk
        columns = _comparison(found) if len(dates) > 1 else _columns(good, found.books[0], found.prices, found.ages)
        return Answer(columns, len(good.book), good.failures)

    title = "Margin levels under the rules of " + " and ".join(iso(date) for date in dates)
    run_batch(title, read_under_rules(accounts, window, when, dates), answer, out, as_json)


def _columns(chunk: Chunk, book: Book, prices: FloatArray, ages: FloatArray) -> dict[str, Any]:
    from margincast.cli.batch import stamps
    from margincast.cli.moments import flags_of, valued_at
    from models.margin.levels import margin_levels

    levels = margin_levels(valued_at(book, prices, chunk.panel), prices)
    return {
        "account_id": chunk.book.account_id,
        "as_of": stamps(chunk.book.as_of),
        "state": levels.state_names(),
        **{name: getattr(levels, name) for name in LEVELS},
        "flags": flags_of(chunk.book, ages, chunk.panel.bar_minutes),
    }


def _comparison(found: UnderRules) -> dict[str, Any]:
    from margincast.cli.batch import stamps
    from margincast.cli.moments import flags_of, valued_at
    from models.margin.changes import compare_books

    chunk = found.chunk
    before, after = (valued_at(book, found.prices, chunk.panel) for book in found.books)
    change = compare_books(before, after, found.prices)
    return {
        "account_id": chunk.book.account_id,
        "as_of": stamps(chunk.book.as_of),
        "newly_called": change.called,
        "newly_liquidated": change.liquidated,
        "state": change.before.state_names(),
        "state_after": change.after.state_names(),
        "equity": change.before.equity,
        "equity_change": change.equity,
        "maintenance": change.before.maintenance,
        "maintenance_change": change.requirement,
        "call_amount_after": change.after.call_amount,
        "flags": flags_of(chunk.book, found.ages, chunk.panel.bar_minutes),
    }
