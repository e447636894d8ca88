"""Splits: no training label window reaches the next part; an instant is never divided."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from training.splits import Windows, split, to_ns, walk_forward, windows_before

instants = st.lists(st.integers(0, 2000), min_size=1, max_size=80).map(lambda v: np.array(sorted(v), np.int64))


@given(instants, st.integers(100, 1500), st.integers(0, 120), st.integers(0, 60))
def test_no_label_window_reaches_the_next_part(as_of, test_start, purge, embargo):
    windows = windows_before(0, test_start, 2001)
    parts = split(as_of, windows, purge, embargo)
    edges = (windows.valid, windows.calibration, windows.test)
    for mask, edge in zip((parts.fit, parts.valid, parts.calibration), edges, strict=True):
        assert (as_of[mask] + purge + embargo <= edge).all()
    assert (as_of[parts.test] >= windows.test).all()


@given(instants, st.integers(100, 1500), st.integers(0, 120))
def test_parts_are_disjoint_and_an_instant_is_in_one_part(as_of, test_start, purge):
    parts = split(as_of, windows_before(0, test_start, 2001), purge, 0)
    masks = np.stack([parts.fit, parts.valid, parts.calibration, parts.test])
    assert (masks.sum(axis=0) <= 1).all()
    for moment in np.unique(as_of):
        assert len(np.unique(masks[:, as_of == moment], axis=1).T) == 1


def test_a_window_that_ends_exactly_at_the_boundary_stays():
    parts = split(np.array([10, 11]), Windows(0, 20, 40, 60, 80), purge=7, embargo=3)
    assert parts.fit.tolist() == [True, False]


def test_walk_forward_covers_the_test_period_once_and_trains_only_on_what_is_before():
    folds = list(walk_forward(0, 600, 1000, 150))
    assert [(w.test, w.end) for w in folds] == [(600, 750), (750, 900), (900, 1000)]
    assert all(a.end == b.test for a, b in pairwise(folds))
    assert all(w.start == 0 and w.valid < w.calibration < w.test for w in folds)


@pytest.mark.parametrize("share", [0.0, -0.1, 0.41])
def test_shares_out_of_range_are_refused(share):
    with pytest.raises(InputError, match="valid_share"):
        windows_before(0, 100, 120, valid_share=share)


def test_windows_out_of_order_are_refused():
    with pytest.raises(InputError, match="start <= valid"):
        Windows(0, 50, 40, 60, 80)


def test_a_step_of_zero_is_refused():
    with pytest.raises(InputError, match="step"):
        list(walk_forward(0, 10, 20, 0))


def test_moments_in_words_and_numbers_agree():
    assert to_ns("2024-07-01") == to_ns("2024-07-01T00:00:00+00:00") == to_ns(1_719_792_000_000_000_000)
    with pytest.raises(InputError, match="ISO 8601"):
        to_ns("last summer")
