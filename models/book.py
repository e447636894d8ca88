"""A batch of accounts in columns: the one shape that the kernels work on.

One account is one or more *margin units*: a cross unit (wallet, cross positions, collateral)
and one unit for each isolated position. One account and a million take the same path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from models._account_columns import account_columns
from models._by_pointer import by_pointer
from models._csr import gather
from models.account import Account
from models.errors import Failure, InputError
from models.margin.blocks import BlockArrays, moved_in_time, take_blocks
from models.margin.sheets import NODES, SLICES
from models.typing import HOUR_NS, BoolArray, FloatArray, Int32Array, IntArray, ObjectArray

__all__ = ["NEVER", "Book", "BookArrays", "account_columns", "linear_defaults", "no_sheets", "require_sheets"]

Columns = Mapping[str, Any]


@by_pointer
class BookArrays(NamedTuple):
    """The numbers of a book, C-contiguous, as the kernels take them.

    Shapes: n accounts, u units, l legs, c collateral rows, t tier rows, s schedule rows.
    """

    account_unit: Int32Array  # (n+1,) account -> its units
    account_call_factor: FloatArray  # (n,) call requirement / maintenance
    account_release_factor: FloatArray  # (n,) release / initial
    account_initial_factor: FloatArray  # (n,) initial requirement is at least so many times maintenance
    account_numeraire: Int32Array  # (n,) asset in which amounts are reported, -1 the dollar
    unit_cash: FloatArray  # (u,) settlement-currency balance
    unit_floor: FloatArray  # (u,) part of maintenance that no price moves (debt in stable coins)
    unit_offset: FloatArray  # (u,) part of the requirement that is the same at every level (< 0: a credit line)
    unit_initial: FloatArray  # (u,) part of the initial requirement that no price moves
    unit_release: FloatArray  # (u,) what the release level adds
    unit_leg: Int32Array  # (u+1,) unit -> its legs
    leg_asset: Int32Array  # (l,) index into Book.assets
    leg_quantity: FloatArray  # (l,) base units, signed
    leg_entry: FloatArray  # (l,) entry price
    leg_size: FloatArray  # (l,) the maintenance schedule is taken at size * price, >= 0
    leg_funding: FloatArray  # (l,) base units that funding is paid on, signed; 0 where none is
    leg_expiry: IntArray  # (l,) settlement, nanoseconds; the largest int64 where there is none
    leg_tier: Int32Array  # (l,) maintenance schedule
    leg_initial_rate: FloatArray  # (l,) 1 / leverage
    leg_initial: FloatArray  # (l,) part of the initial requirement that no price moves
    unit_coll: Int32Array  # (u+1,) unit -> its collateral rows
    coll_asset: Int32Array  # (c,) index into Book.assets, -1 priced at par
    coll_quantity: FloatArray  # (c,) units of the asset, >= 0
    coll_schedule: Int32Array  # (c,) collateral ratio schedule
    tier_start: Int32Array
    tier_floor: FloatArray
    tier_rate: FloatArray
    tier_offset: FloatArray
    sched_start: Int32Array
    sched_floor: FloatArray
    sched_rate: FloatArray
    sched_offset: FloatArray
    unit_sheet: Int32Array  # (u+1,) unit -> its sheets, none where everything is linear
    sheet_asset: Int32Array  # (h,) index into Book.assets
    sheet_gross: FloatArray  # (h,) base units of all its positions
    sheet_now: FloatArray  # (h,) price that the nodes are around
    sheet_hours: FloatArray  # (h, slices) hours ahead that the slices are at, from 0
    sheet_equity: FloatArray  # (h, slices, nodes) what the sheet adds to equity
    sheet_maintenance: FloatArray  # (h, slices, nodes) and to maintenance
    sheet_initial: FloatArray  # (h, nodes) and to the initial requirement now


@dataclass(frozen=True, slots=True, eq=False)
class Book:
    """Accounts in columns.

    Parameters
    ----------
    account_id : ndarray of object, shape (n,)
        Names.
    as_of : ndarray of int64, shape (n,)
        Instants, nanoseconds since the epoch, UTC.
    ruleset : ndarray of object, shape (n,)
        Ruleset names.
    assets : tuple of str, length A
        What ``leg_asset`` and ``coll_asset`` index: the assets of the market panel.
    arrays : BookArrays
        The numbers.
    leg_symbol : ndarray of object, shape (l,)
        Symbol of each leg.
    coll_name : ndarray of object, shape (c,)
        Asset code of each collateral row.
    stale_after_minutes : ndarray of float64, shape (n,)
        Age of the market at which the ruleset calls it stale.
    blocks : BlockArrays or None
        Options and scenario margin; None where the book has none. What reads prices needs a book that
        `models.margin.valuation.valued` has given its sheets.
    """

    account_id: ObjectArray
    as_of: IntArray
    ruleset: ObjectArray
    assets: tuple[str, ...]
    arrays: BookArrays
    leg_symbol: ObjectArray
    coll_name: ObjectArray
    stale_after_minutes: FloatArray
    blocks: BlockArrays | None = None

    def __len__(self) -> int:
        return len(self.account_id)

    @property
    def n_units(self) -> int:
        """Number of margin units."""
        return len(self.arrays.unit_cash)

    def unit_account(self) -> IntArray:
        """Account of each unit, shape (u,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.arrays.account_unit))

    def unit_of_leg(self) -> IntArray:
        """Unit of each leg, shape (l,)."""
        return np.repeat(np.arange(self.n_units), np.diff(self.arrays.unit_leg))

    def unit_of_collateral(self) -> IntArray:
        """Unit of each collateral row, shape (c,)."""
        return np.repeat(np.arange(self.n_units), np.diff(self.arrays.unit_coll))

    def holds_positions(self) -> BoolArray:
        """Whether each account holds anything that a requirement stands on, shape (n,)."""
        a = self.arrays
        if self.blocks is None and not (a.unit_floor.any() or a.unit_offset.any()):
            leg = a.unit_leg[a.account_unit]
            return np.asarray(leg[1:] > leg[:-1])
        live = (np.diff(a.unit_leg) > 0) | (a.unit_floor != 0.0) | (a.unit_offset != 0.0)
        if self.blocks is not None:
            live[self.blocks.block_unit] = True
        out = np.zeros(len(self), np.bool_)
        out[self.unit_account()[live]] = True
        return out

    def n_positions(self) -> IntArray:
        """Number of legs and options of each account, shape (n,)."""
        leg = self.arrays.unit_leg[self.arrays.account_unit]
        count = np.diff(leg).astype(np.int64)
        if self.blocks is not None:
            np.add.at(count, self.unit_account()[self.blocks.block_unit], np.diff(self.blocks.block_option))
        return count

    def earlier(self, nanoseconds: int) -> Book:
        """The same accounts as of some time before: options have as much longer to run.

        Parameters
        ----------
        nanoseconds : int
            How much earlier, >= 0.

        Returns
        -------
        Book
            Without sheets.
        """
        blocks = self.blocks
        if blocks is not None:
            blocks = moved_in_time(blocks, np.full(len(blocks.block_unit), -nanoseconds / HOUR_NS))
        arrays = self.arrays._replace(**no_sheets(self.n_units))
        return replace(self, as_of=self.as_of - nanoseconds, arrays=arrays, blocks=blocks)

    @classmethod
    def from_columns(
        cls, accounts: Columns, positions: Columns, collateral: Columns, assets: Sequence[str]
    ) -> tuple[Book, list[Failure]]:
        """Build a book from the columns of the parquet twins.

        Parameters
        ----------
        accounts : mapping
            ``account_id``, ``as_of`` (int64 ns), ``ruleset``, ``currency``; equal lengths.
        positions : mapping
            ``account_id``, ``as_of`` (or ``row``: index of the account), ``symbol``, ``quantity``, ``entry_price``,
            and optionally ``margin_mode``, ``isolated_margin``, ``leverage``.
        collateral : mapping
            ``account_id``, ``as_of`` (or ``row``), ``asset``, ``quantity``.
        assets : sequence of str
            Assets of the market panel.

        Returns
        -------
        tuple of (Book, list of Failure)
            The good accounts in their order, and a failure for each bad one (its ``row`` is its position).
        """
        from models._book_builder import build

        return build(accounts, positions, collateral, tuple(assets))

    @classmethod
    def from_accounts(cls, accounts: Sequence[Account], assets: Sequence[str]) -> tuple[Book, list[Failure]]:
        """Build a book from account values.

        Parameters
        ----------
        accounts : sequence of Account
            The accounts.
        assets : sequence of str
            Assets of the market panel.

        Returns
        -------
        tuple of (Book, list of Failure)
            The good accounts in their order, and a failure for each bad one.

        Examples
        --------
        >>> from datetime import datetime, timezone
        >>> from models.account import Account, Collateral, Position
        >>> account = Account(account_id="a", as_of=datetime(2025, 3, 1, tzinfo=timezone.utc),
        ...     ruleset="generic-linear", currency="USDT", collateral=(Collateral(asset="USDT", quantity=1e4),),
        ...     positions=(Position(symbol="BTC/USDT:USDT", quantity=1.0, entry_price=84_000.0),))
        >>> book, failures = Book.from_accounts([account], ["BTC"])
        >>> len(book), len(failures)
        (1, 0)
        """
        return cls.from_columns(*account_columns(accounts), assets)

    def take(self, rows: IntArray | Sequence[int]) -> Book:
        """Choose accounts by position.

        Parameters
        ----------
        rows : sequence of int
            Positions; may repeat and reorder.

        Returns
        -------
        Book
            A book of these accounts; tier and schedule tables are shared.
        """
        rows = np.asarray(rows, np.int64)
        a = self.arrays
        units, account_unit = gather(a.account_unit, rows)
        legs, unit_leg = gather(a.unit_leg, units)
        colls, unit_coll = gather(a.unit_coll, units)
        sheets, unit_sheet = gather(a.unit_sheet, units)
        arrays = a._replace(
            account_unit=account_unit,
            account_call_factor=a.account_call_factor[rows],
            account_release_factor=a.account_release_factor[rows],
            account_initial_factor=a.account_initial_factor[rows],
            account_numeraire=a.account_numeraire[rows],
            unit_leg=unit_leg,
            unit_coll=unit_coll,
            unit_sheet=unit_sheet,
            **{n: getattr(a, n)[units] for n in _UNIT},
            **{n: getattr(a, n)[legs] for n in _LEG},
            **{n: getattr(a, n)[colls] for n in _COLL},
            **{n: getattr(a, n)[sheets] for n in _SHEET},
        )
        return Book(
            self.account_id[rows],
            self.as_of[rows],
            self.ruleset[rows],
            self.assets,
            arrays,
            self.leg_symbol[legs],
            self.coll_name[colls],
            self.stale_after_minutes[rows],
            None if self.blocks is None else take_blocks(self.blocks, units),
        )


