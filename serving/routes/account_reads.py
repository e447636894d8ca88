"""Reads of /v1/accounts: what is known of accounts and was said of them, now or at an instant."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from models.typing import HORIZONS
from serving.accounts import find, find_all, find_at, history, listing, shard_of
from serving.accounts.changes import shards_of
from serving.accounts.requests import cursor, name_after, rank_after, rank_cursor
from serving.accounts.schemas import (
    AccountHistory,
    AccountPage,
    StoredAccount,
    stored,
    stored_then,
    stored_version,
)
from serving.instants import instant, nanoseconds
from serving.ledger.read import Reader
from serving.ledger.schemas import SaidPrediction, Statements, shown
from serving.openapi import json_answer, problem_answers
from serving.problems import ProblemError
from serving.routes._hot import answer, runtime_of
from serving.routes.accounts import READ, Name, absent
from serving.security import Role, need_tenant

__all__ = ["router"]

router = APIRouter(tags=["accounts"])
_FIRST, _LAST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_AT_ONCE = 200


@router.get(
    "/v1/accounts/{account_id}",
    summary="One account and what was said of it, now or as it was at an instant",
    openapi_extra={"responses": {"200": json_answer("RegisteredAccount"), **problem_answers(404, *READ)}},
)
async def get(
    request: Request,
    account_id: Name,
    as_of: Annotated[
        AwareDatetime | None, Query(description="What was known and had been said then.", ge=_FIRST, lt=_LAST)
    ] = None,
) -> Response:
    """Give the state of an account, and the prediction that was said of it last; its version is the ETag."""
    runtime, tenant = runtime_of(request), need_tenant(request, Role.READ).tenant or ""
    store, reader = runtime.database, runtime.ledger.reader
    at = None if as_of is None else nanoseconds(as_of)

    def work(connection: Connection) -> StoredAccount | None:
        if at is None:
            row = find(connection, tenant, account_id)
            return None if row is None else stored(row, _last(reader, connection, tenant, account_id, None))
        then = find_at(connection, tenant, account_id, at)
        if then is None or then.body is None:
            return None
        return stored_then(then, _last(reader, connection, tenant, account_id, at))

    found = await runtime.io(lambda: store.query(work))
    if found is None and at is not None:
        raise ProblemError(404, "not_found", f"No account {account_id!r} was known at {instant(at).isoformat()}.")
    if found is None:
        raise absent(account_id)
    reply = answer(found)
    reply.headers["ETag"] = f'"{found.version}"'
    return reply


@router.get(
    "/v1/accounts/{account_id}/history",
    summary="The states that an account had",
    openapi_extra={"responses": {"200": json_answer("AccountHistory"), **problem_answers(404, *READ)}},
)
async def past(
    request: Request,
    account_id: Name,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Only versions below it.")] = None,
) -> Response:
    """List the states of an account, newest first, with the key that brought each."""
    runtime, tenant = runtime_of(request), need_tenant(request, Role.READ).tenant or ""
    store = runtime.database
    rows = await runtime.io(lambda: store.query(lambda c: history(c, tenant, account_id, limit, before)))
    if not rows and before is None:
        raise absent(account_id)
    more = rows[-1].version if len(rows) == limit and rows[-1].version > 1 else None
    return answer(AccountHistory(account_id=account_id, versions=[stored_version(r) for r in rows], next=more))  # type: ignore[misc]


@router.get(
    "/v1/accounts/{account_id}/predictions",
    summary="What was said of an account",
    openapi_extra={"responses": {"200": json_answer("Statements"), **problem_answers(404, *READ)}},
)
async def said(
    request: Request,
    account_id: Name,
    limit: Annotated[int, Query(ge=1, le=100)] = 24,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="Only pages of the ledger below it.")] = None,
) -> Response:
    """List the predictions of an account as the ledger has them, newest first."""
    runtime, tenant = runtime_of(request), need_tenant(request, Role.READ).tenant or ""
    store, reader = runtime.database, runtime.ledger.reader

    def work(connection: Connection) -> list[SaidPrediction] | None:
        if not history(connection, tenant, account_id, 1, None):
            return None
        shard = shard_of(account_id, shards_of(connection, tenant))
        found = reader.past(connection, tenant, shard, account_id, before=before)
        return [shown(one) for one in islice(found, limit)]

    found = await runtime.io(lambda: store.query(work))
    if found is None:
        raise absent(account_id)
    more = found[-1].page if len(found) == limit and found[-1].page > 1 else None
    return answer(Statements(account_id=account_id, predictions=found, next=more))


@router.get(
    "/v1/accounts",
    summary="The accounts of the tenant, by name or by what was said of them last",
    openapi_extra={"responses": {"200": json_answer("AccountPage"), **problem_answers(404, *READ)}},
)
async def page(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[str, Query(max_length=1100, description="'next' of the page before.")] = "",
    order: Annotated[Literal["name", "p_call"], Query(description="p_call: the highest first.")] = "name",
    horizon: Annotated[Literal["60", "240", "1440", "4320"], Query(description="Minutes, for p_call.")] = "1440",
) -> Response:
    """List the accounts a page at a time; in the order of P(call) only those of which something was said."""
    runtime, tenant = runtime_of(request), need_tenant(request, Role.READ).tenant or ""
    store, reader = runtime.database, runtime.ledger.reader
    if order == "p_call":
        at, start = HORIZONS.index(int(horizon)), rank_after(after)
        return answer(await runtime.io(lambda: store.query(lambda c: _by_risk(reader, c, tenant, at, start, limit))))
    name = name_after(after)
    rows = await runtime.io(lambda: store.query(lambda c: listing(c, tenant, limit, name)))
    more = cursor(rows[-1].account_id) if len(rows) == limit else None
    return answer(AccountPage(accounts=[stored(row) for row in rows], next=more))  # type: ignore[misc]


def _last(
    reader: Reader, connection: Connection, tenant: str, account_id: str, until_ns: int | None
) -> SaidPrediction | None:
    shard = shard_of(account_id, shards_of(connection, tenant))
    found = next(reader.past(connection, tenant, shard, account_id, until_ns), None)
    return None if found is None else shown(found)


def _by_risk(
    reader: Reader, connection: Connection, tenant: str, horizon: int, start: tuple[float, str] | None, limit: int
) -> AccountPage:
    """The accounts most at risk; those that were taken out since are passed over."""
    ranked = reader.ranked(connection, tenant, horizon, start)
    found: list[StoredAccount] = []
    last = None
    while len(found) < limit and (some := list(islice(ranked, min(_AT_ONCE, limit - len(found))))):
        rows = find_all(connection, tenant, [rank[1] for rank, _ in some])
        found += [stored(rows[rank[1]], shown(one)) for rank, one in some if rank[1] in rows]
        last = some[-1][0]
    more = rank_cursor(last) if last is not None and len(found) == limit else None
    return AccountPage(accounts=found, next=more)  # type: ignore[arg-type]
