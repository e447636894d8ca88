"""The residual fit: monotone to the letter, reproducible, and silent where there is nothing to learn."""

from dataclasses import replace

import lightgbm as lgb
import numpy as np
import pytest

from models.errors import InputError
from models.predictor.logistic import sigmoid
from training.fit import FitParameters, Rows, fit_booster

NAMES = ("up", "down", "free", "noise")
MONOTONE = (1, -1, 0, 0)
QUICK = FitParameters(
    shrink=1.0, learning_rate=0.1, min_data_in_leaf=40, lambda_l2=1.0, max_rounds=60, patience=15, num_threads=1
)


def data(n=12_000, seed=0, signal=1.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).astype(np.float32)
    offset = rng.normal(-2.0, 1.0, n)
    wavy = np.sin(3 * x[:, 2]) * x[:, 0] + 0.7 * x[:, 0] - 0.7 * x[:, 1] + 0.5 * np.sin(3 * x[:, 1])
    y = (rng.uniform(size=n) < sigmoid(offset + signal * wavy)).astype(float)
    return x, y, offset, np.repeat(np.arange(n // 40), 40)


def parts(y, offset, day):
    n = len(y)

    def cut(index):
        return Rows(index, y[index], offset[index], day[index])

    return cut(np.arange(0, n * 2 // 3)), cut(np.arange(n * 2 // 3, n))


def fit(parameters=QUICK, **more):
    x, y, offset, day = data(**more)
    learned, held = parts(y, offset, day)
    return x, fit_booster(x, learned, held, MONOTONE, parameters, names=NAMES)


SETTINGS = [
    QUICK,
    replace(QUICK, monotone_method="basic"),
    replace(QUICK, monotone_method="basic", quantized=True),
    replace(QUICK, bagging_days=7),
    replace(QUICK, monotone_method="advanced"),
    replace(QUICK, monotone_method="basic", feature_fraction=1.0, quantized=True),
]


@pytest.mark.parametrize(
    "parameters", SETTINGS, ids=["default", "basic", "quantised", "blocks", "advanced", "all features"]
)
def test_the_trees_never_go_against_a_constraint(parameters):
    x, fitted = fit(parameters)
    booster = lgb.Booster(model_str=fitted.booster)
    assert fitted.rounds > 5
    for column, direction in ((0, 1.0), (1, -1.0)):
        before = None
        for value in np.linspace(-3, 3, 25):
            moved = x[:1500].copy()
            moved[:, column] = value
            now = direction * booster.predict(moved, raw_score=True)
            if before is not None:
                assert (now >= before).all()
            before = now


def test_trees_gain_where_there_is_a_residual():
    _, fitted = fit()
    assert fitted.history[fitted.rounds] == fitted.history.min() < fitted.history[0] * 0.97


def test_without_residual_no_tree_or_next_to_none_is_kept():
    _, fitted = fit(signal=0.0, n=6000)
    assert fitted.history[0] - fitted.history.min() < 0.001


def test_no_rounds_give_trees_of_zeros():
    x, y, offset, day = data(3000)
    learned, held = parts(y, offset, day)
    rng = np.random.default_rng(0)
    wrong = Rows(held.index, (rng.uniform(size=len(held)) < sigmoid(held.offset)).astype(float), held.offset, held.day)
    trained = fit_booster(x, replace_y(learned, 1.0 - learned.y), wrong, MONOTONE, QUICK, names=NAMES)
    assert trained.rounds == 0
    assert (lgb.Booster(model_str=trained.booster).predict(x, raw_score=True) == 0).all()


def replace_y(rows, y):
    return Rows(rows.index, y, rows.offset, rows.day)


def test_the_same_seed_gives_the_same_trees_and_another_seed_others():
    texts = [fit(replace(QUICK, seed=s), n=6000)[1].booster for s in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_shrinking_scales_the_residual():
    x, whole = fit(n=6000)
    _, half = fit(replace(QUICK, shrink=0.5), n=6000)
    full, part = (lgb.Booster(model_str=f.booster).predict(x, raw_score=True) for f in (whole, half))
    np.testing.assert_allclose(part, 0.5 * full, rtol=1e-12, atol=1e-14)


def test_an_excluded_feature_is_never_split_on():
    _, fitted = fit(replace(QUICK, excluded=("free",)))
    assert lgb.Booster(model_str=fitted.booster).feature_importance()[2] == 0
    assert lgb.Booster(model_str=fit()[1].booster).feature_importance()[2] > 0
    with pytest.raises(InputError, match="excluded"):
        fit(replace(QUICK, excluded=("nothing",)))


def test_a_given_number_of_rounds_is_kept():
    x, y, offset, day = data(4000)
    learned, _ = parts(y, offset, day)
    assert fit_booster(x, learned, learned, MONOTONE, QUICK, rounds=7, names=NAMES).rounds == 7


def test_one_class_or_nothing_to_stop_on_is_refused():
    x, y, offset, day = data(400)
    learned, held = parts(y, offset, day)
    with pytest.raises(InputError, match="with events and without"):
        fit_booster(x, replace_y(learned, np.zeros(len(learned))), held, MONOTONE, QUICK, names=NAMES)
    nothing = Rows(held.index[:0], held.y[:0], held.offset[:0], held.day[:0])
    with pytest.raises(InputError, match="stop on"):
        fit_booster(x, learned, nothing, MONOTONE, names=NAMES)


BOUNDS = [
    ("num_leaves", 2, 1),
    ("num_leaves", 255, 256),
    ("learning_rate", 1.0, 1.1),
    ("min_data_in_leaf", 1, 0),
    ("feature_fraction", 1.0, 0.0),
    ("bagging_fraction", 1.0, 1.01),
    ("bagging_days", 0, -1),
    ("lambda_l2", 0.0, -0.1),
    ("max_rounds", 1, 0),
    ("patience", 0, -1),
    ("shrink", 1.0, 1.1),
    ("num_threads", 1, 0),
]


@pytest.mark.parametrize(("name", "good", "bad"), BOUNDS)
def test_parameters_are_checked_at_their_bounds(name, good, bad):
    assert getattr(FitParameters(**{name: good}), name) == good
    with pytest.raises(InputError, match=name):
        FitParameters(**{name: bad})


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_all_features_are_read_by_rows_some_by_columns_and_constraints_hold(share):
    chosen = FitParameters(feature_fraction=share, num_threads=1)
    found = chosen.lightgbm(MONOTONE, NAMES)
    assert (found["force_row_wise"], found["force_col_wise"]) == (share == 1.0, share < 1.0)
    assert found["monotone_constraints"] == list(MONOTONE)
    assert not found["quant_train_renew_leaf"]


def test_drawing_blocks_asks_for_one_thread():
    assert FitParameters(bagging_days=28, num_threads=1).bagging_days == 28
    with pytest.raises(InputError, match="num_threads"):
        FitParameters(bagging_days=28, num_threads=2)


def test_quantised_gradients_ask_for_the_basic_method():
    with pytest.raises(InputError, match="'basic'"):
        FitParameters(quantized=True, monotone_method="intermediate")
