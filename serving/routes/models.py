"""GET /v1/models."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from serving.openapi import json_answer
from serving.routes._hot import answer, runtime_of

__all__ = ["router"]

router = APIRouter(tags=["models"])


@router.get(
    "/v1/models",
    summary="The models that answer",
    openapi_extra={"responses": {"200": json_answer("ModelList")}},
)
async def models(request: Request) -> Response:
    """List the models; the one that is active answers."""
    return answer(runtime_of(request).model_list())
