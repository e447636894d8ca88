"""The implied-volatility index: known at the end of its day, forgotten after three."""

from pathlib import Path

import numpy as np
import pytest

from features.sources.implied import ImpliedIndex, implied_path, read_implied_index
from features.sources.tables import write_table
from features.sources.times import to_ns
from models.errors import InputError
from models.typing import DAY_NS, HOUR_NS

FIRST = to_ns("2025-01-01")


def _write(root: Path, days: list[int], points: list[float], asset: str = "BTC") -> None:
    stamps = (FIRST + np.array(days, np.int64) * DAY_NS).view("datetime64[ns]").astype("datetime64[ms]")
    write_table(implied_path(root, asset), {"timestamp": stamps, "dvol_close": np.array(points)})


def _read(root: Path) -> ImpliedIndex:
    index = read_implied_index(root, "BTC")
    assert index is not None
    return index


def test_a_close_is_not_known_before_its_day_has_ended(tmp_path: Path) -> None:
    _write(tmp_path, [0, 1], [50.0, 80.0])
    level, known = _read(tmp_path).at(FIRST + np.array([0, DAY_NS - 1, DAY_NS, 2 * DAY_NS - 1, 2 * DAY_NS]))
    assert known.tolist() == [False, False, True, True, True]
    np.testing.assert_array_equal(level, [np.nan, np.nan, 0.5, 0.5, 0.8])


def test_a_close_is_stale_three_days_after_the_end_of_its_day(tmp_path: Path) -> None:
    _write(tmp_path, [0, 9], [50.0, 60.0])
    level, known = _read(tmp_path).at(FIRST + np.array([4 * DAY_NS, 4 * DAY_NS + 1, 10 * DAY_NS]))
    assert known.tolist() == [True, False, True]
    np.testing.assert_array_equal(level, [0.5, np.nan, 0.6])


def test_rows_are_put_in_order_and_days_without_a_close_left_out(tmp_path: Path) -> None:
    _write(tmp_path, [3, 0, 1, 0], [60.0, 40.0, float("nan"), 50.0])
    index = _read(tmp_path)
    assert ((index.known - FIRST) // DAY_NS).tolist() == [1, 4]
    assert index.level.tolist() == [0.5, 0.6]


def test_a_stamp_inside_the_day_does_not_move_its_end(tmp_path: Path) -> None:
    stamps = np.array([FIRST + 7 * HOUR_NS]).view("datetime64[ns]").astype("datetime64[ms]")
    write_table(implied_path(tmp_path, "BTC"), {"timestamp": stamps, "dvol_close": np.array([55.0])})
    assert _read(tmp_path).known.tolist() == [FIRST + DAY_NS]


def test_one_instant_gives_one_level(tmp_path: Path) -> None:
    _write(tmp_path, [0], [50.0])
    level, known = _read(tmp_path).at(FIRST + DAY_NS)
    assert (float(level), bool(known)) == (0.5, True)


def test_no_file_is_no_index_and_no_row_is_never_known(tmp_path: Path) -> None:
    assert read_implied_index(tmp_path, "SOL") is None
    _write(tmp_path, [], [])
    level, known = _read(tmp_path).at(np.array([FIRST]))
    assert np.isnan(level[0])
    assert not known[0]


@pytest.mark.parametrize("value", [0.55, 0.0, -50.0, 1000.1])
def test_a_close_that_is_not_in_percent_points_is_named(tmp_path: Path, value: float) -> None:
    _write(tmp_path, [0, 1], [50.0, value])
    with pytest.raises(InputError, match=r"DVOL_BTC-1d.parquet: dvol_close row 1: expected percent points"):
        read_implied_index(tmp_path, "BTC")


@pytest.mark.parametrize("value", [1.0, 1000.0])
def test_the_bounds_of_percent_points_are_read(tmp_path: Path, value: float) -> None:
    _write(tmp_path, [0], [value])
    assert _read(tmp_path).level.tolist() == [value / 100]


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    write_table(implied_path(tmp_path, "BTC"), {"timestamp": np.array(["2025-01-01"], "datetime64[ms]")})
    with pytest.raises(InputError, match=r"columns: expected also dvol_close"):
        read_implied_index(tmp_path, "BTC")


def test_instants_that_do_not_rise_are_refused() -> None:
    with pytest.raises(InputError, match="known: expected instants that rise strictly"):
        ImpliedIndex("BTC", np.array([2, 1]), np.array([0.5, 0.5]))
    with pytest.raises(InputError, match="level: expected one level for each of 2 instants"):
        ImpliedIndex("BTC", np.array([1, 2]), np.array([0.5]))


@pytest.mark.realdata
def test_the_real_index_is_known_from_the_end_of_its_first_day(data_root: Path) -> None:
    index = _read(data_root)
    assert index.known[0] == to_ns("2022-11-07")
    assert 0.2 < index.level.min() < index.level.max() < 1.5
    level, known = index.at(np.array([to_ns("2022-11-06T23:59:59Z"), to_ns("2022-11-08T12:00:00Z")]))
    assert known.tolist() == [False, True]
    assert level[1] == pytest.approx(0.5948)
