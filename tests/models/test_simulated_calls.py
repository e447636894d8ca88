"""Simulated calls: the first breach on every path, as a plain walk over the exact rule finds it."""

import numpy as np
import pytest

from models.margin.levels import margin_levels
from models.prior import PriorModel, PriorState
from models.simulated_calls import call_quantiles, simulate_calls
from models.typing import HORIZONS
from tests.models.builders import account, book, position, walk


@pytest.fixture(scope="module")
def seen() -> tuple[PriorModel, PriorState, np.ndarray]:
    panel = walk(24 * 90, assets=3, seed=2)
    prior = PriorModel.fit(panel, paths=64)
    return prior, prior.state(panel, panel.end), np.array(panel.close[:, -1])


def held(price: np.ndarray):
    legs = [position(quantity=1.0, entry_price=price[0]), position("ETH/USDT:USDT", -6.0, price[1])]
    isolated = position(quantity=2.0, entry_price=price[0], margin_mode="isolated", isolated_margin=0.05 * price[0])
    return book(
        account(legs[:1], 0.05 * price[0]),
        account(legs, 0.018 * price[0], account_id="hedged"),
        account([*legs[1:], isolated], 0.2 * price[1], account_id="isolated"),
        account(legs[:1], 5.0 * price[0], account_id="safe"),
    )


def by_hand(one, price: np.ndarray, state: PriorState, s: int) -> tuple[float, float]:
    paths = state.scenarios
    for hour in range(72):
        for table in (paths.low, paths.high, paths.close):
            levels = margin_levels(one, price * table[s, :, hour])
            if levels.gap_call[0] < 0:
                return 60.0 * (hour + 1), float(levels.call_amount[0])
    return np.nan, np.nan


def test_every_path_agrees_with_a_plain_walk(seen) -> None:
    _, state, price = seen
    whole = held(price)
    minutes, amount = simulate_calls(whole, price, state)
    assert np.isfinite(minutes[:3]).any(axis=1).all()
    assert np.isnan(minutes[3]).all()
    for n in range(3):
        for s in range(0, 64, 3):
            expected = by_hand(whole.take([n]), price, state, s)
            assert (minutes[n, s], amount[n, s]) == pytest.approx(expected, rel=1e-5, nan_ok=True)


def test_shares_of_paths_are_the_probability_of_a_joint_account(seen) -> None:
    prior, state, price = seen
    whole = held(price)
    p = prior.probability(whole, price, state, whole.arrays.account_call_factor)
    minutes, _ = simulate_calls(whole, price, state)
    share = (minutes[1][:, None] <= np.array(HORIZONS)).mean(axis=0)
    np.testing.assert_allclose(share, p[1], atol=2.0 / 66)


def test_quantiles_are_of_the_paths_that_call_within_the_horizon() -> None:
    minutes = np.array([[60.0, 60.0, 240.0, np.nan], [np.nan] * 4])
    amount = np.array([[1.0, 3.0, 9.0, np.nan], [np.nan] * 4])
    found = call_quantiles(minutes, amount, np.array([60, 240]), (0.0, 0.5, 1.0), least=2)
    assert found[0].tolist() == [[1.0, 2.0, 3.0], [1.0, 3.0, 9.0]]
    assert np.isnan(found[1]).all()
    few = call_quantiles(minutes, amount, np.array([60]), (1.0,), least=3)
    assert few[0, 0, 0] == 9.0
