"""The house rules that no single room can keep: where packages come from, what imports what, what is in the tree."""

import importlib
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

PACKAGES = ("features", "margincast", "models", "serving", "training")
HEAVY = ("fastapi", "lightgbm", "mlflow", "numba", "numpy", "pandas", "pyarrow", "scipy", "sklearn")
# Written in halves, so that this file does not find itself.
FORBIDDEN = re.compile(
    r"/" + r"work/|/" + r"tmp/|/" + r"root/|/home/" + r"[a-z]+/|files\." + r"pythonhosted|pypi\." + r"org"
)
TEXT = {".py", ".toml", ".md", ".lock", ".json", ".yml", ".yaml", ".cfg", ".sh", ".svg", ""}


@pytest.mark.parametrize("name", PACKAGES)
def test_package_is_ours(name: str, repository: Path) -> None:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    assert Path(module.__file__).resolve() == repository / name / "__init__.py"
    assert (repository / name / "py.typed").is_file()


def test_version_is_said_once() -> None:
    import margincast

    assert version("margincast") == margincast.__version__


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys, margincast.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_imports_go_one_way(repository: Path) -> None:
    code = "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c(standalone_mode=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_machine_paths_in_tracked_files(repository: Path) -> None:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        pytest.skip("not a git checkout: no list of tracked files")
    files = [repository / name for name in listing.stdout.split("\0") if name]
    found = [
        f"{path.relative_to(repository)}: {match.group()}"
        for path in files
        if path.suffix in TEXT and path.is_file()
        for match in [FORBIDDEN.search(path.read_text(encoding="utf-8"))]
        if match
    ]
    assert not found
