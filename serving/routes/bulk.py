"""POST /v1/predictions/bulk: accounts and predictions as Arrow."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from features.sources.accounts import chunks_of_twins
from serving.bulk.score import score
from serving.bulk.streams import MEDIA_TYPE, read_tables, write_answer
from serving.openapi import problem_answers, stream_of
from serving.problems import ProblemError
from serving.routes._hot import run_sized, runtime_of
from serving.runtime import Runtime
from serving.security import Role, need
from serving.tracing import span

__all__ = ["router"]

router = APIRouter(tags=["predictions"])
_CHUNK = 10_000
_IN_THREAD = 1_000_000
_BODY = "Three Arrow IPC streams, one after the other: accounts, positions, collateral, with the columns of the files."
_ANSWER = "Two Arrow IPC streams: a row for each account and horizon, then the accounts that were not computed."


@router.post(
    "/v1/predictions/bulk",
    summary="P(call) and P(liquidation) of many accounts, as Arrow",
    openapi_extra={
        "requestBody": {"required": True, **stream_of(MEDIA_TYPE, _BODY)},
        "responses": {
            "200": stream_of(MEDIA_TYPE, _ANSWER),
            **problem_answers(400, 401, 403, 413, 415, 422, 429, 503),
        },
    },
)
async def predict_bulk(request: Request) -> Response:
    """Predict for tables of accounts; the numbers are those of ``POST /v1/predictions``."""
    need(request, Role.PREDICT)
    runtime = runtime_of(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != MEDIA_TYPE:
        detail = f"Content-Type: expected {MEDIA_TYPE}, was {kind!r}"
        raise ProblemError(415, "unsupported_media_type", detail, headers={"Accept": MEDIA_TYPE})
    body = await request.body()
    return await run_sized(runtime, _IN_THREAD, lambda: Response(_predicted(runtime, body), media_type=MEDIA_TYPE))


def _predicted(runtime: Runtime, body: bytes) -> bytes:
    with span("decode"):
        twins = read_tables(body, runtime.settings.max_bulk_accounts)
    engine = runtime.engine
    with span("predict"):
        pieces, failures = score(engine, chunks_of_twins(twins, _CHUNK))
    runtime.metrics.accounts.inc(len(twins))
    if failures:
        runtime.metrics.failures.inc(len(failures))
    about = {"model_version": engine.model.version, "market_as_of": engine.market().as_of.isoformat()}
    return write_answer(pieces, failures, about)
