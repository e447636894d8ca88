"""Quantiles of the call amount, given a call: three quantiles of log(amount / scale), and constants between.

``log(amount / scale)``, with ``scale`` the room between initial and call requirement plus a 1 h deviation of the book,
starts from the prior's quantiles for the account (`models.call_sizes`), in models of before from the quantiles of
training calls; trees may correct the quantiles 0.1, 0.5 and 0.9 by the features. Every level is
``middle + c * spread`` with the spread below or above the middle and constants ``c`` that rise with the level, so
quantiles never cross. An unusual input makes the spreads wider.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit

from models.errors import InputError
from models.overshoot import AMOUNT_LEVELS
from models.predictor.adaptive import AdaptiveLevels
from models.predictor.trees import FlatTrees, flatten_trees
from models.typing import HORIZONS, Float32Array, FloatArray

__all__ = ["BOOSTED", "LEAST_SPREAD", "AmountModel", "amount_scale", "log_sizes", "with_size"]

BOOSTED: Final = (0, 2, 4)
"""Levels among `AMOUNT_LEVELS` that trees correct: 0.1, 0.5, 0.9."""
LEAST_SPREAD: Final = 1e-3
"""Least distance of the outer quantiles from the middle one, in logs."""
_MOST_LOG: Final = 12.0
_LEAST_RATIO: Final = 1e-5


def amount_scale(base: FloatArray, scale: FloatArray) -> FloatArray:
    """What amounts are measured in.

    Parameters
    ----------
    base, scale : ndarray of float, shape (n,)
        From `models.predictor.size.size_inputs`, account currency.

    Returns
    -------
    ndarray of float, shape (n,)
        Account currency; NaN where it is not positive.

    Examples
    --------
    >>> amount_scale(np.array([100.0, 0.0]), np.array([20.0, 0.0])).tolist()
    [120.0, nan]
    """
    total = np.asarray(base + scale, np.float64)
    total[~(total > 0.0)] = np.nan
    return total


def log_sizes(sizes: FloatArray, base: FloatArray, scale: FloatArray) -> FloatArray:
    """Put the prior's quantiles of the call amount on the scale of the model.

    Parameters
    ----------
    sizes : ndarray of float, shape (n, 4, 7)
        From `models.call_sizes`, account currency.
    base, scale : ndarray of float, shape (n,)
        From `models.predictor.size.size_inputs`.

    Returns
    -------
    ndarray of float, shape (n, 4, 3)
        Log over `amount_scale` of the levels `BOOSTED`; NaN where not known.
    """
    out = np.empty((*sizes.shape[:2], len(BOOSTED)))
    _log_ratio(sizes, amount_scale(base, scale), out)
    return out


def with_size(x: Float32Array, base: FloatArray, scale: FloatArray) -> Float32Array:
    """Add the share of the room between initial and call requirement to a design matrix.

    Parameters
    ----------
    x : ndarray of float32, shape (n * 4, K)
        Design matrix, account-major, then horizon.
    base, scale : ndarray of float, shape (n,)
        From `models.predictor.size.size_inputs`.

    Returns
    -------
    ndarray of float32, shape (n * 4, K + 1)
        The columns and the share.
    """
    out = np.empty((len(x), x.shape[1] + 1), np.float32)
    out[:, :-1] = x
    out[:, -1].reshape(-1, len(HORIZONS))[:] = (base / amount_scale(base, scale))[:, None]
    return out


@dataclass(frozen=True, slots=True, eq=False)
class AmountModel:
    """Quantiles of the call amount given a call within each horizon.

    Parameters
    ----------
    start : ndarray of float, shape (4, 3)
        Quantiles 0.1, 0.5 and 0.9 of ``log(amount / scale)`` on training calls, by horizon; where the model starts
        from the prior's, what is added to those.
    constant : ndarray of float, shape (4, 7)
        Of each horizon and level; rising along a row.
    texts : tuple of str, length 3 or 0
        LightGBM's trees for the three quantiles; none: the start alone.
    trees : tuple of (FlatTrees or None), length of `texts`
        The same for the fast kernel.
    from_prior : bool
        Whether the model starts from the prior's quantiles of each account.

    Notes
    -----
    Valid on average over accounts like those of the training (marginal coverage).
    """

    start: FloatArray
    constant: FloatArray
    texts: tuple[str, ...] = ()
    trees: tuple[FlatTrees | None, ...] = ()
    from_prior: bool = False

    def __post_init__(self) -> None:
        shape = (len(HORIZONS), len(AMOUNT_LEVELS))
        if self.start.shape != (len(HORIZONS), len(BOOSTED)) or not np.isfinite(self.start).all():
            raise InputError("start", self.start.shape, f"finite, of shape {(len(HORIZONS), len(BOOSTED))}")
        if self.constant.shape != shape or not (np.diff(self.constant, axis=1) >= 0).all():
            raise InputError("constant", self.constant.shape, f"rising along rows, of shape {shape}")
        if len(self.texts) not in (0, len(BOOSTED)) or len(self.trees) != len(self.texts):
            raise InputError("texts", len(self.texts), f"{len(BOOSTED)} sets of trees, or none")

    def log_parts(
        self, x: Float32Array | None, n: int, prior: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Middle of ``log(amount / scale)``, and its spreads below and above.

        Parameters
        ----------
        x : ndarray of float32, shape (n * 4, K + 1), or None
            From :func:`with_size`; None for the start alone.
        n : int
            Accounts.
        prior : ndarray of float, shape (n, 4, 3), optional
            From :func:`log_sizes`; needed where the model starts from the prior.

        Returns
        -------
        middle, below, above : ndarray of float, shape (n, 4)
            Logs; the spreads are positive; NaN where the prior is.

        Raises
        ------
        InputError
            If the model starts from the prior and there is none.
        """
        q = np.repeat(self.start[None], n, axis=0)
        if self.from_prior:
            if prior is None:
                raise InputError("prior", None, "the prior's quantiles, which this model starts from")
            q += prior
        if x is not None and self.texts:
            for i in range(len(BOOSTED)):
                q[:, :, i] += self._score(i, x).reshape(n, len(HORIZONS))
        middle, below, above = np.empty((3, n, len(HORIZONS)))
        _split(q, middle, below, above)
        return middle, below, above

    def _score(self, i: int, x: Float32Array) -> FloatArray:
        flat = self.trees[i]
        if flat is not None:
            return flat(x)
        import lightgbm as lgb

        return np.asarray(lgb.Booster(model_str=self.texts[i]).predict(x, raw_score=True, num_threads=1), np.float64)

    def quantiles(
        self,
        x: Float32Array | None,
        base: FloatArray,
        scale: FloatArray,
        wider: FloatArray | None = None,
        adaptive: AdaptiveLevels | None = None,
        sizes: FloatArray | None = None,
    ) -> FloatArray:
        """Quantiles of the call amount given a call.

        Parameters
        ----------
        x : ndarray of float32, shape (n * 4, K), or None
            Design matrix of the call level, account-major, then horizon; None for the start alone.
        base, scale : ndarray of float, shape (n,)
            From `models.predictor.size.size_inputs`, account currency.
        wider : ndarray of float, shape (n,), optional
            What spreads are multiplied by, at least 1.
        adaptive : AdaptiveLevels, optional
            Constants that have followed the calls seen since the training.
        sizes : ndarray of float, shape (n, 4, 7), optional
            From `models.call_sizes`; needed where the model starts from the prior.

        Returns
        -------
        ndarray of float, shape (n, 4, 7)
            Account currency, at levels `AMOUNT_LEVELS`, rising; NaN where the account has no scale.
        """
        columns = None if x is None or not self.texts else with_size(x, base, scale)
        prior = log_sizes(sizes, base, scale) if self.from_prior and sizes is not None else None
        middle, below, above = self.log_parts(columns, len(base), prior)
        factor = np.ones(len(base)) if wider is None else wider
        constant = self.constant if adaptive is None else adaptive.apply(self.constant)
        out = np.empty((*middle.shape, constant.shape[1]))
        _spread(middle, below, above, constant, factor, amount_scale(base, scale), out)
        return out

    def as_dict(self) -> dict[str, Any]:
        """Give the fields for JSON."""
        plain = {"start": self.start.tolist(), "constant": self.constant.tolist(), "trees": list(self.texts)}
        return plain | ({"from_prior": True} if self.from_prior else {})

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> AmountModel:
        """Read what :meth:`as_dict` gave; checks the values."""
        start, constant = (np.asarray(fields[name], np.float64) for name in ("start", "constant"))
        return cls.from_texts(start, constant, tuple(fields["trees"]), bool(fields.get("from_prior", False)))

    @classmethod
    def from_texts(
        cls, start: FloatArray, constant: FloatArray, texts: tuple[str, ...], from_prior: bool = False
    ) -> AmountModel:
        """Build the model with the fast kernel for its trees.

        Parameters
        ----------
        start, constant, texts, from_prior
            As for the class.

        Returns
        -------
        AmountModel
            The model.
        """
        import lightgbm as lgb

        trees = tuple(flatten_trees(lgb.Booster(model_str=text)) for text in texts)
        return cls(start, constant, texts, trees, from_prior)


