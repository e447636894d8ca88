"""Announced rules: who is told, how bad it would be, how long it is kept; and the whole way on a server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from features.sources import write_panel
from models.margin.levels import STATES, MarginLevels
from models.margin.rulesets import loader
from models.margin.rulesets.own import register_ruleset
from models.typing import DAY_NS
from serving.instants import instant
from serving.live.alerts import AlertRules, Announced, Measure, measure_announced
from serving.live.announced import announced_books, changes_ahead
from serving.store import Store
from tests.serving.client import request_of
from tests.serving.desks import desk_of
from tests.serving.live.test_service import BASE, NEW, WHOLE, send, step

RULES = AlertRules(rule_change_days=7.0, rule_change_near=0.1, level_clear=0.02)
CHANGE = BASE.end + 3 * WHOLE.step


def levels_of(*equity: float, call: float = 100.0) -> MarginLevels:
    """Return accounts that are called below 100 and liquidated below 80."""
    e = np.array(equity)
    state = np.select([~np.isfinite(e), e < 0.8 * call, e < call], [-1, STATES.index("liquidation"), 3], 0)
    assert STATES[3] == "call"
    same = np.full(len(e), call)
    return MarginLevels(e, 0.8 * same, same, 1.5 * same, 2 * same, same * 0, e - same, state)


def measured(present: MarginLevels, *then: tuple[float, MarginLevels], rules: AlertRules = RULES) -> Measure:
    """Measure all accounts under rules that come in so many days."""
    rows, names = np.arange(len(present.equity)), ["mine"] * len(present.equity)
    found = [Announced(int(days * DAY_NS), rows, names, levels) for days, levels in then]
    return measure_announced(present, found, rules, 0)


def test_levels_are_those_that_the_change_alone_brings() -> None:
    """Fine, near, called, liquidated, called before as well, worse than called before, unknown."""
    present = levels_of(200, 200, 200, 200, 95, 95, float("nan"))
    one = measured(present, (5.0, levels_of(200, 109, 99, 79, 95, 70, 70)))
    assert one.enter.tolist() == [0, 1, 2, 3, 0, 3, 0]
    assert one.keep.tolist() == [0, 1, 2, 3, 2, 3, 4]
    assert one.value[[1, 2, 3]].tolist() == [5.0] * 3
    assert one.words[2] == "the rules of mine from 1970-01-06 00:00 UTC would leave it called"
    assert set(one.words) == {1, 2, 3, 5}


def test_an_alert_is_kept_until_the_account_is_well_clear() -> None:
    """Near is up to 110, and kept up to 112.2; nothing is kept once no change is ahead."""
    fine = levels_of(500, 500, 500)
    one = measured(fine, (5.0, levels_of(110.1, 112.2, 112.3)))
    assert (one.enter.tolist(), one.keep.tolist()) == ([0, 0, 0], [1, 1, 0])
    assert measured(fine).keep.tolist() == [0, 0, 0]


def test_of_several_changes_the_worst_counts_and_of_equal_ones_the_first() -> None:
    fine = levels_of(500, 500, 500)
    one = measured(fine, (2.0, levels_of(99, 99, 500)), (4.0, levels_of(99, 70, 99)))
    assert one.enter.tolist() == [2, 3, 2]
    assert one.value.tolist() == [2.0, 4.0, 4.0]


@pytest.fixture
def mine() -> Iterator[str]:
    """Return a ruleset under which the call requirement doubles at a date."""
    document = json.loads(files("models.margin.rulesets").joinpath("generic-linear.json").read_text())
    (now,) = document["settings"]
    later = now | {"effective_from": instant(CHANGE).isoformat(), "call_ratio": now["call_ratio"] / 2}
    yield register_ruleset(json.dumps(document | {"name": "mine", "settings": [now, later]}))
    loader._OWN.clear()
    for cached in (loader._document, loader.ruleset_model, loader._ruleset):
        cached.cache_clear()


def test_only_what_lies_ahead_within_the_days_is_looked_at(mine: str) -> None:
    names = {mine, "generic-linear", "no such rules"}
    assert changes_ahead(names, BASE.end, 3 / 24) == {CHANGE: (mine,)}
    assert changes_ahead(names, BASE.end, 2.9 / 24) == {}
    assert changes_ahead(names, CHANGE, 90.0) == {}
    assert changes_ahead(names, BASE.end, 0.0) == {}
    assert announced_books({}, [], [], WHOLE.assets) == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_desk_is_told_before_the_change_and_no_longer_after_it(
    mine: str, store: Store, database: str, tmp_path: Path
) -> None:
    write_panel(BASE, tmp_path)
    price = float(BASE.close[0, -1])
    leg = {"symbol": "BTC/USDT:USDT", "quantity": 1.0, "entry_price": price}
    first = WHOLE.n_bars - NEW
    call = price * 0.01 / 0.8

    def account(name: str, cash: float, **more: object) -> dict[str, object]:
        cash_json = [{"asset": "USDT", "quantity": cash}]
        whole = {"account_id": name, "ruleset": mine, "collateral": cash_json, "positions": [leg]}
        return request_of(BASE.end, **(whole | more))

    with desk_of(store, database, BASE.end, market=str(tmp_path), live_seconds=0, history_days=60) as desk:
        desk.ask("PUT", "/v1/settings/alerts", {"target": "0.9@60", "critical_probability": 0.99})
        for sent in (account("thin", 1.5 * call), account("safe", 10 * call), account("other", 1.5 * call,
                     ruleset="generic-linear")):  # fmt: skip
            assert desk.ask("PUT", f"/v1/accounts/{sent['account_id']}", sent).status_code == 201
        told = desk.ask("GET", "/v1/alerts?kind=rule_change").json()["alerts"]
        assert [(one["account_id"], one["severity"], round(one["value"], 3)) for one in told] == [
            ("thin", "warning", 0.125)
        ]
        when = f"{instant(CHANGE):%Y-%m-%d %H:%M}"
        assert told[0]["message"] == (f"thin: the rules of mine from {when} UTC would leave it called, in 3 hours")
        for column in range(first, first + 2):
            send(desk, column)
            step(desk)
        assert len(desk.ask("GET", "/v1/alerts?kind=rule_change").json()["alerts"]) == 1  # told once
        send(desk, first + 2)  # its close is the date
        step(desk)
        (over,) = desk.ask("GET", "/v1/alerts?kind=rule_change").json()["alerts"]
        assert over["closed"] is not None
        assert desk.ask("PUT", "/v1/settings/alerts", {"rule_change_days": 91}).json()["field"] == "rule_change_days"
