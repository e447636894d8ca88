"""GET /v1/events: Server-Sent Events of a tenant."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from models.errors import InputError
from serving.openapi import problem_answers
from serving.problems import ProblemError
from serving.routes._hot import live_of, runtime_of
from serving.security import Role, need_tenant

__all__ = ["router"]

router = APIRouter(tags=["alerts"])
_STREAM = {"description": "Events", "content": {"text/event-stream": {"schema": {"type": "string"}}}}


@router.get(
    "/v1/events",
    summary="Alerts as they happen, as Server-Sent Events",
    openapi_extra={"responses": {"200": _STREAM, **problem_answers(400, 401, 404, 409, 422, 429, 503)}},
)
async def events(
    request: Request,
    after: Annotated[int | None, Query(ge=0, le=2**62, description="Number of the last event seen.")] = None,
    last_event_id: Annotated[str | None, Header(description="The same, as browsers send it.")] = None,
) -> Response:
    """Stream the events after ``Last-Event-ID`` (or ``after``), then each new one; without either, only new ones.

    Numbers rise by one without a gap, so a reader that comes back with the last one it saw misses nothing.
    """
    principal, live, runtime = need_tenant(request, Role.READ), live_of(request), runtime_of(request)
    seq = after
    if last_event_id is not None:
        if not last_event_id.isdecimal() or len(last_event_id) > 18:
            raise InputError("Last-Event-ID", last_event_id, "the number of an event")
        seq = int(last_event_id)
    if live.hub.streams >= runtime.settings.max_streams:
        detail = f"There are {live.hub.streams} streams of events already; try again."
        raise ProblemError(503, "too_many_streams", detail, headers={"Retry-After": "5"})
    header = request.headers.get("authorization", "").encode()

    async def alive() -> bool:
        if runtime.stopping.is_set() or await request.is_disconnected():
            return False
        known = await runtime.directory.find(header) if header else None
        return known is None or known.principal is not None

    stream = live.hub.stream(principal.tenant or "", seq, alive)
    return StreamingResponse(
        stream, media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
