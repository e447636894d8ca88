"""Small books carry the same numbers as books from columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.book import Book
from models.book_small import BookMaker
from models.errors import InputError, UnknownAssetError, UnknownRulesetError, UnknownSymbolError
from models.margin.levels import margin_levels
from tests.models.builders import account, position

ASSETS = ("BTC", "ETH", "SOL")
PRICES = np.array([50_000.0, 3_000.0, 150.0])
ACCOUNTS = [
    account([position()]),
    account(
        [position("ETH/USDT:USDT", -5.0, 3_100.0, leverage=20.0), position()], collateral=[("BTC", 0.2), ("ETH", 1.0)]
    ),
    account(),
    account([position(margin_mode="isolated", isolated_margin=900.0), position("SOL/USDT:USDT", 10.0, 140.0)]),
    account([position(leverage=500.0)], ruleset="binance-usdm", collateral=[("USDC", 50.0)]),
    account([position("BTC/USDT:USDT", -1.0, 50_000.0)], ruleset="bybit-linear", cash=-5.0),
]


@pytest.mark.parametrize("rows", [[0], [1], [3], [4], list(range(6))])
def test_same_levels_as_from_columns(rows: list[int]) -> None:
    accounts = [ACCOUNTS[i] for i in rows]
    maker = BookMaker(ASSETS)
    maker(ACCOUNTS[::-1])
    mine, (theirs, failures) = maker(accounts), Book.from_accounts(accounts, ASSETS)
    assert failures == []
    for name in ("equity", "maintenance", "call", "initial", "release", "call_amount", "gap_call", "state"):
        a, b = getattr(margin_levels(mine, PRICES), name), getattr(margin_levels(theirs, PRICES), name)
        np.testing.assert_array_equal(a, b)


def test_same_columns_and_types_as_from_columns() -> None:
    mine, (theirs, _) = BookMaker(ASSETS)(ACCOUNTS), Book.from_accounts(ACCOUNTS, ASSETS)
    for name in mine.arrays._fields:
        a, b = getattr(mine.arrays, name), getattr(theirs.arrays, name)
        assert a.dtype == b.dtype
        if name not in ("leg_tier", "coll_schedule") and not name.startswith(("tier_", "sched_")):
            np.testing.assert_array_equal(a, b)
    for name in ("account_id", "as_of", "ruleset", "leg_symbol", "coll_name", "stale_after_minutes"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))


@pytest.mark.parametrize(("bad", "error"), [
    (account([position("XYZ/USDT:USDT")]), UnknownSymbolError),
    (account(ruleset="nowhere"), UnknownRulesetError),
    (account(collateral=[("XYZ", 1.0)]), UnknownAssetError),
    (account(collateral=[("BTC", -1.0)]), InputError),
])  # fmt: skip
def test_the_first_reason_is_raised(bad: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        BookMaker(ASSETS)([bad])
