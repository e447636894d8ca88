"""POST /v1/predictions."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from serving.openapi import body_of, json_answer, problem_answers
from serving.routes._hot import answer, read_body, run_sized, runtime_of
from serving.security import Role, need

__all__ = ["router"]

router = APIRouter(tags=["predictions"])


@router.post(
    "/v1/predictions",
    summary="P(call) and P(liquidation) of one account or of a list",
    openapi_extra={
        "requestBody": body_of("Account", "AccountBatch"),
        "responses": {
            "200": json_answer("PredictionResponse"),
            **problem_answers(400, 401, 403, 413, 415, 422, 429, 503),
        },
    },
)
async def predict(request: Request) -> Response:
    """Predict; in a list, bad accounts come back under ``failures`` and the good ones are answered."""
    need(request, Role.PREDICT)
    runtime = runtime_of(request)
    accounts = runtime.decode_accounts(await read_body(request))
    if accounts.single and not accounts.explain and runtime.batches:
        return answer(await runtime.batcher.predict(accounts))
    return await run_sized(runtime, len(accounts.accounts), lambda: answer(runtime.engine.predict(accounts)))
