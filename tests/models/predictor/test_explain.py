"""Explanations: every column in one group, parts that add up to the forecast exactly."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.build import FEATURE_NAMES
from models.errors import InputError
from models.predictor import Calibration
from models.predictor.explain import GROUPS, PARTS, group_of
from models.predictor.predictor import logit
from tests.models.predictor.bundles import predictor, rows

NAMES = ("horizon", "prior_logit", "distance_sigma", "gross_leverage", "rv_24h")


@pytest.fixture(scope="module")
def model():
    return predictor(feature_names=NAMES)


@pytest.mark.parametrize("name", FEATURE_NAMES)
def test_every_column_belongs_to_exactly_one_group(name):
    assert group_of(name) in GROUPS


def test_no_group_is_empty():
    assert {group_of(name) for name in FEATURE_NAMES} == set(GROUPS)


def test_a_new_column_without_a_group_is_refused():
    with pytest.raises(InputError, match="tide_table"):
        group_of("tide_table")


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(["identity", "platt", "beta"]),
    a=st.floats(0.3, 2.0),
    b=st.floats(0.3, 2.0),
    c=st.floats(-2.0, 2.0),
)
def test_parts_add_up_to_the_forecast(model, seed, kind, a, b, c):
    same = replace(model, calibration=Calibration(kind, a, b, c))
    x, prior = rows(30, seed)
    p, found = same.predict(x, prior), same.explain(x, prior)
    assert found.parts.shape == (30, 4, len(PARTS))
    difference = np.log(p) - np.log1p(-p) - logit(prior)
    np.testing.assert_allclose(found.parts.sum(axis=2), difference, atol=1e-6)
    np.testing.assert_allclose(found.probability(), p, atol=1e-9)


def test_calibration_and_order_are_parts_of_their_own(model):
    x, prior = rows(300, 3)
    none = replace(model, calibration=Calibration()).explain(x, prior).parts
    some = replace(model, calibration=Calibration("platt", 0.8, 0.8, 0.1)).explain(x, prior).parts
    at = PARTS.index("calibration")
    np.testing.assert_array_equal(none[:, :, at], 0.0)
    np.testing.assert_array_equal(none[:, :, : PARTS.index("average") + 1], some[:, :, : PARTS.index("average") + 1])
    assert (some[:, :, at] != 0.0).all()
    assert (some[:, :, PARTS.index("order")] >= 0.0).all()
    assert (some[:, 0, PARTS.index("order")] == 0.0).all()


def test_groups_without_a_column_of_the_trees_add_nothing(model):
    x, prior = rows(20)
    parts = model.explain(x, prior).parts
    for name in set(GROUPS) - {"distance", "volatility"}:
        np.testing.assert_array_equal(parts[:, :, PARTS.index(name)], 0.0)


def test_the_column_that_moves_the_trees_moves_its_group(model):
    x, prior = rows(200)
    far = x.copy()
    far[:, NAMES.index("distance_sigma")] -= 3.0
    near, moved = model.explain(x, prior).parts, model.explain(far, prior).parts
    gain = (moved - near).mean(axis=(0, 1))
    assert gain[PARTS.index("distance")] > 10 * abs(gain[PARTS.index("volatility")])
