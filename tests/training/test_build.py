"""The training set: equal to what serving computes, blind to the future, counted where rows fall out."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from features.build import FEATURE_NAMES
from features.moment import moment_at
from models.book import Book
from models.errors import InputError
from models.predictor.predictor import MarginCallPredictor
from models.prior import PriorModel
from models.typing import DAY_NS
from tests.training.markets import HOUR, market
from training.build import BuildSettings, PriorSchedule, build_dataset
from training.dataset import batches, concatenate
from training.dataset_files import read_dataset, write_dataset
from training.population import sample_population

QUICK = BuildSettings(paths=128, chunk=400)


@pytest.fixture(scope="module")
def panel():
    return market(100)


@pytest.fixture(scope="module")
def population(panel):
    instants = panel.start + np.arange(24 * 70, 24 * 99, 17) * HOUR
    return sample_population(panel, "generic-linear", instants, 12, seed=1)


def built(panel, population, settings=QUICK, **more):
    schedule = PriorSchedule(panel, panel.start + 65 * DAY_NS, settings)
    return list(build_dataset(panel, population, schedule, settings, **more))


@pytest.fixture(scope="module")
def dataset(panel, population):
    return concatenate(built(panel, population))


def test_rows_equal_those_of_the_serving_path(panel, population, dataset):
    moment = int(np.unique(population.accounts["as_of"])[7])
    rows = np.flatnonzero(population.accounts["as_of"] == moment)
    part = population.take(rows)
    book, _ = Book.from_columns(part.accounts, part.positions, part.collateral, panel.assets)
    prior = PriorSchedule(panel, panel.start + 65 * DAY_NS, QUICK).at(moment)
    seen = {}

    class Spy(MarginCallPredictor):
        def __init__(self):
            object.__setattr__(self, "prior", prior)
            object.__setattr__(self, "novelty", None)
            object.__setattr__(self, "expires_ns", None)

        def predict(self, x, prior_p, num_threads=None, novelty=None):
            seen.update(x=x.copy(), prior=prior_p.copy())
            return prior_p.copy()

    moment_at(panel, moment, prior, Spy()).p_call(book)
    mine = (dataset.as_of == moment) & (dataset.level == 0)
    np.testing.assert_allclose(dataset.prior[mine], seen["prior"], rtol=1e-9)
    own = dataset.x[np.repeat(mine, 4)]
    np.testing.assert_allclose(own, seen["x"], rtol=1e-5, atol=1e-6)


def test_nothing_after_the_instant_reaches_features_or_prior(panel, population):
    cut = int(np.unique(population.accounts["as_of"])[5])
    early = population.take(np.flatnonzero(population.accounts["as_of"] <= cut))
    row = int(panel.row_closed(cut)) + 1
    noise = np.random.default_rng(0).uniform(0.5, 2.0, (len(panel.assets), panel.n_bars - row))
    changed = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close", "volume", "funding_rate")}
    for array in changed.values():
        array[:, row:] *= noise
    one, other = (concatenate(built(p, early)) for p in (panel, replace(panel, **changed)))
    np.testing.assert_array_equal(one.x, other.x)
    np.testing.assert_array_equal(one.prior, other.prior)
    np.testing.assert_array_equal(one.extra["last_call"], other.extra["last_call"])
    assert (one.y != other.y).any()


def test_the_prior_of_an_instant_has_seen_nothing_after_it(panel):
    schedule = PriorSchedule(panel, panel.start + 65 * DAY_NS, replace(QUICK, refit_days=7))
    for days in (65, 71, 72, 90):
        moment = panel.start + days * DAY_NS
        assert schedule.at(moment).fitted_until <= moment
    late = PriorModel.fit(panel, panel.start + 90 * DAY_NS, paths=64)
    with pytest.raises(InputError, match="after the prior's data"):
        PriorSchedule(panel, panel.start, QUICK, fixed=late).at(panel.start + 80 * DAY_NS)


def test_pieces_do_not_change_the_rows(panel, population, dataset):
    whole = concatenate(built(panel, population, replace(QUICK, chunk=100_000)))
    np.testing.assert_array_equal(whole.as_of, dataset.as_of)
    np.testing.assert_array_equal(whole.y, dataset.y)
    np.testing.assert_allclose(whole.prior, dataset.prior, rtol=1e-9)
    np.testing.assert_allclose(whole.x, dataset.x, rtol=1e-4, atol=1e-6)


def test_both_levels_stand_together_and_liquidation_is_the_rarer(dataset):
    assert dataset.level.tolist()[:4] == [0, 1, 0, 1]
    call, liquidation = dataset.level == 0, dataset.level == 1
    assert (dataset.prior[liquidation] <= dataset.prior[call] + 1e-12).all()
    assert (dataset.y[liquidation] <= dataset.y[call]).all()
    assert dataset.feature_names == FEATURE_NAMES
    assert 0.01 < dataset.y[call][:, 2].mean() < 0.25


def test_the_end_of_the_data_censors_and_is_counted(dataset, panel):
    late = dataset.as_of > panel.end - 3 * DAY_NS
    assert late.any()
    assert not dataset.usable[late & np.isnan(dataset.minutes), 3].any()
    assert dataset.usable[~late].all()
    assert dataset.counts["censored"] > 0


def test_accounts_that_cannot_be_used_are_counted_and_the_others_stay(panel, population, dataset):
    rows = np.arange(24)
    part = population.take(rows)
    positions = {name: column.copy() for name, column in part.positions.items()}
    positions["quantity"][positions["row"] == 3] = np.nan
    first = positions["row"] == 0
    positions["entry_price"][first] *= np.where(positions["quantity"][first] > 0, 9.0, 0.01)
    broken = replace(part, positions=positions)
    found = concatenate(built(panel, broken))
    assert found.counts["refused"] == 1
    assert found.counts["in_call"] == 1
    assert len(found) == 2 * 22


def test_baseline_columns_are_probabilities(panel, population):
    few = population.take(np.arange(60))
    found = concatenate(built(panel, few, replace(QUICK, baselines=True)))
    for name in ("reflection_30d", "reflection_ewma", "prior_ewma", "prior_har"):
        column = found.extra[name]
        assert column.shape == (120, 4)
        assert ((column >= 0) & (column <= 1)).all()
        assert (np.diff(column, axis=1) >= -1e-9).all()
    assert set(np.unique(found.extra["last_call"])) <= {0.0, 1.0}
    assert not np.array_equal(found.extra["prior_har"], found.prior)


def test_the_yardstick_is_the_simulation_on_plain_har_whatever_the_model_starts_from(panel, population):
    until = panel.start + 90 * DAY_NS
    rows = np.flatnonzero(population.accounts["as_of"] >= until)[:40]
    few, given = population.take(rows), replace(QUICK, baselines=True)
    yardstick = PriorModel.fit(panel, until, "har", paths=QUICK.paths)
    found = [
        concatenate(list(build_dataset(panel, few, PriorSchedule(panel, until, given, fixed=prior), given)))
        for prior in (PriorModel.fit(panel, until, paths=QUICK.paths), yardstick)
    ]
    np.testing.assert_array_equal(found[0].extra["prior_har"], found[1].prior)
    assert not np.array_equal(found[0].prior, found[1].prior)


def test_parquet_round_trip(dataset, tmp_path):
    path = tmp_path / "set.parquet"
    rows = write_dataset(batches(dataset, 300), path)
    copy = read_dataset(path)
    assert rows == 4 * len(dataset)
    for name in ("x", "prior", "y", "usable", "as_of", "level", "kind", "minutes", "amount"):
        np.testing.assert_array_equal(getattr(copy, name), getattr(dataset, name))
    np.testing.assert_array_equal(copy.extra["last_call"], dataset.extra["last_call"])
    assert (copy.counts, copy.kinds, copy.feature_names) == (dataset.counts, dataset.kinds, dataset.feature_names)


def test_a_file_does_not_depend_on_the_order_in_which_reasons_came_up(dataset, tmp_path):
    pieces = list(batches(dataset, 300))
    mixed = [replace(pieces[0], counts={"gap": 1, "censored": 2}), replace(pieces[1], counts={"refused": 3, "gap": 4})]
    path = tmp_path / "rows.parquet"
    write_dataset(mixed, path)
    metadata = pq.ParquetFile(path).metadata.metadata
    assert metadata[b"margincast.counts"] == b'{"censored": 2, "gap": 5, "refused": 3}'


def test_a_foreign_parquet_is_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="margincast dataset"):
        read_dataset(tmp_path / "other.parquet")


def test_the_fingerprint_follows_the_inputs(panel, population, dataset):
    again = concatenate(built(panel, population))
    less = concatenate(built(panel, population.take(np.arange(40))))
    assert again.fingerprint == dataset.fingerprint != less.fingerprint
