"""Expected losses of accounts against more and more of their levers, read off the curves of a decision."""

from __future__ import annotations

import numpy as np

from models.rebalance.replaying.epochs import between
from models.rebalance.replaying.rules import View
from models.typing import HORIZONS, BoolArray, FloatArray

__all__ = ["expected_loss", "refined", "within"]

_STEPS = 4
_ROOTS = np.sqrt(np.array([0.0, *HORIZONS], np.float64))


def expected_loss(view: View, amount: FloatArray, minutes: FloatArray) -> FloatArray:
    """Give the expected loss of the k accounts with a curve.

    Parameters
    ----------
    view : View
        The decision.
    amount : ndarray, shape (r, k)
        Units of the lever at each account.
    minutes : ndarray, shape (k,)
        Time within which losses count.

    Returns
    -------
    ndarray, shape (r, k)
        Dollars of calls and liquidations within that time.
    """
    near, limits = view.epoch.near, view.limits
    maintenance = np.maximum(view.maintenance[near] + amount * view.more_maintenance[near], 0.0)
    call = limits.call_cost + limits.call_cost_rate * view.factor[near] * maintenance
    worst = limits.liquidation_cost + limits.liquidation_cost_rate * maintenance
    p_call, p_worst = (within(view, level, amount, minutes) for level in (0, 1))
    return p_call * call + np.minimum(p_worst, p_call) * worst


def within(view: View, level: int, amount: FloatArray, minutes: FloatArray) -> FloatArray:
    """Give the probability that accounts reach a level.

    Parameters
    ----------
    view : View
        The decision.
    level : {0, 1}
        Call or liquidation.
    amount : ndarray, shape (r, k)
        Units of the lever at each account with a curve.
    minutes : ndarray, shape (k,)
        Time within which it counts.

    Returns
    -------
    ndarray, shape (r, k)
        Linear in the root of time between the horizons.
    """
    root, p = np.sqrt(minutes), view.epoch.p[level]
    out = np.zeros(amount.shape)
    for j in range(len(HORIZONS)):
        left, right = _ROOTS[j], _ROOTS[j + 1]
        here: BoolArray = (root > left) & ((root <= right) | (j == len(HORIZONS) - 1))
        if not here.any():
            continue
        share = np.minimum((root[here] - left) / (right - left), 1.0)
        curve = view.epoch.amount[here]
        low = 0.0 if j == 0 else between(amount[:, here], curve, p[here, :, j - 1])
        out[:, here] = low + share * (between(amount[:, here], curve, p[here, :, j]) - low)
    return out


def refined(amount: FloatArray) -> FloatArray:
    """Give the points of curves and some between them.

    Parameters
    ----------
    amount : ndarray, shape (k, j)
        Points, rising.

    Returns
    -------
    ndarray, shape (r, k)
        With nothing at all as the first.
    """
    left, width = amount[:, :-1, None], np.diff(amount, axis=1)[:, :, None]
    share = np.linspace(0.0, 1.0, _STEPS, endpoint=False)
    fine = np.concatenate([(left + width * share).reshape(len(amount), -1), amount[:, -1:]], axis=1)
    return np.concatenate([np.zeros((1, len(amount))), fine.T])
