"""/v1/settings/policy: what a desk may do, by which plans are made and the last safe minute is counted."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from sqlalchemy import Connection, select, update
from starlette.requests import Request
from starlette.responses import Response

from models.rebalance import Policy
from serving.asks import DeskPolicy
from serving.decode import decode_value
from serving.live.telling import desk_policy
from serving.openapi import body_of, json_answer, problem_answers
from serving.problems import ProblemError
from serving.routes._hot import answer, read_body, runtime_of
from serving.security import Principal, Role, need_tenant
from serving.security.audit import note
from serving.store.tables import tenants

__all__ = ["router"]

router = APIRouter(tags=["alerts"])
_READ = (400, 401, 404, 409, 429, 503)
_EXPECTED = (403, *_READ)
_policy = msgspec.json.Decoder(Policy)
_EXAMPLE = {
    "eligible_assets": ["USDT"],
    "places": {"vault": {"inventory": {"USDT": 500000}}},
    "routes": [{"name": "chain", "source": "vault", "to": ["*"], "assets": ["USDT"], "lag": [[0.5, 10], [0.95, 45]]}],
}


@router.get(
    "/v1/settings/policy",
    summary="What the desk may do",
    openapi_extra={"responses": {"200": json_answer("DeskPolicy"), **problem_answers(*_READ)}},
)
async def policy(request: Request) -> Response:
    """Give the policy that holds for the desk: its own, else that of the server."""
    runtime, tenant = runtime_of(request), need_tenant(request, Role.READ).tenant or ""
    store = runtime.database

    def work(connection: Connection) -> Policy | None:
        _settings(connection, tenant)
        return desk_policy(connection, tenant)

    own = await runtime.io(lambda: store.query(work))
    return answer(DeskPolicy(own=own is not None, policy=own or runtime.policy))


@router.put(
    "/v1/settings/policy",
    summary="Set what the desk may do",
    openapi_extra={
        "requestBody": body_of("Policy", example=_EXAMPLE),
        "responses": {"200": json_answer("DeskPolicy"), **problem_answers(413, 415, 422, 507, *_EXPECTED)},
    },
)
async def set_policy(request: Request) -> Response:
    """Set the whole policy; it holds from the next request and the next scoring on."""
    principal = need_tenant(request, Role.OPERATE)
    wanted = decode_value(_policy, await read_body(request))
    await _write(request, principal, msgspec.json.decode(msgspec.json.encode(wanted)))
    return answer(DeskPolicy(own=True, policy=wanted))


@router.delete(
    "/v1/settings/policy",
    summary="Go back to the policy of the server",
    status_code=204,
    openapi_extra={"responses": {"204": {"description": "Gone"}, **problem_answers(507, *_EXPECTED)}},
)
async def drop_policy(request: Request) -> Response:
    """Take the policy of the desk out; where there is none this changes nothing."""
    await _write(request, need_tenant(request, Role.OPERATE), None)
    return Response(status_code=204)


async def _write(request: Request, principal: Principal, kept: dict[str, Any] | None) -> None:
    runtime = runtime_of(request)
    store, tenant, now = runtime.database, principal.tenant or "", runtime.clock()

    def work(connection: Connection) -> None:
        settings = {**_settings(connection, tenant, lock=True), "policy": kept}
        connection.execute(update(tenants).where(tenants.c.id == tenant).values(settings=settings))
        note(connection, principal, "settings.policy", tenant, kept, now)

    await runtime.io(lambda: store.run(work, idempotent=True))


def _settings(connection: Connection, tenant: str, lock: bool = False) -> dict[str, Any]:
    wanted = select(tenants.c.settings).where(tenants.c.id == tenant)
    row = connection.execute(wanted.with_for_update() if lock else wanted).one_or_none()
    if row is None:
        raise ProblemError(404, "not_found", f"There is no tenant {tenant!r}.")
    return row.settings or {}
