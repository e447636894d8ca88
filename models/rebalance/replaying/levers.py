"""One lever for each account: the asset with which it is helped, and its book with so much more of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.account import Account
from models.book import Book
from models.errors import Failure
from models.margin.rulesets import load_ruleset
from models.rebalance.effects import apply_move
from models.rebalance.joint.probe import money_move
from models.rebalance.moves import Move
from models.rebalance.quotes import Quotes
from models.rebalance.weights import Weights
from models.typing import FloatArray, IntArray

__all__ = ["Levers", "lever_moves", "levers_of"]

_UNIT = ("unit_cash", "unit_floor", "unit_offset", "unit_initial", "unit_release")
_COLL = ("coll_quantity",)
_BLOCK = ("block_spot",)


@dataclass(frozen=True, slots=True, eq=False)
class Levers:
    """Accounts in columns, and what one unit of its lever changes in the columns of each.

    Parameters
    ----------
    book : Book
        n accounts without any help.
    assets : tuple of str, length n
        The asset of each lever.
    moves : tuple of Move, length n
        The action that brings it in.
    unit : ndarray of int, shape (n,)
        Margin unit that the lever belongs to.
    slopes : dict of str to ndarray
        Change of a column with one unit of the lever, by the name of the column; columns that do not change are left
        out.
    """

    book: Book
    assets: tuple[str, ...]
    moves: tuple[Move, ...]
    unit: IntArray
    slopes: dict[str, FloatArray]

    def at(self, amount: FloatArray, rows: IntArray, base: Book | None = None) -> Book:
        """Give some accounts with help.

        Parameters
        ----------
        amount : ndarray, shape (m,)
            Units of the lever of each.
        rows : ndarray of int, shape (m,)
            The accounts; rows may repeat.
        base : Book, optional
            These m accounts at another instant, with the same units and collateral; as they are in `book` where None.

        Returns
        -------
        Book
            m accounts, with the sheets of `base`.
        """
        book = self.book.take(rows) if base is None else base
        units, owner = book.unit_account(), _owners(book)
        mine = _gathered(self.book, rows)
        changed = {}
        for name, slope in self.slopes.items():
            old = getattr(book.blocks if name in _BLOCK else book.arrays, name)
            changed[name] = old + amount[units if name in _UNIT else owner[name]] * slope[mine[name]]
        arrays = book.arrays._replace(**{k: v for k, v in changed.items() if k not in _BLOCK})
        blocks = book.blocks
        if blocks is not None:
            blocks = blocks._replace(**{k: v for k, v in changed.items() if k in _BLOCK})
        return replace(book, arrays=arrays, blocks=blocks)

    def part(self, rows: IntArray) -> Levers:
        """Some of the accounts.

        Parameters
        ----------
        rows : ndarray of int, shape (m,)
            Which.

        Returns
        -------
        Levers
            Of these.
        """
        book, mine = self.book.take(rows), _gathered(self.book, rows)
        unit = book.arrays.account_unit[:-1] + self.unit[rows] - self.book.arrays.account_unit[rows]
        moves = tuple(self.moves[i] for i in rows.tolist())
        slopes = {name: slope[mine[name]] for name, slope in self.slopes.items() if name in mine}
        return Levers(book, tuple(m.asset for m in moves), moves, unit.astype(np.int64), slopes)


def _owners(book: Book) -> dict[str, IntArray]:
    """Account of each element of the columns that a lever may change."""
    units = book.unit_account()
    out = dict.fromkeys(_COLL, units[book.unit_of_collateral()])
    if book.blocks is not None:
        out |= dict.fromkeys(_BLOCK, units[book.blocks.block_unit])
    return out


def _gathered(book: Book, rows: IntArray) -> dict[str, IntArray]:
    """Where the elements of the taken accounts stand in the columns of the whole book."""
    numbered = replace(
        book,
        arrays=book.arrays._replace(
            unit_cash=np.arange(book.n_units, dtype=np.float64),
            coll_quantity=np.arange(len(book.arrays.coll_quantity), dtype=np.float64),
        ),
        blocks=None
        if book.blocks is None
        else book.blocks._replace(block_spot=np.arange(len(book.blocks.block_spot), dtype=np.float64)),
    ).take(rows)
    units = numbered.arrays.unit_cash.astype(np.int64)
    out = dict.fromkeys(_UNIT, units) | dict.fromkeys(_COLL, numbered.arrays.coll_quantity.astype(np.int64))
    if numbered.blocks is not None:
        out |= dict.fromkeys(_BLOCK, numbered.blocks.block_spot.astype(np.int64))
    return out


def lever_moves(
    accounts: Sequence[Account], assets: Sequence[str], prices: FloatArray, implied: FloatArray
) -> list[Move]:
    """Find the lever of each account: money, a debt in it, or the margin of its isolated position.

    Parameters
    ----------
    accounts : sequence of Account, length n
        The accounts.
    assets : sequence of str, length A
        Assets of the market.
    prices, implied : ndarray, shape (n, A)
        Mark prices and implied volatilities at their instants; NaN where none is known.

    Returns
    -------
    list of Move
        As `models.rebalance.joint.worth.money_move`.
    """
    out = []
    for i, account in enumerate(accounts):
        rules = load_ruleset(account.ruleset, account.as_of)
        known = [
            {a: float(x) for a, x in zip(assets, row[i], strict=True) if np.isfinite(x)} for row in (prices, implied)
        ]
        out.append(money_move(Weights(account, rules, Quotes(account.currency, *known)), 0.0))
    return out


def levers_of(
    accounts: Sequence[Account], assets: Sequence[str], moves: Sequence[Move]
) -> tuple[Levers, list[Failure]]:
    """Put accounts and levers in columns.

    Parameters
    ----------
    accounts : sequence of Account, length n
        The accounts.
    assets : sequence of str
        Assets of the market.
    moves : sequence of Move, length n
        Of `lever_moves`.

    Returns
    -------
    tuple of (Levers, list of Failure)
        The good accounts in their order, and a failure for each of the others.

    Notes
    -----
    A book with a little of every lever is compared with one with more: columns are linear in the amount, so two points
    give the slope.
    """
    little = [1e-6 * max(move.limit, 1e-9) for move in moves]
    seeded = [apply_move(a, m, x) for a, m, x in zip(accounts, moves, little, strict=True)]
    first, failures = Book.from_accounts(seeded, assets)
    bad = {f.row for f in failures}
    good = [i for i in range(len(accounts)) if i not in bad]
    step = np.array([1e3 * little[i] for i in good])
    more = [apply_move(seeded[i], moves[i], float(x)) for i, x in zip(good, step, strict=True)]
    second, again = Book.from_accounts(more, assets)
    assert not again
    slopes = _slopes(first, second, step)
    moves = tuple(moves[i] for i in good)
    unit = _lever_units(first, second)
    bare = Levers(first, tuple(m.asset for m in moves), moves, unit, slopes)
    rows = np.arange(len(good))
    return replace(bare, book=bare.at(-np.array([little[i] for i in good]), rows)), failures


def _slopes(first: Book, second: Book, step: FloatArray) -> dict[str, FloatArray]:
    owner = _owners(first)
    out = {}
    for name in (*_UNIT, *_COLL, *_BLOCK):
        inside = name in _BLOCK
        if inside and first.blocks is None:
            continue
        a, b = (getattr(x.blocks if inside else x.arrays, name) for x in (first, second))
        change = (b - a) / step[first.unit_account() if name in _UNIT else owner[name]]
        if change.any():
            out[name] = change
    return out


def _lever_units(first: Book, second: Book) -> IntArray:
    """The unit of each account in which something changes; its first where nothing does."""
    moved = np.zeros(first.n_units, np.bool_)
    for name in _UNIT:
        moved |= getattr(first.arrays, name) != getattr(second.arrays, name)
    moved[first.unit_of_collateral()[first.arrays.coll_quantity != second.arrays.coll_quantity]] = True
    out = first.arrays.account_unit[:-1].astype(np.int64)
    for u in np.flatnonzero(moved)[::-1].tolist():
        out[first.unit_account()[u]] = u
    return out
