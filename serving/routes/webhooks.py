"""/v1/webhooks: where the events of a desk go."""

from __future__ import annotations

import uuid
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Path, Query
from sqlalchemy import Connection, delete, func, insert, select, update
from starlette.requests import Request
from starlette.responses import Response

from models.errors import InputError
from serving.accounts.schemas import instant
from serving.decode import decode_value
from serving.live.schemas import (
    DeliveryList,
    WebhookInfo,
    WebhookList,
    WebhookRequest,
    delivery_info,
    webhook_info,
)
from serving.live.telling import EVENTS, emit
from serving.live.webhooks import new_secret
from serving.openapi import body_of, json_answer, problem_answers
from serving.problems import ProblemError
from serving.routes._hot import answer, live_of, read_body, runtime_of
from serving.security import Role, need_tenant
from serving.security.audit import note
from serving.store.tables import AnyRow, deliveries, webhooks

__all__ = ["router"]

router = APIRouter(tags=["webhooks"])
_READ = (400, 401, 409, 429, 503)
_EXPECTED = (403, 422, *_READ)
_request = msgspec.json.Decoder(WebhookRequest)
_MOST = 50
Name = Annotated[str, Path(max_length=64, description="Name of the webhook.")]


@router.post(
    "/v1/webhooks",
    summary="Send events somewhere, signed",
    status_code=201,
    openapi_extra={
        "requestBody": body_of("WebhookRequest", example={"url": "https://desk.example/hooks", "kinds": ["alert"]}),
        "responses": {"201": json_answer("WebhookInfo"), **problem_answers(404, 413, 415, 507, *_EXPECTED)},
    },
)
async def create(request: Request) -> Response:
    """Make a webhook; the answer shows its secret, once.

    Events are signed as Standard Webhooks describes, delivered at least once, and tried again with growing pauses.
    Targets with private addresses are refused.
    """
    runtime, principal = runtime_of(request), need_tenant(request, Role.OPERATE)
    live, store, now = live_of(request), runtime.database, runtime.clock()
    wanted = decode_value(_request, await read_body(request))
    for i, kind in enumerate(wanted.kinds):
        if kind not in EVENTS:
            raise InputError(f"kinds[{i}]", kind, f"one of {', '.join(EVENTS)}")
    await runtime.io(lambda: live.targets.check(wanted.url))
    name, secret, tenant = f"wh_{uuid.uuid4().hex}", new_secret(), principal.tenant or ""
    row = {"id": name, "tenant_id": tenant, "url": wanted.url, "secret": secret, "kinds": sorted(set(wanted.kinds))}

    def work(connection: Connection) -> None:
        many = select(func.count()).select_from(webhooks).where(webhooks.c.tenant_id == tenant)
        if connection.execute(many).scalar_one() >= _MOST:
            raise ProblemError(409, "too_many_webhooks", f"There are {_MOST} webhooks already; delete one.")
        connection.execute(insert(webhooks), row | {"created_ns": now})
        note(connection, principal, "webhook.create", name, {"url": wanted.url}, now)

    await runtime.io(lambda: store.run(work))
    made = WebhookInfo(id=name, url=wanted.url, kinds=row["kinds"], created=instant(now), disabled=None, secret=secret)  # type: ignore[arg-type]
    return answer(made, 201)


@router.get(
    "/v1/webhooks",
    summary="The webhooks of the tenant",
    openapi_extra={"responses": {"200": json_answer("WebhookList"), **problem_answers(404, *_READ)}},
)
async def listing(request: Request) -> Response:
    """List the webhooks, without their secrets."""
    store, tenant = runtime_of(request).database, need_tenant(request, Role.READ).tenant or ""
    wanted = select(webhooks).where(webhooks.c.tenant_id == tenant).order_by(webhooks.c.created_ns, webhooks.c.id)
    rows = await runtime_of(request).io(lambda: store.query(lambda c: c.execute(wanted).all()))
    return answer(WebhookList(webhooks=[webhook_info(row) for row in rows]))


