"""Logistic regression by Newton's method with a ridge towards a given point."""

from __future__ import annotations

import numpy as np

from models.errors import InputError
from models.typing import FloatArray

__all__ = ["fit_logistic", "sigmoid"]


def sigmoid(x: FloatArray) -> FloatArray:
    """Inverse of the logit, without overflow.

    Parameters
    ----------
    x : ndarray of float, any shape
        Logits; NaN stays NaN.

    Returns
    -------
    ndarray of float, same shape
        Probabilities.

    Examples
    --------
    >>> sigmoid(np.array([0.0, -1000.0])).round(3).tolist()
    [0.5, 0.0]
    """
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -700.0, 700.0))), dtype=np.float64)


def fit_logistic(x: FloatArray, y: FloatArray, start: FloatArray, ridge: float = 1.0, steps: int = 50) -> FloatArray:
    """Minimise log loss plus ``ridge / 2 * |w - start|^2``.

    Parameters
    ----------
    x : ndarray of float, shape (n, k)
        Columns; an intercept is one of them.
    y : ndarray of float, shape (n,)
        Outcomes, 0 or 1.
    start : ndarray of float, shape (k,)
        Where the search begins and where the ridge pulls to.
    ridge : float
        Strength of the pull, >= 0.
    steps : int
        Most Newton steps.

    Returns
    -------
    ndarray of float, shape (k,)
        Coefficients.

    Raises
    ------
    InputError
        If the ridge is negative or not finite.

    Examples
    --------
    >>> x = np.ones((100, 1))
    >>> w = fit_logistic(x, (np.arange(100) < 25).astype(float), np.zeros(1), ridge=0.0)
    >>> float(sigmoid(w)[0].round(3))
    0.25
    """
    if not (np.isfinite(ridge) and ridge >= 0):
        raise InputError("ridge", ridge, "a finite number >= 0")
    w = start.copy()
    now = _loss(x, y, w, start, ridge)
    for _ in range(steps):
        p = sigmoid(x @ w)
        gradient = x.T @ (p - y) + ridge * (w - start)
        hessian = (x.T * np.maximum(p * (1.0 - p), 1e-9)) @ x + (ridge + 1e-9) * np.eye(len(w))
        w = _descend(x, y, w, start, ridge, np.asarray(np.linalg.solve(hessian, gradient), np.float64), now)
        before, now = now, _loss(x, y, w, start, ridge)
        if before - now < 1e-9 * max(1.0, abs(before)):
            break
    return w


def _loss(x: FloatArray, y: FloatArray, w: FloatArray, start: FloatArray, ridge: float) -> float:
    z = x @ w
    return float(np.logaddexp(0.0, z).sum() - z @ y + 0.5 * ridge * ((w - start) ** 2).sum())


def _descend(
    x: FloatArray, y: FloatArray, w: FloatArray, start: FloatArray, ridge: float, step: FloatArray, now: float
) -> FloatArray:
    """Halve the step until the loss does not rise."""
    for _ in range(30):
        if _loss(x, y, w - step, start, ridge) <= now:
            return np.asarray(w - step, np.float64)
        step = step / 2.0
    return w
