"""GET /v1/models and POST /v1/models/reload."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from models.errors import ModelError
from serving.openapi import json_answer, problem_answers
from serving.problems import ProblemError
from serving.routes._hot import answer, runtime_of
from serving.security import Role, need_service

__all__ = ["router"]

router = APIRouter(tags=["models"])


@router.get(
    "/v1/models",
    summary="The models that answer",
    openapi_extra={"responses": {"200": json_answer("ModelList"), **problem_answers(401, 429)}},
)
async def models(request: Request) -> Response:
    """List the models; the one that is active answers, a challenger is only scored beside it."""
    return answer(runtime_of(request).model_list())


@router.post(
    "/v1/models/reload",
    summary="Look for a newer model now",
    openapi_extra={"responses": {"200": json_answer("ModelList"), **problem_answers(401, 403, 409, 429)}},
)
async def reload(request: Request) -> Response:
    """Read the bundle again, or ask MLflow what the reference names now; a broken one leaves the old one in use."""
    need_service(request, Role.ADMIN)
    runtime = runtime_of(request)
    try:
        await asyncio.to_thread(runtime.reload_model, True)
    except ModelError as error:
        raise ProblemError(409, "model_not_used", str(error)) from None
    return answer(runtime.model_list())
