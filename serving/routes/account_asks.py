"""Questions about one registered account: why, what would help, what if. By the code that answers for accounts sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from models.account import Account
from models.rebalance import Policy, Target, parse_target
from serving.accounts import decode_body, find
from serving.asks import AccountChanges, PlanRequest
from serving.decode import Accounts, decode_value
from serving.engine import Engine
from serving.openapi import body_of, json_answer, problem_answers
from serving.routes._hot import answer, read_body, run_sized, runtime_of
from serving.routes.accounts import EXPECTED, Name, absent
from serving.routes.what_if import CHANGES
from serving.security import Role, need_tenant
from serving.what_if import WhatIfRequest
from serving.what_if import what_if as evaluate

__all__ = ["router"]

router = APIRouter(tags=["accounts"])
_plan = msgspec.json.Decoder(PlanRequest)
_changes = msgspec.json.Decoder(AccountChanges)
_ALWAYS_IN_THREAD = 1_000_000
_PLAN = {"target": "0.01@1440"}


@router.get(
    "/v1/accounts/{account_id}/explanation",
    summary="Why P(call) of a registered account is what it is",
    openapi_extra={"responses": {"200": json_answer("PredictionResponse"), **problem_answers(404, *EXPECTED)}},
)
async def explanation(request: Request, account_id: Name) -> Response:
    """Predict on the newest bar and explain; nothing is written to the ledger, the ETag is the state's version."""
    return await _ask(
        request, account_id, lambda engine, account: engine.predict(Accounts([account], [0], [], True, explain=True))
    )


@router.get(
    "/v1/accounts/{account_id}/plan",
    summary="What would bring P(call) of a registered account under a target",
    openapi_extra={"responses": {"200": json_answer("RecommendationResponse"), **problem_answers(404, *EXPECTED)}},
)
async def plan(
    request: Request,
    account_id: Name,
    target: Annotated[
        str | None, Query(max_length=50, description="PROBABILITY@MINUTES; that of the policy, else 0.01@1440.")
    ] = None,
) -> Response:
    """Recommend on the newest bar, by the policy of the desk, else that of the server."""
    goal = None if target is None else parse_target(target)
    return await _recommend(request, account_id, goal, None)


@router.post(
    "/v1/accounts/{account_id}/plan",
    summary="The same under a policy of the request",
    openapi_extra={
        "requestBody": body_of("PlanRequest", example=_PLAN),
        "responses": {
            "200": json_answer("RecommendationResponse"),
            **problem_answers(404, 413, 415, *EXPECTED),
        },
    },
)
async def plan_under(request: Request, account_id: Name) -> Response:
    """Recommend on the newest bar, under the target and the policy given."""
    need_tenant(request, Role.PREDICT)
    asked = decode_value(_plan, await read_body(request))
    goal = None if asked.target is None else parse_target(asked.target)
    return await _recommend(request, account_id, goal, asked.policy)


@router.post(
    "/v1/accounts/{account_id}/what-if",
    summary="A registered account before and after changes: levels and P(call)",
    openapi_extra={
        "requestBody": body_of("AccountChanges", example={"changes": CHANGES}),
        "responses": {"200": json_answer("WhatIfResponse"), **problem_answers(404, 413, 415, *EXPECTED)},
    },
)
async def what_if(request: Request, account_id: Name) -> Response:
    """Evaluate balances that come or go, positions closed or opened, and prices that move; nothing is stored."""
    need_tenant(request, Role.PREDICT)
    asked = decode_value(_changes, await read_body(request))

    def work(engine: Engine, account: Account) -> object:
        given = WhatIfRequest(account=account, changes=asked.changes)
        return evaluate(engine.moment_of(account), given, engine.market(), engine.model.version)

    return await _ask(request, account_id, work)


async def _recommend(request: Request, account_id: str, target: Target | None, given: Policy | None) -> Response:
    runtime, tenant = runtime_of(request), need_tenant(request, Role.PREDICT).tenant
    policy = given or await runtime.policy_of(tenant)
    goal = target or policy.limits.goal or Target()
    return await _ask(
        request, account_id, lambda engine, account: engine.recommend(Accounts([account], [0], [], True), goal, policy)
    )


async def _ask(request: Request, account_id: str, work: Callable[[Engine, Account], object]) -> Response:
    """Answer on the newest bar about the present state of an account of the tenant."""
    runtime, tenant = runtime_of(request), need_tenant(request, Role.PREDICT).tenant or ""
    store = runtime.database
    row = await runtime.io(lambda: store.query(lambda connection: find(connection, tenant, account_id)))
    if row is None:
        raise absent(account_id)
    runtime.metrics.accounts.inc()

    def found() -> Response:
        engine = runtime.engine
        return answer(work(engine, engine.standing(decode_body(bytes(row.body)))))

    reply = await run_sized(runtime, _ALWAYS_IN_THREAD, found)
    reply.headers["ETag"] = f'"{row.version}"'
    return reply
