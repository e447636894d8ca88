"""POST /v1/recommendations."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from models.rebalance import Target
from models.rebalance.joint import Weighing
from serving.openapi import body_of, json_answer, problem_answers
from serving.routes._hot import answer, read_body, run_sized, runtime_of
from serving.security import Role, need

__all__ = ["router"]

router = APIRouter(tags=["recommendations"])
_ALWAYS_IN_THREAD = 1_000_000


@router.post(
    "/v1/recommendations",
    summary="The smallest top-up or reduction that brings P(call) under a target, or what may be released or exchanged",
    openapi_extra={
        "requestBody": body_of("Account", "RecommendationRequest"),
        "responses": {
            "200": json_answer("RecommendationResponse", "DeskResponse"),
            **problem_answers(400, 401, 403, 413, 415, 422, 429, 503),
        },
    },
)
async def recommend(request: Request) -> Response:
    """Recommend; ``target`` is PROBABILITY@MINUTES (else the policy's, else 0.01@1440), ``policy`` what may be done.

    Where it brings no policy that of the desk holds, else that of the server. With ``desk`` all accounts are planned
    together on the places and routes of the policy: for the target, or, with ``worth``, for what saves the most.
    """
    tenant = need(request, Role.PREDICT).tenant
    runtime = runtime_of(request)
    accounts, target, given = runtime.decode_recommendation(await read_body(request))
    policy = given or await runtime.policy_of(tenant)

    def work() -> Response:
        if accounts.desk:
            weighing = None if accounts.worth is None else Weighing(accounts.worth)
            every = accounts.every_minutes
            found = runtime.engine.recommend_desk(accounts, target, policy, accounts.front, weighing, every)
            return answer(found)
        return answer(runtime.engine.recommend(accounts, target or policy.limits.goal or Target(), policy))

    return await run_sized(runtime, _ALWAYS_IN_THREAD, work)
