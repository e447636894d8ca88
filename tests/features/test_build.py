"""The design matrix: names, signs, scale, shapes."""

import numpy as np
import pytest

from features.build import FEATURE_NAMES, FEATURE_SCHEMA_HASH, MONOTONE, design_matrix, market_loading
from features.market import MARKET_FEATURES
from models.errors import InputError
from tests.features.test_account import PRICE, SIGMA, SYMBOL, money
from tests.models.builders import account, book

PRIOR = np.array([[0.01, 0.02, 0.1, 0.2]])


def market(seed=0):
    return np.random.default_rng(seed).random((3, len(MARKET_FEATURES)))


def design(*accounts, state=None, prior=PRIOR, **more):
    chance = np.repeat(prior, len(accounts), axis=0)
    return design_matrix(book(*accounts), PRICE, market() if state is None else state, SIGMA, chance, 1.25, **more)


def named(rows):
    return [dict(zip(FEATURE_NAMES, map(float, row), strict=True)) for row in rows]


def test_names_are_distinct_and_every_one_has_a_direction():
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES) == len(MONOTONE)
    assert set(MONOTONE) == {-1, 0, 1}
    assert len(FEATURE_SCHEMA_HASH) == 16
    constrained = {n for n, m in zip(FEATURE_NAMES, MONOTONE, strict=True) if m}
    assert constrained == {
        *("prior_logit", "distance_sigma", "distance_price", "gross_leverage", "margin_usage", "requirement_rate")
    }


def test_rows_are_account_major_then_horizon():
    out = design(account([money(SYMBOL[0], 90_000)]), account([money(SYMBOL[1], 90_000)]))
    assert out.shape == (8, len(FEATURE_NAMES))
    assert out.dtype == np.float32
    rows = named(out)
    assert [r["horizon"] for r in rows] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert rows[1]["prior_logit"] == pytest.approx(np.log(0.02 / 0.98))
    assert rows[5]["sigma"] == pytest.approx(SIGMA[1, 1])
    assert rows[0]["distance_sigma"] > rows[1]["distance_sigma"] > rows[3]["distance_sigma"]


def test_one_asset_takes_the_columns_of_its_asset():
    state = market()
    row = named(design(account([money(SYMBOL[2], 20_000)]), state=state))[0]
    for name in ("rv_24h", "vol_of_vol_168h", "hours_since_shock", "market_rv_24h", "hour_sin"):
        asset = 0 if name.startswith(("market", "hour_s")) and name != "hours_since_shock" else 2
        assert row[name] == pytest.approx(state[asset, MARKET_FEATURES.index(name)]), name


def test_signed_columns_turn_with_the_side():
    state = market()
    x = {n: state[0, i] for i, n in enumerate(MARKET_FEATURES)}
    long, short = (named(design(account([money(SYMBOL[0], v)]), state=state))[0] for v in (20_000, -20_000))
    assert long["adverse_ret_24h"] == pytest.approx(-x["ret_24h"]) == -short["adverse_ret_24h"]
    assert long["funding_cost_8h"] == pytest.approx(x["funding_8h"]) == -short["funding_cost_8h"]
    assert long["adverse_share_24h"] == pytest.approx(x["down_share_24h"])
    assert short["adverse_share_24h"] == pytest.approx(1 - x["down_share_24h"], abs=1e-6)
    assert long["adverse_excursion_168h"] == pytest.approx(x["drawdown_168h"])
    assert short["adverse_excursion_168h"] == pytest.approx(x["runup_168h"])
    assert long["favourable_excursion_720h"] == pytest.approx(x["runup_720h"])
    assert long["adverse_market_ret_24h"] == pytest.approx(-x["market_ret_24h"])
    assert long["net_beta_168h"] == pytest.approx(x["beta_168h"]) == -short["net_beta_168h"]


def test_several_assets_are_weighted_by_net_risk():
    state = market()
    row = named(design(account([money(SYMBOL[0], 30_000), money(SYMBOL[1], -10_000)]), state=state))[0]
    risk = np.array([30_000 * SIGMA[0, 2], 10_000 * SIGMA[1, 2]])
    weight = risk / risk.sum()
    rv, ret = MARKET_FEATURES.index("rv_24h"), MARKET_FEATURES.index("ret_24h")
    assert row["rv_24h"] == pytest.approx(weight @ state[:2, rv])
    assert row["adverse_ret_24h"] == pytest.approx(-weight[0] * state[0, ret] + weight[1] * state[1, ret], abs=1e-6)
    assert row["weight_main"] == pytest.approx(weight.max())


def test_an_unknown_figure_is_left_out_of_the_average():
    state = market()
    rv = MARKET_FEATURES.index("rv_24h")
    state[1, rv] = np.nan
    both, alone = named(
        design(
            account([money(SYMBOL[0], 30_000), money(SYMBOL[1], 1e4)]), account([money(SYMBOL[1], 1e4)]), state=state
        )[::4]
    )
    assert both["rv_24h"] == pytest.approx(state[0, rv])
    assert np.isnan(alone["rv_24h"])


def test_without_positions_market_columns_are_nan_and_the_row_stays():
    row = named(design(account()))[0]
    assert np.isnan(row["rv_24h"])
    assert row["distance_sigma"] == 40


def test_scaling_positions_moves_only_the_constrained_columns():
    legs = [(SYMBOL[0], 9_000.0), (SYMBOL[1], -4_000.0), (SYMBOL[2], 3_000.0)]
    sizes = (1.0, 1.7, 2.5, 5.0)
    rows = design(*(account([money(s, v * by) for s, v in legs], collateral=[("USDC", 500.0)]) for by in sizes))
    for h in range(4):
        for name, direction, column in zip(FEATURE_NAMES, MONOTONE, rows[h::4].T, strict=True):
            if direction:
                assert np.all(direction * np.diff(column) >= 0), name
            else:
                np.testing.assert_allclose(column, column[0], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_certain_priors_stay_finite(chance):
    assert np.isfinite(design(account([money(SYMBOL[0], 1e4)]), prior=np.full((1, 4), chance))[:, 1]).all()


def test_loading_is_drawn_towards_the_default():
    state = np.full((3, len(MARKET_FEATURES)), np.nan)
    state[:2, MARKET_FEATURES.index("corr_168h")] = [0.6, -1.0]
    assert market_loading(state).tolist() == pytest.approx([0.7, 0.3, 0.8])


def test_a_filled_array_is_the_answer():
    out = np.empty((4, len(FEATURE_NAMES)), np.float32)
    assert design(account([money(SYMBOL[0], 1e4)]), out=out) is out
    with pytest.raises(InputError, match="out: expected C-contiguous float32 of shape"):
        design(account([money(SYMBOL[0], 1e4)]), out=out[:3])


@pytest.mark.parametrize(("change", "field"), [({"prior": PRIOR[:, :2]}, "prior"), ({"state": market()[:2]}, "market")])
def test_shapes_that_do_not_agree_are_refused(change, field):
    with pytest.raises(InputError, match=f"^{field}: expected"):
        design(account([money(SYMBOL[0], 1e4)]), **change)
