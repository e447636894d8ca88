"""A book keeps every good account, names every bad one, and is the same however it is built."""

import math

import numpy as np
import pytest

from models.book import Book, account_columns
from models.book_small import BookMaker
from models.margin.levels import margin_levels
from models.margin.rulesets import load_ruleset
from tests.models.builders import AS_OF, account, book, position

PRICES = np.array([50_000.0, 3_000.0, 150.0])


def test_units_cross_first_then_isolated() -> None:
    held = book(
        account(
            [position(), position("ETH/USDT:USDT", -2.0, 3100.0, margin_mode="isolated", isolated_margin=500.0)], 1000.0
        ),
        account([position("SOL/USDT:USDT", 10.0, 100.0)], 50.0, [("BTC", 0.1), ("USDC", 7.0)]),
    )
    a = held.arrays
    assert a.account_unit.tolist() == [0, 2, 3]
    assert a.unit_cash.tolist() == [1000.0, 500.0, 50.0]
    assert a.leg_asset.tolist() == [0, 1, 2]
    assert a.unit_leg.tolist() == [0, 1, 2, 3]
    assert a.coll_asset.tolist() == [0, -1]
    assert a.unit_coll.tolist() == [0, 0, 0, 2]
    assert held.leg_symbol.tolist() == ["BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT"]


def test_bad_rows_become_failures_and_good_rows_stay() -> None:
    accounts = [
        account([position()], account_id="good"),
        account([position("DOGE/USDT:USDT")], account_id="no-market"),
        account([position(quantity=math.nan)], account_id="nan"),
        account([], collateral=[("BTC", -1.0)], account_id="negative"),
        account([], ruleset="nowhere", account_id="ruleset"),
        account([], collateral=[("FOO", 1.0)], account_id="asset"),
        account([], currency="BTC", account_id="currency"),
        account([], account_id="empty"),
    ]
    held, failures = Book.from_accounts(accounts, ["BTC"])
    assert held.account_id.tolist() == ["good", "empty"]
    assert {f.account_id: f.code for f in failures} == {
        "no-market": "unknown_symbol",
        "nan": "invalid_input",
        "negative": "invalid_input",
        "ruleset": "unknown_ruleset",
        "asset": "unknown_asset",
        "currency": "invalid_input",
    }
    assert [f.row for f in failures] == [1, 2, 3, 4, 5, 6]
    assert all(f.message and f.field for f in failures)


def test_joined_by_key_equals_joined_by_row() -> None:
    accounts = [account([position(quantity=float(i + 1))], account_id=f"a{i}") for i in range(3)]
    head, positions, collateral = account_columns(accounts)
    by_key = {k: v for k, v in positions.items() if k != "row"} | {
        "account_id": head["account_id"][positions["row"]],
        "as_of": head["as_of"][positions["row"]],
    }
    one, _ = Book.from_columns(head, positions, collateral, ["BTC"])
    two, _ = Book.from_columns(head, by_key, collateral, ["BTC"])
    assert np.array_equal(one.arrays.leg_quantity, two.arrays.leg_quantity)


def test_a_position_of_no_account_is_reported() -> None:
    head, positions, collateral = account_columns([account([position()])])
    positions = {k: v for k, v in positions.items() if k != "row"} | {"account_id": ["ghost"], "as_of": head["as_of"]}
    held, failures = Book.from_columns(head, positions, collateral, ["BTC"])
    assert len(held) == 1
    assert [f.account_id for f in failures] == ["ghost"]


def test_take_repeats_and_reorders() -> None:
    held = book(*(account([position(quantity=q)], collateral=[("ETH", q)], account_id=f"{q}") for q in (0.1, 0.2, 0.3)))
    picked = held.take([2, 0, 2])
    whole = margin_levels(held, PRICES)
    part = margin_levels(picked, PRICES)
    assert picked.account_id.tolist() == ["0.3", "0.1", "0.3"]
    assert np.array_equal(part.equity, whole.equity[[2, 0, 2]])
    assert np.array_equal(part.maintenance, whole.maintenance[[2, 0, 2]])
    assert len(held.take([])) == 0


def test_stated_leverage_sets_the_initial_rate_within_the_venue_limit() -> None:
    held = book(account([position(leverage=4.0), position("ETH/USDT:USDT", leverage=100_000.0)]))
    assert held.arrays.leg_initial_rate[0] == pytest.approx(0.25)
    assert held.arrays.leg_initial_rate[1] > 1e-4


def test_instant_is_exact_to_the_microsecond() -> None:
    held = book(account(as_of=account().as_of.replace(microsecond=123_457)))
    assert held.as_of[0] % 1_000_000_000 == 123_457_000


def test_a_venue_that_sets_tiers_by_size_gets_the_size() -> None:
    """OKX applies the rate of the tier that holds the position to all of it."""
    rules = load_ruleset("okx-linear", AS_OF)
    sizes = (0.5, 40.0, 4_000.0)
    held = book(*(account([position(quantity=-q)], ruleset="okx-linear", account_id=str(q)) for q in sizes))
    found = margin_levels(held, PRICES).maintenance
    rates = found / (np.array(sizes) * PRICES[0])
    assert (np.diff(rates) > 0).all()
    assert found == pytest.approx([float(rules.tier("BTC/USDT:USDT", q)(q * PRICES[0])) for q in sizes])
    small = [BookMaker(("BTC",))([account([position(quantity=-q)], ruleset="okx-linear")]) for q in sizes]
    assert [margin_levels(b, PRICES[:1]).maintenance[0] for b in small] == pytest.approx(found)
