"""Bars from an exchange that speaks ccxt, and a market that falls silent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from models.errors import InputError
from models.typing import HOUR_NS, MINUTE_NS
from serving.live.poll import Poller
from tests.serving.desks import Desk
from tests.serving.live.test_service import BASE, NEW, WHOLE, files, live, register, send, step

__all__ = ["files", "live"]
FIRST = WHOLE.n_bars - NEW


class Exchange:
    """Answers as ccxt does, from the simulated market; some symbols may fail."""

    def __init__(self, broken: Sequence[str] = ()) -> None:
        self.has = {"fetchFundingRateHistory": True}
        self.broken = broken
        self.asked: list[tuple[str, str, int, dict[str, str]]] = []

    def fetch_ohlcv(
        self, symbol: str, timeframe: str, since: int, limit: int, params: dict[str, str]
    ) -> list[list[Any]]:
        self.asked.append((symbol, timeframe, since, params))
        asset = symbol.split("/")[0]
        if asset in self.broken:
            raise ConnectionError("the exchange is away")
        row = WHOLE.column(asset)
        first = max(0, int(-(-(since * 10**6 - WHOLE.start) // WHOLE.step)))
        names = ("open", "high", "low", "close", "volume")
        return [
            [(WHOLE.start + t * WHOLE.step) // 10**6, *(float(getattr(WHOLE, n)[row, t]) for n in names)]
            for t in range(first, min(WHOLE.n_bars, first + limit))
        ]

    def fetch_funding_rate_history(self, symbol: str, since: int, limit: int) -> list[dict[str, Any]]:
        row = WHOLE.column(symbol.split("/")[0])
        paid = [t for t in range(WHOLE.n_bars) if WHOLE.funding_rate[row, t]]
        stamps = [((WHOLE.start + t * WHOLE.step) // 10**6 + 3, float(WHOLE.funding_rate[row, t])) for t in paid]
        return [{"timestamp": at, "fundingRate": rate} for at, rate in stamps if at >= since][:limit]


def symbols(*assets: str) -> list[str]:
    return [f"{asset}/USDT:USDT" for asset in assets]


def test_closed_bars_come_with_their_funding_and_no_others(live: Desk) -> None:
    exchange = Exchange()
    assert live.runtime.live is not None
    poller = Poller(exchange, symbols("BTC", "ETH", "SOL"), live.runtime.live)
    live.clock.now = WHOLE.start + (FIRST + 3) * WHOLE.step + MINUTE_NS  # three of the five have closed
    assert live.runtime.live.poll(poller) == 9
    step(live)
    panel = live.runtime.engine.panel
    assert panel.end == WHOLE.start + (FIRST + 3) * WHOLE.step
    for name in ("open", "high", "low", "close", "volume", "funding_rate"):
        assert (getattr(panel, name)[:, -3:] == getattr(WHOLE, name)[:, FIRST : FIRST + 3]).all()
    assert live.runtime.live.poll(poller) == 0  # asked again: from where it was, nothing new
    assert exchange.asked[-1][2] == panel.end // 10**6
    assert exchange.asked[0][1] == "1h"


def test_an_asset_whose_exchange_fails_does_not_hold_up_the_others(live: Desk) -> None:
    exchange = Exchange(broken=("ETH",))
    assert live.runtime.live is not None
    poller = Poller(exchange, symbols("BTC", "ETH", "SOL"), live.runtime.live)
    live.clock.now = WHOLE.start + (FIRST + 1) * WHOLE.step
    assert live.runtime.live.poll(poller) == 2
    exchange.broken = ()
    assert live.runtime.live.poll(poller) == 1


def test_two_symbols_of_one_asset_are_refused() -> None:
    for wrong in ([], ["BTC/USDT:USDT", "BTC/USDC:USDC"]):
        with pytest.raises(InputError, match="poll_symbols"):
            Poller(Exchange(), wrong, None)  # type: ignore[arg-type]


def test_a_silent_market_is_told_once_and_its_end_too(live: Desk) -> None:
    register(live, "desk-7")
    part = live.runtime.live
    assert part is not None
    assert part.watch_silence() == 0
    live.clock.now = BASE.end + 4 * HOUR_NS
    assert part.watch_silence() == 2  # both tenants
    assert part.watch_silence() == 0
    found = live.ask("GET", "/v1/alerts?kind=stale&open=true", who="a.read").json()["alerts"]
    assert [(a["account_id"], a["severity"], a["message"]) for a in found] == [
        ("", "critical", "the market: the newest price is 240 minutes old")
    ]
    for column in range(FIRST, FIRST + 4):
        send(live, column)
    step(live)
    assert part.watch_silence() == 2
    assert live.ask("GET", "/v1/alerts?kind=stale&open=true", who="a.read").json()["alerts"] == []
