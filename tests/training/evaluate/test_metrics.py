"""Scores against scikit-learn and against hand numbers."""

import numpy as np
import pytest
from sklearn import metrics as reference

from models.errors import InputError
from training.evaluate import metrics


@pytest.fixture(params=[0, 1, 2])
def sample(request):
    rng = np.random.default_rng(request.param)
    p = rng.beta(0.5, 5.0, 4000)
    if request.param == 1:
        p = p.round(2)  # many ties
    y = (rng.uniform(size=4000) < p * 0.8).astype(float)
    return p, y


def test_scores_equal_those_of_scikit_learn(sample):
    p, y = sample
    assert metrics.auc(p, y) == pytest.approx(reference.roc_auc_score(y, p), abs=1e-12)
    assert metrics.average_precision(p, y) == pytest.approx(reference.average_precision_score(y, p), abs=1e-12)
    assert metrics.brier(p, y) == pytest.approx(reference.brier_score_loss(y, p), abs=1e-12)
    clipped = np.clip(p, metrics.CLIP, 1 - metrics.CLIP)
    assert metrics.log_loss(p, y) == pytest.approx(reference.log_loss(y, clipped), abs=1e-12)


def test_one_sort_serves_every_measure(sample):
    p = sample[0]
    order = metrics.Order.of(p)
    np.testing.assert_array_equal(order.rising, np.argsort(p, kind="stable"))
    np.testing.assert_array_equal(order.falling, np.argsort(-p, kind="stable"))
    np.testing.assert_array_equal(p[order.rising][order.first], np.unique(p))
    np.testing.assert_array_equal(metrics.flagged(p, 0.1, order), metrics.flagged(p, 0.1))
    assert all(len(part) == 0 for part in metrics.Order.of(np.empty(0)))


def test_reliability_equals_a_plain_loop(sample):
    p, y = sample
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, 20)
    count, predicted, observed = metrics.reliability(p, y, 20)
    assert count.tolist() == [len(part) for part in parts]
    np.testing.assert_allclose(predicted, [p[part].mean() for part in parts])
    np.testing.assert_allclose(observed, [y[part].mean() for part in parts])
    gaps = [len(part) * abs(p[part].mean() - y[part].mean()) for part in parts]
    assert metrics.ece(p, y) == pytest.approx(sum(gaps) / len(p))


def test_a_certain_and_wrong_forecast_costs_a_bounded_loss():
    assert metrics.log_loss(np.array([0.0]), np.array([1.0])) == pytest.approx(-np.log(metrics.CLIP))


def test_recall_counts_events_among_the_flagged_rows():
    p = np.linspace(0, 1, 200)
    y = np.zeros(200)
    y[[199, 198, 100, 0]] = 1
    assert metrics.recall_at_budget(p, y, 0.01) == 0.5
    assert metrics.recall_at_budget(p, y, 0.005) == 0.25


def test_the_lead_is_taken_over_caught_events_only():
    p = np.array([0.9, 0.8, 0.7, 0.1])
    y = np.array([1.0, 0.0, 1.0, 1.0])
    minutes = np.array([60.0, np.nan, 240.0, 5.0])
    assert metrics.median_lead_minutes(p, y, minutes, 0.75) == 150.0


def test_one_class_and_no_rows_give_nan_and_not_an_error():
    empty = np.empty(0)
    assert np.isnan(metrics.auc(np.array([0.1, 0.2]), np.zeros(2)))
    found = metrics.summary(empty, empty)
    assert found["n"] == 0
    assert np.isnan(found["log_loss"])
    assert np.isnan(found["ece"])


@pytest.mark.parametrize("budget", [0.0, 1.01])
def test_a_budget_out_of_range_is_refused(budget):
    with pytest.raises(InputError, match="budget"):
        metrics.flagged(np.ones(3), budget)


def test_summary_holds_every_key_of_the_contract():
    keys = "n base_rate log_loss brier ece auc average_precision recall_at_budget median_lead_minutes"
    found = metrics.summary(np.array([0.2, 0.7]), np.array([0.0, 1.0]), np.array([np.nan, 30.0]))
    assert set(keys.split()) <= set(found)
    assert set(found["recall_at_budget"]) == {"0.01", "0.02"}
