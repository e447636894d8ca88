"""What of a market is loaded: the assets that matter, from some days before the first account on."""

from pathlib import Path

import pytest

from features.sources import load_panel, to_ns
from margincast.cli.books import read_chunks
from margincast.cli.markets import MarketWindow
from models.errors import InputError
from models.typing import DAY_NS
from tests.cli.conftest import Write, account, position


def test_only_what_the_accounts_hold_and_the_model_needs(write: Write, market: Path) -> None:
    chunk = next(read_chunks(write(account(positions=[position(symbol="ETH/USDT:USDT")])), 10))
    assert MarketWindow(market).panel_for(chunk).assets == ("ETH",)
    assert MarketWindow(market, always=("BTC", "DOGE")).panel_for(chunk).assets == ("BTC", "ETH")
    assert MarketWindow(market, always=None).panel_for(chunk).assets == ("BTC", "ETH")
    assert MarketWindow(market, assets=("BTC",)).panel_for(chunk).assets == ("BTC",)


def test_days_before_the_first_account_inside_the_market(write: Write, market: Path) -> None:
    whole = load_panel(market)
    early, late = (
        next(read_chunks(write(account("a", when)), 10)) for when in ("2021-01-01T00:00:00Z", "2030-01-01T00:00:00Z")
    )
    middle = next(read_chunks(write(account()), 10))
    assert MarketWindow(market, days=3).panel_for(middle).start == to_ns("2022-03-07")
    assert MarketWindow(market, days=3).panel_for(early).start == whole.start
    assert MarketWindow(market, days=3).panel_for(late).start == whole.end - whole.step - 3 * DAY_NS


def test_it_grows_with_later_chunks_and_is_read_once_otherwise(write: Write, market: Path) -> None:
    window = MarketWindow(market, days=3)
    first = window.panel_for(next(read_chunks(write(account("a", "2022-02-10T00:00:00Z")), 10)))
    again = window.panel_for(next(read_chunks(write(account("b", "2022-02-20T00:00:00Z")), 10)))
    assert again is first
    other = account("c", "2022-01-20T00:00:00Z", positions=[position(symbol="ETH/USDT:USDT")])
    grown = window.panel_for(next(read_chunks(write(other), 10)))
    assert (grown.assets, grown.start) == (("BTC", "ETH"), to_ns("2022-01-17"))


def test_nothing_after_the_end_is_read(write: Write, market: Path) -> None:
    at = to_ns("2022-02-10T05:30:00")
    chunk = next(read_chunks(write(account()), 10, at))
    assert chunk.accounts["as_of"].tolist() == [at]
    assert MarketWindow(market, days=3, end=at).panel_for(chunk).end == to_ns("2022-02-10T05:00:00")
    with pytest.raises(InputError, match="--at: expected a time after the first bar"):
        MarketWindow(market, days=3, end=to_ns("2021-01-01")).panel_for(chunk)
