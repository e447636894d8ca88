"""A market cut in two, and its second part played to a server that counts."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from features.sources import load_panel
from features.sources.times import iso
from models.typing import HOUR_NS
from tests.cli.conftest import Run


@contextmanager
def server(busy: int = 0) -> Iterator[tuple[str, list[dict[str, Any]], list[str]]]:
    """Serve POST /v1/market/bars; the first answers ask for patience."""
    bodies: list[dict[str, Any]] = []
    keys: list[str] = []
    left = [busy]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if left[0]:
                left[0] -= 1
                self.send_response(503)
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            bodies.append(body)
            keys.append(self.headers.get("authorization", ""))
            answer = {"accepted": len(body["bars"]), "duplicate": 0, "revised": 0, "late": 0, "failures": []}
            text = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{found.server_port}", bodies, keys
    finally:
        found.shutdown()
        found.server_close()
        thread.join()


def test_the_parts_of_a_cut_market_make_the_whole(run: Run, market: Path, tmp_path: Path) -> None:
    whole = load_panel(market)
    middle = whole.end - 5 * HOUR_NS
    done = run("data", "cut", market, "--out", tmp_path / "before", "--to", iso(middle))
    assert done.exit_code == 0, done.stderr
    before = load_panel(tmp_path / "before")
    assert (before.start, before.end, before.source) == (whole.start, middle, whole.source)
    assert np.array_equal(before.close, whole.close[:, : before.n_bars])
    assert np.array_equal(before.funding_rate, whole.funding_rate[:, : before.n_bars])
    with server(busy=2) as (url, bodies, keys):
        done = run(
            "data", "play", market, "--from", iso(middle), "--url", url, "--key", "mck_x", "--pause", 0, "--json"
        )  # fmt: skip
    assert done.exit_code == 0, (done.stderr, done.exception)
    assert json.loads(done.stdout) == {
        "bars": 10, "accepted": 10, "duplicate": 0, "revised": 0, "late": 0, "failures": 0
    }  # fmt: skip
    assert set(keys) == {"Bearer mck_x"}
    assert [body["bars"][0]["timestamp"] for body in bodies] == [iso(middle + h * HOUR_NS) for h in range(5)]
    last = {bar["asset"]: bar for bar in bodies[-1]["bars"]}
    for a, asset in enumerate(whole.assets):
        assert last[asset]["close"] == whole.close[a, -1]
        assert last[asset]["source"] == whole.source[a]


def test_a_folder_within_the_market_or_without_files_is_refused(run: Run, market: Path, tmp_path: Path) -> None:
    inside = run("data", "cut", market, "--out", market / "cut", "--to", "2022-02-01")
    assert inside.exit_code == 2
    assert "outside of the market" in inside.stderr
    (tmp_path / "empty").mkdir()
    nothing = run("data", "cut", tmp_path / "empty", "--out", tmp_path / "x", "--to", "2022-02-01")
    assert nothing.exit_code == 2
    assert not (tmp_path / "x").exists()


def test_a_server_that_is_not_there_is_named(run: Run, market: Path) -> None:
    done = run("data", "play", market, "--from", "2022-03-10", "--url", "http://127.0.0.1:9", "--pause", 0)
    assert done.exit_code == 2
    assert "a server that answers" in done.stderr
