"""Changes of rules: every published version once, and the accounts that a real tightening would call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from models.account import Account, Collateral, Position
from models.book import Book
from models.errors import InputError, UnknownRulesetError
from models.margin.changes import compare_books, compare_levels, rule_changes
from models.margin.levels import margin_levels
from models.margin.rulesets import load_ruleset

DOGE = "DOGE/USDT:USDT"
TIGHTENED = datetime(2025, 6, 26, 3, 22, 7, tzinfo=UTC)
"""Binance raised the maintenance of DOGE: +40 at a notional of 100,000 and +1,690 at 1,000,000."""
BEFORE, AFTER = datetime(2025, 6, 20, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC)


def account(name: str, cash: float, quantity: float = 5e6, symbol: str = DOGE, **changes: object) -> Account:
    """Build an account of 1,000,000 dollars of DOGE at 0.20, with some fields changed."""
    whole = {
        "account_id": name,
        "as_of": datetime(2025, 6, 1, tzinfo=UTC),
        "ruleset": "binance-usdm",
        "currency": "USDT",
        "collateral": (Collateral(asset="USDT", quantity=cash),),
        "positions": (Position(symbol=symbol, quantity=quantity, entry_price=0.2),),
    }
    return Account(**{**whole, **changes})  # type: ignore[arg-type]


def need(instant: datetime, notional: float = 1e6) -> float:
    """Give the maintenance under the rules of a date."""
    return float(load_ruleset("binance-usdm", instant).tier(DOGE)(notional))


def test_a_real_tightening_is_listed_with_both_tables_and_its_source() -> None:
    found = [c for c in rule_changes("binance-usdm", BEFORE, AFTER) if c.name == DOGE]
    assert len(found) == 1
    change = found[0]
    assert (change.kind, change.effective_from.date()) == ("tier", TIGHTENED.date())
    assert change.before == load_ruleset("binance-usdm", change.effective_from - timedelta(seconds=1)).tier(DOGE)
    assert change.after == load_ruleset("binance-usdm", change.effective_from).tier(DOGE)
    assert change.change(np.array([1e5, 1e6])).tolist() == pytest.approx([40.0, 1_690.0])
    assert len(change.source) > 10


def test_the_interval_is_open_at_its_start_and_closed_at_its_end() -> None:
    (change,) = [c for c in rule_changes("binance-usdm", BEFORE, AFTER) if c.name == DOGE]
    at = change.effective_from
    assert any(c.name == DOGE for c in rule_changes("binance-usdm", BEFORE, at))
    assert not any(c.name == DOGE for c in rule_changes("binance-usdm", at, AFTER))
    assert rule_changes("binance-usdm", at, at) == []


def test_changes_come_by_date_and_none_repeats_the_table_before_it() -> None:
    found = rule_changes("binance-usdm", datetime(2022, 2, 1, tzinfo=UTC), datetime(2026, 9, 30, tzinfo=UTC))
    dates = [c.effective_from for c in found]
    assert dates == sorted(dates)
    assert {c.kind for c in found} == {"tier", "haircut"}
    assert all(c.before != c.after for c in found)
    names = {c.name for c in found if c.kind == "haircut" and c.before is not None}
    assert names, "the ruleset has dated haircuts"
    first = next(c for c in found if c.name == "BTC/USDT:USDT")
    assert first.before is None
    assert first.change(1e5).tolist() == first.after(1e5).tolist()


def test_every_ruleset_can_be_asked_and_wrong_arguments_are_refused() -> None:
    for name in ("binance-usdm", "bybit-linear", "okx-linear", "hyperliquid", "generic-linear"):
        for change in rule_changes(name, datetime(2019, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)):
            assert change.kind in ("tier", "haircut")
    with pytest.raises(UnknownRulesetError):
        rule_changes("nowhere", BEFORE, AFTER)
    with pytest.raises(InputError, match="until"):
        rule_changes("binance-usdm", AFTER, BEFORE)
    with pytest.raises(InputError, match="zone"):
        rule_changes("binance-usdm", datetime(2025, 1, 1), AFTER)


def test_the_tightening_calls_the_account_that_stood_just_above_its_call() -> None:
    called, liquidated = need(BEFORE) / 0.8, need(BEFORE)
    assert need(AFTER) == pytest.approx(need(BEFORE) + 1_690)
    accounts = [
        account("just above call", called + 100.0),
        account("just above liquidation", liquidated + 100.0),
        account("called anyway", called - 100.0),
        account("rich", 2 * called),
    ]
    found, failures = compare_levels(accounts, {"DOGE": 0.2}, BEFORE, AFTER)
    assert failures == []
    assert found.called.tolist() == [True, False, False, False]
    assert found.liquidated.tolist() == [False, True, False, False]
    assert found.requirement == pytest.approx([1_690.0] * 4)
    assert found.equity == pytest.approx([0.0] * 4)
    back, _ = compare_levels(accounts, {"DOGE": 0.2}, AFTER, BEFORE)
    assert not back.called.any()
    assert back.requirement == pytest.approx([-1_690.0] * 4)


def test_a_straight_fall_to_liquidation_counts_as_called_too() -> None:
    poor = account("wide", need(AFTER, 1e8) / 0.8 + 1.0, quantity=5e8)
    found, _ = compare_levels([poor], {"DOGE": 0.2}, AFTER, datetime(2022, 3, 1, tzinfo=UTC))
    assert found.after.state_names() == ["liquidation"]
    assert (found.called.tolist(), found.liquidated.tolist()) == ([True], [True])


def test_a_haircut_change_moves_equity_and_not_the_requirement() -> None:
    changes = rule_changes("binance-usdm", datetime(2022, 2, 1, tzinfo=UTC), datetime(2026, 9, 30, tzinfo=UTC))
    change = next(
        c for c in changes if c.kind == "haircut" and c.before is not None and abs(float(c.change(1e4))) > 1.0
    )
    held = (Collateral(asset="USDT", quantity=1e5), Collateral(asset=change.name, quantity=1e4))
    at = change.effective_from
    found, failures = compare_levels(
        [account("a", 0.0, collateral=held)], {"DOGE": 0.2, change.name: 1.0}, at - timedelta(seconds=1), at
    )
    assert failures == []
    assert float(found.equity[0]) == pytest.approx(float(change.change(1e4)))


def test_accounts_that_either_date_refuses_are_failures_at_their_row() -> None:
    accounts = [
        account("bad symbol", 1.0, symbol="NOPE/USDT:USDT"),
        account("good", 1e6),
        account("option", 1.0, symbol="BTC/USD:BTC-261225-100000-C"),
        account("no price", 1e6, symbol="BTC/USDT:USDT"),
        account("also good", 1e6),
    ]
    found, failures = compare_levels(accounts, {"DOGE": 0.2}, BEFORE, AFTER)
    assert found.account_id.tolist() == ["good", "also good"]
    assert found.row.tolist() == [1, 4]
    assert [f.row for f in failures] == [0, 2, 3]
    assert "no option" in failures[1].message
    assert len(found) == 2


def test_only_the_rules_differ_whatever_date_an_account_has() -> None:
    one, _ = compare_levels([account("a", 1e5)], {"DOGE": 0.2}, BEFORE, AFTER)
    two, _ = compare_levels([account("a", 1e5, as_of=datetime(2023, 1, 1, tzinfo=UTC))], {"DOGE": 0.2}, BEFORE, AFTER)
    assert one.after.maintenance.tolist() == two.after.maintenance.tolist()
    book, _ = Book.from_accounts([account("a", 1e5, as_of=AFTER)], ("DOGE",))
    assert one.after.call.tolist() == margin_levels(book, np.array([0.2])).call.tolist()


def test_no_accounts_give_no_rows() -> None:
    found, failures = compare_levels([], {"DOGE": 0.2}, BEFORE, AFTER)
    assert (len(found), failures) == (0, [])
    assert found.called.shape == (0,)


def test_books_of_other_accounts_and_times_without_a_zone_are_refused() -> None:
    one, _ = Book.from_accounts([account("a", 1.0)], ("DOGE",))
    two, _ = Book.from_accounts([account("b", 1.0)], ("DOGE",))
    with pytest.raises(InputError, match="after"):
        compare_books(one, two, np.array([0.2]))
    with pytest.raises(InputError, match="before"):
        compare_levels([], {}, datetime(2025, 1, 1), AFTER)
    with pytest.raises(InputError, match="after"):
        compare_levels([], {}, AFTER, datetime(2025, 1, 1))
