"""The grid of bars: what is closed when, and what a snapshot knows."""

import numpy as np
import pytest

from models.errors import InputError, UnknownAssetError
from models.market import to_hourly
from models.typing import HOUR_NS, MINUTE_NS
from tests.models.builders import AS_OF_NS, panel


def test_a_bar_is_known_at_its_close_and_not_before() -> None:
    market = panel([1.0, 2.0, 3.0])
    assert market.row_closed(AS_OF_NS) == -1
    assert market.row_closed(AS_OF_NS + HOUR_NS - 1) == -1
    assert market.row_closed(AS_OF_NS + HOUR_NS) == 0
    assert market.row_after(AS_OF_NS) == 0
    assert market.row_after(AS_OF_NS + 1) == 1
    assert market.row_after(AS_OF_NS + HOUR_NS) == 1


def test_snapshot_knows_nothing_later() -> None:
    market = panel([1.0, 2.0, 3.0])
    seen = market.snapshot(AS_OF_NS + 2 * HOUR_NS + 30 * MINUTE_NS)
    assert (seen.price[0], seen.age_minutes[0]) == (2.0, 30.0)
    early = market.snapshot(AS_OF_NS)
    assert np.isnan(early.price[0])
    assert early.age_minutes[0] == np.inf


def test_snapshot_skips_a_missing_bar_and_says_how_old_it_is() -> None:
    seen = panel([1.0, 2.0, np.nan]).snapshot(AS_OF_NS + 3 * HOUR_NS)
    assert (seen.price[0], seen.age_minutes[0]) == (2.0, 60.0)


def test_between_and_select() -> None:
    market = panel([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    cut = market.between(AS_OF_NS + 1, AS_OF_NS + 3 * HOUR_NS)
    assert cut.close.tolist() == [[2.0, 3.0], [5.0, 6.0]]
    assert cut.start == AS_OF_NS + HOUR_NS
    assert market.select(["ETH"]).close.tolist() == [[4.0, 5.0, 6.0]]
    with pytest.raises(UnknownAssetError, match="DOGE"):
        market.select(["DOGE"])


def test_hourly_bars_from_quarters() -> None:
    quarters = panel([[1, 2, 3, 4, np.nan, 6, 7, 8, np.nan, np.nan, np.nan, np.nan]], bar_minutes=15, spread=0.0)
    hours = to_hourly(quarters)
    assert hours.n_bars == 3
    assert hours.close[0, :2].tolist() == [4.0, 8.0]
    assert hours.high[0, 0] == 4.0
    assert hours.low[0, 0] == 1.0
    assert np.isnan(hours.close[0, 2])


def test_bad_panels_are_refused() -> None:
    with pytest.raises(InputError, match="bar_minutes"):
        panel([1.0], bar_minutes=7)
    with pytest.raises(InputError, match="divisor of 60"):
        to_hourly(panel([1.0], bar_minutes=120))
