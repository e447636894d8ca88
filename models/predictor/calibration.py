"""Monotone maps from a raw logit to a calibrated probability, chosen on a window of their own.

The map is ``logit p' = a ln p - b ln(1 - p) + c`` with ``a, b >= 0`` (Kull, Silva Filho and Flach, 2017): the
identity is ``a = b = 1, c = 0``; Platt's map has ``a = b``. It never reverses the order of two probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from models.errors import InputError
from models.predictor.logistic import fit_logistic, sigmoid
from models.typing import FloatArray, IntArray

__all__ = ["Calibration", "Kind", "choose_calibration", "fit_calibration"]

Kind = Literal["identity", "platt", "beta"]
RIDGE = 10.0
"""Strength of the pull to the identity, in pseudo-rows of unit curvature."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """One calibration map.

    Parameters
    ----------
    kind : {"identity", "platt", "beta"}
        How it was fitted.
    a, b, c : float
        Coefficients of ``ln p``, of ``-ln(1 - p)``, and the intercept; ``a, b >= 0`` and not both 0.
    """

    kind: Kind = "identity"
    a: float = 1.0
    b: float = 1.0
    c: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InputError("calibration.kind", self.kind, f"one of {', '.join(get_args(Kind))}")
        if not np.isfinite([self.a, self.b, self.c]).all() or self.a < 0 or self.b < 0 or self.a + self.b == 0:
            raise InputError("calibration", (self.a, self.b, self.c), "finite a, b >= 0, not both 0, and a finite c")

    def __call__(self, logit: FloatArray) -> FloatArray:
        """Calibrate logits.

        Parameters
        ----------
        logit : ndarray of float, any shape
            Raw logits; NaN stays NaN.

        Returns
        -------
        ndarray of float, same shape
            Probabilities, non-decreasing in the logit.

        Examples
        --------
        >>> Calibration()(np.array([0.0])).tolist()
        [0.5]
        """
        return sigmoid(self.logit(logit))

    def logit(self, logit: FloatArray) -> FloatArray:
        """Calibrate logits and stay on their scale.

        Parameters
        ----------
        logit : ndarray of float, any shape
            Raw logits; NaN stays NaN.

        Returns
        -------
        ndarray of float, same shape
            Calibrated logits; the same array for the identity.

        Examples
        --------
        >>> Calibration("platt", 0.5, 0.5, 1.0).logit(np.array([2.0])).tolist()
        [2.0]
        """
        if self.kind == "identity":
            return logit
        return np.asarray(self.a * _log_p(logit) - self.b * _log_p(-logit) + self.c, np.float64)

    def as_dict(self) -> dict[str, str | float]:
        """Give the fields for JSON."""
        return {"kind": self.kind, "a": self.a, "b": self.b, "c": self.c}

    @classmethod
    def from_dict(cls, fields: dict[str, str | float]) -> Calibration:
        """Read what :meth:`as_dict` gave; checks the values."""
        try:
            return cls(str(fields["kind"]), *(float(fields[name]) for name in "abc"))  # type: ignore[arg-type]
        except KeyError as error:
            raise InputError("calibration", sorted(fields), f"the field {error.args[0]}") from None


def fit_calibration(logit: FloatArray, y: FloatArray, kind: Kind, ridge: float = RIDGE) -> Calibration:
    """Fit one kind of map by log loss, with a weak pull to the identity.

    Parameters
    ----------
    logit : ndarray of float, shape (n,)
        Raw logits.
    y : ndarray of float, shape (n,)
        Outcomes, 0 or 1.
    kind : {"identity", "platt", "beta"}
        Which map.
    ridge : float
        Strength of the pull, >= 0.

    Returns
    -------
    Calibration
        The map; the identity if one class is absent.

    Raises
    ------
    InputError
        If ``ridge`` is negative or not finite.

    Examples
    --------
    >>> x = np.repeat([-2.0, 0.0, 2.0], 1000)
    >>> y = np.concatenate([np.arange(1000) < 1000 / (1 + np.exp(-v)) for v in (-1.0, 0.0, 1.0)]).astype(float)
    >>> round(fit_calibration(x, y, "platt").a, 1)
    0.5
    """
    if not (np.isfinite(ridge) and ridge >= 0):
        raise InputError("ridge", ridge, "a finite number >= 0")
    if kind == "identity" or len(y) == 0 or y.min() == y.max():
        return Calibration()
    columns = np.column_stack([_log_p(logit), -_log_p(-logit), np.ones(len(logit))])
    if kind == "platt":
        columns = np.column_stack([logit, np.ones(len(logit))])
    solution = fit_logistic(columns, y, np.append(np.ones(columns.shape[1] - 1), 0.0), ridge)
    slopes = np.maximum(solution[:-1], 1e-6)
    return Calibration(kind, float(slopes[0]), float(slopes[-1]), float(solution[-1]))


def choose_calibration(
    logit: FloatArray,
    y: FloatArray,
    block: IntArray,
    kinds: tuple[Kind, ...] = ("identity", "platt", "beta"),
    folds: int = 5,
    least_blocks: int = 26,
) -> Calibration:
    """Choose the kind by cross-validated log loss over blocks of time, then fit it on all rows.

    A map is kept only for a gain that stands out: more than twice its standard error over the blocks, on at least
    half a year of weeks. A quiet or a wild season shifts the outcomes of some weeks together; a map learned from it
    would carry that season into the next.

    Parameters
    ----------
    logit, y : ndarray of float, shape (n,)
        Raw logits and outcomes.
    block : ndarray of int64, shape (n,)
        Block of time of each row (a week, say); a block is never cut between folds. Neighbouring blocks share a fold.
    kinds : tuple of str
        Candidates; the first stays unless another stands out.
    folds : int
        Number of folds, at least 2.
    least_blocks : int
        Fewest blocks to choose on, at least ``folds``.

    Returns
    -------
    Calibration
        The chosen map.

    Raises
    ------
    InputError
        If ``folds`` is below 2 or ``least_blocks`` below ``folds``.

    Examples
    --------
    >>> choose_calibration(np.zeros(4), np.array([0.0, 1.0, 0.0, 1.0]), np.zeros(4, dtype=np.int64)).kind
    'identity'
    """
    if folds < 2:
        raise InputError("folds", folds, "at least 2")
    if least_blocks < folds:
        raise InputError("least_blocks", least_blocks, f"at least folds, {folds}")
    _, place = np.unique(block, return_inverse=True)
    blocks = int(place.max()) + 1 if len(place) else 0
    if blocks < least_blocks:
        return fit_calibration(logit, y, kinds[0])
    fold = place * folds // blocks

    def losses(kind: Kind) -> FloatArray:
        """Log loss of each block, by maps fitted on the other folds."""
        out = np.empty(len(y))
        for k in range(folds):
            held = fold == k
            p = fit_calibration(logit[~held], y[~held], kind)(logit[held])
            out[held] = -np.log(np.clip(np.where(y[held] > 0.5, p, 1.0 - p), 1e-12, 1.0))
        return np.asarray(np.bincount(place, out, minlength=blocks), np.float64)

    base = losses(kinds[0])
    best, most = kinds[0], 0.0
    for kind in kinds[1:]:
        gain = base - losses(kind)
        if gain.sum() > max(most, 2.0 * float(np.std(gain, ddof=1)) * np.sqrt(blocks)):
            best, most = kind, float(gain.sum())
    return fit_calibration(logit, y, best)


def _log_p(logit: FloatArray) -> FloatArray:
    """Natural logarithm of the probability of a logit, without overflow."""
    return np.asarray(np.minimum(logit, 0.0) - np.log1p(np.exp(-np.abs(logit))), np.float64)
