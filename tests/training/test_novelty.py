"""Novelty on markets: quiet on the market it was fitted on and on its like, loud in a crash and on a scaled market."""

from dataclasses import replace

import numpy as np
import pytest

from features.build import FEATURE_NAMES, MONOTONE
from models.market import MarketPanel
from models.prior import PriorModel
from models.typing import DAY_NS, HOUR_NS
from tests.training.markets import market
from training.build import BuildSettings, PriorSchedule, build_dataset
from training.dataset import Dataset, concatenate
from training.novelty import fit_novelty, watched_columns
from training.pipeline import instants_between
from training.population import sample_population

BUILD = BuildSettings(paths=64)
CUT = 200


@pytest.fixture(scope="module")
def panel() -> MarketPanel:
    return market(230)


@pytest.fixture(scope="module")
def prior(panel: MarketPanel) -> PriorModel:
    return PriorModel.fit(panel, panel.start + CUT * DAY_NS, paths=64)


def rows(panel: MarketPanel, prior: PriorModel, first: float, last: float, every: int = 420) -> Dataset:
    """Build the call rows of sampled accounts between two days."""
    begin, end = (panel.start + round(day * DAY_NS) for day in (first, last))
    people = sample_population(panel, "generic-linear", instants_between(panel, begin, end, every), 8, 3)
    schedule = PriorSchedule(panel, begin, BUILD, fixed=prior, in_sample=True)
    whole = concatenate(list(build_dataset(panel, people, schedule, BUILD)))
    return whole.take(whole.level == 0)


def flagged(model, dataset: Dataset) -> float:
    return float((model.score(dataset.x[::4], model.index(FEATURE_NAMES))[0] > 1).mean())


@pytest.fixture(scope="module")
def model(panel: MarketPanel, prior: PriorModel):
    return fit_novelty(rows(panel, prior, 75, CUT))


def changed(panel: MarketPanel, first: int, ratio: np.ndarray) -> MarketPanel:
    """Multiply prices from a bar on."""
    prices = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close")}
    for table in prices.values():
        table[:, first:] *= ratio
    return replace(panel, **prices)


def test_in_sample_the_stated_share_is_flagged(model, panel, prior):
    assert flagged(model, rows(panel, prior, 75, CUT)) == pytest.approx(0.01, abs=0.002)


def test_a_crash_fires(model, panel, prior):
    bar = (CUT + 20) * 24
    crash = changed(panel, bar, np.exp(np.maximum(-0.12 * np.arange(panel.n_bars - bar), -0.6)))
    day = (bar + 6) * HOUR_NS / DAY_NS
    assert flagged(model, rows(crash, prior, day, day + 0.5, 60)) > 0.95
    assert flagged(model, rows(panel, prior, day, day + 0.5, 60)) < 0.2


def test_a_scaled_market_fires(model, panel, prior):
    wild = {name: getattr(panel, name) for name in ("open", "high", "low", "close")}
    middle = panel.close[:, :1]
    wild = {name: middle * (table / middle) ** 5 for name, table in wild.items()}
    assert flagged(model, rows(replace(panel, **wild), prior, CUT + 5, CUT + 15)) > 0.9


def test_no_watched_column_moves_with_leverage_or_horizon():
    names = watched_columns()
    assert not any(MONOTONE[FEATURE_NAMES.index(name)] for name in names)
    assert not {"horizon", "prior_logit", "sigma", "weekend"} & set(names)


def test_too_few_rows_give_no_model(panel, prior):
    few = rows(panel, prior, CUT, CUT + 1)
    assert fit_novelty(few) is None
