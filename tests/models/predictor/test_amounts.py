"""Quantiles of the call amount: never crossing, in units of the account, wider where the input is unusual."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from models.errors import InputError
from models.overshoot import AMOUNT_LEVELS
from models.predictor.adaptive import AdaptiveLevels
from models.predictor.amounts import AmountModel, amount_scale
from models.predictor.sizing import call_amounts
from tests.models.predictor.bundles import predictor, rows

START = np.tile([-0.5, 0.0, 0.8], (4, 1))
CONSTANT = np.tile([-1.0, -0.6, -0.05, 0.4, 1.0, 1.4, 2.5], (4, 1))


@pytest.fixture(scope="module")
def model():
    """Trees on six columns that say nothing in particular, so that raw quantiles would cross."""
    import lightgbm as lgb

    x, _ = rows(1000)
    x = np.column_stack([x, np.random.default_rng(1).random(len(x))]).astype(np.float32)
    texts = []
    for seed, level in enumerate((0.1, 0.5, 0.9)):
        y = np.random.default_rng(seed).normal(size=len(x)) + x[:, seed]
        settings = {"objective": "quantile", "alpha": level, "num_leaves": 8, "verbosity": -1, "num_threads": 1}
        texts.append(lgb.train(settings, lgb.Dataset(x, y), 20).model_to_string())
    return AmountModel.from_texts(START, CONSTANT, tuple(texts))


def test_trees_move_the_quantiles_and_never_cross_them(model):
    x, _ = rows(500, 7)
    base, scale = np.full(500, 100.0), np.full(500, 20.0)
    found = model.quantiles(x, base, scale)
    assert found.shape == (500, 4, len(AMOUNT_LEVELS))
    assert (np.diff(found, axis=2) >= 0).all()
    assert (found > 0).all()
    assert found[:, 0, 2].std() > 1.0


def test_the_start_alone_is_known_in_advance():
    plain = AmountModel(START, CONSTANT)
    found = plain.quantiles(None, np.array([80.0]), np.array([20.0]))[0, 0]
    np.testing.assert_allclose(found[[0, 3, 4]], 100.0 * np.exp([-0.5, 0.4 * 0.8, 0.8]), rtol=1e-12)


@given(st.floats(1e-3, 1e9))
def test_amounts_scale_with_the_account(factor):
    plain = AmountModel(START, CONSTANT)
    one = plain.quantiles(None, np.array([80.0]), np.array([20.0]))
    many = plain.quantiles(None, np.array([80.0 * factor]), np.array([20.0 * factor]))
    np.testing.assert_allclose(many, factor * one, rtol=1e-9)


def test_unusual_input_widens_around_the_middle(model):
    x, _ = rows(50)
    base, scale = np.full(50, 100.0), np.full(50, 20.0)
    usual, odd = model.quantiles(x, base, scale), model.quantiles(x, base, scale, np.full(50, 2.0))
    assert (odd[:, :, 0] <= usual[:, :, 0]).all()
    assert (odd[:, :, 6] >= usual[:, :, 6]).all()
    np.testing.assert_allclose(
        np.log(odd[:, :, 6] / odd[:, :, 4]), 2.0 * np.log(usual[:, :, 6] / usual[:, :, 4]), rtol=1e-6, atol=1e-9
    )


def test_what_has_no_scale_has_no_amount():
    assert np.isnan(amount_scale(np.zeros(1), np.zeros(1))).all()
    assert np.isnan(AmountModel(START, CONSTANT).quantiles(None, np.zeros(1), np.zeros(1))).all()


def test_json_round_trip_gives_the_same_bits(model):
    copy = AmountModel.from_dict(json.loads(json.dumps(model.as_dict())))
    x, _ = rows(60, 2)
    base, scale = np.full(60, 3.0), np.full(60, 1.0)
    np.testing.assert_array_equal(copy.quantiles(x, base, scale), model.quantiles(x, base, scale))


def test_where_it_starts_from_the_prior_the_start_is_added_to_its_quantiles():
    plain = AmountModel(0.1 * np.ones((4, 3)), CONSTANT, from_prior=True)
    base, scale = np.array([80.0]), np.array([20.0])
    sizes = np.tile([50.0, 60.0, 90.0, 120.0, 200.0, 300.0, 900.0], (1, 4, 1))
    found = plain.quantiles(None, base, scale, sizes=sizes)[0, 0]
    up, down = np.log(200.0 / 90.0), np.log(90.0 / 50.0)
    expected = 90.0 * np.exp(0.1 + np.array([-1.0 * down, -0.6 * down, -0.05 * down, 0.4 * up, up, 1.4 * up, 2.5 * up]))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    copy = AmountModel.from_dict(json.loads(json.dumps(plain.as_dict())))
    np.testing.assert_array_equal(copy.quantiles(None, base, scale, sizes=sizes)[0, 0], found)
    sizes[0, 1] = np.nan
    assert np.isnan(plain.quantiles(None, base, scale, sizes=sizes)).all(axis=2).tolist() == [
        [False, True, False, False]
    ]
    with pytest.raises(InputError, match="prior's quantiles"):
        plain.quantiles(None, base, scale)
    assert "from_prior" not in AmountModel(START, CONSTANT).as_dict()


def test_bad_values_are_refused():
    with pytest.raises(InputError, match="constant"):
        AmountModel(START, CONSTANT[:, ::-1])
    with pytest.raises(InputError, match="start"):
        AmountModel(START * np.nan, CONSTANT)
    with pytest.raises(InputError, match="texts"):
        AmountModel(START, CONSTANT, ("tree",))
    with pytest.raises(InputError, match="step"):
        AdaptiveLevels((0.5,), np.zeros(1), 0.0)


def test_without_an_amount_model_the_old_two_quantiles_answer():
    old = predictor()
    x, _ = rows(3)
    nan, trusted = np.full(3, np.nan), np.zeros(3, bool)
    found = call_amounts(old, x, np.full(3, 100.0), np.full(3, 10.0), nan, trusted)
    q50, q90 = old.size.quantiles(np.full(3, 100.0), np.full(3, 10.0))
    np.testing.assert_array_equal(found[:, :, 2], q50)
    np.testing.assert_array_equal(found[:, :, 4], q90)
    assert np.isnan(found[:, :, [0, 1, 3, 5, 6]]).all()


def test_distrusted_features_are_not_asked():
    from dataclasses import replace

    x, _ = rows(4)
    start = AmountModel(START, CONSTANT)
    distrusted = np.array([True, False, True, False])
    found = call_amounts(
        replace(predictor(), amounts=start), x, np.full(4, 100.0), np.full(4, 10.0), np.full(4, 2.0), distrusted
    )
    np.testing.assert_array_equal(found[0], found[1])


@given(arrays.arrays(np.float64, (300,), elements=st.floats(-5, 5)))
def test_adaptive_constants_reach_the_stated_share_on_any_sequence(away):
    state, covered = AdaptiveLevels((0.9,), np.zeros(1), 0.2), []
    for value in away:
        hit = value <= state.apply(np.zeros(1))
        covered.append(hit)
        state = state.update(hit[None])
    assert abs(np.mean(covered) - 0.9) <= (5.0 + 0.2) / (0.2 * 300) + 1e-9
