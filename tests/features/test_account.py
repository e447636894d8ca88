"""Account features: against hand-worked accounts, and the direction of each when positions are scaled."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.account import ACCOUNT_FEATURES, ACCOUNT_MONOTONE, account_features
from models.errors import InputError
from models.margin.linear import barriers, unit_gap
from tests.models.builders import account, book, position

PRICE = np.array([50_000.0, 2_500.0, 150.0])
SIGMA = np.array([[0.005, 0.01, 0.025, 0.045], [0.007, 0.014, 0.035, 0.06], [0.01, 0.02, 0.05, 0.09]])
SYMBOL = ("BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT")


def features(*accounts, factor=1.25, loading=None, price=PRICE):
    columns = account_features(book(*accounts), price, SIGMA, factor, loading)
    return [dict(zip(ACCOUNT_FEATURES, map(float, row), strict=True)) for row in columns]


def money(asset, value, **more):
    """A position worth `value` at the mark."""
    price = PRICE[("BTC", "ETH", "SOL").index(asset[:3])]
    return position(asset, value / price, more.pop("entry_price", price), **more)


def test_one_asset_distance_is_the_barrier_in_log_price():
    row = features(account([position(quantity=1.0)], cash=10_000))[0]
    lower, _ = barriers(book(account([position(quantity=1.0)], cash=10_000)).arrays, 0, 1.25, 0, PRICE)
    assert 0 < lower < PRICE[0]
    assert row["distance_price"] == pytest.approx(math.log(PRICE[0] / lower))
    assert row["distance_sigma_1440"] == pytest.approx(row["distance_price"] / SIGMA[0, 2])
    assert row["gross_leverage"] == pytest.approx(5.0)
    assert row["main_asset"] == 0


def test_a_short_looks_up():
    row = features(account([position(quantity=-1.0)]))[0]
    _, upper = barriers(book(account([position(quantity=-1.0)])).arrays, 0, 1.25, 0, PRICE)
    assert row["distance_price"] == pytest.approx(math.log(upper / PRICE[0]))
    assert (row["direction"], row["short_share"]) == (-1.0, 1.0)


def test_several_assets_distance_is_gap_over_its_deviation():
    legs = [money(SYMBOL[0], 30_000), money(SYMBOL[1], -20_000)]
    row = features(account(legs), loading=np.array([0.9, 0.6, 0.8]))[0]
    b = book(account(legs)).arrays
    gap, step = unit_gap(b, 0, 1.25, PRICE), 1e-6
    delta = np.array([(unit_gap(b, 0, 1.25, PRICE * (1 + step * (np.arange(3) == a))) - gap) / step for a in range(3)])
    load = np.array([0.9, 0.6, 0.8])
    corr = np.outer(load, load) * (1 - np.eye(3)) + np.eye(3)
    risk = delta * SIGMA[:, 2]
    assert row["distance_sigma_1440"] == pytest.approx(gap / math.sqrt(risk @ corr @ risk), rel=1e-6)
    assert row["distance_price"] == pytest.approx(gap / np.abs(delta).sum(), rel=1e-6)


def test_the_nearest_unit_decides():
    safe = money(SYMBOL[0], 10_000)
    tight = money(SYMBOL[1], 50_000, margin_mode="isolated", isolated_margin=2_500.0)
    both, alone = features(account([safe, tight]), account([tight], cash=0.0))
    assert both["distance_sigma_60"] == pytest.approx(alone["distance_sigma_60"])
    assert both["margin_usage"] == pytest.approx(alone["margin_usage"])
    assert (both["n_units"], both["n_legs"]) == (2, 2)
    assert both["isolated_share"] == pytest.approx(50 / 60)


def test_an_account_in_breach_has_a_negative_distance():
    row = features(account([position(quantity=1.0, entry_price=60_000)], cash=10_001))[0]
    assert row["distance_sigma_60"] < 0
    assert row["distance_price"] < 0
    assert row["gross_leverage"] == 1000
    assert row["margin_usage"] == 10


def test_without_positions_nothing_is_near():
    row = features(account())[0]
    assert row["distance_sigma_60"] == 40
    assert row["gross_leverage"] == row["margin_usage"] == row["n_legs"] == 0
    assert row["main_asset"] == -1


def test_composition():
    legs = [money(SYMBOL[0], 60_000), money("BTC/USDT:USDT", -20_000), money(SYMBOL[1], -20_000)]
    row = features(account(legs, cash=50_000, collateral=[("ETH", 20.0)]))[0]
    assert row["concentration"] == pytest.approx(0.36 + 0.04 + 0.04)
    assert row["direction"] == pytest.approx(0.2)
    assert row["hedged_share"] == pytest.approx(0.4)
    assert row["short_share"] == pytest.approx(0.4)
    assert row["volatile_collateral_share"] == pytest.approx(0.5)
    assert 0 < row["haircut_share"] < 0.5
    assert (row["n_legs"], row["n_assets"], row["n_collaterals"]) == (3, 2, 1)


@pytest.mark.parametrize(("value", "sign"), [(20_000, 1.0), (-20_000, -1.0)])
def test_collateral_that_falls_with_the_positions_is_wrong_way(value, sign):
    row = features(account([money(SYMBOL[0], value)], collateral=[("BTC", 0.1)]))[0]
    assert row["wrong_way_correlation"] == pytest.approx(sign)


def test_a_flat_pair_has_no_side_and_no_risk():
    row = features(account([money(SYMBOL[0], 20_000), money("BTC/USDT:USDT", -20_000)]))[0]
    assert row["direction"] == 0
    assert row["hedged_share"] == 1
    assert row["main_asset"] == 0


def test_a_missing_price_makes_distances_nan_and_spares_the_others():
    price = PRICE.copy()
    price[1] = np.nan
    bad, good = features(account([money(SYMBOL[1], 10_000)]), account([money(SYMBOL[0], 10_000)]), price=price)
    assert math.isnan(bad["distance_sigma_60"])
    assert math.isnan(bad["margin_usage"])
    assert math.isfinite(good["distance_sigma_60"])


def test_states_are_chosen_by_row():
    pair = book(account([position()]), account([position()], account_id="b"))
    price, sigma = np.stack([PRICE, PRICE * 0.9]), np.stack([SIGMA, SIGMA * 2])
    out = account_features(pair, price, sigma, 1.0, row=np.array([1, 0]))
    one = account_features(pair, price[1], sigma[1], 1.0)
    np.testing.assert_array_equal(out[0], one[0])
    assert out[0, 0] < out[1, 0]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"price": PRICE[:2]}, "price"), ({"sigma": SIGMA[:, :3]}, "sigma"), ({"row": np.array([3])}, "row")],
)
def test_shapes_that_do_not_agree_are_refused(change, field):
    arguments = {"price": PRICE, "sigma": SIGMA, "factor": 1.0} | change
    with pytest.raises(InputError, match=f"^{field}: expected"):
        account_features(book(account([position()])), **arguments)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_scaling_positions_moves_only_the_constrained_columns_and_in_their_direction(data):
    values = data.draw(st.lists(st.floats(-80_000, 80_000).filter(lambda v: abs(v) > 100), min_size=1, max_size=4))
    drift = data.draw(st.lists(st.floats(0.9, 1.1), min_size=4, max_size=4))
    isolated = data.draw(st.booleans())

    def scaled(by):
        legs = []
        for i, value in enumerate(values):
            alone = {"margin_mode": "isolated", "isolated_margin": 3_000.0} if isolated and i == 0 else {}
            legs.append(money(SYMBOL[i % 3], value * by, entry_price=PRICE[i % 3] * drift[i], **alone))
        return account(legs, cash=20_000.0, collateral=[("USDC", 5_000.0)], account_id=str(by))

    columns = account_features(book(*(scaled(by) for by in (1.0, 1.3, 2.0, 3.0, 5.0))), PRICE, SIGMA, 1.25)
    for name, direction, column in zip(ACCOUNT_FEATURES, ACCOUNT_MONOTONE, columns.T, strict=True):
        if direction:
            assert np.all(direction * np.diff(column) >= -1e-9 * (1 + np.abs(column[1:]))), name
        else:
            np.testing.assert_allclose(column, column[0], rtol=1e-9, atol=1e-9, err_msg=name)


@settings(max_examples=30, deadline=None)
@given(share=st.floats(0.05, 1.0), size=st.floats(1_000, 90_000), short=st.booleans())
def test_less_collateral_moves_only_the_constrained_columns_and_in_their_direction(share, size, short):
    def backed(by):
        legs = [money(SYMBOL[0], -size if short else size)]
        return account(legs, cash=20_000 * by, collateral=[("USDC", 5_000 * by)])

    more, less = account_features(book(backed(1.0), backed(share)), PRICE, SIGMA, 1.25)
    for name, direction, a, b in zip(ACCOUNT_FEATURES, ACCOUNT_MONOTONE, more, less, strict=True):
        if direction:
            assert direction * (b - a) >= -1e-9 * (1 + abs(a)), name
        else:
            assert a == pytest.approx(b), name
