"""The timetable of a substitution: notice, delivery, return."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

import pytest

from models.errors import InputError
from models.margin.csa.timetable import Timetable
from models.rebalance import Route, Substitution, policy_from_mapping
from models.rebalance.substituting.timing import timing_of

YORK = Timetable(notification_time=time(13), time_zone="America/New_York", holidays=(date(2025, 3, 5),))
FRIDAY_MORNING = datetime(2025, 2, 28, 15, tzinfo=UTC)  # 10:00 in New York


def rule(**more: Any) -> Substitution:
    return Substitution(name="s", deliver=("UST",), ask_back=("USD",), **more)


def route(**more: Any) -> Route:
    return Route(name="r", source="v", to=("*",), assets=("UST",), **more)


@pytest.mark.parametrize(("now", "of_rule", "lag", "sent", "arrived", "returned"), [
    # the same day, back at the close of the next business day, over a weekend
    ("2025-02-28T15:00", {}, 60.0, "2025-02-28T15:00", "2025-02-28T16:00", "2025-03-03T22:00"),
    # the notice is too late: Monday from midnight in New York; back on Tuesday
    ("2025-02-28T18:01", {}, 60.0, "2025-03-03T05:00", "2025-03-03T06:00", "2025-03-04T22:00"),
    # an earlier notice time of its own
    ("2025-02-28T15:00", {"notice_time": time(9)}, 0.0, "2025-03-03T05:00", "2025-03-03T05:00", "2025-03-04T22:00"),
    # a notice time beyond the close counts as the close
    ("2025-02-28T21:59", {"notice_time": time(23)}, 0.0, "2025-02-28T21:59", "2025-02-28T21:59", "2025-03-03T22:00"),
    # given on a Saturday
    ("2025-03-01T12:00", {}, 0.0, "2025-03-03T05:00", "2025-03-03T05:00", "2025-03-04T22:00"),
    # a day's notice, and a return that leaves out the holiday
    ("2025-02-28T15:00", {"notice_lag": 1, "return_lag": 2}, 0.0,
     "2025-03-03T05:00", "2025-03-03T05:00", "2025-03-06T22:00"),
    # what arrives after the close of business counts for the next day
    ("2025-02-28T15:00", {}, 421.0, "2025-02-28T15:00", "2025-02-28T22:01", "2025-03-04T22:00"),
    # back the same day
    ("2025-02-28T15:00", {"return_lag": 0}, 60.0, "2025-02-28T15:00", "2025-02-28T16:00", "2025-02-28T22:00"),
    # clocks go forward on the weekend between
    ("2025-03-07T15:00", {}, 60.0, "2025-03-07T15:00", "2025-03-07T16:00", "2025-03-10T21:00"),
])  # fmt: skip
def test_the_timetable_of_the_agreement_holds(
    now: str, of_rule: dict[str, Any], lag: float, sent: str, arrived: str, returned: str
) -> None:
    given = datetime.fromisoformat(now + "+00:00")
    found = timing_of(given, YORK, rule(**of_rule), route(lag=((0.95, lag),)), 0.95)
    assert [x.strftime("%Y-%m-%dT%H:%M") for x in (found.now, found.sent, found.arrived, found.returned)] == [
        now, sent, arrived, returned,
    ]  # fmt: skip
    assert found.returns_minutes == (found.returned - given).total_seconds() / 60.0
    assert found.arrives_minutes == (found.arrived - given).total_seconds() / 60.0
    assert found.both_days == pytest.approx((found.returned - found.sent).total_seconds() / 86_400.0)


def test_the_route_has_its_own_hours() -> None:
    hours = policy_from_mapping({
        "places": {"v": {"inventory": {"UST": 1.0}}},
        "routes": [{
            "name": "r", "source": "v", "to": ["*"], "assets": ["UST"], "lag": [[0.95, 30]],
            "hours": {"days": [0, 1, 2, 3, 4], "opens": "07:00:00", "cut_off": "14:00:00", "settlement_days": 1,
                      "time_zone": "America/New_York"},
        }],
    })  # fmt: skip
    found = timing_of(FRIDAY_MORNING, YORK, rule(), hours.routes[0], 0.95)
    assert found.arrived == datetime(2025, 3, 3, 12, 30, tzinfo=UTC)
    assert found.returned == datetime(2025, 3, 4, 22, tzinfo=UTC)


RULE = {"name": "s", "deliver": ["UST"], "ask_back": ["USD"]}


@pytest.mark.parametrize(("rules", "field", "value"), [
    ({"deliver": []}, "substitutions[0].deliver", "()"),
    ({"ask_back": ["UST"]}, "substitutions[0].ask_back", "('UST',)"),
    ({"returns_to": "bank"}, "substitutions[0].returns_to", "'bank'"),
    ({"returns_to": "venue"}, "substitutions[0].returns_to", "'venue'"),
    ({"notice_lag": 31}, "notice_lag", "31"),
    ({"return_lag": -1}, "return_lag", "-1"),
    ({"holding_days": 0.0}, "holding_days", "0.0"),
    ({"holding_days": 3_651.0}, "holding_days", "3651.0"),
    ({"interest": {"USD": 1.01}}, "interest", "1.01"),
    ({"cost": -1.0}, "cost", "-1.0"),
    ({"notice_time": "09:00:00+01:00"}, "notice_time", "'09:00:00+01:00'"),
    ({"name": "wire"}, "substitutions[0].name", "'wire'"),
])  # fmt: skip
def test_a_wrong_rule_is_told_by_field_and_value(rules: dict[str, Any], field: str, value: str) -> None:
    mapping = {
        "places": {"v": {"inventory": {"UST": 1.0}}, "venue": {"kind": "account", "account": "a"}},
        "routes": [{"name": "wire", "source": "v", "to": ["*"], "assets": ["UST"]}],
        "substitutions": [RULE | rules],
    }
    with pytest.raises(InputError) as caught:
        policy_from_mapping(mapping)
    assert field in str(caught.value)
    assert value in str(caught.value).rpartition(", was ")[2]


@pytest.mark.parametrize("more", [
    {"notice_lag": 30, "return_lag": 30}, {"notice_lag": 0, "return_lag": 0}, {"holding_days": 3_650.0},
    {"interest": {"USD": -1.0}}, {"interest": {"USD": 1.0}},
])  # fmt: skip
def test_ranges_hold_at_their_ends(more: dict[str, Any]) -> None:
    assert rule(**more).name == "s"
