"""The registry: runs, versions and aliases, holding data only."""

import json

import numpy as np
import pytest

from models.errors import InputError, ModelError
from tests.models.predictor.bundles import predictor, rows
from training.registry import Registry

METRICS = {"pooled": {"log_loss": 0.1, "auc": float("nan")}, "recall": {"0.01": 0.5}}


@pytest.fixture(scope="module")
def model():
    return predictor()


@pytest.fixture(scope="module")
def home(tmp_path_factory, model):
    registry = Registry(tmp_path_factory.mktemp("home") / "mlruns")
    first = registry.log(model, {"seed": 7}, METRICS, "abc", files={"baselines.json": "{}\n"})
    second = registry.log(model, {"seed": 8}, METRICS, "def", alias="challenger")
    return registry, first, second


def test_versions_rise_and_aliases_point_to_them(home):
    _, first, second = home
    assert (first.name, first.version, first.alias) == ("margincast", "1", "champion")
    assert (second.version, second.alias) == ("2", "challenger")


def test_a_loaded_model_predicts_the_same_bits_and_knows_its_version(home, model):
    registry, first, _ = home
    x, prior = rows(100)
    for name in ("champion", "1"):
        copy = registry.load(name)
        np.testing.assert_array_equal(copy.predict(x, prior), model.predict(x, prior))
        assert copy.version == "margincast/1"
        assert copy.metadata["run_id"] == first.run_id
        assert copy.metadata["data_fingerprint"] == "abc"


def test_everything_lies_under_the_home_and_holds_no_code(home):
    registry, first, _ = home
    folder = registry.fetch()
    assert registry.home in folder.parents
    assert (folder.parent / "metrics.json").is_file()
    assert (folder / "baselines.json").read_text() == "{}\n"
    kinds = {f.suffix for f in registry.home.rglob("*") if f.is_file()}
    assert kinds <= {".db", ".json", ".txt", ".npz"}
    assert json.loads((folder / "bundle.json").read_text())["metadata"]["version"] == f"margincast/{first.version}"


def test_a_bundle_can_be_copied_out(home, tmp_path):
    registry, _, _ = home
    assert (registry.fetch("2", tmp_path / "copy") / "bundle.json").is_file()


def test_parameters_and_numbers_are_in_the_run(home):
    registry, first, _ = home
    run = registry._client().get_run(first.run_id)
    assert run.data.params == {"seed": "7", "data_fingerprint": "abc"}
    assert run.data.metrics == {"pooled.log_loss": 0.1, "recall.0.01": 0.5}
    assert run.info.status == "FINISHED"


def test_an_alias_can_be_moved(home):
    registry, _, _ = home
    registry.set_alias("champion", "2")
    assert registry.load().version == "margincast/2"
    registry.set_alias("champion", "1")


def test_unknown_names_and_an_empty_home_are_refused_with_the_remedy(home, tmp_path, model):
    registry, _, _ = home
    with pytest.raises(ModelError, match="'9'"):
        registry.load("9")
    with pytest.raises(ModelError, match="'best'"):
        registry.load("best")
    with pytest.raises(ModelError, match="margincast train"):
        Registry(tmp_path / "empty").load()
    with pytest.raises(InputError, match="alias"):
        registry.log(model, {}, {}, "x", alias="best")
