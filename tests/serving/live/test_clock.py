"""The clock of the server is set back by two hours: nothing waits for it to come back, and history stays in order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select, update

from models.typing import HOUR_NS, MINUTE_NS
from serving.accounts import history
from serving.instants import instant
from serving.live.buffer import BAR_FIELDS
from serving.live.market import LiveMarket, StoredBar
from serving.live.webhooks.deliver import Backoff
from serving.store import Store
from serving.store.tables import alerts, deliveries
from tests.serving.desks import NOW, Clock, Desk, account_json, desk_of
from tests.serving.live.test_service import (
    BASE,
    NEW,
    WHOLE,
    bar_json,
    count,
    files,  # noqa: F401
    live,  # noqa: F401
    register,
    send,
    step,
)
from tests.serving.live.webhooks.test_webhooks import deliver, hook, say, sink, states

BACK = 2 * HOUR_NS
SECOND = 10**9
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def quiet(store: Store, database: str) -> Iterator[Desk]:
    """Return a server that delivers nothing by itself."""
    with desk_of(store, database, live_seconds=0, webhook_private=True) as found:
        yield found


def test_alerts_are_told_one_by_one_though_the_budget_was_spent_at_a_later_time(live: Desk) -> None:  # noqa: F811
    live.ask("PUT", "/v1/settings/alerts", {"budget_per_hour": 1, "level_clear": 0.0}, "a.operate")
    register(live, "first", 1.0, 3000.0)
    assert count(live, alerts, ~alerts.c.over_budget) == 1
    live.clock.now -= BACK
    register(live, "second", 1.0, 3000.0)
    told = live.runtime.database.query(lambda c: c.execute(select(alerts).where(~alerts.c.over_budget)).all())
    assert [row.account_id for row in told] == ["first", "second"]


def test_what_a_shard_told_whose_round_began_a_little_later_counts_against_the_budget(live: Desk) -> None:  # noqa: F811
    live.ask("PUT", "/v1/settings/alerts", {"budget_per_hour": 1, "level_clear": 0.0}, "a.operate")
    register(live, "first", 1.0, 3000.0)
    live.clock.now -= 5 * SECOND
    register(live, "second", 1.0, 3000.0)
    assert count(live, alerts, ~alerts.c.over_budget) == 1


def test_rounds_go_on_and_bars_that_now_seem_to_come_from_the_future_are_refused_by_name(live: Desk) -> None:  # noqa: F811
    register(live, "desk-7")
    first = WHOLE.n_bars - NEW
    send(live, first)
    live.clock.now -= BACK
    step(live)  # what was stored is scored
    assert live.runtime.engine.panel.end == BASE.end + WHOLE.step
    assert (
        live.ask("GET", "/v1/accounts/desk-7")
        .json()["said"]["market_as_of"]
        .startswith(instant(BASE.end + WHOLE.step).isoformat()[:19])
    )
    bars = {"bars": [bar_json(asset, first + 1) for asset in WHOLE.assets]}
    answer = live.ask("POST", "/v1/market/bars", bars, "service.operate").json()
    assert (answer["accepted"], len(answer["failures"])) == (0, 3)
    assert "future" in answer["failures"][0]["message"]
    told = live.ask(
        "PUT", "/v1/accounts/desk-7", account_json(minutes_ago=0, now_ns=BASE.end + WHOLE.step), "a.operate"
    )
    assert told.status_code == 200, told.text  # as of the newest bar, which is known to be past
    live.clock.now += BACK + HOUR_NS
    assert live.ask("POST", "/v1/market/bars", bars, "service.operate").json()["accepted"] == 3
    step(live)
    assert live.runtime.engine.panel.end == BASE.end + 2 * WHOLE.step


def test_an_incomplete_bar_waits_no_longer_than_its_grace(store: Store) -> None:
    assert store
    grace, came = 20 * SECOND, BASE.end + MINUTE_NS
    market = LiveMarket(BASE, BASE.n_bars, grace)
    values = tuple(float(getattr(WHOLE, name)[0, BASE.n_bars]) for name in BAR_FIELDS)
    market.put([StoredBar(1, "BTC", BASE.end, values, came)])
    assert market.publish(came - BACK) is None
    assert market.publish(came - BACK + grace - 1) is None
    shown = market.publish(came - BACK + grace)
    assert shown is not None
    assert shown.panel.end == BASE.end + WHOLE.step


def test_the_history_of_an_account_stays_in_order(live: Desk) -> None:  # noqa: F811
    as_of = BASE.end - 3 * HOUR_NS
    for minute in range(4):
        body = account_json(minutes_ago=-minute, now_ns=as_of)
        assert live.ask("PUT", "/v1/accounts/desk-7", body, "a.operate").status_code in (200, 201)
        live.clock.now += -BACK if minute == 1 else MINUTE_NS
    live.ask("DELETE", "/v1/accounts/desk-7", who="a.operate")
    rows = live.runtime.database.query(lambda c: history(c, "a", "desk-7", 10, None))
    since = [row.since_ns for row in reversed(rows)]
    assert len(since) == 5
    assert since == sorted(since)


@pytest.mark.parametrize("attempts", [0, 2])
def test_deliveries_are_not_put_off_until_the_clock_has_caught_up(quiet: Desk, attempts: int) -> None:
    store = quiet.runtime.database
    clock, backoff = Clock(NOW), Backoff(first_seconds=5.0)
    with sink(500 if attempts else 200) as target:
        hook(store, "h", target.url)
        say(store)
        for _ in range(attempts):
            deliver(store, clock, backoff=backoff)
            clock.now += 20 * SECOND
        target.status, clock.now = 200, clock.now - BACK
        deliver(store, clock, backoff=backoff)
        assert states(store, "h") == [("delivered", attempts + 1)]


def test_a_lease_of_a_process_that_is_a_little_ahead_is_respected(quiet: Desk) -> None:
    store = quiet.runtime.database
    with sink() as target:
        hook(store, "h", target.url)
        say(store)
        lease = NOW + 15 * SECOND + 50 * SECOND
        with store.begin() as connection:
            connection.execute(update(deliveries).values(next_ns=lease))
        assert deliver(store, Clock(NOW)) == [0]
        assert deliver(store, Clock(NOW - BACK)) == [1]
