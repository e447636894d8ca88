"""Two worker processes: the same rows to the bit, trees within the noise of a seed, and refusals that say why."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from models.errors import InputError
from models.market import MarketPanel
from models.predictor.predictor import MarginCallPredictor
from models.typing import DAY_NS, FloatArray
from tests.training.markets import HOUR, market
from training.build import BuildSettings, PriorSchedule, build_dataset, build_parts
from training.cluster import Cluster, local_cluster, remote_cluster
from training.dataset import Dataset
from training.dataset_files import Part
from training.fit import FitParameters
from training.pipeline import TrainingSet, TrainSettings, train_dataset, training_set
from training.population import Population, sample_population
from training.workers import Workers

pytest.importorskip("distributed", reason="needs the extra dask")

BUILD = BuildSettings(paths=128, chunk=100, baselines=True, refit_days=21)
TRAIN = TrainSettings(
    ruleset="generic-linear", every_minutes=420, per_instant=14, warmup_days=75, baselines=False,
    build=BuildSettings(paths=128), fit=FitParameters(min_data_in_leaf=100, max_rounds=40),
)  # fmt: skip
KEPT = (
    "seed: 7", "bagging_fraction: 0.95", "feature_fraction: 0.65", "lambda_l2: 4", "num_leaves: 4",
    "min_data_in_leaf: 100", "learning_rate: 0.09", "boost_from_average: 0", "deterministic: 1",
)  # fmt: skip


@pytest.fixture(scope="module")
def panel() -> MarketPanel:
    return market(160)


@pytest.fixture(scope="module")
def people(panel: MarketPanel) -> Population:
    instants = panel.start + np.arange(24 * 70, 24 * 99, 17) * HOUR
    return sample_population(panel, "generic-linear", instants, 6, seed=1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with local_cluster(2) as found:
        yield found


def built(panel: MarketPanel, people: Population, workers: Workers | None) -> list[Dataset]:
    schedule = PriorSchedule(panel, panel.start + 65 * DAY_NS, BUILD)
    return list(build_dataset(panel, people, schedule, BUILD, workers=workers))


def test_rows_of_two_workers_are_those_of_one_process_to_the_bit(
    panel: MarketPanel, people: Population, cluster: Cluster
) -> None:
    alone, shared = built(panel, people, None), built(panel, people, cluster)
    assert len(alone) == len(shared) > 2
    for mine, theirs in zip(alone, shared, strict=True):
        for field in fields(Dataset):
            a, b = getattr(mine, field.name), getattr(theirs, field.name)
            if field.name == "extra":
                assert list(a) == list(b)
                assert all(a[name].tobytes() == b[name].tobytes() for name in a)
            elif isinstance(a, np.ndarray):
                assert a.dtype == b.dtype
                assert a.tobytes() == b.tobytes(), field.name
            else:
                assert a == b


def test_parts_that_workers_encode_are_those_of_one_process(
    panel: MarketPanel, people: Population, cluster: Cluster
) -> None:
    def encoded(workers: Workers | None) -> list[Part]:
        schedule = PriorSchedule(panel, panel.start + 65 * DAY_NS, BUILD)
        return list(build_parts(panel, people, schedule, BUILD, workers=workers))

    alone, shared, rows = encoded(None), encoded(cluster), built(panel, people, None)
    assert alone == shared
    assert [(part.rows, part.fingerprint) for part in alone] == [(4 * len(piece), piece.fingerprint) for piece in rows]


def test_workers_keep_the_memory_that_they_free(cluster: Cluster) -> None:
    trimming, arenas = next(cluster.map(_allocator, [()]))
    assert trimming == str(2**30)  # 65536 by Dask's default: every larger array would cost its pages anew
    assert arenas == "1"


@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="nothing to fork from")
def test_workers_are_forked_with_their_modules() -> None:
    program = (
        "from training.cluster import local_cluster\n"
        "if __name__ == '__main__':\n"
        "    with local_cluster(1, ['wave']) as found:\n"
        "        print(next(found.map(eval, [(\"'wave' in __import__('sys').modules\",)])))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr


def test_two_clusters_beside_each_other(cluster: Cluster) -> None:
    with local_cluster(1) as other:
        assert list(other.map(pow, [(2, 3)])) == list(cluster.map(pow, [(2, 3)])) == [8]
    assert list(cluster.map(pow, [(2, 4)])) == [16]


def test_both_workers_take_part_and_results_keep_their_order(cluster: Cluster) -> None:
    found = list(cluster.map(_slow_when_even, ((i,) for i in range(12))))
    assert [i for i, _ in found] == list(range(12))
    assert len({process for _, process in found}) == 2


def test_items_are_read_a_few_ahead_only(cluster: Cluster) -> None:
    read: list[int] = []

    def items() -> Iterator[tuple[int]]:
        for i in range(50):
            read.append(i)
            yield (i,)

    results = cluster.map(_slow_when_even, items())
    next(results)
    assert len(read) <= 4
    assert len(list(results)) == 49


def test_a_large_item_is_sent_without_advice_of_dask(cluster: Cluster) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(cluster.map(len, [(bytes(12_000_000),)])) == [12_000_000]


def test_a_shared_value_is_sent_once_and_taken_by_every_worker(cluster: Cluster) -> None:
    value = cluster.share(np.arange(5.0))
    assert list(cluster.map(np.dot, [(value, np.ones(5)), (value, np.arange(5.0))])) == [10.0, 30.0]


def test_an_error_of_a_worker_is_the_error_of_the_build(
    panel: MarketPanel, people: Population, cluster: Cluster
) -> None:
    with pytest.raises(InputError, match="base: expected"):
        list(cluster.map(_refuse, [(1,)]))
    backwards = people.take(np.arange(len(people)))
    backwards.accounts["as_of"] = backwards.accounts["as_of"][::-1]
    with pytest.raises(InputError, match="ordered by instant"):
        built(panel, backwards, cluster)


@pytest.fixture(scope="module")
def found(panel: MarketPanel) -> TrainingSet:
    return training_set(panel, None, None, TRAIN)


def fitted(found: TrainingSet, workers: Workers | None = None, **changes: Any) -> MarginCallPredictor:
    settings = replace(TRAIN, fit=replace(TRAIN.fit, **changes))
    return train_dataset(found.dataset, found.prior, found.first, found.finish, settings, workers=workers).predictor


@pytest.fixture(scope="module")
def together(found: TrainingSet, cluster: Cluster) -> MarginCallPredictor:
    return fitted(found, cluster)


def logits(model: MarginCallPredictor, rows: Dataset) -> FloatArray:
    """What the trees add to the prior's logit."""
    return np.asarray(model.booster.predict(rows.x, raw_score=True), np.float64)


