"""The predictor: prior, trees and calibration as one object, stored as data only.

``logit P_k = logit prior_k + trees(x, horizon k)``, calibrated by a monotone map, then made non-decreasing over the
horizons by a running maximum. The trees are monotone in every feature that leverage moves, and a maximum of monotone
functions is monotone, so P never falls when the horizon or the leverage rises.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.errors import InputError, ModelError, SchemaMismatchError
from models.predictor.calibration import Calibration
from models.predictor.size import SizeModel
from models.predictor.trees import FlatTrees, flatten_trees
from models.prior import PriorModel
from models.typing import HORIZONS, Float32Array, FloatArray

if TYPE_CHECKING:
    import lightgbm

__all__ = ["CHUNK_ROWS", "FORMAT", "PRIOR_CLIP", "MarginCallPredictor", "logit", "schema_hash"]

FORMAT = 1
PRIOR_CLIP = 1e-5
CHUNK_ROWS = 65_536
SMALL_ROWS = 4096
FILES = ("booster.txt", "bundle.json", "prior.npz")


def logit(p: FloatArray) -> FloatArray:
    """Logit of a probability clipped to [1e-5, 1 - 1e-5].

    Parameters
    ----------
    p : ndarray of float, any shape
        Probabilities; NaN stays NaN.

    Returns
    -------
    ndarray of float, same shape
        Logits.

    Examples
    --------
    >>> logit(np.array([0.5, 0.0])).round(2).tolist()
    [0.0, -11.51]
    """
    clipped = np.clip(p, PRIOR_CLIP, 1.0 - PRIOR_CLIP)
    return np.asarray(np.log(clipped) - np.log1p(-clipped), dtype=np.float64)


def schema_hash(feature_names: Sequence[str], horizons: Sequence[int] = HORIZONS) -> str:
    """Fingerprint of the columns that a model reads.

    Parameters
    ----------
    feature_names : sequence of str
        Names, in order.
    horizons : sequence of int
        Horizons in minutes, in order.

    Returns
    -------
    str
        SHA-256, hexadecimal.

    Examples
    --------
    >>> schema_hash(["a", "b"]) == schema_hash(["b", "a"])
    False
    """
    text = json.dumps([list(feature_names), list(horizons)], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class MarginCallPredictor:
    """Prior, residual trees, calibration and size of a call.

    Parameters
    ----------
    booster : lightgbm.Booster
        Residual trees on the logit scale.
    prior : PriorModel
        The physics.
    feature_names : tuple of str, length K
        Columns of the design matrix, in order.
    calibration : Calibration
        Monotone map of the logit.
    size : SizeModel
        Quantiles of the call amount.
    metadata : dict
        What is known of the training: free JSON values.
    trees : FlatTrees, optional
        The same trees for the fast kernel, see `flatten_trees`; the booster is asked where None.
    """

    booster: lightgbm.Booster
    prior: PriorModel
    feature_names: tuple[str, ...]
    calibration: Calibration = field(default_factory=Calibration)
    size: SizeModel = field(default_factory=SizeModel)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    trees: FlatTrees | None = None

    def __post_init__(self) -> None:
        if self.booster.num_feature() != len(self.feature_names):
            raise SchemaMismatchError(
                f"feature_names: expected {self.booster.num_feature()} names, as many as the trees read, "
                f"was {len(self.feature_names)}"
            )

    @property
    def version(self) -> str:
        """Name of the model version: the registry's, else the first digits of the fingerprint of the trees."""
        named = self.metadata.get("version")
        return str(named) if named else hashlib.sha256(self.booster.model_to_string().encode()).hexdigest()[:12]

    def raw_logit(self, x: Float32Array, prior_p: FloatArray, num_threads: int | None = None) -> FloatArray:
        """Logit of the prior plus the trees, before calibration.

        Parameters
        ----------
        x : ndarray of float32, shape (n * 4, K)
            Design matrix, account-major, then horizon.
        prior_p : ndarray of float, shape (n, 4)
            Prior probabilities.
        num_threads : int, optional
            Threads; by default 1 for up to 4096 rows and LightGBM's own choice above.

        Returns
        -------
        ndarray of float, shape (n, 4)
            Logits; NaN where the prior is NaN.

        Raises
        ------
        SchemaMismatchError
            If the matrix has another number of columns than the model.
        InputError
            If the shapes do not belong together.
        """
        if x.ndim != 2 or x.shape[1] != len(self.feature_names):
            raise SchemaMismatchError(
                f"x: expected {len(self.feature_names)} columns ({', '.join(self.feature_names[:5])}, ...), "
                f"was of shape {x.shape}"
            )
        if prior_p.ndim != 2 or prior_p.shape[1] != len(HORIZONS) or x.shape[0] != prior_p.size:
            raise InputError("prior_p", prior_p.shape, f"shape ({x.shape[0] // len(HORIZONS)}, {len(HORIZONS)})")
        threads = num_threads if num_threads is not None else (1 if len(x) <= SMALL_ROWS else 0)
        out = logit(prior_p)
        flat = out.reshape(-1)
        for first in range(0, len(x), CHUNK_ROWS):
            rows = slice(first, first + CHUNK_ROWS)
            flat[rows] += self._score(x[rows], threads)
        return out

    def _score(self, x: Float32Array, threads: int) -> FloatArray:
        if self.trees is None or x.dtype != np.float32:
            return np.asarray(self.booster.predict(x, raw_score=True, num_threads=threads), np.float64)
        return self.trees(x, threads or os.cpu_count() or 1)

    def predict(self, x: Float32Array, prior_p: FloatArray, num_threads: int | None = None) -> FloatArray:
        """Probability of a breach within each horizon.

        Parameters
        ----------
        x : ndarray of float32, shape (n * 4, K)
            Design matrix, account-major, then horizon.
        prior_p : ndarray of float, shape (n, 4)
            Prior probabilities.
        num_threads : int, optional
            As in :meth:`raw_logit`.

        Returns
        -------
        ndarray of float, shape (n, 4)
            Probabilities, non-decreasing along a row; NaN where the prior is NaN.
        """
        return coherent(self.calibration(self.raw_logit(x, prior_p, num_threads)))

    def save(self, folder: str | Path) -> Path:
        """Write the bundle: trees as text, the rest as JSON, the prior as arrays.

        Parameters
        ----------
        folder : str or Path
            Created if it is not there; files of the same names are replaced.

        Returns
        -------
        Path
            The folder.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        text = self.booster.model_to_string()
        record = {
            "format": FORMAT,
            "feature_names": list(self.feature_names),
            "horizons": list(HORIZONS),
            "schema_hash": schema_hash(self.feature_names),
            "booster_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "calibration": self.calibration.as_dict(),
            "size": self.size.as_dict(),
            "metadata": dict(self.metadata),
        }
        (target / FILES[0]).write_text(text, encoding="utf-8", newline="\n")
        (target / FILES[1]).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        np.savez_compressed(target / FILES[2], **self.prior.to_arrays())
        return target

    @classmethod
    def load(cls, folder: str | Path, feature_names: Sequence[str] | None = None) -> MarginCallPredictor:
        """Read a bundle; nothing in it is executed.

        Parameters
        ----------
        folder : str or Path
            What :meth:`save` wrote.
        feature_names : sequence of str, optional
            The columns that the caller will give; checked against those of the training.

        Returns
        -------
        MarginCallPredictor
            The predictor, with bit-equal predictions.

        Raises
        ------
        ModelError
            If a file is missing or broken.
        SchemaMismatchError
            If the columns differ.
        """
        import lightgbm as lgb

        source = Path(folder)
        record = _read_record(source)
        names = tuple(record["feature_names"])
        if record["schema_hash"] != schema_hash(names) or record["horizons"] != list(HORIZONS):
            raise SchemaMismatchError(
                f"{source / FILES[1]}: expected horizons {list(HORIZONS)} and the schema hash of its own columns, "
                f"was {record['horizons']}, {record['schema_hash'][:12]}; train the model again"
            )
        if feature_names is not None:
            check_columns(names, tuple(feature_names))
        text = (source / FILES[0]).read_text(encoding="utf-8")
        if hashlib.sha256(text.encode()).hexdigest() != record["booster_sha256"]:
            raise ModelError(f"{source / FILES[0]}: expected the trees that bundle.json names, was another file")
        with np.load(source / FILES[2], allow_pickle=False) as arrays:
            prior = PriorModel.from_arrays({name: arrays[name] for name in arrays.files})
        booster = lgb.Booster(model_str=text)
        return cls(
            booster,
            prior,
            names,
            Calibration.from_dict(record["calibration"]),
            SizeModel.from_dict(record["size"]),
            record["metadata"],
            flatten_trees(booster),
        )


def coherent(p: FloatArray) -> FloatArray:
    """Make probabilities non-decreasing over the horizons by a running maximum.

    Parameters
    ----------
    p : ndarray of float, shape (n, 4)
        Probabilities.

    Returns
    -------
    ndarray of float, shape (n, 4)
        The same or higher.

    Examples
    --------
    >>> coherent(np.array([[0.1, 0.3, 0.2, 0.4]])).tolist()
    [[0.1, 0.3, 0.3, 0.4]]
    """
    return np.asarray(np.maximum.accumulate(p, axis=1), dtype=np.float64)


def check_columns(trained: tuple[str, ...], given: tuple[str, ...]) -> None:
    """Refuse columns other than those of the training, and say which differ.

    Parameters
    ----------
    trained, given : tuple of str
        Names, in order.

    Raises
    ------
    SchemaMismatchError
        If names or their order differ.

    Examples
    --------
    >>> check_columns(("a",), ("b",))
    Traceback (most recent call last):
    ...
    models.errors.SchemaMismatchError: features: expected the columns of the training, was without 'a', with 'b' in excess; train the model again or use the version of the library that trained it
    """  # noqa: E501
    if trained == given:
        return
    missing, excess = [n for n in trained if n not in given], [n for n in given if n not in trained]
    parts = []
    if missing:
        parts.append(f"without {', '.join(map(repr, missing[:5]))}")
    if excess:
        parts.append(f"with {', '.join(map(repr, excess[:5]))} in excess")
    raise SchemaMismatchError(
        f"features: expected the columns of the training, was {', '.join(parts) or 'in another order'}; "
        "train the model again or use the version of the library that trained it"
    )


def _read_record(source: Path) -> dict[str, Any]:
    missing = [name for name in FILES if not (source / name).is_file()]
    if missing:
        raise ModelError(f"{source}: expected a model bundle ({', '.join(FILES)}), was without {', '.join(missing)}")
    try:
        record = json.loads((source / FILES[1]).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{source / FILES[1]}: expected JSON, was broken ({error})") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else type(record).__name__
        raise ModelError(f"{source / FILES[1]}: expected format {FORMAT}, was {found!r}")
    return record
