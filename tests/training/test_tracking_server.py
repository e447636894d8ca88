"""A tracking server over PostgreSQL: what training logs, aliases, bundles and reports go through it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from margincast.cli.inputs import open_registry, registered_folder
from models.errors import InputError, ModelError
from models.predictor import MarginCallPredictor
from tests.models.predictor.bundles import predictor, rows
from tests.serving.databases import database_of
from training.registry import RETRAIN, Registry

METRICS = {"pooled": {"log_loss": 0.1, "auc": float("nan")}, "by_hour": {str(h): h / 7 for h in range(1200)}}


def _port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of MLflow whose tables are in PostgreSQL."""
    folder, port = tmp_path_factory.mktemp("server"), _port()
    with database_of("postgres", folder) as database:
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database, "--workers", "1"]
        command += ["--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(port)]
        environ = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(command, env=environ, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(f"http://127.0.0.1:{port}", process, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, 9)
            process.wait(20)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{address}/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise AssertionError(log.read_text()[-2000:])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> Path:
    """An empty folder to work in, and the server in the variable that MLflow reads."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return tmp_path


def test_what_is_logged_promoted_and_rolled_back_is_on_the_server(here: Path) -> None:
    home, model = open_registry(), predictor()
    first = home.log(model, {"seed": 7, "words": "x" * 900}, METRICS, "abc", files={"baselines.json": "{}"})
    second = home.log(model, {"seed": 8}, METRICS, "def", alias="challenger", tags={RETRAIN: "night"})
    assert home.logged("night") == second
    assert home.promote(second.version) == first.version
    folder = registered_folder("models:/margincast@champion")
    loaded = MarginCallPredictor.load(folder)
    assert (loaded.version, loaded.metadata["data_fingerprint"]) == (f"margincast/{second.version}", "def")
    x, prior = rows(50)
    np.testing.assert_array_equal(loaded.predict(x, prior), model.predict(x, prior))
    assert home.rollback() == (second.version, first.version)
    assert (home.fetch() / "baselines.json").read_text() == "{}"
    assert home.fetch() == home.fetch(first.version)
    assert not (here / "mlruns" / "mlflow.db").exists()


def test_figures_and_a_report_are_with_the_run(here: Path) -> None:
    from mlflow import MlflowClient

    home = open_registry()
    made = home.log(predictor(), {"seed": 9}, METRICS, "ghi", alias=None)
    (here / "report").mkdir()
    (here / "report" / "index.html").write_text("<p>report")
    assert home.attach(made.run_id, here / "report", "report")
    assert not home.attach("0" * 32, here / "report", "report")
    client = MlflowClient(tracking_uri=home.uri)
    run = client.get_run(made.run_id)
    assert run.data.params["data_fingerprint"] == "ghi"
    assert len(run.data.metrics) == 1201
    assert run.data.metrics["by_hour.700"] == pytest.approx(100.0)
    names = {one.path for one in client.list_artifacts(made.run_id)}
    assert names == {"bundle", "metrics.json", "report"}


def test_a_version_that_is_not_there_is_named_with_the_server(here: Path, address: str) -> None:
    with pytest.raises(ModelError, match=f"{address}: expected a version or alias of other"):
        registered_folder("models:/other@champion")
    assert not (here / "mlruns" / "fetched").exists()


def test_other_addresses_are_refused_and_a_folder_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///somewhere.db")
    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI"):
        open_registry()
    assert open_registry(tmp_path).where == str(tmp_path)
    with pytest.raises(InputError, match="registry"):
        Registry("postgresql://127.0.0.1/mlflow")
