"""How unusual the input of a forecast is, beside the rows of the training.

Two measures, both on the normal scores of the columns (a value's quantile among the training rows, as a deviation of
the normal distribution; beyond the ends it goes on with the slope of the tail). *Depth* is the largest absolute score:
one column is far out. *Distance* is Mahalanobis' of all scores: the columns do not go together as they did. Each is
divided by a limit; the larger ratio is the novelty, and the limits are such that a stated share of the training
rows has one above 1.

Only columns that leverage does not move take part: the market's state and what the account is made of. Novelty is then
the same at every leverage and horizon, and P stays monotone in both when it shrinks the trees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit

from models.errors import InputError
from models.typing import BoolArray, Float32Array, FloatArray, IntArray

__all__ = ["NoveltyModel", "widening"]

_PROBABILITY: Final = np.array([0.0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0])
_LOW, _MIDDLE, _HIGH = 2, 6, 10  # 1%, the median, 99%
_RIDGE: Final = 0.3
_ALWAYS: Final = 0.01  # columns with fewer gaps than this in training count as missing where they are NaN
_WIDEST: Final = 3.0


def widening(novelty: FloatArray) -> FloatArray:
    """How much wider quantiles get: the novelty, from 1 to 3; 1 where it is not known.

    Parameters
    ----------
    novelty : ndarray of float, shape (n,)
        From :meth:`NoveltyModel.score`; NaN allowed.

    Returns
    -------
    ndarray of float, shape (n,)
        Factors.

    Examples
    --------
    >>> widening(np.array([0.2, 1.5, 40.0, np.nan])).tolist()
    [1.0, 1.5, 3.0, 1.0]
    """
    return np.asarray(np.minimum(np.fmax(novelty, 1.0), _WIDEST), np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class NoveltyModel:
    """What the training rows looked like.

    Parameters
    ----------
    columns : tuple of str, length C
        Columns that take part.
    grid : ndarray of float, shape (C, 13)
        Their quantiles, from the least to the largest value.
    root : ndarray of float, shape (C, C)
        Upper triangle ``R`` with ``distance = |R g| / sqrt(C)`` for scores ``g``.
    always : ndarray of bool, shape (C,)
        Columns that the training rows (nearly) always had.
    depth_limit, distance_limit : float
        What depth and distance are divided by, > 0.
    share : float
        Share of the training rows with a novelty above 1.
    """

    columns: tuple[str, ...]
    grid: FloatArray
    root: FloatArray
    always: BoolArray
    depth_limit: float
    distance_limit: float
    share: float

    def __post_init__(self) -> None:
        n = len(self.columns)
        shapes = (self.grid.shape, self.root.shape, self.always.shape)
        if n == 0 or shapes != ((n, len(_PROBABILITY)), (n, n), (n,)):
            raise InputError("novelty", shapes, f"quantiles, a square root and a flag for each of the {n} columns")
        if not (np.isfinite(self.grid).all() and np.isfinite(self.root).all() and (np.diff(self.grid) >= 0).all()):
            raise InputError("novelty.grid", "not finite or not rising", "finite quantiles in rising order")
        for name in ("depth_limit", "distance_limit"):
            if not 0.0 < getattr(self, name) < np.inf:
                raise InputError(name, getattr(self, name), "a finite number above 0")

    @classmethod
    def fit(cls, x: Float32Array, columns: Sequence[str], share: float = 0.01) -> NoveltyModel:
        """Learn what is usual.

        Parameters
        ----------
        x : ndarray of float32, shape (n, C)
            Training rows of the columns, one a forecast; NaN allowed.
        columns : sequence of str, length C
            Their names. A column without any value is left out.
        share : float
            Share of these rows that is to have a novelty above 1, in [0.0001, 0.2].

        Returns
        -------
        NoveltyModel
            The fitted model.

        Raises
        ------
        InputError
            If the share is out of its range, or there are under 100 rows or no column with values.

        Examples
        --------
        >>> x = np.random.default_rng(0).normal(size=(2000, 3)).astype(np.float32)
        >>> model = NoveltyModel.fit(x, ["a", "b", "c"])
        >>> round(float((model.score(x)[0] > 1).mean()), 2)
        0.01
        """
        if not 0.0001 <= share <= 0.2:
            raise InputError("share", share, "a share in [0.0001, 0.2]")
        known = ~np.isnan(x)
        used = np.flatnonzero(known.any(axis=0))
        if len(x) < 100 or len(used) == 0:
            raise InputError("x", x.shape, "at least 100 rows and a column with values")
        grid = np.stack([np.quantile(x[known[:, j], j].astype(np.float64), _PROBABILITY) for j in used])
        always = 1.0 - known[:, used].mean(axis=0) < _ALWAYS
        names = tuple(columns[j] for j in used.tolist())
        part = np.ascontiguousarray(x[:, used], np.float32)
        loose = cls(names, grid, np.eye(len(used)), always, 1.0, 1.0, share)
        scores = loose.normal_scores(part)
        covariance = np.cov(scores, rowvar=False).reshape(len(used), -1) + _RIDGE * np.eye(len(used))
        root = np.asarray(np.round(np.linalg.cholesky(np.linalg.inv(covariance)).T, 6), np.float64)
        depth = np.abs(scores).max(axis=1)
        distance = np.sqrt(((scores @ root.T) ** 2).mean(axis=1))
        return cls(names, grid, root, always, *_limits(depth, distance, share), share)

    def index(self, names: Sequence[str]) -> IntArray:
        """Place of the columns among others.

        Parameters
        ----------
        names : sequence of str
            Columns of a design matrix.

        Returns
        -------
        ndarray of int64, shape (C,)
            Their indices.

        Raises
        ------
        InputError
            If one is not there.
        """
        missing = [name for name in self.columns if name not in names]
        if missing:
            raise InputError("novelty.columns", missing[:5], "columns of the model")
        place = {name: i for i, name in enumerate(names)}
        return np.array([place[name] for name in self.columns], np.int64)

    def normal_scores(self, x: Float32Array, index: IntArray | None = None) -> FloatArray:
        """Deviation of each value among the training rows.

        Parameters
        ----------
        x : ndarray of float32, shape (n, K)
            Rows.
        index : ndarray of int64, shape (C,), optional
            Columns of ``x`` to read; all in their order by default.

        Returns
        -------
        ndarray of float, shape (n, C)
            Normal scores; 0 where a value is NaN.
        """
        out = np.empty((len(x), len(self.columns)))
        place = np.arange(len(self.columns)) if index is None else index
        for i in range(len(x)):
            _row_scores(x[i], place, self.grid, _SCORE, _SPAN, out[i])
        return out

    def score(self, x: Float32Array, index: IntArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Novelty of rows, and how much of them is missing.

        Parameters
        ----------
        x : ndarray of float32, shape (n, K)
            Rows.
        index : ndarray of int64, shape (C,), optional
            Columns of ``x`` to read, from :meth:`index`; all in their order by default.

        Returns
        -------
        novelty, missing : ndarray of float, shape (n,)
            Above 1: more unusual than all but ``share`` of the training rows. Share of the columns that training always
            had and that are NaN.
        """
        place = np.arange(len(self.columns)) if index is None else index
        out = np.empty((2, len(x)))
        _novelty(x, place, self.grid, _SCORE, _SPAN, self.root, self.always, self.depth_limit, self.distance_limit, out)
        return out[0], out[1]

    def unusual(self, x: Float32Array, index: IntArray | None = None, most: int = 3) -> IntArray:
        """Columns that are furthest out in each row.

        Parameters
        ----------
        x : ndarray of float32, shape (n, K)
            Rows.
        index : ndarray of int64, shape (C,), optional
            As for :meth:`score`.
        most : int
            How many.

        Returns
        -------
        ndarray of int64, shape (n, most)
            Indices into ``columns``, the furthest first; where there are fewer columns the last is repeated.
        """
        order = np.argsort(-np.abs(self.normal_scores(x, index)), axis=1, kind="stable")
        return np.ascontiguousarray(order[:, np.minimum(np.arange(most), len(self.columns) - 1)])

    def as_dict(self) -> dict[str, Any]:
        """Give the fields for JSON."""
        return {
            "columns": list(self.columns),
            "grid": self.grid.tolist(),
            "root": [row[i:] for i, row in enumerate(self.root.tolist())],
            "always": self.always.tolist(),
            "depth_limit": self.depth_limit,
            "distance_limit": self.distance_limit,
            "share": self.share,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> NoveltyModel:
        """Read what :meth:`as_dict` gave; checks the values."""
        n = len(fields["columns"])
        root = np.zeros((n, n))
        for i, row in enumerate(fields["root"]):
            root[i, i:] = row
        return cls(
            tuple(fields["columns"]),
            np.asarray(fields["grid"], np.float64),
            root,
            np.asarray(fields["always"], np.bool_),
            *(float(fields[name]) for name in ("depth_limit", "distance_limit", "share")),
        )


def _normal_quantile(p: FloatArray) -> FloatArray:
    from scipy.special import ndtri

    return np.asarray(ndtri(np.clip(p, 1e-5, 1.0 - 1e-5)), np.float64)


_SCORE: Final = _normal_quantile(_PROBABILITY)
"""Scores of the quantiles."""
_SPAN: Final = _normal_quantile(0.5 * (_PROBABILITY[:, None] + _PROBABILITY))
"""Score of a value that is all of the quantiles from one to another: that of the middle of their probabilities."""


def _limits(depth: FloatArray, distance: FloatArray, share: float) -> tuple[float, float]:
    """Limits at the same quantile of both, such that a share of the rows is above either."""
    low, high = 1.0 - share, 1.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        limits = np.quantile(depth, middle), np.quantile(distance, middle)
        if ((depth > limits[0]) | (distance > limits[1])).mean() > share:
            low = middle
        else:
            high = middle
    return float(np.quantile(depth, high)), float(np.quantile(distance, high))


@njit(cache=True, nogil=True)
def _row_scores(
    x: Float32Array, index: IntArray, grid: FloatArray, score: FloatArray, span: FloatArray, out: FloatArray
) -> None:  # pragma: no cover - compiled
    """Normal scores of one row."""
    last = grid.shape[1] - 1
    for c in range(len(index)):
        v, q = np.float64(x[index[c]]), grid[c]
        floor = 1e-3 * max(1.0, abs(q[_MIDDLE]))
        if v != v:
            out[c] = 0.0
        elif v < q[0]:
            out[c] = score[0] - (q[0] - v) / max((q[_MIDDLE] - q[_LOW]) / -score[_LOW], floor)
        elif v > q[last]:
            out[c] = score[last] + (v - q[last]) / max((q[_HIGH] - q[_MIDDLE]) / score[_HIGH], floor)
        else:
            below = 0
            while q[below] < v:
                below += 1
            upto = below
            while upto < last and q[upto + 1] <= v:
                upto += 1
            if q[below] == v:
                out[c] = span[below, upto]
            else:
                w = (v - q[below - 1]) / (q[below] - q[below - 1])
                out[c] = score[below - 1] + w * (score[below] - score[below - 1])


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _novelty(
    x: Float32Array,
    index: IntArray,
    grid: FloatArray,
    score: FloatArray,
    span: FloatArray,
    root: FloatArray,
    always: BoolArray,
    depth_limit: float,
    distance_limit: float,
    out: FloatArray,
) -> None:  # pragma: no cover - compiled
    """Novelty and missing share of each row."""
    n = len(index)
    g = np.empty(n)
    asked = max(1, always.sum())
    for r in range(len(x)):
        _row_scores(x[r], index, grid, score, span, g)
        depth, square, gone = 0.0, 0.0, 0
        for i in range(n):
            depth = max(depth, abs(g[i]))
            total = 0.0
            for j in range(i, n):
                total += root[i, j] * g[j]
            square += total * total
            gone += always[i] & np.isnan(x[r, index[i]])
        out[0, r] = max(depth / depth_limit, np.sqrt(square / n) / distance_limit)
        out[1, r] = gone / asked
