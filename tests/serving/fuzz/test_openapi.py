"""Every operation of the OpenAPI document with valid and invalid requests: no server error, answers as described.

Requests are drawn from the document itself by schemathesis, the same ones in every run. The stream of events is left
out: it never ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serving.app import create_app
from serving.bulk.streams import MEDIA_TYPE
from serving.settings import Settings
from serving.store import open_store
from serving.store.engine import database_url, make_engine
from serving.store.migrate import upgrade
from tests.serving.desks import Desk, desk_of

EXAMPLES = 10
BASE = "http://test"
FIELDS = ("method", "url", "headers", "params", "json", "data", "files", "cookies")
ENDLESS = {"GET /v1/events"}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
schemathesis.serializer(MEDIA_TYPE)(lambda _, value: str(value).encode())
SCHEMA = schemathesis.openapi.from_dict(create_app(Settings()).openapi())
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations() if found.ok().label not in ENDLESS]


@pytest.fixture(scope="module")
def desk(market: Path, now: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Return a server with a market, a database and tenants."""
    database = f"sqlite:///{tmp_path_factory.mktemp('fuzz') / 'margincast.db'}"
    engine = make_engine(database_url(database))
    upgrade(engine)
    engine.dispose()
    store = open_store(database)
    with desk_of(store, database, now_ns=now, market=str(market)) as found:
        yield found
    store.close()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda found: found.label)
def test_no_request_breaks_the_server(operation: Any, desk: Desk) -> None:
    right, wrong = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate))
    @given(case=st.one_of(right, wrong))
    def check(case: schemathesis.Case) -> None:
        case.validate_response(send(desk, case), checks=CHECKS)

    check()


def test_every_operation_of_the_document_is_tried(desk: Desk) -> None:
    paths = desk.client.get("/openapi.json").json()["paths"]
    there = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert there == {operation.label for operation in OPERATIONS} | ENDLESS


def send(desk: Desk, case: schemathesis.Case) -> httpx.Response:
    """Send what was drawn, with the key of an admin of the service that names a tenant."""
    headers = {"authorization": f"Bearer {desk.keys['service.admin']}", "margincast-tenant": "a"}
    given = case.as_transport_kwargs(base_url=BASE)
    given["headers"] = {**given["headers"], **headers}
    prepared = requests.Request(**{k: v for k, v in given.items() if k in FIELDS}).prepare()
    body = prepared.body if isinstance(prepared.body, bytes) else (prepared.body or "").encode()
    sent = [(k.encode("latin-1", "replace"), v.encode("latin-1", "replace")) for k, v in prepared.headers.items()]
    request = desk.client._http.build_request(prepared.method or "GET", str(prepared.url), headers=sent, content=body)
    found = desk.client._loop.run_until_complete(desk.client._http.send(request))
    found.request = request
    return found
