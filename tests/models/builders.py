"""Builders with defaults for the tests of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from models.account import Account, Collateral, Position
from models.book import Book
from models.market import MarketPanel

AS_OF = datetime(2025, 3, 1, 12, tzinfo=UTC)
AS_OF_NS = int(AS_OF.timestamp()) * 1_000_000_000


def position(
    symbol: str = "BTC/USDT:USDT", quantity: float = 1.0, entry_price: float = 50_000.0, **more: Any
) -> Position:
    """Return a position."""
    return Position(symbol=symbol, quantity=quantity, entry_price=entry_price, **more)


def account(
    positions: Sequence[Position] = (),
    cash: float = 10_000.0,
    collateral: Sequence[tuple[str, float]] = (),
    **more: Any,
) -> Account:
    """Return an account with a USDT balance and other collateral."""
    settings: dict[str, Any] = {"account_id": "a", "as_of": AS_OF, "ruleset": "generic-linear", "currency": "USDT"}
    balances = [Collateral(asset="USDT", quantity=cash), *(Collateral(asset=a, quantity=q) for a, q in collateral)]
    return Account(collateral=tuple(balances), positions=tuple(positions), **(settings | more))


def book(*accounts: Account, assets: Sequence[str] = ("BTC", "ETH", "SOL")) -> Book:
    """Return a book of good accounts."""
    out, failures = Book.from_accounts(accounts, assets)
    assert failures == []
    return out


def panel(
    close: Any,
    *,
    assets: Sequence[str] | None = None,
    spread: float = 0.002,
    bar_minutes: int = 60,
    start: int = AS_OF_NS,
) -> MarketPanel:
    """Return a panel whose bars open at the close before and reach `spread` beyond both ends."""
    close = np.atleast_2d(np.asarray(close, np.float64))
    open_ = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    names = tuple(assets) if assets is not None else ("BTC", "ETH", "SOL", "XRP", "LTC")[: len(close)]
    return MarketPanel(
        names,
        bar_minutes,
        start,
        open_,
        np.maximum(open_, close) * (1 + spread),
        np.minimum(open_, close) * (1 - spread),
        close,
        np.full_like(close, np.nan),
        np.zeros_like(close),
        ("simulated",) * len(close),
    )


def walk(hours: int, assets: int = 2, seed: int = 0, sigma: float = 0.006) -> MarketPanel:
    """Return a correlated random walk with slowly moving volatility, as hourly bars with true ranges."""
    rng = np.random.default_rng(seed)
    level = np.exp(np.cumsum(rng.normal(0, 0.05, hours)) * 0.3)
    level = sigma * np.clip(level / np.median(level), 0.3, 3.0)
    steps = 12
    market = rng.normal(size=(1, hours, steps))
    own = rng.normal(size=(assets, hours, steps))
    moves = (0.8 * market + 0.6 * own) * (level / np.sqrt(steps))[None, :, None]
    path = np.cumsum(moves.reshape(assets, -1), axis=1).reshape(assets, hours, steps)
    before = np.concatenate([np.zeros((assets, 1)), path[:, :-1, -1]], axis=1)[:, :, None]
    whole = (
        np.exp(np.concatenate([before, path], axis=2)) * np.array([50_000.0, 3_000, 150, 2, 90])[:assets, None, None]
    )
    names = ("BTC", "ETH", "SOL", "XRP", "LTC")[:assets]
    return MarketPanel(
        names,
        60,
        1_609_459_200_000_000_000,
        np.ascontiguousarray(whole[:, :, 0]),
        whole.max(axis=2),
        whole.min(axis=2),
        np.ascontiguousarray(whole[:, :, -1]),
        np.full((assets, hours), np.nan),
        np.zeros((assets, hours)),
        ("simulated",) * assets,
    )