@router.delete(
    "/v1/webhooks/{webhook_id}",
    summary="Send events there no longer",
    status_code=204,
    openapi_extra={"responses": {"204": {"description": "Gone"}, **problem_answers(404, *_EXPECTED)}},
)
async def remove(request: Request, webhook_id: Name) -> Response:
    """Delete a webhook; what was not delivered is dropped."""
    runtime, principal = runtime_of(request), need_tenant(request, Role.OPERATE)
    store, now = runtime.database, runtime.clock()

    def work(connection: Connection) -> None:
        _mine(connection, principal.tenant or "", webhook_id)
        connection.execute(delete(deliveries).where(deliveries.c.webhook_id == webhook_id))
        connection.execute(delete(webhooks).where(webhooks.c.id == webhook_id))
        note(connection, principal, "webhook.delete", webhook_id, {}, now)

    await runtime.io(lambda: store.run(work))
    return Response(status_code=204)


@router.post(
    "/v1/webhooks/{webhook_id}/test",
    summary="Send a test event there",
    status_code=202,
    openapi_extra={"responses": {"202": json_answer("WebhookInfo"), **problem_answers(404, 507, *_EXPECTED)}},
)
async def test(request: Request, webhook_id: Name) -> Response:
    """Send one event of kind ``test`` to this webhook only; it is enabled again where its target was gone."""
    runtime, principal = runtime_of(request), need_tenant(request, Role.OPERATE)
    live, store, tenant, now = live_of(request), runtime.database, principal.tenant or "", runtime.clock()

    def work(connection: Connection) -> AnyRow:
        _mine(connection, tenant, webhook_id)
        connection.execute(update(webhooks).where(webhooks.c.id == webhook_id).values(disabled_ns=None))
        body = {"message": "A test of this webhook.", "at": instant(now).isoformat()}
        emit(store, connection, tenant, [("test", body)], now, only=webhook_id)
        return _mine(connection, tenant, webhook_id)

    row = await runtime.io(lambda: store.run(work))
    live.told()
    return answer(webhook_info(row), 202)


@router.get(
    "/v1/webhooks/{webhook_id}/deliveries",
    summary="What was sent there, and what could not be",
    openapi_extra={"responses": {"200": json_answer("DeliveryList"), **problem_answers(404, 422, *_READ)}},
)
async def sent(
    request: Request,
    webhook_id: Name,
    status: Literal["pending", "delivered", "dead"] | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List deliveries, newest first; those that are dead were given up after the last attempt."""
    store, tenant = runtime_of(request).database, need_tenant(request, Role.READ).tenant or ""

    def work(connection: Connection) -> DeliveryList:
        _mine(connection, tenant, webhook_id)
        wanted = select(deliveries).where(deliveries.c.webhook_id == webhook_id)
        wanted = wanted if status is None else wanted.where(deliveries.c.status == status)
        rows = connection.execute(wanted.order_by(deliveries.c.id.desc()).limit(limit))
        return DeliveryList(deliveries=[delivery_info(row) for row in rows])

    return answer(await runtime_of(request).io(lambda: store.query(work)))


@router.post(
    "/v1/webhooks/{webhook_id}/retry",
    summary="Try dead deliveries again",
    status_code=202,
    openapi_extra={"responses": {"202": json_answer("WebhookInfo"), **problem_answers(404, 507, *_EXPECTED)}},
)
async def retry(request: Request, webhook_id: Name) -> Response:
    """Make every dead delivery of the webhook pending again."""
    runtime, principal = runtime_of(request), need_tenant(request, Role.OPERATE)
    store, now = runtime.database, runtime.clock()

    def work(connection: Connection) -> AnyRow:
        row = _mine(connection, principal.tenant or "", webhook_id)
        dead = (deliveries.c.webhook_id == webhook_id) & (deliveries.c.status == "dead")
        connection.execute(update(deliveries).where(dead).values(status="pending", attempts=0, next_ns=now))
        note(connection, principal, "webhook.retry", webhook_id, {}, now)
        return row

    return answer(webhook_info(await runtime.io(lambda: store.run(work))), 202)


def _mine(connection: Connection, tenant: str, webhook_id: str) -> AnyRow:
    own = (webhooks.c.tenant_id == tenant) & (webhooks.c.id == webhook_id)
    row = connection.execute(select(webhooks).where(own)).one_or_none()
    if row is None:
        raise ProblemError(404, "not_found", f"There is no webhook {webhook_id!r}.")
    return row
