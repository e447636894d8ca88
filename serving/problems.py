"""Errors as problem+json (RFC 9457): one shape for everything that goes wrong, never a stack trace."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from models.errors import InputError, MargincastError, StoreFullError

__all__ = ["PROBLEM_TYPE", "ProblemError", "install_handlers", "problem_body", "problem_response"]

PROBLEM_TYPE = "application/problem+json"


class ProblemError(Exception):
    """An answer other than success.

    Parameters
    ----------
    status : int
        HTTP status.
    code : str
        Machine-readable reason.
    detail : str
        What is wrong and what to do.
    field : str
        Path of the field that is wrong, where one is.
    headers : mapping, optional
        Headers of the answer.
    """

    def __init__(
        self, status: int, code: str, detail: str, field: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.field = status, code, detail, field
        self.headers = dict(headers or {})


def problem_body(status: int, code: str, detail: str, field: str = "", instance: str = "") -> bytes:
    """Encode a problem.

    Parameters
    ----------
    status : int
        HTTP status.
    code : str
        Machine-readable reason.
    detail : str
        What is wrong.
    field : str
        Path of the field.
    instance : str
        Path that was asked for.

    Returns
    -------
    bytes
        JSON with type, title, status, detail, code and, where known, field and instance. Under ``/v2`` the detail
        stands under ``error`` as well, where the Open Inference Protocol looks for it.

    Examples
    --------
    >>> problem_body(404, "not_found", "no such page")
    b'{"type":"about:blank","title":"Not Found","status":404,"detail":"no such page","code":"not_found"}'
    """
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if field:
        body["field"] = field
    if instance:
        body["instance"] = instance
    if instance == "/v2" or instance.startswith("/v2/"):
        body["error"] = detail
    return msgspec.json.encode(body)


def problem_response(error: ProblemError, instance: str = "") -> Response:
    """Answer with a problem.

    Parameters
    ----------
    error : ProblemError
        What went wrong.
    instance : str
        Path that was asked for.

    Returns
    -------
    Response
        The answer, media type ``application/problem+json``.
    """
    body = problem_body(error.status, error.code, error.detail, error.field, instance)
    return Response(body, error.status, error.headers, PROBLEM_TYPE)


def install_handlers(app: FastAPI) -> None:
    """Turn every error of the app into a problem.

    Parameters
    ----------
    app : FastAPI
        The app; its handlers are set.
    """
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(MargincastError, _on_error)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_parameters)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return problem_response(error, request.url.path)


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, MargincastError)
    if isinstance(error, InputError):
        problem = ProblemError(422, error.code, str(error), error.field)
    elif isinstance(error, StoreFullError):
        problem = ProblemError(507, error.code, str(error))
    else:
        problem = ProblemError(503, error.code, str(error), headers={"Retry-After": "5"})
    return problem_response(problem, request.url.path)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    detail = {
        404: f"There is nothing at {request.url.path}; /docs lists what there is.",
        405: f"{request.method} is not possible here; see the Allow header.",
    }.get(error.status_code, str(error.detail))
    return problem_response(ProblemError(error.status_code, code, detail, headers=error.headers), request.url.path)


async def _on_parameters(request: Request, error: Exception) -> Response:
    """Say which parameter of the path or the query is wrong."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])
    detail = f"{name}: {first['msg']}, was {first.get('input')!r}"
    return problem_response(ProblemError(422, "invalid_input", detail, name), request.url.path)
