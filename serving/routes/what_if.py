"""POST /v1/what-if."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from models.account import validate_account
from models.errors import InputError
from serving.decode import decode_value
from serving.openapi import EXAMPLE, body_of, json_answer, problem_answers
from serving.routes._hot import answer, read_body, run_sized, runtime_of
from serving.security import Role, need
from serving.what_if import WhatIfRequest
from serving.what_if import what_if as evaluate

__all__ = ["CHANGES", "router"]

router = APIRouter(tags=["recommendations"])
_request = msgspec.json.Decoder(WhatIfRequest)
_IN_THREAD = 1_000_000
CHANGES = {"collateral": [{"asset": "USDT", "quantity": 5000}], "prices": {"BTC": -0.05}}


@router.post(
    "/v1/what-if",
    summary="One account before and after changes: levels and P(call)",
    openapi_extra={
        "requestBody": body_of("WhatIfRequest", example={"account": EXAMPLE, "changes": CHANGES}),
        "responses": {
            "200": json_answer("WhatIfResponse"),
            **problem_answers(400, 401, 403, 413, 415, 422, 429, 503),
        },
    },
)
async def what_if(request: Request) -> Response:
    """Evaluate balances that come or go, positions closed or opened, and prices that move."""
    need(request, Role.PREDICT)
    runtime = runtime_of(request)
    asked = decode_value(_request, await read_body(request))
    try:
        validate_account(asked.account)
    except InputError as error:
        raise error.at(f"account.{error.field}") from None
    runtime.metrics.accounts.inc()

    def work() -> Response:
        engine = runtime.engine
        return answer(evaluate(engine.moment_of(asked.account), asked, engine.market(), engine.model.version))

    return await run_sized(runtime, _IN_THREAD, work)
