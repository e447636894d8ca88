"""One log line and one measurement a request: by template and class of status, never by path, id, key or body."""

from __future__ import annotations

import json
import logging
import re
from types import SimpleNamespace
from typing import Any

import pytest

from serving.logs import JsonLines
from serving.observe import Observe
from tests.serving.client import Client


def sample(text: str, name: str, **labels: str) -> float:
    """Return the value of one series, 0 where it is not there."""
    for line in text.splitlines():
        found = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
        if found and all(f'{k}="{v}"' in (found[1] or "") for k, v in labels.items()):
            return float(found[2])
    return 0.0


def lines_of(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Return the access lines as the JSON that the server writes."""
    records = [r for r in caplog.records if r.name == "margincast.access"]
    return [json.loads(JsonLines().format(r)) for r in records]


@pytest.mark.parametrize(("method", "path", "route", "status"), [
    ("POST", "/v1/predictions", "/v1/predictions", 200),
    ("GET", "/v1/predictions", "/v1/predictions", 405),
    ("GET", "/readyz", "/readyz", 200),
    ("GET", "/v1/no/such/desk-7", "unmatched", 404),
])  # fmt: skip
def test_a_request_is_counted_and_logged_once(
    client: Client, request_json: dict[str, Any], caplog: pytest.LogCaptureFixture,
    method: str, path: str, route: str, status: int,
) -> None:  # fmt: skip
    name, labels = "margincast_http_request_duration_seconds_count", {"method": method, "route": route}
    labels["status"] = f"{status // 100}xx"
    before = sample(client.get("/metrics").text, name, **labels)
    headers = {"x-request-id": "abc-1", "authorization": "Bearer hunter2"}
    with caplog.at_level(logging.INFO, "margincast.access"):
        if method == "POST":
            answer = client.post(path, request_json, headers)
        else:
            answer = client.get(f"{path}?token=hunter2", headers=headers)
    assert answer.status_code == status
    text = client.get("/metrics").text
    assert sample(text, name, **labels) == before + 1
    line = lines_of(caplog)[0]
    assert {k: line[k] for k in ("request_id", "method", "route", "status")} == {
        "request_id": "abc-1", "method": method, "route": route, "status": status,
    }  # fmt: skip
    assert 0 < line["duration_ms"] < 60_000
    for secret in ("hunter2", "desk-7"):
        assert secret not in json.dumps(line)
        assert secret not in text


def test_odd_methods_do_not_make_labels(client: Client) -> None:
    for i in range(20):
        client._loop.run_until_complete(client._http.request(f"ODD{i}", "/livez"))
    text = client.get("/metrics").text
    assert "ODD" not in text
    assert sample(text, "margincast_http_request_duration_seconds_count", method="other", status="4xx") >= 20


def test_metrics_follow_the_naming_rules(client: Client, request_json: dict[str, Any]) -> None:
    client.post("/v1/predictions", request_json)
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", answer.text, re.MULTILINE))
    helps = set(re.findall(r"^# HELP (\S+) \S", answer.text, re.MULTILINE))
    ours = {name: kind for name, kind in kinds.items() if name.startswith("margincast_")}
    assert len(ours) > 20
    for name, kind in ours.items():
        assert name in helps
        assert name.endswith("_total") == (kind == "counter"), name
        assert not re.search(r"_(ms|minutes|hours|percent)(_|$)", name), "base units only"
    labels = set(re.findall(r'[{,](\w+)="', "\n".join(x for x in answer.text.splitlines() if "margincast_" in x)))
    assert labels <= {
        "method", "route", "status", "le", "asset", "role", "name", "version", "horizon_minutes", "reason",
        "source", "outcome", "kind", "severity", "sink",
    }  # fmt: skip
    assert sample(answer.text, "margincast_asset_age_seconds", asset="BTC") == 600
    assert sample(answer.text, "margincast_http_requests_in_progress") == 1
    modern = client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert modern.headers["content-type"].startswith("application/openmetrics-text")
    assert modern.text.endswith("# EOF\n")


def test_the_tenant_is_in_the_log_and_nowhere_else(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    sent: list[Any] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        scope["principal"] = SimpleNamespace(tenant="north")
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        sent.append(message)

    metrics = client.app.state.runtime.metrics
    scope = {"type": "http", "method": "GET", "path": "/x", "headers": []}
    with caplog.at_level(logging.INFO, "margincast.access"):
        client._loop.run_until_complete(Observe(inner, metrics)(scope, None, send))  # type: ignore[arg-type]
    assert lines_of(caplog)[0]["tenant"] == "north"
    assert "north" not in client.get("/metrics").text
    assert sent[0]["status"] == 204


def test_a_hook_that_fails_spoils_no_scrape(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    metrics = client.app.state.runtime.metrics

    def broken() -> None:
        raise RuntimeError("no database")

    metrics.at_scrape(broken)
    try:
        assert "margincast_market_age_seconds 600.0" in client.get("/metrics").text
        assert "could not be computed" in caplog.text
    finally:
        metrics._hooks.remove(broken)


def test_who_goes_away_while_sending_is_no_error(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    sent: list[Any] = []
    parts = iter([
        {"type": "http.request", "body": b'{"account_id": ', "more_body": True},
        {"type": "http.disconnect"},
    ])  # fmt: skip

    async def receive() -> Any:
        return next(parts)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/predictions", "raw_path": b"", "query_string": b""}
    scope |= {
        "headers": [(b"content-type", b"application/json")],
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
    }
    with caplog.at_level(logging.INFO):
        client.run(client.app(scope, receive, send))
    assert sent == []
    assert [line["status"] for line in lines_of(caplog)] == [499]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
