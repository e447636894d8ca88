"""/v1/tenants: who keeps accounts here; for keys of the whole service only."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from serving.decode import decode_value
from serving.instants import instant
from serving.openapi import body_of, json_answer, problem_answers
from serving.routes._hot import answer, read_body, runtime_of
from serving.security import Principal, Role, need_service
from serving.security.audit import note
from serving.security.schemas import TenantInfo, TenantList, TenantRequest
from serving.security.tenants import create_tenant, list_tenants

__all__ = ["router"]

router = APIRouter(tags=["tenants"])
_request = msgspec.json.Decoder(TenantRequest)


@router.post(
    "/v1/tenants",
    summary="Make a tenant",
    status_code=201,
    openapi_extra={
        "requestBody": body_of("TenantRequest", example={"tenant": "desk", "name": "The desk", "shards": 4}),
        "responses": {
            "201": json_answer("TenantInfo"),
            **problem_answers(400, 401, 403, 409, 413, 415, 422, 429, 503, 507),
        },
    },
)
async def create(request: Request) -> Response:
    """Make a tenant; then make a key for it with ``POST /v1/keys`` and the header ``Margincast-Tenant``."""
    runtime, principal = runtime_of(request), need_service(request, Role.ADMIN)
    store, wanted, now = runtime.database, decode_value(_request, await read_body(request)), runtime.clock()

    def work(connection: Connection) -> None:
        create_tenant(connection, wanted.tenant, wanted.name, wanted.shards, now)
        mine = Principal(principal.key_id, wanted.tenant, principal.role)
        note(connection, mine, "tenant.create", wanted.tenant, {"shards": wanted.shards}, now)

    await runtime.io(lambda: store.run(work))
    made = TenantInfo(tenant=wanted.tenant, name=wanted.name, shards=wanted.shards, created=instant(now), disabled=None)
    return answer(made, 201)


@router.get(
    "/v1/tenants",
    summary="The tenants there are",
    openapi_extra={"responses": {"200": json_answer("TenantList"), **problem_answers(401, 403, 409, 429, 503)}},
)
async def tenants(request: Request) -> Response:
    """List the tenants."""
    runtime = runtime_of(request)
    need_service(request, Role.ADMIN)
    store = runtime.database
    found = [
        TenantInfo(
            tenant=row.id,
            name=row.name,
            shards=row.shards,
            created=instant(row.created_ns),
            disabled=None if row.disabled_ns is None else instant(row.disabled_ns),
        )
        for row in await runtime.io(lambda: store.query(list_tenants))
    ]
    return answer(TenantList(tenants=found))