@njit(cache=True, nogil=True)
def _log_ratio(sizes: FloatArray, total: FloatArray, out: FloatArray) -> None:  # pragma: no cover - compiled
    """Logs of the levels `BOOSTED` over the scale, shape (n, 4, 3)."""
    for i in range(out.shape[0]):
        for h in range(out.shape[1]):
            for j in range(out.shape[2]):
                ratio = sizes[i, h, BOOSTED[j]] / total[i]
                out[i, h, j] = np.log(_LEAST_RATIO if ratio < _LEAST_RATIO else ratio)


@njit(cache=True, nogil=True)
def _split(  # pragma: no cover - compiled
    q: FloatArray, middle: FloatArray, below: FloatArray, above: FloatArray
) -> None:
    """Middle and spreads of logs of shape (n, 4, 3), within bounds; NaN stays NaN."""
    for i in range(q.shape[0]):
        for h in range(q.shape[1]):
            low, centre, high = _bound(q[i, h, 0]), _bound(q[i, h, 1]), _bound(q[i, h, 2])
            middle[i, h] = centre
            below[i, h] = LEAST_SPREAD if centre - low < LEAST_SPREAD else centre - low
            above[i, h] = LEAST_SPREAD if high - centre < LEAST_SPREAD else high - centre


@njit(cache=True, inline="always")
def _bound(x: float) -> float:
    return -_MOST_LOG if x < -_MOST_LOG else (_MOST_LOG if x > _MOST_LOG else x)


@njit(cache=True, nogil=True)
def _spread(  # pragma: no cover - compiled
    middle: FloatArray,
    below: FloatArray,
    above: FloatArray,
    constant: FloatArray,
    factor: FloatArray,
    total: FloatArray,
    out: FloatArray,
) -> None:
    """Amounts at each level, shape (n, 4, 7)."""
    for i in range(out.shape[0]):
        for h in range(out.shape[1]):
            for level in range(out.shape[2]):
                c = constant[h, level]
                log = middle[i, h] + c * (below[i, h] if c < 0.0 else above[i, h]) * factor[i]
                log = (
                    -2.0 * _MOST_LOG if log < -2.0 * _MOST_LOG else (2.0 * _MOST_LOG if log > 2.0 * _MOST_LOG else log)
                )
                out[i, h, level] = total[i] * np.exp(log)
