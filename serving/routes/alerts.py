"""/v1/alerts and /v1/settings/alerts: what a desk was told, and when it wants to be told."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Path, Query
from sqlalchemy import Connection, select, tuple_, update
from starlette.requests import Request
from starlette.responses import Response

from serving.decode import decode_value
from serving.live.alerts import AlertRules
from serving.live.schemas import AlertPage, alert_info
from serving.live.telling import alert_rules
from serving.openapi import body_of, json_answer, problem_answers
from serving.problems import ProblemError
from serving.routes._hot import answer, read_body, runtime_of
from serving.security import Role, need_tenant
from serving.security.audit import note
from serving.store.tables import alerts, tenants

__all__ = ["router"]

router = APIRouter(tags=["alerts"])
_READ = (400, 401, 409, 422, 429, 503)
_EXPECTED = (403, 404, *_READ)
_rules = msgspec.json.Decoder(AlertRules)
_CURSOR = r"^[0-9]{1,19}\.[0-9a-f]{32}$"
Kind = Literal["p_call", "level", "last_safe", "drift", "stale", "rule_change"]
Severity = Literal["info", "warning", "critical", "emergency"]


@router.get(
    "/v1/alerts",
    summary="Alerts, newest first",
    openapi_extra={"responses": {"200": json_answer("AlertPage"), **problem_answers(404, *_READ)}},
)
async def page(
    request: Request,
    open: Annotated[bool | None, Query(description="Only those that are open, or only those that are over.")] = None,
    account_id: Annotated[str | None, Query(max_length=200)] = None,
    kind: Kind | None = None,
    severity: Severity | None = None,
    over_budget: bool | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[str | None, Query(pattern=_CURSOR, description="'next' of the page before.")] = None,
) -> Response:
    """List the alerts of the tenant, those beyond the budget of an hour too."""
    store, tenant = runtime_of(request).database, need_tenant(request, Role.READ).tenant or ""
    c = alerts.c
    wanted = select(alerts).where(c.tenant_id == tenant)
    for column, value in (
        (c.account_id, account_id),
        (c.kind, kind),
        (c.severity, severity),
        (c.over_budget, over_budget),
    ):
        wanted = wanted if value is None else wanted.where(column == value)
    if open is not None:
        wanted = wanted.where(c.closed_ns.is_(None) if open else c.closed_ns.is_not(None))
    if before is not None:
        stamp, ident = before.split(".")
        wanted = wanted.where(tuple_(c.opened_ns, c.id) < (int(stamp), ident))
    wanted = wanted.order_by(c.opened_ns.desc(), c.id.desc()).limit(limit)
    rows = await runtime_of(request).io(lambda: store.query(lambda connection: connection.execute(wanted).all()))
    more = f"{rows[-1].opened_ns}.{rows[-1].id}" if len(rows) == limit else None
    return answer(AlertPage(alerts=[alert_info(row) for row in rows], next=more))


@router.post(
    "/v1/alerts/{alert_id}/acknowledge",
    summary="Say that somebody has seen to an alert",
    openapi_extra={"responses": {"200": json_answer("AlertInfo"), **problem_answers(507, *_EXPECTED)}},
)
async def acknowledge(request: Request, alert_id: Annotated[str, Path(max_length=64)]) -> Response:
    """Note who has seen to it, and when; the first one stays."""
    runtime, principal = runtime_of(request), need_tenant(request, Role.PREDICT)
    store, tenant, now = runtime.database, principal.tenant or "", runtime.clock()
    mine = (alerts.c.tenant_id == tenant) & (alerts.c.id == alert_id)

    def work(connection: Connection) -> Response:
        new = update(alerts).where(mine, alerts.c.acknowledged_ns.is_(None))
        done = connection.execute(new.values(acknowledged_ns=now, acknowledged_by=principal.key_id[:64]))
        if done.rowcount:
            note(connection, principal, "alert.acknowledge", alert_id, {}, now)
        row = connection.execute(select(alerts).where(mine)).one_or_none()
        if row is None:
            raise ProblemError(404, "not_found", f"There is no alert {alert_id!r}.")
        return answer(alert_info(row))

    return await runtime.io(lambda: store.run(work, idempotent=True))


@router.get(
    "/v1/settings/alerts",
    summary="When the desk is alerted",
    openapi_extra={"responses": {"200": json_answer("AlertRules"), **problem_answers(400, 401, 404, 409, 429, 503)}},
)
async def rules(request: Request) -> Response:
    """Give the thresholds, the defaults where the desk has said nothing."""
    store, tenant = runtime_of(request).database, need_tenant(request, Role.READ).tenant or ""
    found = await runtime_of(request).io(lambda: store.query(lambda c: _found(c, tenant)))
    return answer(found)


@router.put(
    "/v1/settings/alerts",
    summary="Set when the desk is alerted",
    openapi_extra={
        "requestBody": body_of("AlertRules", example={"target": "0.01@1440", "budget_per_hour": 100}),
        "responses": {"200": json_answer("AlertRules"), **problem_answers(413, 415, 507, *_EXPECTED)},
    },
)
async def set_rules(request: Request) -> Response:
    """Set all thresholds; what is left out has its default. They hold from the next scoring on."""
    runtime, principal = runtime_of(request), need_tenant(request, Role.OPERATE)
    store, tenant, now = runtime.database, principal.tenant or "", runtime.clock()
    wanted = decode_value(_rules, await read_body(request))
    kept = msgspec.to_builtins(wanted)

    def work(connection: Connection) -> None:
        _found(connection, tenant)
        own = tenants.c.id == tenant
        present = connection.execute(select(tenants.c.settings).where(own).with_for_update()).scalar_one()
        connection.execute(update(tenants).where(own).values(settings={**(present or {}), "alerts": kept}))
        note(connection, principal, "settings.alerts", tenant, kept, now)

    await runtime.io(lambda: store.run(work, idempotent=True))
    return answer(wanted)


def _found(connection: Connection, tenant: str) -> AlertRules:
    if connection.execute(select(tenants.c.id).where(tenants.c.id == tenant)).one_or_none() is None:
        raise ProblemError(404, "not_found", f"There is no tenant {tenant!r}.")
    return alert_rules(connection, tenant)
