"""Accounts that nobody would hold: every one is answered with sane numbers, or refused with the path of a field."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving.client import Client, request_of

NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-1e6, 1e6),
    st.sampled_from([0.0, -0.0, 1e-308, -1e-308, 5e-324, 1e300, -1e300, 1.7976931348623157e308, 2**53 + 1, -1, 1]),
)
TEXTS = st.one_of(
    st.text(max_size=8), st.sampled_from(["", "\x00", "USDT", "BTC", "DOGE", "ÅÄÖ", "\U0001f4b8", "../x"])
)
SYMBOLS = st.one_of(TEXTS, st.sampled_from([
    "BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT", "BTC/USD:BTC", "BTC/USDT:USDT-251226", "BTC/USDT:USDT-220101",
    "BTC/USD:BTC-251226-100000-C", "BTC/USD:BTC-251226-1-P", "BTC/USDT", "BTC/USDT:USDT-999999", "USDT/USDT:USDT",
]))  # fmt: skip
RULES = st.sampled_from([
    "generic-linear", "binance-usdm", "binance-coinm", "bybit-uta", "deribit-pm", "aave-v3", "csa", "us-regt", "none",
])  # fmt: skip
TIMES = st.one_of(
    st.none(),
    st.sampled_from(
        ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "2022-02-20T12:00:00+14:00"]
    ),
    st.datetimes().map(lambda when: when.isoformat() + "Z"),
)
POSITIONS = st.fixed_dictionaries(
    {"symbol": SYMBOLS, "quantity": NUMBERS, "entry_price": NUMBERS},
    optional={
        "margin_mode": st.sampled_from(["cross", "isolated", "both"]), "isolated_margin": st.one_of(st.none(), NUMBERS),
        "leverage": st.one_of(st.none(), NUMBERS), "implied_volatility": st.one_of(st.none(), NUMBERS),
    },
)  # fmt: skip
ACCOUNTS = st.fixed_dictionaries({
    "account_id": TEXTS, "ruleset": RULES, "currency": st.sampled_from(["USDT", "USD", "BTC", "EUR", ""]),
    "collateral": st.lists(st.fixed_dictionaries({"asset": TEXTS, "quantity": NUMBERS}), max_size=3),
    "positions": st.lists(POSITIONS, max_size=3), "as_of": TIMES,
})  # fmt: skip


def sane(row: dict[str, Any]) -> None:
    """Check the numbers of one horizon."""
    for name in ("p_call", "p_liquidation", "prior"):
        assert 0.0 <= row[name] <= 1.0
    assert row["p_liquidation"] <= row["p_call"]
    for name, value in row.items():
        assert value is None or math.isfinite(value), name


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(drawn=ACCOUNTS)
def test_an_account_is_answered_or_refused_by_field(client: Client, now: int, drawn: dict[str, Any]) -> None:
    account = request_of(now, 5) | {k: v for k, v in drawn.items() if v is not None}
    answer = client.post("/v1/predictions", account)
    if answer.status_code == 422:
        problem = answer.json()
        assert problem["detail"]
        assert problem["code"]
    else:
        assert answer.status_code == 200, answer.text
        (found,) = answer.json()["predictions"]
        p = [row["p_call"] for row in found["rows"]]
        assert p == sorted(p)
        for row in found["rows"]:
            sane(row)
    listed = client.post("/v1/predictions", {"accounts": [account, request_of(now, 5)]})
    assert listed.status_code == 200, "a bad account never takes the others with it"
    body = listed.json()
    assert len(body["predictions"]) + len(body["failures"]) == 2
    assert len(body["failures"]) == (answer.status_code == 422)


@pytest.mark.parametrize("year", ["0127", "1989", "2200", "9999"])
def test_instants_beyond_the_calendar_of_markets_are_refused(client: Client, now: int, year: str) -> None:
    for path in ("/v1/predictions", "/v1/recommendations"):
        answer = client.post(path, request_of(now) | {"as_of": f"{year}-02-04T23:15:52Z"})
        assert (answer.status_code, answer.json()["field"]) == (422, "as_of")
