"""A synchronous client of the app, and requests with defaults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

import httpx
from fastapi import FastAPI

__all__ = ["Client", "request_of"]


class Client(AbstractContextManager["Client"]):
    """Runs the app with its lifespan on a loop of its own."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self._loop = asyncio.new_event_loop()
        self._lifespan = app.router.lifespan_context(app)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://test")

    def __enter__(self) -> Client:
        self._loop.run_until_complete(self._lifespan.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run_until_complete(self._http.aclose())
        self._loop.run_until_complete(self._lifespan.__aexit__(None, None, None))
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run something on the loop of the app."""
        return self._loop.run_until_complete(work)

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> httpx.Response:
        """Send a request; a body that is not bytes is sent as JSON."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = ({} if body is None else {"content-type": "application/json"}) | (headers or {})
        return self._loop.run_until_complete(self._http.request(method, path, content=content, headers=sent))

    def get(self, path: str, **more: Any) -> httpx.Response:
        """GET a path."""
        return self._loop.run_until_complete(self._http.get(path, **more))

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        """POST bytes as they are, or a value as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json"} | (headers or {})
        return self._loop.run_until_complete(self._http.post(path, content=content, headers=sent))


def request_of(end_ns: int, minutes_ago: float = 0.0, **more: Any) -> dict[str, Any]:
    """Return the JSON of one account: long BTC on USDT and BTC."""
    as_of = datetime.fromtimestamp(end_ns / 1e9, UTC) - timedelta(minutes=minutes_ago)
    return {
        "account_id": "desk-7",
        "as_of": as_of.isoformat(),
        "ruleset": "generic-linear",
        "currency": "USDT",
        "collateral": [{"asset": "USDT", "quantity": 2_000.0}, {"asset": "BTC", "quantity": 0.01}],
        "positions": [{"symbol": "BTC/USDT:USDT", "quantity": 1.5, "entry_price": 20_000.0}],
    } | more
