"""A small simulated market on disk and the app on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from features.sources import simulate_market, write_panel
from models.market import MarketPanel
from models.typing import MINUTE_NS
from serving.app import create_app
from serving.settings import Settings
from serving.store import Store, open_store, upgrade
from serving.store.engine import database_url, make_engine
from tests.serving.client import Client, request_of
from tests.serving.databases import KINDS, database_of
from tests.serving.desks import Desk, desk_of

AGE_MINUTES = 10


@pytest.fixture(scope="session")
def panel() -> MarketPanel:
    """Return a simulated market of three assets."""
    return simulate_market(("BTC", "ETH", "SOL"), days=60, seed=1)


@pytest.fixture(scope="session")
def market(panel: MarketPanel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with that market."""
    root = tmp_path_factory.mktemp("market")
    write_panel(panel, root)
    return root


@pytest.fixture(scope="session")
def now(panel: MarketPanel) -> int:
    """Return the instant at which the server believes to be."""
    return panel.end + AGE_MINUTES * MINUTE_NS


@pytest.fixture(scope="session")
def client(market: Path, now: int) -> Iterator[Client]:
    """Return a client of the app without a model."""
    settings = Settings(market=str(market), refresh_seconds=0, max_body_bytes=400_000, max_accounts=500)
    with Client(create_app(settings, lambda: now)) as found:
        yield found


@pytest.fixture(scope="session")
def price(panel: MarketPanel) -> float:
    """Return the last BTC price."""
    return float(panel.close[panel.column("BTC"), -1])


@pytest.fixture
def request_json(now: int, price: float) -> dict[str, object]:
    """Return one account at risk, as JSON."""
    leg = {"symbol": "BTC/USDT:USDT", "quantity": 1.5, "entry_price": price}
    return request_of(now, 5, positions=[leg])


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the address of an empty database, of each kind in turn."""
    with database_of(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """Return a store with tables and nothing in them."""
    engine = make_engine(database_url(database))
    upgrade(engine)
    engine.dispose()
    found = open_store(database, wait_seconds=5.0)
    yield found
    found.close()


@pytest.fixture
def desk(store: Store, database: str) -> Iterator[Desk]:
    """Return a server without a market, with two tenants."""
    with desk_of(store, database, max_body_bytes=100_000, max_bulk_bytes=2_000_000, max_bulk_accounts=600) as found:
        yield found
