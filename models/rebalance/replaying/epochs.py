"""What is known at a decision: the risk of every account against more and more of its lever."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.typing import FloatArray, IntArray

__all__ = ["Epoch", "between", "with_tails"]

_LEAST = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Epoch:
    """One decision: m accounts that are watched, of which k are near enough to a level to have a curve.

    Parameters
    ----------
    bar : int
        Bar of the panel at whose open is decided.
    rows : ndarray of int, shape (m,)
        The accounts, rising.
    price : ndarray, shape (m,)
        Dollars of one unit of the lever.
    deviation : ndarray, shape (m,)
        Standard deviation of the distance to liquidation over a day, dollars: delta-normal, covariances that decay.
    near : ndarray of int, shape (k,)
        Places in `rows` of the accounts with a curve; the others are far from their levels.
    amount : ndarray, shape (k, j)
        Units of the lever, rising from 0 on.
    p : ndarray, shape (2, k, j, 4)
        P(call) and P(liquidation) at the four horizons with so much of the lever.
    """

    bar: int
    rows: IntArray
    price: FloatArray
    deviation: FloatArray
    near: IntArray
    amount: FloatArray
    p: FloatArray


def between(x: FloatArray, amount: FloatArray, p: FloatArray) -> FloatArray:
    """Read curves of probability between their points.

    Parameters
    ----------
    x : ndarray, shape (r, k)
        Amounts, r for each of k accounts.
    amount : ndarray, shape (k, j)
        Points, rising.
    p : ndarray, shape (k, j)
        Probabilities there.

    Returns
    -------
    ndarray, shape (r, k)
        Linear in log P between the points; P of the first point below it, of the last beyond it.

    Examples
    --------
    >>> curve = np.array([[1.0, 0.01]])
    >>> between(np.array([[-1.0], [1.0], [2.0], [9.0]]), np.array([[0.0, 2.0]]), curve).round(9)[:, 0].tolist()
    [1.0, 0.1, 0.01, 0.01]
    """
    logs = np.log(np.maximum(p, _LEAST))
    out = np.broadcast_to(logs[:, 0], x.shape).copy()
    for j in range(1, amount.shape[1]):
        left, right = amount[:, j - 1], amount[:, j]
        width = np.maximum(right - left, 1e-300)
        share = np.clip((x - left) / width, 0.0, 1.0)
        out += share * (logs[:, j] - logs[:, j - 1])
    found = np.exp(out)
    return np.where(found <= _LEAST * (1.0 + 1e-6), 0.0, found)


def with_tails(amount: FloatArray, p: FloatArray, resolved: float) -> FloatArray:
    """Continue curves beyond what simulated paths can resolve, at the rate at which they fell before.

    Parameters
    ----------
    amount : ndarray, shape (k, j)
        Points, rising.
    p : ndarray, shape (..., k, j)
        Probabilities there.
    resolved : float
        Smallest probability that is told from nothing.

    Returns
    -------
    ndarray, shape of `p`
        Log-linear where `p` is below `resolved`, and nowhere below `p`.

    Examples
    --------
    >>> with_tails(np.array([[0.0, 1.0, 2.0]]), np.array([[0.1, 0.01, 0.0]]), 0.002).round(9).tolist()
    [[0.1, 0.01, 0.001]]
    """
    logs = np.log(np.maximum(p, _LEAST))
    for j in range(2, amount.shape[1]):
        before = np.maximum(amount[:, j - 1] - amount[:, j - 2], 1e-300)
        slope = (logs[..., j - 1] - logs[..., j - 2]) / before
        further = np.minimum(logs[..., j - 1] + slope * (amount[:, j] - amount[:, j - 1]), logs[..., j - 1])
        far = (p[..., j] < resolved) & (p[..., 0] >= resolved)
        logs[..., j] = np.where(far, np.maximum(further, logs[..., j]), logs[..., j])
    out = np.exp(logs)
    return np.where(out <= _LEAST * (1.0 + 1e-6), 0.0, out)
