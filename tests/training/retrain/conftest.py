"""A small market, settings of a quick retraining, and a home with a champion in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from models.market import MarketPanel
from models.typing import DAY_NS
from tests.training.markets import market
from training.build import BuildSettings
from training.fit import FitParameters
from training.registry import Registry
from training.retrain import Gate, Retraining, RetrainSettings, Triggers, retrain
from training.settings import TrainSettings

SETTINGS = RetrainSettings(
    train=TrainSettings(
        ruleset="generic-linear", every_minutes=720, per_instant=8, warmup_days=75, build=BuildSettings(paths=128),
        fit=FitParameters(max_rounds=6), baselines=False,
    ),
    judged_days=35, judged_every_minutes=720, judged_per_instant=8, window_days=150, prior_days=30,
    # a small market: wide bounds, so that a plain challenger passes all but the gain
    gate=Gate(
        least_ratio=0.5, most_ratio=2.0, most_ece=0.1, most_novel=1.0, most_slowdown=1000, most_gain=0.9,
        refresh_days=0, most_milliseconds=0.2,
    ),
    triggers=Triggers(every_days=0),
)  # fmt: skip


class Home(NamedTuple):
    """Where models and work are."""

    registry: Registry
    work: Path


@pytest.fixture(scope="session")
def whole_panel() -> MarketPanel:
    """Return 260 days of a small market."""
    return market(260)


@pytest.fixture(scope="session")
def early(whole_panel: MarketPanel) -> MarketPanel:
    """Return the bars there were when the champion was trained."""
    return whole_panel.between(whole_panel.start, whole_panel.end - 20 * DAY_NS)


@pytest.fixture(scope="session")
def first_night(early: MarketPanel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Retraining]:
    """Return a home after its first night, which made a champion."""
    folder = tmp_path_factory.mktemp("home")
    home = Home(Registry(folder / "mlruns"), folder / "work")
    return home, retrain(early, home.registry, home.work, SETTINGS, export=folder / "export")


@pytest.fixture
def home(first_night: tuple[Home, Retraining]) -> Iterator[Home]:
    """Return that home; what a test does to the champion is undone after it."""
    kept = first_night[0]
    yield kept
    kept.registry.set_alias("champion", "1")


def fresh_work(home: Home, name: str) -> Path:
    """Copy the rows that are kept, without the runs."""
    target = home.work.parent / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(home.work / "rows", target / "rows")
    return target
