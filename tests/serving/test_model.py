"""The app with a model: a small one, trained on noise, saved as a bundle and loaded from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.market import MarketPanel
from models.predictor.explain import PARTS
from serving.app import create_app
from serving.model_source import load_model
from serving.settings import Settings
from tests.serving.client import Client
from tests.serving.made import make_bundle


@pytest.fixture(scope="module")
def bundle(panel: MarketPanel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small model."""
    return make_bundle(tmp_path_factory.mktemp("bundle"), panel)


@pytest.fixture(scope="module")
def modelled(bundle: Path, market: Path, now: int) -> Iterator[Client]:
    """Return a client of an app with that model."""
    settings = Settings(market=str(market), refresh_seconds=0, model=str(bundle))
    with Client(create_app(settings, lambda: now)) as found:
        yield found


def test_the_version_of_the_bundle_is_named(modelled: Client, bundle: Path, request_json: dict[str, Any]) -> None:
    body = modelled.post("/v1/predictions", request_json).json()
    assert body["model_version"] == "test-1"
    assert "prior_only" not in body["predictions"][0]["flags"]
    (model,) = modelled.get("/v1/models").json()["models"]
    assert (model["version"], model["details"]["source"]) == ("test-1", str(bundle))
    assert modelled.get("/readyz").json()["prior_only"] is False


def test_trees_change_the_prior_and_keep_the_order(modelled: Client, request_json: dict[str, Any]) -> None:
    rows = modelled.post("/v1/predictions", request_json).json()["predictions"][0]["rows"]
    assert rows[2]["p_call"] != rows[2]["prior"]
    p = [row["p_call"] for row in rows]
    assert p == sorted(p)
    assert all(row["p_liquidation"] <= row["p_call"] for row in rows)


def test_p_never_falls_when_the_position_grows(modelled: Client, request_json: dict[str, Any], price: float) -> None:
    accounts = [
        request_json | {"positions": [{"symbol": "BTC/USDT:USDT", "quantity": q, "entry_price": price}]}
        for q in np.linspace(0.2, 6.0, 40)
    ]
    found = modelled.post("/v1/predictions", {"accounts": accounts}).json()["predictions"]
    p = np.array([[row["p_call"] for row in a["rows"]] for a in found])
    assert np.all(np.diff(p, axis=0) >= -1e-12)


def test_plans_hold_on_the_full_predictor(modelled: Client, request_json: dict[str, Any]) -> None:
    rows = modelled.post("/v1/predictions", request_json).json()["predictions"][0]["rows"]
    target = max(rows[2]["p_call"] / 3, 1e-4)
    body = {"account": request_json, "target": f"{target:.6f}@1440"}
    (found,) = modelled.post("/v1/recommendations", body).json()["recommendations"]
    assert found["status"] == "act"
    plan = next(p for p in found["plans"] if p["actions"][0]["kind"] == "top_up" and p["actions"][0]["asset"] == "USDT")
    balance = request_json["collateral"][0]["quantity"] + plan["actions"][0]["amount"]
    after = request_json | {"collateral": [{"asset": "USDT", "quantity": balance}, *request_json["collateral"][1:]]}
    again = modelled.post("/v1/predictions", after).json()["predictions"][0]["rows"]
    assert [row["p_call"] for row in again] == pytest.approx(plan["p_after"], rel=1e-6)
    assert again[2]["p_call"] <= target


def test_other_columns_are_refused(bundle: Path, tmp_path: Path) -> None:
    for path in bundle.iterdir():
        text = path.read_bytes().replace(b'"distance_sigma"', b'"distance_other"')
        (tmp_path / path.name).write_bytes(text)
    with pytest.raises(Exception, match="schema hash"):
        load_model(str(tmp_path))


@pytest.mark.parametrize("shape", ["flat", "list"])
def test_explanations_are_given_when_asked_for(modelled: Client, request_json: dict[str, Any], shape: str) -> None:
    asked = {"accounts": [request_json]} if shape == "list" else request_json
    (plain,) = modelled.post("/v1/predictions", asked).json()["predictions"]
    (found,) = modelled.post("/v1/predictions", asked | {"explain": True}).json()["predictions"]
    assert "explanation" not in plain
    for row, why in zip(found["rows"], found.pop("explanation"), strict=True):
        assert list(why["parts"]) == list(PARTS)
        assert why["horizon_minutes"] == row["horizon_minutes"]
        assert why["logit_prior"] + sum(why["parts"].values()) == pytest.approx(why["logit_p_call"], abs=1e-9)
        assert 1 / (1 + np.exp(-why["logit_p_call"])) == pytest.approx(row["p_call"], abs=1e-9)
    assert found == plain
    assert modelled.post("/v1/predictions", asked | {"explain": False}).json()["predictions"] == [plain]


def test_a_wrong_explain_is_named(modelled: Client, request_json: dict[str, Any]) -> None:
    for body in (request_json | {"explain": "yes"}, {"accounts": [], "explain": 1}):
        answer = modelled.post("/v1/predictions", body)
        assert (answer.status_code, answer.json()["field"]) == (422, "explain")
    answer = modelled.post("/v1/predictions", request_json | {"explain": True, "leverage": 3})
    assert (answer.status_code, answer.json()["field"]) == (422, "leverage")
