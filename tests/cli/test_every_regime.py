"""One file with an account of every regime, through every command that reads accounts."""

from __future__ import annotations

import json
import math

import pytest

from features.sources import simulate_market
from features.sources.times import iso

AT = "2022-03-07T12:00:00Z"


@pytest.fixture(scope="module")
def prices():
    """Return the last closes of BTC and ETH at the instant."""
    panel = simulate_market(("BTC", "ETH"), days=70, seed=1)
    bar = next(i for i, t in enumerate(panel.times()) if iso(int(t) + panel.step) == AT)
    return panel.close[:, bar]


def of(name, ruleset, currency, held, legs=(), **more):
    return {
        "account_id": name,
        "as_of": AT,
        "ruleset": ruleset,
        "currency": currency,
        "collateral": [{"asset": a, "quantity": q} for a, q in held.items()],
        "positions": [{"symbol": s, "quantity": q, "entry_price": e} for s, q, e in legs],
        **more,
    }


@pytest.fixture(scope="module")
def accounts(prices):
    """Return accounts near enough to a call that each has something to say."""
    btc, eth = prices
    strike = round(btc * 1.15, -3)
    call = f"BTC/USD:BTC-220325-{strike:.0f}-C"
    cash_call = f"BTC/USD:USD-220325-{strike:.0f}-C"
    terms = {"party": {"threshold": 50_000, "minimum_transfer_amount": 25_000}}
    return [
        of("linear", "binance-usdm", "USDT", {"USDT": 0.12 * btc}, [("BTC/USDT:USDT", 1.0, btc)]),
        of("inverse", "binance-coinm", "BTC", {"BTC": 0.12}, [("BTC/USD:BTC", btc, btc)]),
        of("future", "generic-inverse", "BTC", {"BTC": 0.1}, [("BTC/USD:BTC-220309", -btc, btc)]),
        of("unified", "binance-pm", "USDT", {"BTC": 1.0, "USDT": -0.6 * btc}, [("ETH/USDT:USDT", -5.0, eth)]),
        of("loan", "aave-v3", "USDC", {"BTC": 1.0, "USDC": -0.5 * btc}),
        of("csa", "csa", "USD", {"USD": 100_000.0}, [("BTC/USDT:USDT", 10.0, btc + 12_000)], csa=terms),
        of("options", "deribit-standard", "BTC", {"BTC": 0.4}, [(call, -2.0, 0.02)]),
        of("scenario", "deribit-pm", "BTC", {"BTC": 0.4}, [(call, -3.0, 0.02), ("BTC/USD:BTC", btc, btc)]),
        of("srm", "derive-srm", "USDC", {"USDC": 0.5 * btc}, [(cash_call, -2.0, 500.0)]),
        of("securities", "us-regt", "USD", {"USD": 0.6 * btc}, [(cash_call, -2.0, 500.0)]),
        of("dynamic", "fhs-margin", "USDT", {"USDT": 0.3 * btc}, [("BTC/USDT:USDT", 1.0, btc)]),
        of("venue", "dydx-v4", "USDC", {"USDC": 0.1 * btc}, [("BTC/USDC:USDC", 1.0, btc)]),
    ]


def rows_of(seen, accounts):
    assert seen.exit_code == 0, seen.stderr
    found = json.loads(seen.stdout)
    assert found["failures"] == []
    assert {row["account_id"] for row in found["rows"]} == {a["account_id"] for a in accounts}
    return found["rows"]


def test_margin_gives_four_rising_levels_for_each(run, market, write, accounts):
    rows = rows_of(run("margin", write(*accounts), "--market", market, "--json"), accounts)
    for row in rows:
        levels = [row[name] for name in ("maintenance", "call", "initial", "release")]
        assert levels == sorted(levels), row
        assert math.isfinite(row["equity"])
        assert row["state"] in ("release", "ok", "below_initial")
    by_name = {row["account_id"]: row for row in rows}
    assert by_name["inverse"]["equity"] == pytest.approx(0.12)  # entered at the price of now, reported in coin
    assert by_name["csa"]["initial"] == pytest.approx(-50_000)


def test_predict_gives_a_probability_that_rises_with_the_horizon(run, market, write, accounts):
    seen = run("predict", write(*accounts), "--market", market, "--model", "prior", "--json")
    for name in {a["account_id"] for a in accounts}:
        p = [row["p_call"] for row in rows_of(seen, accounts) if row["account_id"] == name]
        assert len(p) == 4
        assert p == sorted(p), name
        assert 0 <= p[0] <= p[-1] <= 1
    some = [row["p_call"] for row in rows_of(seen, accounts) if row["horizon_minutes"] == 4320]
    assert sum(p > 0 for p in some) >= 8
    flagged = {row["account_id"] for row in rows_of(seen, accounts) if "modelled_volatility" in row["flags"]}
    assert flagged == {"options", "scenario", "srm", "securities"}


