"""The yardsticks stand still while the model's settings move."""

from dataclasses import replace

import numpy as np

from tests.training.evaluate.test_decisions import dataset
from training.baselines import fit_baselines
from training.fit import FitParameters


def small():
    rng = np.random.default_rng(1)
    n = 3000
    p = rng.beta(0.5, 2.0, n).clip(1e-3, 0.99)
    data = dataset(np.arange(n) * 3_600_000_000_000, p, rng.uniform(size=n) < p)
    data.x[:, 2] = np.repeat(np.log(p / (1 - p)), 4)
    names = ("distance_price", "margin_usage", "free")
    return replace(data, feature_names=names, extra={**data.extra, "last_call": np.zeros(len(data))})


def test_trees_without_prior_do_not_follow_the_settings_of_the_model():
    data = small()
    first = np.arange(len(data)) < len(data) // 2
    given = FitParameters(num_threads=1)
    other = replace(
        given, num_leaves=16, learning_rate=0.3, min_data_in_leaf=5, max_rounds=7, lambda_l2=0.5, shrink=0.1
    )
    monotone = (0,) * len(data.feature_names)
    one, two = (fit_baselines(data, first, ~first, monotone, parameters) for parameters in (given, other))
    assert one.trees
    assert one.trees == two.trees
    assert one.trees_base == two.trees_base
