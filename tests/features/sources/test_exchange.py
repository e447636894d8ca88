"""Fetching through ccxt, with an exchange that lives in memory and pages like a real one."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.sources import load_panel, read_funding
from features.sources.exchange import fetch_exchange
from models.errors import InputError

HOUR = 3_600_000
START = 1_735_689_600_000


class FakeExchange:
    id = "fake"
    has = {"fetchFundingRateHistory": True, "fetchLeverageTiers": True}  # noqa: RUF012

    def __init__(self, hours: int, page: int) -> None:
        self.hours, self.page, self.calls, self.failures = hours, page, 0, 0

    def milliseconds(self) -> int:
        return START + self.hours * HOUR + 5 * 60_000

    def fetch_ohlcv(
        self, symbol: str, timeframe: str, since: int, limit: int, params: dict[str, Any]
    ) -> list[list[float]]:
        assert (timeframe, params) == ("1h", {"price": "mark"})
        self.calls += 1
        first = max(0, -(-(since - START) // HOUR))
        stop = min(first + min(limit, self.page), self.hours + 1)  # the last bar is still open
        return [[START + i * HOUR, 100 + i, 101 + i, 99 + i, 100.5 + i, 1] for i in range(first, stop)]

    def fetch_funding_rate_history(self, symbol: str, since: int, limit: int) -> list[dict[str, Any]]:
        rows = [{"timestamp": START + i * 8 * HOUR, "fundingRate": 1e-4 * i} for i in range(self.hours // 8 + 1)]
        return [row for row in rows if row["timestamp"] >= since][:2]

    def fetch_leverage_tiers(self, symbols: list[str]) -> dict[str, Any]:
        return {symbol: [{"tier": 1}] for symbol in symbols}


def test_pages_are_joined_and_the_open_bar_is_left_out(tmp_path: Path) -> None:
    client = FakeExchange(hours=30, page=7)
    rows = fetch_exchange(client, ["BTC/USDT:USDT"], tmp_path, start="2025-01-01")
    assert client.calls == 5
    panel = load_panel(tmp_path, ["BTC"], venue="fake")
    assert (panel.n_bars, panel.source) == (30, ("mark",))
    assert np.array_equal(panel.open[0], 100.0 + np.arange(30))
    assert read_funding(tmp_path, "fake").rate.tolist() == [0.0, 1e-4, 2e-4, pytest.approx(3e-4)]
    assert [row["rows"] for row in rows] == [30, 4, 1]
    tiers = json.loads((tmp_path / rows[-1]["file"]).read_text())
    assert tiers == {"BTC/USDT:USDT": [{"tier": 1}]}


def test_fetching_again_extends_the_file(tmp_path: Path) -> None:
    fetch_exchange(FakeExchange(10, 100), ["BTC/USDT:USDT"], tmp_path, start="2025-01-01")
    fetch_exchange(FakeExchange(20, 100), ["BTC/USDT:USDT"], tmp_path, start="2025-01-01T08:00Z")
    assert load_panel(tmp_path, ["BTC"], venue="fake").n_bars == 20


def test_unknown_kind_and_no_symbol_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="kind: expected one of mark, perp, spot, was 'index'"):
        fetch_exchange(FakeExchange(1, 1), ["BTC/USDT:USDT"], tmp_path, kind="index")
    with pytest.raises(InputError, match="symbols: expected one or more"):
        fetch_exchange(FakeExchange(1, 1), [], tmp_path)
    with pytest.raises(InputError, match="symbol: expected closed mark bars"):
        fetch_exchange(FakeExchange(5, 5), ["BTC/USDT:USDT"], tmp_path, start="2030-01-01")


class NetworkError(Exception):
    """Named as ccxt's, which need not be installed."""


def test_network_errors_are_tried_again_and_others_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr("features.sources.exchange.time.sleep", rests.append)
    client = FakeExchange(5, 100)
    answer, client.failures = client.fetch_ohlcv, 2

    def flaky(*arguments: Any) -> list[list[float]]:
        client.failures -= 1
        if client.failures >= 0:
            raise NetworkError
        return answer(*arguments)

    monkeypatch.setattr(client, "fetch_ohlcv", flaky)
    fetch_exchange(client, ["BTC/USDT:USDT"], tmp_path, start="2025-01-01")
    assert rests == [1.0, 2.0]
    client.failures = 99
    with pytest.raises(NetworkError):
        fetch_exchange(client, ["BTC/USDT:USDT"], tmp_path, start="2025-01-01")
    monkeypatch.setattr(client, "fetch_ohlcv", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fetch_exchange(client, ["BTC/USDT:USDT"], tmp_path, start="2025-01-01")
    assert rests[2:] == [1.0, 2.0, 4.0]


def test_a_page_without_bars_is_hopped_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeExchange(5, 100)
    answer, asked = client.fetch_ohlcv, []

    def windowed(symbol: str, bar: str, since: int, limit: int, params: dict[str, Any]) -> list[list[float]]:
        asked.append(since)
        return [row for row in answer(symbol, bar, since, limit, params) if row[0] < since + limit * HOUR]

    monkeypatch.setattr(client, "fetch_ohlcv", windowed)
    fetch_exchange(client, ["BTC/USDT:USDT"], tmp_path, start="2024-10-01")
    assert len(asked) == 3, "92 days are 2208 hours: two empty pages of 1000, then the bars"
    assert load_panel(tmp_path, ["BTC"], venue="fake").n_bars == 5


def test_ccxt_that_is_not_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(InputError, match=r"exchange: expected ccxt, which is not installed: pip install"):
        fetch_exchange("binanceusdm", ["BTC/USDT:USDT"], tmp_path)
