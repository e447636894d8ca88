"""Novelty: the stated share in sample, fires outside, survives gaps, and reads back from JSON."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.predictor.fallback import Fallback
from models.predictor.novelty import NoveltyModel

NAMES = tuple("abcd")


def draws(n: int = 4000, seed: int = 0) -> np.ndarray:
    """Return rows of two columns that go together, a share with an atom at 0, and a count."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    share = np.where(rng.random(n) < 0.6, 0.0, rng.beta(2, 5, n))
    return np.column_stack([a, a + 0.2 * rng.normal(size=n), share, rng.poisson(3, n)]).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> NoveltyModel:
    return NoveltyModel.fit(draws(), NAMES)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1])
def test_the_stated_share_of_the_training_rows_is_flagged(share):
    x = draws()
    novelty, missing = NoveltyModel.fit(x, NAMES, share).score(x)
    assert (novelty > 1).mean() == pytest.approx(share, abs=0.0006)
    assert (missing == 0).all()


def test_later_rows_of_the_same_kind_are_flagged_as_rarely(model):
    assert 0.004 < (model.score(draws(20_000, 1))[0] > 1).mean() < 0.02


@pytest.mark.parametrize(("column", "value"), [(0, 9.0), (0, -9.0), (2, 5.0), (3, 40.0)])
def test_one_value_far_out_is_novel_and_named(model, column, value):
    x = draws(1)
    x[0, column] = value
    if column == 0:
        x[0, 1] = value
    assert model.score(x)[0][0] > 1
    assert column in model.unusual(x)[0, :2]


def test_columns_that_part_are_novel_though_each_is_usual(model):
    together, apart = np.zeros((2, 1, 4), np.float32)
    together[0, :2] = 1.8, 1.8
    apart[0, :2] = 1.8, -1.8
    assert model.score(together)[0][0] < 1 < model.score(apart)[0][0]


@given(st.floats(0, 100), st.floats(0, 100))
def test_further_out_is_never_less_novel(one, two):
    model, x = NoveltyModel.fit(draws(500), NAMES), np.zeros((2, 4), np.float32)
    x[:, 3] = 20 + np.sort([one, two])
    low, high = model.score(x)[0]
    assert low <= high + 1e-9


def test_what_is_missing_is_counted_and_not_unusual(model):
    x = draws(50, 2)
    before = model.score(x)[0]
    x[:, 2:] = np.nan
    novelty, missing = model.score(x)
    assert (missing == 0.5).all()
    assert np.isfinite(novelty).all()
    assert (novelty <= before + 1.0).all()


def test_columns_that_training_had_only_now_and_then_do_not_count_as_missing():
    x = draws()
    x[:2000, 3] = np.nan
    x[:, 2] = np.nan
    model = NoveltyModel.fit(x, NAMES)
    assert model.columns == ("a", "b", "d")
    assert model.always.tolist() == [True, True, False]
    assert model.score(np.full((1, 3), np.nan, np.float32))[1].tolist() == [1.0]


def test_any_order_of_columns_gives_the_same(model):
    x = draws(200, 3)
    names = ("d", "other", "b", "a", "c")
    shuffled = np.column_stack([x[:, 3], x[:, 0] * 0, x[:, 1], x[:, 0], x[:, 2]])
    index = model.index(names)
    np.testing.assert_array_equal(model.score(shuffled, index)[0], model.score(x)[0])
    with pytest.raises(InputError, match="columns"):
        model.index(("a", "b"))


def test_json_round_trip_is_exact(model):
    copy = NoveltyModel.from_dict(json.loads(json.dumps(model.as_dict())))
    x = draws(500, 4)
    np.testing.assert_array_equal(copy.score(x)[0], model.score(x)[0])


def test_bad_values_are_refused(model):
    with pytest.raises(InputError, match="share"):
        NoveltyModel.fit(draws(), NAMES, 0.5)
    with pytest.raises(InputError, match="at least 100 rows"):
        NoveltyModel.fit(draws(99), NAMES)
    for change in ({"depth_limit": 0.0}, {"distance_limit": float("nan")}):
        with pytest.raises(InputError, match="limit"):
            NoveltyModel.from_dict(model.as_dict() | change)


@pytest.mark.parametrize(("name", "top"), [("missing_share", 1.0), ("stale_minutes", 10_080.0)])
def test_limits_of_the_fallback_have_ranges(name, top):
    for good in (0.0, top):
        assert getattr(Fallback(**{name: good}), name) == good
    for bad in (-0.001, top * 1.001, float("nan")):
        with pytest.raises(InputError, match=name):
            Fallback(**{name: bad})
