"""Pure ASGI middleware: body limit, time limit. No per-request objects beyond what is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from serving.asgi import App, Message, Receive, Scope, Send, refuse
from serving.problems import ProblemError, problem_body

__all__ = ["BodyLimit", "TimeLimit"]


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
        await refuse(send, 413, body, ((b"connection", b"close"),))


def _too_many(most: int) -> str:
    return f"The body is larger than {most} bytes; send fewer accounts in one request."


class TimeLimit:
    """Answer 503 when a request takes longer than allowed; streams of events last as long as their reader stays."""

    def __init__(self, app: App, seconds: float, unlimited: frozenset[str] = frozenset()) -> None:
        self.app = app
        self.seconds = seconds
        self.unlimited = unlimited

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["path"] in self.unlimited:
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
            await refuse(send, 503, body, ((b"retry-after", b"5"),))
