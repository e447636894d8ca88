"""The check of executed transfers finds every kind of breach, one planted at a time."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from models.rebalance import policy_from_mapping
from models.rebalance.replaying.check import violations
from models.rebalance.replaying.ledger import Moved
from tests.models.rebalance.replaying.stages import START, accounts_of

HOUR = 3_600_000_000_000
POLICY = policy_from_mapping({
    "places": {
        "hot": {"inventory": {"USDT": 1_000.0, "BTC": 1.0}, "least": {"USDT": 100.0}, "draws": ["a0"]},
        "bank": {"inventory": {"USDT": 1e6}},
    },
    "routes": [
        {
            "name": "quick", "source": "hot", "to": ["a0", "a1"], "assets": ["USDT"], "min_transfer": 10.0,
            "max_transfer": 500.0, "step": 5.0,
        },
        {
            "name": "wire", "source": "bank", "to": ["*"], "assets": ["USDT"],
            "hours": {"days": [0, 1, 2, 3, 4], "opens": "08:00:00", "cut_off": "17:00:00"},
        },
    ],
    "eligibility": {"a1": {"assets": {"USDT": {"cap": 50.0}}}},
    "limits": {"max_moves": 2, "max_moves_per_account": 1, "max_run_value": 600.0},
})  # fmt: skip
GOOD = Moved(START, 0, 0, "USDT", 100.0, 1.0, 30.0)
OPEN = [(START + 1_000 * HOUR, False)] * 3


def found(*moves: Moved, closed=OPEN, policy=POLICY):
    return violations(moves, accounts_of(3), policy, closed)


def test_good_transfers_break_nothing():
    back = replace(GOOD, when_ns=START + 2 * HOUR, back=True)
    wire = Moved(START, 1, 1, "USDT", 40.0, 1.0, 600.0)
    assert found(GOOD, wire, back) == []


@pytest.mark.parametrize(
    ("move", "words"),
    [
        (replace(GOOD, account=2), "does not lead there"),
        (replace(GOOD, account=1, units=40.0), "may not draw on hot"),
        (replace(GOOD, asset="BTC", units=0.5), "does not take BTC"),
        (replace(GOOD, units=5.0), "less than the smallest"),
        (replace(GOOD, units=505.0), "more than the largest"),
        (replace(GOOD, units=101.0), "no multiple of 5"),
        (Moved(START, 1, 1, "USDT", 40.0, 1.0, 479.0), "closed until after its arrival"),
        (Moved(START + 18 * HOUR, 1, 1, "USDT", 40.0, 1.0, 800.0), "closed until after its arrival"),
        (Moved(START, 1, 1, "USDT", 60.0, 1.0, 600.0), "at most 50 may be"),
        (Moved(START, 2, 1, "USDT", 601.0, 1.0, 600.0), "at most 600 may be"),
        (replace(GOOD, back=True), "more came back than was sent"),
    ],
)
def test_each_breach_of_one_transfer_is_found(move, words):
    assert any(words in text for text in found(move)), found(move)


def test_limits_of_a_decision_are_counted_together():
    three = [Moved(START, i, 1, "USDT", 40.0, 1.0, 600.0) for i in range(3)]
    assert any("at most 2 may be made" in text for text in found(*three))
    assert any("more than 1 transfers" in text for text in found(GOOD, replace(GOOD, units=10.0)))
    later = replace(GOOD, when_ns=START + HOUR, units=10.0)
    assert found(GOOD, later) == []


def test_inventories_are_followed_through_time():
    first, second = replace(GOOD, units=500.0), replace(GOOD, units=450.0, when_ns=START + HOUR)
    assert any("must stay" in text for text in found(first, second))
    back = replace(first, back=True, when_ns=START + HOUR // 2, minutes=10.0)
    assert found(first, back, second) == []
    late = replace(back, minutes=60.0)  # it is not there yet
    assert any("must stay" in text for text in found(first, late, second))
    failed = replace(first, failed=True, minutes=30.0)
    assert found(failed, second) == []
    assert found(first, second, closed=[(START + HOUR // 2, False), *OPEN[1:]]) == []
    assert found(first, second, closed=[(START + HOUR // 2, True), *OPEN[1:]]) != []


def test_taking_back_may_be_forbidden():
    back = replace(GOOD, when_ns=START + HOUR, back=True)
    policy = msgspec.structs.replace(POLICY, release=False)
    assert any("nothing may be taken back" in text for text in found(GOOD, back, policy=policy))
