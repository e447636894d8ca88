"""The outermost layer: request ids, one log line and one measurement a request, trace spans, and nothing unforeseen."""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from typing import Any

from starlette.requests import ClientDisconnect

from serving.asgi import App, Message, Receive, Scope, Send, refuse
from serving.metrics import Metrics
from serving.problems import problem_body
from serving.tracing import Tracing

__all__ = ["Observe"]

_log = logging.getLogger("margincast.serving")
_access = logging.getLogger("margincast.access")

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_GONE = 499  # the caller went away before there was an answer


class Observe:
    """Give every answer an ``X-Request-ID``, measure it and log it; turn what nobody foresaw into a problem.

    The caller's id is kept where it is sane. The log has route and path, never a body, a query, or a key.
    """

    def __init__(self, app: App, metrics: Metrics, tracing: Tracing | None = None) -> None:
        self.app = app
        self._metrics = metrics
        self._tracing = tracing
        self._stem = secrets.token_hex(4).encode()
        self._count = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        seen = _Exchange(scope, send, self._ident(scope))
        self._metrics.in_progress.inc()
        try:
            if self._tracing is None:
                await self._answer(scope, receive, seen)
            else:
                with self._tracing.request(scope) as span:
                    await self._answer(scope, receive, seen)
                    self._tracing.answered(span, seen.route(), seen.status)
        finally:
            self._metrics.in_progress.dec()
            self._note(scope, seen)

    async def _answer(self, scope: Scope, receive: Receive, seen: _Exchange) -> None:
        try:
            await self.app(scope, receive, seen.send)
        except ClientDisconnect:  # nobody is there to be answered, and nothing is wrong here
            return
        except Exception:
            _log.exception("unexpected error at %s, request %s", scope["path"], seen.ident.decode())
            if seen.status:
                raise
            detail = "The server failed; its log has the reason under the request id."
            await refuse(seen.send, 500, problem_body(500, "internal_error", detail, instance=scope["path"]))

    def _ident(self, scope: Scope) -> bytes:
        given: bytes = next((v for k, v in scope["headers"] if k == b"x-request-id"), b"")
        if 0 < len(given) <= 64 and given.isascii() and given.replace(b"-", b"").isalnum():
            return given
        return b"%s-%x" % (self._stem, next(self._count))

    def _note(self, scope: Scope, seen: _Exchange) -> None:
        seconds = time.perf_counter() - seen.begun
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route, status = seen.route(), seen.status or _GONE
        self._metrics.answered(method, route, status, seconds)
        if _access.isEnabledFor(logging.INFO):
            fields: dict[str, Any] = {
                "request_id": seen.ident.decode(),
                "method": method,
                "route": route,
                "status": status,
                "duration_ms": round(seconds * 1e3, 3),
                "tenant": getattr(scope.get("principal"), "tenant", None) or "",
            }
            _access.handle(_line(f"{method} {route} {status}", fields))


def _line(message: str, fields: dict[str, Any]) -> logging.LogRecord:
    """A record, without a look at the stack for who logged it."""
    record = logging.LogRecord(_access.name, logging.INFO, __file__, 0, message, None, None)
    record.fields = fields
    return record


class _Exchange:
    """One request and what became of it."""

    __slots__ = ("_scope", "_send", "begun", "ident", "status")

    def __init__(self, scope: Scope, send: Send, ident: bytes) -> None:
        self.begun = time.perf_counter()
        self.ident = ident
        self.status = 0
        self._scope = scope
        self._send = send

    async def send(self, message: Message) -> None:
        """Pass on a message of the answer, the first with the request id."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.ident)]
        await self._send(message)

    def route(self) -> str:
        """Template of the route that matched: a label of bounded kinds, unlike the path."""
        route = self._scope.get("route")
        if route is not None:
            return str(route.path)
        plain = "endpoint" in self._scope and not self._scope.get("path_params")
        return str(self._scope["path"]) if plain else "unmatched"
