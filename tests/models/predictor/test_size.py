"""Quantiles of the call amount: coverage on new draws, order, defaults."""

import numpy as np
import pytest

from models.errors import InputError
from models.predictor.size import SizeModel, size_inputs
from tests.models.builders import account, book, position


def draws(n, seed):
    rng = np.random.default_rng(seed)
    base, scale = rng.lognormal(6, 1, n), rng.lognormal(4, 1, n)
    amount = base + scale * rng.gamma(1.5, 0.6, n)
    return base, scale, amount, np.sort(rng.uniform(size=(n, 4)) < 0.6, axis=1)


def test_the_quantiles_cover_new_calls_as_often_as_they_say():
    model = SizeModel.fit(*draws(6000, 0))
    base, scale, amount, called = draws(6000, 1)
    for k, (q50, q90) in enumerate(zip(*(q.T for q in model.quantiles(base, scale)), strict=True)):
        seen = called[:, k]
        assert (amount <= q50)[seen].mean() == pytest.approx(0.5, abs=0.06)
        assert (amount <= q90)[seen].mean() == pytest.approx(0.9, abs=0.04)


def test_quantiles_are_ordered_and_never_negative():
    base, scale, amount, called = draws(500, 2)
    q50, q90 = SizeModel.fit(base, scale, amount - 2 * base, called).quantiles(base, scale)
    assert (q50 >= 0).all()
    assert (q90 >= q50).all()


def test_few_calls_fall_back_on_all_horizons_then_on_the_default():
    base, scale, amount, _ = draws(200, 3)
    called = np.zeros((200, 4), bool)
    called[:, 3] = True
    model = SizeModel.fit(base, scale, amount, called)
    assert model.overshoot[0] == model.overshoot[3]
    assert model.count == (0, 0, 0, 200)
    assert SizeModel.fit(base, scale, amount, np.zeros((200, 4), bool)) == SizeModel()


def test_json_round_trip_and_bad_values():
    model = SizeModel.fit(*draws(300, 4))
    assert SizeModel.from_dict(model.as_dict()) == model
    with pytest.raises(InputError, match="overshoot"):
        SizeModel(((1.0, 0.5),) * 4)


def test_inputs_are_the_room_between_initial_and_call_and_the_exposure_at_risk():
    one = account([position(quantity=1.0, entry_price=50_000.0, leverage=10.0)], cash=10_000.0)
    two = account([position(quantity=-2.0, leverage=10.0), position("ETH/USDT:USDT", 10.0, 3_000.0)], account_id="b")
    base, scale = size_inputs(book(one, two), np.array([50_000.0, 3_000.0, 100.0]), np.full((3, 4), 0.01))
    assert scale == pytest.approx([500.0, 1_300.0])
    assert (base > 0).all()
