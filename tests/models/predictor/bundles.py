"""A small predictor for tests: trees on five made-up columns, a prior on a random walk."""

import lightgbm as lgb
import numpy as np

from models.predictor import Calibration, MarginCallPredictor, SizeModel
from models.prior import PriorModel
from tests.models.builders import walk

NAMES = ("horizon", "prior_logit", "distance", "leverage", "noise")


def rows(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return a design matrix (n * 4, 5) and prior probabilities (n, 4)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n * 4, len(NAMES))).astype(np.float32)
    x[:, 0] = np.tile(np.arange(4), n)
    prior = np.sort(rng.beta(0.6, 6.0, (n, 4)), axis=1)
    return x, prior


def predictor(**more: object) -> MarginCallPredictor:
    """Return a predictor with trees, a Platt map and a size model."""
    x, _ = rows(2000)
    y = (np.random.default_rng(1).uniform(size=len(x)) < 1 / (1 + np.exp(x[:, 2] - x[:, 3] + 2))).astype(float)
    settings = {"objective": "binary", "num_leaves": 7, "verbosity": -1, "num_threads": 1, "boost_from_average": False}
    booster = lgb.train(settings, lgb.Dataset(x, y), 12)
    prior = PriorModel.fit(walk(24 * 80, seed=5), paths=64)
    fields = {"calibration": Calibration("platt", 0.9, 0.9, 0.05), "size": SizeModel(count=(1, 2, 3, 4))}
    fields |= {"feature_names": NAMES, "metadata": {"ruleset": "generic-linear"}}
    return MarginCallPredictor(booster, prior, **{**fields, **more})
