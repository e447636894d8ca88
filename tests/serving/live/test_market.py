"""Bars in any order make the moment that a full panel makes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.market import market_features, market_row, warmup_bars
from features.moment import moment_at
from features.sources import simulate_market
from models.market import MarketPanel
from models.prior import PriorModel
from models.typing import MINUTE_NS
from serving.live.buffer import BAR_FIELDS, PanelBuffer
from serving.live.market import LiveMarket, StoredBar

WHOLE = simulate_market(("BTC", "ETH", "SOL"), days=64, seed=3)
NEW = 6
BASE = WHOLE.slice(0, WHOLE.n_bars - NEW)
MINUTE = MINUTE_NS
GRACE = 2 * MINUTE


@pytest.fixture(scope="module")
def prior() -> PriorModel:
    return PriorModel.fit(BASE, paths=64)


def bar(asset: int, column: int, seq: int = 1, scale: float = 1.0, panel: MarketPanel = WHOLE) -> StoredBar:
    values = tuple(float(getattr(panel, name)[asset, column]) * scale for name in BAR_FIELDS)
    open_ns = panel.start + column * panel.step
    return StoredBar(seq, panel.assets[asset], open_ns, values, open_ns + panel.step)


def columns(n: int = NEW) -> range:
    return range(WHOLE.n_bars - n, WHOLE.n_bars)


@settings(max_examples=25)
@given(st.data())
def test_any_interleaving_gives_the_moment_of_the_full_panel(prior: PriorModel, data: st.DataObject) -> None:
    """Late, duplicate, revised and out-of-order bars, published at any times, against `moment_at` on all bars."""
    final = [bar(a, t) for t in columns(NEW + 4) for a in range(3)]  # the first four are in the files already
    wrong = data.draw(st.lists(st.sampled_from(final), max_size=8))
    early = [StoredBar(0, b.asset, b.open_ns, tuple(v * 1.01 for v in b.values), b.received_ns) for b in wrong]
    mixed = data.draw(st.permutations(early)) + data.draw(st.permutations(final))
    again = data.draw(st.lists(st.sampled_from(final), max_size=4))
    live = LiveMarket(BASE, WHOLE.n_bars, GRACE)
    seq = 0
    for one in mixed + again:
        seq += 1
        live.put([StoredBar(seq, one.asset, one.open_ns, one.values, one.received_ns)])
        if data.draw(st.booleans()):
            live.publish(data.draw(st.sampled_from([0, WHOLE.end, WHOLE.end + 10 * GRACE])))
    live.publish(WHOLE.end + 10 * GRACE)
    shown = live.now_shown()
    for name in BAR_FIELDS:
        np.testing.assert_array_equal(getattr(shown.panel, name), getattr(WHOLE, name))
    np.testing.assert_allclose(shown.features, market_row(WHOLE), rtol=1e-9, atol=1e-9)
    ours, whole = (moment_at(p, WHOLE.end, prior, None) for p in (shown.panel, WHOLE))
    assert ours.as_of == whole.as_of
    assert live.seq == shown.seq == seq
    for name in ("price", "closed", "implied"):
        np.testing.assert_allclose(getattr(ours, name), getattr(whole, name), rtol=1e-9)
    np.testing.assert_allclose(ours.state.sigma, whole.state.sigma, rtol=1e-9)
    np.testing.assert_allclose(ours.state.scenarios.low, whole.state.scenarios.low, rtol=1e-9)


def test_one_bar_at_a_time_gives_the_features_of_history_at_every_close() -> None:
    live = LiveMarket(BASE, WHOLE.n_bars, GRACE)
    history = market_features(WHOLE)
    for t in columns():
        live.put([bar(a, t) for a in range(3)])
        shown = live.publish(now=0)
        assert shown is not None
        assert not shown.late
        np.testing.assert_allclose(shown.features, history[:, t], rtol=1e-9, atol=1e-9)


def test_a_bar_waits_for_the_other_assets_until_the_grace_is_over() -> None:
    live = LiveMarket(BASE, WHOLE.n_bars, GRACE)
    first = WHOLE.n_bars - NEW
    live.put([bar(0, first), bar(1, first)])
    came = bar(0, first).received_ns
    assert live.publish(came + GRACE - 1) is None
    assert live.due_ns() == came + GRACE
    shown = live.publish(came + GRACE)
    assert shown is not None
    assert np.isnan(shown.panel.close[2, -1])
    assert live.close == WHOLE.start + (first + 1) * WHOLE.step
    live.put([bar(2, first)])
    late = live.publish(came + GRACE + 1)
    assert late is not None
    assert late.late
    assert late.panel.close[2, -1] == WHOLE.close[2, first]
    assert np.isnan(shown.panel.close[2, -1])  # what was handed out stays


def test_an_asset_that_brings_nothing_for_a_day_is_not_waited_for() -> None:
    live = LiveMarket(BASE, WHOLE.n_bars + 40, 10**18)
    step, last = WHOLE.step, WHOLE.n_bars - NEW - 1
    shown = []
    for k in range(1, 27):
        stamp = WHOLE.start + (last + k) * step
        live.put([StoredBar(k, a, stamp, (1.0, 1.0, 1.0, 1.0, 1.0, 0.0), stamp + step) for a in ("BTC", "ETH")])
        shown.append(live.publish(stamp + step) is not None)
    assert shown == [False] * 24 + [True] * 2


def test_bars_that_change_nothing_publish_nothing() -> None:
    live = LiveMarket(BASE, WHOLE.n_bars, GRACE)
    live.put([bar(0, 5), StoredBar(9, "WAT", WHOLE.end, (1.0,) * 6, 0)])
    assert live.publish(WHOLE.end + 10 * GRACE) is None
    assert live.seq == 9
    assert live.get("WAT", WHOLE.end) is None


def test_the_number_of_a_market_does_not_count_bars_that_wait() -> None:
    """Two processes that have read to different places name the same market alike."""
    first = WHOLE.n_bars - NEW
    one, other = (LiveMarket(BASE, WHOLE.n_bars, GRACE) for _ in range(2))
    bars = [bar(a, first, seq=a + 1) for a in range(3)]
    one.put(bars)
    other.put([*bars, bar(0, first + 1, seq=4)])
    shown = [market.publish(now=0) for market in (one, other)]
    assert [s.seq for s in shown if s is not None] == [3, 3]
    assert (one.seq, other.seq) == (3, 4)


def test_ages_are_of_each_asset_and_count_bars_that_wait() -> None:
    live = LiveMarket(BASE, WHOLE.n_bars, GRACE)
    live.put([bar(0, WHOLE.n_bars - NEW)])
    ages = live.age_minutes(BASE.end + 90 * MINUTE)
    assert ages == {"BTC": 30.0, "ETH": 90.0, "SOL": 90.0}


def test_memory_is_bounded_and_the_market_stays_right() -> None:
    """A thousand bars beyond the room of the buffer: the oldest go, the newest are those of the full panel."""
    whole = simulate_market(("BTC",), days=160, seed=5)
    live = LiveMarket(whole.slice(0, 1500), 1500, 0)
    for t in range(1500, whole.n_bars):
        live.put([bar(0, t, panel=whole)])
        live.publish(now=0)
    shown = live.now_shown()
    assert shown.panel.n_bars == 1500
    assert shown.panel.end == whole.end
    np.testing.assert_array_equal(shown.panel.close, whole.close[:, -1500:])
    np.testing.assert_allclose(shown.features, market_row(whole), rtol=1e-9, atol=1e-9)
    assert live._buffer._values.shape[2] < 1500 + 3 * 1024
    assert whole.n_bars - 1500 > warmup_bars(60)


def test_the_newest_level_of_an_implied_index_holds_for_three_days() -> None:
    one = np.ones((1, 48))
    base = MarketPanel(("BTC",), 60, 0, one, one, one, one, one, one * 0, ("mark",), one * 0.6)
    buffer = PanelBuffer(base, 400)
    for hours, level in ((72, 0.6), (73, np.nan)):
        buffer.show_until(47 + hours)
        implied = buffer.panel().implied
        assert implied is not None
        np.testing.assert_equal(implied[0, -1], level)
    for index in range(120, 2400):
        buffer.put(0, index, (2.0,) * 6)
        buffer.show_until(index)
    shown = buffer.panel()
    assert shown.implied is not None
    assert shown.implied.shape == shown.close.shape == (1, 400)
    assert np.isnan(shown.implied).all()
