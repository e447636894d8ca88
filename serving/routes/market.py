"""POST /v1/market/bars: closed bars of the market come in."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from serving.live.bars import decode_bars
from serving.openapi import body_of, json_answer, problem_answers
from serving.routes._hot import answer, live_of, read_body, runtime_of
from serving.security import Role, need_service

__all__ = ["router"]

router = APIRouter(tags=["market"])
EXAMPLE = {
    "bars": [
        {
            "asset": "BTC",
            "timestamp": "2025-03-01T12:00:00Z",
            "open": 84100.0,
            "high": 84520.5,
            "low": 83990.0,
            "close": 84310.0,
            "volume": 812.4,
        }
    ]
}


@router.post(
    "/v1/market/bars",
    summary="Closed bars; accounts are scored again once a bar is complete",
    openapi_extra={
        "requestBody": body_of("BarBatch", example=EXAMPLE),
        "responses": {
            "200": json_answer("BarReport"),
            **problem_answers(400, 401, 403, 409, 413, 415, 422, 429, 503, 507),
        },
    },
)
async def put_bars(request: Request) -> Response:
    """Store bars for all tenants; what is counted is committed. Sending a bar again changes nothing.

    A bar that differs from the one that is there replaces it, and the accounts are scored on the market as it is
    known now. Bars that are wrong come back under ``failures``; the others are stored.
    """
    runtime = runtime_of(request)
    need_service(request, Role.OPERATE)
    live = live_of(request)
    bars = decode_bars(await read_body(request), runtime.settings.max_bars)
    return answer(await runtime.io(lambda: live.ingest(bars, "http")))
