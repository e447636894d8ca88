"""Every refusal that the OpenAPI document names is given, and none that it does not name: for each route by itself.

Requests follow from the document: no key, a key of a lower role, what another tenant has, a server that keeps nothing,
a body that is too large, parameters and bodies that are wrong, a key that asks too often. A new route whose refusals
are not all provoked by them, or not all described, fails here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from models.errors import ModelError
from serving.app import create_app
from serving.bulk.streams import MEDIA_TYPE
from serving.settings import Secret, Settings
from serving.store import open_store
from serving.store.engine import database_url, make_engine
from serving.store.migrate import upgrade
from tests.serving.client import Client
from tests.serving.desks import Desk, account_json, desk_of
from tests.serving.security.test_roles import ROLES, ROUTES, _template

PROVOKED = ("400", "401", "403", "404", "409", "413", "415", "422", "429")
LIMIT = 60_000


def wrong_columns() -> bytes:
    """Return three Arrow streams, none of which has the columns of accounts."""
    sink, table = pa.BufferOutputStream(), pa.table({"nope": [1]})
    for _ in range(3):
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    return bytes(sink.getvalue())


ABSENT = {"key_id": "f" * 16}
ROLE = {(method, _template(path)): (least, service) for method, path, _, least, service in ROUTES}
BODY = {(method, _template(path)): body for method, path, body, *_ in ROUTES}
DOCUMENT = create_app(Settings()).openapi()
OPERATIONS = [
    (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
WRONG_QUERY = {"limit": "0", "days": "0", "target": "1%25", "after": "-1", "as_of": "today"}
OLD = account_json("mine", minutes_ago=60 * 24 * 365 * 20)
INPUT = {"name": "accounts", "shape": [1], "datatype": "BYTES", "data": ['{"account_id": "x"}']}
WRONG_BODY: dict[str, list[Any]] = {
    "/v1/predictions/bulk": [b"not arrow", wrong_columns()],
    "/v1/accounts/{account_id}": [{"nope": 1}, OLD],
    "/v1/accounts": [{"accounts": 7}],
    "/v1/settings/alerts": [{"target": "1%"}],
    "/v1/keys": [{"role": "king", "name": "x"}],
    "/v1/tenants": [{"tenant": "NO WAY", "name": "x"}],
    "/v2/models/{name}/infer": [{"inputs": [INPUT]}],
    "/v2/models/{name}/versions/{version}/infer": [{"inputs": [INPUT]}],
}


@pytest.fixture(scope="module")
def desk(market: Path, now: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Return a server with a market and one thing of each kind that belongs to tenant a."""
    database = f"sqlite:///{tmp_path_factory.mktemp('refusals') / 'margincast.db'}"
    engine = make_engine(database_url(database))
    upgrade(engine)
    engine.dispose()
    store = open_store(database)
    limits = {"max_body_bytes": LIMIT, "max_bulk_bytes": LIMIT, "webhook_private": True}
    with desk_of(store, database, now, market=str(market), live_seconds=0, **limits) as found:
        found.ask("PUT", "/v1/accounts/mine", account_json("mine", now_ns=now), "a.operate")
        found.ask("POST", "/v1/webhooks", {"url": "http://127.0.0.1:9/"}, "a.operate")
        yield found
    store.close()