def test_trees_of_two_workers_differ_from_those_of_one_process_as_two_seeds_do(
    found: TrainingSet, together: MarginCallPredictor
) -> None:
    alone = [logits(fitted(found, seed=seed), found.dataset) for seed in (7, 8, 9)]
    shared = logits(together, found.dataset)

    def away(a: FloatArray, b: FloatArray) -> float:
        return float(np.sqrt(((a - b) ** 2).mean()))

    between = [away(a, b) for a, b in combinations(alone, 2)]
    from_them = [away(shared, own) for own in alone]
    size = float(np.sqrt((alone[0] ** 2).mean()))
    assert max(between) < 0.5 * size  # seeds agree on most of the correction, so the bound below says something
    assert max(from_them) < 1.2 * max(between)
    assert float(np.corrcoef(shared, alone[0])[0, 1]) > 0.9


def test_trees_of_two_workers_keep_start_constraints_and_settings(
    found: TrainingSet, together: MarginCallPredictor
) -> None:
    text = together.booster.model_to_string()
    assert "[num_machines: 2]" in text
    assert "[machines: ]" in text
    assert "127.0.0.1" not in text
    for line in KEPT:
        assert f"[{line}]" in text
    assert together.booster.num_trees() == TRAIN.fit.max_rounds
    column = found.dataset.feature_names.index("distance_sigma")
    rows = found.dataset.x[::97].copy()
    before = np.asarray(together.booster.predict(rows, raw_score=True))
    for step in (0.25, 1.0, 4.0):
        rows[:, column] = found.dataset.x[::97, column] + step
        after = np.asarray(together.booster.predict(rows, raw_score=True))
        assert (after <= before + 1e-12).all()
        before = after


def test_what_workers_cannot_learn_together_is_refused(found: TrainingSet, cluster: Cluster) -> None:
    with pytest.raises(InputError, match="patience: expected 0 where workers grow the trees"):
        fitted(found, cluster, patience=5)
    with pytest.raises(InputError, match="bagging_days: expected 0"):
        fitted(found, cluster, bagging_days=5, num_threads=1)
    with pytest.raises(InputError, match="monotone_method: expected 'basic'"):
        fitted(found, cluster, monotone_method="advanced")


def test_a_cluster_that_is_not_there_and_too_few_workers_are_told() -> None:
    with pytest.raises(InputError, match="workers: expected at least 1, was 0"), local_cluster(0):
        pass
    nobody = pytest.raises(InputError, match="scheduler: expected the address of a running Dask scheduler")
    with nobody, remote_cluster("tcp://127.0.0.1:1", wait_seconds=1):
        pass


def test_workers_with_other_rulesets_are_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.margin.rulesets.loader.ruleset_digest", lambda name: "another")
    with pytest.raises(InputError, match=r"tcp://.*\.rulesets: expected that of this process"):
        Cluster(cluster.client)


def test_a_running_cluster_is_left_running(cluster: Cluster) -> None:
    with remote_cluster(cluster.client.scheduler.address) as found:
        assert list(found.map(pow, [(2, 5)])) == [32]
    assert list(cluster.map(pow, [(2, 6)])) == [64]


def _allocator() -> tuple[str | None, str | None]:
    import os

    return os.environ.get("MALLOC_TRIM_THRESHOLD_"), os.environ.get("MALLOC_ARENA_MAX")


def _slow_when_even(i: int) -> tuple[int, int]:
    import os
    import time

    time.sleep(0.05 if i % 2 == 0 else 0.0)
    return i, os.getpid()


def _refuse(value: int) -> int:
    raise InputError("base", value, "another one")
