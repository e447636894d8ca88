"""Registered accounts put under rules that are announced, at present prices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from features.moment import Moment
from models.account import Account
from models.book import Book
from models.instrument import parse_symbol
from models.margin.levels import margin_levels
from models.margin.rulesets import ruleset_dates, ruleset_names
from models.typing import DAY_NS, IntArray
from serving.instants import instant, nanoseconds
from serving.live.alerts.announced import Announced
from serving.live.books import Held, ShardBook, book_of

__all__ = ["Ahead", "AnnouncedBook", "announced_books", "announced_levels", "changes_ahead"]

_MOST_DATES = 8
"""Of one ruleset; where there are more the last of them counts for the others."""


@dataclass(frozen=True, slots=True, eq=False)
class AnnouncedBook:
    """Accounts under the rules of a date that is still to come.

    Parameters
    ----------
    from_ns : int
        The date, nanoseconds.
    rows : ndarray of int64, shape (m,)
        Their rows among those that are scored.
    rulesets : list of str
        Names of their rules.
    book : Book
        The m accounts.
    """

    from_ns: int
    rows: IntArray
    rulesets: list[str]
    book: Book


def changes_ahead(rulesets: Iterable[str], close_ns: int, days: float) -> dict[int, tuple[str, ...]]:
    """Say which rulesets change when.

    Parameters
    ----------
    rulesets : iterable of str
        Names; unknown ones are passed over.
    close_ns : int
        The present close, nanoseconds.
    days : float
        How far ahead to look.

    Returns
    -------
    dict of int to tuple of str
        Rulesets by date, nanoseconds, in order.

    Examples
    --------
    >>> changes_ahead(["generic-linear"], 0, 20_000.0)
    {1262304000000000000: ('generic-linear',)}
    """
    found: dict[int, list[str]] = {}
    if days > 0:
        since, until = instant(close_ns), instant(close_ns + int(days * DAY_NS))
        for name in sorted(set(rulesets).intersection(ruleset_names())):
            dates = ruleset_dates(name, since, until)
            for date in [*dates[: _MOST_DATES - 1], *dates[_MOST_DATES - 1 :][-1:]]:
                found.setdefault(nanoseconds(date), []).append(name)
    return {date: tuple(found[date]) for date in sorted(found)}


def announced_books(
    changes: dict[int, tuple[str, ...]], accounts: Sequence[Account], scored: Sequence[str], assets: tuple[str, ...]
) -> list[AnnouncedBook]:
    """Put accounts under announced rules.

    Parameters
    ----------
    changes : dict
        From `changes_ahead`.
    accounts : sequence of Account
        The accounts.
    scored : sequence of str
        Names of those that are scored, in their order.
    assets : tuple of str
        Of the market.

    Returns
    -------
    list of AnnouncedBook
        By date. Accounts with options are left out, for their value runs off with time, and so are those that the rules
        of that date do not take.
    """
    if not changes:
        return []
    place = {name: row for row, name in enumerate(scored)}
    still = [one for one in accounts if one.account_id in place and not _optional(one)]
    rules = {one.account_id: one.ruleset for one in still}
    found = []
    for date, names in changes.items():
        book, _ = book_of([one for one in still if one.ruleset in names], assets, date)
        if len(book):
            mine = book.account_id.tolist()
            rows = np.array([place[name] for name in mine], np.int64)
            found.append(AnnouncedBook(date, rows, [rules[name] for name in mine], book))
    return found


class Ahead:
    """Remembers the accounts of a shard under announced rules, while neither they nor the rules change."""

    def __init__(self) -> None:
        self._of: Held | None = None
        self._changes: dict[int, tuple[str, ...]] = {}
        self._books: list[AnnouncedBook] = []

    def books(self, kept: ShardBook, held: Held, close_ns: int, days: float) -> list[AnnouncedBook]:
        """Put the accounts of a shard under announced rules.

        Parameters
        ----------
        kept : ShardBook
            The shard.
        held : Held
            What is scored of it.
        close_ns : int
            The present close, nanoseconds.
        days : float
            How far ahead to look.

        Returns
        -------
        list of AnnouncedBook
            By date.
        """
        changes = changes_ahead(kept.rulesets, close_ns, days)
        if kept.made is not self._of or changes != self._changes:
            self._books = announced_books(changes, kept.accounts, held.book.account_id.tolist(), kept.assets)
            self._of, self._changes = kept.made, changes
        return self._books


def announced_levels(books: Iterable[AnnouncedBook], moment: Moment) -> list[Announced]:
    """Give the levels under announced rules at present prices."""
    return [
        Announced(one.from_ns, one.rows, one.rulesets, margin_levels(moment.valued(one.book), moment.price))
        for one in books
    ]


def _optional(account: Account) -> bool:
    return any(parse_symbol(position.symbol).kind == "option" for position in account.positions)
