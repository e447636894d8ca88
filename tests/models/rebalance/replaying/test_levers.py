"""Levers: books with so much of them are the books of accounts that got it."""

from __future__ import annotations

import numpy as np
import pytest

from models.book import Book
from models.margin.levels import margin_levels
from models.margin.valuation import valued
from models.rebalance.effects import apply_move
from models.rebalance.replaying.levers import lever_moves, levers_of
from tests.models.builders import account, position
from tests.models.rebalance.regimes import ACCOUNTS, ASSETS, LEVELS, MARKET, PRICES

ALL = (
    *ACCOUNTS,
    account(
        [position(margin_mode="isolated", isolated_margin=9_000.0, entry_price=84_000.0)],
        cash=50.0,
        account_id="isolated",
    ),
)


@pytest.fixture(scope="module")
def levers():
    prices = np.tile(PRICES, (len(ALL), 1))
    moves = lever_moves(ALL, ASSETS, prices, np.tile(LEVELS, (len(ALL), 1)))
    found, failures = levers_of(ALL, ASSETS, moves)
    assert failures == []
    return found


def gaps(book: Book):
    return margin_levels(valued(book, np.tile(PRICES, (len(book), 1)), _tiled(len(book)), np.arange(len(book))), PRICES)


def _tiled(n):
    from dataclasses import replace

    rate = None if MARKET.margin_rate is None else np.tile(MARKET.margin_rate, (n, 1))
    return replace(MARKET, level=np.tile(MARKET.level, (n, 1)), margin_rate=rate)


def test_without_help_it_is_the_book_of_the_accounts(levers):
    plain, _ = Book.from_accounts(ALL, ASSETS)
    np.testing.assert_allclose(gaps(levers.book).gap_call, gaps(plain).gap_call, rtol=1e-9, atol=1e-6)


def test_helped_books_are_those_of_accounts_that_were_helped(levers):
    amount = np.array([0.01 * move.limit for move in levers.moves])
    helped = [apply_move(a, m, float(x)) for a, m, x in zip(ALL, levers.moves, amount, strict=True)]
    expected, _ = Book.from_accounts(helped, ASSETS)
    found = gaps(levers.at(amount, np.arange(len(ALL))))
    for name in ("equity", "maintenance", "gap_call"):
        np.testing.assert_allclose(getattr(found, name), getattr(gaps(expected), name), rtol=1e-9, atol=1e-6)
    assert (found.gap_call - gaps(levers.book).gap_call >= 0).all()


def test_rows_may_repeat_and_parts_stand_alone(levers):
    rows = np.array([len(ALL) - 1, 3, 3, 0])
    amount = np.array([10.0, 0.0, 20.0, 5.0])
    whole = np.zeros(len(ALL))
    for k, row in enumerate(rows.tolist()):
        whole[:] = 0.0
        whole[row] = amount[k]
        alone = gaps(levers.at(whole, np.arange(len(ALL)))).gap_call[row]
        assert gaps(levers.at(amount, rows)).gap_call[k] == pytest.approx(float(alone), rel=1e-12)
    part = levers.part(rows[:2])
    np.testing.assert_allclose(
        gaps(part.at(amount[:2], np.arange(2))).gap_call, gaps(levers.at(amount[:2], rows[:2])).gap_call
    )
    assert part.unit[0] == part.book.arrays.account_unit[0] + 1  # the isolated position behind the wallet