def require_sheets(book: Book) -> None:
    """Refuse a book with options or scenario margin that has not been valued at a market.

    Parameters
    ----------
    book : Book
        Any book.

    Raises
    ------
    InputError
        If it has blocks and no sheets.
    """
    if book.blocks is not None and len(book.blocks.block_unit) and not len(book.arrays.sheet_asset):
        raise InputError("book", "options without sheets", "a book that models.margin.valuation.valued gave its sheets")


NEVER = np.iinfo(np.int64).max
"""Settlement of a leg that has none."""


def linear_defaults(n: int, units: int, leg_quantity: FloatArray) -> dict[str, Any]:
    """Columns of `BookArrays` for accounts that are linear perpetuals in dollars, and nothing else.

    Parameters
    ----------
    n : int
        Number of accounts.
    units : int
        Number of margin units.
    leg_quantity : ndarray, shape (l,)
        Base units of each leg, signed.

    Returns
    -------
    dict
        Every column that is not cash, legs, collateral, tiers or ratios.
    """
    return {
        **_plain_columns(n, units),
        "leg_size": np.abs(leg_quantity),
        "leg_initial": np.zeros(len(leg_quantity)),
        "leg_funding": leg_quantity,
        "leg_expiry": np.full(len(leg_quantity), NEVER, np.int64),
    }


