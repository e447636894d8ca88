"""From an MLflow reference to a folder, through a short child process with a time limit."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from models.errors import ModelError
from serving.settings import Secret

__all__ = ["REFERENCE", "Fetched", "fetch", "last_fetched"]

REFERENCE = "models:/"
_REQUEST_SECONDS = "10"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A bundle on disk.

    Parameters
    ----------
    name, version : str
        Registered name and version number.
    folder : Path
        Folder of the bundle.
    """

    name: str
    version: str
    folder: Path


def fetch(reference: str, tracking_uri: Secret, cache: Path, seconds: float) -> Fetched:
    """Bring the bundle of a reference into a folder.

    Parameters
    ----------
    reference : str
        ``models:/name@alias`` or ``models:/name/version``.
    tracking_uri : Secret
        MLflow tracking URI; empty: MLflow's own variables say.
    cache : Path
        Folder that keeps the bundles, a folder each.
    seconds : float
        Time limit; the child process is killed after it.

    Returns
    -------
    Fetched
        Name, version and folder.

    Raises
    ------
    ModelError
        If MLflow does not answer in time, or has no such bundle.
    """
    root = _root(tracking_uri, cache)
    root.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "serving.bundles.download", reference, str(root)]
    try:
        done = subprocess.run(
            command, env=_environment(tracking_uri), capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"model: {reference} could not be fetched: MLflow gave no answer in {seconds:g} s") from None
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        shown = reason.replace(tracking_uri.reveal(), "****") if tracking_uri else reason
        raise ModelError(f"model: {reference} could not be fetched: {shown}")
    answer = done.stdout.strip().splitlines()[-1]
    _record(root, reference).write_text(answer + "\n", encoding="utf-8")
    return _fetched(answer)


def last_fetched(reference: str, tracking_uri: Secret, cache: Path) -> Fetched | None:
    """What the reference named when it was last asked, for the time that MLflow is away.

    Parameters
    ----------
    reference : str
        The reference.
    tracking_uri : Secret
        As for `fetch`.
    cache : Path
        As for `fetch`.

    Returns
    -------
    Fetched or None
        None where it was never fetched.
    """
    try:
        found = _fetched(_record(_root(tracking_uri, cache), reference).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError):
        return None
    return found if (found.folder / "bundle.json").is_file() else None


def _fetched(text: str) -> Fetched:
    answer = json.loads(text)
    return Fetched(answer["name"], answer["version"], Path(answer["folder"]))


def _root(tracking_uri: Secret, cache: Path) -> Path:
    """A folder for each tracking server: version 3 of one is not version 3 of another."""
    address = tracking_uri.reveal() or os.environ.get("MLFLOW_TRACKING_URI", "")
    return cache / hashlib.sha256(address.encode()).hexdigest()[:12]


def _record(root: Path, reference: str) -> Path:
    return root / f"{quote(reference, safe='')}.json"


def _environment(tracking_uri: Secret) -> dict[str, str]:
    packages = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(p for p in (packages, os.environ.get("PYTHONPATH", "")) if p)
    more = {"MLFLOW_HTTP_REQUEST_TIMEOUT": _REQUEST_SECONDS, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
    if tracking_uri:
        more["MLFLOW_TRACKING_URI"] = tracking_uri.reveal()
    return {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONPATH": path, **more}
