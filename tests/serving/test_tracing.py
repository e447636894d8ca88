"""Spans: continued from the caller, one below the other across threads, sent to a real collector; off unless asked."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from serving.app import create_app
from serving.settings import Settings
from tests.serving.client import Client

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otel is not installed")


class _Collector(BaseHTTPRequestHandler):
    bodies: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        self.bodies.append((self.path, body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Return the address of a collector, and what it got."""
    handler = type("Handler", (_Collector,), {"bodies": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", handler.bodies
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("accounts", [1, 40])  # on the loop, and in a thread
def test_a_request_is_a_span_with_its_parts_below(
    market: Path, now: int, collector: tuple[str, list[tuple[str, bytes]]], request_json: dict[str, Any], accounts: int
) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    address, bodies = collector
    settings = Settings(market=str(market), refresh_seconds=0, otel_endpoint=address)
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    with Client(create_app(settings, lambda: now)) as client:
        body = request_json if accounts == 1 else {"accounts": [request_json] * accounts}
        client.post("/v1/predictions", body, {"traceparent": f"00-{trace}-{parent}-01"})
        client.get("/v1/nothing")
    spans = {}
    for path, sent in bodies:
        assert path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(sent).resource_spans:
            names = {a.key: a.value.string_value for a in resource.resource.attributes}
            assert names["service.name"] == "margincast"
            spans |= {s.name: s for scope in resource.scope_spans for s in scope.spans}
    top = spans["POST /v1/predictions"]
    assert (top.trace_id.hex(), top.parent_span_id.hex()) == (trace, parent)
    assert {a.key: a.value.int_value for a in top.attributes}["http.response.status_code"] == 200
    for name in ("decode", "predict"):
        assert spans[name].parent_span_id == top.span_id
        assert top.start_time_unix_nano <= spans[name].start_time_unix_nano
        assert spans[name].end_time_unix_nano <= top.end_time_unix_nano
    lost = spans["GET unmatched"]
    assert lost.trace_id != top.trace_id
    assert b"desk-7" not in b"".join(sent for _, sent in bodies)


def test_nothing_of_it_is_imported_unless_configured() -> None:
    code = (
        "import sys; from serving.app import create_app; from serving.settings import Settings; "
        "create_app(Settings()); print([m for m in sys.modules if m.startswith('opentelemetry.')"
        " and m.split('.')[1] in ('sdk', 'exporter')])"  # FastAPI itself imports the bare interfaces
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