@lru_cache(maxsize=64)
def _plain_columns(n: int, units: int) -> dict[str, Any]:
    """Columns of accounts in dollars that owe nothing; shared between books, which are never written to."""
    return {
        "account_initial_factor": np.zeros(n),
        "account_numeraire": np.full(n, -1, np.int32),
        **{name: np.zeros(units) for name in _UNIT[1:]},
        **no_sheets(units),
    }


def no_sheets(units: int) -> dict[str, Any]:
    """The sheet columns of a book that has none.

    Parameters
    ----------
    units : int
        Number of margin units.

    Returns
    -------
    dict
        Columns of `BookArrays`.
    """
    return {
        "unit_sheet": np.zeros(units + 1, np.int32),
        "sheet_asset": np.zeros(0, np.int32),
        "sheet_gross": np.zeros(0),
        "sheet_now": np.zeros(0),
        "sheet_hours": np.zeros((0, SLICES)),
        "sheet_equity": np.zeros((0, SLICES, NODES)),
        "sheet_maintenance": np.zeros((0, SLICES, NODES)),
        "sheet_initial": np.zeros((0, NODES)),
    }


_UNIT = ("unit_cash", "unit_floor", "unit_offset", "unit_initial", "unit_release")
_LEG = (
    "leg_asset",
    "leg_quantity",
    "leg_entry",
    "leg_size",
    "leg_funding",
    "leg_expiry",
    "leg_tier",
    "leg_initial_rate",
    "leg_initial",
)
_COLL = ("coll_asset", "coll_quantity", "coll_schedule")
_SHEET = (
    "sheet_asset",
    "sheet_gross",
    "sheet_now",
    "sheet_hours",
    "sheet_equity",
    "sheet_maintenance",
    "sheet_initial",
)
