"""The law of an hour's range: a density, with its atom, that moves with the return."""

import numpy as np
import pytest

from training.benchmark.range_law import RETURN_STEP, U_HIGH, U_LOW, range_law, rogers_satchell


@pytest.fixture(scope="module")
def law():
    return range_law(12)


def _walks(n, seed=1):
    path = np.cumsum(np.random.default_rng(seed).normal(0.0, 12**-0.5, (n, 12)), axis=1)
    return np.maximum(path.max(axis=1), 0.0), np.minimum(path.min(axis=1), 0.0), path[:, -1]


def test_rows_are_densities(law):
    width = (U_HIGH - U_LOW) / law.score.shape[1]
    np.testing.assert_allclose(np.exp(law.log_density).sum(axis=1) * width, 1.0)
    assert (np.diff(law.score, axis=1) >= 0).all()


@pytest.mark.parametrize("least", [0.2, 1.0, 2.0])
def test_shares_are_those_of_other_walks(law, least):
    high, low, close = _walks(400_000)
    near = (np.abs(close) >= least) & (np.abs(close) < least + RETURN_STEP)
    u = rogers_satchell(high, low, close)[near]
    width = (U_HIGH - U_LOW) / law.score.shape[1]
    share = np.exp(law.log_density[round(least / RETURN_STEP)]) * width
    assert share[0] == pytest.approx((u < 1e-4).mean(), abs=0.015)
    for edge in (-3.0, -1.5, -0.5, 0.5):
        below = share[: round((edge - U_LOW) / width)].sum()
        assert below == pytest.approx((u < np.exp(edge)).mean(), abs=0.02)


def test_ranges_are_the_more_alike_the_more_the_walks_are(law):
    assert (np.diff(law.score_correlation) >= 0).all()
    assert law.score_correlation[0] < 0.1
    assert law.score_correlation[-1] > 0.8
