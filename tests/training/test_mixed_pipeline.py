"""Train and evaluate on accounts of every regime, from market to the table by regime."""

import json
import math

import pytest

from models.predictor import MarginCallPredictor
from models.typing import DAY_NS
from tests.training.markets import market
from training.accounts import MIXED, draw_accounts
from training.build import BuildSettings
from training.evaluate.table import markdown_regimes, regime_rows, regime_table
from training.fit import FitParameters
from training.pipeline import TrainSettings, evaluate, instants_between, save_training, train
from training.population import REGIMES, Population

SETTINGS = TrainSettings(
    ruleset=MIXED,
    every_minutes=1440,
    per_instant=20,
    warmup_days=75,
    build=BuildSettings(paths=128),
    fit=FitParameters(min_data_in_leaf=100, max_rounds=20, feature_fraction=0.6),
)


@pytest.fixture(scope="module")
def panel():
    return market(180, ("BTC", "ETH"))


@pytest.fixture(scope="module")
def cut(panel):
    return panel.end - 40 * DAY_NS


@pytest.fixture(scope="module")
def trained(panel, cut):
    return train(panel, None, cut, SETTINGS)


@pytest.fixture(scope="module")
def scored(panel, cut, trained):
    return evaluate(panel, trained.predictor, cut, None, trained.baselines, SETTINGS)


def test_no_account_of_any_regime_is_lost(trained):
    left_out = {name: count for name, count in trained.summary.items() if name.startswith("left_out_")}
    assert left_out.pop("left_out_censored") >= 0
    assert left_out.pop("left_out_gap") == 0
    assert set(left_out.values()) == {0}, left_out


def test_every_regime_is_scored_beside_the_baselines(scored):
    found = scored.metrics["regimes"]
    assert set(found) == set(REGIMES)
    for name, part in found.items():
        assert part["pooled"]["n"] == part["prior"]["n"] > 0, name
        assert math.isfinite(part["pooled"]["log_loss"])
        assert {"B0", "B1", "B2", "B3", "B4", "B5", "B6", "B9"} <= set(part["baselines"])
        assert part["baselines"]["B5"] == pytest.approx(part["prior"]["log_loss"])
    whole = sum(part["pooled"]["n"] for part in found.values())
    assert whole == scored.metrics["pooled"]["n"]


def test_the_prior_is_no_worse_than_the_share_called_in_the_regimes_with_events(scored):
    """A prior that did not know a regime would lose to its base rate by far."""
    for name, part in scored.metrics["regimes"].items():
        if part["pooled"]["base_rate"] * part["pooled"]["n"] >= 15:
            assert part["prior"]["log_loss"] < 1.1 * part["baselines"]["B0"], name


def test_the_tables_have_a_row_for_each_regime(scored):
    rows = regime_rows(scored.metrics)
    assert [row[0] for row in rows] == list(scored.metrics["regimes"])
    assert markdown_regimes(scored.metrics).count("\n") >= len(rows) + 1
    assert regime_table(scored.metrics).row_count == len(rows)


def test_the_bundle_is_the_same_after_it_was_stored(trained, tmp_path):
    again = MarginCallPredictor.load(save_training(trained, tmp_path))
    assert again.metadata["ruleset"] == MIXED
    json.dumps(trained.parameters)


def test_one_ruleset_gives_one_regime(panel):
    people = draw_accounts(panel, "generic-linear", instants_between(panel, panel.end - DAY_NS, panel.end, 720), 5, 1)
    assert isinstance(people, Population)
    assert set(people.accounts["ruleset"]) == {"generic-linear"}
