"""The app around the routes: problems, limits, keys, health, documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.app import create_app
from serving.settings import Secret, Settings
from tests.serving.client import Client

PATHS = ("/v1/predictions", "/v1/recommendations")


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nothing", "/v1/predictions/7"])
def test_unknown_paths_are_problems(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["instance"] == path


@pytest.mark.parametrize("path", PATHS)
def test_other_methods_are_problems_with_allow(client: Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_other_media_types_are_refused(client: Client, path: str, kind: str) -> None:
    answer = client.post(path, b"{}", {"content-type": kind})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("path", PATHS)
def test_a_body_over_the_limit_is_refused(client: Client, path: str) -> None:
    answer = client.post(path, b"x" * 400_001)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_body_that_hides_its_length_is_cut_off_at_the_limit(client: Client) -> None:
    sent = 0

    async def garbage() -> Any:
        nonlocal sent
        for _ in range(10_000):
            sent += 100_000
            yield b"x" * 100_000

    request = client._http.post("/v1/predictions", content=garbage(), headers={"content-type": "application/json"})
    answer = client._loop.run_until_complete(request)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_every_answer_has_a_request_id(client: Client) -> None:
    given = client.get("/livez", headers={"x-request-id": "abc-123"})
    assert given.headers["x-request-id"] == "abc-123"
    for odd in ("a b", "x" * 65, "<script>"):
        assert client.get("/nothing", headers={"x-request-id": odd}).headers["x-request-id"] != odd
    ids = {client.get("/livez").headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5


def test_live_and_ready(client: Client) -> None:
    assert client.get("/livez").text == "ok\n"
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() | {"market": None} == {
        "status": "ready", "model_version": "prior", "prior_only": True, "market": None, "reason": "",
        "model_problem": "",
    }  # fmt: skip


def test_models_and_metrics(client: Client) -> None:
    (model,) = client.get("/v1/models").json()["models"]
    assert (model["version"], model["active"], model["horizons"]) == ("prior", True, [60, 240, 1440, 4320])
    assert re.search(r"^margincast_market_age_seconds 600\.0$", client.get("/metrics").text, re.MULTILINE)


def test_without_a_market_it_is_alive_but_not_ready(request_json: dict[str, Any]) -> None:
    with Client(create_app(Settings(refresh_seconds=0))) as bare:
        assert bare.get("/livez").status_code == 200
        for answer in (bare.get("/readyz"), bare.post("/v1/predictions", request_json)):
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "5"
            assert "MARGINCAST_MARKET" in answer.json()["detail"]


def test_an_unreadable_market_is_said_at_readyz(tmp_path: Path) -> None:
    with Client(create_app(Settings(market=str(tmp_path), refresh_seconds=0))) as empty:
        answer = empty.get("/readyz")
        assert answer.status_code == 503
        assert "could not be read" in answer.json()["detail"]


@pytest.fixture
def guarded(market: Path, now: int) -> Iterator[Client]:
    """Return a client of an app that asks for a key and allows little time."""
    settings = Settings(market=str(market), refresh_seconds=0, api_key=Secret("key-1"), timeout_seconds=0.05)
    with Client(create_app(settings, lambda: now)) as found:
        yield found


def test_a_key_guards_v1_only(guarded: Client, request_json: dict[str, Any]) -> None:
    for headers in ({}, {"authorization": "Bearer other"}, {"authorization": "key-1"}):
        answer = guarded.post("/v1/predictions", request_json, headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
    assert guarded.get("/v1/models", headers={"authorization": "Bearer key-1"}).status_code == 200
    assert guarded.get("/livez").status_code == 200


def test_a_request_that_takes_too_long_is_given_up(guarded: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    from serving.routes import recommendations

    async def slow(*_: Any) -> None:
        await asyncio.sleep(5)

    monkeypatch.setattr(recommendations, "run_sized", slow)
    answer = guarded.post("/v1/recommendations", {"accounts": []}, {"authorization": "Bearer key-1"})
    assert (answer.status_code, answer.json()["code"]) == (503, "timeout")


def test_a_fault_of_the_server_shows_no_trace(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(type(client.app.state.runtime), "model_list", broken)
    answer = client.get("/v1/models")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret detail" not in answer.text
    assert answer.headers["x-request-id"]


def test_the_document_names_every_route_and_resolves(client: Client) -> None:
    document = client.get("/openapi.json").json()
    assert {"/v1/predictions", "/v1/recommendations", "/v1/models", "/livez", "/readyz", "/metrics"} <= set(
        document["paths"]
    )
    names = set(re.findall(r'"#/components/schemas/(\w+)"', client.get("/openapi.json").text))
    assert names <= set(document["components"]["schemas"])
    assert {"Account", "Policy", "PredictionResponse", "Recommendation"} <= names


def test_the_docs_page_loads_nothing(client: Client) -> None:
    page = client.get("/docs")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "/v1/predictions" in page.text
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page.text)
    assert "<script" not in page.text
