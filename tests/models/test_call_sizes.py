"""Sizes of calls without paths: beside the simulation, and where the answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.call_sizes import call_sizes
from models.margin.levels import margin_levels
from models.overshoot import AMOUNT_LEVELS, OVERSHOOT_NODES, OvershootTable
from models.prior import PriorModel
from models.simulated_calls import call_quantiles, simulate_calls
from models.typing import HORIZONS
from tests.models.builders import account, book, position, walk

SIGMA = np.array([[0.01, 0.02, 0.05, 0.09], [0.012, 0.024, 0.06, 0.1], [0.015, 0.03, 0.075, 0.12]])
PRICE = np.array([50_000.0, 3_000.0, 150.0])
NEVER_BEYOND = OvershootTable(np.zeros((2, 4, 17, 7)))
ONE_HOUR_BEYOND = OvershootTable(np.ones((2, 4, 17, 7)))


def sizes(whole, table=NEVER_BEYOND, correlation=None, price=PRICE):
    return call_sizes(whole, price, SIGMA, np.eye(3) if correlation is None else correlation, table)


def at_call(one, price=PRICE, asset=0, low=0.2, high=5.0):
    """Price of one asset nearest to now at which the account is called, by bisection on the levels."""
    ends = []
    for far in (low, high):
        inside, outside = 1.0, far
        trial = price.copy()
        trial[asset] = price[asset] * far
        if margin_levels(one, trial).gap_call[0] >= 0:
            continue
        for _ in range(200):
            middle = np.sqrt(inside * outside)
            trial[asset] = price[asset] * middle
            inside, outside = (inside, middle) if margin_levels(one, trial).gap_call[0] < 0 else (middle, outside)
        ends.append(outside)
    return price[asset] * min(ends, key=lambda ratio: abs(np.log(ratio)))


@settings(deadline=None, max_examples=40)
@given(st.sampled_from([1.0, -1.0]), st.floats(0.03, 0.4), st.floats(0.0, 1.0))
def test_one_price_is_valued_at_its_barrier_and_so_many_deviations_of_an_hour_beyond(side, share, coins):
    legs = [position(quantity=side, entry_price=PRICE[0])]
    one = book(account(legs, share * PRICE[0], collateral=[("BTC", coins * share)]))
    barrier = at_call(one)
    beyond = np.log(barrier / PRICE[0])
    for table, hours in ((NEVER_BEYOND, 0.0), (ONE_HOUR_BEYOND, 1.0)):
        found = sizes(one, table)[0]
        for k, horizon in enumerate(HORIZONS):
            trial = PRICE.copy()
            further = max(1.0, abs(beyond) / SIGMA[0, k] / OVERSHOOT_NODES[-1])  # beyond the last node of the table
            trial[0] = barrier * np.exp(np.sign(beyond) * hours * further * SIGMA[0, k] / np.sqrt(horizon / 60))
            expected = margin_levels(one, trial)
            amount = expected.initial[0] - expected.equity[0]
            np.testing.assert_allclose(found[k], amount, rtol=1e-5)


def test_without_overshoot_a_spread_is_valued_where_its_gap_closes():
    legs = [position(quantity=1.0, entry_price=PRICE[0]), position("ETH/USDT:USDT", -14.0, PRICE[1])]
    one = book(account(legs, 9_000.0))
    found = sizes(one, correlation=np.array([[1.0, 0.8, 0], [0.8, 1.0, 0], [0, 0, 1.0]]))
    assert np.ptp(found) < 1e-6 * found[0, 0, 0]
    levels = margin_levels(one, PRICE)
    assert found[0, 0, 0] == pytest.approx(levels.initial[0] - levels.call[0], rel=0.3)
    beyond = sizes(one, ONE_HOUR_BEYOND)
    assert (beyond > found).all()


def test_the_nearer_unit_counts_and_more_cash_leaves_a_long_with_less():
    near = position(quantity=1.0, entry_price=PRICE[0], margin_mode="isolated", isolated_margin=0.05 * PRICE[0])
    cross = position("ETH/USDT:USDT", -3.0, PRICE[1])
    alone = sizes(book(account([near], 0.0)))
    both = sizes(book(account([near, cross], 20_000.0)))
    np.testing.assert_allclose(both, alone, rtol=1e-9)
    long = [position(quantity=1.0, entry_price=PRICE[0])]
    poor, rich = (sizes(book(account(long, cash)))[0, 2, 2] for cash in (3_000.0, 20_000.0))
    assert rich < poor


def test_they_are_those_of_the_simulation_where_many_paths_call():
    panel = walk(24 * 300, assets=3, seed=2)
    prior = PriorModel.fit(panel, paths=2048)
    price, state = np.array(panel.close[:, -1]), prior.state(panel, panel.end)
    day = state.sigma[0, 2]
    legs = [position(quantity=1.0, entry_price=price[0]), position("ETH/USDT:USDT", 10.0, price[1])]
    whole = book(
        account(legs[:1], (0.01 + 0.6 * day) * price[0]),
        account([position(quantity=-1.0, entry_price=price[0])], (0.01 + 0.6 * day) * price[0]),
        account(legs, (0.01 + 0.6 * day) * (price[0] + 10 * price[1])),
    )
    found = call_sizes(whole, price, state.sigma, state.correlation, prior.overshoot)
    minutes, amount = simulate_calls(whole, price, state)
    paths = call_quantiles(minutes, amount, np.array(HORIZONS), AMOUNT_LEVELS)
    away = np.log(found / paths)[:, 2:, 1:5]
    assert np.abs(away).max() < 0.25
    assert np.abs(np.median(away)) < 0.05


def test_no_call_in_reach_no_positions_and_no_price():
    safe = account([position(quantity=0.001, entry_price=PRICE[0])], 1e6)
    found = sizes(book(safe, account([], 100.0)), ONE_HOUR_BEYOND)
    assert np.isfinite(found[0]).all()
    assert (found[0] >= 0).all()
    assert np.isnan(found[1]).all()
    missing = np.array([np.nan, 3_000.0, 150.0])
    assert np.isnan(sizes(book(safe), price=missing)).all()
