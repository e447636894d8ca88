"""/v1/keys: who may ask."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from models.errors import InputError
from models.typing import DAY_NS
from serving.decode import decode_value
from serving.instants import instant
from serving.openapi import body_of, json_answer, problem_answers
from serving.problems import ProblemError
from serving.routes._hot import answer, read_body, runtime_of
from serving.security import Principal, Role, need
from serving.security.audit import note
from serving.security.keys import NewKey, create_key, list_keys, revoke_key
from serving.security.principal import TENANT_HEADER
from serving.security.schemas import KeyInfo, KeyList, KeyRequest, NewKeyInfo
from serving.store.tables import AnyRow

__all__ = ["router"]

router = APIRouter(tags=["keys"])
_request = msgspec.json.Decoder(KeyRequest)
_MOST_DAYS = 36_500


@router.post(
    "/v1/keys",
    summary="Make a key",
    status_code=201,
    openapi_extra={
        "requestBody": body_of("KeyRequest", example={"role": "operate", "name": "risk engine", "expires_days": 90}),
        "responses": {
            "201": json_answer("NewKeyInfo"),
            **problem_answers(400, 401, 403, 409, 413, 415, 422, 429, 503, 507),
        },
    },
)
async def create(request: Request) -> Response:
    """Make a key of the tenant; it is shown in this answer and never again."""
    runtime, principal = runtime_of(request), _scope(request)
    store, wanted, now = runtime.database, decode_value(_request, await read_body(request)), runtime.clock()
    role, days = Role.of(wanted.role), wanted.expires_days
    if days is not None and not 0 < days <= _MOST_DAYS:
        raise InputError("expires_days", days, f"a number in (0, {_MOST_DAYS}]")
    expires = None if days is None else now + int(days * DAY_NS)

    def work(connection: Connection) -> NewKey:
        found = create_key(connection, principal.tenant, role, wanted.name, now, expires)
        note(connection, principal, "key.create", found.key_id, {"role": role.label, "name": wanted.name}, now)
        return found

    made = await runtime.io(lambda: store.run(work))
    return answer(NewKeyInfo(key_id=made.key_id, key=made.text), 201)


@router.get(
    "/v1/keys",
    summary="The keys there are",
    openapi_extra={"responses": {"200": json_answer("KeyList"), **problem_answers(401, 403, 409, 429, 503)}},
)
async def keys(request: Request) -> Response:
    """List the keys of the tenant; a key of the whole service sees all of them."""
    runtime, principal = runtime_of(request), _scope(request)
    store, tenant = runtime.database, principal.tenant
    rows = await runtime.io(lambda: store.query(lambda c: list_keys(c, tenant, any_tenant=tenant is None)))
    return answer(KeyList(keys=[_shown(row) for row in rows]))


@router.delete(
    "/v1/keys/{key_id}",
    summary="End a key",
    status_code=204,
    openapi_extra={
        "responses": {"204": {"description": "Ended"}, **problem_answers(401, 403, 404, 409, 422, 429, 503, 507)}
    },
)
async def revoke(request: Request, key_id: Annotated[str, Path(max_length=64)]) -> Response:
    """End a key for good; other processes refuse it within seconds."""
    runtime, principal = runtime_of(request), _scope(request)
    store, tenant, now = runtime.database, principal.tenant, runtime.clock()

    def work(connection: Connection) -> bool:
        found = revoke_key(connection, key_id, tenant, now, any_tenant=tenant is None)
        if found:
            note(connection, principal, "key.revoke", key_id, None, now)
        return found

    if not await runtime.io(lambda: store.run(work)):
        raise ProblemError(404, "not_found", f"There is no key {key_id!r}; GET /v1/keys lists them.")
    runtime.directory.forget()
    return Response(status_code=204)


def _scope(request: Request) -> Principal:
    """An admin, of the tenant that a key of the service names, if it names one."""
    found = need(request, Role.ADMIN)
    named = request.headers.get(TENANT_HEADER)
    return Principal(found.key_id, named, found.role) if found.tenant is None and named else found


def _shown(row: AnyRow) -> KeyInfo:
    return KeyInfo(
        key_id=row.id,
        tenant=row.tenant_id,
        role=row.role,
        name=row.name,
        created=instant(row.created_ns),
        expires=None if row.expires_ns is None else instant(row.expires_ns),
        revoked=None if row.revoked_ns is None else instant(row.revoked_ns),
    )
