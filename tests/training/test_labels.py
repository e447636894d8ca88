"""Labels: censoring and gaps."""

from dataclasses import replace

import numpy as np
import pytest

from tests.models.builders import AS_OF_NS, account, book, panel, position
from training.labels import label, outcomes

HOUR = 3_600_000_000_000


def test_an_event_before_the_data_end_is_known_at_every_horizon():
    y, usable = outcomes(np.array([[30.0, np.nan]]), np.array([45.0]))
    assert y[0, 0].all()
    assert usable[0, 0].all()
    assert not usable[0, 1].any()


def test_what_was_watched_to_its_end_without_event_is_a_negative():
    y, usable = outcomes(np.array([[np.nan, np.nan]]), np.array([1440.0]))
    assert not y.any()
    assert usable[0, 0].tolist() == [True, True, True, False]


def test_an_event_at_the_horizon_counts():
    y, _ = outcomes(np.array([[60.0, 61.0]]), np.array([9999.0]))
    assert y[0, :, 0].tolist() == [True, False]


@pytest.fixture
def falling():
    close = np.full(100, 50_000.0)
    close[10:] = 46_500.0
    close[30:] = 45_600.0
    return panel(close, spread=0.0)


def owner():
    return book(account([position(quantity=1.0, leverage=20.0)], cash=4_700.0), assets=("BTC",))


def test_labels_follow_the_path(falling):
    found = label(owner(), falling)
    call, liquidation = found.minutes[0]
    assert call == 31 * 60
    assert liquidation != liquidation or liquidation >= call
    assert found.y[0, 0].tolist() == [False, False, False, True]
    assert found.usable.all()
    assert found.call_amount[0] > 0


def test_a_short_panel_censors_the_long_horizons(falling):
    found = label(owner(), falling.slice(0, 25))
    assert found.usable[0, 0].tolist() == [True, True, True, False]


def test_a_missing_bar_takes_the_row_out_unless_kept(falling):
    close = falling.close.copy()
    close[0, 5] = np.nan
    holed = replace(falling, close=close)
    assert not label(owner(), holed).usable.any()
    assert label(owner(), holed, keep_gaps=True).usable.all()
    assert label(owner(), holed).gap.all()


def test_an_account_after_the_data_is_censored(falling):
    late = replace(owner(), as_of=np.array([AS_OF_NS + 200 * HOUR]))
    assert not label(late, falling).usable.any()
