"""The accounts of a shard in columns: what is kept between rounds is what a fresh book would be."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from models.account import Account, Collateral, Position
from models.typing import DAY_NS
from serving.accounts import entry_of
from serving.accounts.changes import change, delete
from serving.live.books import ShardBook, book_of
from serving.security.tenants import create_tenant
from serving.store import Store

ASSETS = ("BTC", "ETH")
START = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 10**9


def account(name: str, symbol: str = "BTC/USDT:USDT", ruleset: str = "binance-usdm", as_of: int = START) -> Account:
    return Account(
        account_id=name,
        as_of=datetime.fromtimestamp(as_of / 1e9, UTC),
        ruleset=ruleset,
        currency="USDT",
        collateral=(Collateral(asset="USDT", quantity=1e5),),
        positions=(Position(symbol=symbol, quantity=1.0, entry_price=40_000.0),),
    )


def put(store: Store, *accounts: Account) -> None:
    with store.begin() as connection:
        change(store, connection, "a", [entry_of(one) for one in accounts], START, "")


@pytest.fixture
def book(store: Store) -> ShardBook:
    with store.begin() as connection:
        create_tenant(connection, "a", "a", 1, START)
    return ShardBook("a", 0, ASSETS)


def refreshed(store: Store, book: ShardBook) -> int:
    return store.query(book.refresh)


def test_only_what_changed_is_read_again(store: Store, book: ShardBook) -> None:
    put(store, account("one"), account("two"))
    first = refreshed(store, book)
    held = book.at(START)
    assert held.book.account_id.tolist() == ["one", "two"]
    assert refreshed(store, book) == first
    assert book.at(START).book.arrays is held.book.arrays  # nothing changed: the columns are kept
    put(store, account("one", "ETH/USDT:USDT", as_of=START + 1000), account("three"))
    with store.begin() as connection:
        delete(store, connection, "a", "two", START, "")
    assert refreshed(store, book) > first
    held = book.at(START)
    assert dict(zip(held.book.account_id.tolist(), held.version.tolist(), strict=True)) == {"one": 2, "three": 1}
    kept = dict(zip(held.book.account_id.tolist(), [bytes(row) for row in held.digest], strict=True))
    assert kept["three"] == entry_of(account("three")).digest


@pytest.mark.parametrize("days", [0, 1, 200, 800])
def test_later_rules_and_times_are_those_of_a_fresh_book(store: Store, book: ShardBook, days: int) -> None:
    """A dated ruleset changes its tiers between the two instants; a kept book must not keep the old ones."""
    accounts = [account("one"), account("two", "ETH/USDT:USDT")]
    put(store, *accounts)
    refreshed(store, book)
    book.at(START)
    close = START + days * DAY_NS
    ours, (fresh, _) = book.at(close).book, book_of(accounts, ASSETS, close)
    assert ours.as_of.tolist() == fresh.as_of.tolist() == [close, close]
    for name in fresh.arrays._fields:
        np.testing.assert_array_equal(getattr(ours.arrays, name), getattr(fresh.arrays, name), err_msg=name)


def test_a_contract_that_expires_leaves_the_round_and_is_counted(store: Store, book: ShardBook) -> None:
    put(store, account("dated", "BTC/USDT:USDT-240329", "generic-linear"), account("forever"))
    refreshed(store, book)
    assert len(book.at(START).book) == 2
    held = book.at(START + 120 * DAY_NS)
    assert held.book.account_id.tolist() == ["forever"]
    assert [failure.account_id for failure in held.failures] == ["dated"]
    assert held.version.tolist() == [1]


def test_an_account_told_after_the_close_keeps_its_own_instant(store: Store, book: ShardBook) -> None:
    put(store, account("later", as_of=START + DAY_NS))
    refreshed(store, book)
    assert book.at(START).book.as_of.tolist() == [START + DAY_NS]
    assert book.at(START + 2 * DAY_NS).book.as_of.tolist() == [START + 2 * DAY_NS]
