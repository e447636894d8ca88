"""What a change of a venue's rules does: which tables change when, and which accounts it would call.

The same accounts at the same prices are put to the rules of two dates. Nothing else moves, so every difference is the
rule's: a tier table, a haircut, or a venue-wide setting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_fields
from datetime import datetime
from typing import Literal

import numpy as np
from msgspec.structs import replace

from models.account import Account
from models.book import Book
from models.errors import Failure, InputError
from models.instrument import parse_symbol
from models.margin.levels import STATES, MarginLevels, margin_levels
from models.margin.rulesets import load_ruleset
from models.margin.rulesets.document import Document, Version, to_utc
from models.margin.tiers import TierSchedule
from models.typing import BoolArray, FloatArray, IntArray, ObjectArray

__all__ = ["LevelChange", "RuleChange", "compare_books", "compare_levels", "rule_changes"]

CALLED = STATES.index("call")
LIQUIDATED = STATES.index("liquidation")
ANY = "*"
"""Name of a change of the table for everything that a document does not name."""


@dataclass(frozen=True, slots=True)
class RuleChange:
    """One table that is replaced at one date.

    Parameters
    ----------
    effective_from : datetime
        First instant of the new table, UTC.
    kind : {"tier", "haircut"}
        Maintenance tiers of a symbol, or collateral ratios of an asset.
    name : str
        Symbol or asset; ``"*"`` for all that the ruleset does not name.
    before : TierSchedule or None
        The table that is replaced; None where there was none.
    after : TierSchedule
        The new table.
    source : str
        Public source of the new table.
    """

    effective_from: datetime
    kind: Literal["tier", "haircut"]
    name: str
    before: TierSchedule | None
    after: TierSchedule
    source: str

    def change(self, value: FloatArray | float) -> FloatArray:
        """Give what changes at a value.

        Parameters
        ----------
        value : array_like
            Notional (tier) or market value (haircut).

        Returns
        -------
        ndarray
            New maintenance, or counted value, less the old; the new one itself where there was none.
        """
        new = self.after(value)
        return new if self.before is None else new - self.before(value)


def rule_changes(ruleset: str, since: datetime, until: datetime) -> list[RuleChange]:
    """List the tier tables and haircuts of a ruleset that change between two instants.

    Parameters
    ----------
    ruleset : str
        Name of a ruleset.
    since, until : datetime
        Timezone-aware; changes after `since`, up to and with `until`.

    Returns
    -------
    list of RuleChange
        By date, then kind and name. Versions that equal the one before are left out; a first version is a change only
        if it lies between the two instants, its `before` is None.

    Raises
    ------
    UnknownRulesetError
        If there is no such ruleset.
    InputError
        If an instant has no zone, or `until` lies before `since`.

    Examples
    --------
    >>> from datetime import timezone
    >>> found = rule_changes("hyperliquid", datetime(2023, 1, 1, tzinfo=timezone.utc),
    ...                      datetime(2026, 9, 30, tzinfo=timezone.utc))
    >>> {change.kind for change in found} <= {"tier", "haircut"}, found[0].effective_from <= found[-1].effective_from
    (True, True)
    """
    first, last = to_utc(since), to_utc(until)
    if last < first:
        raise InputError("until", until.isoformat(), f"a time at or after since ({since.isoformat()})")
    document: Document = load_ruleset(ruleset, until)._document
    tables = [("tier", k, v) for k, v in document.symbols.items()] + [("tier", ANY, document.default_tables)]
    tables += [("haircut", k, v) for k, v in document.collateral.items()]
    tables += [("haircut", ANY, document.default_collateral)]
    found = [change for kind, name, versions in tables for change in _of_one(document, kind, name, versions)]
    wanted = [change for change in found if first < change.effective_from <= last]
    return sorted(wanted, key=lambda c: (c.effective_from, c.kind, c.name))


def _of_one(document: Document, kind: str, name: str, versions: list[Version]) -> list[RuleChange]:
    build = document.tier_schedule if kind == "tier" else document.ratio_schedule
    out: list[RuleChange] = []
    before: TierSchedule | None = None
    for version in versions:
        after = build(version)
        if before is None or after != before:
            when, source = document.dates[version.date]
            out.append(RuleChange(to_utc(when), "tier" if kind == "tier" else "haircut", name, before, after, source))
        before = after
    return out


@dataclass(frozen=True, slots=True, eq=False)
class LevelChange:
    """The same accounts at the same prices under two sets of rules, one row an account, shape (n,) each.

    Parameters
    ----------
    account_id : ndarray of object
        Names.
    row : ndarray of int64
        Position of each in what was given.
    before, after : MarginLevels
        Levels under the two sets of rules.
    """

    account_id: ObjectArray
    row: IntArray
    before: MarginLevels
    after: MarginLevels

    def __len__(self) -> int:
        return len(self.account_id)

    @property
    def called(self) -> BoolArray:
        """Accounts that are called or liquidated after the change and were neither before."""
        return self._crosses(CALLED)

    @property
    def liquidated(self) -> BoolArray:
        """Accounts that are liquidated after the change and were not before."""
        return self._crosses(LIQUIDATED)

    @property
    def requirement(self) -> FloatArray:
        """Rise of the maintenance requirement, account currency; < 0 where it falls."""
        return self.after.maintenance - self.before.maintenance

    @property
    def equity(self) -> FloatArray:
        """Rise of equity, account currency: what haircuts change."""
        return self.after.equity - self.before.equity

    def _crosses(self, state: int) -> BoolArray:
        known = (self.before.state >= 0) & (self.after.state >= 0)
        return known & (self.before.state < state) & (self.after.state >= state)


def compare_books(before: Book, after: Book, prices: FloatArray) -> LevelChange:
    """Put two books of the same accounts, built under two sets of rules, to the same prices.

    Parameters
    ----------
    before, after : Book
        The same n accounts in the same order, on the same assets.
    prices : ndarray, shape (A,) or (n, A)
        Mark prices.

    Returns
    -------
    LevelChange
        `row` is 0 to n - 1.

    Raises
    ------
    InputError
        If the books hold other accounts or assets.
    """
    if before.assets != after.assets or not np.array_equal(before.account_id, after.account_id):
        raise InputError(
            "after", f"{len(after)} accounts", f"the {len(before)} accounts and assets of before, in order"
        )
    return LevelChange(
        before.account_id, np.arange(len(before)), margin_levels(before, prices), margin_levels(after, prices)
    )


def compare_levels(
    accounts: Sequence[Account], prices: Mapping[str, float], before: datetime, after: datetime
) -> tuple[LevelChange, list[Failure]]:
    """Say which accounts a change of rules would call, and what it changes in their requirement.

    Parameters
    ----------
    accounts : sequence of Account
        Their own `as_of` is replaced by the two dates; it chooses the rules and nothing else.
    prices : mapping of str to float
        Mark price of each asset that an account depends on, account currency.
    before, after : datetime
        Timezone-aware: the rules of which date. The second may lie in the future, for an announced change.

    Returns
    -------
    tuple of (LevelChange, list of Failure)
        The accounts that both sets of rules accept, and a failure for each of the others (``row`` is its position).

    Raises
    ------
    InputError
        If a date has no zone.

    Notes
    -----
    Options would lose time value between the two dates, which is no rule's doing: accounts that hold one are failures.

    Examples
    --------
    >>> from datetime import timezone
    >>> from models.account import Collateral, Position
    >>> account = Account(account_id="a", as_of=datetime(2023, 1, 1, tzinfo=timezone.utc), ruleset="binance-usdm",
    ...     currency="USDT", collateral=(Collateral(asset="USDT", quantity=21_000.0),),
    ...     positions=(Position(symbol="BTC/USDT:USDT", quantity=20.0, entry_price=50_000.0),))
    >>> dates = [datetime(2022, 6, 1, tzinfo=timezone.utc), datetime(2024, 6, 1, tzinfo=timezone.utc)]
    >>> change, failures = compare_levels([account], {"BTC": 50_000.0}, *dates)
    >>> change.before.maintenance.round(2).tolist(), change.after.maintenance.round(2).tolist()
    ([8700.0], [5550.0])
    """
    for name, instant in (("before", before), ("after", after)):
        if instant.tzinfo is None:
            raise InputError(name, instant.isoformat(), "a time with a zone, for example 2025-03-01T12:00:00Z")
    assets = tuple(prices)
    bad = [_refuse_option(i, account) for i, account in enumerate(accounts) if _holds_option(account)]
    held = {failure.row for failure in bad}
    kept = np.array([i for i in range(len(accounts)) if i not in held], np.int64)
    pair = [_book([accounts[i] for i in kept], kept, assets, instant) for instant in (before, after)]
    both = np.intersect1d(pair[0][1], pair[1][1])
    old, new = (book.take(np.searchsorted(rows, both)) for book, rows, _ in pair)
    compared = compare_books(old, new, np.array([float(prices[a]) for a in assets]))
    refused = {f.row: f for _, _, failures in reversed(pair) for f in failures}
    return (
        LevelChange(compared.account_id, both, compared.before, compared.after),
        sorted([*bad, *refused.values()], key=lambda f: f.row),
    )


def _book(
    accounts: Sequence[Account], rows: IntArray, assets: tuple[str, ...], as_of: datetime
) -> tuple[Book, IntArray, list[Failure]]:
    """The book under the rules of a date, the rows of its accounts, and the failures at their rows."""
    book, failures = Book.from_accounts([replace(account, as_of=as_of) for account in accounts], assets)
    good = np.delete(rows, [f.row for f in failures]) if failures else rows
    return book, good, [with_fields(f, row=int(rows[f.row])) for f in failures]


def _holds_option(account: Account) -> bool:
    return any(_is_option(position.symbol) for position in account.positions)


def _is_option(symbol: str) -> bool:
    try:
        return parse_symbol(symbol).kind == "option"
    except InputError:
        return False


def _refuse_option(row: int, account: Account) -> Failure:
    expected = "no option: its value moves with the date, so that a change of rules cannot be told apart"
    i = next(i for i, position in enumerate(account.positions) if _is_option(position.symbol))
    error = InputError(f"positions[{i}].symbol", account.positions[i].symbol, expected)
    return Failure.from_error(error, row, account.account_id)
