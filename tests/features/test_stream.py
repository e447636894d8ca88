"""Bar by bar equals history."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.market import market_features, market_row, warmup_bars
from features.stream import MarketStream
from models.errors import InputError
from tests.features.markets import FIELDS, MONDAY, random_panel

HOUR = 3_600_000_000_000


def push_all(stream, panel):
    columns = [
        stream.push(panel.start + t * panel.step, *(getattr(panel, f)[:, t] for f in FIELDS))
        for t in range(panel.n_bars)
    ]
    return np.stack(columns, axis=1)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_assets=st.integers(1, 4),
    missing=st.sampled_from([0.0, 0.05, 0.5]),
    bar_minutes=st.sampled_from([60, 15, 5]),
    offset=st.integers(0, 2000),
)
def test_stream_equals_history_and_tail(seed, n_assets, missing, bar_minutes, offset):
    panel = random_panel(
        n_assets,
        950,
        bar_minutes=bar_minutes,
        seed=seed,
        missing=missing,
        start=MONDAY + offset * bar_minutes * HOUR // 60,
    )
    history = market_features(panel)
    np.testing.assert_allclose(push_all(MarketStream(panel.assets, bar_minutes), panel), history, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(market_row(panel), history[:, -1], rtol=1e-9, atol=1e-9)


def test_stream_started_late_agrees_after_the_warm_up():
    panel = random_panel(2, 1400, seed=3, missing=0.1)
    late = push_all(MarketStream(panel.assets, 60), panel.slice(400, 1400))
    history = market_features(panel)[:, 400:]
    np.testing.assert_array_equal(late[:, warmup_bars(60) - 1 :], history[:, warmup_bars(60) - 1 :])


def test_history_then_bars():
    panel = random_panel(2, 1000, seed=5)
    stream = MarketStream(panel.assets, 60)
    first = stream.extend(panel.slice(0, 990))
    rest = push_all(stream, panel.slice(990, 1000))
    np.testing.assert_array_equal(np.concatenate([first, rest], axis=1), market_features(panel))


@pytest.mark.parametrize("skipped", [1, 5, 300])
def test_skipped_stamps_are_missing_bars(skipped):
    panel = random_panel(1, 1000, seed=6)
    fields = {f: getattr(panel, f).copy() for f in FIELDS}
    for f in FIELDS:
        fields[f][:, 500 : 500 + skipped] = np.nan
    stream = MarketStream(panel.assets, 60)
    push_all(stream, panel.slice(0, 500))
    rest = push_all(stream, panel.slice(500 + skipped, 1000))
    gapped = type(panel)(panel.assets, 60, panel.start, *(fields[f] for f in FIELDS), panel.source)
    np.testing.assert_array_equal(rest, market_features(gapped)[:, 500 + skipped :])


def test_a_gap_longer_than_the_warm_up_forgets():
    panel = random_panel(1, 100)
    stream = MarketStream(panel.assets, 60)
    push_all(stream, panel)
    later = random_panel(1, 100, start=panel.end + 5000 * HOUR)
    np.testing.assert_array_equal(push_all(stream, later), market_features(later))


def test_memory_does_not_grow():
    panel = random_panel(1, 3000)
    stream = MarketStream(panel.assets, 60)
    before = sum(a.nbytes for a in stream._state)
    stream.extend(panel)
    assert sum(a.nbytes for a in stream._state) == before


@pytest.mark.parametrize(
    ("stamp", "message"), [(MONDAY, "a bar after the last one"), (MONDAY + HOUR + 1, "a whole multiple of 60 minutes")]
)
def test_stamps_out_of_order_or_off_the_grid_are_refused(stamp, message):
    stream = MarketStream(["BTC"], 60)
    bar = [[1.0]] * 6
    stream.push(MONDAY, *bar)
    with pytest.raises(InputError, match=f"open_time: expected {message}"):
        stream.push(stamp, *bar)
    assert stream.last_open == MONDAY


def test_a_bar_of_the_wrong_width_is_refused_and_changes_nothing():
    stream = MarketStream(["BTC", "ETH"], 60)
    with pytest.raises(InputError, match="low: expected 2 values"):
        stream.push(MONDAY, [1.0, 1.0], [1.0, 1.0], [1.0], [1.0, 1.0], [1.0, 1.0], [0.0, 0.0])
    assert stream.last_open is None


def test_a_panel_of_other_assets_is_refused():
    with pytest.raises(InputError, match="panel: expected"):
        MarketStream(["BTC"], 60).extend(random_panel(1, 10))
