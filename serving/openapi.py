"""The OpenAPI document: paths by FastAPI, schemas by msgspec from the very types that are decoded and encoded."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from models.account import Account
from serving import asks, schemas
from serving.accounts import schemas as registered
from serving.inference import schemas as inference
from serving.ledger import report as judged
from serving.ledger import schemas as ledger
from serving.live import bars
from serving.live import schemas as live
from serving.live.alerts import AlertRules
from serving.problems import PROBLEM_TYPE
from serving.security import schemas as security
from serving.what_if import WhatIfRequest, WhatIfResponse

__all__ = ["accounts_body", "body_of", "install_openapi", "json_answer", "problem_answers", "stream_of", "text_answer"]

_REF = "#/components/schemas/{name}"
_TYPES: tuple[Any, ...] = (
    Account,
    schemas.AccountBatch,
    schemas.PredictionResponse,
    schemas.RecommendationRequest,
    schemas.RecommendationResponse,
    schemas.DeskResponse,
    WhatIfRequest,
    WhatIfResponse,
    asks.PlanRequest,
    asks.DeskPolicy,
    asks.AccountChanges,
    schemas.ModelList,
    schemas.Ready,
    schemas.Problem,
    registered.RegisteredAccount,
    registered.AccountPage,
    registered.AccountHistory,
    registered.BulkResult,
    inference.InferenceRequest,
    inference.InferenceResponse,
    inference.ModelMetadata,
    inference.ModelReady,
    inference.ServerHealth,
    inference.ServerMetadata,
    AlertRules,
    live.AlertInfo,
    live.AlertPage,
    live.WebhookRequest,
    live.WebhookInfo,
    live.WebhookList,
    live.DeliveryList,
    bars.BarBatch,
    bars.BarReport,
    ledger.Statements,
    ledger.LedgerHeads,
    judged.Calibration,
    security.KeyRequest,
    security.NewKeyInfo,
    security.KeyList,
    security.TenantRequest,
    security.TenantInfo,
    security.TenantList,
    security.AuditPage,
)

EXAMPLE: dict[str, Any] = {
    "account_id": "desk-7",
    "as_of": "2025-03-01T12:00:00Z",
    "ruleset": "binance-usdm",
    "currency": "USDT",
    "collateral": [{"asset": "USDT", "quantity": 12000}, {"asset": "BTC", "quantity": 0.1}],
    "positions": [{"symbol": "BTC/USDT:USDT", "quantity": 1.5, "entry_price": 84000, "margin_mode": "cross"}],
}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(name=name)}


def body_of(*names: str, example: dict[str, Any] = EXAMPLE) -> dict[str, Any]:
    """Describe a JSON body that is one of several types.

    Parameters
    ----------
    *names : str
        Names of the types.
    example : dict
        A body that is one.

    Returns
    -------
    dict
        An OpenAPI request body.

    Examples
    --------
    >>> body_of("Account")["required"]
    True
    """
    schema = {"oneOf": [_ref(n) for n in names]}
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def accounts_body(lines: str) -> dict[str, Any]:
    """Describe a body of accounts, as one JSON value or one account a line.

    Parameters
    ----------
    lines : str
        Media type of the latter.

    Returns
    -------
    dict
        An OpenAPI request body.

    Examples
    --------
    >>> list(accounts_body("application/x-ndjson")["content"])
    ['application/json', 'application/x-ndjson']
    """
    found = body_of("AccountBatch", example={"accounts": [EXAMPLE]})
    found["content"][lines] = {"schema": {"type": "string"}}
    return found


def json_answer(name: str, *others: str, media_type: str = "application/json") -> dict[str, Any]:
    """Describe a JSON answer.

    Parameters
    ----------
    name : str
        Name of the type.
    *others : str
        Names of other types that it may be.
    media_type : str
        Its media type.

    Returns
    -------
    dict
        An OpenAPI response.

    Examples
    --------
    >>> json_answer("Ready")["description"]
    'Ready'
    """
    schema = {"oneOf": [_ref(one) for one in (name, *others)]} if others else _ref(name)
    return {"description": " or ".join((name, *others)), "content": {media_type: {"schema": schema}}}


def text_answer() -> dict[str, Any]:
    """Describe a text answer.

    Returns
    -------
    dict
        An OpenAPI response.

    Examples
    --------
    >>> text_answer()["description"]
    'Text'
    """
    return {"description": "Text", "content": {"text/plain": {"schema": {"type": "string"}}}}


def stream_of(media_type: str, text: str) -> dict[str, Any]:
    """Describe a body or an answer that is bytes.

    Parameters
    ----------
    media_type : str
        Its media type.
    text : str
        What it holds.

    Returns
    -------
    dict
        An OpenAPI response, or request body.

    Examples
    --------
    >>> list(stream_of("application/octet-stream", "bytes")["content"])
    ['application/octet-stream']
    """
    schema = {"type": "string", "contentMediaType": media_type}
    return {"description": text, "content": {media_type: {"schema": schema}}}


def problem_answers(*statuses: int) -> dict[str, Any]:
    """Describe the problems that a route may answer with.

    Parameters
    ----------
    *statuses : int
        HTTP statuses.

    Returns
    -------
    dict
        OpenAPI responses.

    Examples
    --------
    >>> list(problem_answers(400, 422))
    ['400', '422']
    """
    return {str(s): json_answer("Problem", media_type=PROBLEM_TYPE) for s in statuses}


def install_openapi(app: FastAPI) -> None:
    """Let the app describe itself at /openapi.json.

    Parameters
    ----------
    app : FastAPI
        The app.
    """

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            _, components = msgspec.json.schema_components(_TYPES, ref_template=_REF)
            found.setdefault("components", {})["schemas"] = components
            _answer_in_problems(found)
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _answer_in_problems(document: dict[str, Any]) -> None:
    """Describe wrong parameters as the problems that they are, not as FastAPI's own errors."""
    for methods in document["paths"].values():
        for operation in methods.values():
            content = operation["responses"].get("422", {}).get("content", {})
            content.pop("application/json", None)
            if content == {} and "422" in operation["responses"]:
                del operation["responses"]["422"]
                if any(_bounded(one["schema"]) for one in operation.get("parameters", ())):
                    operation["responses"] |= problem_answers(422)


def _bounded(schema: dict[str, Any]) -> bool:
    """Whether some text is no value of a parameter."""
    return bool(schema.keys() - {"title", "type", "description", "default"}) or schema.get("type") != "string"
