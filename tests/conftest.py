"""What every test may ask for: the real market data where it is present, and a quiet MLflow."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

# kernels compile at their first call: a time limit for each example would measure that
settings.register_profile("margincast", deadline=None, derandomize=True)
settings.load_profile("margincast")

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = (REPOSITORY / os.environ.get("MARGINCAST_DATA", "../shared")).resolve()


def _missing(folder: Path) -> str:
    return f"no real market data: {folder} is absent, set MARGINCAST_DATA to the folder that holds data/ and reference/"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, the tests marked ``realdata`` where the data is absent."""
    folder = SHARED / "data"
    if folder.is_dir():
        return
    for item in items:
        if "realdata" in item.keywords:
            item.add_marker(pytest.mark.skip(reason=_missing(folder)))


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Return the folder of real market data, laid out as the README of the project says."""
    return _folder("data")


@pytest.fixture(scope="session")
def reference_root() -> Path:
    """Return the folder of published rules and numeric vectors."""
    return _folder("reference")


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the source tree."""
    return REPOSITORY


def _folder(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(_missing(folder))
    return folder
