"""Market features: against the definitions, over gaps, without look-ahead."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.market import MARKET_FEATURES, market_features, market_row, warmup_bars
from models.errors import InputError
from tests.features.markets import FIELDS, longhand, random_panel

COLUMN = {name: i for i, name in enumerate(MARKET_FEATURES)}


@pytest.mark.parametrize(("bar_minutes", "missing"), [(60, 0.0), (60, 0.2), (15, 0.1)])
def test_columns_are_what_their_definitions_say(bar_minutes, missing):
    panel = random_panel(3, 900, bar_minutes=bar_minutes, seed=bar_minutes, missing=missing)
    columns = market_features(panel)
    for t in (3, 100, 500, panel.n_bars // 2, panel.n_bars - 1):
        for a, row in enumerate(longhand(panel, t)):
            np.testing.assert_allclose(columns[a, t], list(row.values()), rtol=1e-9, atol=1e-12, err_msg=f"bar {t}")


def test_snapshot_from_a_tail_equals_history():
    panel = random_panel(2, 1500, seed=4, missing=0.1)
    columns = market_features(panel)
    for row in (panel.n_bars - 1, 1200, warmup_bars(60), 300):
        np.testing.assert_array_equal(market_row(panel, row), columns[:, row])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), row=st.integers(0, 1199), missing=st.sampled_from([0.0, 0.3]))
def test_bars_after_the_row_change_nothing(seed, row, missing):
    panel = random_panel(2, 1200, seed=seed, missing=missing)
    other = random_panel(2, 1200, seed=seed + 5000, missing=0.1)
    changed = replace(
        panel,
        **{f: np.concatenate([getattr(panel, f)[:, : row + 1], getattr(other, f)[:, row + 1 :]], 1) for f in FIELDS},
    )
    np.testing.assert_array_equal(market_features(changed)[:, : row + 1], market_features(panel)[:, : row + 1])


def test_the_last_bar_counts():
    panel = random_panel(1, 400)
    close = panel.close.copy()
    close[0, -1] = panel.high[0, -1]
    assert market_row(replace(panel, close=close))[0, COLUMN["ret_1h"]] > market_row(panel)[0, COLUMN["ret_1h"]]


def test_half_a_window_of_bars_is_enough_and_less_is_nan():
    panel = random_panel(1, 100)
    column = market_features(panel)[0, :, COLUMN["rv_24h"]]
    assert np.isnan(column[:11]).all()
    assert np.isfinite(column[11:]).all()


def test_missing_bars_are_counted_and_skipped():
    panel = random_panel(1, 300)
    fields = {f: getattr(panel, f).copy() for f in FIELDS}
    for f in ("open", "high", "low", "close"):
        fields[f][0, -6:-1] = np.nan
    columns = market_row(replace(panel, **fields))[0]
    assert columns[COLUMN["missing_24h"]] == pytest.approx(5 / 24)
    assert np.isfinite(columns[COLUMN["cc_24h"]])
    jump = np.log(fields["close"][0, -1] / fields["open"][0, -1])
    assert columns[COLUMN["ret_1h"]] * columns[COLUMN["rv_168h"]] == pytest.approx(jump)


def test_a_price_of_zero_is_a_missing_bar():
    panel = random_panel(1, 200)
    low, none = panel.low.copy(), {f: getattr(panel, f).copy() for f in FIELDS}
    low[0, 150] = 0.0
    for f in ("open", "high", "low", "close", "volume"):
        none[f][0, 150] = np.nan
    np.testing.assert_array_equal(market_features(replace(panel, low=low)), market_features(replace(panel, **none)))


def test_a_flat_market_gives_zero_volatility_and_no_error():
    price = np.full((2, 400), 10.0)
    panel = random_panel(2, 400)
    flat = replace(panel, open=price, high=price, low=price, close=price, volume=price * 0, funding_rate=price * 0)
    last = market_features(flat)[0, -1]
    assert last[COLUMN["rv_24h"]] == 0.0
    assert np.isnan(last[COLUMN["vol_ratio_1h_24h"]])
    assert np.isnan(last[COLUMN["corr_168h"]])


def test_an_asset_listed_later_does_not_disturb_the_others():
    panel = random_panel(2, 600)
    fields = {f: getattr(panel, f).copy() for f in FIELDS}
    for f in FIELDS:
        fields[f][1, :590] = np.nan
    columns = market_row(replace(panel, **fields))
    assert np.isnan(columns[1, COLUMN["rv_24h"]])
    assert columns[0, COLUMN["market_rv_24h"]] == columns[0, COLUMN["rv_24h"]]


def test_a_filled_array_is_the_answer():
    panel = random_panel(1, 100)
    out = np.empty((1, 100, len(MARKET_FEATURES)))
    assert market_features(panel, out) is out
    with pytest.raises(InputError, match="out: expected C-contiguous float64 of shape"):
        market_features(panel, out[:, 1:])


def test_bars_longer_than_an_hour_are_refused():
    panel = replace(random_panel(1, 10), bar_minutes=240)
    with pytest.raises(InputError, match="resample the bars first"):
        market_features(panel)


@pytest.mark.parametrize("row", [-1, 100])
def test_a_row_outside_of_the_panel_is_refused(row):
    with pytest.raises(InputError, match="row: expected a closed bar of the panel, 0 to 99"):
        market_row(random_panel(1, 100), row)


@pytest.mark.realdata
def test_real_hourly_bars_give_plausible_volatility(data_root):
    from features.sources import load_panel

    panel = load_panel(data_root, ["BTC", "ETH"], bar="1h", start="2025-03-01", end="2025-06-30")
    last = market_row(panel)
    assert np.isfinite(last[:, COLUMN["rv_720h"]]).all()
    assert (last[:, COLUMN["rv_720h"]] * np.sqrt(8760) > 0.2).all()
    assert (last[:, COLUMN["rv_720h"]] * np.sqrt(8760) < 1.5).all()
