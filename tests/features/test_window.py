"""Rolling sums and maxima by anchored blocks."""

import numpy as np
import pytest

from features.window import N_SERIES, check_bar_minutes, roll_max, roll_sums, warmup_bars
from models.errors import InputError


def sums(values, n, first):
    out = np.empty((N_SERIES, len(values)))
    roll_sums(n, first, len(values), np.zeros((n, N_SERIES)), np.zeros(N_SERIES), values, out)
    return out.T


@pytest.mark.parametrize("n", [1, 2, 7, 24])
@pytest.mark.parametrize("first", [0, 5, 23])
def test_sum_is_the_sum_of_the_last_n_bars(n, first):
    values = np.random.default_rng(n + first).normal(size=(100, N_SERIES))
    expected = np.array([values[max(0, t + 1 - n) : t + 1].sum(axis=0) for t in range(100)])
    np.testing.assert_allclose(sums(values, n, first), expected, rtol=1e-12, atol=1e-12)


def test_sum_has_the_same_bits_wherever_the_data_began():
    values = np.exp(np.random.default_rng(1).normal(0, 10, size=(200, N_SERIES)))
    whole = sums(values, 24, 1000)
    assert np.array_equal(sums(values[77:], 24, 1077)[23:], whole[77 + 23 :])


def test_a_huge_bar_leaves_no_trace_once_it_is_out_of_the_window():
    values = np.ones((50, N_SERIES))
    values[5] = 1e300
    assert np.all(sums(values, 4, 0)[9:] == 4.0)


@pytest.mark.parametrize("n", [1, 3, 24])
def test_max_is_the_largest_of_the_last_n_bars(n):
    values = np.random.default_rng(n).normal(size=(100, 2))
    out = np.empty((2, 100))
    roll_max(n, 5, 100, np.full((n, 2), -np.inf), np.full(2, -np.inf), values, out)
    assert np.array_equal(out.T, [values[max(0, t + 1 - n) : t + 1].max(axis=0) for t in range(100)])


@pytest.mark.parametrize(("minutes", "expected"), [(60, 890), (15, 3560), (1, 53_400)])
def test_warm_up_is_a_span_of_time(minutes, expected):
    assert warmup_bars(minutes) == expected


@pytest.mark.parametrize("minutes", [0, -5, 7, 120])
def test_bars_that_do_not_divide_an_hour_are_refused(minutes):
    with pytest.raises(InputError, match="bar_minutes: expected a divisor of 60"):
        check_bar_minutes(minutes)
