"""A challenger is scored on the same inputs: its differences are told, its answers never are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.market import MarketPanel
from serving.app import create_app
from serving.settings import Settings
from tests.serving.client import Client
from tests.serving.made import make_bundle


@pytest.fixture
def folders(panel: MarketPanel, tmp_path: Path) -> tuple[Path, Path]:
    """Return a champion and a challenger."""
    return make_bundle(tmp_path / "a", panel, "a"), make_bundle(tmp_path / "b", panel, "b", seed=3)


def served(market: Path, now: int, model: Path, shadow: Path | None) -> Client:
    """Return a client of an app with these models."""
    settings = Settings(market=str(market), refresh_seconds=0, model=str(model), shadow=str(shadow or ""))
    return Client(create_app(settings, lambda: now))


@pytest.fixture
def both(folders: tuple[Path, Path], market: Path, now: int) -> Iterator[Client]:
    """Return a client of an app with champion and challenger."""
    with served(market, now, *folders) as found:
        yield found


def shadow_of(client: Client, accounts: int) -> dict[str, Any]:
    """Return what /v1/models says of the challenger once it has scored so many accounts."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        _, found = client.get("/v1/models").json()["models"]
        if found["differences"] and found["differences"][0]["accounts"] >= accounts:
            return dict(found)
        time.sleep(0.02)
    raise AssertionError("the challenger has scored nothing")


def test_differences_are_those_of_the_two_models(
    both: Client, folders: tuple[Path, Path], market: Path, now: int, request_json: dict[str, Any]
) -> None:
    sizes = np.linspace(0.5, 2.0, 20)
    leg = request_json["positions"][0]
    accounts = [request_json | {"positions": [leg | {"quantity": q}]} for q in sizes]
    answer = both.post("/v1/predictions", {"accounts": accounts}).json()
    assert answer["model_version"] == "a"
    told = shadow_of(both, len(accounts))
    assert (told["active"], told["version"]) == (False, "b")
    with served(market, now, folders[1], None) as alone:
        other = alone.post("/v1/predictions", {"accounts": accounts}).json()
    for column, row in enumerate(told["differences"]):
        p = [[a["rows"][column]["p_call"] for a in body["predictions"]] for body in (answer, other)]
        calm = [i for i, a in enumerate(answer["predictions"]) if "in_call" not in a["flags"]]
        difference = (np.array(p[1]) - np.array(p[0]))[calm]
        assert row["accounts"] == len(calm)
        assert row["mean"] == pytest.approx(difference.mean(), abs=1e-12)
        assert row["mean_absolute"] == pytest.approx(np.abs(difference).mean(), abs=1e-12)
        assert row["largest_absolute"] == pytest.approx(np.abs(difference).max(), abs=1e-12)
        assert row["largest_absolute"] > 0
    text = both.get("/metrics").text
    assert 'margincast_model_info{name="b",role="challenger",version="b"} 1.0' in text
    assert f"margincast_shadow_accounts_total {len(calm)}.0" in text
    assert f'margincast_shadow_p_call_difference_ratio_count{{horizon_minutes="60"}} {len(calm)}.0' in text


def test_a_broken_challenger_spoils_nothing(
    folders: tuple[Path, Path], market: Path, now: int, request_json: dict[str, Any]
) -> None:
    (folders[1] / "booster.txt").write_text("tree")
    with served(market, now, *folders) as client:
        assert client.post("/v1/predictions", request_json).json()["model_version"] == "a"
        champion, challenger = client.get("/v1/models").json()["models"]
        assert champion["problem"] == ""
        assert "booster.txt" in challenger["problem"]
        text = client.get("/metrics").text
        assert 'margincast_model_reload_failures_total{role="challenger"} 1.0' in text
        assert client.get("/readyz").json()["model_problem"] == ""
