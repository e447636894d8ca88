"""The door: who asks is known, and not too often, before anything else is looked at."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.errors import StoreError
from serving.problems import PROBLEM_TYPE, problem_body
from serving.security.directory import Directory
from serving.security.limits import Bucket

__all__ = ["Door", "SecurityHeaders"]

_GUARDED = ("/v1/", "/v2/models", "/v2/repository")
_POLICY = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", _POLICY),
)


class Door:
    """Ask for a key under the guarded paths, put the principal into the scope, and keep each key to its rate.

    Parameters
    ----------
    app : ASGI application
        What is behind it.
    directory : Directory
        Says who asks.
    """

    def __init__(self, app: ASGIApp, directory: Directory) -> None:
        self.app = app
        self._directory = directory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or not scope["path"].startswith(_GUARDED):
            await self.app(scope, receive, send)
            return
        header = next((v for k, v in scope["headers"] if k == b"authorization"), b"")
        try:
            found = await self._directory.find(header)
        except StoreError as error:
            await _refuse(send, 503, error.code, str(error), scope, ((b"retry-after", b"5"),))
            return
        if found.principal is None:
            detail = "Send 'Authorization: Bearer KEY' with a key that is valid."
            await _refuse(send, 401, "unauthorized", detail, scope, ((b"www-authenticate", b"Bearer"),))
            return
        scope["principal"] = found.principal
        if found.bucket is not None:
            now = self._directory.monotonic()
            wait = found.bucket.take(now)
            if wait > 0:
                await _slow_down(send, scope, found.bucket, wait, now)
                return
            send = _with_headers(send, found.bucket.headers(now))
        await self.app(scope, receive, send)


class SecurityHeaders:
    """Add to every answer what keeps browsers from doing more with it than showing it.

    Parameters
    ----------
    app : ASGI application
        What is behind it. Headers that it sets itself stay: a page with a style of its own says so.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", ())
                own = {name for name, _ in headers}
                message["headers"] = [*headers, *(pair for pair in _HEADERS if pair[0] not in own)]
            await send(message)

        await self.app(scope, receive, guarded)


def _with_headers(send: Send, more: list[tuple[bytes, bytes]]) -> Send:
    async def limited(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *more]
        await send(message)

    return limited


async def _slow_down(send: Send, scope: Scope, bucket: Bucket, wait: float, now: int) -> None:
    detail = f"This key may ask {bucket.rate:g} times a second; try again in {math.ceil(wait)} s."
    more = ((b"retry-after", b"%d" % math.ceil(wait)), *bucket.headers(now))
    await _refuse(send, 429, "too_many_requests", detail, scope, more)


async def _refuse(
    send: Callable[[Message], Awaitable[None]],
    status: int,
    code: str,
    detail: str,
    scope: Scope,
    more: tuple[tuple[bytes, bytes], ...],
) -> None:
    body = problem_body(status, code, detail, instance=scope["path"])
    headers = [(b"content-type", PROBLEM_TYPE.encode()), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
