"""Where the model comes from: a folder, an MLflow reference, or nowhere (the prior answers alone)."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import ModelError
from serving.bundles.fetch import REFERENCE, fetch
from serving.settings import Secret

if TYPE_CHECKING:
    from models.predictor import MarginCallPredictor

__all__ = ["PRIOR", "Model", "load_folder", "load_model"]

_FETCH_SECONDS = 120.0
_SHOWN = ("trained_from", "trained_until", "ruleset", "data_fingerprint", "run_id", "expires_at")


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
    details: dict[str, str] = field(default_factory=dict)

    @property
    def assets(self) -> tuple[str, ...]:
        """Assets that it was trained on; empty where there is no model."""
        if self.predictor is None:
            return ()
        return tuple(self.predictor.metadata.get("assets", self.predictor.prior.pool.assets))


PRIOR = Model(None, "prior", "prior")
"""The physics alone."""


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
        return PRIOR
    if not reference.startswith(REFERENCE):
        return load_folder(Path(reference), reference)
    with tempfile.TemporaryDirectory() as cache:
        found = fetch(reference, tracking_uri or Secret(), Path(cache), _FETCH_SECONDS)
        return load_folder(found.folder, reference, found.name)


def load_folder(folder: Path, source: str, name: str = "") -> Model:
    """Load the bundle of a folder, or the first one below it.

    Parameters
    ----------
    folder : Path
        The folder.
    source : str
        Where it comes from, for ``/v1/models`` and errors.
    name : str
        How answers name it; empty: as the bundle says.

    Returns
    -------
    Model
        The model.

    Raises
    ------
    ModelError
        If there is no bundle in it, or it is broken.
    """
    from features.build import FEATURE_NAMES
    from models.predictor import MarginCallPredictor

    found = [folder] if (folder / "bundle.json").is_file() else sorted(p.parent for p in folder.rglob("bundle.json"))
    if not found:
        raise ModelError(f"model: expected a folder with bundle.json, was {source!r}")
    predictor = MarginCallPredictor.load(found[0], FEATURE_NAMES)
    known = {key: _text(key, predictor.metadata[key]) for key in _SHOWN if key in predictor.metadata}
    named = name or str(predictor.metadata.get("name", Path(source).name))
    return Model(predictor, named, predictor.version, {"source": source, **known})


def _text(key: str, value: object) -> str:
    if key.startswith("trained_") and isinstance(value, int):
        return datetime.fromtimestamp(value / 1e9, UTC).isoformat()
    return str(value)
