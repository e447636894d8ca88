"""The predictor: prior, trees and calibration as one object, stored as data only.

``logit P_k = logit prior_k + w trees(x, horizon k)``, calibrated by a monotone map, then made non-decreasing over the
horizons by a running maximum. The trees are monotone in every feature that leverage moves, and a maximum of monotone
functions is monotone, so P never falls when the horizon or the leverage rises. The weight ``w`` is 1 for an input like
those of the training and 1 / novelty for one more unusual than nearly all of them; it does not move with leverage.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.errors import InputError, SchemaMismatchError
from models.predictor.amounts import AmountModel
from models.predictor.calibration import Calibration
from models.predictor.explain import Explanation, group_sums
from models.predictor.novelty import NoveltyModel
from models.predictor.size import SizeModel
from models.predictor.timing import TimeModel
from models.predictor.trees import FlatTrees
from models.prior import PriorModel
from models.typing import HORIZONS, Float32Array, FloatArray, IntArray

if TYPE_CHECKING:
    import lightgbm

__all__ = ["CHUNK_ROWS", "PRIOR_CLIP", "MarginCallPredictor", "coherent", "logit", "schema_hash"]

PRIOR_CLIP = 1e-5
CHUNK_ROWS = 65_536
SMALL_ROWS = 4096


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
        What is known of the training: free JSON values. ``expires_at``, an ISO 8601 time with its zone, says from when
        on the prior answers instead.
    trees : FlatTrees, optional
        The same trees for the fast kernel, see `flatten_trees`; the booster is asked where None.
    novelty : NoveltyModel, optional
        What the training rows looked like; without it no input is unusual.
    amounts : AmountModel, optional
        Seven quantiles of the call amount; without it ``size`` gives two.
    times : TimeModel
        Time to a call.
    """

    booster: lightgbm.Booster
    prior: PriorModel
    feature_names: tuple[str, ...]
    calibration: Calibration = field(default_factory=Calibration)
    size: SizeModel = field(default_factory=SizeModel)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    trees: FlatTrees | None = None
    novelty: NoveltyModel | None = None
    amounts: AmountModel | None = None
    times: TimeModel = field(default_factory=TimeModel)
    expires_ns: int | None = field(default=None, init=False)
    _watched: IntArray = field(default_factory=lambda: np.empty(0, np.int64), init=False, repr=False)

    def __post_init__(self) -> None:
        if self.booster.num_feature() != len(self.feature_names):
            raise SchemaMismatchError(
                f"feature_names: expected {self.booster.num_feature()} names, as many as the trees read, "
                f"was {len(self.feature_names)}"
            )
        if self.novelty is not None:
            object.__setattr__(self, "_watched", self.novelty.index(self.feature_names))
        if "expires_at" in self.metadata:
            object.__setattr__(self, "expires_ns", _instant("expires_at", self.metadata["expires_at"]))

    @property
    def version(self) -> str:
        """Name of the model version: the registry's, else the first digits of the fingerprint of the trees."""
        named = self.metadata.get("version")
        return str(named) if named else hashlib.sha256(self.booster.model_to_string().encode()).hexdigest()[:12]

    def expiring(self, at_ns: int) -> MarginCallPredictor:
        """The same model, to be used until an instant.

        Parameters
        ----------
        at_ns : int
            Nanoseconds since the epoch; from then on the prior answers.

        Returns
        -------
        MarginCallPredictor
            With ``expires_at`` in its metadata.
        """
        when = datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat()
        return replace(self, metadata={**self.metadata, "expires_at": when})

    def novelty_of(self, x: Float32Array) -> tuple[FloatArray, FloatArray]:
        """How unusual the input of each account is, and how much of it is missing, see `models.predictor.novelty`.

        Parameters
        ----------
        x : ndarray of float32, shape (n, K)
            A row of the design matrix for each account, of any horizon and level.

        Returns
        -------
        novelty, missing : ndarray of float, shape (n,)
            NaN and 0 where the model does not know what is usual.
        """
        if self.novelty is None:
            return np.full(len(x), np.nan), np.zeros(len(x))
        return self.novelty.score(x, self._watched)

    def unusual(self, x: Float32Array) -> IntArray:
        """Columns that are furthest out.

        Parameters
        ----------
        x : ndarray of float32, shape (n, K)
            As for :meth:`novelty_of`.

        Returns
        -------
        ndarray of int64, shape (n, 3)
            Indices into ``feature_names``, the furthest first; -1 where the model does not know what is usual.
        """
        if self.novelty is None:
            return np.full((len(x), 3), -1, np.int64)
        return self._watched[self.novelty.unusual(x, self._watched)]

    def raw_logit(
        self, x: Float32Array, prior_p: FloatArray, num_threads: int | None = None, novelty: FloatArray | None = None
    ) -> FloatArray:
        """Logit of the prior plus the weighted trees, before calibration.

        Parameters
        ----------
        x : ndarray of float32, shape (n * 4, K)
            Design matrix, account-major, then horizon.
        prior_p : ndarray of float, shape (n, 4)
            Prior probabilities.
        num_threads : int, optional
            Threads; by default 1 for up to 4096 rows and LightGBM's own choice above.
        novelty : ndarray of float, shape (n,), optional
            From :meth:`novelty_of` where it is known already.

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
        weight = self._weight(x, novelty)
        for first in range(0, len(x), CHUNK_ROWS):
            rows = slice(first, first + CHUNK_ROWS)
            score = self._score(x[rows], threads)
            flat[rows] += score if weight is None else score * weight[rows]
        return out

    def _weight(self, x: Float32Array, novelty: FloatArray | None) -> FloatArray | None:
        """What the trees count, row by row; None where they count in full throughout."""
        if self.novelty is None:
            return None
        score = self.novelty_of(x[:: len(HORIZONS)])[0] if novelty is None else novelty
        if not (score > 1.0).any():
            return None
        return np.repeat(1.0 / np.maximum(score, 1.0), len(HORIZONS))

    def _score(self, x: Float32Array, threads: int) -> FloatArray:
        if self.trees is None or x.dtype != np.float32:
            return np.asarray(self.booster.predict(x, raw_score=True, num_threads=threads), np.float64)
        return self.trees(x, threads or os.cpu_count() or 1)

    def predict(
        self, x: Float32Array, prior_p: FloatArray, num_threads: int | None = None, novelty: FloatArray | None = None
    ) -> FloatArray:
        """Probability of a breach within each horizon.

        Parameters
        ----------
        x : ndarray of float32, shape (n * 4, K)
            Design matrix, account-major, then horizon.
        prior_p : ndarray of float, shape (n, 4)
            Prior probabilities.
        num_threads : int, optional
            As in :meth:`raw_logit`.
        novelty : ndarray of float, shape (n,), optional
            As in :meth:`raw_logit`.

        Returns
        -------
        ndarray of float, shape (n, 4)
            Probabilities, non-decreasing along a row; NaN where the prior is NaN.
        """
        return coherent(self.calibration(self.raw_logit(x, prior_p, num_threads, novelty)))

    def explain(self, x: Float32Array, prior_p: FloatArray) -> Explanation:
        """Take the forecasts apart, see `models.predictor.explain`.

        Parameters
        ----------
        x : ndarray of float32, shape (n * 4, K)
            Design matrix, account-major, then horizon.
        prior_p : ndarray of float, shape (n, 4)
            Prior probabilities.

        Returns
        -------
        Explanation
            Parts that add up from the prior's logit to that of :meth:`predict`.

        Raises
        ------
        InputError
            If a column of the model has no group.
        """
        start, raw = logit(prior_p), self.raw_logit(x, prior_p)
        calibrated = self.calibration.logit(raw)
        groups = group_sums(self.booster, x, self.feature_names)
        taken_back = raw - start - groups.sum(axis=2)
        order = np.maximum.accumulate(calibrated, axis=1) - calibrated
        steps = np.stack([taken_back, calibrated - raw, order], axis=2)
        return Explanation(start, np.concatenate([groups, steps], axis=2))

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
        from models.predictor.store import save_bundle

        return save_bundle(self, folder)

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
        from models.predictor.store import load_bundle

        return load_bundle(folder, feature_names)


def _instant(name: str, value: object) -> int:
    """Nanoseconds of an ISO 8601 time with a zone."""
    try:
        when = datetime.fromisoformat(str(value))
    except ValueError:
        when = datetime.min
    if when.tzinfo is None:
        raise InputError(f"metadata.{name}", value, "a time with a zone, for example 2025-12-31T00:00:00+00:00")
    return int(when.timestamp() * 1e6) * 1000


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
