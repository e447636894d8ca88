"""A small evaluation with a crash in it, and the report of it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from models.market import MarketPanel
from models.predictor import MarginCallPredictor
from models.typing import DAY_NS
from tests.training.markets import market
from training.build import BuildSettings
from training.fit import FitParameters
from training.pipeline import Evaluation, TrainSettings, evaluate, train
from training.report import Report, build_report

SETTINGS = TrainSettings(
    ruleset="generic-linear", every_minutes=420, per_instant=14, warmup_days=75, build=BuildSettings(paths=128),
    fit=FitParameters(max_rounds=10),
)  # fmt: skip


class Whole(NamedTuple):
    """An evaluation with all that a report needs."""

    evaluation: Evaluation
    panel: MarketPanel
    predictor: MarginCallPredictor
    report: Report


def crashing(panel: MarketPanel, row: int, hours: int = 12, fall: float = 0.25) -> MarketPanel:
    """Let all prices fall by a quarter over half a day, and stay there."""
    factor = np.ones(panel.n_bars)
    factor[row : row + hours] = np.linspace(1.0, 1.0 - fall, hours)
    factor[row + hours :] = 1.0 - fall
    before = np.concatenate([[1.0], factor[:-1]])
    return replace(
        panel, open=panel.open * before, close=panel.close * factor,
        high=panel.high * np.maximum(factor, before), low=panel.low * np.minimum(factor, before),
    )  # fmt: skip


@pytest.fixture(scope="session")
def whole() -> Whole:
    """Train on half a year, judge on the forty days after, which hold a crash."""
    calm = market(200)
    cut = calm.end - 40 * DAY_NS
    panel = crashing(calm, calm.n_bars - 20 * 24)
    trained = train(panel, None, cut, SETTINGS)
    seen = evaluate(panel, trained.predictor, cut, None, trained.baselines, SETTINGS)
    return Whole(seen, panel, trained.predictor, build_report(seen, panel, trained.predictor))
