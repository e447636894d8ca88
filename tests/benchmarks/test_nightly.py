"""The year of retraining: what has ended is not done again, and other options are refused."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import nightly
from benchmarks.nightly import Step, steps
from models.typing import DAY_NS
from tests.training.markets import market
from training.retrain import RetrainSettings
from training.settings import TrainSettings

SETTINGS = RetrainSettings(train=TrainSettings(), window_days=1095)


@pytest.fixture
def nights(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, str | None]]:
    """Return the steps that were really done: instant, end, and folder of the first champion."""
    done: list[tuple[int, int, str | None]] = []

    def step(panel: Any, now: int, stop: int, work: Path, settings: Any, never: str | None) -> Step:
        if len(done) == 2 and done[-1] != (0, 0, None):
            done.append((0, 0, None))
            raise KeyboardInterrupt
        done.append((now, stop, never))
        about = {
            "night": "x",
            "outcome": "kept",
            "gain": None,
            "failed": [],
            "first": never or f"m{now}",
            "seconds": 1.0,
        }
        return Step(about, np.full((3, 2), now / DAY_NS), np.full(2, now))

    monkeypatch.setattr(nightly, "_step", step)
    return done


def test_a_run_that_was_killed_is_taken_up(nights: list[tuple[int, int, str | None]], tmp_path: Path) -> None:
    panel = market(20)
    first = panel.start
    arguments = (panel, first, first + 9 * DAY_NS, 2, tmp_path, SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        list(steps(*arguments))
    assert not list(tmp_path.rglob("*.part"))
    found = list(steps(*arguments))
    champion = f"m{first}"
    assert [night[0] for night in nights if night[0]] == [first + k * 2 * DAY_NS for k in range(5)]
    assert nights[-1] == (first + 8 * DAY_NS, first + 9 * DAY_NS, champion)
    assert [step.about["first"] for step in found] == [champion] * 5
    assert [float(step.loss[0, 0]) for step in found] == [(first + k * 2 * DAY_NS) / DAY_NS for k in range(5)]
    assert [int(step.when[0]) for step in found] == [first + k * 2 * DAY_NS for k in range(5)]


def test_another_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    told = argparse.Namespace(
        market="m", first="a", last="b", every_days=14, work=tmp_path, per_instant=2, steps=2, json=None
    )
    nightly._same_options(told)
    told.steps = None
    nightly._same_options(told)
    told.every_days = 7
    with pytest.raises(SystemExit, match="give another folder"):
        nightly._same_options(told)
