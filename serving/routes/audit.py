"""GET /v1/audit: who changed what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from serving.instants import instant
from serving.openapi import json_answer, problem_answers
from serving.routes._hot import answer, runtime_of
from serving.security import Role, need
from serving.security.audit import list_notes
from serving.security.schemas import AuditNote, AuditPage

__all__ = ["router"]

router = APIRouter(tags=["audit"])


@router.get(
    "/v1/audit",
    summary="Who changed what",
    openapi_extra={"responses": {"200": json_answer("AuditPage"), **problem_answers(401, 403, 409, 422, 429, 503)}},
)
async def audit(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="Only notes with a number below it.")] = None,
) -> Response:
    """List what was done to the tenant's data, newest first; a key of the whole service sees all of it."""
    runtime, principal = runtime_of(request), need(request, Role.ADMIN)
    store, tenant = runtime.database, principal.tenant
    rows = await runtime.io(
        lambda: store.query(lambda c: list_notes(c, tenant, limit, before, any_tenant=tenant is None))
    )
    notes = [
        AuditNote(
            seq=row.seq,
            tenant=row.tenant_id,
            key_id=row.key_id,
            action=row.action,
            subject=row.subject,
            detail=row.detail,
            at=instant(row.at_ns),
        )
        for row in rows
    ]
    return answer(AuditPage(notes=notes, next=rows[-1].seq if len(rows) == limit and rows[-1].seq > 1 else None))
