"""What the POST routes share: media type, raw body, bytes out, big batches in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from serving.live.service import Live
from serving.problems import ProblemError
from serving.runtime import Runtime
from serving.tracing import carried

__all__ = ["answer", "live_of", "read_body", "run_sized", "runtime_of"]

_T = TypeVar("_T")
_encoder = msgspec.json.Encoder(decimal_format="number")


def runtime_of(request: Request) -> Runtime:
    """The server's state, set when the app was built."""
    runtime: Runtime = request.app.state.runtime
    return runtime


def live_of(request: Request) -> Live:
    """The live part of the server; 409 where it keeps nothing."""
    runtime = runtime_of(request)
    if runtime.live is None:
        runtime.database  # noqa: B018 - raises with the remedy
        raise AssertionError("a server with a database is live")
    return runtime.live


async def read_body(request: Request) -> bytes:
    """Read the raw body of a JSON request.

    Parameters
    ----------
    request : Request
        The request.

    Returns
    -------
    bytes
        Its body.

    Raises
    ------
    ProblemError
        415 for another media type, 400 for an empty body.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        detail = f"Content-Type: expected application/json, was {kind!r}"
        raise ProblemError(415, "unsupported_media_type", detail, headers={"Accept": "application/json"})
    body = await request.body()
    if not body:
        raise ProblemError(400, "malformed_json", 'The body is empty; send one account or {"accounts": [...]}.')
    return body


async def run_sized(runtime: Runtime, size: int, work: Callable[[], _T]) -> _T:
    """Do small work at once and big work in a thread, so that the loop stays free.

    Parameters
    ----------
    runtime : Runtime
        Holds the threads and the limit.
    size : int
        Number of accounts.
    work : callable
        What to do.

    Returns
    -------
    object
        What `work` returns.
    """
    if size <= runtime.settings.inline_accounts:
        return work()
    return await asyncio.get_running_loop().run_in_executor(runtime.pool, carried(work))


def answer(value: Any, status: int = 200) -> Response:
    """Encode an answer.

    Parameters
    ----------
    value : object
        A struct or dataclass.
    status : int
        HTTP status.

    Returns
    -------
    Response
        JSON.
    """
    return Response(_encoder.encode(value), status, media_type="application/json")
