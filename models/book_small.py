"""Books of a few accounts, many times a second: the same book as `Book.from_accounts`, without its column work."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from models.account import Account, Collateral, Position, validate_account
from models.book import NEVER, Book, BookArrays, linear_defaults
from models.errors import InputError, UnknownAssetError, UnknownSymbolError
from models.instrument import is_stable, parse_symbol
from models.margin.rulesets import Ruleset, load_ruleset
from models.margin.tiers import TierSchedule, TierTables, flatten_schedules
from models.typing import ObjectArray

__all__ = ["BookMaker"]


class _Pool:
    """Schedules seen so far, flattened once; an index stays valid for ever."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._index: dict[int, int] = {}
        self._items: list[TierSchedule] = []
        self.tables: TierTables = flatten_schedules(())

    def add(self, schedule: TierSchedule) -> int:
        """Index of a schedule."""
        found = self._index.get(id(schedule))
        return self._append(schedule) if found is None else found

    def _append(self, schedule: TierSchedule) -> int:
        with self._lock:
            self._items.append(schedule)
            self.tables = flatten_schedules(self._items)
            return self._index.setdefault(id(schedule), len(self._items) - 1)


class BookMaker:
    """Builds small books on one list of assets.

    Parameters
    ----------
    assets : sequence of str
        Assets of the market.

    Notes
    -----
    The tables of tiers and collateral ratios are shared between the books of one maker, so the indices differ from
    those of `Book.from_accounts`; every number computed from the book is the same.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> from models.account import Collateral
    >>> account = Account(account_id="a", as_of=datetime(2025, 3, 1, tzinfo=timezone.utc),
    ...     ruleset="generic-linear", currency="USDT", collateral=(Collateral(asset="USDT", quantity=1e4),))
    >>> len(BookMaker(["BTC"])([account]))
    1
    """

    def __init__(self, assets: Sequence[str]) -> None:
        self.assets = tuple(assets)
        self._asset = {a: i for i, a in enumerate(self.assets)}
        self._tiers, self._ratios = _Pool(), _Pool()

    def __call__(self, accounts: Sequence[Account]) -> Book:
        """Build a book.

        Parameters
        ----------
        accounts : sequence of Account
            A few accounts.

        Returns
        -------
        Book
            In their order.

        Raises
        ------
        MargincastError
            If an account is wrong; the first reason is given.
        """
        rows = _Rows()
        for account in accounts:
            rules = load_ruleset(account.ruleset, account.as_of)
            if rules.model != "linear":
                return self._general(accounts)
            validate_account(account)
            if account.csa is not None:
                raise InputError("csa", "terms of an agreement", "nothing, as only ruleset 'csa' has an agreement")
            self._account(account, rules, rows)
        return self._book(accounts, rows)

    def _general(self, accounts: Sequence[Account]) -> Book:
        book, failures = Book.from_accounts(accounts, self.assets)
        if failures:
            raise failures[0].error()
        return book

    def _account(self, account: Account, rules: Ruleset, rows: _Rows) -> None:
        rows.call_factor.append(1.0 / rules.call_ratio)
        rows.release_factor.append(rules.release_factor)
        rows.initial_factor.append(rules.initial_factor)
        rows.stale.append(float(rules.stale_after_minutes))
        cash = 0.0
        for i, item in enumerate(account.collateral):
            if item.asset == account.currency:
                cash += item.quantity
                continue
            try:
                self._collateral(item, rules, rows)
            except InputError as error:
                raise error.at(f"collateral[{i}].asset") from None
        isolated = [position.margin_mode == "isolated" for position in account.positions]
        self._legs(account, [i for i, own in enumerate(isolated) if not own], rules, rows)
        rows.close_unit(cash)
        for i in [i for i, own in enumerate(isolated) if own]:
            self._legs(account, [i], rules, rows)
            rows.close_unit(account.positions[i].isolated_margin or 0.0)
        rows.account_unit.append(len(rows.cash))

    def _legs(self, account: Account, which: Sequence[int], rules: Ruleset, rows: _Rows) -> None:
        for i in which:
            try:
                self._leg(account.positions[i], account.as_of, rules, rows)
            except InputError as error:
                raise error.at(f"positions[{i}].symbol") from None

    def _leg(self, position: Position, as_of: datetime, rules: Ruleset, rows: _Rows) -> None:
        instrument = parse_symbol(position.symbol)
        if instrument.expiry is not None and instrument.expiry <= as_of:
            expected = "an instrument that has not expired at the account's as_of; settle it into the collateral"
            raise InputError("symbol", position.symbol, expected)
        base = instrument.base
        if base not in self._asset:
            known = ", ".join(self.assets[:20])
            raise UnknownSymbolError("symbol", position.symbol, f"a symbol whose base asset the market has ({known})")
        tier = rules.tier(position.symbol, position.quantity)
        leverage = rules.default_leverage if position.leverage is None else position.leverage
        most = float(tier.max_leverage[0])
        rows.leg_asset.append(self._asset[base])
        rows.leg_quantity.append(position.quantity)
        rows.leg_entry.append(position.entry_price)
        rows.leg_funding.append(position.quantity if instrument.kind == "perpetual" else 0.0)
        rows.leg_expiry.append(NEVER if instrument.expiry is None else int(instrument.expiry.timestamp()) * 10**9)
        rows.leg_tier.append(self._tiers.add(tier))
        rows.leg_initial_rate.append(1.0 / (min(leverage, most) if most == most else leverage))
        rows.leg_symbol.append(position.symbol)

    def _collateral(self, item: Collateral, rules: Ruleset, rows: _Rows) -> None:
        asset = -1 if is_stable(item.asset) else self._asset.get(item.asset)
        if asset is None:
            raise UnknownAssetError("asset", item.asset, "a stable coin or an asset that the market has")
        rows.coll_asset.append(asset)
        rows.coll_quantity.append(item.quantity)
        rows.coll_schedule.append(self._ratios.add(rules.haircut(item.asset)))
        rows.coll_name.append(item.asset)

    def _book(self, accounts: Sequence[Account], rows: _Rows) -> Book:
        tiers, ratios = self._tiers.tables, self._ratios.tables
        units, quantity = len(rows.cash), np.array(rows.leg_quantity, np.float64)
        plain: dict[str, Any] = linear_defaults(len(accounts), units, quantity) | {
            "account_initial_factor": np.array(rows.initial_factor),
            "leg_funding": np.array(rows.leg_funding, np.float64),
            "leg_expiry": np.array(rows.leg_expiry, np.int64),
        }
        tables: dict[str, Any] = dict(zip(_TIERS + _RATIOS, (*tiers[:4], *ratios[:4]), strict=True))
        arrays = BookArrays(
            account_unit=np.array(rows.account_unit, np.int32),
            account_call_factor=np.array(rows.call_factor),
            account_release_factor=np.array(rows.release_factor),
            unit_cash=np.array(rows.cash),
            unit_leg=np.array(rows.unit_leg, np.int32),
            leg_asset=np.array(rows.leg_asset, np.int32),
            leg_quantity=quantity,
            leg_entry=np.array(rows.leg_entry, np.float64),
            leg_tier=np.array(rows.leg_tier, np.int32),
            leg_initial_rate=np.array(rows.leg_initial_rate, np.float64),
            unit_coll=np.array(rows.unit_coll, np.int32),
            coll_asset=np.array(rows.coll_asset, np.int32),
            coll_quantity=np.array(rows.coll_quantity, np.float64),
            coll_schedule=np.array(rows.coll_schedule, np.int32),
            **tables,
            **plain,
        )
        return Book(
            _objects([a.account_id for a in accounts]),
            np.array([_nanoseconds(a) for a in accounts], np.int64),
            _objects([a.ruleset for a in accounts]),
            self.assets,
            arrays,
            _objects(rows.leg_symbol),
            _objects(rows.coll_name),
            np.array(rows.stale),
        )


