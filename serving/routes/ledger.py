"""/v1/ledger: how true what was said has been, and where the ledger ends."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from models.typing import DAY_NS
from serving.ledger.report import calibration
from serving.ledger.schemas import LedgerHeads
from serving.ledger.verify import heads
from serving.openapi import json_answer, problem_answers
from serving.routes._hot import answer, runtime_of
from serving.security import Role, need

__all__ = ["router"]

router = APIRouter(tags=["ledger"])
_EXPECTED = (401, 409, 429, 503)


@router.get(
    "/v1/ledger/calibration",
    summary="How true what was said has been",
    openapi_extra={"responses": {"200": json_answer("Calibration"), **problem_answers(422, *_EXPECTED)}},
)
async def judged(
    request: Request, days: Annotated[float, Query(gt=0, le=36_500, description="So many days back from now.")] = 28
) -> Response:
    """Compare what was said with what came, by horizon and week: the tenant's, or all for a key of the service."""
    runtime, principal = runtime_of(request), need(request, Role.READ)
    store, since = runtime.database, runtime.clock() - int(days * DAY_NS)
    return answer(await runtime.io(lambda: store.query(lambda c: calibration(c, principal.tenant, since))))


@router.get(
    "/v1/ledger/heads",
    summary="Where the ledger ends",
    openapi_extra={"responses": {"200": json_answer("LedgerHeads"), **problem_answers(*_EXPECTED)}},
)
async def ends(request: Request) -> Response:
    """Give an anchor of the tenant's ledger; kept elsewhere, it proves later that nothing before it was changed."""
    runtime, principal = runtime_of(request), need(request, Role.READ)
    store = runtime.database
    found = await runtime.io(lambda: store.query(lambda c: heads(c, principal.tenant)))
    return answer(LedgerHeads(heads=found))
