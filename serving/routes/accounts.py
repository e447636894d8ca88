"""Writes of /v1/accounts: register accounts, tell their states, take them out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from models.errors import Failure
from serving.accounts.requests import check_name, condition_of, entries_of
from serving.accounts.schemas import BulkResult, written
from serving.accounts.service import delete_account, older, put_accounts
from serving.decode import Accounts, decode_accounts, decode_lines
from serving.live.scoring import Scoring
from serving.openapi import accounts_body, body_of, json_answer, problem_answers
from serving.problems import ProblemError
from serving.routes._hot import answer, read_body, runtime_of
from serving.runtime import Runtime
from serving.security import Principal, Role, need_tenant

__all__ = ["EXPECTED", "READ", "Name", "absent", "router"]

router = APIRouter(tags=["accounts"])
Name = Annotated[str, Path(description="Name of the account.", max_length=200)]
_LINES = ("application/x-ndjson", "application/jsonl", "application/ndjson")
READ = (400, 401, 409, 422, 429, 503)
EXPECTED = (403, *READ)


@router.put(
    "/v1/accounts/{account_id}",
    summary="Register an account, or tell its new state",
    openapi_extra={
        "requestBody": body_of("Account"),
        "responses": {
            "200": json_answer("RegisteredAccount"),
            "201": json_answer("RegisteredAccount"),
            **problem_answers(404, 412, 413, 415, 507, *EXPECTED),
        },
    },
)
async def put(request: Request, account_id: Name) -> Response:
    """Store the state; with ``If-Match`` or ``If-None-Match: *`` only where what is there is as expected.

    The same state twice is one version. A state older than the one that is there is refused with 409.
    """
    runtime, principal = runtime_of(request), need_tenant(request, Role.OPERATE)
    store, condition = runtime.database, condition_of(request.headers)
    check_name(account_id)
    account = decode_accounts(await read_body(request), 1)
    if not account.single or account.accounts[0].account_id != account_id:
        raise ProblemError(422, "invalid_input", f"account_id: expected {account_id!r}, as in the path", "account_id")
    for failure in runtime.refused(account.accounts):
        raise ProblemError(422, failure.code, failure.message, failure.field)
    (entry,), _, _ = entries_of(account.accounts, [0])
    now = runtime.clock()
    scoring = Scoring(runtime.live)
    (done,) = await runtime.io(lambda: put_accounts(store, principal, [entry], now, condition, scoring))
    if done.was == "older":
        older(done)
    scoring.committed()
    found = answer(
        written(entry, done.version, done.updated_ns, scoring.prediction()), 201 if done.was == "created" else 200
    )
    found.headers["ETag"] = f'"{done.version}"'
    return found


@router.delete(
    "/v1/accounts/{account_id}",
    summary="Take an account out; its history stays",
    status_code=204,
    openapi_extra={"responses": {"204": {"description": "Gone"}, **problem_answers(404, 412, *EXPECTED)}},
)
async def remove(request: Request, account_id: Name) -> Response:
    """Take an account out; with ``If-Match`` only where its version is as expected."""
    runtime, principal = runtime_of(request), need_tenant(request, Role.OPERATE)
    store, condition, now = runtime.database, condition_of(request.headers), runtime.clock()
    if not await runtime.io(lambda: delete_account(store, principal, account_id, now, condition)):
        raise absent(account_id)
    return Response(status_code=204)


@router.put(
    "/v1/accounts",
    summary="Register many accounts at once",
    openapi_extra={
        "requestBody": accounts_body(_LINES[0]),
        "responses": {"200": json_answer("BulkResult"), **problem_answers(404, 413, 415, 507, *EXPECTED)},
    },
)
async def put_many(request: Request) -> Response:
    """Store the good accounts of the list in one transaction, and name the others; JSON, or one account a line."""
    runtime, principal = runtime_of(request), need_tenant(request, Role.OPERATE)
    lines = request.headers.get("content-type", "").partition(";")[0].strip().lower() in _LINES
    body = await (request.body() if lines else read_body(request))
    return answer(await runtime.io(lambda: _put_many(runtime, principal, body, lines)))


def _put_many(runtime: Runtime, principal: Principal, body: bytes, lines: bool) -> BulkResult:
    store, most, now = runtime.database, runtime.settings.max_bulk_accounts, runtime.clock()
    given = decode_lines(body, most) if lines else decode_accounts(body, most)
    failures = list(given.failures)
    good = _good(runtime, given, failures)
    entries, rows, bad = entries_of(good.accounts, good.rows)
    failures += bad
    scoring = Scoring(runtime.live)
    done = put_accounts(store, principal, entries, now, score=scoring) if entries else []
    scoring.committed()
    failures += [older(one, row) for one, row in zip(done, rows, strict=True) if one.was == "older"]
    count = {kind: sum(one.was == kind for one in done) for kind in ("created", "changed", "unchanged")}
    return BulkResult(**count, failures=sorted(failures, key=lambda failure: failure.row))


def _good(runtime: Runtime, given: Accounts, failures: list[Failure]) -> Accounts:
    """Leave out what the market or the rules do not know."""
    wrong = {failure.row: failure for failure in runtime.refused(given.accounts)}
    if not wrong:
        return given
    for i, f in wrong.items():
        row = given.rows[i]
        failures.append(
            Failure(row, f.account_id, f.code, f"accounts[{row}].{f.field}", f"accounts[{row}].{f.message}")
        )
    kept = [i for i in range(len(given.accounts)) if i not in wrong]
    return Accounts([given.accounts[i] for i in kept], [given.rows[i] for i in kept], given.failures, False)


def absent(account_id: str) -> ProblemError:
    """Say that there is no such account of this tenant."""
    return ProblemError(404, "not_found", f"There is no account {account_id!r}; GET /v1/accounts lists them.")
