"""``margincast margin --as-of --compare``: the rules of other dates at the prices of one instant."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from features.sources import load_panel
from models.margin.rulesets import load_ruleset
from tests.cli.conftest import Run, Write, account, position

BTC = "BTC/USDT:USDT"
WHEN = "2022-03-10T00:00:00Z"
OLD, NEW = "2022-03-10", "2022-06-01"
"""Binance changed the tiers of BTC on 2022-05-21: less at a notional of 10 million, more at 100 million."""


@pytest.fixture(scope="module")
def price(market: Path) -> float:
    """Return the price of BTC that is known at the instant."""
    panel = load_panel(market)
    return float(panel.snapshot(panel.start + 68 * 24 * panel.step).price[panel.column("BTC")])


def need(price: float, notional: float, date: str) -> float:
    from datetime import datetime

    when = datetime.fromisoformat(date + "T00:00:00+00:00")
    return float(load_ruleset("binance-usdm", when).tier(BTC)(notional))


def holder(name: str, price: float, notional: float, cash: float) -> dict[str, Any]:
    """Build an account that bought at the price, so that its equity is its cash."""
    legs = [position(quantity=notional / price, entry_price=price)]
    return account(name, WHEN, ruleset="binance-usdm", positions=legs, collateral=[{"asset": "USDT", "quantity": cash}])


def rows(done: Any) -> list[dict[str, Any]]:
    assert done.exit_code == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return found


def test_as_of_chooses_the_rules_and_at_the_prices(run: Run, write: Write, market: Path, price: float) -> None:
    path = write(holder("a", price, 1e8, 5e7))
    plain = rows(run("margin", path, "--market", market, "--json"))[0]
    old = rows(run("margin", path, "--market", market, "--as-of", OLD, "--json"))[0]
    new = rows(run("margin", path, "--market", market, "--as-of", NEW, "--json"))[0]
    assert plain == old
    assert new["equity"] == plain["equity"]
    assert plain["maintenance"] == pytest.approx(need(price, 1e8, OLD))
    assert new["maintenance"] == pytest.approx(need(price, 1e8, NEW))
    assert new["maintenance"] > plain["maintenance"]
    assert new["as_of"] == WHEN
    later = rows(run("margin", path, "--market", market, "--at", "2022-03-01", "--as-of", NEW, "--json"))[0]
    assert later["as_of"] == "2022-03-01T00:00:00Z"
    assert later["equity"] != new["equity"]


def test_compare_shows_whom_the_change_would_call(run: Run, write: Write, market: Path, price: float) -> None:
    old, new = need(price, 1e8, OLD), need(price, 1e8, NEW)
    path = write(
        holder("called", price, 1e8, max(old / 0.8, new) + 1_000.0),
        holder("rich", price, 1e8, 2 * new),
        holder("relieved", price, 1e7, need(price, 1e7, OLD) / 0.8 - 1_000.0),
        holder("liquidated", price, 1e8, old + 1_000.0),
    )
    found = rows(run("margin", path, "--market", market, "--as-of", OLD, "--compare", NEW, "--json"))
    assert [row["account_id"] for row in found if row["newly_called"]] == ["called"]
    assert [row["account_id"] for row in found if row["newly_liquidated"]] == ["liquidated"]
    by = {row["account_id"]: row for row in found}
    assert by["called"]["maintenance_change"] == pytest.approx(new - old)
    assert by["called"]["call_amount_after"] > 0
    assert by["relieved"]["maintenance_change"] < 0
    assert (by["relieved"]["state"], by["relieved"]["state_after"]) == ("call", "below_initial")
    assert all(row["equity_change"] == 0 for row in found)


def test_the_table_and_the_file_hold_the_comparison(
    run: Run, write: Write, market: Path, price: float, tmp_path: Path
) -> None:
    path, out = write(holder("a", price, 1e8, 5e7)), tmp_path / "rules.parquet"
    arguments = ("margin", path, "--market", market, "--as-of", OLD, "--compare", NEW)
    shown = run(*arguments)
    assert shown.exit_code == 0, shown.stderr
    assert "newly called" in shown.stdout
    assert "2022-06-01" in shown.stdout
    assert run(*arguments, "--out", out).exit_code == 0
    table = pq.read_table(out)
    assert table.column("newly_called").to_pylist() == [False]
    assert table.column("maintenance_change").to_pylist()[0] > 0


def test_rules_may_lie_ahead_but_prices_may_not(run: Run, write: Write, market: Path, price: float) -> None:
    path = write(holder("a", price, 1e6, 1e6))
    found = rows(run("margin", path, "--market", market, "--as-of", OLD, "--compare", "2100-01-01", "--json"))
    assert found[0]["state_after"] in ("release", "ok")
    done = run("margin", path, "--market", market, "--at", "2100-01-01", "--as-of", OLD)
    assert done.exit_code == 2
    assert "future" in done.stderr


def test_a_bad_account_never_loses_the_good_ones(
    run: Run, write: Write, market: Path, price: float, tmp_path: Path
) -> None:
    good = holder("good", price, 1e6, 1e6)
    symbols = ("NOPE/USDT:USDT", "BTC/USD:BTC-261225-100000-C")
    bad = [{**holder(s, price, 1e6, 1e6), "positions": [position(symbol=s)]} for s in symbols]
    path, out = write(good, bad[0], "this is not json", bad[1], {**good, "account_id": "last"}), tmp_path / "o.jsonl"
    done = run("margin", path, "--market", market, "--as-of", OLD, "--compare", NEW, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert [json.loads(line)["account_id"] for line in out.read_text().splitlines()] == ["good", "last"]
    failures = [json.loads(line) for line in (tmp_path / "o.failures.jsonl").read_text().splitlines()]
    assert [failure["row"] for failure in failures] == [2, 3, 4]


def test_chunks_join_seamlessly(
    run: Run, write: Write, market: Path, price: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from margincast.cli import books

    path = write(*(holder(f"a{i}", price, 1e8, i * 2e6) for i in range(1, 12)))
    arguments = ("margin", path, "--market", market, "--as-of", OLD, "--compare", NEW, "--json")
    whole = rows(run(*arguments))
    monkeypatch.setattr(books, "CHUNK", 4)
    assert rows(run(*arguments)) == whole
    assert len(whole) == 11


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--compare", NEW), "--compare: expected --as-of"),
        (("--as-of", "yesterday"), "--as-of: expected an ISO time"),
        (("--as-of", OLD, "--compare", "soon"), "--compare: expected an ISO time"),
        (("--as-of", OLD, "--compare", "2999-01-01"), "--compare: expected a time from 1970 to 2262"),
        (("--at", "2999-01-01"), "--at: expected a time from 1970 to 2262"),
    ],
)
def test_wrong_dates_are_refused_in_one_line(
    arguments: tuple[str, ...], words: str, run: Run, write: Write, market: Path
) -> None:
    done = run("margin", write(account()), "--market", market, *arguments)
    assert done.exit_code == 2
    assert words in done.stderr
    assert "Traceback" not in done.output


def test_help_has_an_example_of_a_comparison(run: Run) -> None:
    shown = " ".join(run("margin", "--help").stdout.split())
    assert "--as-of 2025-06-25 --compare 2025-07-01" in shown
    assert np.all([option in shown for option in ("--at", "--as-of", "--compare")])
