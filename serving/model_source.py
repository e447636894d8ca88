"""Where the model comes from: a folder, an MLflow reference, or nowhere (the prior answers alone)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import ModelError
from serving.settings import Secret

if TYPE_CHECKING:
    from models.predictor import MarginCallPredictor

__all__ = ["Model", "load_model"]

_REFERENCE = "models:/"


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model and its name.

    Parameters
    ----------
    predictor : MarginCallPredictor or None
        None: the prior answers alone.
    name, version : str
        How answers name it.
    details : dict
        What is known about it, as text.
    """

    predictor: MarginCallPredictor | None
    name: str
    version: str
    details: dict[str, str]


def load_model(reference: str, tracking_uri: Secret | None = None) -> Model:
    """Load the model that a reference names.

    Parameters
    ----------
    reference : str
        Folder of a bundle, ``models:/name@alias`` or ``models:/name/version``; empty for the prior only.
    tracking_uri : Secret, optional
        MLflow tracking URI, for such a reference.

    Returns
    -------
    Model
        The model.

    Raises
    ------
    ModelError
        If there is no bundle at the reference, or it is broken.

    Examples
    --------
    >>> load_model("").version
    'prior'
    """
    if not reference:
        return Model(None, "prior", "prior", {})
    folder = _download(reference, tracking_uri) if reference.startswith(_REFERENCE) else Path(reference)
    found = [folder] if (folder / "bundle.json").is_file() else sorted(p.parent for p in folder.rglob("bundle.json"))
    if not found:
        raise ModelError(f"model: expected a folder with bundle.json, was {reference!r}")
    from features.build import FEATURE_NAMES
    from models.predictor import MarginCallPredictor

    predictor = MarginCallPredictor.load(found[0], FEATURE_NAMES)
    return Model(predictor, _name(reference, predictor), predictor.version, {"source": reference})


def _name(reference: str, predictor: MarginCallPredictor) -> str:
    if reference.startswith(_REFERENCE):
        return reference.removeprefix(_REFERENCE).replace("@", "/").split("/")[0]
    return str(predictor.metadata.get("name", Path(reference).name))


def _download(reference: str, tracking_uri: Secret | None) -> Path:
    try:
        import mlflow
    except ImportError:
        raise ModelError(f"model: {reference} needs MLflow; install it or give the folder of a bundle") from None
    from mlflow.exceptions import MlflowException

    if tracking_uri:
        mlflow.set_tracking_uri(tracking_uri.reveal())
    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=reference))
    except (MlflowException, OSError) as error:
        raise ModelError(f"model: {reference} could not be loaded: {error}") from None
