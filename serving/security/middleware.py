"""The door: who asks is known, and not too often, before anything else is looked at."""

from __future__ import annotations

import math

from models.errors import StoreError
from serving.asgi import App, Message, Receive, Scope, Send, refuse
from serving.metrics import Metrics
from serving.problems import problem_body
from serving.security.directory import Directory
from serving.security.limits import Bucket
from serving.security.principal import NO_TENANT, TENANT_HEADER, Principal

__all__ = ["Door", "SecurityHeaders"]

Headers = tuple[tuple[bytes, bytes], ...]
_GUARDED = ("/v1/", "/v2/models", "/v2/repository")
_TENANT = TENANT_HEADER.lower().encode()
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
    app : App
        What is behind it.
    directory : Directory
        Says who asks.
    metrics : Metrics
        Count who is turned away.
    """

    def __init__(self, app: App, directory: Directory, metrics: Metrics) -> None:
        self.app = app
        self._directory = directory
        self._refused = metrics.refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or not scope["path"].startswith(_GUARDED):
            await self.app(scope, receive, send)
            return
        header = next((v for k, v in scope["headers"] if k == b"authorization"), b"")
        try:
            found = await self._directory.find(header)
            await self._look_for_tenant(scope, found.principal)
        except StoreError as error:
            body = problem_body(503, error.code, str(error), instance=scope["path"])
            await self._turn_away("store", send, 503, body, ((b"retry-after", b"5"),))
            return
        if found.principal is None:
            detail = "Send 'Authorization: Bearer KEY' with a key that is valid."
            body = problem_body(401, "unauthorized", detail, instance=scope["path"])
            await self._turn_away("unauthorized", send, 401, body, ((b"www-authenticate", b"Bearer"),))
            return
        scope["principal"] = found.principal
        if found.bucket is not None:
            now = self._directory.monotonic()
            wait = found.bucket.take(now)
            if wait > 0:
                body, more = _too_often(scope, found.bucket, wait, now)
                await self._turn_away("rate_limit", send, 429, body, more)
                return
            send = _with_headers(send, found.bucket.headers(now))
        await self.app(scope, receive, send)

    async def _look_for_tenant(self, scope: Scope, found: Principal | None) -> None:
        """Note a tenant that a key of the whole service names and that is not there, for `need_tenant`."""
        if found is None or found.tenant is not None:
            return
        named = next((v for k, v in scope["headers"] if k == _TENANT), b"").decode("latin-1")
        if named and not await self._directory.has_tenant(named):
            scope[NO_TENANT] = named

    async def _turn_away(self, reason: str, send: Send, status: int, body: bytes, more: Headers) -> None:
        self._refused.labels(reason).inc()
        await refuse(send, status, body, more)


class SecurityHeaders:
    """Add to every answer what keeps browsers from doing more with it than showing it.

    Parameters
    ----------
    app : App
        What is behind it. Headers that it sets itself stay: a page with a style of its own says so.
    """

    def __init__(self, app: App) -> None:
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
    async def limited(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *more]
        await send(message)

    return limited


def _too_often(scope: Scope, bucket: Bucket, wait: float, now: int) -> tuple[bytes, Headers]:
    seconds = math.ceil(wait)
    detail = f"This key may ask {bucket.rate:g} times a second; try again in {seconds} s."
    body = problem_body(429, "too_many_requests", detail, instance=scope["path"])
    return body, ((b"retry-after", b"%d" % seconds), *bucket.headers(now))
