"""A model is swapped whole while requests run; a broken one is not; one past its expiry leaves it to the prior."""

from __future__ import annotations

import asyncio
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from models.market import MarketPanel
from models.typing import HOUR_NS
from serving.app import create_app
from serving.settings import Settings
from tests.serving.client import Client
from tests.serving.made import make_bundle


@pytest.fixture(scope="module")
def bundles(panel: MarketPanel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return two different bundles by version."""
    root = tmp_path_factory.mktemp("bundles")
    return {v: make_bundle(root / v, panel, v, seed=i) for i, v in enumerate("ab")}


def served(market: Path, now: int, model: Path, refresh: float = 0.0) -> Client:
    """Return a client of an app with that model."""
    settings = Settings(market=str(market), refresh_seconds=refresh, model=str(model))
    return Client(create_app(settings, lambda: now))


def rows_of(body: dict[str, Any]) -> str:
    """Return the figures of a prediction as text."""
    return json.dumps(body["predictions"][0]["rows"])


def test_no_request_fails_and_none_mixes_models_while_they_are_swapped(
    market: Path, now: int, bundles: dict[str, Path], tmp_path: Path, request_json: dict[str, Any]
) -> None:
    model = Path(shutil.copytree(bundles["a"], tmp_path / "model"))
    expected = {}
    for version, folder in bundles.items():
        with served(market, now, folder) as alone:
            expected[version] = rows_of(alone.post("/v1/predictions", request_json).json())
    assert expected["a"] != expected["b"]
    seen: list[tuple[int, str, str]] = []

    with served(market, now, model, refresh=0.05) as client:
        stop = asyncio.Event()
        content = json.dumps(request_json).encode()

        async def ask() -> None:
            headers = {"content-type": "application/json"}
            while not stop.is_set():
                answer = await client._http.post("/v1/predictions", content=content, headers=headers)
                body = answer.json()
                seen.append((answer.status_code, body.get("model_version", ""), rows_of(body)))
                await asyncio.sleep(0)

        async def swap() -> None:
            for version in "baba":
                shutil.copytree(bundles[version], model, dirs_exist_ok=True)
                runtime = client.app.state.runtime
                for _ in range(600):
                    await asyncio.sleep(0.05)
                    if runtime.model.version == version:
                        break
                else:
                    raise AssertionError(f"version {version} was never in use")
                asked = len(seen)
                while len(seen) < asked + 10:
                    await asyncio.sleep(0.01)
            stop.set()

        async def both() -> None:
            await asyncio.gather(swap(), *(ask() for _ in range(4)))

        client._loop.run_until_complete(both())
        text = client.get("/metrics").text
    assert {status for status, _, _ in seen} == {200}
    assert {version for _, version, _ in seen} == {"a", "b"}
    assert all(expected[version] == rows for _, version, rows in seen)
    assert 'margincast_model_reloads_total{role="champion"} 5.0' in text


def test_a_corrupt_bundle_is_said_everywhere_and_the_old_one_answers(
    market: Path, now: int, bundles: dict[str, Path], tmp_path: Path, request_json: dict[str, Any]
) -> None:
    model = Path(shutil.copytree(bundles["a"], tmp_path / "model"))
    with served(market, now, model) as client:
        before = client.post("/v1/predictions", request_json).json()
        (model / "booster.txt").write_text("not a tree")
        refused = client.post("/v1/models/reload", b"")
        assert (refused.status_code, refused.json()["code"]) == (409, "model_not_used")
        assert "booster.txt" in refused.json()["detail"]
        assert client.post("/v1/predictions", request_json).json() == before
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert "version a stays in use" in ready.json()["model_problem"]
        (active,) = client.get("/v1/models").json()["models"]
        assert (active["version"], active["active"]) == ("a", True)
        assert "booster.txt" in active["problem"]
        assert 'margincast_model_reload_failures_total{role="champion"} 1.0' in client.get("/metrics").text
        shutil.copytree(bundles["b"], model, dirs_exist_ok=True)
        (found,) = client.post("/v1/models/reload", b"").json()["models"]
        assert (found["version"], found["problem"]) == ("b", "")
        assert client.get("/readyz").json()["model_problem"] == ""


def test_a_server_that_starts_on_a_corrupt_bundle_answers_from_the_prior_until_it_is_mended(
    market: Path, now: int, bundles: dict[str, Path], tmp_path: Path, request_json: dict[str, Any]
) -> None:
    model = Path(shutil.copytree(bundles["a"], tmp_path / "model"))
    (model / "prior.npz").write_bytes(b"PK")
    with served(market, now, model) as client:
        (answer,) = client.post("/v1/predictions", request_json).json()["predictions"]
        assert "prior_only" in answer["flags"]
        assert (answer["source"], answer["source_reason"]) == ("prior", ["no_model"])
        ready = client.get("/readyz").json()
        assert ready["prior_only"]
        assert "prior.npz" in ready["model_problem"]
        assert "margincast_model_prior_only 1.0" in client.get("/metrics").text
        shutil.copytree(bundles["a"], model, dirs_exist_ok=True)
        assert client.post("/v1/models/reload", b"").status_code == 200
        (answer,) = client.post("/v1/predictions", request_json).json()["predictions"]
        assert answer["source"] == "model"
        assert "margincast_model_prior_only 0.0" in client.get("/metrics").text


def test_what_else_is_swapped_may_refuse_the_model(
    market: Path, now: int, bundles: dict[str, Path], tmp_path: Path
) -> None:
    model = Path(shutil.copytree(bundles["a"], tmp_path / "model"))
    swapped: list[str] = []
    with served(market, now, model) as client:
        runtime = client.app.state.runtime
        runtime.on_model(lambda new: lambda: swapped.append(new.version))
        assert client.post("/v1/models/reload", b"").status_code == 200
        assert swapped == ["a"]

        def broken(_: object) -> Any:
            raise RuntimeError("no room")

        runtime.on_model(broken)
        old = runtime.engine
        shutil.copytree(bundles["b"], model, dirs_exist_ok=True)
        assert client.post("/v1/models/reload", b"").status_code == 409
        assert swapped == ["a"], "all or nothing"
        assert runtime.engine is old
        assert runtime.model.version == "a"


@pytest.mark.parametrize(("hours", "expired"), [(1, False), (0, True)])
def test_past_its_expiry_the_prior_answers_and_says_so(
    market: Path, now: int, panel: MarketPanel, tmp_path: Path, request_json: dict[str, Any], hours: int, expired: bool
) -> None:
    until = datetime.fromtimestamp((panel.end + hours * HOUR_NS) / 1e9, UTC).isoformat()
    model = make_bundle(tmp_path / "model", panel, "a", expires_at=until)
    with served(market, now, model) as client:
        (answer,) = client.post("/v1/predictions", request_json).json()["predictions"]
        assert ("expired_model" in answer["flags"]) is expired
        assert answer["source_reason"] == (["expired_model"] if expired else [])
        same = all(row["p_call"] == row["prior"] for row in answer["rows"])
        assert same is expired
        ready = client.get("/readyz").json()
        assert ready["prior_only"] is expired
        assert (until in ready["model_problem"]) is expired
        (found,) = client.get("/v1/models").json()["models"]
        assert found["details"]["expires_at"] == until
