"""The Open Inference Protocol, version 2, under /v2."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from serving.inference.infer import INPUTS, NAME, OUTPUTS, accounts_of, infer_request, infer_response, version_token
from serving.inference.schemas import InferenceResponse, ModelMetadata, ModelReady, ServerHealth, ServerMetadata
from serving.openapi import body_of, json_answer, problem_answers
from serving.problems import ProblemError
from serving.routes._hot import answer, read_body, run_sized, runtime_of
from serving.runtime import Runtime
from serving.security import Role, need
from serving.version import program_version

__all__ = ["router"]

router = APIRouter(tags=["open inference protocol"])

_MODEL = "/v2/models/{name}"
_VERSION = "/v2/models/{name}/versions/{version}"
_EXAMPLE = {
    "id": "42",
    "inputs": [{"name": "accounts", "shape": [1], "datatype": "BYTES", "data": ['{"account_id": "desk-7", "...": 0}']}],
    "outputs": [{"name": "p_call"}],
}
_INFER = {
    "requestBody": body_of("InferenceRequest", example=_EXAMPLE),
    "responses": {
        "200": json_answer("InferenceResponse"),
        **problem_answers(400, 401, 403, 404, 413, 415, 429, 503),
    },
}


def _answers(name: str, *problems: int) -> dict[str, object]:
    return {"responses": {"200": json_answer(name), **problem_answers(*problems)}}


@router.get("/v2", summary="Name and version of the server", openapi_extra=_answers("ServerMetadata"))
async def server() -> Response:
    """Name the server; it has no extensions of the protocol."""
    return answer(ServerMetadata(name="margincast", version=program_version(), extensions=[]))


@router.get("/v2/health/live", summary="The server lives", openapi_extra=_answers("ServerHealth"))
async def live(request: Request) -> Response:
    """Say that the process runs."""
    ready = runtime_of(request).ready().status == "ready"
    return answer(ServerHealth(live=True, ready=ready))


@router.get(
    "/v2/health/ready",
    summary="The server can be asked",
    openapi_extra={"responses": {"200": json_answer("ServerHealth"), "503": json_answer("ServerHealth")}},
)
async def ready(request: Request) -> Response:
    """Say whether there is a market and the server is not stopping."""
    found = runtime_of(request).ready().status == "ready"
    return answer(ServerHealth(live=True, ready=found), 200 if found else 503)


@router.get(_MODEL, summary="What the model takes and gives", openapi_extra=_answers("ModelMetadata", 401, 404, 429))
async def model(request: Request, name: str) -> Response:
    """Describe the model that answers now."""
    return _metadata(request, name, "")


@router.get(_VERSION, summary="The same of a version", openapi_extra=_answers("ModelMetadata", 401, 404, 429))
async def model_version(request: Request, name: str, version: str) -> Response:
    """Describe a version; only the one that answers now is there."""
    return _metadata(request, name, version)


@router.get(
    f"{_MODEL}/ready",
    summary="The model can be asked",
    openapi_extra={
        "responses": {
            "200": json_answer("ModelReady"), **problem_answers(401, 404, 429), "503": json_answer("ModelReady"),
        }
    },
)  # fmt: skip
async def model_ready(request: Request, name: str) -> Response:
    """Say whether the model can be asked."""
    return _ready(request, name, "")


@router.get(
    f"{_VERSION}/ready",
    summary="The version can be asked",
    openapi_extra={
        "responses": {
            "200": json_answer("ModelReady"), **problem_answers(401, 404, 429), "503": json_answer("ModelReady"),
        }
    },
)  # fmt: skip
async def version_ready(request: Request, name: str, version: str) -> Response:
    """Say whether a version can be asked."""
    return _ready(request, name, version)


@router.post(f"{_MODEL}/infer", summary="Predict for accounts that are given as a tensor", openapi_extra=_INFER)
async def infer(request: Request, name: str) -> Response:
    """Predict; where one account is wrong there is no answer, for the protocol has no room for it."""
    return await _infer(request, name, "")


@router.post(f"{_VERSION}/infer", summary="The same with a version", openapi_extra=_INFER)
async def infer_version(request: Request, name: str, version: str) -> Response:
    """Predict with a version; only the one that answers now is there."""
    return await _infer(request, name, version)


def _known(request: Request, name: str, version: str) -> Runtime:
    """The runtime, if name and version are those that answer."""
    runtime = runtime_of(request)
    there = version_token(runtime.model.version)
    if name != NAME or version not in ("", there):
        asked = f"{name!r}" + (f", version {version!r}" if version else "")
        raise ProblemError(404, "not_found", f"There is no model {asked}; there is {NAME!r}, version {there!r}.")
    return runtime


def _metadata(request: Request, name: str, version: str) -> Response:
    runtime = _known(request, name, version)
    there = version_token(runtime.model.version)
    platform = "margincast_prior" if runtime.model.predictor is None else "margincast_lightgbm"
    found = ModelMetadata(name=NAME, versions=[there], platform=platform, inputs=list(INPUTS), outputs=list(OUTPUTS))
    return answer(found)


def _ready(request: Request, name: str, version: str) -> Response:
    found = _known(request, name, version).ready().status == "ready"
    return answer(ModelReady(name=NAME, ready=found), 200 if found else 503)


async def _infer(request: Request, name: str, version: str) -> Response:
    need(request, Role.PREDICT)
    runtime = _known(request, name, version)
    asked = infer_request(await read_body(request))
    accounts = accounts_of(asked, runtime.settings.max_accounts)
    runtime.metrics.accounts.inc(len(accounts.accounts))

    def work() -> Response:
        found: InferenceResponse = infer_response(asked, runtime.engine.predict(accounts))
        return answer(found)

    return await run_sized(runtime, len(accounts.accounts), work)
