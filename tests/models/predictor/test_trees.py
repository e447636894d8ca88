"""Flat trees give the booster's bits, or are not used."""

from __future__ import annotations

from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from models.predictor.trees import flatten_trees

K = 6


def _booster(missing: bool = True, **more: Any) -> lgb.Booster:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(3_000, K))
    x[:, 1] = np.round(x[:, 1])
    if missing:
        x[rng.random(x.shape) < 0.1] = np.nan
    y = (np.nan_to_num(x).sum(axis=1) + rng.normal(size=len(x)) > 0).astype(float)
    settings = {"objective": "binary", "num_leaves": 15, "verbose": -1, "num_threads": 1} | more
    return lgb.train(settings, lgb.Dataset(x, y, categorical_feature=more.get("categorical", [])), 30)


@pytest.mark.parametrize("missing", [True, False])
@pytest.mark.parametrize("rows", [0, 1, 4, 8, 13, 257])
def test_bits_are_those_of_the_booster(missing: bool, rows: int) -> None:
    booster = _booster(missing)
    flat = flatten_trees(booster)
    assert flat is not None
    rng = np.random.default_rng(rows)
    x = rng.normal(size=(rows, K)).astype(np.float32)
    x[rng.random(x.shape) < 0.2] = np.nan
    x[rng.random(x.shape) < 0.1] = 0.0
    x[rng.random(x.shape) < 0.05] = -1e-36
    expected = booster.predict(x, raw_score=True) if rows else np.zeros(0)
    np.testing.assert_array_equal(flat(x), expected)


def test_threads_change_nothing() -> None:
    flat = flatten_trees(_booster())
    assert flat is not None
    x = np.random.default_rng(0).normal(size=(5_001, K)).astype(np.float32)
    np.testing.assert_array_equal(flat(x, threads=3), flat(x))


def test_a_constant_model_is_flattened_too() -> None:
    booster = lgb.train({"objective": "binary", "verbose": -1}, lgb.Dataset(np.zeros((50, K)), np.arange(50) % 2), 3)
    flat = flatten_trees(booster)
    x = np.zeros((3, K), np.float32)
    assert flat is None or np.array_equal(flat(x), booster.predict(x, raw_score=True))


@pytest.mark.parametrize("more", [{"zero_as_missing": True}, {"linear_tree": True}])
def test_what_the_kernel_does_not_know_is_left_to_the_booster(more: dict[str, Any]) -> None:
    assert flatten_trees(_booster(**more)) is None