def test_replay_walks_each(run, market, write, accounts):
    rows = rows_of(run("replay", write(*accounts), "--market", market, "--horizon", "2880", "--json"), accounts)
    assert all(row["worst_gap"] is not None for row in rows)


def test_recommend_has_a_plan_or_a_reason_for_each(run, market, write, accounts):
    seen = run(
        "recommend", write(*accounts), "--market", market, "--model", "prior", "--target", "0.0001@4320", "--json"
    )
    rows = rows_of(seen, accounts)
    assert all(row["what"] or row["status"] == "ok" for row in rows)
    kinds = {row["account_id"]: row["kind"] for row in rows if row["status"] == "act"}
    assert len(kinds) >= 6
    asset = {(row["account_id"], row["kind"]): row["asset"] for row in rows}
    assert asset.get(("inverse", "top_up"), "BTC") == "BTC"


@pytest.fixture
def exchanging(tmp_path):
    """Return a policy that may deliver coins under an annex and ask cash back."""
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({
        "assets": {"USD": {"annual_cost": 0.06}, "BTC": {"annual_cost": 0.001}},
        "places": {"vault": {"inventory": {"BTC": 5.0}}, "bank": {}},
        "routes": [{"name": "chain", "source": "vault", "to": ["annex"], "assets": ["BTC"], "gas": 5, "step": 0.01}],
        "substitutions": [{"name": "coins for cash", "deliver": ["BTC"], "ask_back": ["USD"], "returns_to": "bank",
                           "interest": {"USD": 0.04}, "holding_days": 60}],
        "limits": {"target": "0.05@1440", "stress": [0.9, 1.1]},
        "release": False,
    }))  # fmt: skip
    return path


def annex(prices):
    """Return an account that has posted cash, and is far from a call."""
    terms = {
        "party": {"threshold": 50_000, "minimum_transfer_amount": 25_000},
        "counterparty": {"minimum_transfer_amount": 25_000},
        "rounding": {"delivery_increment": 1_000, "return_increment": 1_000},
        "eligible_collateral": [{"asset": "USD"}, {"asset": "BTC", "valuation_percentage": 0.8}],
    }
    return of("annex", "csa", "USD", {"USD": 200_000.0}, [("BTC/USDT:USDT", 1.0, prices[0])], csa=terms)


def test_an_exchange_under_an_annex_is_a_row_with_what_it_saves(run, market, write, prices, exchanging):
    account = annex(prices)
    asked = ("--market", market, "--model", "prior", "--policy", exchanging, "--json")
    (row,) = rows_of(run("recommend", write(account), *asked), [account])
    assert (row["status"], row["kind"], row["asset"], row["into"]) == ("substitute", "substitute", "USD", "BTC")
    assert row["saves"] > 0
    assert row["amount"] <= row["received"] * prices[0] * 0.8
    assert row["amount"] % 1_000 == 0
    assert row["what"].startswith("Deliver ")


def test_the_plan_of_a_desk_writes_its_notices(run, market, write, prices, exchanging):
    account = annex(prices)
    asked = ("--market", market, "--model", "prior", "--policy", exchanging, "--desk", "--json")
    none, found = (
        json.loads(run("recommend", write(account), *asked, *more).stdout) for more in ((), ("--substitute",))
    )
    assert (none["plan"]["own"], none["instructions"]) == ([], [])
    (step,) = found["plan"]["own"]
    assert (step["kind"], step["asset"], step["into"]) == ("substitute", "USD", "BTC")
    assert [one["method"] for one in found["instructions"]] == ["substitute", "deliver", "demand_return"]
    assert len({one["key"] for one in found["instructions"]}) == 3


def test_rules_of_two_dates_are_compared_for_a_block_that_holds_no_option(run, market, write, prices):
    account = of("perpetual", "derive-srm", "USDC", {"USDC": 0.2 * prices[0]}, [("BTC/USDC:USDC", 1.0, prices[0])])
    dates = ("--at", AT, "--as-of", "2022-01-01", "--compare", "2024-01-01")
    (row,) = rows_of(run("margin", write(account), "--market", market, *dates, "--json"), [account])
    assert row["maintenance"] == pytest.approx(0.065 * prices[0], rel=1e-6)  # the venue's rate of a perpetual
    assert row["newly_called"] is False
