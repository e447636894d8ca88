"""ASGI's types, and a refusal that needs no request object."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from serving.problems import PROBLEM_TYPE

__all__ = ["App", "Message", "Receive", "Scope", "Send", "refuse"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


async def refuse(send: Send, status: int, body: bytes, extra: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    """Answer with a problem.

    Parameters
    ----------
    send : callable
        ASGI's.
    status : int
        HTTP status.
    body : bytes
        The problem.
    extra : tuple of pairs of bytes
        More headers.
    """
    headers = [(b"content-type", PROBLEM_TYPE.encode()), (b"content-length", str(len(body)).encode()), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
