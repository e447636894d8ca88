"""The latest start of a transfer: against a search over every minute, for routes that close and that settle later."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from models.rebalance import Place, Policy, Route
from models.rebalance.hours import Hours, arrival
from models.rebalance.limits import CollateralLine, Eligibility
from serving.instants import nanoseconds
from serving.live.ways import Ways, latest_start

NEW_YORK = "America/New_York"
WEEKDAYS = (0, 1, 2, 3, 4)
HOURS = {
    "always": Hours(),
    "office": Hours(days=WEEKDAYS, opens=time(9), cut_off=time(16), time_zone=NEW_YORK),
    "from nine": Hours(days=WEEKDAYS, opens=time(9), time_zone=NEW_YORK),
    "next day": Hours(days=WEEKDAYS, opens=time(9), cut_off=time(16), time_zone=NEW_YORK, settlement_days=1),
}
WHEN = {
    "tuesday noon": datetime(2025, 2, 25, 12, tzinfo=ZoneInfo(NEW_YORK)),
    "tuesday night": datetime(2025, 2, 25, 22, tzinfo=ZoneInfo(NEW_YORK)),
    "friday, an hour before it closes": datetime(2025, 2, 28, 15, tzinfo=ZoneInfo(NEW_YORK)),
    "the night the clocks go forward": datetime(2025, 3, 8, 20, tzinfo=ZoneInfo(NEW_YORK)),
}
LAG = ((0.5, 10.0), (0.95, 50.0))


def route(hours: Hours, **more: object) -> Route:
    """Return a route with those hours."""
    whole = {"name": "wire", "source": "bank", "to": ("*",), "assets": ("USDT",), "lag": LAG, "hours": hours}
    return Route(**(whole | more))


@pytest.mark.parametrize("hours", HOURS)
@pytest.mark.parametrize("when", WHEN)
def test_no_later_minute_arrives_in_time(when: str, hours: str) -> None:
    now, crossing = WHEN[when], np.array([30.0, 61.0, 240.0, 1000.0, 1440.0, 3000.0, 4320.0, np.inf])
    found = latest_start(crossing, route(HOURS[hours]), now, 0.95)
    arrives = np.array([s + arrival(now + timedelta(minutes=s), HOURS[hours], LAG, 0.95) for s in range(4321)])
    for due, start in zip(crossing[:-1].tolist(), found[:-1].tolist(), strict=True):
        possible = np.flatnonzero(arrives <= due)
        assert start == pytest.approx(float(possible[-1]) if len(possible) else 0.0, abs=1.0), due
    assert found[-1] == np.inf


def policy(*routes: Route, **places: Place) -> Policy:
    """Return a policy of some routes from a full bank, unless it is given otherwise."""
    return Policy(places={"bank": Place(inventory={"USDT": 1e6})} | places, routes=routes)


def test_each_account_takes_the_route_that_leaves_it_most_time() -> None:
    chain = route(Hours(), name="chain", to=("a", "ruleset:okx-linear"), lag=((0.95, 15.0),))
    wire = route(HOURS["office"], name="wire", to=("a", "b"))
    now = nanoseconds(WHEN["tuesday noon"])
    names, rules = ["a", "b", "c", "d"], ["binance-usdm"] * 2 + ["okx-linear", "binance-usdm"]
    found = Ways(policy(wire, chain), names, rules).latest_start(np.full(4, 600.0), now)
    np.testing.assert_array_equal(found, [585.0, 240.0, 585.0, np.nan])  # b: until the wire closes; d: no route


@pytest.mark.parametrize(
    ("place", "led"),
    [
        (Place(inventory={"USDT": 1e6}), [True, True]),
        (Place(inventory={"USDT": 5.0}, least={"USDT": 5.0}), [False, False]),
        (Place(inventory={"USDT": 5.0}, draws=("b",)), [False, True]),
        (Place(kind="account", account="a"), [False, True]),
    ],
)
def test_a_route_from_where_there_is_nothing_for_it_leads_nowhere(place: Place, led: list[bool]) -> None:
    ways = Ways(policy(route(Hours()), bank=place), ["a", "b"], ["x", "x"])
    found = ways.latest_start(np.full(2, 100.0), nanoseconds(WHEN["tuesday noon"]))
    assert np.isfinite(found).tolist() == led


def test_a_route_that_brings_nothing_the_account_may_take_leads_nowhere() -> None:
    place = Place(inventory={"SAND": 5.0, "BTC": 5.0, "USDT": 0.0})
    lines = {"d": Eligibility(assets={"USDT": CollateralLine()}), "e": Eligibility(assets={"BTC": CollateralLine()})}
    rules = ["okx-linear", "generic-linear", "csa", "generic-linear", "okx-linear", "of-their-own"]
    now = nanoseconds(WHEN["tuesday noon"])
    led = []
    for assets in (("SAND", "USDT"), ("SAND", "BTC", "USDT")):
        some = Policy(places={"bank": place}, routes=(route(Hours(), assets=assets),), eligibility=lines)
        found = Ways(some, list("abcdef"), rules).latest_start(np.full(6, 100.0), now)
        led.append("".join(np.array(list("abcdef"))[np.isfinite(found)]))
    assert led == ["bcf", "abcef"]  # OKX takes no SAND; d may take USDT only, of which there is none


def test_a_policy_without_routes_has_one_lag_or_none() -> None:
    at = nanoseconds(WHEN["tuesday noon"])
    crossing = np.array([30.0, 100.0, np.inf])
    one = Ways(Policy(route_lag_minutes=45.0), ["a"] * 3, ["x"] * 3)
    np.testing.assert_array_equal(one.latest_start(crossing, at), [0.0, 55.0, np.inf])
    assert np.isnan(Ways(Policy(), ["a"] * 3, ["x"] * 3).latest_start(crossing, at)).all()
