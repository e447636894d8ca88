"""GET /livez, /readyz and /metrics."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from serving.openapi import json_answer, text_answer
from serving.problems import PROBLEM_TYPE, problem_body
from serving.routes._hot import answer, runtime_of

__all__ = ["router"]

router = APIRouter(tags=["health"])


@router.get("/livez", summary="The process runs", openapi_extra={"responses": {"200": text_answer()}})
async def livez() -> Response:
    """Say that the process runs."""
    return Response(b"ok\n", media_type="text/plain")


@router.get(
    "/readyz",
    summary="Requests can be answered",
    openapi_extra={"responses": {"200": json_answer("Ready"), "503": json_answer("Problem", media_type=PROBLEM_TYPE)}},
)
async def readyz(request: Request) -> Response:
    """Say whether there is a market and a model; without a model the prior answers, and this says so."""
    ready = runtime_of(request).ready()
    if ready.status == "ready":
        return answer(ready)
    body = problem_body(503, "not_ready", ready.reason, instance="/readyz")
    return Response(body, 503, {"Retry-After": "5"}, PROBLEM_TYPE)


@router.get("/metrics", summary="Metrics for Prometheus", openapi_extra={"responses": {"200": text_answer()}})
async def metrics(request: Request) -> Response:
    """Give the metrics of this process, as Prometheus text or OpenMetrics."""
    body, kind = runtime_of(request).metrics.render(request.headers.get("accept", ""))
    return Response(body, headers={"content-type": kind})
