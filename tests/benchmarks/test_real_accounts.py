"""The study of real accounts: made-up fills whose results can be told by hand, and the real files where they are."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from benchmarks.real import ahead, engine, ranking
from benchmarks.real.accounts import Account, check_sides, snapshots
from benchmarks.real.prices import BarPrices, VenuePrices, load_bars
from benchmarks.real.records import Records, read_records, records_of
from benchmarks.real.text import markdown, table
from benchmarks.real_accounts import plain, study_engine
from features.build import FEATURE_NAMES
from features.sources import simulate_market
from models.margin.levels import STATES
from models.market import MarketPanel
from models.predictor import MarginCallPredictor
from models.prior import PriorModel
from models.typing import DAY_NS, HOUR_NS, MINUTE_NS
from training.evaluate.metrics import auc

DAY = pd.Timestamp("2023-03-10", tz="UTC")


def at(hours: float) -> pd.Timestamp:
    return DAY + pd.Timedelta(hours=hours)


def ns(hours: float) -> int:
    return int(at(hours).value)


FILLS = (
    # time, user, coin, side, price, size
    (0.5, "maker", "ETH", "Ask", 1500.0, 1.0),
    (1.0, "ann", "ETH", "Bid", 1500.0, 1.0),
    (2.0, "ann", "ETH", "Bid", 1560.0, 1.0),
    (3.0, "ann", "ETH", "Ask", 1590.0, 0.5),
    (5.0, "maker", "ETH", "Bid", 1485.0, 0.1),
    (6.0, "ann", "ETH", "Ask", 1470.0, 1.5),
    (6.0, "vault", "ETH", "Bid", 1470.0, 1.5),
    (6.0, "maker", "ETH", "Bid", 1489.0, 0.1),
    (7.0, "bob", "BTC", "Bid", 20_000.0, 0.1),
    (7.5, "bob", "BTC", "Ask", 20_400.0, 0.1),
)
PAYMENTS = ((0.1, "maker", 5000.0), (0.2, "ann", 75.0), (6.5, "bob", 500.0), (8.0, "bob", -540.0))


@pytest.fixture(scope="module")
def records() -> Records:
    columns = ("timestamp", "user", "coin", "side", "px", "sz")
    fills = pd.DataFrame([(at(h), *rest) for h, *rest in FILLS], columns=columns)
    ledger = pd.DataFrame([(at(h), *rest) for h, *rest in PAYMENTS], columns=("timestamp", "user", "delta_usd"))
    seen = pd.DataFrame(
        {
            "timestamp": [at(6)],
            "user": ["ann"],
            "liquidated_ntl_pos": [1.5 * 1484.0],
            "liquidated_account_value": [21.0],
            "leverage_type": ["Cross"],
        }
    )
    return records_of(fills, ledger, seen)


def test_average_cost_by_hand() -> None:
    account = Account()
    account.fill("ETH", 1.0, 1500.0)
    account.fill("ETH", 1.0, 1560.0)
    assert account.positions == {"ETH": (2.0, 1530.0)}
    account.fill("ETH", -0.5, 1590.0)
    assert (account.cash, account.positions["ETH"]) == (30.0, (1.5, 1530.0))
    account.fill("ETH", -2.5, 1500.0)
    assert (account.cash, account.positions["ETH"]) == (-15.0, (-1.0, 1500.0))
    account.fill("ETH", 1.0, 1400.0)
    assert (account.cash, account.positions) == (85.0, {})


def test_a_state_is_before_or_after_the_events_of_its_second(records: Records) -> None:
    users, times = np.array(["ann", "ann", "bob"], object), np.array([ns(6), ns(0.2), ns(7)])
    before = snapshots(records, users, times, inclusive=False)
    assert before.cash.tolist() == [105.0, 0.0, 500.0]
    assert (before.row.tolist(), before.quantity.tolist(), before.entry.tolist()) == ([0], [1.5], [1530.0])
    after = snapshots(records, users, times, inclusive=True)
    assert after.cash.tolist() == [15.0, 75.0, 500.0]
    assert (after.row.tolist(), list(after.coin)) == ([2], ["BTC"])


def test_the_liquidator_is_found_and_its_prints_are_no_prices(records: Records) -> None:
    assert records.liquidators == {"vault"}
    assert records.customers == ["ann", "bob", "maker"]
    assert records.fills["seized"].sum() == 2
    later = snapshots(records, np.array(["maker"], object), np.array([ns(6.5)]), inclusive=True)
    assert VenuePrices(records).at(later).price.tolist() == [1489.0]
    at_once = snapshots(records, np.array(["ann"], object), np.array([ns(6)]), inclusive=False)
    seen = VenuePrices(records).at(at_once)
    assert (seen.price.tolist(), seen.age_seconds.tolist()) == ([1485.0], [3600.0])


def test_withdrawals_tell_the_side(records: Records) -> None:
    found = check_sides(records)
    assert (found.withdrawals, found.emptied_bid_bought, found.emptied_bid_sold) == (1, 1, 0)


def one_bar(low: float, high: float) -> BarPrices:
    shape = {n: np.full((1, 24), 1500.0) for n in ("open", "close", "volume", "funding_rate")}
    shape |= {"low": np.full((1, 24), low), "high": np.full((1, 24), high)}
    return BarPrices({"ETH": MarketPanel(("ETH",), 60, ns(0), **shape, source=("perp",))})


def test_the_engine_decides(records: Records) -> None:
    found = engine.at_liquidations(records, VenuePrices(records), one_bar(1471.0, 1510.0))
    # 105 of cash, 1.5 long from 1530: worth 37.5 at 1485, 16.5 at 1471, 36 at 1484; 1% of the notional is 22 or 23
    assert found.verdicts["venue"].equity.tolist() == [37.5]
    assert [STATES[v.state[0]] for v in found.verdicts.values()] == ["below_initial", "liquidation", "below_initial"]
    assert engine.rules_check(found)["cross_below_maintenance"] == 1
    assert (found.own_fills, found.closed_flat) == (1, 1)
    summary = engine.summary(found, "bars")
    assert (summary["valued"], summary["liquidation"], summary["notional_within_2pct"]) == (1, 1, 1)


def test_what_has_no_price_is_named(records: Records) -> None:
    found = engine.at_liquidations(records, VenuePrices(records), BarPrices({}))
    assert engine.refusals(found, "bars") == {"no price of ETH": 1}
    assert engine.summary(found, "bars")["valued"] == 0


def test_quiet_hours_leave_the_hour_before_out(records: Records) -> None:
    hours = engine.account_hours(records)
    ann = hours.take(hours.user == "ann")
    assert ((ann.time - ns(0)) // HOUR_NS).tolist() == [1, 2, 3, 4, 5]
    minutes = engine.minutes_to_event(records, ann)
    assert minutes.tolist() == [300.0, 240.0, 180.0, 120.0, 60.0]
    quiet = engine.quiet_hours(ann, minutes, engine.judge(ann, one_bar(1400.0, 1600.0).at(ann)))
    # at 1400 equity is -25, -245 and 3 times 105 - 195
    assert (quiet["account_hours"], quiet["liquidation"], quiet["equity_not_positive"]) == (4, 4, 4)
    quiet = engine.quiet_hours(ann, minutes, engine.judge(ann, one_bar(1530.0, 1600.0).at(ann)))
    assert quiet["liquidation"] == 0


def test_auc_and_recall_with_weights_and_ties() -> None:
    rng = np.random.default_rng(3)
    score, hit = rng.integers(0, 20, 400) / 20, rng.random(400) < 0.1
    weight = rng.integers(0, 4, 400).astype(np.float64)
    ranked = ranking.Ranked(score, hit)
    again = np.repeat(np.arange(400), weight.astype(int))
    assert ranked.auc(np.ones(400)) == pytest.approx(auc(score, hit.astype(float)))
    assert ranked.auc(weight) == pytest.approx(auc(score[again], hit[again].astype(float)))
    tied = ranking.Ranked(np.array([0.9, 0.5, 0.5, 0.1]), np.array([False, True, False, True]))
    assert [tied.recall(np.ones(4), b) for b in (0.25, 0.5, 0.75, 1.0)] == [0.0, 0.25, 0.5, 1.0]


def test_intervals_hold_the_value() -> None:
    rng = np.random.default_rng(5)
    p = rng.random(600)
    hit, users = rng.random(600) < 0.3 * p, np.array([f"u{i % 40}" for i in range(600)], object)
    found = ranking.rank({"a": p, "b": rng.random(600)}, hit, users, draws=200)
    value, low, high = found["auc a - b"]
    assert low < value < high
    assert value == pytest.approx(found["auc a"][0] - found["auc b"][0])
    ratio, low, high = ranking.expected_over_observed(0.3 * p, hit, users, draws=200)
    assert low < ratio < high
    assert ratio == pytest.approx(0.3 * p.sum() / hit.sum())


@pytest.fixture(scope="module")
def market() -> MarketPanel:
    """A hundred days before the fills and two after, ETH worth 1500 an hour before the liquidation."""
    panel = simulate_market(("BTC", "ETH"), days=102, seed=1, start=DAY.date() - pd.Timedelta(days=100))
    factor = np.array([[1.0], [1500.0 / panel.close[1, int(panel.row_closed(ns(5)))]]])
    prices = {n: getattr(panel, n) * factor for n in ("open", "high", "low", "close")}
    return replace(panel, **prices)


@pytest.fixture(scope="module")
def model(market: MarketPanel) -> MarginCallPredictor:
    """Trees that say nothing: the prior answers."""
    x = np.zeros((200, len(FEATURE_NAMES)), np.float32)
    data = lgb.Dataset(x, np.arange(200) % 2, params={"verbosity": -1, "feature_pre_filter": False})
    booster = lgb.train({"objective": "binary", "verbosity": -1, "num_threads": 1}, data, 1)
    prior = PriorModel.fit(market, market.start + 90 * DAY_NS, paths=128)
    return MarginCallPredictor(booster, prior, FEATURE_NAMES)


def test_states_without_bars_are_told(records: Records, market: MarketPanel) -> None:
    states = snapshots(records, np.array(["ann", "bob"], object), np.array([ns(5), ns(7.2)]), inclusive=True)
    assert ahead.with_bars(states, market).tolist() == [True, True]
    assert ahead.with_bars(states, market.select(["BTC"])).tolist() == [False, True]


def test_the_hour_before(records: Records, market: MarketPanel, model: MarginCallPredictor) -> None:
    found = ahead.hour_before(records, market, model)
    assert (found.counts["forecast"], found.counts["a coin without bars"]) == (1, 0)
    assert found.changed.tolist() == [False]
    # 105 of cash and 1.5 long from 1530 at 1500: equity 60, maintenance 22.5
    assert found.outlook.burden[0] == pytest.approx(22.5 / 60)
    assert found.outlook.sound.tolist() == [True]
    assert 0 < found.outlook.model.p_liquidation[0, 0] <= found.outlook.model.p_call[0, 0] <= 1
    blind = ahead.hour_before(records, market.select(["BTC"]), model)
    assert (blind.counts["forecast"], blind.counts["a coin without bars"]) == (0, 1)


def test_the_page_is_written(records: Records, market: MarketPanel, model: MarginCallPredictor) -> None:
    hours = engine.account_hours(records)
    forecasts = {
        "market": {"BTC": "simulated", "ETH": "simulated"},
        "model": {},
        "hour_before": ahead.describe(ahead.hour_before(records, market, model)),
        "account_hours": ahead.account_hours_study(records, hours, market, model, draws=20),
    }
    study = forecasts["account_hours"]
    assert study["all"]["60"]["rows_before_an_event"] == 1
    assert study["all"]["60"]["events"] == 1
    about = {"accounts": 4, "fills": len(FILLS), "customers": 3, "liquidations": 1, "liquidated": 1}
    sides = asdict(check_sides(records))
    found = about | {"sides": sides, "engine": study_engine(records, one_bar(1471.0, 1510.0)), "ahead": forecasts}
    page = markdown(found)
    assert "| Binance bar, adverse extreme | 1 | 1 | 0 | 0 | none | 1 |" in page
    assert "1 of 1 withdrawals" in page
    assert max(len(line) for line in page.split("\n") if not line.startswith("|")) <= 120
    assert "one hour before" in table(found)


def test_figures_are_json() -> None:
    value = {"a": [np.float64("nan"), np.int64(3), float("inf")], 1: np.bool_(True)}
    assert json.loads(json.dumps(plain(value))) == {"a": [None, 3, None], "1": True}


@pytest.mark.realdata
def test_the_real_files(data_root: Path) -> None:
    real = read_records(data_root)
    sides = check_sides(real)
    assert sides.emptied_bid_bought > 30
    assert sides.emptied_bid_sold == 0
    bars = load_bars(data_root, ["BTC", "ETH", "SOL", "LTC", "DOGE"], "2023-02-26", "2023-05-03")
    assert bars.panels["BTC"].step == 5 * MINUTE_NS
    found = engine.at_liquidations(real, VenuePrices(real), bars)
    assert (found.own_fills, found.closed_flat) == (69, 69)
    rules = engine.rules_check(found)
    assert (rules["cross"], rules["cross_below_maintenance"]) == (54, 54)
    seen = engine.summary(found, "bars")
    assert seen["notional_within_2pct"] == seen["valued"] == 30
    assert seen["liquidation"] >= 15
