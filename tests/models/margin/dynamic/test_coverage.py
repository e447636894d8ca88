"""Coverage tests: likelihood ratios by hand, and that they reject what they should and not what they should not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.dynamic.coverage import coverage_test, exceedances


def kupiec_by_hand(n: int, x: int, p: float) -> float:
    share = x / n
    null = (n - x) * np.log(1 - p) + x * np.log(p)
    free = (n - x) * np.log(1 - share) + (x * np.log(share) if x else 0.0)
    return float(-2 * (null - free))


@given(st.integers(20, 2000), st.integers(0, 15))
def test_the_proportion_of_failures_by_hand(n: int, x: int) -> None:
    found = coverage_test(np.arange(n) < x, 0.99)
    assert (found.n, found.breaches) == (n, x)
    assert found.kupiec == pytest.approx(max(kupiec_by_hand(n, x, 0.01), 0.0), abs=1e-8)


def test_kupiec_accepts_four_to_seventeen_in_a_thousand_at_one_percent() -> None:
    """Kupiec (1995), table of non-rejection regions at 5 %: 1,000 days, p = 0.01: 4 < N < 17."""
    accepted = [x for x in range(40) if coverage_test(np.arange(1000) < x, 0.99).kupiec_p > 0.05]
    assert (min(accepted), max(accepted)) == (5, 16)


def test_independence_by_hand() -> None:
    hit = np.array([0, 0, 1, 1, 0, 0, 0, 1, 0, 0], bool)
    n00, n01, n10, n11 = 4, 2, 2, 1
    pi, p01, p11 = 3 / 9, n01 / (n00 + n01), n11 / (n10 + n11)
    null = (n00 + n10) * np.log(1 - pi) + (n01 + n11) * np.log(pi)
    free = n00 * np.log(1 - p01) + n01 * np.log(p01) + n10 * np.log(1 - p11) + n11 * np.log(p11)
    found = coverage_test(hit, 0.7)
    assert found.independence == pytest.approx(max(-2 * (null - free), 0.0), abs=1e-12)
    assert found.conditional == pytest.approx(found.kupiec + found.independence)


def test_clusters_are_seen_and_scattered_breaches_are_not() -> None:
    scattered, clustered = np.zeros(1000, bool), np.zeros(1000, bool)
    scattered[::100], clustered[500:510] = True, True
    assert coverage_test(scattered, 0.99).independence_p > 0.05
    found = coverage_test(clustered, 0.99)
    assert found.independence_p < 1e-6
    assert found.kupiec_p > 0.9
    assert found.conditional_p < 1e-5


def test_right_and_wrong_models_are_told_apart() -> None:
    rng = np.random.default_rng(7)
    kept = sum(coverage_test(rng.random(1500) < 0.01, 0.99).kupiec_p > 0.05 for _ in range(300))
    caught = sum(coverage_test(rng.random(1500) < 0.03, 0.99).kupiec_p < 0.05 for _ in range(300))
    assert 0.9 < kept / 300 <= 1.0
    assert caught / 300 > 0.95


def test_no_breach_and_nothing_but_breaches_have_finite_ratios() -> None:
    for hit in (np.zeros(50, bool), np.ones(50, bool)):
        found = coverage_test(hit, 0.99)
        assert np.isfinite([found.kupiec, found.independence, found.conditional]).all()


def test_a_loss_is_judged_by_the_rate_known_before_it() -> None:
    close = np.array([[100.0, 100.0, 80.0, 80.0, 100.0]])
    rate = np.array([[0.1, 0.1, 0.3, 0.3, 0.3]])
    assert exceedances(rate, close, 1)[0].tolist() == [False, True, False, False]
    assert exceedances(rate, close, 1, "short")[0].tolist() == [False, False, False, False]
    assert exceedances(rate, close, 2)[0].tolist() == [True, False]
    close[0, 1] = np.nan
    assert exceedances(rate, close, 1)[0].tolist() == [False, False]


def test_wrong_arguments_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="breach"):
        coverage_test([True], 0.99)
    with pytest.raises(InputError, match="confidence"):
        coverage_test([True, False], 1.0)
    with pytest.raises(InputError, match="rate"):
        exceedances(np.ones((1, 2)), np.ones((1, 3)), 1)
    with pytest.raises(InputError, match="mpor"):
        exceedances(np.ones((1, 3)), np.ones((1, 3)), 0)
    with pytest.raises(InputError, match="side"):
        exceedances(np.ones((1, 3)), np.ones((1, 3)), 1, "flat")  # type: ignore[arg-type]
