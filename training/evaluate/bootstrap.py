"""Paired block bootstrap of skill: whole weeks of instants are drawn together, as windows in a week overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from models.errors import InputError
from models.typing import FloatArray, IntArray

WEEK_NS = 7 * 86_400_000_000_000
DRAWS: Final = 4000
"""Bootstrap draws of every interval in reports, so that one comparison has one interval in every table."""


@dataclass(frozen=True, slots=True)
class Skill:
    """Skill of a model over a reference: 1 - loss / reference loss.

    Parameters
    ----------
    value : float
        The skill on all rows, a fraction; positive is better than the reference.
    low, high : float
        Bounds of the 95% block-bootstrap interval.
    blocks : int
        Number of blocks (weeks) drawn from.
    """

    value: float
    low: float
    high: float
    blocks: int

    def as_dict(self) -> dict[str, float | int]:
        """Give the fields for JSON.

        Returns
        -------
        dict
            value, low, high, blocks.
        """
        return {"value": self.value, "low": self.low, "high": self.high, "blocks": self.blocks}


def block_sums(loss: FloatArray, block: IntArray) -> FloatArray:
    """Sum losses by block.

    Parameters
    ----------
    loss : ndarray of float, shape (n,)
        Loss of each row.
    block : ndarray of int64, shape (n,)
        Block of each row, any integers.

    Returns
    -------
    ndarray of float
        One sum per distinct block, in ascending order of the block.

    Examples
    --------
    >>> block_sums(np.array([1.0, 2.0, 3.0]), np.array([7, 7, 9])).tolist()
    [3.0, 3.0]
    """
    if not len(block):
        return np.empty(0)
    away = block - block.min()
    if int(away.max()) > 4 * len(block) + 1000:  # far apart: number them first
        away = np.unique(block, return_inverse=True)[1]
    return np.bincount(away, weights=loss)[np.bincount(away) > 0].astype(np.float64)


def skill(
    loss: FloatArray,
    reference: FloatArray,
    as_of: IntArray,
    draws: int = DRAWS,
    seed: int = 0,
    block_ns: int = WEEK_NS,
) -> Skill:
    """Skill with a 95% interval from drawing whole blocks of time with replacement.

    Parameters
    ----------
    loss, reference : ndarray of float, shape (n,)
        Losses of the model and of the reference on the same rows.
    as_of : ndarray of int64, shape (n,)
        Instants, nanoseconds UTC; they define the blocks.
    draws : int
        Bootstrap draws, at least 100.
    seed : int
        Seed of the draws.
    block_ns : int
        Length of a block, nanoseconds.

    Returns
    -------
    Skill
        The value and its interval; NaN without rows.

    Raises
    ------
    InputError
        If the lengths differ or ``draws`` is below 100.

    Examples
    --------
    >>> when = np.arange(10) * WEEK_NS
    >>> result = skill(np.full(10, 0.9), np.ones(10), when)
    >>> round(result.value, 3), round(result.low, 3), result.blocks
    (0.1, 0.1, 10)
    """
    if not len(loss) == len(reference) == len(as_of):
        raise InputError("loss", (len(loss), len(reference), len(as_of)), "three arrays of one length")
    if draws < 100:
        raise InputError("draws", draws, "at least 100")
    if not len(loss):
        return Skill(float("nan"), float("nan"), float("nan"), 0)
    block = as_of // block_ns
    mine, theirs = block_sums(loss, block), block_sums(reference, block)
    count = len(mine)
    weight = np.random.default_rng(seed).multinomial(count, np.full(count, 1.0 / count), size=draws)
    ratio = 1.0 - (weight @ mine) / (weight @ theirs)
    low, high = np.quantile(ratio, (0.025, 0.975))
    return Skill(float(1.0 - mine.sum() / theirs.sum()), float(low), float(high), count)


def share(
    loss: FloatArray,
    worst: FloatArray,
    best: FloatArray,
    as_of: IntArray,
    draws: int = DRAWS,
    seed: int = 0,
    block_ns: int = WEEK_NS,
) -> Skill:
    """Share of the way from a worst to a best loss that a forecast covers, with an interval as in :func:`skill`.

    Parameters
    ----------
    loss, worst, best : ndarray of float, shape (n,)
        Losses of the forecast, of the one without skill and of the best there is, on the same rows.
    as_of : ndarray of int64, shape (n,)
        Instants, nanoseconds UTC; they define the blocks.
    draws : int
        Bootstrap draws, at least 100.
    seed : int
        Seed of the draws.
    block_ns : int
        Length of a block, nanoseconds.

    Returns
    -------
    Skill
        1 where the forecast is as good as the best, 0 as the worst; NaN without rows.

    Raises
    ------
    InputError
        If the lengths differ or ``draws`` is below 100.

    Examples
    --------
    >>> when = np.arange(10) * WEEK_NS
    >>> round(share(np.full(10, 0.6), np.ones(10), np.full(10, 0.5), when).value, 3)
    0.8
    """
    if len(best) != len(loss):
        raise InputError("best", len(best), f"as many rows as losses, {len(loss)}")
    return skill(loss - best, worst - best, as_of, draws, seed, block_ns)