_TIERS = ("tier_start", "tier_floor", "tier_rate", "tier_offset")
_RATIOS = ("sched_start", "sched_floor", "sched_rate", "sched_offset")


class _Rows:
    """Growing columns."""

    __slots__ = (
        "account_unit",
        "call_factor",
        "cash",
        "coll_asset",
        "coll_name",
        "coll_quantity",
        "coll_schedule",
        "initial_factor",
        "leg_asset",
        "leg_entry",
        "leg_expiry",
        "leg_funding",
        "leg_initial_rate",
        "leg_quantity",
        "leg_symbol",
        "leg_tier",
        "release_factor",
        "stale",
        "unit_coll",
        "unit_leg",
    )  # fmt: skip

    def __init__(self) -> None:
        self.account_unit, self.unit_leg, self.unit_coll = [0], [0], [0]
        self.call_factor: list[float] = []
        self.release_factor: list[float] = []
        self.initial_factor: list[float] = []
        self.stale: list[float] = []
        self.cash: list[float] = []
        self.leg_asset: list[int] = []
        self.leg_quantity: list[float] = []
        self.leg_entry: list[float] = []
        self.leg_funding: list[float] = []
        self.leg_expiry: list[int] = []
        self.leg_tier: list[int] = []
        self.leg_initial_rate: list[float] = []
        self.leg_symbol: list[str] = []
        self.coll_asset: list[int] = []
        self.coll_quantity: list[float] = []
        self.coll_schedule: list[int] = []
        self.coll_name: list[str] = []

    def close_unit(self, cash: float) -> None:
        """End the present unit."""
        self.cash.append(cash)
        self.unit_leg.append(len(self.leg_asset))
        self.unit_coll.append(len(self.coll_asset))


def _nanoseconds(account: Account) -> int:
    seconds = int(account.as_of.replace(microsecond=0).timestamp())
    return (seconds * 1_000_000 + account.as_of.microsecond) * 1000


def _objects(values: list[str]) -> ObjectArray:
    out = np.empty(len(values), object)
    out[:] = values
    return out
