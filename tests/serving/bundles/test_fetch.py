"""MLflow is asked by a process of its own: a real registry, a tracking server that hangs, one that is away."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.errors import ModelError
from models.market import MarketPanel
from serving.bundles.fetch import fetch, last_fetched
from serving.bundles.keeper import ModelKeeper, ModelSource
from serving.settings import Secret
from tests.serving.made import make_predictor
from training.registry import Registry


@pytest.fixture(scope="module")
def registry(panel: MarketPanel, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Return an MLflow home with two versions; the first is the champion."""
    home = Registry(tmp_path_factory.mktemp("registry"))
    home.log(make_predictor(panel), {}, {}, "x")
    home.log(make_predictor(panel, seed=1), {}, {}, "x", alias=None)
    return home


def test_an_alias_is_followed_and_outlives_the_registry(registry: Registry, tmp_path: Path) -> None:
    now = [0]
    uri, cache = Secret(registry.uri), str(tmp_path / "cache")
    source = ModelSource("models:/margincast@champion", uri, cache, refresh_seconds=60)
    keeper = ModelKeeper(source, lambda: now[0])
    found = keeper.look()
    assert found is not None
    keeper.accept(found)
    assert (keeper.active.version, keeper.active.name) == ("margincast/1", "margincast")
    registry.set_alias("champion", "2")
    assert keeper.look() is None, "MLflow is not asked before its time"
    now[0] = 61 * 10**9
    found = keeper.look()
    assert found is not None
    assert found.version == "margincast/2"
    registry.set_alias("champion", "1")

    away = ModelSource("models:/margincast@champion", Secret("http://127.0.0.1:9"), cache)
    with pytest.raises(ModelError, match="could not be fetched"):
        ModelKeeper(away, lambda: 0).look()
    Path(registry.home / "mlflow.db").rename(registry.home / "gone.db")
    try:
        restarted = ModelKeeper(source, lambda: now[0])
        found = restarted.look()
        assert found is not None
        restarted.accept(found)
        assert found.version == "margincast/2", "what the run before had fetched"
        assert "could not be fetched" in restarted.problem
    finally:
        Path(registry.home / "mlflow.db").unlink(missing_ok=True)
        Path(registry.home / "gone.db").rename(registry.home / "mlflow.db")


def test_a_tracking_server_that_hangs_is_given_up_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = Secret(f"http://user:hunter2@127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        with pytest.raises(ModelError, match="no answer in 2 s") as caught:
            fetch("models:/margincast@champion", uri, tmp_path, 2.0)
    assert time.monotonic() - start < 10
    assert "hunter2" not in str(caught.value)
    assert last_fetched("models:/margincast@champion", uri, tmp_path) is None


def test_an_unknown_alias_is_refused_with_its_reason(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="alias nobody not found"):
        fetch("models:/margincast@nobody", Secret(registry.uri), tmp_path, 60.0)


def test_the_server_does_not_import_mlflow() -> None:
    code = "import sys, serving.app, serving.main; print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
