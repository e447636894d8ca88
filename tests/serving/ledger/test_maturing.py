"""Maturing: the outcomes are those of the labels in training, cut where the owner acted, known as time passes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from sqlalchemy import Connection, select

from features.answer import BIT, Forecast
from features.moment import moment_at
from features.sources import simulate_market
from models.account import Account, Collateral, Position
from models.book import Book
from models.margin.replay import Replay, replay
from models.market import MarketPanel
from models.prior import PriorModel
from models.typing import DAY_NS, HORIZONS, HOUR_NS, MINUTE_NS
from serving.accounts import Entry, change, delete, entry_of, shard_of
from serving.ledger import Said, append, maturing
from serving.ledger.calibration import EDGES, Sums, add, score, summary
from serving.ledger.maturing import Matured, due, mature
from serving.ledger.outcomes import OUTCOME, judge, pack_outcomes, unpack_outcomes
from serving.ledger.page import ROW
from serving.ledger.report import calibration, week_rows
from serving.store import Store
from serving.store.tables import ledger_outcomes, ledger_pages
from tests.serving.ledger.builders import forecast_of, tenant_of
from training.evaluate.metrics import log_loss
from training.labels import label

SHARDS = 2


@pytest.fixture(scope="module")
def panel() -> MarketPanel:
    return simulate_market(("BTC", "ETH"), days=75, seed=3)


def _account(name: str, panel: MarketPanel, bar: int, equity: float, **more: object) -> Account:
    """Return an account that is long BTC with so much equity for each dollar of the position."""
    price = float(panel.close[panel.column("BTC"), bar - 1])
    return Account(
        account_id=name,
        as_of=_when(panel.start + bar * panel.step),
        ruleset="generic-linear",
        currency="USDT",
        collateral=(Collateral(asset="USDT", quantity=equity * price),),
        positions=(Position(symbol="BTC/USDT:USDT", quantity=1.0, entry_price=price),),
    )


def _when(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / 1e9, UTC)


@dataclass
class Desk:
    """A tenant whose accounts are told and scored as a server does it."""

    store: Store
    panel: MarketPanel

    def tell(self, accounts: list[Account], now_ns: int) -> None:
        entries: list[Entry] = [entry_of(account) for account in accounts]
        self.store.run(lambda c: change(self.store, c, "a", entries, now_ns, "k"))

    def remove(self, name: str, now_ns: int) -> None:
        self.store.run(lambda c: delete(self.store, c, "a", name, now_ns, "k"))

    def say(self, accounts: list[Account], bar: int, version: int = 1, kind: str = "round") -> None:
        """Score accounts at the close of a bar."""
        close = self.panel.start + bar * self.panel.step
        for shard in range(SHARDS):
            mine = [a for a in accounts if shard_of(a.account_id, SHARDS) == shard]
            if mine:
                seen = forecast_of(len(mine))
                self.store.run(lambda c, m=mine, s=shard, f=seen: self._append(c, m, s, f, close, version, kind))

    def _append(
        self, c: Connection, mine: list[Account], shard: int, seen: Forecast, close: int, version: int, kind: str
    ) -> None:
        names, digest = [a.account_id for a in mine], [entry_of(a).digest for a in mine]
        versions = np.full(len(mine), version, np.int64)
        said = Said("a", shard, kind, close, close + 1, 0, "prior", names, versions, digest, seen)
        append(c, self.store.lock_shard(c, "a", shard), said)

    def until(self, bar: int) -> MarketPanel:
        """Return the market as it is known at the close of a bar."""
        return self.panel.slice(0, bar)

    def outcomes(self) -> dict[tuple[str, int], np.void]:
        """Return what is known of each account and page close."""
        from serving.ledger.page import unpack

        p, o, found = ledger_pages.c, ledger_outcomes.c, {}
        joined = (p.tenant_id == o.tenant_id) & (p.shard == o.shard) & (p.page == o.page)
        rows = self.store.query(
            lambda c: c.execute(select(p.body.label("said"), p.close_ns, o.body).where(joined)).all()
        )
        for row in rows:
            came = unpack_outcomes(bytes(row.body))
            for i, name in enumerate(unpack(bytes(row.said)).account_ids()):
                found[name, row.close_ns] = came[i]
        return found

    def versions(self) -> dict[tuple[str, int], tuple[float, ...]]:
        """Return what is known of each account and version; -1 where nothing came."""
        from serving.ledger.page import unpack

        p, o, found = ledger_pages.c, ledger_outcomes.c, {}
        joined = (p.tenant_id == o.tenant_id) & (p.shard == o.shard) & (p.page == o.page)
        for row in self.store.query(lambda c: c.execute(select(p.body.label("said"), o.body).where(joined)).all()):
            page, came = unpack(bytes(row.said)), unpack_outcomes(bytes(row.body))
            for name, said, one in zip(page.account_ids(), page.rows, came, strict=True):
                found[name, int(said["version"])] = tuple(float(np.nan_to_num(x, nan=-1.0, posinf=np.inf)) for x in one)
        return found


@pytest.fixture
def desk(store: Store, panel: MarketPanel) -> Desk:
    tenant_of(store, "a", SHARDS)
    return Desk(store, panel)


BAR, BAR_LATE = 240, 24 * 65


def _ladder(panel: MarketPanel, n: int = 30) -> list[Account]:
    return [_account(f"x{i}", panel, BAR, 0.02 + 0.004 * i) for i in range(n)]


def test_outcomes_are_the_labels_of_training(desk: Desk, panel: MarketPanel) -> None:
    accounts = _ladder(panel)
    desk.tell(accounts, panel.end)
    desk.say(accounts, BAR)
    assert mature(desk.store, desk.until(BAR + 73), 5) == Matured(2, 30, 0)
    found = desk.outcomes()
    book, _ = Book.from_accounts(accounts, panel.assets)
    expected = label(book, panel)
    rows = np.array([found[a.account_id, panel.start + BAR * panel.step] for a in accounts], OUTCOME)
    assert np.array_equal(rows["minutes_to_call"], expected.minutes[:, 0].astype("f4"), equal_nan=True)
    assert np.array_equal(rows["minutes_to_liquidation"], expected.minutes[:, 1].astype("f4"), equal_nan=True)
    verdict = judge(rows)
    assert np.array_equal(verdict.called, expected.y[:, 0])
    assert np.array_equal(verdict.known, expected.usable[:, 0])
    assert 0 < verdict.called[:, 3].sum() < 30  # some of both kinds, else nothing was compared


def test_options_are_replayed_as_they_were_valued(desk: Desk, panel: MarketPanel) -> None:
    """Their volatility is that of the instant at which they were scored."""
    close = panel.start + BAR_LATE * panel.step
    price = float(panel.close[panel.column("BTC"), BAR_LATE - 1])
    expiry, strike = _when(close + 20 * DAY_NS), round(price / 1000) * 1000
    short = Position(symbol=f"BTC/USD:BTC-{expiry:%y%m%d}-{strike}-C", quantity=-1.0, entry_price=0.05)
    accounts = [
        Account(
            account_id=f"o{i}", as_of=_when(close), ruleset="deribit-standard", currency="BTC",
            collateral=(Collateral(asset="BTC", quantity=0.2 + 0.02 * i),), positions=(short,),
        )
        for i in range(12)
    ]  # fmt: skip
    desk.tell(accounts, panel.end)
    desk.say(accounts, BAR_LATE)
    mature(desk.store, desk.until(BAR_LATE + 72), 5)
    book, failures = Book.from_accounts(accounts, panel.assets)
    assert failures == []
    whole = moment_at(panel.slice(0, BAR_LATE), close, PriorModel.fit(panel), None).valued(book)
    expected = label(whole, panel).minutes[:, 0].astype("f4")
    found = desk.outcomes()
    rows = np.array([found[a.account_id, close] for a in accounts], OUTCOME)
    assert np.array_equal(rows["minutes_to_call"], expected, equal_nan=True)
    assert 0 < np.isfinite(expected).sum() < 12
    assert not rows["gap"].any()


def test_what_is_known_grows_with_the_market(desk: Desk, panel: MarketPanel) -> None:
    accounts = _ladder(panel)
    desk.tell(accounts, panel.end)
    desk.say(accounts, BAR)
    known = {}
    for bars in (0, 1, 3, 4, 24, 71, 72, 90):
        done = mature(desk.store, desk.until(BAR + bars), 5)
        again = mature(desk.store, desk.until(BAR + bars), 5)
        assert again == Matured()
        rows = np.array(list(desk.outcomes().values()), OUTCOME)
        known[bars] = (done.pages, [int(k) for k in judge(rows).known.all(axis=0)] if len(rows) else None)
    assert known == {
        0: (0, None),
        1: (2, [1, 0, 0, 0]),
        3: (0, [1, 0, 0, 0]),
        4: (2, [1, 1, 0, 0]),
        24: (2, [1, 1, 1, 0]),
        71: (0, [1, 1, 1, 0]),
        72: (2, [1, 1, 1, 1]),
        90: (0, [1, 1, 1, 1]),
    }


def test_steps_lead_to_what_one_step_leads_to(desk: Desk, panel: MarketPanel) -> None:
    accounts = _ladder(panel)
    desk.tell(accounts, panel.end)
    desk.say(accounts, BAR)
    for bars in (1, 4, 24, 72):
        mature(desk.store, desk.until(BAR + bars), 5)
    by_steps = desk.outcomes()
    desk.say(accounts, BAR)  # the same again, matured at once
    mature(desk.store, desk.until(BAR + 72), 5)
    assert {key: bytes(row) for key, row in desk.outcomes().items()} == {k: bytes(v) for k, v in by_steps.items()}


def test_who_acts_is_censored_at_that_instant(desk: Desk, panel: MarketPanel) -> None:
    accounts = [_account(name, panel, BAR, 0.5) for name in ("topped", "told-again", "gone", "still")]
    desk.tell(accounts, panel.start + BAR * panel.step)
    desk.say(accounts, BAR)
    close = panel.start + BAR * panel.step
    later = {a.account_id: msgspec.structs.replace(a, as_of=_when(close + 90 * MINUTE_NS)) for a in accounts}
    richer = msgspec.structs.replace(later["topped"], collateral=(Collateral(asset="USDT", quantity=9e9),))
    desk.tell([later["told-again"], richer], panel.end)
    desk.tell([msgspec.structs.replace(richer, as_of=_when(close + 95 * MINUTE_NS))], panel.end)
    desk.remove("gone", close + 30 * MINUTE_NS)
    mature(desk.store, desk.until(BAR + 72), 5)
    found = desk.outcomes()
    acted = {name: float(found[name, close]["acted_minutes"]) for name in later}
    assert acted == {"topped": 90.0, "told-again": np.inf, "gone": 30.0, "still": np.inf}
    verdict = judge(np.array([found[name, close] for name in later], OUTCOME))
    assert verdict.known.tolist() == [[True, False, False, False], [True] * 4, [False] * 4, [True] * 4]
    assert verdict.censored.tolist() == [[False, True, True, True], [False] * 4, [True] * 4, [False] * 4]
    total = desk.store.query(lambda c: calibration(c, "a", 0)).horizons
    assert [(s.n, s.censored) for s in total] == [(3, 1), (2, 2), (2, 2), (2, 2)]


def test_a_call_before_the_owner_acted_counts(panel: MarketPanel) -> None:
    rows = np.array([(60.0, np.nan, 4320, 90.0, False), (120.0, np.nan, 4320, 90.0, False)], OUTCOME)
    verdict = judge(rows)
    assert verdict.called.tolist() == [[True] * 4, [False] * 4]
    assert verdict.known.tolist() == [[True] * 4, [True, False, False, False]]


def test_each_version_is_replayed_with_its_own_state(desk: Desk, panel: MarketPanel) -> None:
    poor, rich = _account("x", panel, BAR, 0.02), _account("x", panel, BAR + 1, 5.0)
    desk.tell([poor], panel.end)
    desk.say([poor], BAR)
    desk.tell([rich], panel.end)
    desk.say([rich], BAR + 1, version=2)
    mature(desk.store, desk.until(BAR + 80), 5)
    found = desk.outcomes()
    poor_row, rich_row = (found["x", panel.start + bar * panel.step] for bar in (BAR, BAR + 1))
    assert np.isfinite(poor_row["minutes_to_call"])
    assert np.isnan(rich_row["minutes_to_call"])


def test_pages_of_one_bar_together_are_what_each_is_alone(
    desk: Desk, panel: MarketPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"n{i}" for i in range(12)]
    accounts = [_account(name, panel, BAR, 0.02 + 0.03 * i) for i, name in enumerate(names)]
    desk.tell(accounts, panel.end)
    desk.say(accounts, BAR)
    close = panel.start + BAR * panel.step
    for version in (2, 3):  # told twice within the bar, each time with other positions
        size = Position(
            symbol="BTC/USDT:USDT", quantity=float(version), entry_price=accounts[0].positions[0].entry_price
        )
        later = {"as_of": _when(close + 20 * version * MINUTE_NS), "positions": (size,)}
        told = [msgspec.structs.replace(a, **later) for a in accounts[:5]]
        desk.tell(told, panel.end)
        desk.say(told, BAR, version=version, kind="account")
    calls: list[int] = []
    whole = replay

    def counted(book: Book, market: MarketPanel, minutes: int) -> Replay:
        calls.append(len(book))
        return whole(book, market, minutes)

    monkeypatch.setattr(maturing, "replay", counted)
    found = []
    for most in (50_000, 1):
        monkeypatch.setattr(maturing, "_MOST_ROWS", most)
        assert mature(desk.store, desk.until(BAR + 80), 5) == Matured(6, 22, 0)
        found.append(desk.versions())
        desk.store.run(lambda c: c.execute(ledger_outcomes.delete()))
    assert found[0] == found[1]
    assert (len(calls), sum(calls[:2]), sum(calls[2:])) == (8, 22, 22)  # two shards; three pages in each
    acted = {version: found[0]["n0", version][3] for version in (1, 2, 3)}
    assert acted == {1: 40.0, 2: 0.0, 3: np.inf}  # the bar after which the second was told ends when the third was


def test_told_within_a_bar_is_walked_from_the_next(desk: Desk, panel: MarketPanel) -> None:
    account = msgspec.structs.replace(
        _account("x", panel, BAR, 0.02), as_of=_when(panel.start + BAR * panel.step + 20 * MINUTE_NS)
    )
    desk.tell([account], panel.end)
    desk.say([account], BAR, kind="account")
    assert mature(desk.store, desk.until(BAR + 72), 5).pages == 1
    assert desk.store.query(lambda c: due(c, desk.until(BAR + 72))) == []
    mature(desk.store, desk.until(BAR + 73), 5)
    (row,) = desk.outcomes().values()
    book, _ = Book.from_accounts([account], panel.assets)
    assert row["minutes_to_call"] == np.float32(label(book, panel).minutes[0, 0])
    assert judge(np.array([row], OUTCOME)).known.all()


def test_a_missing_bar_is_not_judged(desk: Desk, panel: MarketPanel) -> None:
    account = _account("x", panel, BAR, 0.5)
    desk.tell([account], panel.end)
    desk.say([account], BAR)
    holed = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close")}
    for column in holed.values():
        column[panel.column("BTC"), BAR + 2] = np.nan
    mature(desk.store, replace(panel, **holed).slice(0, BAR + 72), 5)
    (row,) = desk.outcomes().values()
    assert row["gap"]
    assert desk.store.query(lambda c: calibration(c, "a", 0)).horizons[3].n == 0


def test_before_the_panel_begins_nothing_is_due(desk: Desk, panel: MarketPanel) -> None:
    account = _account("x", panel, BAR, 0.5)
    desk.tell([account], panel.end)
    desk.say([account], BAR)
    assert desk.store.query(lambda c: due(c, panel.slice(BAR + 1, panel.n_bars))) == []
    assert len(desk.store.query(lambda c: due(c, panel))) == 1
    assert desk.store.query(lambda c: due(c, panel, "b")) == []


def _rows(p: list[float], **more: object) -> np.ndarray:
    out = np.zeros(len(p), ROW)
    out["p_call"] = np.array(p)[:, None]
    out["prior"] = 0.5 * out["p_call"]
    out["state"] = 1
    for name, value in more.items():
        out[name] = value
    return out


def _came(minutes: list[float]) -> np.ndarray:
    return np.array([(m, np.nan, 4320.0, np.inf, False) for m in minutes], OUTCOME)


def test_the_figures_are_those_of_their_definitions() -> None:
    p, minutes = [0.02, 0.02, 0.4, 0.95, 0.0], [np.nan, 30.0, 50.0, 10.0, np.nan]
    found = score(summary(_rows(p), _came(minutes)))[0]
    y = np.array([0.0, 1.0, 1.0, 1.0, 0.0])
    assert (found.n, found.called, found.expected, found.ratio) == (5, 3, pytest.approx(1.39), pytest.approx(1.39 / 3))
    assert found.log_loss == pytest.approx(log_loss(np.array(p), y))
    assert found.prior_log_loss == pytest.approx(log_loss(0.5 * np.array(p), y))
    assert found.brier == pytest.approx(np.mean((np.array(p) - y) ** 2))
    assert found.ece == pytest.approx((abs(0.04 - 1) + abs(0.4 - 1) + abs(0.95 - 1)) / 5)


def test_pages_add_up() -> None:
    random = np.random.default_rng(1)
    p, minutes = random.random(300), np.where(random.random(300) < 0.3, 30.0, np.nan)
    whole = summary(_rows(list(p)), _came(list(minutes)))
    parts = [summary(_rows(list(p[i::7])), _came(list(minutes[i::7]))) for i in range(7)]
    stored = [msgspec.convert(msgspec.json.decode(msgspec.json.encode(part)), list[Sums]) for part in parts]
    for a, b in zip(score(add(stored)), score(whole), strict=True):
        assert msgspec.structs.astuple(a) == pytest.approx(msgspec.structs.astuple(b))


@pytest.mark.parametrize("more", [
    {"state": 3}, {"state": 4}, {"state": -1}, {"flags": BIT["no_positions"]}, {"flags": BIT["in_call"]},
    {"p_call": np.nan},
])  # fmt: skip
def test_what_is_no_prediction_is_left_out(more: dict[str, object]) -> None:
    assert score(summary(_rows([0.5], **more), _came([30.0])))[0].n == 0


def test_the_edges_of_the_bins_are_in_them() -> None:
    sums = summary(_rows([*EDGES, 1.0]), _came([np.nan] * (len(EDGES) + 1)))[0]
    assert [count for count, _, _ in sums.bins] == [1] * (len(EDGES) - 1) + [2]


def test_weeks_begin_on_monday(desk: Desk, panel: MarketPanel) -> None:
    account = _account("x", panel, BAR, 0.5)
    desk.tell([account], panel.end)
    bars = range(24, 24 + 24 * 14, 12)
    for bar in bars:
        desk.say([msgspec.structs.replace(account, as_of=_when(panel.start + bar * panel.step))], bar)
    mature(desk.store, panel, 5)
    found = desk.store.query(lambda c: calibration(c, None, 0))
    counted: dict[str, int] = {}
    for bar in bars:
        year, week, _ = _when(panel.start + bar * panel.step).isocalendar()
        counted[f"{year}-W{week:02d}"] = counted.get(f"{year}-W{week:02d}", 0) + 1
    assert {week.week: week.horizons[3].n for week in found.weeks} == counted
    assert (found.pages, found.waiting, found.horizons[3].n) == (len(bars), 0, len(bars))
    rows = week_rows(found)
    assert [(row["week"], row["horizon_minutes"]) for row in rows] == [
        (week, h) for week in sorted(counted) for h in HORIZONS
    ]
    assert {row["week"]: row["n"] for row in week_rows(found, 4320)} == counted
    assert found.horizons[3].blocks == len({(panel.start + bar * panel.step) // (4 * DAY_NS) for bar in bars})
    half = desk.store.query(lambda c: calibration(c, "a", panel.start + 24 * HOUR_NS + 7 * DAY_NS))
    assert half.pages == len([b for b in bars if b * HOUR_NS >= 24 * HOUR_NS + 7 * DAY_NS])
    assert desk.store.query(lambda c: calibration(c, "b", 0)).pages == 0


def test_outcomes_come_back(panel: MarketPanel) -> None:
    rows = _came([1.0, np.nan])
    assert bytes(unpack_outcomes(pack_outcomes(rows))) == bytes(rows)
    assert len(HORIZONS) == judge(rows).known.shape[1]
