"""Calibration maps: monotone, chosen honestly, read back as written."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.predictor.calibration import Calibration, choose_calibration, fit_calibration
from models.predictor.logistic import sigmoid

slopes = st.floats(0.0, 5.0)


@given(slopes, slopes, st.floats(-3, 3), st.lists(st.floats(-30, 30), min_size=2, max_size=40))
def test_no_map_reverses_an_order(a, b, c, logits):
    if a + b == 0:
        return
    x = np.sort(np.array(logits))
    p = Calibration("beta", a, b, c)(x)
    assert (np.diff(p) >= -1e-12).all()
    assert ((p >= 0) & (p <= 1)).all()


@pytest.mark.parametrize("kind", ["platt", "beta"])
@pytest.mark.parametrize("slope", [-1.0, 0.5, 1.7])
def test_fitted_maps_are_monotone_even_on_reversed_labels(kind, slope):
    rng = np.random.default_rng(0)
    x = rng.normal(-2, 1.5, 4000)
    y = (rng.uniform(size=4000) < sigmoid(slope * x - 0.3)).astype(float)
    grid = np.linspace(-10, 10, 200)
    assert (np.diff(fit_calibration(x, y, kind)(grid)) >= 0).all()


def test_a_known_distortion_is_undone():
    rng = np.random.default_rng(1)
    true = rng.normal(-2, 1.2, 60_000)
    y = (rng.uniform(size=60_000) < sigmoid(true)).astype(float)
    block = np.repeat(np.arange(60), 1000)
    found = choose_calibration(2.0 * true + 0.7, y, block)
    assert found.kind != "identity"
    np.testing.assert_allclose(found(np.array([2.0 * -2.0 + 0.7])), sigmoid(np.array([-2.0])), atol=0.01)


def test_a_calibrated_logit_is_left_alone():
    rng = np.random.default_rng(2)
    x = rng.normal(-2, 1.2, 30_000)
    y = (rng.uniform(size=30_000) < sigmoid(x)).astype(float)
    found = choose_calibration(x, y, np.repeat(np.arange(30), 1000))
    np.testing.assert_allclose(found(x), sigmoid(x), atol=0.02)


def test_a_season_that_moves_whole_weeks_is_not_learned():
    """Weeks share a shock; the window happens to be quiet on average, by less than weeks differ."""
    rng = np.random.default_rng(3)
    x = rng.normal(-3, 1.2, 40_000)
    week = np.repeat(np.arange(40), 1000)
    shock = rng.normal(-0.15, 1.0, 40)
    y = (rng.uniform(size=len(x)) < sigmoid(x + shock[week])).astype(float)
    assert choose_calibration(x, y, week).kind == "identity"
    assert choose_calibration(x, y, week, least_blocks=41).kind == "identity"


def test_few_weeks_are_not_enough_even_for_a_clear_distortion():
    rng = np.random.default_rng(1)
    true = rng.normal(-2, 1.2, 20_000)
    y = (rng.uniform(size=20_000) < sigmoid(true)).astype(float)
    week = np.repeat(np.arange(20), 1000)
    assert choose_calibration(2.0 * true, y, week).kind == "identity"
    assert choose_calibration(2.0 * true, y, week, least_blocks=20).kind != "identity"
    with pytest.raises(InputError, match="least_blocks"):
        choose_calibration(true, y, week, least_blocks=4)


def test_too_few_blocks_or_one_class_give_the_identity():
    x = np.linspace(-1, 1, 50)
    assert choose_calibration(x, (x > 0).astype(float), np.arange(50) // 25).kind == "identity"
    assert fit_calibration(x, np.zeros(50), "platt").kind == "identity"


def test_json_round_trip():
    found = Calibration("beta", 0.9, 1.1, -0.2)
    assert Calibration.from_dict(found.as_dict()) == found
    with pytest.raises(InputError, match="the field c"):
        Calibration.from_dict({"kind": "platt", "a": 1.0, "b": 1.0})


@pytest.mark.parametrize(
    "values", [("none", 1, 1, 0), ("platt", -0.1, 1, 0), ("beta", 0, 0, 0), ("platt", 1, 1, np.nan)]
)
def test_bad_values_are_refused(values):
    with pytest.raises(InputError, match="calibration"):
        Calibration(*values)


def test_nan_stays_nan():
    assert np.isnan(Calibration("platt", 1.1, 1.1, 0.1)(np.array([np.nan]))).all()
