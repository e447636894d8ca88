"""A small simulated market on disk, accounts in files, and the command line in this process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from features.sources import simulate_market, write_panel
from features.sources.times import iso

Run = Callable[..., Any]
Write = Callable[..., Path]


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with 70 days of two assets, from 2022-01-01."""
    root = tmp_path_factory.mktemp("market")
    write_panel(simulate_market(("BTC", "ETH"), days=70, seed=1), root)
    return root


@pytest.fixture(scope="session")
def long_market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with 190 days of two assets, from 2022-01-01."""
    root = tmp_path_factory.mktemp("long")
    write_panel(simulate_market(("BTC", "ETH"), days=190, seed=5), root)
    return root


@pytest.fixture(scope="session")
def market_end() -> str:
    """Return the close of the last bar of `market`."""
    return iso(simulate_market(("BTC",), days=70, seed=1).end)


@pytest.fixture
def run() -> Run:
    """Return a function that runs the command line; output and error are kept apart."""
    from margincast.cli import app

    def call(*arguments: object) -> Any:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return call


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes accounts to a JSON Lines file."""

    def put(*accounts: dict[str, Any] | str, name: str = "accounts.jsonl") -> Path:
        path = tmp_path / name
        lines = [line if isinstance(line, str) else json.dumps(line) for line in accounts]
        path.write_text("\n".join(lines) + "\n")
        return path

    return put


def account(account_id: str = "a", as_of: str = "2022-03-10T00:00:00Z", **changes: Any) -> dict[str, Any]:
    """Build an account of one long BTC perpetual, with some fields changed."""
    position = {"symbol": "BTC/USDT:USDT", "quantity": 1.0, "entry_price": 40_000.0}
    whole: dict[str, Any] = {
        "account_id": account_id,
        "as_of": as_of,
        "ruleset": "generic-linear",
        "currency": "USDT",
        "collateral": [{"asset": "USDT", "quantity": 30_000.0}],
        "positions": [position],
    }
    return {**whole, **changes}


def position(**changes: Any) -> dict[str, Any]:
    """Build a position, with some fields changed."""
    return {"symbol": "BTC/USDT:USDT", "quantity": 1.0, "entry_price": 40_000.0, **changes}
