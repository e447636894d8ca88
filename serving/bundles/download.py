"""A process of its own that asks MLflow: resolves a reference, downloads its bundle, prints where it is.

``python -m serving.bundles.download REFERENCE FOLDER``; the address of the tracking server is in the environment. The
server that starts it never imports MLflow, so a slow or broken tracking server, or client, cannot hurt it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """Download the bundle that a reference names, unless it is there already.

    Parameters
    ----------
    argv : sequence of str
        The reference, and the folder that holds a folder for each version.

    Returns
    -------
    int
        Exit code: 0 done (the last line printed is JSON with name, version and folder), 3 refused (the last line of
        stderr says why).
    """
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    reference, root = argv[0], Path(argv[1])
    try:
        from mlflow import MlflowClient, artifacts
        from mlflow.exceptions import MlflowException
    except ImportError:
        return _refuse("needs MLflow; install it or give the folder of a bundle")
    try:
        name, version = resolve(reference, MlflowClient())
        folder = root / f"{quote(name, safe='')}-{version}"
        if not (folder / "bundle.json").is_file():
            with tempfile.TemporaryDirectory(dir=root) as scratch:
                found = artifacts.download_artifacts(artifact_uri=f"models:/{name}/{version}", dst_path=scratch)
                _move(Path(found), folder)
    except (MlflowException, OSError) as error:
        return _refuse(str(error))
    sys.stdout.write("\n" + json.dumps({"name": name, "version": version, "folder": str(folder)}) + "\n")
    return 0


def resolve(reference: str, client: MlflowClient) -> tuple[str, str]:
    """Name and version of ``models:/name@alias`` or ``models:/name/version``.

    Parameters
    ----------
    reference : str
        The reference.
    client : MlflowClient
        Asked for the alias.

    Returns
    -------
    tuple of (str, str)
        Name and version number.
    """
    path = reference.removeprefix("models:/")
    name, at, alias = path.partition("@")
    if not at:
        name, _, version = path.partition("/")
        return name, version or "1"
    return name, str(client.get_model_version_by_alias(name, alias).version)


def _move(found: Path, folder: Path) -> None:
    """Put a finished download in its place; a second process may have been faster."""
    parts = [found] if (found / "bundle.json").is_file() else sorted(p.parent for p in found.rglob("bundle.json"))
    if not parts:
        raise OSError(f"expected a bundle.json among the artifacts of {folder.name}, was none")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        parts[0].rename(folder)
    except OSError:
        if not (folder / "bundle.json").is_file():
            raise


def _refuse(reason: str) -> int:
    sys.stderr.write("\n" + " ".join(reason.split()) + "\n")
    return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
