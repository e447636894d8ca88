"""A folder is watched: a new bundle is handed out once, a broken one leaves the old one in use."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from features.sources import simulate_market
from models.errors import ModelError
from models.market import MarketPanel
from models.predictor.store import FILES
from serving.bundles.keeper import ModelKeeper, ModelSource
from tests.serving.made import make_bundle


@pytest.fixture(scope="module")
def bundles(panel: MarketPanel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return two different bundles."""
    root = tmp_path_factory.mktemp("bundles")
    other = simulate_market(panel.assets, days=60, seed=2)  # another prior
    return make_bundle(root / "a", panel, "a"), make_bundle(root / "b", other, "b", seed=1)


@pytest.fixture
def folder(bundles: tuple[Path, Path], tmp_path: Path) -> Path:
    """Return a folder that holds the first of them."""
    return Path(shutil.copytree(bundles[0], tmp_path / "model"))


def started(folder: Path) -> ModelKeeper:
    """Return a keeper that uses what is in the folder."""
    keeper = ModelKeeper(ModelSource(str(folder)), lambda: 0)
    found = keeper.look()
    assert found is not None
    keeper.accept(found)
    return keeper


def test_a_bundle_is_handed_out_once_and_again_when_it_changes(folder: Path, bundles: tuple[Path, Path]) -> None:
    keeper = started(folder)
    assert (keeper.active.version, keeper.problem) == ("a", "")
    assert keeper.look() is None
    shutil.copytree(bundles[1], folder, dirs_exist_ok=True)
    found = keeper.look()
    assert found is not None
    assert found.version == "b"
    assert keeper.active.version == "a", "it is not in use before it is accepted"


def test_force_reads_what_has_not_changed(folder: Path) -> None:
    keeper = started(folder)
    assert keeper.look(force=True) is not None


def truncate(path: Path) -> None:
    """Cut a file in half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garble(path: Path) -> None:
    """Change one byte in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(("name", "harm"), [
    *((name, truncate) for name in FILES),
    *((name, Path.unlink) for name in FILES),
    *((name, garble) for name in FILES if name != "bundle.json"),  # the only one without a hash
])  # fmt: skip
def test_a_broken_file_leaves_the_old_model_and_says_so(folder: Path, name: str, harm: Callable[[Path], None]) -> None:
    keeper = started(folder)
    harm(folder / name)
    with pytest.raises(ModelError, match="version a stays in use"):
        keeper.look()
    assert keeper.active.version == "a"
    assert keeper.problem.startswith("model: ")
    assert keeper.look() is None, "it is not read again until it changes"
    assert keeper.failures == 1


def test_files_of_two_models_are_told_apart(folder: Path, bundles: tuple[Path, Path]) -> None:
    keeper = started(folder)
    for name in ("booster.txt", "bundle.json"):  # as a plain copy does, one file after the other
        shutil.copy(bundles[1] / name, folder / name)
        with pytest.raises(ModelError, match="version a stays in use"):
            keeper.look()
    shutil.copy(bundles[1] / "prior.npz", folder / "prior.npz")  # parts.json is the same in both
    found = keeper.look()
    assert found is not None
    keeper.accept(found)
    assert (keeper.active.version, keeper.problem) == ("b", "")


def test_other_columns_are_refused(folder: Path) -> None:
    keeper = started(folder)
    record = folder / "bundle.json"
    record.write_text(record.read_text().replace('"distance_sigma"', '"distance_other"'))
    with pytest.raises(ModelError, match="schema hash"):
        keeper.look()


def test_without_a_model_before_the_prior_answers(tmp_path: Path) -> None:
    keeper = ModelKeeper(ModelSource(str(tmp_path)), lambda: 0)
    with pytest.raises(ModelError, match=r"bundle\.json.*the prior answers"):
        keeper.look()
    assert keeper.active.predictor is None


def test_what_no_engine_can_be_built_on_is_noted(folder: Path, bundles: tuple[Path, Path]) -> None:
    keeper = started(folder)
    shutil.copytree(bundles[1], folder, dirs_exist_ok=True)
    assert keeper.look() is not None
    assert "no kernel" in str(keeper.refuse(RuntimeError("no kernel")))
    assert keeper.active.version == "a"


def test_no_reference_is_no_work() -> None:
    assert ModelKeeper(ModelSource(""), lambda: 0).look(force=True) is None
