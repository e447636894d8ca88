"""Small real models, saved as bundles: trees trained on noise, a prior fitted on the market of the tests."""

from __future__ import annotations

from pathlib import Path

import lightgbm as lgb
import numpy as np

from features.build import FEATURE_NAMES, MONOTONE
from models.market import MarketPanel
from models.predictor import MarginCallPredictor
from models.prior import PriorModel

__all__ = ["make_bundle", "make_predictor"]


def make_predictor(panel: MarketPanel, version: str = "test-1", seed: int = 0, **more: object) -> MarginCallPredictor:
    """Return a predictor; other seeds give other trees, `more` is metadata."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2_000, len(FEATURE_NAMES))).astype(np.float32)
    y = (x @ np.asarray(MONOTONE) + rng.normal(size=len(x)) > 0).astype(float)
    settings = {"objective": "binary", "num_leaves": 7, "verbose": -1, "num_threads": 1, "learning_rate": 0.02}
    booster = lgb.train(settings | {"monotone_constraints": list(MONOTONE)}, lgb.Dataset(x, y), 20)
    metadata = {"version": version} | more
    return MarginCallPredictor(booster, PriorModel.fit(panel), FEATURE_NAMES, metadata=metadata)


def make_bundle(folder: Path, panel: MarketPanel, version: str = "test-1", seed: int = 0, **more: object) -> Path:
    """Save such a predictor to a folder."""
    return make_predictor(panel, version, seed, **more).save(folder)
