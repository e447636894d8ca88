"""Ways to an account: sizes, costs and arrivals of a policy's routes."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from models.rebalance import policy_from_mapping
from models.rebalance.replaying.terms import preferred
from models.rebalance.replaying.ways import minutes_of, ways_of
from tests.models.rebalance.regimes import ACCOUNTS
from tests.models.rebalance.replaying.stages import accounts_of, desk

MONDAY = int(datetime(2025, 3, 3, tzinfo=UTC).timestamp()) * 10**9
CSA = next(account for account in ACCOUNTS if account.csa is not None)


def only(account=None, **route):
    """Return the one way of a policy of one route."""
    (way,) = ways_of(account or accounts_of(1)[0], route.get("assets", ["USDT"])[0], desk(**route))
    return way


def test_amounts_go_up_to_the_step_within_all_sizes():
    way = only(min_transfer=12.0, max_transfer=40.0, step=5.0)
    assert way.sized(1.0, 1e9) == 15.0
    assert way.sized(21.0, 1e9) == 25.0
    assert way.sized(500.0, 1e9) == 40.0
    assert way.sized(21.0, 22.0) == 20.0
    assert way.sized(21.0, 14.0) == 0.0


def test_fees_leave_the_place_beside_the_amount():
    way = only(fee=2.0, fee_rate=0.1, step=1.0)
    assert way.sized(100.0, 112.0) == 99.0  # 99 * 1.1 + 2 = 110.9
    assert way.cost(100.0, 3.0) == pytest.approx(2.0 + 2.0 * 3.0 + 30.0)


def test_impact_rises_by_pieces():
    way = only(impact=[[0.0, 0.0], [100.0, 0.01], [300.0, 0.1]])
    assert way.cost(50.0, 1.0) == pytest.approx(2.0)
    assert way.cost(400.0, 1.0) == pytest.approx(2.0 + 200.0 * 0.01 + 100.0 * 0.1)


def test_what_comes_back_goes_down_to_the_step_or_is_all_of_it():
    way = only(min_transfer=10.0, step=5.0)
    assert way.returned(23.0, 40.0) == 20.0
    assert way.returned(40.0, 40.0) == 40.0
    assert way.returned(43.0, 43.0) == 43.0
    assert way.returned(8.0, 40.0) == 0.0


def test_an_agreement_sets_sizes_of_its_own():
    policy = policy_from_mapping({
        "places": {"hot": {"inventory": {"USD": 1e9}}},
        "routes": [{"name": "wire", "source": "hot", "to": ["*"], "assets": ["USD"], "step": 0.01}],
    })  # fmt: skip
    (way,) = ways_of(CSA, "USD", policy)
    assert way.sized(1.0, 1e9) == 50_000.0
    assert way.sized(51_000.0, 1e9) == 60_000.0
    assert way.returned(26_000.0, 90_000.0) == 25_000.0
    assert way.returned(24_000.0, 90_000.0) == 0.0


def test_places_eligibility_and_caps_close_ways():
    account, policy = accounts_of(1)[0], desk()
    assert ways_of(account, "BTC", policy) == []
    assert ways_of(account, "USDT", desk(to=["b"])) == []
    assert len(ways_of(account, "USDT", desk(to=["ruleset:generic-linear"]))) == 1
    kept = msgspec.structs.replace(policy.places["hot"], draws=("b",))
    assert ways_of(account, "USDT", msgspec.structs.replace(policy, places={"hot": kept})) == []
    for line, count in (({}, 0), ({"USDT": {"most_share": 0.5}}, 0), ({"USDT": {"cap": 7.0}}, 1)):
        rule = policy_from_mapping({"eligibility": {"a0": {"assets": line}}}).eligibility
        found = ways_of(account, "USDT", msgspec.structs.replace(policy, eligibility=rule))
        assert len(found) == count
    assert found[0].sized(100.0, 1e9) == 7.0


def test_a_lag_is_read_at_the_confidence_or_as_drawn_and_waits_for_the_opening():
    way = only(lag=[[0.5, 10], [0.9, 60]], hours={"opens": "08:00:00", "cut_off": "17:00:00"})
    assert minutes_of([way], MONDAY, 0.9) == [480.0 + 60.0]
    assert minutes_of([way], MONDAY + 9 * 3_600 * 10**9, None, 0.3) == [10.0]
    assert minutes_of([way], MONDAY + 9 * 3_600 * 10**9, None, 0.95) == [120.0]  # beyond the last quantile


def test_the_cheapest_of_those_in_time_goes_first():
    quick, cheap = only(gas=9.0), only(gas=1.0)
    assert preferred([quick, cheap], [10.0, 60.0], 120.0) == 1
    assert preferred([quick, cheap], [10.0, 600.0], 120.0) == 0
    assert preferred([quick, cheap], [300.0, 600.0], 120.0) == 0
