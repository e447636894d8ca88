"""Pure ASGI middleware: request id, body limit, time limit. No per-request objects beyond what is needed."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from serving.problems import PROBLEM_TYPE, ProblemError, problem_body

__all__ = ["BodyLimit", "RequestId", "TimeLimit"]

_log = logging.getLogger("margincast.serving")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


async def _refuse(send: Send, status: int, body: bytes, extra: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    headers = [(b"content-type", PROBLEM_TYPE.encode()), (b"content-length", str(len(body)).encode()), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class RequestId:
    """Give every answer an ``X-Request-ID``: the caller's where it is sane, else a new one.

    It is the outermost layer, so it also turns what nobody foresaw into a problem, and logs it under the id.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self._stem = secrets.token_hex(4).encode()
        self._count = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((v for k, v in scope["headers"] if k == b"x-request-id"), b"")
        name = given if 0 < len(given) <= 64 and given.isascii() and given.replace(b"-", b"").isalnum() else None
        ident = name or b"%s-%x" % (self._stem, next(self._count))

        started = False

        async def tagged(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", ident)]
            await send(message)

        try:
            await self.app(scope, receive, tagged)
        except Exception:
            _log.exception("unexpected error at %s, request %s", scope["path"], ident.decode())
            if started:
                raise
            detail = "The server failed; its log has the reason under the request id."
            await _refuse(tagged, 500, problem_body(500, "internal_error", detail, instance=scope["path"]))


class BodyLimit:
    """Refuse bodies above a size with 413, before or while they arrive; nothing beyond the limit is kept.

    `larger` gives the limits of paths that take more.
    """

    def __init__(self, app: App, max_bytes: int, larger: Mapping[str, int] | None = None) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self._larger = dict(larger or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = self._larger.get(scope["path"], self.max_bytes)
        declared = next((v for k, v in scope["headers"] if k == b"content-length"), b"")
        if declared.isdigit() and int(declared) > most:
            await self._too_large(scope, send, most)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > most:
                    raise ProblemError(413, "body_too_large", _too_many(most), headers={"Connection": "close"})
            return message

        await self.app(scope, counted, send)

    async def _too_large(self, scope: Scope, send: Send, most: int) -> None:
        body = problem_body(413, "body_too_large", _too_many(most), instance=scope["path"])
        await _refuse(send, 413, body, ((b"connection", b"close"),))


def _too_many(most: int) -> str:
    return f"The body is larger than {most} bytes; send fewer accounts in one request."


class TimeLimit:
    """Answer 503 when a request takes longer than allowed."""

    def __init__(self, app: App, seconds: float) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            async with asyncio.timeout(self.seconds):
                await self.app(scope, receive, noted)
        except TimeoutError:
            if started:
                raise
            detail = f"No answer within {self.seconds:g} seconds; send fewer accounts in one request."
            body = problem_body(503, "timeout", detail, instance=scope["path"])
            await _refuse(send, 503, body, ((b"retry-after", b"5"),))