@pytest.fixture(scope="module")
def hasty(market: Path, now: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Return a server that a key may ask once an hour."""
    database = f"sqlite:///{tmp_path_factory.mktemp('hasty') / 'margincast.db'}"
    store = open_store(database)
    with desk_of(store, database, now, rate_limit=1 / 3600, rate_burst=1.0, live_seconds=0) as found:
        yield found
    store.close()


@pytest.fixture(scope="module")
def bare(market: Path, now: int) -> Iterator[Client]:
    """Return a server that keeps nothing."""
    with Client(create_app(Settings(api_key=Secret("k"), market=str(market), refresh_seconds=0), lambda: now)) as found:
        yield found


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=[f"{m} {p}" for m, p, _ in OPERATIONS])
def test_refusals_are_those_of_the_document(
    desk: Desk, hasty: Desk, bare: Client, method: str, path: str, operation: dict[str, Any]
) -> None:
    named = {status for status in operation["responses"] if status in PROVOKED}
    given: dict[str, list[str]] = {}
    for what, answer in provoke(desk, hasty, bare, method, path, operation):
        status = str(answer.status_code)
        given.setdefault(status, []).append(what)
        if status in PROVOKED:
            assert answer.headers["content-type"] == "application/problem+json", (what, answer.text)
            problem = answer.json()
            assert problem["status"] == answer.status_code
            assert problem["detail"]
            assert problem["code"]
        assert status in operation["responses"], (what, answer.text)
    assert named <= set(given), given


def provoke(
    desk: Desk, hasty: Desk, bare: Client, method: str, path: str, operation: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Ask in every way that should be refused; what was done, and the answer."""
    least, service = ROLE.get((method, path), ("predict", False))
    who, body = f"service.{least}" if service else f"a.{least}", BODY.get((method, path))
    real = fill(path, {"account_id": "mine", "webhook_id": hook_of(desk), "name": "margincast", "version": "prior"})
    real += "?after=0" if path == "/v1/events" else ""
    if path.startswith(("/v1/", "/v2/models")):
        yield from _by_who(desk, (method, real, body), least, service)
        hasty.ask("GET", "/v1/models", who=who)
        yield "too often", hasty.ask(method, real, body, who)
        yield "no database", bare.ask(method, real, body, {"authorization": "Bearer k", "margincast-tenant": "a"})
    if "{" in path:
        yield "absent", desk.ask(method, fill(path, {}), body, who)
        yield "a name too long", desk.ask(method, fill(path, {}, "x" * 300), body, who)
    if "{account_id}" in path and method != "PUT":
        yield "of another tenant", desk.ask(method, real, body, f"b.{least}")
    for name in {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"} & WRONG_QUERY.keys():
        wrong = f"{real.partition('?')[0]}?{name}={WRONG_QUERY[name]}"
        yield f"wrong {name}", desk.ask(method, wrong, body, who)
    if "requestBody" in operation:
        yield from _by_body(desk, (method, real), path, who)
    if path == "/v1/models/reload":
        yield "a broken bundle", _with_a_broken_bundle(desk, method, path, who)


def _by_who(desk: Desk, asked: tuple[str, str, Any], least: str, service: bool) -> Iterator[tuple[str, Any]]:
    """Ask as who may not."""
    yield "no key", desk.ask(*asked, who="")
    lower = [f"a.{role}" for role in ROLES if ROLES.index(role) < ROLES.index(least)]
    for other in lower + (["a.admin"] if service else []):
        yield f"key {other}", desk.ask(*asked, who=other)
    yield "no tenant named", desk.ask(*asked, who=f"service.{least}")
    unknown = desk.ask(*asked, f"service.{least}", {"margincast-tenant": "nobody"})
    assert unknown.status_code == 404 or not needs_tenant(desk, asked, least), unknown.text
    yield "a tenant that is not there", unknown


def needs_tenant(desk: Desk, asked: tuple[str, str, Any], least: str) -> bool:
    """Whether a key of the whole service must name a tenant."""
    answer = desk.ask(*asked, who=f"service.{least}")
    return answer.status_code == 400 and answer.json()["code"] == "no_tenant"


def _by_body(desk: Desk, asked: tuple[str, str], path: str, who: str) -> Iterator[tuple[str, Any]]:
    """Send what cannot be read."""
    kind = {"content-type": MEDIA_TYPE} if path.endswith("/bulk") else {}
    yield "too large", desk.ask(*asked, b"x" * (LIMIT + 1), who, kind)
    yield "another media type", desk.ask(*asked, b"<a/>", who, {"content-type": "text/xml"})
    yield "nothing", desk.ask(*asked, b"", who, kind)
    yield "no JSON", desk.ask(*asked, b"{", who, kind)
    for wrong in WRONG_BODY.get(path, [{"nope": 1}]):
        yield "a wrong body", desk.ask(*asked, wrong, who, kind)


def _with_a_broken_bundle(desk: Desk, method: str, path: str, who: str) -> Any:
    def broken(force: bool) -> bool:
        raise ModelError("model: expected a bundle, booster.txt is cut off")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(desk.runtime, "reload_model", broken)
        return desk.ask(method, path, who=who)


def fill(path: str, names: dict[str, str], other: str = "") -> str:
    """Put names into a path; what has none is absent, or is called `other`."""
    for part in [piece.partition("}")[0] for piece in path.split("{")[1:]]:
        path = path.replace(f"{{{part}}}", names.get(part) or other or ABSENT.get(part, "absent"))
    return path


def hook_of(desk: Desk) -> str:
    """Name the webhook of tenant a."""
    found = desk.ask("GET", "/v1/webhooks", who="a.read").json()["webhooks"]
    return str(found[0]["id"]) if found else "absent"
