"""A real server process: SIGTERM loses no request, and /readyz says so before the door closes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no SIGTERM")

DRAIN_SECONDS = 1.5


@dataclass
class Served:
    """A server process and a client of it."""

    process: subprocess.Popen[str]
    http: httpx.Client

    def status(self, path: str) -> int:
        """Return the status of a path."""
        return self.http.get(path).status_code


@pytest.fixture
def served(market: Path) -> Iterator[Served]:
    """Return a server that is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = os.environ | {
        "MARGINCAST_MARKET": str(market), "MARGINCAST_PORT": str(port), "MARGINCAST_LOG_FORMAT": "json",
        "MARGINCAST_DRAIN_SECONDS": str(DRAIN_SECONDS), "MARGINCAST_REFRESH_SECONDS": "0",
    }  # fmt: skip
    code = "from serving.main import serve; from serving.settings import settings_from_env; serve(settings_from_env())"
    process = subprocess.Popen([sys.executable, "-c", code], env=environ, stderr=subprocess.PIPE, text=True)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
        found = Served(process, http)
        end = time.monotonic() + 120
        while time.monotonic() < end and process.poll() is None:
            try:
                if found.status("/readyz") == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield found
    if process.poll() is None:
        process.kill()
        process.wait(10)


def many(request_json: dict[str, Any], count: int) -> dict[str, Any]:
    """Return a request for options whose plans take a while."""
    return {"accounts": [request_json | {"account_id": f"a{i}"} for i in range(count)], "target": "0.0001@4320"}


def test_sigterm_tells_the_balancer_first_then_finishes_what_is_under_way(
    served: Served, request_json: dict[str, Any]
) -> None:
    answers: list[int] = []

    def ask() -> None:
        body = many(request_json, 400)
        answers.append(served.http.post("/v1/recommendations", json=body).status_code)

    slow = threading.Thread(target=ask)
    slow.start()
    time.sleep(0.1)
    start = time.monotonic()
    served.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    ready = served.http.get("/readyz")
    assert (ready.status_code, ready.json()["detail"]) == (503, "the server is stopping")
    assert served.status("/livez") == 200
    assert served.http.post("/v1/predictions", json=request_json).status_code == 200, "requests are still taken"
    _, errors = served.process.communicate(timeout=60)
    slow.join(30)
    assert time.monotonic() - start >= DRAIN_SECONDS
    assert answers == [200]
    assert served.process.returncode == 0
    lines = [json.loads(line) for line in errors.splitlines()]
    routes = [line["route"] for line in lines if line["logger"] == "margincast.access"]
    assert {"/readyz", "/livez", "/v1/predictions", "/v1/recommendations"} <= set(routes)
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)


def test_a_second_signal_does_not_wait(served: Served) -> None:
    start = time.monotonic()
    served.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    served.process.send_signal(signal.SIGTERM)
    served.process.communicate(timeout=30)
    assert time.monotonic() - start < DRAIN_SECONDS
